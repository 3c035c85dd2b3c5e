//! The values of variables and templates for one request.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::builtin::Builtin;
use super::escape;
use super::facts::Facts;
use super::fields::VariableName;
use super::map::Map;
use super::root::How;
use super::state::{Kept, State, VALUE_BYTES_MAX};
use super::template::{Part, Template};
use super::variable::{Prefix, Source, Variable, Variables};
use super::{clock, reading};

/// Everything an evaluation needs: what the configuration knows, what is known of the request, and
/// what the engine has made of it.
#[derive(Debug)]
pub struct Context<'c> {
    pub variables: &'c Variables,
    pub facts: &'c Facts<'c>,
    pub state: &'c mut State,
}

impl<'c> Context<'c> {
    /// Appends the value of a template. Beyond its bound nothing is appended, and the state says
    /// that it overflowed.
    #[inline]
    pub fn append(&mut self, template: &Template, out: &mut Vec<u8>) {
        // Most are of one variable.
        if let [Part::Variable(variable)] = &*template.parts {
            self.variable(*variable, out);
            self.state.overflow |= out.len() > VALUE_BYTES_MAX;
        } else {
            self.append_parts(template, false, out);
        }
    }

    /// As `append`; `escape` has captures of an escaped URI escaped again, for arguments and
    /// redirects.
    pub(super) fn append_parts(&mut self, template: &Template, escape: bool, out: &mut Vec<u8>) {
        for part in &template.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Variable(variable) => {
                    self.variable(*variable, out);
                }
                Part::Capture(number) => {
                    let text = self.state.captures.get(usize::from(*number));
                    let state = &self.state;
                    if escape && (state.quoted_uri || state.plus_in_uri) {
                        escape::append(text, escape::ARGS, out);
                    } else {
                        out.extend_from_slice(text);
                    }
                }
            }
            if out.len() > VALUE_BYTES_MAX {
                self.state.overflow = true;
            }
            if self.state.overflow {
                return;
            }
        }
    }

    /// Whether a list of templates, `if=` of a log say, has an empty value or "0" in it.
    pub fn is_false(&mut self, template: &Template) -> bool {
        let mut value = self.state.lend();
        self.append(template, &mut value);
        let is_false = matches!(&*value, b"" | b"0");
        self.state.take_back(value);
        is_false
    }

    /// Appends the value of a variable; false when it has none, which a log shows as `-`.
    pub fn variable(&mut self, variable: Variable, out: &mut Vec<u8>) -> bool {
        if self.state.budget == 0 {
            self.state.overflow = true;
            return false;
        }
        self.state.budget -= 1;
        let variables = self.variables;
        match variables.source(variable) {
            None => false,
            Some(source @ (Source::Slot(slot) | Source::Captured(slot))) => {
                let slot = &self.state.slots[*slot];
                if slot.kept == Kept::Set {
                    out.extend_from_slice(&slot.value);
                }
                slot.kept == Kept::Set || matches!(source, Source::Slot(_))
            }
            Some(Source::Map { map, slot }) => self.map(&variables.maps[*map], *slot, out),
            Some(Source::Builtin(builtin)) => self.builtin(*builtin, out),
            Some(Source::Prefixed(prefix, name)) => self.prefixed(*prefix, name, out),
        }
    }

    /// Gives a variable its value, as `set` does.
    pub(super) fn set(&mut self, variable: Variable, value: &[u8]) {
        match self.variables.source(variable) {
            Some(Source::Slot(slot) | Source::Captured(slot) | Source::Map { slot, .. }) => {
                let slot = &mut self.state.slots[*slot];
                slot.value.clear();
                slot.value.extend_from_slice(value);
                slot.kept = Kept::Set;
            }
            Some(Source::Builtin(Builtin::Args)) => {
                self.state.args.clear();
                self.state.args.extend_from_slice(value);
                self.state.valid_unparsed_uri = false;
            }
            // $limit_rate is taken and has no effect.
            Some(Source::Builtin(_) | Source::Prefixed(..)) | None => {}
        }
    }

    fn map(&mut self, map: &'c Map, number: usize, out: &mut Vec<u8>) -> bool {
        let slot = &mut self.state.slots[number];
        match slot.kept {
            Kept::Entry(entry) => {
                out.extend_from_slice(map.value(entry).as_text().unwrap_or_default());
                return true;
            }
            Kept::Set => {
                out.extend_from_slice(&slot.value);
                return true;
            }
            // A map that refers to itself has no value.
            Kept::Evaluating => return false,
            Kept::Unset => slot.kept = Kept::Evaluating,
        }
        let entry = self.entry(map);
        let start = out.len();
        let text = entry.and_then(|entry| map.value(entry).as_text());
        match (text, entry) {
            (Some(text), _) => out.extend_from_slice(text),
            (None, Some(entry)) => self.append(map.value(entry), out),
            (None, None) => {}
        }
        let slot = &mut self.state.slots[number];
        // A volatile map may still have been `set`.
        if slot.kept == Kept::Evaluating {
            slot.kept = match entry {
                _ if map.is_volatile => Kept::Unset,
                Some(entry) if text.is_some() => Kept::Entry(entry),
                _ => {
                    slot.value.clear();
                    slot.value.extend_from_slice(&out[start..]);
                    Kept::Set
                }
            };
        }
        true
    }

    /// Which entry of a map the value of its source leads to. Most sources are one variable, whose
    /// value needs no copy.
    fn entry(&mut self, map: &Map) -> Option<usize> {
        let variables = self.variables;
        let source = match &*map.source.parts {
            [Part::Variable(variable)] => variables.source(*variable),
            _ => None,
        };
        let value = match source {
            Some(Source::Builtin(Builtin::Uri)) => {
                return self.state.with_uri(|uri, state| map.find(uri, state, variables));
            }
            Some(Source::Builtin(builtin)) => known(*builtin, self.facts),
            Some(Source::Prefixed(Prefix::Http, name)) => name.only(self.facts.fields),
            _ => None,
        };
        if let Some(value) = value {
            return map.find(value, self.state, variables);
        }
        let mut value = self.state.lend();
        self.append(&map.source, &mut value);
        let entry = map.find(&value, self.state, variables);
        self.state.take_back(value);
        entry
    }

    fn prefixed(&mut self, prefix: Prefix, name: &VariableName, out: &mut Vec<u8>) -> bool {
        let facts = self.facts;
        let (answer, upstream) = (&facts.answer, &facts.upstream);
        match prefix {
            Prefix::Http => name.append_joined(facts.fields, out),
            Prefix::SentHttp => reading::sent(answer, name, out),
            Prefix::SentTrailer => name.append_joined(answer.trailers, out),
            // nginx takes these for empty where an answer has none.
            Prefix::UpstreamHttp if matches!(name.text(), b"server" | b"date") => {
                name.append_joined(upstream.fields, out);
                !upstream.fields.is_empty()
            }
            Prefix::UpstreamHttp => name.append_joined(upstream.fields, out),
            Prefix::UpstreamTrailer => name.append_joined(upstream.trailers, out),
            Prefix::UpstreamCookie => reading::set_cookie(upstream.fields, name.text(), out),
            Prefix::Cookie => reading::cookie(facts.fields, name.text(), out),
            Prefix::Arg => reading::argument(&self.state.args, name.text(), out),
        }
    }

    fn builtin(&mut self, builtin: Builtin, out: &mut Vec<u8>) -> bool {
        let facts = self.facts;
        let text: &[u8] = match builtin {
            Builtin::Uri | Builtin::DocumentUri => &self.state.uri,
            Builtin::Args | Builtin::QueryString => &self.state.args,
            Builtin::IsArgs if self.state.args.is_empty() => b"",
            Builtin::IsArgs => b"?",
            Builtin::RequestMethod if self.state.method_is_get => b"GET",
            Builtin::RequestMethod => facts.method,
            Builtin::DocumentRoot | Builtin::RealpathRoot | Builtin::RequestFilename => {
                return self.file(builtin, out);
            }
            Builtin::TimeLocal => {
                clock::append_local(facts.now(), out);
                return true;
            }
            Builtin::TimeIso8601 => {
                clock::append_iso8601(facts.now(), out);
                return true;
            }
            other => match known(other, facts) {
                Some(text) => text,
                None => return reading::rare(other, facts, self.state.status_override, out),
            },
        };
        out.extend_from_slice(text);
        // These have no value as long as nobody has given them one.
        match builtin {
            // There is none behind a Unix socket.
            Builtin::ProxyPort => !facts.upstream.proxy_host.is_empty(),
            Builtin::ProxyHost
            | Builtin::Args
            | Builtin::QueryString
            | Builtin::Request
            | Builtin::RequestMethod
            | Builtin::RequestUri
            | Builtin::Uri
            | Builtin::DocumentUri
            | Builtin::ServerProtocol => !text.is_empty(),
            _ => true,
        }
    }

    /// Appends the path of the file that the URI is, and says how much of that the configuration
    /// has decided; the rest came from the request and must not lead out. `None`: an `alias` has no
    /// place for a URI that was rewritten, or the values have no room, for 500.
    pub fn append_file(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        let variables = self.variables;
        let root = variables.roots.get(self.state.root)?;
        if root.how != How::Root && !self.state.valid_location {
            return None;
        }
        let start = out.len();
        self.file(Builtin::DocumentRoot, out).then_some(())?;
        let decided = if root.how == How::Whole { 0 } else { out.len() - start };
        root.append_rest(self.state, out);
        Some(decided)
    }

    fn file(&mut self, builtin: Builtin, out: &mut Vec<u8>) -> bool {
        let variables = self.variables;
        let Some(root) = variables.roots.get(self.state.root) else { return false };
        let needs_location = root.how != How::Root && builtin == Builtin::RequestFilename;
        if needs_location && !self.state.valid_location {
            return false;
        }
        // A root that names $document_root names itself.
        if self.state.budget < FILE_COST {
            self.state.overflow = true;
            return false;
        }
        self.state.budget -= FILE_COST;
        let start = out.len();
        root.append(self, out);
        if builtin == Builtin::RequestFilename {
            root.append_rest(self.state, out);
        }
        builtin != Builtin::RealpathRoot || realpath(out, start)
    }
}

