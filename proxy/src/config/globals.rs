//! `-g "directives;"` beside a sheen.toml: nginx's words for the process, as keys of the file.

use super::raw::{Checker, Entry, Node, Place, Value};
use super::{Dialect, Problem};

/// Adds what `-g` and `-e` say to the root of a file. What stands in both is refused, as in nginx.
pub(crate) fn add(
    root: &mut Node,
    globals: Option<&str>,
    error_log: Option<&str>,
    checker: &mut Checker,
) {
    for words in globals.map(|text| directives(text, checker)).unwrap_or_default() {
        if let Err(what) = directive(root, &words) {
            refuse(checker, what);
        }
    }
    if let Some(file) = error_log
        && let Some(log) = table(root, "log")
        && find(log, "error").is_none()
    {
        log.push(entry("-e", "error", Value::Text(file.to_owned())));
    }
}

fn directive(root: &mut Node, words: &[String]) -> Result<(), String> {
    let [name, values @ ..] = words else { return Ok(()) };
    let wrong_count = || format!("invalid number of arguments in \"{name}\" directive");
    let text = |value: &String| Value::Text(value.clone());
    match (name.as_str(), values) {
        ("daemon", [value]) => put(root, name, None, "daemon", Value::Truth(switch(name, value)?)),
        // One process with threads is master and workers in one.
        ("master_process", [value]) => switch(name, value).map(|_| ()),
        ("pid", [file]) => put(root, name, None, "pid", text(file)),
        ("user", [user]) => put(root, name, None, "user", text(user)),
        ("user", [user, group]) => {
            put(root, name, None, "user", text(user))?;
            put(root, name, None, "group", text(group))
        }
        ("worker_processes", [number]) => {
            let value = number.parse().map_or(text(number), Value::Number);
            put(root, name, None, "workers", value)
        }
        ("worker_shutdown_timeout", [time]) => {
            let bare = time.bytes().all(|byte| byte.is_ascii_digit());
            let time = if bare { format!("{time}s") } else { time.clone() };
            put(root, name, Some("timeouts"), "drain", Value::Text(time))
        }
        ("error_log", [file]) => put(root, name, Some("log"), "error", text(file)),
        ("error_log", [file, level]) => {
            put(root, name, Some("log"), "error", text(file))?;
            put(root, name, Some("log"), "level", text(level))
        }
        (known, _) if KNOWN.contains(&known) => Err(wrong_count()),
        (unknown, _) => Err(format!("unknown directive \"{unknown}\"")),
    }
}

fn put(
    root: &mut Node,
    directive: &str,
    home: Option<&str>,
    key: &str,
    value: Value,
) -> Result<(), String> {
    let entries = match home {
        Some(home) => table(root, home),
        None => entries(root),
    };
    // A table that is none is refused where it stands.
    let Some(entries) = entries else { return Ok(()) };
    if let Some(written) = find(entries, key) {
        let place =
            written.place.line.map(|line| format!(", it is in {}:{line},", written.place.file));
        return Err(format!("\"{directive}\" directive is duplicate{}", place.unwrap_or_default()));
    }
    entries.push(entry("-g", key, value));
    Ok(())
}

fn switch(directive: &str, value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!(
            "invalid value \"{value}\" in \"{directive}\" directive, it must be \"on\" or \"off\""
        )),
    }
}

/// The table of that name, made where the file has none.
fn table<'a>(root: &'a mut Node, name: &str) -> Option<&'a mut Vec<Entry>> {
    let all = entries(root)?;
    let at = all.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
        all.push(entry("-g", name, Value::Table(Vec::new())));
        all.len() - 1
    });
    entries(&mut all[at].node)
}

fn entries(node: &mut Node) -> Option<&mut Vec<Entry>> {
    match &mut node.value {
        Value::Table(entries) => Some(entries),
        _ => None,
    }
}

fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.name == key)
}

fn entry(flag: &str, name: &str, value: Value) -> Entry {
    let place = Place { file: flag.into(), line: None };
    Entry { name: name.to_owned(), place: place.clone(), node: Node { place, value } }
}

/// nginx's language without blocks: words and quoted texts, each directive up to its `;`.
fn directives(text: &str, checker: &mut Checker) -> Vec<Vec<String>> {
    let mut directives = Vec::new();
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            ';' if words.is_empty() => {
                refuse(checker, "unexpected \";\"".to_owned());
                return Vec::new();
            }
            ';' => {
                directives.push(std::mem::take(&mut words));
                1
            }
            '"' | '\'' => {
                let Some(len) = rest[1..].find(first) else {
                    refuse(checker, format!("unexpected end of parameter, expecting {first}"));
                    return Vec::new();
                };
                words.push(rest[1..=len].to_owned());
                len + 2
            }
            '{' | '}' => {
                refuse(checker, format!("unexpected \"{first}\""));
                return Vec::new();
            }
            _ => {
                let end = |c: char| c.is_whitespace() || c == ';' || c == '{' || c == '}';
                let len = rest.find(end).unwrap_or(rest.len());
                words.push(rest[..len].to_owned());
                len
            }
        };
        rest = rest[len..].trim_start();
    }
    if !words.is_empty() {
        refuse(checker, "unexpected end of parameter, expecting \";\"".to_owned());
    }
    directives
}

fn refuse(checker: &mut Checker, what: String) {
    let (file, line, hint) = (String::new(), None, None);
    let what = format!("{what} in command line");
    checker.problems.push(Problem { file, line, what, hint, dialect: Dialect::Native });
}

const KNOWN: [&str; 7] = [
    "daemon",
    "master_process",
    "pid",
    "user",
    "worker_processes",
    "worker_shutdown_timeout",
    "error_log",
];

#[cfg(test)]
mod tests {
    use super::super::native::check_with_globals;

    fn said(globals: &str) -> Vec<String> {
        let text = "pid = \"a.pid\"\n[[site]]\nto = \":3838\"\n";
        let problems = check_with_globals(text, globals).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn refuses_in_the_words_of_nginx() {
        for (globals, words) in [
            ("pid x;", "\"pid\" directive is duplicate, it is in t:1, in command line"),
            (
                "daemon maybe;",
                "invalid value \"maybe\" in \"daemon\" directive, it must be \"on\" or \"off\" in \
                 command line",
            ),
            ("foo bar;", "unknown directive \"foo\" in command line"),
            ("daemon off", "unexpected end of parameter, expecting \";\" in command line"),
            (
                "daemon on off;",
                "invalid number of arguments in \"daemon\" directive in command line",
            ),
            ("user 'a;", "unexpected end of parameter, expecting ' in command line"),
            ("daemon off; daemon off;", "\"daemon\" directive is duplicate in command line"),
        ] {
            assert_eq!(said(globals), [words], "{globals}");
        }
    }

    #[test]
    fn takes_the_directives_of_the_process() {
        let globals = "daemon on; master_process on; user www-data 'adm'; worker_processes 3;\
                       worker_shutdown_timeout 5; error_log logs/e.log notice;";
        let text = "[[site]]\nto = \":3838\"\n";
        let config = check_with_globals(text, globals).unwrap().config;
        assert!(config.process.daemon);
        let user = config.process.user.unwrap();
        assert_eq!((user.name.as_str(), user.group.as_deref()), ("www-data", Some("adm")));
        assert_eq!(config.workers, 3);
        assert_eq!(config.limits.timeouts.drain, std::time::Duration::from_secs(5));
        assert_eq!(config.log.level, crate::config::Level::Notice);
    }
}
