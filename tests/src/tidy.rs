//! Plain-text rules about source files: sizes, first lines, who may import whom. No parser, no
//! dependencies.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines a function may have.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines a file may have, tests within it not counted.
const FILE_LINES_MAX: usize = 500;

/// A source file of the workspace.
#[derive(Debug)]
pub struct Source {
    /// Relative to the workspace, with `/`.
    pub path: String,
    pub text: String,
    /// The text up to its `#[cfg(test)]` module.
    pub code: String,
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every `.rs` file below these folders of the workspace.
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let root = root();
    let mut files = Vec::new();
    folders.iter().for_each(|folder| collect(&root.join(folder), &mut files));
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap().to_owned();
            Source { path, text, code }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("corpus") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Files that are too long.
pub fn long_files(sources: &[Source]) -> Vec<String> {
    let lines = |source: &Source| source.code.lines().count();
    let long = sources.iter().filter(|source| lines(source) > FILE_LINES_MAX);
    long.map(|source| format!("{}: {} lines", source.path, lines(source))).collect()
}

/// Functions that are too long, those of tests included. Relies on rustfmt: a function ends where a
/// brace stands under its first line.
pub fn long_functions(sources: &[Source]) -> Vec<String> {
    let mut long = Vec::new();
    for source in sources {
        let lines: Vec<&str> = source.text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            if !begins_function(line) {
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            let close = format!("{}}}", " ".repeat(indent));
            let body = &lines[start..];
            let len = body.iter().position(|line| *line == close).map_or(1, |end| end + 1);
            let declared = body.iter().take(len).any(|line| line.trim_end().ends_with(';'));
            if len > FUNCTION_LINES_MAX && declared {
                long.push(format!("{}:{}: {len} lines: {}", source.path, start + 1, line.trim()));
            }
        }
    }
    long
}

fn begins_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| {
        matches!(*word, "pub" | "async" | "const" | "unsafe" | "extern" | "\"C\"")
            || word.starts_with("pub(")
    });
    words.next() == Some("fn") && !line.trim_end().ends_with('}')
}

/// Files whose first line does not say their one job.
pub fn without_first_line(sources: &[Source]) -> Vec<String> {
    let silent = |source: &&Source| {
        let first = source.text.lines().next().unwrap_or_default();
        !first.starts_with("//! ") || first.len() < 12
    };
    sources.iter().filter(silent).map(|source| source.path.clone()).collect()
}

/// Lines of code that hold one of `words` as a word of its own, comments and strings left aside.
pub fn naming(sources: &[Source], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for (number, line) in without_text(&source.code).lines().enumerate() {
            for word in words.iter().filter(|word| has_word(line, word)) {
                found.push(format!("{}:{}: {word}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    found
}

/// `code` with its line comments and the insides of its strings left out, lines kept.
fn without_text(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let end = if after.starts_with("//") {
            after.find('\n').unwrap_or(after.len())
        } else if after.starts_with('"') && (before.ends_with("r#") || before.ends_with('r')) {
            let close = if before.ends_with('#') { "\"#" } else { "\"" };
            after[1..].find(close).map_or(after.len(), |len| 1 + len + close.len())
        } else if after.starts_with('"') {
            end_of_string(after)
        } else if let Some(escape) = after.strip_prefix("'\\") {
            escape.find('\'').map_or(after.len(), |len| len + 3)
        } else if after.starts_with("'\"'") {
            3
        } else {
            out.push_str(&after[..1]);
            rest = &after[1..];
            continue;
        };
        out.extend(after[..end].chars().filter(|c| *c == '\n'));
        rest = &after[end..];
    }
    out + rest
}

/// Length of the string literal that `text` begins with.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Lines, comments included, that hold one of `marks`.
pub fn marked(sources: &[Source], marks: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for (number, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    found
}

fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(part)
            && !line[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// Files that no `mod` line of their parent names.
pub fn orphans(sources: &[Source]) -> Vec<String> {
    let declares = |parent: &str, name: &str| {
        sources.iter().any(|source| {
            source.path == parent
                && source.text.lines().any(|line| {
                    let line = line.trim();
                    let rest = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub "));
                    rest.unwrap_or(line).strip_prefix("mod ") == Some(&format!("{name};"))
                })
        })
    };
    let mut orphans = Vec::new();
    for source in sources {
        let Some((folder, name)) = module_of(&source.path) else { continue };
        let parents = [
            format!("{folder}/lib.rs"),
            format!("{folder}/main.rs"),
            format!("{folder}/mod.rs"),
            format!("{folder}.rs"),
        ];
        if !parents.iter().any(|parent| declares(parent, &name)) {
            orphans.push(source.path.clone());
        }
    }
    orphans
}

/// The folder in which a module is declared and its name; `None` for the root of a crate.
pub fn module_of(path: &str) -> Option<(String, String)> {
    let (folder, file) = path.rsplit_once('/')?;
    let name = file.strip_suffix(".rs")?;
    if matches!(name, "lib" | "main" | "build") || folder.ends_with("/bin") {
        return None;
    }
    if name == "mod" {
        let (outer, name) = folder.rsplit_once('/')?;
        return Some((outer.to_owned(), name.to_owned()));
    }
    Some((folder.to_owned(), name.to_owned()))
}

/// The rooms of its own crate that a file of `proxy/src` names (`crate::ROOM`).
pub fn rooms_used(source: &Source) -> Vec<(usize, String)> {
    let mut rooms = Vec::new();
    for (number, line) in source.code.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, found) in code.match_indices("crate::") {
            let rest = &code[at + found.len()..];
            let names = rest.strip_prefix('{').map_or(rest, |list| list);
            for name in names.split(',') {
                let room: String =
                    name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                rooms.push((number + 1, room));
                if !rest.starts_with('{') {
                    break;
                }
            }
        }
    }
    rooms
}
