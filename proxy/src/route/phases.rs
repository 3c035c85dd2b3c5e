//! A request's way through the phases: server rewrite, location, location rewrite, try_files; and
//! internal redirects, error pages among them, until it is clear what is to be served.

use std::sync::Arc;

use super::access::Access;
use super::error_page::{ErrorPages, Override};
use super::escape;
use super::evaluate::Context;
use super::location::{Locations, Place, SERVER};
use super::root::Root;
use super::script::Script;
use super::template::Template;
use super::try_files::{Fallback, TryFiles};
use super::uri;

/// A server as the engine knows it.
#[derive(Debug)]
pub struct Server {
    pub locations: Locations,
    /// One for each location, in the order of their numbers; the first is the server level's.
    pub settings: Box<[Settings]>,
}

/// What a location, or the server level, has in force: inherited values are filled in.
#[derive(Debug, Default)]
pub struct Settings {
    /// Not inherited. That of a nameless location is empty: its directives are in the script
    /// around it.
    pub script: Script,
    /// See [`super::variable::Registry::root`].
    pub root: usize,
    pub internal: bool,
    pub limit_except: Option<LimitExcept>,
    /// It has a `set_real_ip_from` of its own, or what goes with it.
    pub names_client: bool,
    /// `allow` and `deny`, shared by all that inherit them.
    pub access: Option<Arc<Access>>,
    /// Not inherited by nameless locations.
    pub try_files: Option<TryFiles>,
    pub error_pages: ErrorPages,
    pub recursive_error_pages: bool,
}

/// `limit_except METHOD... { ... }`.
#[derive(Debug)]
pub struct LimitExcept {
    methods: Vec<Box<[u8]>>,
    /// The nameless location of the block, in force for all other methods.
    location: usize,
}

impl LimitExcept {
    pub fn parse(methods: &[&[u8]], location: usize) -> Result<Self, String> {
        let mut known = Vec::new();
        for method in methods {
            let upper = method.to_ascii_uppercase();
            if !METHODS.contains(&&*upper) {
                return Err(format!("invalid method \"{}\"", method.escape_ascii()));
            }
            if upper == b"GET" {
                known.push(b"HEAD"[..].into());
            }
            known.push(upper.into());
        }
        Ok(Self { methods: known, location })
    }
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Nothing,
    File {
        is_executable: bool,
    },
    Directory {
        is_executable: bool,
    },
    /// A device, a socket.
    Other,
}

/// What is to be done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Serve the content of this location (its number, or [`SERVER`]) for the state's `uri` and
    /// `args`, with the state's `status_override` if it has one.
    Content(usize),
    /// This location says who the client is: [`Run::resume`], once that has been asked.
    Client(usize),
    /// An answer with the state's `output` as its body.
    Text { status: u16, location: usize },
    /// A redirect to the state's `output`; one that begins with `/` is relative to the server.
    Redirect { status: u16, location: usize },
    /// An answer of our own making.
    Status { status: u16, location: usize },
    /// Close the connection without an answer: `return 444`, and 408 and 499 likewise. The status
    /// is for the log.
    Close { status: u16, location: usize },
}

/// One request on its way.
pub struct Run<'r, 'c> {
    pub server: &'r Server,
    pub context: Context<'c>,
    /// Looks at a path of the file system.
    pub probe: &'r mut dyn FnMut(&[u8]) -> Probe,
    /// Set when the rules of a location keep a client out, until somebody has told the log.
    pub is_forbidden: bool,
    /// Who the client is has been told, by whatever stands in front of us.
    pub knows_client: bool,
    /// Whose settings are in force.
    pub(super) location: usize,
}

/// Where the request is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    ServerRewrite,
    FindLocation,
    LocationRewrite,
    /// Who the client is, and whether it may come in.
    Client,
    Content,
    Done(Decision),
}

