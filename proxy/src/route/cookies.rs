//! `proxy_cookie_domain`, `proxy_cookie_path`, `proxy_cookie_flags`: Set-Cookie of an upstream,
//! rewritten.

use super::evaluate::Context;
use super::fields::append_value;
use super::template::Template;
use super::upstream_fields::{Pattern, Rule};
use super::variable::Registry;

/// The lines of a level, in their order.
#[derive(Debug, Default)]
pub struct Cookies {
    domains: Vec<Rule>,
    paths: Vec<Rule>,
    flags: Vec<FlagRule>,
}

#[derive(Debug)]
struct FlagRule {
    cookie: Pattern,
    flags: Box<[Template]>,
}

/// A flag of `proxy_cookie_flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    Secure(bool),
    HttpOnly(bool),
    SameSite(Option<&'static [u8]>),
}

impl Flag {
    fn parse(word: &[u8]) -> Option<Self> {
        let known = FLAGS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        known.map(|(_, flag)| *flag)
    }

    fn name(self) -> &'static [u8] {
        match self {
            Self::Secure(_) => b"Secure",
            Self::HttpOnly(_) => b"HttpOnly",
            Self::SameSite(_) => b"SameSite",
        }
    }

    /// Appends what becomes of an attribute that the cookie has.
    fn append_over(self, part: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Secure(true) | Self::HttpOnly(true) => {
                out.extend_from_slice(b"; ");
                out.extend_from_slice(part);
            }
            other => other.append_new(out),
        }
    }

    /// Appends an attribute that the cookie has not, if it gets it.
    fn append_new(self, out: &mut Vec<u8>) {
        let pieces: [&[u8]; 4] = match self {
            Self::Secure(true) | Self::HttpOnly(true) => [b"; ", self.name(), b"", b""],
            Self::SameSite(Some(mode)) => [b"; ", self.name(), b"=", mode],
            Self::Secure(false) | Self::HttpOnly(false) | Self::SameSite(None) => return,
        };
        pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    }
}

impl Cookies {
    /// `proxy_cookie_domain domain replacement`; `off` is for whoever reads the file.
    pub fn add_domain(
        &mut self,
        arguments: &[&[u8]],
        registry: &mut Registry,
    ) -> Result<(), String> {
        let [domain, replacement] = arguments else { return Err(invalid(arguments)) };
        let (pattern, replacement) = match domain.strip_prefix(b"~") {
            // Domains know no case.
            Some(pattern) => (Pattern::Regex(registry.regex(pattern, true)?), *replacement),
            None => {
                let bare = domain.strip_prefix(b".").unwrap_or(domain);
                let pattern = Pattern::Text(Template::compile(bare, registry)?);
                (pattern, replacement.strip_prefix(b".").unwrap_or(replacement))
            }
        };
        let replacement = Template::compile(replacement, registry)?;
        self.domains.push(Rule { pattern, replacement });
        Ok(())
    }

    /// `proxy_cookie_path path replacement`.
    pub fn add_path(&mut self, arguments: &[&[u8]], registry: &mut Registry) -> Result<(), String> {
        let [path, replacement] = arguments else { return Err(invalid(arguments)) };
        let pattern = Pattern::parse(path, registry)?;
        let replacement = Template::compile(replacement, registry)?;
        self.paths.push(Rule { pattern, replacement });
        Ok(())
    }

    /// True for a flag that does something; nginx takes others too, and goes on without them.
    pub fn is_flag(word: &[u8]) -> bool {
        Flag::parse(word).is_some()
    }

    /// `proxy_cookie_flags cookie flag...`.
    pub fn add_flags(
        &mut self,
        arguments: &[&[u8]],
        registry: &mut Registry,
    ) -> Result<(), String> {
        let [cookie, flags @ ..] = arguments else { return Err(invalid(arguments)) };
        let cookie = match cookie.strip_prefix(b"~") {
            Some(pattern) => Pattern::Regex(registry.regex(pattern, true)?),
            None => Pattern::Text(Template::compile(cookie, registry)?),
        };
        let mut compiled = Vec::new();
        for flag in flags {
            let template = Template::compile(flag, registry)?;
            compiled.push(template);
        }
        self.flags.push(FlagRule { cookie, flags: compiled.into() });
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.paths.is_empty() && self.flags.is_empty()
    }

