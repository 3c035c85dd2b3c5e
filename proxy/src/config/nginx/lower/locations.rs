//! Servers and their locations: what is in force in each, and the scripts of their rewrites.

use std::sync::Arc;

use super::super::tree::{Directive, find};
use super::super::values;
use super::scope::Scope;
use super::servers::{Server, Servers};
use super::{Lower, real_ip};
use crate::limits::{FIELDS_MAX, REQUEST_BODY_KEPT_BYTES_MAX};
use crate::respond;
use crate::route::error_page::ErrorPages;
use crate::route::http::{Content, Host, Location, OwnRedirects, RequestFields, Secure};
use crate::route::location::{Builder, Match, SERVER};
use crate::route::phases::{self, LimitExcept, Settings};
use crate::route::script::Script;
use crate::route::try_files::TryFiles;

/// A server that is being read.
struct Reading {
    builder: Builder,
    settings: Vec<Settings>,
    locations: Vec<Option<Location>>,
}

/// A block that is being read: a server, a location, or an `if` in one.
#[derive(Clone)]
struct Level<'t> {
    number: usize,
    scope: Scope<'t>,
    block: &'t [Directive],
    /// The name of the location it is or is in, and how that is matched.
    around: Match,
    /// Whose files; `None` while nothing around it says so.
    root: Option<usize>,
    /// What an `if` has from the location around it.
    content: Content,
    is_nameless: bool,
}

impl<'t> Lower<'t> {
    pub(super) fn hosts(&mut self, servers: &Servers<'t>, secure: Vec<Secure>) -> Vec<Host> {
        servers.all.iter().zip(secure).map(|(server, secure)| self.host(server, secure)).collect()
    }

    fn host(&mut self, server: &Server<'t>, secure: Secure) -> Host {
        let mut reading = Reading {
            builder: Builder::default(),
            settings: vec![Settings::default()],
            locations: vec![None],
        };
        let level = Level {
            number: SERVER,
            scope: server.scope.clone(),
            block: server.directive.block(),
            around: Match::Nameless,
            root: None,
            content: Content::Files,
            is_nameless: false,
        };
        let mut script = Script::default();
        self.level(&mut reading, level, &mut script);
        reading.settings[SERVER].script = script;
        Host {
            name: first_name(server),
            merge_slashes: server.scope.flag("merge_slashes", true),
            secure,
            request_fields: request_fields(&server.scope),
            limits: Arc::new(self.server_limits(&server.scope)),
            real_ip: self.real_ip(&server.scope),
            error_logs: self.error_logs(&server.scope),
            server: phases::Server {
                locations: reading.builder.finish(&mut self.registry),
                settings: reading.settings.into(),
            },
            locations: reading.locations.into_iter().flatten().collect(),
        }
    }

    fn level(&mut self, reading: &mut Reading, mut level: Level<'t>, script: &mut Script) {
        if let Some(line) = find(level.block, "proxy_pass") {
            let matched = reading.builder.matched(level.number).clone();
            if let Some(proxy) = self.proxy(line, &matched, &level.around, &level.scope) {
                level.content = Content::Proxy(proxy);
            }
            reading.builder.add_slash(level.number);
        }
        let root = self.root_of(&level);
        level.root = Some(root);
        reading.settings[level.number] = self.settings(&level, root);
        reading.locations[level.number] = Some(self.location(&level));
        for line in level.block {
            self.line(reading, &level, line, script);
        }
    }

    fn line(
        &mut self,
        reading: &mut Reading,
        level: &Level<'t>,
        line: &'t Directive,
        script: &mut Script,
    ) {
        self.at(line);
        let words = line.slices();
        let registry = &mut self.registry;
        let done = match &*line.name() {
            "rewrite" => script.rewrite(&words, registry),
            "return" => script.returns(&words, registry),
            "set" => script.set(&words, registry),
            "break" => {
                script.breaks();
                Ok(())
            }
            "if" => return self.condition(reading, level, line, script),
            "limit_except" => return self.limit_except(reading, level, line),
            "location" => return self.inner(reading, level, line),
            _ => return,
        };
        self.check(line, done);
    }

    fn condition(
        &mut self,
        reading: &mut Reading,
        level: &Level<'t>,
        line: &'t Directive,
        script: &mut Script,
    ) {
        let number = match level.number {
            SERVER => None,
            outer => self.add(reading, outer, Match::Nameless, line),
        };
        let open = script.begin_if(&line.slices(), number, &mut self.registry);
        let Some(open) = self.check(line, open) else { return };
        let block = line.block();
        match number {
            Some(number) => {
                let scope = level.scope.within(block);
                let inner = Level { number, scope, block, is_nameless: true, ..level.clone() };
                self.level(reading, inner, script);
            }
            None => block.iter().for_each(|line| self.line(reading, level, line, script)),
        }
        script.end_if(open);
    }

    /// The block is a location for the methods that are not named.
    fn limit_except(&mut self, reading: &mut Reading, level: &Level<'t>, line: &'t Directive) {
        let Some(number) = self.add(reading, level.number, Match::Nameless, line) else { return };
        let block = line.block();
        let scope = level.scope.within(block);
        let inner = Level { number, scope, block, is_nameless: true, ..level.clone() };
        // Nothing of rewriting may stand in it.
        self.level(reading, inner, &mut Script::default());
        let limit = LimitExcept::parse(&line.slices(), number);
        reading.settings[level.number].limit_except = self.check(line, limit);
    }