impl std::fmt::Debug for Run<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("location", &self.location).finish_non_exhaustive()
    }
}

impl<'r, 'c> Run<'r, 'c> {
    /// A request whose URI is in the state; see [`Run::begin`].
    pub fn new(
        server: &'r Server,
        context: Context<'c>,
        probe: &'r mut dyn FnMut(&[u8]) -> Probe,
    ) -> Self {
        let (is_forbidden, knows_client) = (false, false);
        Self { server, context, probe, is_forbidden, knows_client, location: SERVER }
    }

    /// Takes a new request, `Facts::request_uri`, to a decision. Errors: the URI is malformed, for
    /// 400.
    pub fn begin(&mut self, merge_slashes: bool) -> Result<Decision, uri::Malformed> {
        let state = &mut *self.context.state;
        let request_uri = self.context.facts.request_uri;
        let normal = uri::normalise(request_uri, merge_slashes, &mut state.uri)?;
        state.args.extend_from_slice(&request_uri[normal.args]);
        state.quoted_uri = normal.is_quoted;
        state.plus_in_uri = normal.has_plus;
        // A target with an empty path, `http://host?x`, has to be written anew.
        state.valid_unparsed_uri = request_uri.starts_with(b"/");
        Ok(self.advance(Phase::ServerRewrite))
    }

    /// An error in the content of `location`, of an upstream say: its error page, or `Status`.
    pub fn fail(&mut self, status: u16, location: usize) -> Decision {
        self.location = location;
        let phase = self.error(status);
        self.advance(phase)
    }

    /// An internal redirect: an index file, X-Accel-Redirect. `uri` is decoded; `@name` is a named
    /// location.
    pub fn redirect(&mut self, uri: &[u8], args: &[u8]) -> Decision {
        let phase = self.redirect_internally(uri, args);
        self.advance(phase)
    }

    /// Goes on in a location that has said who the client is.
    pub fn resume(&mut self, location: usize) -> Decision {
        self.location = location;
        let phase = self.access();
        self.advance(phase)
    }

    /// A redirect of the client, 301, by the content of `location`: a directory without its slash.
    /// `to` is escaped.
    pub fn redirect_client(&mut self, location: usize, to: &[u8]) -> Decision {
        self.location = location;
        let output = &mut self.context.state.output;
        output.clear();
        output.extend_from_slice(to);
        let phase = self.answer_redirect(301);
        self.advance(phase)
    }

    /// X-Accel-Redirect, from the app of `location`.
    pub fn accelerate(&mut self, target: &[u8], location: usize) -> Decision {
        self.location = location;
        let phase = if target.starts_with(b"@") {
            self.redirect_internally(target, b"")
        } else if let Some((uri, args)) = uri::parse_unsafe(target) {
            self.context.state.method_is_get = self.context.facts.method != b"HEAD";
            self.redirect_internally(&uri, args)
        } else {
            self.error(404)
        };
        self.advance(phase)
    }

    fn advance(&mut self, mut phase: Phase) -> Decision {
        loop {
            phase = match phase {
                Phase::ServerRewrite => {
                    self.enter(SERVER);
                    self.run_script().unwrap_or(Phase::FindLocation)
                }
                Phase::FindLocation => self.find_location(),
                Phase::LocationRewrite => self.rewrite_location(),
                Phase::Client => {
                    if self.server.settings[self.location].names_client && !self.knows_client {
                        return Decision::Client(self.location);
                    }
                    self.access()
                }
                Phase::Content => self.content(),
                Phase::Done(decision) => return decision,
            };
            if self.context.state.overflow && !matches!(phase, Phase::Done(_)) {
                // Error pages are made of the values that have no room.
                return Decision::Status { status: 500, location: self.location };
            }
        }
    }

