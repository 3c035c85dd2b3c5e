//! `root` and `alias`: where the files of a location are.

use super::evaluate::Context;
use super::state::State;
use super::template::Template;

/// A folder that URIs are looked up in.
#[derive(Debug, Clone)]
pub struct Root {
    /// Absolute, or relative to `prefix` when its variables make it so.
    pub path: Template,
    pub how: How,
    /// What a relative path is relative to; ends in `/`.
    pub prefix: Box<[u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The URI stands behind the path.
    Root,
    /// The path stands in the place of so many bytes of the URI, the location's name.
    Alias(usize),
    /// `alias` in a regex location: the path is the whole.
    Whole,
}

impl Root {
    /// True when the URI is no part of the path.
    pub(super) fn is_whole(&self) -> bool {
        self.how == How::Whole
    }

    /// Appends the folder itself: `$document_root`.
    pub(super) fn append(&self, context: &mut Context<'_>, out: &mut Vec<u8>) {
        if let Some(path) = self.path.as_text() {
            // Absolute, or the root of all: nothing then.
            return out.extend_from_slice(path);
        }
        let start = out.len();
        context.append(&self.path, out);
        if out.get(start) != Some(&b'/') {
            out.splice(start..start, self.prefix.iter().copied());
        }
    }

    /// Appends what stands behind the folder in the file of the URI: with it, `$request_filename`.
    pub(super) fn append_rest(&self, state: &State, out: &mut Vec<u8>) {
        match self.how {
            How::Root => out.extend_from_slice(&state.uri),
            How::Alias(len) => out.extend_from_slice(state.uri.get(len..).unwrap_or_default()),
            How::Whole if state.uri_behind_alias => out.extend_from_slice(&state.uri),
            How::Whole => {}
        }
    }

    /// Appends the file that `try_files` looks for under `name`, and makes `name` the URI that it
    /// has if it is there.
    pub(super) fn append_try(
        &self,
        context: &mut Context<'_>,
        name: &mut Vec<u8>,
        is_text: bool,
        out: &mut Vec<u8>,
    ) {
        self.append(context, out);
        let How::Alias(len) = self.how else {
            return out.extend_from_slice(name);
        };
        // The location's name is what the alias stands for: a value such as $uri begins with it,
        // fixed text does not.
        let location = context.state.uri.get(..len).unwrap_or_default();
        if !is_text && name.starts_with(location) {
            out.extend_from_slice(&name[len..]);
        } else {
            out.extend_from_slice(name);
            name.splice(..0, location.iter().copied());
        }
    }

    /// Takes the location's name off where the last argument of `try_files`, with variables in it,
    /// says it twice for an alias: `/app//app/index.html?$args`. nginx takes it off as it does with
    /// files, and people have learned to write it so.
    pub(super) fn drop_doubled(&self, uri: &[u8], target: &mut Vec<u8>) {
        let How::Alias(len) = self.how else { return };
        let Some(location) = uri.get(..len) else { return };
        let rest = target.strip_prefix(location);
        // Without a slash it would be no URI, and what nobody can have meant.
        if rest.is_some_and(|rest| rest.starts_with(b"/")) {
            target.drain(..len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::facts::Facts;
    use crate::route::variable::Registry;

    #[test]
    fn a_file_says_how_much_of_it_the_configuration_has_decided() {
        let mut registry = Registry::default();
        let mut root = |path: &str, how| {
            let path = Template::compile(path.as_bytes(), &mut registry).unwrap();
            registry.root(Root { path, how, prefix: b"/etc/x/"[..].into() })
        };
        let (plain, relative) = (root("/srv", How::Root), root("$host", How::Root));
        let (alias, whole) = (root("/img/", How::Alias(4)), root("/data/$uri", How::Whole));
        let variables = registry.finish().unwrap();
        let facts = Facts { host: b"a.test", ..Facts::default() };
        for (root, valid_location, expected) in [
            (plain, true, Some(("/srv/img../x", 4))),
            (plain, false, Some(("/srv/img../x", 4))),
            (relative, true, Some(("/etc/x/a.test/img../x", 13))),
            // What `prepare` of the files then refuses.
            (alias, true, Some(("/img/../x", 5))),
            (whole, true, Some(("/data//img../x", 0))),
            (alias, false, None),
            (whole, false, None),
            (99, true, None),
        ] {
            let mut state = State::default();
            state.begin(&variables);
            state.uri.extend_from_slice(b"/img../x");
            (state.root, state.valid_location) = (root, valid_location);
            let mut context = Context { variables: &variables, facts: &facts, state: &mut state };
            let mut path = Vec::new();
            let decided = context.append_file(&mut path);
            let path = str::from_utf8(&path).unwrap();
            assert_eq!(decided.map(|decided| (path, decided)), expected);
        }
    }
}
