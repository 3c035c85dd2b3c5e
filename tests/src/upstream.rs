//! A scripted app behind sheen: a closure per connection, on TCP or a unix socket, that talks raw
//! bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::message::{self, Ended, Head, Source};
use crate::wait;

/// Bytes kept of what one connection received; a big upload is not.
const RECORD_BYTES: usize = 1 << 20;
const STACK_BYTES: usize = 256 << 10;

/// An app that listens, and what it saw. Dropping it fails the test when a script panicked.
pub struct Upstream {
    address: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    /// What each connection received, by its number.
    received: Mutex<BTreeMap<usize, Vec<u8>>>,
    open: Mutex<usize>,
    faults: Mutex<Vec<String>>,
}

/// One connection from sheen.
pub struct Conn {
    socket: Socket,
    buffer: Vec<u8>,
    seen: Arc<Seen>,
    /// 0 for the first connection this upstream got.
    pub index: usize,
}

/// A request as the app got it.
#[derive(Debug, Clone)]
pub struct Request {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Upstream {
    /// Runs `script` for every connection, each on a thread of its own.
    pub fn start(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// The same on a listener of the caller's choice.
    pub fn start_on(
        listener: TcpListener,
        script: impl Fn(&mut Conn) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let accept = move || {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            Ok(Socket::Tcp(stream))
        };
        Self::accept_loop(address, accept, script)
    }

    /// The same on a unix socket.
    pub fn start_unix(path: &Path, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let accept = move || Ok(Socket::Unix(listener.accept()?.0));
        Self::accept_loop(format!("unix:{}", path.display()), accept, script)
    }

    /// Answers every request with `answer`, on connections that stay open unless it says
    /// `Connection: close`.
    pub fn answering(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::start(move |conn| conn.answer_all(|_| answer.clone().into_bytes()))
    }

    /// Answers every request with 200 and `body`.
    pub fn ok(body: &str) -> Self {
        Self::answering(ok(body))
    }

    /// Answers every request with 200 and `finished`, once the flag is set.
    pub fn patient() -> (Self, Arc<AtomicBool>) {
        let go = Arc::new(AtomicBool::new(false));
        let gate = Arc::clone(&go);
        let app = Self::start(move |conn| {
            conn.answer_all(|_| {
                wait::until("leave to answer", || gate.load(Ordering::SeqCst));
                ok("finished").into_bytes()
            });
        });
        (app, go)
    }

    /// Answers every request with the head it received as the body: what the app sees.
    pub fn mirror() -> Self {
        Self::start(|conn| conn.answer_all(|request| ok(&request.head.raw).into_bytes()))
    }

    /// Answers every request with its own body.
    pub fn echo() -> Self {
        Self::start(|conn| {
            conn.answer_all(|request| {
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
                [head.as_bytes(), &request.body].concat()
            });
        })
    }

    fn accept_loop(
        address: String,
        accept: impl Fn() -> io::Result<Socket> + Send + 'static,
        script: impl Fn(&mut Conn) + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Seen::default());
        let upstream = Self { address, seen: Arc::clone(&seen) };
        let script = Arc::new(script);
        let serve = move |socket: Socket, index: usize| {
            let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
            let run = move || {
                let mut conn = Conn { socket, buffer: Vec::new(), seen: Arc::clone(&seen), index };
                *seen.open.lock().unwrap() += 1;
                seen.received.lock().unwrap().insert(index, Vec::new());
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| script(&mut conn))) {
                    seen.faults.lock().unwrap().push(words(panic.as_ref()));
                }
                drop(conn);
                *seen.open.lock().unwrap() -= 1;
            };
            thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap();
        };
        thread::spawn(move || {
            let mut index = 0;
            while let Ok(socket) = accept() {
                socket.set_timeouts(wait::DEADLINE);
                serve(socket, index);
                index += 1;
            }
        });
        upstream
    }

    /// As `to = "..."` takes it.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn port(&self) -> u16 {
        self.address.parse::<SocketAddr>().unwrap().port()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.seen.received.lock().unwrap().len()
    }

    /// Connections whose script still runs.
    pub fn open(&self) -> usize {
        *self.seen.open.lock().unwrap()
    }

    /// Everything received on all connections, one after the other.
    pub fn received(&self) -> String {
        let received = self.seen.received.lock().unwrap();
        let all: Vec<u8> = received.values().flatten().copied().collect();
        String::from_utf8_lossy(&all).into_owned()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let faults = self.seen.faults.lock().unwrap();
        if !thread::panicking() {
            assert!(faults.is_empty(), "upstream script: {}", faults.join("\n"));
        } else if !faults.is_empty() {
            eprintln!("upstream script: {}", faults.join("\n"));
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Conn {
    /// Reads a whole request; `None` when sheen closed between two requests.
    pub fn request(&mut self) -> Option<Request> {
        self.try_request().unwrap_or_else(|Ended(left)| {
            panic!("the request ended early: {:?}", String::from_utf8_lossy(&left))
        })
    }

    /// Reads a whole request; `Err` when the connection ended within it.
    pub fn try_request(&mut self) -> Result<Option<Request>, Ended> {
        let Some(head) = message::read_head(self)? else {
            return Ok(None);
        };
        let framing = head.request_framing();
        let (body, trailers) = message::read_body(self, framing)?;
        Ok(Some(Request { head, body, trailers }))
    }

    /// Reads a head and leaves the body.
    pub fn head(&mut self) -> Head {
        message::read_head(self).unwrap().expect("a request comes")
    }

    /// Answers request after request until sheen closes or the answer announces the close.
    pub fn answer_all(&mut self, answer: impl Fn(&Request) -> Vec<u8>) {
        while let Ok(Some(request)) = self.try_request() {
            let answer = answer(&request);
            self.send(&answer);
            let end = message::find(&answer, b"\r\n\r\n").unwrap_or(answer.len());
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            if head.contains("connection: close") {
                return;
            }
        }
    }

    /// Sends all of `bytes`. Sheen may have gone away: that is for the client's side to judge.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.write_all(bytes.as_ref()).is_ok()
    }

    /// Receives until sheen closes its side and returns what came.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// Ends our direction; sheen may still send.
    pub fn shutdown_write(&mut self) {
        self.socket.shutdown(Shutdown::Write);
    }

    /// Makes the close that follows a reset.
    pub fn reset_on_close(&self) {
        if let Socket::Tcp(stream) = &self.socket {
            rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
        }
    }

    pub fn set_timeout(&self, limit: Duration) {
        self.socket.set_timeouts(limit);
    }
}

impl Source for Conn {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 64 << 10];
        match self.receive(&mut chunk) {
            Ok(0) => false,
            Ok(len) => {
                self.buffer.extend_from_slice(&chunk[..len]);
                true
            }
            // Reset, or nothing within the deadline: whoever wanted more says what is missing.
            Err(_) => false,
        }
    }
}

/// For tunnels: what is buffered first.
impl Read for Conn {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match message::take_buffered(&mut self.buffer, into) {
            Some(len) => Ok(len),
            None => self.receive(into),
        }
    }
}

impl Conn {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = match &mut self.socket {
            Socket::Tcp(stream) => stream.read(into),
            Socket::Unix(stream) => stream.read(into),
        }?;
        let mut received = self.seen.received.lock().unwrap();
        let record = received.entry(self.index).or_default();
        let room = RECORD_BYTES.saturating_sub(record.len());
        record.extend_from_slice(&into[..len.min(room)]);
        Ok(len)
    }
}

impl Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.socket {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    fn set_timeouts(&self, limit: Duration) {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(limit)).unwrap();
                stream.set_write_timeout(Some(limit)).unwrap();
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(limit)).unwrap();
                stream.set_write_timeout(Some(limit)).unwrap();
            }
        }
    }

    fn shutdown(&self, how: Shutdown) {
        // Sheen may have closed first; then there is nothing left to end.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
    }
}

/// A 200 answer with `body`.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "panicked".to_owned())
}
