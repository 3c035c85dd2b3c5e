//! `error_page`: what is shown in the place of an error.

use super::template::Template;
use super::variable::Registry;

/// The error pages of one level.
#[derive(Debug, Clone, Default)]
pub struct ErrorPages {
    pages: Vec<(u16, ErrorPage)>,
}

#[derive(Debug, Clone)]
pub(super) struct ErrorPage {
    /// A URI, a named location, or a URL to redirect to.
    pub target: Template,
    pub status: Override,
}

/// The status an error page is shown with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Override {
    /// That of the error.
    Keep,
    /// `=`: whatever the page has.
    Own,
    /// `=code`.
    Status(u16),
}

impl ErrorPages {
    /// `error_page code... [=[code]] uri`.
    pub fn add(&mut self, arguments: &[&[u8]], registry: &mut Registry) -> Result<(), String> {
        let [codes @ .., target] = arguments else {
            return Err("invalid number of arguments in \"error_page\" directive".into());
        };
        let (codes, status) = match codes.split_last() {
            Some((last, codes)) if last.starts_with(b"=") => (codes, overriding(last)?),
            _ => (codes, Override::Keep),
        };
        if codes.is_empty() {
            return Err("invalid number of arguments in \"error_page\" directive".into());
        }
        let target = Template::compile(target, registry)?;
        for code in codes {
            let value = code.escape_ascii();
            let number = match number(code) {
                Some(499) | None => return Err(format!("invalid value \"{value}\"")),
                Some(number @ 300..=599) => number,
                Some(_) => {
                    return Err(format!("value \"{value}\" must be between 300 and 599"));
                }
            };
            self.pages.push((number, ErrorPage { target: target.clone(), status }));
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// True when a page is named for the status.
    pub fn has(&self, status: u16) -> bool {
        self.find(status).is_some()
    }

    /// The page of a status: the first that names it.
    pub(super) fn find(&self, status: u16) -> Option<&ErrorPage> {
        self.pages.iter().find(|(code, _)| *code == status).map(|(_, page)| page)
    }
}

fn overriding(word: &[u8]) -> Result<Override, String> {
    match &word[1..] {
        b"" => Ok(Override::Own),
        code => match number(code) {
            Some(status) => Ok(Override::Status(status)),
            None => Err(format!("invalid value \"{}\"", word.escape_ascii())),
        },
    }
}

fn number(code: &[u8]) -> Option<u16> {
    if !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(code).ok()?.parse().ok().filter(|number| *number <= 999)
}