/// The value of a variable that is a text of what is known of the request.
fn known<'f>(builtin: Builtin, facts: &'f Facts<'f>) -> Option<&'f [u8]> {
    Some(match builtin {
        Builtin::Host if facts.host.is_empty() => facts.server_name,
        Builtin::Host => facts.host,
        Builtin::Scheme if facts.tls.is_some() => b"https",
        Builtin::Scheme => b"http",
        Builtin::Https if facts.tls.is_some() => b"on",
        Builtin::Https | Builtin::Http2 => b"",
        Builtin::RequestUri => facts.request_uri,
        Builtin::Request => facts.request_line,
        Builtin::ServerProtocol => facts.protocol,
        Builtin::ServerName => facts.server_name,
        Builtin::RemoteAddr => facts.connection.remote_text,
        Builtin::ServerAddr => facts.connection.server_addr,
        Builtin::Hostname => facts.process.hostname,
        Builtin::NginxVersion => facts.process.version,
        Builtin::ProxyHost => facts.upstream.proxy_host,
        Builtin::ProxyPort => facts.upstream.proxy_port,
        Builtin::Pipe if facts.connection.is_pipelined => b"p",
        Builtin::Pipe => b".",
        Builtin::LimitRate => b"0",
        Builtin::RequestCompletion if facts.answer.is_complete => b"OK",
        Builtin::RequestCompletion => b"",
        _ => return None,
    })
}

/// Puts the path without links in the place of that behind `start`; false where there is none.
fn realpath(out: &mut Vec<u8>, start: usize) -> bool {
    let path = std::fs::canonicalize(OsStr::from_bytes(&out[start..]));
    out.truncate(start);
    path.is_ok_and(|path| {
        out.extend_from_slice(path.as_os_str().as_bytes());
        true
    })
}

/// A root within a root within a root ends after a hundred.
const FILE_COST: u32 = 1000;
