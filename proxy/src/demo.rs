//! The app behind `sheen demo`: one page and one WebSocket, the way Shiny does, on plain blocking
//! threads apart from the data plane.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

/// Starts the app on a free port of this machine; it runs until the process ends.
pub fn spawn() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("demo".to_owned()).spawn(move || accept(&listener))?;
    Ok(address)
}

fn accept(listener: &TcpListener) {
    // Counts the connections: each thread holds a clone while it serves.
    let connections = Arc::new(());
    for stream in listener.incoming().flatten() {
        if Arc::strong_count(&connections) > CONNECTIONS_MAX {
            continue;
        }
        let held = Arc::clone(&connections);
        let serve = move || {
            // How a connection ends is of no interest here: sheen, in front, logs it.
            let _end = serve(stream);
            drop(held);
        };
        // Without a thread the connection is dropped, and sheen answers 502.
        let _thread = thread::Builder::new().name("demo-connection".to_owned()).spawn(serve);
    }
}

/// One connection: requests one after the other, until one becomes a WebSocket.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    let mut bytes = Vec::new();
    loop {
        let Some(request) = read_request(&mut stream, &mut bytes)? else {
            return Ok(());
        };
        if request.path == "/websocket/"
            && let Some(key) = &request.websocket_key
        {
            let accept = derive_accept_key(key.as_bytes());
            write!(
                stream,
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            )?;
            return talk(stream, bytes, &request).map_err(io::Error::other);
        }
        answer(&mut stream, &request)?;
        if request.close {
            return Ok(());
        }
    }
}

/// What the app wants to know of a request.
#[derive(Debug)]
struct Request {
    method: String,
    path: String,
    /// True exactly when no further request may follow on the connection.
    close: bool,
    /// Set when an upgrade to WebSocket is asked for.
    websocket_key: Option<String>,
    host: String,
    forwarded_for: String,
    forwarded_proto: String,
}

/// `None`: the client has ended the connection between two requests. What follows the head stays
/// in `bytes`.
fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Request::new(&mut fields);
        let status = head.parse(bytes).map_err(io::Error::other)?;
        if let httparse::Status::Complete(length) = status {
            let request = request(&head);
            bytes.drain(..length);
            return Ok(Some(request));
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(io::Error::other("the head is too long"));
        }
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk[..count]);
    }
}

fn request(head: &httparse::Request<'_, '_>) -> Request {
    let field = |name: &str| {
        let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.map(|field| String::from_utf8_lossy(field.value).into_owned())
    };
    let method = head.method.unwrap_or_default().to_owned();
    let target = head.path.unwrap_or_default();
    let upgrade = field("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let connection = field("connection").unwrap_or_default().to_ascii_lowercase();
    let has_body = field("transfer-encoding").is_some()
        || field("content-length").is_some_and(|length| length != "0");
    Request {
        path: target.split('?').next().unwrap_or_default().to_owned(),
        // A body is not read, so nothing after it can be.
        close: has_body || head.version != Some(1) || connection.contains("close"),
        websocket_key: field("sec-websocket-key").filter(|_| upgrade && method == "GET"),
        host: field("host").unwrap_or_default(),
        forwarded_for: field("x-forwarded-for").unwrap_or_default(),
        forwarded_proto: field("x-forwarded-proto").unwrap_or_default(),
        method,
    }
}

fn answer(stream: &mut TcpStream, request: &Request) -> io::Result<()> {
    const HTML: &str = "text/html; charset=utf-8";
    const TEXT: &str = "text/plain; charset=utf-8";
    let (status, kind, body) = match (request.method.as_str(), request.path.as_str()) {
        ("GET" | "HEAD", "/") => ("200 OK", HTML, PAGE),
        ("GET" | "HEAD", "/health") => ("200 OK", TEXT, "ok\n"),
        ("GET" | "HEAD", "/websocket/") => ("426 Upgrade Required", TEXT, "WebSocket only\n"),
        ("GET" | "HEAD", _) => ("404 Not Found", TEXT, "not found\n"),
        (_, _) => ("405 Method Not Allowed", TEXT, "GET and HEAD only\n"),
    };
    let connection = if request.close { "close" } else { "keep-alive" };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Connection: {connection}\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: {PAGE_POLICY}\r\nX-Content-Type-Options: nosniff\r\n\r\n",
        body.len()
    );
    if request.method != "HEAD" {
        answer.push_str(body);
    }
    stream.write_all(answer.as_bytes())
}

