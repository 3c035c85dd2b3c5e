//! `proxy_redirect`: Location and Refresh of an upstream, rewritten to the client's side.

use super::evaluate::Context;
use super::fields::append_value;
use super::proxy_pass::ProxyPass;
use super::regex::Regex;
use super::template::Template;
use super::variable::Registry;

/// The `proxy_redirect` lines of a level, in their order.
#[derive(Debug, Default)]
pub struct Redirects {
    rules: Vec<Rule>,
}

/// One pair.
#[derive(Debug)]
pub(super) struct Rule {
    pub pattern: Pattern,
    pub replacement: Template,
}

#[derive(Debug)]
pub(super) enum Pattern {
    Text(Template),
    Regex(Regex),
}

impl Pattern {
    /// `~pattern`, `~*pattern`, or text.
    pub(super) fn parse(word: &[u8], registry: &mut Registry) -> Result<Self, String> {
        match word.strip_prefix(b"~") {
            Some(pattern) => {
                let caseless = pattern.strip_prefix(b"*");
                let regex = registry.regex(caseless.unwrap_or(pattern), caseless.is_some())?;
                Ok(Self::Regex(regex))
            }
            None => Ok(Self::Text(Template::compile(word, registry)?)),
        }
    }
}

impl Redirects {
    /// `proxy_redirect default`, which is also in force where there is no line; `location` is the
    /// name of the location.
    pub fn default_for(proxy_pass: &ProxyPass, location: &[u8]) -> Self {
        let mut redirects = Self::default();
        // With variables there is nothing to look for.
        let _ = redirects.add_default(proxy_pass, location);
        redirects
    }

    /// One line, but for `off`; `proxy_pass` is that of the same location.
    pub fn add(
        &mut self,
        arguments: &[&[u8]],
        proxy_pass: &ProxyPass,
        location: &[u8],
        registry: &mut Registry,
    ) -> Result<(), String> {
        match arguments {
            [b"default"] => self.add_default(proxy_pass, location),
            [word] => Err(format!("invalid parameter \"{}\"", word.escape_ascii())),
            [pattern, replacement] => {
                let pattern = Pattern::parse(pattern, registry)?;
                let replacement = Template::compile(replacement, registry)?;
                self.rules.push(Rule { pattern, replacement });
                Ok(())
            }
            _ => Err("invalid number of arguments in \"proxy_redirect\" directive".into()),
        }
    }

    fn add_default(&mut self, proxy_pass: &ProxyPass, location: &[u8]) -> Result<(), String> {
        let (Some(text), Some(url)) = (proxy_pass.fixed_text(), proxy_pass.fixed()) else {
            return Err("\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive \
                        with variables"
                .into());
        };
        let (pattern, replacement) = if url.uri.is_empty() {
            ([text, b"/"].concat(), &b"/"[..])
        } else {
            (text.to_vec(), location)
        };
        self.rules.push(Rule {
            pattern: Pattern::Text(Template::text(&pattern)),
            replacement: Template::text(replacement),
        });
        Ok(())
    }

    /// Appends the new value of a Location field; false, and nothing, where none applies.
    pub fn rewrite_location(
        &self,
        value: &[u8],
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        self.rules.iter().any(|rule| rule.apply(value, context, out))
    }

    /// As [`Redirects::rewrite_location`], for the URL in a Refresh field.
    pub fn rewrite_refresh(
        &self,
        value: &[u8],
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let at = value.windows(4).position(|part| part.eq_ignore_ascii_case(b"url="));
        let Some(at) = at else { return false };
        let (before, url) = value.split_at(at + 4);
        let start = out.len();
        out.extend_from_slice(before);
        let rewritten = self.rewrite_location(url, context, out);
        if !rewritten {
            out.truncate(start);
        }
        rewritten
    }
}

impl Rule {
    /// Appends `value` with its beginning, or for an expression all of it, replaced.
    pub(super) fn apply(&self, value: &[u8], context: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
        let rest = match &self.pattern {
            Pattern::Regex(regex) => {
                if !context.state.exec(regex, value, context.variables) {
                    return false;
                }
                b""
            }
            Pattern::Text(template) => {
                let mut pattern = context.state.lend();
                context.append(template, &mut pattern);
                let rest = value.strip_prefix(&*pattern);
                context.state.take_back(pattern);
                match rest {
                    Some(rest) => rest,
                    None => return false,
                }
            }
        };
        append_value(&self.replacement, context, out);
        out.extend_from_slice(rest);
        true
    }
}
