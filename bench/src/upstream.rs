//! The app behind every proxy: plain HTTP/1.1 and a WebSocket echo, one thread, as cheap as can be.
//!
//! `GET /bytes/N` is answered with N bytes, a body of any kind with "ok" once it has come whole, and an upgrade with
//! an echo of whatever is sent.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use tungstenite::handshake::derive_accept_key;

use crate::link::unless_blocked;
use crate::poll::{Poll, Slots};
use crate::wire::{Chunks, Frame, Head, number};

/// Serves until the process ends.
pub(crate) fn run(listener: &TcpListener) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.add(listener, LISTENER)?;
    let mut clients: Slots<Client> = Slots::default();
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut turn = Vec::new();
    loop {
        poll.wait(None, &mut turn)?;
        for (key, readable) in turn.drain(..) {
            if key == LISTENER {
                accept(listener, &poll, &mut clients)?;
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

/// A listener on a free port of the loopback.
pub(crate) fn bind() -> io::Result<(TcpListener, SocketAddr)> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = sheen::io::listener::bind(any, &sheen::config::ListenOptions::default())?;
    let listener = TcpListener::from(listener);
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn accept(listener: &TcpListener, poll: &Poll, clients: &mut Slots<Client>) -> io::Result<()> {
    loop {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        socket.set_nonblocking(true)?;
        let key = clients.reserve();
        poll.add(&socket, key)?;
        clients.put(key, Client::new(socket));
    }
}

#[derive(Debug)]
struct Client {
    socket: TcpStream,
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
    fn new(socket: TcpStream) -> Self {
        Self { socket, stage: Stage::Head, input: Vec::new(), output: Vec::new(), filler: 0 }
    }

    /// False when the connection has ended.
    fn go_on(&mut self, readable: bool, scratch: &mut [u8]) -> io::Result<bool> {
        self.flush()?;
        if !readable {
            return Ok(true);
        }
        loop {
            let received = match unless_blocked(self.socket.read(scratch))? {
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
            match unless_blocked(self.socket.write(&self.output[sent..]))? {
                Some(n) => sent += n,
                None => break,
            }
        }
        self.output.drain(..sent);
        while self.output.is_empty() && self.filler > 0 {
            let piece = self.filler.min(FILLER.len() as u64) as usize;
            match unless_blocked(self.socket.write(&FILLER[..piece]))? {
                Some(n) => self.filler -= n as u64,
                None => break,
            }
        }
        Ok(())
    }
}

const LISTENER: u64 = u64::MAX;
const SCRATCH_BYTES: usize = 256 * 1024;
static FILLER: [u8; 256 * 1024] = [b'x'; 256 * 1024];
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const UPGRADE: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
