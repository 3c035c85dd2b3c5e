//! Text with variables in it, `http://$host${uri}?a=$1`, compiled once.

use super::variable::{Registry, Variable};

/// Compiled text; `Context::append` of `evaluate` writes its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pub(super) parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(Box<[u8]>),
    Variable(Variable),
    /// `$1` to `$9`.
    Capture(u8),
}

impl Template {
    /// Errors are in nginx's words. Whether the variables exist is found out by
    /// [`Registry::finish`]: they may be defined further down.
    pub fn compile(source: &[u8], registry: &mut Registry) -> Result<Self, String> {
        Self::parse(source, registry, true)
    }

    /// As `compile`, for logs, where `$1` is no capture.
    pub(super) fn without_captures(source: &[u8], registry: &mut Registry) -> Result<Self, String> {
        Self::parse(source, registry, false)
    }

    /// Text as it is, `$` included.
    pub fn text(text: &[u8]) -> Self {
        let parts = if text.is_empty() { vec![] } else { vec![Part::Text(text.into())] };
        Self { parts: parts.into() }
    }

    /// The value, if it is the same for every request.
    pub fn as_text(&self) -> Option<&[u8]> {
        match &*self.parts {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn parse(source: &[u8], registry: &mut Registry, captures: bool) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some(at) = memchr::memchr(b'$', rest) {
            if at > 0 {
                parts.push(Part::Text(rest[..at].into()));
            }
            rest = &rest[at + 1..];
            match rest.first() {
                Some(digit @ b'1'..=b'9') if captures => {
                    parts.push(Part::Capture(digit - b'0'));
                    rest = &rest[1..];
                }
                _ => {
                    let (name, after) = variable_name(rest)?;
                    parts.push(Part::Variable(registry.reference(name)?));
                    rest = after;
                }
            }
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Self { parts: parts.into() })
    }
}

/// The name after a `$`, and what comes after it.
fn variable_name(rest: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let inner = rest.strip_prefix(b"{").unwrap_or(rest);
    let bracket = inner.len() != rest.len();
    let end = inner.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'));
    let (name, mut after) = inner.split_at(end.unwrap_or(inner.len()));
    if bracket {
        if inner.is_empty() {
            return Err("invalid variable name".into());
        }
        after = after.strip_prefix(b"}").ok_or_else(|| {
            let name = name.escape_ascii();
            format!("the closing bracket in \"{name}\" variable is missing")
        })?;
    }
    if name.is_empty() { Err("invalid variable name".into()) } else { Ok((name, after)) }
}
