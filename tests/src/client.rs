//! A browser's end: raw bytes over TLS or plain TCP, blocking, with deadlines, and how the
//! connection ended.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::message::{self, Ended, Framing, Head, Source};
use crate::wait;

pub mod trust;

pub use trust::Offer;

/// One connection to sheen. Dropping it closes the socket without close_notify.
pub struct Client {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    buffer: Vec<u8>,
    end: Option<End>,
}

/// How the other side ended the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// close_notify on TLS, FIN on plain TCP.
    Clean,
    /// FIN without close_notify.
    Truncated,
    Reset,
    /// An alert, or bytes that are no TLS.
    Tls(String),
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The 1xx answers before it.
    pub interim: Vec<Head>,
    pub head: Head,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Client {
    /// Plain TCP.
    pub fn plain(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, wait::DEADLINE).unwrap())
    }

    /// Plain TCP from another address of this machine.
    pub fn plain_from(local: IpAddr, address: SocketAddr) -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::new(local, 0)).unwrap();
        connect(&socket, &address).unwrap();
        Self::over(socket.into())
    }

    /// A socket in the file system.
    pub fn plain_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        Self::over(TcpStream::from(OwnedFd::from(stream)))
    }

    fn over(stream: TcpStream) -> Self {
        // There is no such thing in the file system.
        let _ = stream.set_nodelay(true);
        stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        stream.set_write_timeout(Some(wait::DEADLINE)).unwrap();
        Self { stream, tls: None, buffer: Vec::new(), end: None }
    }

    /// TLS with the usual offer, handshake done; panics when it fails.
    pub fn tls(address: SocketAddr, name: &str) -> Self {
        Self::tls_with(address, name, &trust::usual()).unwrap()
    }

    /// TLS with an offer of the caller's, handshake done.
    pub fn tls_with(
        address: SocketAddr,
        name: &str,
        config: &Arc<ClientConfig>,
    ) -> Result<Self, End> {
        let mut client = Self::plain(address);
        client.start_tls(name, config);
        client.handshake()?;
        Ok(client)
    }

    /// Turns a plain connection into a TLS one of which nothing was sent yet.
    pub fn start_tls(&mut self, name: &str, config: &Arc<ClientConfig>) {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        self.tls = Some(Box::new(ClientConnection::new(Arc::clone(config), name).unwrap()));
    }

    /// The ClientHello as it goes over the wire; nothing is sent.
    pub fn first_flight(&mut self) -> Vec<u8> {
        let mut flight = Vec::new();
        self.session().write_tls(&mut flight).unwrap();
        flight
    }

    /// Drives the handshake to its end.
    pub fn handshake(&mut self) -> Result<(), End> {
        while self.session().is_handshaking() {
            if let Err(error) = self.flush_tls() {
                return Err(self.ended(reset_or_panic(&error)));
            }
            if !self.session().is_handshaking() {
                break;
            }
            if let Err(end) = self.receive_records() {
                return Err(self.ended(end));
            }
        }
        // Already gone is for the next read to report.
        let _ = self.flush_tls();
        Ok(())
    }

    /// Sends `bytes` in one write: over TLS as few records as possible.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Sends `bytes`; the error when sheen has closed or takes nothing.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.write_all(bytes.as_ref())
    }

    /// Sends each piece as a record and a write of its own.
    pub fn send_pieces<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        for piece in pieces {
            self.send(piece);
        }
    }

    /// The TLS records that carry `bytes` and whatever the session has to say, not sent.
    pub fn records(&mut self, bytes: &[u8]) -> Vec<u8> {
        let session = self.session();
        session.writer().write_all(bytes).unwrap();
        let mut records = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut records).unwrap();
        }
        records
    }

    /// Sends bytes below TLS.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).unwrap();
    }

    pub fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Receives bytes below TLS, at least one unless the connection ended.
    pub fn receive_raw(&mut self) -> Vec<u8> {
        let mut chunk = vec![0; 64 << 10];
        let len = self.stream.read(&mut chunk).unwrap_or(0);
        chunk.truncate(len);
        chunk
    }

    /// Announces new sending keys (TLS 1.3 KeyUpdate) and asks for the same.
    pub fn refresh_keys(&mut self) {
        self.session().refresh_traffic_keys().unwrap();
        self.flush_tls().unwrap();
    }

    /// Says close_notify and leaves the socket open.
    pub fn close_notify(&mut self) {
        self.session().send_close_notify();
        self.flush_tls().unwrap();
    }

    /// Ends our direction of the TCP connection.
    pub fn shutdown_write(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads a whole answer to a request with `method`; panics when it does not come whole.
    pub fn answer(&mut self, method: &str) -> Answer {
        self.try_answer(method).unwrap_or_else(|Ended(left)| {
            let left = String::from_utf8_lossy(&left[..left.len().min(2000)]).into_owned();
            panic!("no whole answer, but {left:?}, then {:?}", self.end)
        })
    }

    /// Reads a whole answer; `Err` when the connection ends within it.
    pub fn try_answer(&mut self, method: &str) -> Result<Answer, Ended> {
        let mut interim = Vec::new();
        let head = loop {
            let Some(head) = message::read_head(self)? else {
                return Err(Ended(Vec::new()));
            };
            if head.status() >= 200 || head.status() == 101 {
                break head;
            }
            interim.push(head);
        };
        let framing = head.answer_framing(method);
        let (body, trailers) = message::read_body(self, framing)?;
        if framing == Framing::UntilClose && self.end != Some(End::Clean) {
            return Err(Ended(body));
        }
        Ok(Answer { interim, head, framing, body, trailers })
    }

    /// GET of `target` with Host `host`, answered.
    pub fn get(&mut self, host: &str, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        self.answer("GET")
    }

    /// Receives until the connection ends: the bytes, and how it ended.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        while self.fill() {}
        let end = self.end.clone().unwrap();
        (std::mem::take(&mut self.buffer), end)
    }

    /// Asserts that nothing more comes and that the other side ended cleanly.
    pub fn closes(&mut self) {
        let (bytes, end) = self.rest();
        assert_eq!((String::from_utf8_lossy(&bytes).as_ref(), end), ("", End::Clean));
    }

    /// Whether nothing comes, not even an end, for `span`.
    pub fn is_quiet_for(&mut self, span: Duration) -> bool {
        self.stream.set_read_timeout(Some(span)).unwrap();
        let mut chunk = [0; 1024];
        let quiet = self.buffer.is_empty()
            && self.end.is_none()
            && loop {
                let Some(session) = &mut self.tls else {
                    break matches!(self.stream.peek(&mut chunk), Err(error) if is_timeout(&error));
                };
                match session.read_tls(&mut self.stream) {
                    Err(error) if is_timeout(&error) => break true,
                    Err(_) | Ok(0) => break false,
                    Ok(_) => {}
                }
                // Tickets come unasked and are nothing of the stream.
                let Ok(state) = session.process_new_packets() else { break false };
                if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                    break false;
                }
            };
        self.stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        quiet
    }

    /// Shrinks what the kernel takes for us when we do not read.
    pub fn small_receive_buffer(&self) {
        rustix::net::sockopt::set_socket_recv_buffer_size(&self.stream, 16 << 10).unwrap();
    }

    pub fn set_timeout(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
        self.stream.set_write_timeout(Some(limit)).unwrap();
    }

    /// The certificate sheen showed.
    pub fn certificate(&mut self) -> CertificateDer<'static> {
        self.session().peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// True exactly when the handshake used a session ticket.
    pub fn is_resumed(&mut self) -> bool {
        self.session().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub fn session(&mut self) -> &mut ClientConnection {
        self.tls.as_mut().expect("a TLS connection")
    }

    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    fn flush_tls(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.tls else {
            return Ok(());
        };
        while session.wants_write() {
            session.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// Receives some TLS records; `Err` when the connection ended or what came is wrong.
    fn receive_records(&mut self) -> Result<(), End> {
        let session = self.tls.as_mut().expect("a TLS connection");
        let len = session.read_tls(&mut self.stream).map_err(|error| reset_or_panic(&error))?;
        if let Err(error) = session.process_new_packets() {
            // The alert is for sheen's log; it may be gone already.
            let _ = self.flush_tls();
            return Err(End::Tls(error.to_string()));
        }
        // After the handshake the session itself tells a truncation from an end.
        if len == 0 && session.is_handshaking() { Err(End::Truncated) } else { Ok(()) }
    }

    fn ended(&mut self, end: End) -> End {
        self.end = Some(end.clone());
        end
    }

    /// Plaintext past the buffer; 0 at the end, whose kind `end` then holds.
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.end.is_some() {
            return Ok(0);
        }
        if self.tls.is_some() {
            return self.read_tls_plaintext(into);
        }
        match self.stream.read(into) {
            Ok(0) => self.end = Some(End::Clean),
            Ok(len) => return Ok(len),
            Err(error) => self.end = Some(reset_or_panic(&error)),
        }
        Ok(0)
    }

    fn read_tls_plaintext(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session().reader().read(into) {
                Ok(0) => {
                    self.end = Some(End::Clean);
                    return Ok(0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.end = Some(End::Truncated);
                    return Ok(0);
                }
                other => return other,
            }
            // A failure to send shows in what is received.
            let _ = self.flush_tls();
            if let Err(end) = self.receive_records() {
                self.end = Some(end);
                return Ok(0);
            }
        }
    }
}

impl Source for Client {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn fill(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        let mut chunk = vec![0; 64 << 10];
        let len = self.receive(&mut chunk).unwrap();
        self.buffer.extend_from_slice(&chunk[..len]);
        len > 0
    }
}

/// For the streams of tunnels and big bodies: what is buffered first.
impl Read for Client {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match message::take_buffered(&mut self.buffer, into) {
            Some(len) => Ok(len),
            None => self.receive(into),
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.tls else {
            return self.stream.write(bytes);
        };
        // rustls buffers at most 64 KiB of plaintext of its own accord.
        let len = session.writer().write(bytes)?;
        self.flush_tls()?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_tls()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("end", &self.end).finish_non_exhaustive()
    }
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// The body as the request head that a mirroring app saw.
    pub fn mirrored(&self) -> Head {
        assert_eq!(self.status(), 200, "{}", self.head.raw);
        Head::parse(&self.body)
    }
}

fn reset_or_panic(error: &io::Error) -> End {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => End::Reset,
        _ if is_timeout(error) => panic!("nothing came (or went) within the deadline"),
        _ => panic!("{error}"),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
