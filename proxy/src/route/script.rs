//! The directives of the rewrite module, compiled: `rewrite`, `return`, `if`, `set`, `break`.

use super::condition::{Asked, Condition};
use super::regex::Regex;
use super::template::{Part, Template};
use super::variable::{Registry, Variable};

/// The rewrite directives of one level in their order, those inside its `if` blocks included.
#[derive(Debug, Default)]
pub struct Script {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    Rewrite(Box<Rewrite>),
    Return(Return),
    Break,
    Set(Variable, Template),
    If {
        condition: Condition,
        /// The configuration that is in force from here on if it holds; none on the server level.
        location: Option<usize>,
        /// Where the script goes on if it does not.
        end: usize,
    },
}

#[derive(Debug)]
pub(super) struct Rewrite {
    pub regex: Regex,
    pub replacement: Template,
    /// What follows a `?` of a replacement that is no redirect.
    pub args: Option<Template>,
    /// The replacement has a `?`: further arguments are joined by `&`.
    pub has_args: bool,
    /// The client's arguments are kept.
    pub adds_args: bool,
    /// The status of a redirect; `None` to go on with the new URI.
    pub redirect: Option<u16>,
    /// `break`: the new URI is not looked up again.
    pub breaks: bool,
    /// The script ends with it.
    pub is_last: bool,
}

#[derive(Debug)]
pub(super) struct Return {
    pub status: u16,
    /// Text, or where to.
    pub text: Option<Template>,
}

/// An `if` whose block is being read.
#[derive(Debug)]
#[must_use = "end_if says where the block ends"]
pub struct OpenIf(usize);

impl Script {
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// `rewrite pattern replacement [flag]`.
    pub fn rewrite(&mut self, arguments: &[&[u8]], registry: &mut Registry) -> Result<(), String> {
        let (pattern, replacement, flag) = match arguments {
            [pattern, replacement] => (*pattern, *replacement, &b""[..]),
            [pattern, replacement, flag] => (*pattern, *replacement, *flag),
            _ => return Err("invalid number of arguments in \"rewrite\" directive".into()),
        };
        if replacement.is_empty() {
            return Err("empty replacement".into());
        }
        let regex = registry.regex(pattern, false)?;
        let (replacement, adds_args) = match replacement.strip_suffix(b"?") {
            Some(replacement) => (replacement, false),
            None => (replacement, true),
        };
        let mut redirect = is_url(replacement).then_some(302);
        let breaks = flag == b"break";
        match flag {
            b"" | b"last" | b"break" => {}
            b"redirect" => redirect = Some(302),
            b"permanent" => redirect = Some(301),
            other => return Err(format!("invalid parameter \"{}\"", other.escape_ascii())),
        }
        let (path, args) = match memchr::memchr(b'?', replacement) {
            Some(at) if redirect.is_none() => (&replacement[..at], Some(&replacement[at + 1..])),
            _ => (replacement, None),
        };
        let rewrite = Rewrite {
            regex,
            has_args: has_question_mark(&Template::compile(replacement, registry)?),
            replacement: Template::compile(path, registry)?,
            args: args.map(|args| Template::compile(args, registry)).transpose()?,
            adds_args,
            redirect,
            breaks,
            is_last: redirect.is_some() || !flag.is_empty(),
        };
        self.steps.push(Step::Rewrite(Box::new(rewrite)));
        Ok(())
    }

    /// `return code [text]`, `return code URL` or `return URL`.
    pub fn returns(&mut self, arguments: &[&[u8]], registry: &mut Registry) -> Result<(), String> {
        let (code, text) = match arguments {
            [code] => (*code, None),
            [code, text] => (*code, Some(*text)),
            _ => return Err("invalid number of arguments in \"return\" directive".into()),
        };
        let invalid = || format!("invalid return code \"{}\"", code.escape_ascii());
        let (status, text) = match number(code) {
            Some(status) if status <= 999 => (status as u16, text),
            Some(_) => return Err(invalid()),
            None if text.is_none() && is_url(code) => (302, Some(code)),
            None => return Err(invalid()),
        };
        let text = text.map(|text| Template::compile(text, registry)).transpose()?;
        self.steps.push(Step::Return(Return { status, text }));
        Ok(())
    }

    pub fn breaks(&mut self) {
        self.steps.push(Step::Break);
    }

    /// `set $variable value`.
    pub fn set(&mut self, arguments: &[&[u8]], registry: &mut Registry) -> Result<(), String> {
        let [name, value] = arguments else {
            return Err("invalid number of arguments in \"set\" directive".into());
        };
        let invalid = || format!("invalid variable name \"{}\"", name.escape_ascii());
        let variable = registry.settable(name.strip_prefix(b"$").ok_or_else(invalid)?)?;
        self.steps.push(Step::Set(variable, Template::compile(value, registry)?));
        Ok(())
    }

    /// `if (condition) {`: the arguments with their parentheses. `location` is the nameless
    /// location of the block, `None` on the server level. What is added until
    /// [`Script::end_if`] is inside.
    pub fn begin_if(
        &mut self,
        arguments: &[&[u8]],
        location: Option<usize>,
        registry: &mut Registry,
    ) -> Result<OpenIf, String> {
        let condition = Asked::parse(arguments)?.compile(registry)?;
        self.steps.push(Step::If { condition, location, end: 0 });
        Ok(OpenIf(self.steps.len() - 1))
    }

    pub fn end_if(&mut self, open: OpenIf) {
        let after = self.steps.len();
        if let Some(Step::If { end, .. }) = self.steps.get_mut(open.0) {
            *end = after;
        }
    }
}

/// A `?` in the fixed text.
fn has_question_mark(template: &Template) -> bool {
    template.parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains(&b'?')))
}

fn is_url(text: &[u8]) -> bool {
    [&b"http://"[..], b"https://", b"$scheme"].iter().any(|start| text.starts_with(start))
}

fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok().or(Some(u32::MAX))
}
