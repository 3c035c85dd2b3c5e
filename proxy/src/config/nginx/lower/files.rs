//! Files: `root` and `alias`, `index`, `types` and what else is said of them.

use std::collections::HashMap;

use super::super::tree::Directive;
use super::super::values;
use super::Lower;
use super::scope::Scope;
use crate::files::{Charset, Content, IfModifiedSince, Rules, Settings, Types};
use crate::limits::RANGES_MAX;
use crate::route::location::Match;
use crate::route::root::{How, Root};
use crate::route::template::Template;

impl<'t> Lower<'t> {
    /// The number of the root that `line` names, a `root` or an `alias` of a location matched by
    /// `matched`; without a line, of the folder `html`.
    pub(super) fn root(&mut self, line: Option<&'t Directive>, matched: &Match) -> usize {
        let how = match (line.is_some_and(|line| line.is("alias")), matched) {
            (false, _) => How::Root,
            (true, Match::Exact(name) | Match::Prefix { name, .. }) => How::Alias(name.len()),
            (true, _) => How::Whole,
        };
        let prefix = self.options.prefix.as_os_str().as_encoded_bytes();
        let prefix = [prefix, if prefix.ends_with(b"/") { b"" } else { b"/" }].concat();
        let mut name = line.map_or(&b"html"[..], |line| line.arg(0));
        if how == How::Root {
            // One slash, that of the URI, stands between them.
            name = name.strip_suffix(b"/").unwrap_or(name);
        }
        let is_whole = line.is_some_and(|line| matches!(line.arg(0), [b'/' | b'$', ..]));
        let whole = if is_whole { name.to_vec() } else { [&*prefix, name].concat() };
        let mut path = Template::text(&whole);
        if let Some(line) = line {
            self.at(line);
            let compiled = Template::compile(&whole, &mut self.registry);
            path = self.check(line, compiled).unwrap_or(path);
        }
        self.registry.root(Root { path, how, prefix: prefix.into() })
    }

    /// What goes for the files of a level.
    pub(super) fn files(&mut self, scope: &Scope<'t>) -> Content {
        let if_modified_since = scope.line("if_modified_since").map(|line| line.text(0));
        let ranges_max = scope.line("max_ranges").and_then(|line| values::number(line.arg(0)));
        let rules = Rules {
            if_modified_since: match if_modified_since.as_deref() {
                Some(word) if word.eq_ignore_ascii_case("off") => IfModifiedSince::Off,
                Some(word) if word.eq_ignore_ascii_case("before") => IfModifiedSince::Before,
                _ => IfModifiedSince::Exact,
            },
            ranges_max: ranges_max
                .map_or(RANGES_MAX, |most| usize::try_from(most).unwrap_or(RANGES_MAX)),
        };
        Content {
            settings: Settings {
                types: self.types(scope),
                charset: self.charset(scope),
                etag: scope.flag("etag", true),
                rules,
            },
            index: self.index(scope),
            logs_not_found: scope.flag("log_not_found", true),
        }
    }

    fn charset(&mut self, scope: &Scope<'t>) -> Option<Charset> {
        let line = scope.line("charset").filter(|line| line.arg(0) != b"off")?;
        if line.arg(0).contains(&b'$') {
            self.problem(line, "variables in \"charset\" are not supported");
            return None;
        }
        let types: Vec<&[u8]> =
            scope.lines(&["charset_types"]).iter().flat_map(|line| line.slices()).collect();
        Some(Charset::new(line.arg(0), (!types.is_empty()).then_some(&types)))
    }

    fn types(&mut self, scope: &Scope<'t>) -> Types {
        let default =
            scope.line("default_type").map_or(&b"text/plain"[..], |line| line.arg(0)).to_vec();
        let blocks = scope.lines(&["types"]);
        let Some(first) = blocks.first() else { return Types::default().with_default(&default) };
        let place = std::ptr::from_ref(*first);
        if let Some((_, known)) = self.types.iter().find(|(block, _)| *block == place) {
            return known.with_default(&default);
        }
        let mut known: HashMap<Vec<u8>, &[u8]> = HashMap::new();
        for line in blocks.iter().flat_map(|block| block.block()) {
            let media = &*line.words()[0].bytes;
            for word in line.args() {
                let name = word.bytes.to_ascii_lowercase();
                if let Some(before) = known.insert(name.clone(), media) {
                    self.note(line, duplicate_type(&name, media, before));
                }
            }
        }
        let types = Types::new(known.iter().map(|(name, media)| (&**name, *media)), &default);
        self.types.push((place, types.clone()));
        types
    }

    fn index(&mut self, scope: &Scope<'t>) -> Box<[Template]> {
        let lines = scope.lines(&["index"]);
        if lines.is_empty() {
            return [Template::text(b"index.html")].into();
        }
        let mut names = Vec::new();
        for line in lines {
            self.at(line);
            let words = line.slices();
            let all_but_last = &words[..words.len().saturating_sub(1)];
            if all_but_last.iter().any(|word| word.starts_with(b"/")) {
                self.note(line, "only the last index in \"index\" directive should be absolute");
            }
            for word in words {
                let compiled = Template::compile(word, &mut self.registry);
                names.extend(self.check(line, compiled));
            }
        }
        names.into()
    }
}

fn duplicate_type(extension: &[u8], media: &[u8], before: &[u8]) -> String {
    format!(
        "duplicate extension \"{}\", content type: \"{}\", previous content type: \"{}\"",
        extension.escape_ascii(),
        media.escape_ascii(),
        before.escape_ascii()
    )
}
