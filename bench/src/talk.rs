//! What one connection of the load says and hears.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::link::{Link, Receipt};
use crate::pki;
use crate::wire::{Chunks, Frame, Head};

/// What the connections of a load do.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// The same request again and again, on one connection or each on its own.
    Get {
        request: Vec<u8>,
        status: u64,
        one_each: bool,
    },
    Upload {
        bytes: u64,
    },
    /// A message, its echo, the next message.
    Echo {
        bytes: usize,
    },
    /// A WebSocket on which nothing is said.
    Idle,
    /// What a Shiny user's browser does: page, assets, WebSocket, a message a second each way; a
    /// new user after `life`.
    Sessions {
        life: Duration,
    },
}

/// What happened since it was last looked at.
#[derive(Debug, Default, Clone)]
pub(crate) struct Stats {
    pub(crate) exchanges: u64,
    pub(crate) messages: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) handshakes: u64,
    pub(crate) resumed: u64,
    /// Requests and handshakes that got no answer, or a wrong one.
    pub(crate) failed: u64,
    /// WebSockets that ended and should not have.
    pub(crate) closed: u64,
    pub(crate) version: Option<&'static str>,
    pub(crate) latency: Histogram,
}

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Request,
    Upload {
        left: u64,
    },
    /// The page is 0, the assets follow.
    Asset(usize),
    Upgrade,
    Echo,
    Quiet,
    Live,
}

/// What becomes of a connection after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Stay,
    /// Close it and open one that begins with this step.
    Replace(Step),
}

#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) link: Link,
    pub(crate) slot: usize,
    pub(crate) step: Step,
    /// True once an answer has come.
    pub(crate) established: bool,
    /// A live session ends then.
    pub(crate) until: Option<Instant>,
    /// True exactly when what follows an answer is said at its own time.
    paced: bool,
    /// When what is waited for was sent.
    since: Instant,
    waiting: bool,
    hearing: Hearing,
}

impl Talk {
    /// Says the first thing.
    pub(crate) fn begin(
        link: Link,
        slot: usize,
        step: Step,
        paced: bool,
        work: &Work,
    ) -> io::Result<Self> {
        let mut talk = Self {
            link,
            slot,
            step,
            established: false,
            until: None,
            paced,
            since: Instant::now(),
            waiting: false,
            hearing: Hearing::default(),
        };
        talk.say(work)?;
        Ok(talk)
    }

