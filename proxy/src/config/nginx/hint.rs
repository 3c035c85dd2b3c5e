//! The likely cause of a mistake, and what to do about it.

use super::table::{self, Contexts, EVENTS, HTTP, MAIN, Row, Takes, context_names, expectation};
use super::tree::Directive;
use crate::config::values::nearest;

/// The first word, but for the name, that begins a line and is the name of a directive, and the
/// line before it.
pub(super) fn lost(directive: &Directive) -> Option<(String, usize)> {
    let words = directive.words();
    let at = (1..words.len()).find(|at| {
        words[*at].line > words[*at - 1].line
            && table::named(&words[*at].bytes).any(|row| !row.name.ends_with('*'))
    })?;
    let name = String::from_utf8_lossy(&words[at].bytes).into_owned();
    Some((name, words[at - 1].line))
}

/// What would have been right, where the words do not say it.
pub(super) fn of_value(what: &str, row: &Row) -> Option<String> {
    let plain = matches!(row.takes, Takes::Flag | Takes::Once(_) | Takes::Many(_));
    let tells = plain || what.ends_with("duplicate");
    (!tells && row.opens().is_none()).then(|| format!("it takes {}", expectation(row.takes)))
}

pub(super) fn missing_semicolon(directive: &Directive) -> Option<String> {
    let words = directive.words();
    let line = match lost(directive) {
        Some((_, line)) => line,
        // In a block of data, any word that begins a line may be one too many.
        None if directive.row.is_none() => (1..words.len())
            .find(|at| words[*at].line > words[*at - 1].line)
            .map(|at| words[at - 1].line)?,
        None => return None,
    };
    Some(format!("is a ; missing at the end of line {line}?"))
}

pub(super) fn of_unknown(name: &str, context: Contexts) -> String {
    if name.starts_with('\u{feff}') {
        return "the file begins with a byte order mark: save it without".to_owned();
    }
    if let Some(name) = name.strip_suffix(':') {
        return format!("directives have no colon: write {name} and its value");
    }
    if let Some((name, value)) = name.split_once('=') {
        return format!("directives have no =: write {name} {value};");
    }
    let names = |context: Contexts| {
        let like = |row: &&Row| !row.name.ends_with('*') && row.name.len().abs_diff(name.len()) < 4;
        let here = move |row: &&Row| row.contexts & context != 0;
        table::rows().filter(like).filter(here).map(|row| row.name)
    };
    // `server` is the beginning of many a misspelt name, and seldom what was meant.
    let slip =
        |context: Contexts| nearest(name, names(context).filter(|known| !name.starts_with(known)));
    let near = slip(context).or_else(|| slip(!0)).or_else(|| nearest(name, names(!0)));
    match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "`sheen directives` lists all that are known".to_owned(),
    }
}

pub(super) fn of_place(name: &str, contexts: Contexts, context: Contexts) -> String {
    let places = context_names(contexts);
    match (context, contexts) {
        (MAIN, HTTP) => format!("write it within http {{ ... }}, as in: http {{ {name} ... }}"),
        (MAIN, _) if contexts & EVENTS != 0 => "write it within events { ... }".to_owned(),
        _ => format!("it may stand in {places}"),
    }
}