    fn inner(&mut self, reading: &mut Reading, level: &Level<'t>, line: &'t Directive) {
        let matched = Match::parse(&line.slices());
        let Some(around) = self.check(line, matched) else { return };
        let Some(number) = self.add(reading, level.number, around.clone(), line) else { return };
        let block = line.block();
        self.note_error_log(block);
        let scope = level.scope.within(block);
        let content = Content::Files;
        let root = level.root;
        let inner = Level { number, scope, block, around, root, content, is_nameless: false };
        let mut script = Script::default();
        self.level(reading, inner, &mut script);
        reading.settings[number].script = script;
    }

    fn add(
        &mut self,
        reading: &mut Reading,
        parent: usize,
        matched: Match,
        line: &Directive,
    ) -> Option<usize> {
        let added = reading.builder.add(parent, matched, &mut self.registry);
        let number = self.check(line, added)?;
        reading.settings.push(Settings::default());
        reading.locations.push(None);
        Some(number)
    }

    /// The root of a level: its own, or that of the level around it. An `alias` stands for the name
    /// of the location that it was written in.
    fn root_of(&mut self, level: &Level<'t>) -> usize {
        let own = level.block.iter().find(|line| line.is("root") || line.is("alias"));
        match (own, level.root) {
            (None, Some(inherited)) => inherited,
            (Some(own), _) => self.root(Some(own), &level.around),
            (None, None) => self.root(level.scope.line("root"), &level.around),
        }
    }

    fn settings(&mut self, level: &Level<'t>, root: usize) -> Settings {
        let mut error_pages = ErrorPages::default();
        let lines = level.scope.lines(&["error_page"]);
        self.each(&lines, |words, registry| error_pages.add(words, registry));
        let mut settings = Settings {
            root,
            access: self.access(&level.scope),
            names_client: names_client(level),
            internal: level.scope.line("internal").is_some(),
            error_pages,
            recursive_error_pages: level.scope.flag("recursive_error_pages", false),
            ..Settings::default()
        };
        if let Some(line) = find(level.block, "try_files").filter(|_| !level.is_nameless) {
            self.at(line);
            let try_files = TryFiles::parse(&line.slices(), &mut self.registry);
            settings.try_files = self.check(line, try_files);
        }
        settings
    }

    fn location(&mut self, level: &Level<'t>) -> Location {
        let scope = &level.scope;
        let added = self.added(scope);
        Location {
            content: level.content.clone(),
            real_ip: if names_client(level) { self.real_ip(scope) } else { None },
            files: self.files(scope),
            limits: self.limits(scope),
            keeping: self.keeping(scope),
            send_timeout: self.send_timeout(scope),
            resets: scope.flag("reset_timedout_connection", false),
            server: server_tokens(scope),
            added,
            redirects: OwnRedirects {
                absolute: scope.flag("absolute_redirect", true),
                with_port: scope.flag("port_in_redirect", true),
                with_server_name: scope.flag("server_name_in_redirect", false),
            },
            logs: self.access_logs(scope),
            body_kept_bytes: body_kept_bytes(scope),
        }
    }
}

/// Whether a location, or one around it, says for itself who the client is.
fn names_client(level: &Level<'_>) -> bool {
    level.scope.has_below_server(real_ip::NAMES)
}

/// `$server_name`: the first name, that of `.example.com` without its dot; an expression as written.
fn first_name(server: &Server<'_>) -> Box<[u8]> {
    let name = server.names().next().unwrap_or_default();
    if name.starts_with(b"~") {
        return name.into();
    }
    name.strip_prefix(b".").unwrap_or(name).to_ascii_lowercase().into()
}

/// What of a request's body is at hand for variables.
fn body_kept_bytes(scope: &Scope<'_>) -> usize {
    let size = scope.line("client_body_buffer_size").and_then(|line| values::size(line.arg(0)));
    let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(BODY_BUFFER_BYTES);
    size.min(REQUEST_BODY_KEPT_BYTES_MAX)
}

/// nginx's `client_body_buffer_size` on 64-bit machines.
const BODY_BUFFER_BYTES: usize = 16 << 10;

fn request_fields(scope: &Scope<'_>) -> RequestFields {
    let max = scope.line("max_headers").and_then(|line| values::number(line.arg(0)));
    RequestFields {
        underscores: scope.flag("underscores_in_headers", false),
        ignores_invalid: scope.flag("ignore_invalid_headers", true),
        max: max.and_then(|max| usize::try_from(max).ok()).unwrap_or(FIELDS_MAX).min(FIELDS_MAX),
    }
}

/// What our own Server field says. Where nobody asks for the version it stays unsaid.
fn server_tokens(scope: &Scope<'_>) -> &'static str {
    match scope.line("server_tokens").map(|line| line.arg(0)) {
        Some(word) if !word.eq_ignore_ascii_case(b"off") => respond::SERVER_WITH_VERSION,
        _ => respond::SERVER,
    }
}