    pub(crate) fn is_websocket(&self) -> bool {
        matches!(self.step, Step::Echo | Step::Quiet | Step::Live)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Sends what its step asks for, and begins to wait for the answer.
    pub(crate) fn say(&mut self, work: &Work) -> io::Result<()> {
        self.since = Instant::now();
        self.waiting = true;
        match (self.step, work) {
            (Step::Request, Work::Get { request, .. }) => self.link.send(request),
            (Step::Upload { left }, _) => self.link.send(&upload_head(left)),
            (Step::Asset(n), _) => self.link.send(&get(&format!("/bytes/{}", ASSETS[n]))),
            (Step::Upgrade, _) => self.link.send(upgrade().as_bytes()),
            (Step::Echo, Work::Echo { bytes }) => self.send_message(*bytes),
            (Step::Live, _) => self.send_message(LIVE_MESSAGE_BYTES),
            (Step::Request | Step::Echo | Step::Quiet, _) => {
                self.waiting = false;
                Ok(())
            }
        }
    }

    fn send_message(&mut self, bytes: usize) -> io::Result<()> {
        let mut frame = Vec::with_capacity(bytes + 8);
        Frame::write(&mut frame, &vec![b'm'; bytes], Some([0x12, 0x34, 0x56, 0x78]));
        self.link.send(&frame)
    }

    /// Something happened on the socket.
    pub(crate) fn go_on(
        &mut self,
        readable: bool,
        scratch: &mut [u8],
        work: &Work,
        stats: &mut Stats,
    ) -> io::Result<Next> {
        self.link.flush()?;
        self.upload(stats)?;
        if !readable {
            return Ok(Next::Stay);
        }
        loop {
            let (hearing, websocket) = (&mut self.hearing, self.step.is_websocket());
            let receipt = self.link.receive(scratch, |data| {
                stats.bytes_in += data.len() as u64;
                hearing.hear(data, websocket);
            })?;
            while let Some(heard) = self.hearing.heard.pop_front() {
                match self.answer(heard, work, stats)? {
                    Next::Stay => {}
                    next @ Next::Replace(_) => return Ok(next),
                }
            }
            self.upload(stats)?;
            match receipt {
                Receipt::Drained => return Ok(Next::Stay),
                Receipt::More => {}
                Receipt::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    fn answer(&mut self, heard: Heard, work: &Work, stats: &mut Stats) -> io::Result<Next> {
        if !self.established {
            self.established = true;
            if let Some((resumed, version)) = self.link.handshake() {
                stats.handshakes += 1;
                stats.resumed += u64::from(resumed);
                stats.version = Some(version);
            }
        }
        match (heard, work) {
            (Heard::Message, _) => stats.messages += 1,
            (Heard::Answer(101), _) if self.step == Step::Upgrade => {}
            (Heard::Answer(status), Work::Get { status: wanted, .. }) if status == *wanted => {
                stats.exchanges += 1;
            }
            (Heard::Answer(200), _) if self.step != Step::Upgrade => stats.exchanges += 1,
            (Heard::Answer(status), _) => {
                return Err(io::Error::other(format!("answered with {status}")));
            }
        }
        if self.waiting {
            stats.latency.add(self.since.elapsed());
            self.waiting = false;
        }
        self.step = match (self.step, work) {
            (Step::Request, Work::Get { one_each: true, .. }) => {
                return Ok(Next::Replace(Step::Request));
            }
            (Step::Asset(n), _) if n + 1 == ASSETS.len() => {
                return Ok(Next::Replace(Step::Upgrade));
            }
            (Step::Asset(n), _) => Step::Asset(n + 1),
            (Step::Upload { .. }, Work::Upload { bytes }) => Step::Upload { left: *bytes },
            (Step::Upgrade, Work::Echo { .. }) => Step::Echo,
            (Step::Upgrade, Work::Sessions { .. }) => Step::Live,
            (Step::Upgrade, _) => Step::Quiet,
            (step, _) => step,
        };
        // A session's page and assets follow each other at once.
        if !self.paced || matches!(self.step, Step::Asset(_) | Step::Upgrade) {
            self.say(work)?;
        }
        Ok(Next::Stay)
    }

    /// Sends more of a body while the kernel takes it.
    fn upload(&mut self, stats: &mut Stats) -> io::Result<()> {
        while let Step::Upload { left } = self.step
            && left > 0
            && self.link.is_flushed()
        {
            let piece = left.min(FILLER.len() as u64);
            self.step = Step::Upload { left: left - piece };
            stats.bytes_out += piece;
            self.link.send(&FILLER[..piece as usize])?;
        }
        Ok(())
    }
}

impl Step {
    fn is_websocket(self) -> bool {
        matches!(self, Self::Echo | Self::Quiet | Self::Live)
    }
}

#[derive(Debug, Clone, Copy)]
enum Heard {
    /// With its status.
    Answer(u64),
    Message,
}

/// Turns bytes into answers and messages; bodies are counted, not kept.
#[derive(Debug, Default)]
struct Hearing {
    /// The beginning of a head or a frame.
    begun: Vec<u8>,
    status: u64,
    body: Body,
    heard: VecDeque<Heard>,
}

#[derive(Debug, Default)]
enum Body {
    #[default]
    None,
    Sized(u64),
    Chunked(Chunks),
}

impl Hearing {
    fn hear(&mut self, data: &[u8], websocket: bool) {
        if self.begun.is_empty() {
            let used = self.take(data, websocket);
            self.begun.extend_from_slice(&data[used..]);
        } else {
            let mut joined = std::mem::take(&mut self.begun);
            joined.extend_from_slice(data);
            let used = self.take(&joined, websocket);
            joined.drain(..used);
            self.begun = joined;
        }
    }

    fn take(&mut self, data: &[u8], websocket: bool) -> usize {
        let mut used = 0;
        while used < data.len() {
            let rest = &data[used..];
            used += match &mut self.body {
                Body::None if websocket => {
                    let Some(frame) = Frame::read(rest) else { break };
                    self.heard.push_back(Heard::Message);
                    frame.end
                }
                Body::None => {
                    let Some(head) = Head::read(rest) else { break };
                    self.status = head.status();
                    self.body = match (head.chunked, head.content_length) {
                        (true, _) => Body::Chunked(Chunks::default()),
                        (false, Some(length @ 1..)) => Body::Sized(length),
                        (false, _) => Body::None,
                    };
                    if matches!(self.body, Body::None) {
                        self.heard.push_back(Heard::Answer(self.status));
                    }
                    head.bytes
                }
                Body::Sized(left) => {
                    let n = (*left).min(rest.len() as u64);
                    *left -= n;
                    let end = *left == 0;
                    self.end_body(end);
                    n as usize
                }
                Body::Chunked(chunks) => {
                    let (n, end) = chunks.skip(rest);
                    self.end_body(end);
                    n
                }
            };
        }
        used
    }

    fn end_body(&mut self, end: bool) {
        if end {
            self.body = Body::None;
            self.heard.push_back(Heard::Answer(self.status));
        }
    }
}

/// A request as a browser makes it.
pub(crate) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{BROWSER}\r\n", pki::NAME).into_bytes()
}

fn upload_head(bytes: u64) -> Vec<u8> {
    let host = pki::NAME;
    let kind = "application/octet-stream";
    format!(
        "POST /upload HTTP/1.1\r\nHost: {host}\r\n{BROWSER}Content-Type: {kind}\r\n\
         Content-Length: {bytes}\r\n\r\n"
    )
    .into_bytes()
}

fn upgrade() -> String {
    format!(
        "GET /websocket/ HTTP/1.1\r\nHost: {}\r\n{BROWSER}Connection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        pki::NAME
    )
}

/// The page and the twelve assets of a small Shiny app: bytes.
const ASSETS: [u32; 13] = [
    8_000, 90_000, 120_000, 60_000, 20_000, 15_000, 10_000, 8_000, 5_000, 5_000, 3_000, 2_000,
    1_000,
];
const LIVE_MESSAGE_BYTES: usize = 200;
const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101\r\n\
    Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\n";
static FILLER: [u8; 256 * 1024] = [b'u'; 256 * 1024];
