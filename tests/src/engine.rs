//! The request engine (`sheen::route`) on a configuration that was read as sheen reads all: what it
//! makes of a request, without a socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sheen::config::ListenAddress;
use sheen::config::nginx::{self, Options};
use sheen::h1::kept::KeptHead;
use sheen::route::evaluate::Context;
use sheen::route::facts::Facts;
use sheen::route::http::{Content, Http};
use sheen::route::names::Host;
use sheen::route::phases::{Decision, Run};
use sheen::route::proxy_pass::ProxyPass;
use sheen::route::state::State;
use sheen::route::uri::Target;
use sheen::serve::probe;

/// Some servers on one address.
#[derive(Debug)]
pub struct Engine {
    http: Arc<Http>,
    address: ListenAddress,
    folder: PathBuf,
    pub state: State,
}

/// What a client or an upstream would see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub status: u16,
    pub location: String,
    /// Of answers with a content of their own, `None` for built-in pages.
    pub body: Option<String>,
}

impl Engine {
    /// Reads the inside of an http block; `ROOT` in it stands for `folder`, whose files are served.
    ///
    /// Errors: what is wrong, line by line.
    pub fn new(http: &str, folder: &Path) -> Result<Self, String> {
        let root = folder.display().to_string();
        let http = http.replace("ROOT", &root).replace("PORT", "80");
        let text = format!("events {{}} http {{ root {root}; {http} }}");
        let options = Options {
            prefix: folder.to_owned(),
            conf_prefix: folder.to_owned(),
            globals: Vec::new(),
            error_log: None,
        };
        let tree = nginx::read(&folder.join("engine.conf"), text.into_bytes(), &options);
        let loaded = tree.and_then(|tree| nginx::lower::lower(&tree, &options));
        let loaded = loaded.map_err(|problems| {
            problems.iter().map(|problem| format!("{problem}\n")).collect::<String>()
        })?;
        let http = loaded.config.http.expect("it is nginx's language").0;
        let address = http.names.keys().next().expect("a server listens").clone();
        Ok(Self { http, address, folder: folder.to_owned(), state: State::default() })
    }

    /// The answer to one request with `Host: host`.
    pub fn ask(&mut self, method: &str, target: &str, host: &str) -> Seen {
        let Self { http, address, folder, state } = self;
        state.begin(&http.variables);
        let Ok(target) = Target::parse(target.as_bytes()) else { return error(400) };
        let authority = target.authority.unwrap_or(host.as_bytes());
        let Some(parsed) = Host::parse(authority) else { return error(400) };
        let mut name = Vec::new();
        parsed.append_lowercase(&mut name);
        let hosted = &http.hosts[http.server_of(address, &name, state)];
        let line = format!("{method} {} HTTP/1.1", String::from_utf8_lossy(target.uri));
        let head = format!("{line}\r\nHost: {host}\r\n\r\n").into_bytes();
        let (head, _) = KeptHead::lenient_request(&head, |_| true);
        let facts = Facts {
            request_line: line.as_bytes(),
            method: method.as_bytes(),
            request_uri: target.uri,
            host: &name,
            server_name: &hosted.name,
            fields: head.fields(),
            ..Facts::default()
        };
        let context = Context { variables: &http.variables, facts: &facts, state };
        let mut probe = |path: &[u8]| probe(path, &mut |_, _| {});
        let mut run = Run::new(&hosted.server, context, &mut probe);
        let mut decision = match run.begin(hosted.merge_slashes) {
            Ok(decision) => decision,
            Err(_) => return error(400),
        };
        loop {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let state = &run.context.state;
            let location = match decision {
                Decision::Text { status, .. } => {
                    let body = Some(text(&state.output));
                    return Seen { status, location: String::new(), body };
                }
                Decision::Redirect { status, .. } => {
                    return Seen { status, location: text(&state.output), body: None };
                }
                Decision::Status { status, .. } => return error(status),
                Decision::Close { .. } => return error(444),
                Decision::Client(location) => {
                    decision = run.resume(location);
                    continue;
                }
                Decision::Content(location) => location,
            };
            let status = if state.status_override > 0 { state.status_override } else { 200 };
            let content = match &hosted.locations[location].content {
                Content::Proxy(proxy) => proxied(&proxy.pass, &mut run).ok_or(500),
                Content::Files => read_file(&mut run, folder),
            };
            match (content, &hosted.locations[location].content) {
                (Ok(body), _) => return Seen { status, location: String::new(), body: Some(body) },
                (Err(status), Content::Proxy(_)) => return error(status),
                (Err(status), Content::Files) => decision = run.fail(status, location),
            }
        }
    }
}

fn error(status: u16) -> Seen {
    Seen { status, location: String::new(), body: None }
}

/// What an upstream that repeats its target would answer.
fn proxied(proxy: &ProxyPass, run: &mut Run<'_, '_>) -> Option<String> {
    let mut room = Vec::new();
    let url = proxy.url(&mut run.context, &mut room).ok()?;
    let mut out = Vec::new();
    proxy.append_target(&url, &run.context, &mut out).ok()?;
    Some(format!("proxied {}", String::from_utf8_lossy(&out)))
}

/// The static content of the state's URI; an error as nginx has it.
fn read_file(run: &mut Run<'_, '_>, folder: &Path) -> Result<String, u16> {
    let mut path = folder.as_os_str().as_encoded_bytes().to_vec();
    path.extend_from_slice(&run.context.state.uri);
    let path = PathBuf::from(String::from_utf8_lossy(&path).into_owned());
    match path.is_dir() {
        true => Err(403),
        false => fs::read_to_string(path).map_err(|_| 404),
    }
}