    /// Appends the new value of a Set-Cookie field; false, and nothing, where none applies.
    pub fn rewrite(&self, value: &[u8], context: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut parts = value.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let pair = parts.next().unwrap_or_default();
        let Some(equals) = memchr::memchr(b'=', pair) else { return false };
        let flags = self.flags(&pair[..equals], context);
        let start = out.len();
        out.extend_from_slice(pair);
        // As nginx has it, a cookie with a line of flags is written anew.
        let mut changed = flags.is_some();
        let flags = flags.unwrap_or_default();
        let mut seen = [false; 3];
        for part in parts {
            let (key, value) = match memchr::memchr(b'=', part) {
                Some(at) => (part[..at].trim_ascii(), Some(part[at + 1..].trim_ascii())),
                None => (part, None),
            };
            let flag = flags.iter().flatten().find(|flag| key.eq_ignore_ascii_case(flag.name()));
            if let Some(flag) = flag {
                seen[number(*flag)] = true;
                flag.append_over(part, out);
                continue;
            }
            out.extend_from_slice(b"; ");
            out.extend_from_slice(key);
            if let Some(value) = value {
                out.push(b'=');
                let rewritten = self.attribute(key, value, context, out);
                changed |= rewritten;
                if !rewritten {
                    out.extend_from_slice(value);
                }
            }
        }
        for flag in flags.iter().flatten().filter(|flag| !seen[number(**flag)]) {
            flag.append_new(out);
        }
        if !changed {
            out.truncate(start);
        }
        changed
    }

    /// Appends the new value of an attribute, if it has one.
    fn attribute(
        &self,
        key: &[u8],
        value: &[u8],
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        if key.eq_ignore_ascii_case(b"path") {
            return self.paths.iter().any(|rule| rule.apply(value, context, out));
        }
        key.eq_ignore_ascii_case(b"domain")
            && self.domains.iter().any(|rule| apply_domain(rule, value, context, out))
    }

    /// The flags for a cookie, of each kind the last; `None` where no line is about it.
    fn flags(&self, name: &[u8], context: &mut Context<'_>) -> Option<[Option<Flag>; 3]> {
        let mut flags = [None; 3];
        let rule = self.flags.iter().find(|rule| match &rule.cookie {
            Pattern::Regex(regex) => context.state.exec(regex, name, context.variables),
            Pattern::Text(template) => {
                let mut wanted = context.state.lend();
                context.append(template, &mut wanted);
                let same = wanted.eq_ignore_ascii_case(name);
                context.state.take_back(wanted);
                same
            }
        })?;
        for template in &rule.flags {
            let mut word = context.state.lend();
            context.append(template, &mut word);
            if let Some(flag) = Flag::parse(&word) {
                flags[number(flag)] = Some(flag);
            }
            context.state.take_back(word);
        }
        Some(flags)
    }
}

/// A domain is replaced as a whole; a dot in front does not count, and stays.
fn apply_domain(rule: &Rule, value: &[u8], context: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
    let Pattern::Text(template) = &rule.pattern else {
        return rule.apply(value, context, out);
    };
    let (dot, bare) = value.split_at(usize::from(value.starts_with(b".")));
    let mut pattern = context.state.lend();
    context.append(template, &mut pattern);
    let same = pattern.eq_ignore_ascii_case(bare);
    context.state.take_back(pattern);
    if same {
        out.extend_from_slice(dot);
        append_value(&rule.replacement, context, out);
    }
    same
}

fn invalid(arguments: &[&[u8]]) -> String {
    let word = arguments.first().copied().unwrap_or_default();
    format!("invalid parameter \"{}\"", word.escape_ascii())
}

fn number(flag: Flag) -> usize {
    match flag {
        Flag::Secure(_) => 0,
        Flag::HttpOnly(_) => 1,
        Flag::SameSite(_) => 2,
    }
}

const FLAGS: &[(&str, Flag)] = &[
    ("secure", Flag::Secure(true)),
    ("nosecure", Flag::Secure(false)),
    ("httponly", Flag::HttpOnly(true)),
    ("nohttponly", Flag::HttpOnly(false)),
    ("samesite=strict", Flag::SameSite(Some(b"Strict"))),
    ("samesite=lax", Flag::SameSite(Some(b"Lax"))),
    ("samesite=none", Flag::SameSite(Some(b"None"))),
    ("nosamesite", Flag::SameSite(None)),
];
