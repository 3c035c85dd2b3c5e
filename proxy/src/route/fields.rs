//! Header fields with variables in them: `proxy_set_header`, `add_header`, `add_trailer`.

use super::escape;
use super::evaluate::Context;
use super::template::Template;
use super::variable::Registry;
use crate::h1::kept::{self, FieldList};
use crate::h1::name::{Name, NameList};

/// Fields that are written, or taken out, for every request.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    fields: Vec<Field>,
    names: NameList,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Field {
    /// `Name: `.
    beginning: Box<[u8]>,
    /// What the name is to a proxy.
    pub known: Name,
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
        self.names.insert(name);
        let beginning = [name, b": "].concat().into();
        self.fields.push(Field { beginning, known: Name::of(name), value, always });
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// True when a field of that name is set or taken out here.
    pub fn names(&self, known: Name, name: &[u8]) -> bool {
        self.names.has(known, name)
    }

    /// True when an answer of that status gets any.
    pub fn adds_any(&self, status: u16) -> bool {
        self.fields.iter().any(|field| field.always || is_common(status))
    }

    /// True when an answer of that status gets a field of that name.
    pub fn adds(&self, name: Name, status: u16) -> bool {
        let goes = |field: &&Field| field.always || is_common(status);
        self.fields.iter().filter(goes).any(|field| field.known == name)
    }

    /// Appends `Name: value` lines; fields whose value is empty are left out. With a status, only
    /// those that go with it.
    pub fn append(&self, status: Option<u16>, context: &mut Context<'_>, out: &mut Vec<u8>) {
        let common = status.is_none_or(is_common);
        for field in self.fields.iter().filter(|field| common || field.always) {
            field.append(context, out);
        }
    }
}

impl Field {
    #[cfg(test)]
    pub(crate) fn name(&self) -> &[u8] {
        self.beginning.strip_suffix(b": ").unwrap_or_default()
    }

    /// Appends the line; nothing where the value is empty.
    pub fn append(&self, context: &mut Context<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.beginning);
        let value = out.len();
        self.append_value(context, out);
        if out.len() == value {
            out.truncate(start);
        } else {
            out.extend_from_slice(b"\r\n");
        }
    }

    pub fn append_value(&self, context: &mut Context<'_>, out: &mut Vec<u8>) {
        append_value(&self.value, context, out);
    }
}

/// Appends a value that must not end its field. A line end from the request, `%0a` in `$uri` say, is
/// escaped: nginx lets it split the answer.
#[inline]
pub(super) fn append_value(template: &Template, context: &mut Context<'_>, out: &mut Vec<u8>) {
    if let Some(text) = template.as_text() {
        return out.extend_from_slice(text);
    }
    let start = out.len();
    context.append(template, out);
    escape::escape_control(start, out);
}

/// The name of a field as variables have it: `x_forwarded_for`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VariableName {
    /// In lower case, with `_` for `-`.
    text: Box<[u8]>,
    /// The field that is spelled with `-`.
    known: Name,
}

impl VariableName {
    pub(super) fn new(text: &[u8]) -> Self {
        let spelled: Vec<u8> =
            text.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
        Self { text: text.into(), known: Name::of(&spelled) }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Appends the values of every field that the name means.
    pub(super) fn append_joined(&self, list: FieldList<'_>, out: &mut Vec<u8>) -> bool {
        append_joined(self.values(list), Separator::of(&self.text), out)
    }

    /// The value of the field that the name means, empty if there is none; `None` where there are
    /// several, to be joined.
    pub(super) fn only<'h>(&self, list: FieldList<'h>) -> Option<&'h [u8]> {
        let mut values = self.values(list);
        let first = values.next().unwrap_or_default();
        values.next().is_none().then_some(first)
    }

    fn values<'h>(&self, list: FieldList<'h>) -> impl Iterator<Item = &'h [u8]> {
        let means = |field: &kept::Field<'_>| match field.known {
            Name::Other => is_named(field.name, &self.text),
            known => known == self.known,
        };
        list.iter().filter(move |field| means(field)).map(|field| field.value)
    }
}

/// What several fields of one name are joined with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    Comma,
    Semicolon,
}

impl Separator {
    /// For a field, by its name in variables.
    fn of(name: &[u8]) -> Self {
        if name == b"cookie" { Self::Semicolon } else { Self::Comma }
    }
}

/// Appends the values; false where there are none.
pub(super) fn append_joined<'v>(
    values: impl Iterator<Item = &'v [u8]>,
    separator: Separator,
    out: &mut Vec<u8>,
) -> bool {
    let mut found = false;
    for value in values {
        if found {
            let separator: &[u8] = if separator == Separator::Comma { b", " } else { b"; " };
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(value);
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
