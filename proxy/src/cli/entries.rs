//! Options as the entries of a configuration file, each with the option as its place.

use crate::config::raw::{Entry, Node, Place, Value};

pub(super) fn listeners(flag: &str, key: &str, given: &[String]) -> Option<Entry> {
    match given {
        [] => None,
        [off] if off == "off" => Some(list(flag, key, &[])),
        given => Some(list(flag, key, given)),
    }
}

pub(super) fn one_site(entries: Vec<Entry>) -> Value {
    Value::List(vec![node("sheen proxy", Value::Table(entries))])
}

pub(super) fn list(flag: &str, key: &str, given: &[String]) -> Entry {
    let texts = given.iter().map(|given| node(flag, Value::Text(given.clone())));
    entry(flag, key, Value::List(texts.collect()))
}

pub(super) fn text(flag: &str, key: &str, given: &str) -> Entry {
    entry(flag, key, Value::Text(given.to_owned()))
}

pub(super) fn entry(flag: &str, key: &str, value: Value) -> Entry {
    Entry { name: key.to_owned(), place: place(flag), node: node(flag, value) }
}

pub(super) fn node(flag: &str, value: Value) -> Node {
    Node { place: place(flag), value }
}

pub(super) fn place(flag: &str) -> Place {
    Place { file: flag.into(), line: None }
}
