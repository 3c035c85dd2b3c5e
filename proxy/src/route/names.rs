//! Which server answers for a name, of Host or of the handshake.

use super::regexes::Regexes;
use super::state::State;
use super::variable::{Registry, Variables};
use crate::lookup::Lookup;

/// The names of the servers that listen on one address.
#[derive(Debug, Default)]
pub struct Names {
    exact: Lookup<Box<[u8]>, usize>,
    wildcards: Wildcards,
    regexes: Regexes<usize>,
    default: usize,
}

/// What adding a name comes to, if not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Yes,
    /// Another server has it: `conflicting server name "%V" on %V, ignored`, a warning.
    Conflict,
}

impl Names {
    /// `default` is the server of unknown names.
    pub fn new(default: usize) -> Self {
        Self { default, ..Self::default() }
    }

    /// One argument of `server_name`.
    pub fn add(
        &mut self,
        name: &[u8],
        server: usize,
        registry: &mut Registry,
    ) -> Result<Added, String> {
        if let Some(pattern) = name.strip_prefix(b"~") {
            if pattern.is_empty() {
                return Err(format!("empty regex in server name \"{}\"", name.escape_ascii()));
            }
            // Names come in lower case; an upper-case letter of the pattern would never match.
            let caseless = pattern.iter().any(u8::is_ascii_uppercase);
            self.regexes.push(registry.regex(pattern, caseless)?, server);
            return Ok(Added::Yes);
        }
        let invalid = || {
            let name = name.escape_ascii();
            format!("invalid server name or wildcard \"{name}\"")
        };
        let added = self.wildcards.insert(&mut self.exact, name, server).ok_or_else(invalid)?;
        Ok(if added { Added::Yes } else { Added::Conflict })
    }

    /// The server of unknown names.
    pub fn default_server(&self) -> usize {
        self.default
    }

    /// The server of a name in lower case, as [`Host`] has it; captures of an expression are set.
    pub fn find(&self, name: &[u8], state: &mut State, variables: &Variables) -> usize {
        if name.is_empty() {
            return self.exact.get(&b""[..]).copied().unwrap_or(self.default);
        }
        let exact = self.exact.get(name).copied();
        let found = exact.or_else(|| self.wildcards.find(name));
        let found = found.or_else(|| self.regexes.find(name, state, variables).copied());
        found.unwrap_or(self.default)
    }
}

/// `*.example.com` and `www.example.*`; the longest wins, and those with the star in front win over
/// the others.
#[derive(Debug, Default)]
pub(super) struct Wildcards {
    /// `example.com` for `*.example.com`.
    heads: Lookup<Box<[u8]>, usize>,
    /// `www.example` for `www.example.*`.
    tails: Lookup<Box<[u8]>, usize>,
}

impl Wildcards {
    /// Adds a name of any kind; `.example.com` is two. `None` for what is not one, `Some(false)`
    /// for one that is there already.
    pub(super) fn insert(
        &mut self,
        exact: &mut Lookup<Box<[u8]>, usize>,
        name: &[u8],
        number: usize,
    ) -> Option<bool> {
        let name = name.to_ascii_lowercase();
        let stars = name.iter().filter(|b| **b == b'*').count();
        let double_dot = name.windows(2).any(|pair| pair == b"..");
        if stars > 1 || double_dot || name.contains(&0) {
            return None;
        }
        let put = |map: &mut Lookup<Box<[u8]>, usize>, key: &[u8]| {
            let is_new = !map.contains_key(key);
            map.entry(key.into()).or_insert(number);
            is_new
        };
        Some(if let Some(suffix) = name.strip_prefix(b"*.") {
            put(&mut self.heads, suffix)
        } else if let Some(prefix) = name.strip_suffix(b".*") {
            put(&mut self.tails, prefix)
        } else if stars > 0 {
            return None;
        } else if name.len() > 1 && name[0] == b'.' {
            let (exact, head) = (put(exact, &name[1..]), put(&mut self.heads, &name[1..]));
            exact && head
        } else {
            put(exact, &name)
        })
    }

