//! nginx and sheen with the same configuration, each in front of an app of its own.

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sheen_tests::client::Client;
use sheen_tests::message;
use sheen_tests::nginx::Nginx;
use sheen_tests::port;
use sheen_tests::sheen::{Setup, Sheen};
use sheen_tests::upstream::{self, Conn, Upstream, ok};
use sheen_tests::websocket;
use tempfile::TempDir;

use crate::scenario::{Request, unescape};
use crate::seen::{Message, Seen};

/// Both, running.
#[derive(Debug)]
pub(crate) struct Pair {
    nginx: Side,
    sheen: Side,
    // Held until dropped, before their apps.
    _nginx: Nginx,
    _sheen: Sheen,
}

/// One of the two.
#[derive(Debug)]
struct Side {
    port: u16,
    app: App,
}

/// An app on a port and on a Unix socket; it answers as the request's X-Answer says.
#[derive(Debug)]
struct App {
    tcp: Upstream,
    unix: Upstream,
    folder: TempDir,
    asked: Arc<Mutex<Vec<Message>>>,
}

impl Pair {
    pub(crate) fn start(conf: &str) -> Self {
        let (nginx_app, sheen_app) = (App::start(), App::start());
        let nginx = Nginx::start(&nginx_app.fill_in(conf), &[]);
        let port = port::free();
        let sheen = start_sheen(&sheen_app.fill_in(conf), port);
        Self {
            nginx: Side { port: nginx.port, app: nginx_app },
            sheen: Side { port, app: sheen_app },
            _nginx: nginx,
            _sheen: sheen,
        }
    }

    /// What is seen of a request with nginx, and with sheen.
    pub(crate) fn ask(&self, request: &Request) -> (Seen, Seen) {
        (self.nginx.ask(request), self.sheen.ask(request))
    }
}

fn start_sheen(http: &str, port: u16) -> Sheen {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("nginx.conf");
    let http = http.replace("PORT", &port.to_string());
    let http = http.replace("ROOT", &dir.path().display().to_string());
    let text = format!(
        "daemon off;\nevents {{ worker_connections 64; }}\n\
         http {{ access_log off; default_type text/plain; {http} }}\n"
    );
    fs::write(&path, text).unwrap();
    let sheen = Sheen::spawn(Setup::to_address(""), dir, &["-c", path.to_str().unwrap()]);
    // Apps that misbehave are what many scenarios are about.
    sheen.allow_log("[error]");
    sheen
}

impl Side {
    fn ask(&self, request: &Request) -> Seen {
        self.app.asked.lock().unwrap().clear();
        let mut client = Client::plain(SocketAddr::from(([127, 0, 0, 1], self.port)));
        let text = replace(&request.bytes, "UPSTREAM", self.app.tcp.address());
        client.send(replace(&text, "PORT", &self.port.to_string()));
        let mut seen = Seen::read(request, &mut client);
        seen.asked = self.app.asked.lock().unwrap().clone();
        let folder = self.app.folder.path().display().to_string();
        for (what, with) in [
            (self.app.tcp.address(), "UPSTREAM"),
            (&*self.app.tcp.port().to_string(), "APP_PORT"),
            (&*self.port.to_string(), "PORT"),
            (&*folder, "FOLDER"),
        ] {
            seen.replace(what, with);
        }
        seen
    }
}

/// The bytes with one word for another.
fn replace(bytes: &[u8], word: &str, with: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = message::find(rest, word.as_bytes()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with.as_bytes());
        rest = &rest[at + word.len()..];
    }
    out.extend_from_slice(rest);
    out
}

impl App {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let asked = Arc::default();
        let script = |asked: &Arc<Mutex<Vec<Message>>>| {
            let asked = Arc::clone(asked);
            move |conn: &mut Conn| serve(conn, &asked)
        };
        let unix = Upstream::start_unix(&folder.path().join("app"), script(&asked));
        Self { tcp: Upstream::start(script(&asked)), unix, folder, asked }
    }

    fn fill_in(&self, conf: &str) -> String {
        let socket = self.unix.address().strip_prefix("unix:").unwrap();
        let port = self.tcp.port().to_string();
        let conf = conf.replace("UPSTREAM", self.tcp.address()).replace("APP_PORT", &port);
        conf.replace("SOCKET", socket)
    }
}

/// Answers one request after the other, until an answer ends the connection.
fn serve(conn: &mut Conn, asked: &Mutex<Vec<Message>>) {
    while let Ok(Some(request)) = conn.try_request() {
        asked.lock().unwrap().push(Message::asked(&request));
        let answer = answer(&request);
        if answer == b"WAIT" {
            conn.rest();
            return;
        }
        let head_len = message::find(&answer, b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
        let to_head = request.head.line.starts_with("HEAD ");
        conn.send(if to_head { &answer[..head_len] } else { &answer });
        let head = String::from_utf8_lossy(&answer[..head_len]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap_or_default();
        let is_framed = head.contains("\r\ncontent-length:")
            || head.contains("\r\ntransfer-encoding: chunked")
            || matches!(status, "204" | "304")
            || to_head;
        if !is_framed || head.contains("connection: close") {
            return;
        }
    }
}

/// Of WebSockets a greeting, then the end.
fn answer(request: &upstream::Request) -> Vec<u8> {
    if let Some(answer) = request.head.field("x-answer") {
        return unescape(answer);
    }
    match request.head.field("sec-websocket-key") {
        Some(key) if request.head.field("upgrade") == Some("websocket") => {
            format!("{}hello", websocket::switching(key)).into_bytes()
        }
        _ => ok("hello\n").into_bytes(),
    }
}