/// The session: greets, then answers each number of bins with a histogram.
fn talk(stream: TcpStream, early: Vec<u8>, request: &Request) -> Result<(), Error> {
    stream.set_read_timeout(Some(HEARTBEAT))?;
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocket::from_partially_read(stream, early, Role::Server, Some(config));
    let session = RandomState::new().hash_one(0);
    socket.send(Message::text(format!(
        r#"{{"session":"{session:016x}","host":{},"client":{},"scheme":{}}}"#,
        json_text(&request.host),
        json_text(&request.forwarded_for),
        json_text(&request.forwarded_proto),
    )))?;
    let data = waiting_times();
    let mut silent = false;
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                silent = false;
                if let Some(bins) = bins_wanted(&text) {
                    socket.send(Message::text(histogram(&data, bins)))?;
                }
            }
            Ok(_) => silent = false,
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                if silent {
                    return Ok(());
                }
                // httpuv pings a quiet session too, so that proxies do not cut it.
                socket.send(Message::Ping(Vec::new().into()))?;
                silent = true;
            }
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The number in `{"bins":30}`, all that the page ever sends.
fn bins_wanted(text: &str) -> Option<usize> {
    let bins = text.strip_prefix(r#"{"bins":"#)?.strip_suffix('}')?;
    bins.parse().ok().filter(|bins| (1..=BINS_MAX).contains(bins))
}

/// Counts in equal bins from the least to the largest value, as R's `hist` with that many breaks.
fn histogram(data: &[f64], bins: usize) -> String {
    let least = data.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = data.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = (largest - least) / bins as f64;
    let mut counts = vec![0_usize; bins];
    for value in data {
        let bin = ((value - least) / width) as usize;
        counts[bin.min(bins - 1)] += 1;
    }
    format!(r#"{{"from":{least:.1},"to":{largest:.1},"counts":{counts:?}}}"#)
}

/// Minutes between eruptions of a made-up geyser, in two humps like the one that every Shiny
/// example shows; the same at each start.
fn waiting_times() -> Vec<f64> {
    let mut state = 20_u64;
    let mut uniform = || {
        // Knuth's MMIX generator.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let mut time = || {
        let centre = if uniform() < 0.36 { 54.6 } else { 80.1 };
        // Twelve uniforms less six are as good as normal here.
        let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        centre + 5.9 * normal
    };
    (0..WAITING_TIMES).map(|_| time()).collect()
}

fn json_text(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c.is_control() => {
                write!(json, "\\u{:04x}", u32::from(c)).expect("a String takes every write");
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

const PAGE: &str = include_str!("demo/page.html");
/// The page is whole in itself.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     script-src 'unsafe-inline'; img-src data:; connect-src 'self' ws: wss:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";
const CONNECTIONS_MAX: usize = 512;
const HEAD_BYTES_MAX: usize = 64 << 10;
const MESSAGE_BYTES_MAX: usize = 4096;
const IDLE: Duration = Duration::from_secs(75);
const HEARTBEAT: Duration = Duration::from_secs(20);
const WAITING_TIMES: usize = 272;
const BINS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends raw bytes and reads until the server closes.
    fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn serves_the_page_whole() {
        let address = spawn().unwrap();
        let answer = exchange(address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", PAGE.len())), "{head}");
        assert_eq!(body, PAGE);
        assert!(!PAGE.contains("src=\"http") && !PAGE.contains("href=\"http"), "self-contained");
    }

    #[test]
    fn keeps_the_connection_alive_and_answers_in_order() {
        let address = spawn().unwrap();
        let answer = exchange(
            address,
            "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /health?x HTTP/1.1\r\nHost: a\r\n\r\n\
             GET /nothing HTTP/1.1\r\nHost: a\r\n\r\nGET /websocket/ HTTP/1.1\r\nHost: a\r\n\r\n\
             POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        );
        let statuses: Vec<&str> =
            answer.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")).collect();
        assert_eq!(
            statuses,
            ["200 OK", "200 OK", "404 Not Found", "426 Upgrade Required", "405 Method Not Allowed"]
        );
        assert!(!answer.contains("<html"), "HEAD has no body");
        assert!(answer.contains("\r\n\r\nok\nHTTP/1.1 404"), "{answer}");
    }

    #[test]
    fn answers_bins_with_a_histogram() {
        let address = spawn().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (mut socket, _) = tungstenite::client("ws://demo.test/websocket/", stream).unwrap();
        let greeting = socket.read().unwrap().into_text().unwrap();
        assert!(greeting.starts_with(r#"{"session":""#), "{greeting}");
        assert!(greeting.contains(r#""host":"demo.test""#), "{greeting}");

        socket.send(Message::text(r#"{"bins":0}"#)).unwrap();
        socket.send(Message::text(r#"{"bins":12}"#)).unwrap();
        let answer = socket.read().unwrap().into_text().unwrap();
        let counts = answer.split_once("\"counts\":[").unwrap().1.trim_end_matches("]}");
        let counts: Vec<usize> = counts.split(", ").map(|count| count.parse().unwrap()).collect();
        assert_eq!(counts.len(), 12);
        assert_eq!(counts.iter().sum::<usize>(), WAITING_TIMES);

        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    }

    #[test]
    fn writes_hostile_fields_as_json() {
        assert_eq!(json_text("a\"\\\u{1}é"), "\"a\\\"\\\\\\u0001é\"");
    }
}