    /// What a name in lower case leads to.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let dots = || memchr::memchr_iter(b'.', name);
        if !self.heads.is_empty() {
            // As in nginx, ".example.com" is one of "*.example.com".
            let heads = dots().map(|dot| &name[dot + 1..]);
            if let Some(found) = heads.filter_map(|suffix| self.heads.get(suffix)).next() {
                return Some(*found);
            }
        }
        if self.tails.is_empty() {
            return None;
        }
        let tails = memchr::memrchr_iter(b'.', name).map(|dot| &name[..dot]);
        tails.filter_map(|prefix| self.tails.get(prefix)).next().copied()
    }
}

/// A valid name of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host<'a> {
    /// Without the port and a final dot, in the case it came in.
    pub name: &'a [u8],
}

impl<'a> Host<'a> {
    /// The name in a Host field or an authority; `None` for what nginx answers with 400.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut end = None;
        let mut dot = None;
        let mut literal = false;
        for (at, byte) in value.iter().enumerate() {
            match byte {
                b'.' if dot.is_some_and(|dot| dot + 1 == at) => return None,
                b'.' => dot = Some(at),
                b':' if end.is_none() && !literal => end = Some(at),
                b'[' if at == 0 => literal = true,
                b']' if literal => {
                    end.get_or_insert(at + 1);
                    literal = false;
                }
                b'/' | 0..=b' ' | 127 => return None,
                _ => {}
            }
        }
        let name = &value[..end.unwrap_or(value.len())];
        let name = name.strip_suffix(b".").unwrap_or(name);
        if name.is_empty() { None } else { Some(Self { name }) }
    }

    /// Appends the name in lower case.
    pub fn append_lowercase(&self, out: &mut Vec<u8>) {
        out.extend(self.name.iter().map(u8::to_ascii_lowercase));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_checked() {
        for (value, name) in [
            ("example.com", Some("example.com")),
            ("Example.com:8080", Some("Example.com")),
            ("example.com.", Some("example.com")),
            ("example.com.:80", Some("example.com")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("a_b~!", Some("a_b~!")),
            ("a:b:c", Some("a")),
            ("", None),
            (".", None),
            (":80", None),
            ("a..b", None),
            ("a/b", None),
            ("a b", None),
            ("a\u{7f}", None),
        ] {
            let parsed = Host::parse(value.as_bytes()).map(|host| host.name);
            assert_eq!(parsed, name.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn servers_are_chosen_as_nginx_does() {
        let mut registry = Registry::default();
        let mut names = Names::new(0);
        let table: [(&str, usize); 9] = [
            ("a.example", 1),
            ("*.example", 2),
            ("*.b.example", 3),
            ("www.*", 4),
            ("www.deep.*", 5),
            (".dot.test", 6),
            ("", 7),
            ("~^(?<user>[a-z]+)\\.users\\.test$", 8),
            ("~users", 9),
        ];
        for (name, server) in table {
            assert_eq!(names.add(name.as_bytes(), server, &mut registry), Ok(Added::Yes));
        }
        assert_eq!(names.add(b"A.example", 9, &mut registry), Ok(Added::Conflict));
        for name in ["a.*.b", "*a.b", "a.b*", "*.a.*", "a..b", "~(?=x)"] {
            assert!(names.add(name.as_bytes(), 1, &mut registry).is_err(), "{name}");
        }
        let variables = registry.finish().unwrap();
        let mut state = State::default();
        state.begin(&variables);
        for (host, server) in [
            ("a.example", 1),
            ("x.example", 2),
            ("x.y.example", 2),
            ("example", 0),
            ("x.b.example", 3),
            ("b.example", 2),
            ("www.test", 4),
            ("www.deep.test", 5),
            ("www.deep.er.test", 5),
            ("www.example", 2),
            ("dot.test", 6),
            ("x.dot.test", 6),
            ("joe.users.test", 8),
            ("joe1.users.test", 9),
            ("", 7),
            ("other", 0),
        ] {
            assert_eq!(names.find(host.as_bytes(), &mut state, &variables), server, "{host}");
        }
    }
}
