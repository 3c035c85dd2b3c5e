//! sheen.toml: from a file to the checked configuration.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Error};

use super::address::resolve_by_system;
use super::check::check;
use super::load;
use super::raw::{Checker, Entry, Node, Place, Resolve, Value};
use super::{Config, Dialect, Problem, globals};

/// A configuration that is right, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub config: Config,
    /// Legal, but likely to hurt.
    pub warnings: Vec<Problem>,
}

/// Checks the bytes of a file; everything that is wrong is reported at once.
pub(super) fn load(bytes: Vec<u8>, source: &load::Source) -> Result<Loaded, Vec<Problem>> {
    let file = source.file.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = Lines::of(error.as_bytes()).number(error.utf8_error().valid_up_to());
        let (what, hint) = ("is not UTF-8 text".to_owned(), Some("save it as UTF-8".to_owned()));
        let (file, line, dialect) = (file.clone(), Some(line), Dialect::Native);
        vec![Problem { file, line, what, hint, dialect }]
    })?;
    let folder = source.file.parent().unwrap_or(Path::new(""));
    let mut checker = Checker::new(folder, resolve_by_system);
    if let Some(prefix) = &source.prefix {
        checker.prefix.clone_from(prefix);
    }
    let beside = (source.globals.as_deref(), source.error_log.as_deref());
    check_all(&text, &file, beside, checker)
}

/// Checks a text that came from `file`, to whose folder relative paths are relative.
pub fn parse(text: &str, file: &str) -> Result<Loaded, Vec<Problem>> {
    check_text(text, file, Path::new(file).parent().unwrap_or(Path::new("")), resolve_by_system)
}

#[cfg(test)]
pub(super) fn check_with_globals(text: &str, globals: &str) -> Result<Loaded, Vec<Problem>> {
    let checker = Checker::new(Path::new("/etc/sheen"), resolve_by_system);
    check_all(text, "t", (Some(globals), None), checker)
}

/// For the fuzzer: the whole way of a text, without asking the network for names.
#[doc(hidden)]
pub fn fuzz_parse(text: &str) {
    let nobody = |_: &str, port: u16| Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))]);
    let result = check_text(text, "fuzz.toml", Path::new("/nonexistent"), nobody);
    if let Err(problems) = result {
        assert!(!problems.is_empty(), "a refusal says why");
    }
}

pub(super) fn check_text(
    text: &str,
    file: &str,
    base: &Path,
    resolve: Resolve,
) -> Result<Loaded, Vec<Problem>> {
    check_all(text, file, (None, None), Checker::new(base, resolve))
}

/// `beside`: what `-g` and `-e` say.
fn check_all(
    text: &str,
    file: &str,
    beside: (Option<&str>, Option<&str>),
    mut checker: Checker,
) -> Result<Loaded, Vec<Problem>> {
    let source = Source { file: file.into(), lines: Lines::of(text.as_bytes()) };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(source.syntax_problems(text, errors));
    }
    let value = source.table(table.get_ref());
    // Not the span of the table: what is missing from a file has no line.
    let mut root = Node { place: Place { file: source.file.clone(), line: None }, value };
    globals::add(&mut root, beside.0, beside.1, &mut checker);
    check(&root, checker)
}

/// The file that spans point into.
struct Source {
    file: Rc<str>,
    lines: Lines,
}

impl Source {
    fn place(&self, span: &Range<usize>) -> Place {
        Place { file: self.file.clone(), line: Some(self.lines.number(span.start)) }
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let place = self.place(&value.span());
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(number) => Value::Number(number),
                    Err(_) => {
                        Value::Foreign(format!("the number {integer}, too large for any key"))
                    }
                }
            }
            DeValue::Float(float) => Value::Foreign(format!("the fraction {float}")),
            DeValue::Boolean(truth) => Value::Truth(*truth),
            DeValue::Datetime(date) => Value::Foreign(format!("the date {date}")),
            DeValue::Array(values) => {
                Value::List(values.iter().map(|value| self.node(value)).collect())
            }
            DeValue::Table(table) => self.table(table),
        };
        Node { place, value }
    }

    fn table(&self, table: &DeTable<'_>) -> Value {
        let entry = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| Entry {
            name: name.get_ref().to_string(),
            place: self.place(&name.span()),
            node: self.node(value),
        };
        Value::Table(table.iter().map(entry).collect())
    }

    /// The first problem of each line, up to the first after which all that follows is echo.
    fn syntax_problems(&self, text: &str, mut errors: Vec<Error>) -> Vec<Problem> {
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let mut problems: Vec<Problem> = Vec::new();
        for error in errors {
            let line = error.span().map(|span| self.lines.number(span.start));
            if problems.last().is_some_and(|last| last.line == line) {
                continue;
            }
            let written = line.and_then(|line| self.lines.text(text, line)).unwrap_or_default();
            let hint = syntax_hint(written, error.message());
            problems.push(Problem {
                file: self.file.to_string(),
                line,
                what: format!("syntax error: {}", error.message().replace('\n', ", ")),
                hint: hint.map(str::to_owned),
                dialect: Dialect::Native,
            });
            if hint == Some(NGINX_HINT) || hint == Some(OPEN_LIST_HINT) {
                break;
            }
        }
        problems
    }
}

/// The likely cause of a syntax error on this line.
fn syntax_hint(line: &str, message: &str) -> Option<&'static str> {
    let line = line.split('#').next().unwrap_or(line).trim();
    if line.ends_with(';') || line.ends_with('{') && !line.contains('=') {
        return Some(NGINX_HINT);
    }
    if line.ends_with('=') {
        return Some("the value is missing");
    }
    if message.contains("must be quoted") {
        return Some("write texts, durations and sizes in quotes: key = \"30s\"");
    }
    if message.contains("missing comma between array elements") {
        return Some(OPEN_LIST_HINT);
    }
    None
}

const OPEN_LIST_HINT: &str = "perhaps the list before it lacks its `]`";
const NGINX_HINT: &str = "this looks like nginx.conf; sheen.toml is TOML: key = \"value\"";

/// Where each line of a text begins.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &[u8]) -> Self {
        let after_newline =
            text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(after_newline).collect() }
    }

    /// The 1-based number of the line that holds the byte.
    fn number(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    fn text<'a>(&self, text: &'a str, number: usize) -> Option<&'a str> {
        let start = *self.starts.get(number.checked_sub(1)?)?;
        text.get(start..)?.lines().next()
    }
}
