//! Header fields with variables in them: `proxy_set_header`, `add_header`, `add_trailer`.

use httparse::Header;

use super::escape;
use super::evaluate::Context;
use super::template::Template;
use super::variable::Registry;

/// Fields that are written, or taken out, for every request.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    fields: Vec<Field>,
}

#[derive(Debug, Clone)]
struct Field {
    name: Box<[u8]>,
    value: Template,
    /// With any status, not only those below.
    always: bool,
}

impl Fields {
    /// `proxy_set_header name value`: an empty value is kept as a mark that the client's field of
    /// that name goes.
    pub fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        registry: &mut Registry,
    ) -> Result<(), String> {
        self.push(name, value, true, registry)
    }

    /// `add_header name value [always]`, `add_trailer` likewise.
    pub fn add(&mut self, arguments: &[&[u8]], registry: &mut Registry) -> Result<(), String> {
        match arguments {
            [name, value] => self.push(name, value, false, registry),
            [name, value, b"always"] => self.push(name, value, true, registry),
            [_, _, other, ..] => Err(format!("invalid parameter \"{}\"", other.escape_ascii())),
            _ => Err("invalid number of arguments".into()),
        }
    }

    fn push(
        &mut self,
        name: &[u8],
        value: &[u8],
        always: bool,
        registry: &mut Registry,
    ) -> Result<(), String> {
        let value = Template::compile(value, registry)?;
        self.fields.push(Field { name: name.into(), value, always });
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// True when a field of that name is set or taken out here.
    pub fn names(&self, name: &[u8]) -> bool {
        self.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// True when an answer of that status gets any.
    pub fn adds_any(&self, status: u16) -> bool {
        self.fields.iter().any(|field| field.always || is_common(status))
    }

    /// True when an answer of that status gets a field of that name.
    pub fn adds(&self, name: &[u8], status: u16) -> bool {
        let goes = |field: &&Field| field.always || is_common(status);
        self.fields.iter().filter(goes).any(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// Appends `Name: value` lines; fields whose value is empty are left out. With a status, only
    /// those that go with it.
    pub fn append(&self, status: Option<u16>, context: &mut Context<'_>, out: &mut Vec<u8>) {
        let common = status.is_none_or(is_common);
        for field in self.fields.iter().filter(|field| common || field.always) {
            let start = out.len();
            out.extend_from_slice(&field.name);
            out.extend_from_slice(b": ");
            let value = out.len();
            append_value(&field.value, context, out);
            if out.len() == value {
                out.truncate(start);
            } else {
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Each field with its value, the empty ones too.
    pub fn each(&self, context: &mut Context<'_>, mut take: impl FnMut(&[u8], &[u8])) {
        for field in &self.fields {
            let mut value = context.state.lend();
            append_value(&field.value, context, &mut value);
            take(&field.name, &value);
            context.state.take_back(value);
        }
    }
}

/// The value of a field. A line end from the request, `%0a` in `$uri` say, is escaped: nginx lets
/// it split the answer.
fn append_value(template: &Template, context: &mut Context<'_>, out: &mut Vec<u8>) {
    if let Some(text) = template.as_text() {
        return out.extend_from_slice(text);
    }
    let mut value = context.state.lend();
    context.append(template, &mut value);
    escape::append_mostly_plain(&value, escape::CONTROL, out);
    context.state.take_back(value);
}

/// What several fields of one name are joined with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    Comma,
    Semicolon,
}

impl Separator {
    /// For a request field, by its name in variables.
    pub(super) fn of(name: &[u8]) -> Self {
        if name == b"cookie" { Self::Semicolon } else { Self::Comma }
    }
}

/// Appends the values of every field that a variable's name (`x_forwarded_for`) means.
pub(super) fn append_joined(
    list: &[Header<'_>],
    name: &[u8],
    separator: Separator,
    out: &mut Vec<u8>,
) -> bool {
    let mut found = false;
    for field in list.iter().filter(|field| is_named(field.name.as_bytes(), name)) {
        if found {
            let separator: &[u8] = if separator == Separator::Comma { b", " } else { b"; " };
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(field.value);
        found = true;
    }
    found
}

/// Whether `field` is what a variable calls `name`: in lower case, with `_` for `-`.
fn is_named(field: &[u8], name: &[u8]) -> bool {
    field.len() == name.len()
        && field.iter().zip(name).all(|(byte, wanted)| match byte {
            b'-' => *wanted == b'_',
            byte => byte.to_ascii_lowercase() == *wanted,
        })
}

/// True for the statuses that `add_header` without `always`, and `expires`, go with.
pub(super) fn is_common(status: u16) -> bool {
    COMMON_STATUSES.contains(&status)
}

/// The statuses that `add_header` without `always` goes with.
const COMMON_STATUSES: &[u16] = &[200, 201, 204, 206, 301, 302, 303, 304, 307, 308];
