//! Tier one of the configuration: values that know their place, whatever dialect they came from,
//! and the list of what was found wrong with them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Dialect, Problem};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, or the option on the command line (`--hsts`).
    pub file: Rc<str>,
    /// 1-based; `None` on a command line and for what is not written at all.
    pub line: Option<usize>,
}

/// One value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// A kind that no key takes (float, date), described for a message.
    Foreign(String),
}

/// One `name = value` of a table.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

/// As it follows "not" in a message: `not the number 5`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "the text {text:?}"),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::List(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a table"),
            Self::Foreign(described) => f.write_str(described),
        }
    }
}

/// One value under its key, as a reader of values gets it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) key: &'static str,
    /// What the value must be, as it follows "must be".
    pub(crate) expects: &'static str,
    pub(crate) node: &'a Node,
}

impl<'a> Field<'a> {
    /// The same key for an element that is a table.
    pub(crate) fn with_node(self, node: &'a Node) -> Self {
        Self { key: self.key, expects: self.expects, node }
    }

    /// The same key for an element that is a text.
    pub(crate) fn with_text(self, node: &'a Node) -> Self {
        Self { key: self.key, expects: "a list of texts in quotes", node }
    }
}

/// Why a value cannot be taken; its place is known to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) what: String,
    pub(crate) hint: String,
}

impl Complaint {
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// Turns a host name and a port into addresses.
pub(crate) type Resolve = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// Collects everything that is wrong instead of stopping at the first.
#[derive(Debug)]
pub(crate) struct Checker {
    /// Relative paths are relative to this folder, which is absolute.
    pub(crate) base: PathBuf,
    /// Logs and the pid file are relative to this one, which is absolute.
    pub(crate) prefix: PathBuf,
    pub(crate) resolve: Resolve,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

impl Checker {
    pub(crate) fn new(base: &Path, resolve: Resolve) -> Self {
        let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
        let base = std::path::absolute(base).unwrap_or_else(|_| PathBuf::from("."));
        Self { prefix: base.clone(), base, resolve, problems: Vec::new(), warnings: Vec::new() }
    }

    pub(crate) fn refuse(
        &mut self,
        place: &Place,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.problems.push(problem(place, what.into(), Some(hint.into())));
    }

    /// For problems whose words already say what to do.
    pub(crate) fn refuse_plainly(&mut self, place: &Place, what: impl Into<String>) {
        self.problems.push(problem(place, what.into(), None));
    }

    pub(crate) fn warn(&mut self, place: &Place, what: impl Into<String>, hint: impl Into<String>) {
        self.warnings.push(problem(place, what.into(), Some(hint.into())));
    }

    pub(crate) fn wrong_kind(&mut self, field: &Field<'_>, hint: impl Into<String>) {
        let what = format!("`{}` must be {}, not {}", field.key, field.expects, field.node.value);
        let hint = hint.into();
        let hint = if hint.is_empty() { None } else { Some(hint) };
        self.problems.push(problem(&field.node.place, what, hint));
    }

    /// Keeps the value or reports the complaint.
    pub(crate) fn take<T>(&mut self, place: &Place, result: Result<T, Complaint>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.refuse(place, complaint.what, complaint.hint);
                None
            }
        }
    }
}

fn problem(place: &Place, what: String, hint: Option<String>) -> Problem {
    Problem { file: place.file.to_string(), line: place.line, what, hint, dialect: Dialect::Native }
}