    /// Puts the settings of a location in force.
    pub(super) fn enter(&mut self, location: usize) {
        let server = self.server;
        self.location = location;
        if let Some(limit) = &server.settings[location].limit_except {
            let state = &self.context.state;
            let method = if state.method_is_get { b"GET" } else { self.context.facts.method };
            if !limit.methods.iter().any(|allowed| **allowed == *method) {
                self.location = limit.location;
            }
        }
        self.context.state.root = server.settings[self.location].root;
    }

    fn find_location(&mut self) -> Phase {
        let server = self.server;
        let state = &mut *self.context.state;
        state.uri_changed = false;
        let place = server.locations.find(state, self.context.variables);
        let (Place::Location(location) | Place::MissingSlash(location)) = place;
        self.enter(location);
        if server.settings[location].internal && !self.context.state.internal {
            return self.error(404);
        }
        match place {
            Place::Location(_) => Phase::LocationRewrite,
            Place::MissingSlash(location) => {
                let state = &mut *self.context.state;
                state.output.clear();
                let name = server.locations.name(location);
                escape::append_mostly_plain(name, escape::URI, &mut state.output);
                if !state.args.is_empty() {
                    state.output.push(b'?');
                    state.output.extend_from_slice(&state.args);
                }
                self.answer_redirect(301)
            }
        }
    }

    fn rewrite_location(&mut self) -> Phase {
        if self.location != SERVER
            && let Some(end) = self.run_script()
        {
            return end;
        }
        if !self.context.state.uri_changed {
            return Phase::Client;
        }
        if !self.spend_change() {
            return self.error(500);
        }
        self.enter(SERVER);
        Phase::FindLocation
    }

    /// Takes one of the changes of the URI that a request has; false when none is left.
    fn spend_change(&mut self) -> bool {
        let changes = &mut self.context.state.uri_changes;
        *changes = changes.saturating_sub(1);
        *changes > 0
    }

    fn access(&mut self) -> Phase {
        let server = self.server;
        let Some(access) = &server.settings[self.location].access else { return Phase::Content };
        if access.admits(self.context.facts.connection.remote_addr) {
            return Phase::Content;
        }
        self.is_forbidden = true;
        self.error(403)
    }

    fn content(&mut self) -> Phase {
        let server = self.server;
        let Some(try_files) = &server.settings[self.location].try_files else {
            return Phase::Done(Decision::Content(self.location));
        };
        for candidate in &try_files.files {
            if self.try_file(&candidate.name, candidate.is_directory) {
                return Phase::Done(Decision::Content(self.location));
            }
        }
        match &try_files.fallback {
            Fallback::Status(status) => self.error(*status),
            Fallback::Uri(template) => self.redirect_to_template(template),
        }
    }

    /// Whether the file is there; the URI is then the name it was found by.
    fn try_file(&mut self, name: &Template, is_directory: bool) -> bool {
        let context = &mut self.context;
        let mut uri = context.state.lend();
        context.append(name, &mut uri);
        let mut path = context.state.lend();
        let variables = context.variables;
        if let Some(root) = variables.roots.get(context.state.root) {
            root.append_try(context, &mut uri, name.as_text().is_some(), &mut path);
        }
        let found = match (self.probe)(&path) {
            Probe::Nothing => false,
            Probe::Directory { .. } => is_directory,
            Probe::File { .. } | Probe::Other => !is_directory,
        };
        let is_whole = variables.roots.get(self.context.state.root).is_some_and(Root::is_whole);
        let state = &mut *self.context.state;
        // Where an alias is the whole path, a folder that was found is no other URI.
        if found && !(is_whole && is_directory) {
            state.uri_behind_alias = is_whole;
            std::mem::swap(&mut state.uri, &mut uri);
        }
        state.take_back(uri);
        state.take_back(path);
        found
    }

