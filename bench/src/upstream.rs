//! The app behind every proxy: plain HTTP/1.1 and a WebSocket echo, one thread, as cheap as can be.
//!
//! `GET /bytes/N` is answered with N bytes, a body of any kind with "ok" once it has come whole,
//! and an upgrade with an echo of whatever is sent.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::net::SendFlags;
use tungstenite::handshake::derive_accept_key;

use crate::link::unless_blocked;
use crate::poll::{Poll, Slots};
use crate::wire::{Chunks, Frame, Head, number};

/// A port, and a socket in the file system.
#[derive(Debug)]
pub(crate) struct Listeners {
    tcp: TcpListener,
    unix: UnixListener,
}

/// A free port of the loopback, and a path that nobody listens at.
pub(crate) fn bind(path: &Path) -> io::Result<(Listeners, SocketAddr)> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let tcp = sheen::io::listener::bind(any, &sheen::config::ListenOptions::default())?;
    let tcp = TcpListener::from(tcp);
    let unix = UnixListener::bind(path)?;
    unix.set_nonblocking(true)?;
    // The standard library's queue of 128 is short for a crowd that comes at once.
    rustix::net::listen(&unix, BACKLOG)?;
    let address = tcp.local_addr()?;
    Ok((Listeners { tcp, unix }, address))
}

/// Serves until the process ends.
pub(crate) fn run(listeners: &Listeners) -> io::Result<()> {
    let Listeners { tcp, unix } = listeners;
    let mut poll = Poll::new()?;
    poll.add(tcp, TCP)?;
    poll.add(unix, UNIX)?;
    let mut clients: Slots<Client> = Slots::default();
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut turn = Vec::new();
    loop {
        poll.wait(None, &mut turn)?;
        for (key, readable) in turn.drain(..) {
            if key == TCP || key == UNIX {
                let next = || match key {
                    TCP => tcp.accept().map(|(socket, _)| OwnedFd::from(socket)),
                    _ => unix.accept().map(|(socket, _)| OwnedFd::from(socket)),
                };
                accept(next, &poll, &mut clients)?;
                continue;
            }
            let Some(mut client) = clients.take(key) else { continue };
            if client.go_on(readable, &mut scratch).unwrap_or(false) {
                clients.put(key, client);
            } else {
                clients.retire(key);
            }
        }
    }
}

fn accept(
    next: impl Fn() -> io::Result<OwnedFd>,
    poll: &Poll,
    clients: &mut Slots<Client>,
) -> io::Result<()> {
    loop {
        let socket = match next() {
            Ok(socket) => socket,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        rustix::io::ioctl_fionbio(&socket, true)?;
        let key = clients.reserve();
        poll.add(&socket, key)?;
        clients.put(key, Client::new(socket));
    }
}

#[derive(Debug)]
struct Client {
    socket: OwnedFd,
    stage: Stage,
    /// The beginning of something that has not come whole.
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of a body to send after `output`.
    filler: u64,
}

#[derive(Debug)]
enum Stage {
    Head,
    Sized(u64),
    Chunked(Chunks),
    WebSocket,
}

impl Client {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, stage: Stage::Head, input: Vec::new(), output: Vec::new(), filler: 0 }
    }

    /// False when the connection has ended.
    fn go_on(&mut self, readable: bool, scratch: &mut [u8]) -> io::Result<bool> {
        self.flush()?;
        if !readable {
            return Ok(true);
        }
        loop {
            let received = match unless_blocked(read(&self.socket, scratch))? {
                None => return Ok(true),
                Some(0) => return Ok(false),
                Some(received) => received,
            };
            let data = &scratch[..received];
            if self.input.is_empty() {
                let used = self.take(data);
                self.input.extend_from_slice(&data[used..]);
            } else {
                let mut joined = std::mem::take(&mut self.input);
                joined.extend_from_slice(data);
                let used = self.take(&joined);
                joined.drain(..used);
                self.input = joined;
            }
            self.flush()?;
            if received < scratch.len() {
                return Ok(true);
            }
        }
    }

    /// Bytes of `data` that are done with.
    fn take(&mut self, data: &[u8]) -> usize {
        let mut used = 0;
        while used < data.len() {
            let rest = &data[used..];
            let taken = match &mut self.stage {
                Stage::Head => self.head(rest),
                Stage::Sized(left) => {
                    let n = (*left).min(rest.len() as u64);
                    *left -= n;
                    if *left == 0 {
                        self.stage = Stage::Head;
                        self.output.extend_from_slice(OK);
                    }
                    n as usize
                }
                Stage::Chunked(chunks) => {
                    let (n, end) = chunks.skip(rest);
                    if end {
                        self.stage = Stage::Head;
                        self.output.extend_from_slice(OK);
                    }
                    n
                }
                Stage::WebSocket => self.frame(rest),
            };
            if taken == 0 {
                break;
            }
            used += taken;
        }
        used
    }

    fn head(&mut self, data: &[u8]) -> usize {
        let Some(head) = Head::read(data) else { return 0 };
        if let Some(key) = head.websocket_key {
            let accept = derive_accept_key(key);
            let answer = format!("{UPGRADE}Sec-WebSocket-Accept: {accept}\r\n\r\n");
            self.output.extend_from_slice(answer.as_bytes());
            self.stage = Stage::WebSocket;
        } else if head.chunked {
            self.stage = Stage::Chunked(Chunks::default());
        } else if let Some(length @ 1..) = head.content_length {
            self.stage = Stage::Sized(length);
        } else {
            let bytes = head.target().strip_prefix(b"/bytes/").and_then(number).unwrap_or(0);
            let answer = format!("{ANSWER}Content-Length: {bytes}\r\n\r\n");
            self.output.extend_from_slice(answer.as_bytes());
            self.filler = bytes;
            if bytes <= FILLER.len() as u64 {
                self.output.extend_from_slice(&FILLER[..bytes as usize]);
                self.filler = 0;
            }
        }
        head.bytes
    }

    fn frame(&mut self, data: &[u8]) -> usize {
        let Some(frame) = Frame::read(data) else { return 0 };
        let mut payload = data[frame.start..frame.end].to_vec();
        if let Some(mask) = frame.mask {
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        }
        if frame.opcode <= 2 {
            Frame::write(&mut self.output, &payload, None);
        }
        frame.end
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.output.len() {
            match unless_blocked(write(&self.socket, &self.output[sent..]))? {
                Some(n) => sent += n,
                None => break,
            }
        }
        self.output.drain(..sent);
        while self.output.is_empty() && self.filler > 0 {
            let piece = self.filler.min(FILLER.len() as u64) as usize;
            match unless_blocked(write(&self.socket, &FILLER[..piece]))? {
                Some(n) => self.filler -= n as u64,
                None => break,
            }
        }
        Ok(())
    }
}

fn read(socket: &OwnedFd, into: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(socket, into)?)
}

fn write(socket: &OwnedFd, from: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, from, SendFlags::NOSIGNAL)?)
}

const TCP: u64 = u64::MAX;
const UNIX: u64 = u64::MAX - 1;
const BACKLOG: i32 = 4096;
const SCRATCH_BYTES: usize = 256 * 1024;
static FILLER: [u8; 256 * 1024] = [b'x'; 256 * 1024];
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const UPGRADE: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