    fn redirect_to_template(&mut self, template: &Template) -> Phase {
        let mut target = self.context.state.lend();
        self.context.append(template, &mut target);
        let context = &self.context;
        if template.as_text().is_none()
            && let Some(root) = context.variables.roots.get(context.state.root)
        {
            root.drop_doubled(&context.state.uri, &mut target);
        }
        let (uri, args) =
            if target.starts_with(b"@") { (&*target, &b""[..]) } else { uri::split_args(&target) };
        let phase = self.redirect_internally(uri, args);
        self.context.state.take_back(target);
        phase
    }

    fn redirect_internally(&mut self, uri: &[u8], args: &[u8]) -> Phase {
        if !self.spend_change() {
            return self.error(500);
        }
        let server = self.server;
        let state = &mut *self.context.state;
        state.internal = true;
        state.uri_behind_alias = false;
        state.uri_changed = false;
        if uri.starts_with(b"@") {
            let Some(location) = server.locations.named(uri).filter(|_| !state.uri.is_empty())
            else {
                return self.error(500);
            };
            self.enter(location);
            return Phase::LocationRewrite;
        }
        if uri.is_empty() {
            return self.error(500);
        }
        state.uri.clear();
        state.uri.extend_from_slice(uri);
        state.args.clear();
        state.args.extend_from_slice(args);
        state.valid_unparsed_uri = false;
        state.valid_location = true;
        Phase::ServerRewrite
    }

    /// An error of this status: its page, if the location has one.
    pub(super) fn error(&mut self, status: u16) -> Phase {
        if matches!(status, 408 | 444 | 499) {
            return Phase::Done(Decision::Close { status, location: self.location });
        }
        // Whatever page is shown for them.
        self.context.state.closes |= matches!(status, 400 | 413 | 414 | 495..=497 | 500 | 501);
        match self.error_page(status) {
            Some(phase) => phase,
            None => {
                let status = told(status);
                Phase::Done(Decision::Status { status, location: self.location })
            }
        }
    }

    /// A redirect is no error: a page that `error_page` names for it, which nobody would get to see,
    /// is not looked for.
    pub(super) fn answer_redirect(&mut self, status: u16) -> Phase {
        self.context.state.status_override = 0;
        Phase::Done(Decision::Redirect { status, location: self.location })
    }

    fn error_page(&mut self, status: u16) -> Option<Phase> {
        let server = self.server;
        let settings = &server.settings[self.location];
        let state = &mut *self.context.state;
        state.status_override = 0;
        if state.error_page || settings.error_pages.is_empty() || state.uri_changes == 0 {
            return None;
        }
        state.error_page = !settings.recursive_error_pages;
        let page = settings.error_pages.find(status)?;
        state.failed = status;
        state.status_override = match page.status {
            Override::Keep => told(status),
            Override::Own => 0,
            Override::Status(status) => status,
        };
        let mut target = state.lend();
        self.context.append(&page.target, &mut target);
        let state = &mut *self.context.state;
        let phase = if target.starts_with(b"/") {
            state.method_is_get = self.context.facts.method != b"HEAD";
            let (uri, args) = uri::split_args(&target);
            self.redirect_internally(uri, args)
        } else if target.starts_with(b"@") {
            self.redirect_internally(&target, b"")
        } else {
            let status = match state.status_override {
                status @ (301 | 302 | 303 | 307 | 308) => status,
                _ => 302,
            };
            state.status_override = 0;
            state.output.clear();
            escape::append_mostly_plain(&target, escape::CONTROL, &mut state.output);
            Phase::Done(Decision::Redirect { status, location: self.location })
        };
        self.context.state.take_back(target);
        Some(phase)
    }
}

/// What a client is told of what nginx says to itself and `error_page` about certificates, and of
/// plain HTTP where TLS is spoken.
fn told(status: u16) -> u16 {
    if matches!(status, 495..=497) { 400 } else { status }
}

const METHODS: &[&[u8]] = &[
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"OPTIONS",
    b"PROPFIND",
    b"PROPPATCH",
    b"LOCK",
    b"UNLOCK",
    b"PATCH",
];
