//! How connections end. An ordinary end is a [`Closed`]; anything else is a [`Fault`] that says at
//! which stage, on whose side and why, and is turned into a status, a log level and words here and
//! nowhere else.

use std::fmt;
use std::io;

use crate::config::Level;
use crate::errno;
use crate::stage::{Interrupt, Stage};

/// An end without blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The client left between two requests, or never sent one.
    ByClient,
    /// We were asked to, or had to, after an answer.
    AfterAnswer,
    /// Nobody sent anything for long enough.
    Idle,
    /// The worker drains.
    Drained,
}

#[derive(Debug)]
pub struct Fault {
    pub stage: Stage,
    pub side: Side,
    pub cause: Cause,
}

/// Who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Upstream,
    Sheen,
}

#[derive(Debug)]
pub enum Cause {
    Interrupted(Interrupt),
    /// The end of the stream in the middle of something.
    Closed,
    /// The TLS stream ended without close_notify: bytes may be missing.
    Truncated,
    /// Seen while waiting for the upstream.
    ClientGone,
    Io(io::Error),
    Tls(rustls::Error),
    /// `ssl_reject_handshake`.
    NameRejected,
    /// Plain HTTP on a TLS listener.
    PlainOnTls,
    Refused(Refusal),
}

/// Why a message is not accepted: the status a client gets for it, and the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// For a request. A refused answer of an upstream is 502 whatever stands here.
    pub status: u16,
    pub words: &'static str,
}

impl Refusal {
    pub const fn bad_request(words: &'static str) -> Self {
        Self { status: 400, words }
    }
}

impl Fault {
    /// The status for the client, when an answer can still be given.
    pub fn status(&self) -> Option<u16> {
        match (&self.cause, self.side) {
            (Cause::Refused(refusal), Side::Client | Side::Sheen) => Some(refusal.status),
            (Cause::Refused(_), Side::Upstream) => Some(502),
            (Cause::PlainOnTls, _) => Some(400),
            (Cause::Interrupted(Interrupt::Deadline), Side::Client) => match self.stage {
                Stage::ReadRequestHead | Stage::ReadRequestBody => Some(408),
                _ => None,
            },
            (Cause::Interrupted(Interrupt::Deadline), _) => Some(504),
            (Cause::Interrupted(Interrupt::Drain | Interrupt::Cut), Side::Client) => None,
            (Cause::Interrupted(Interrupt::Drain | Interrupt::Cut), _) => Some(503),
            (Cause::Closed | Cause::Io(_) | Cause::Truncated, Side::Upstream) => Some(502),
            (Cause::Io(_), Side::Sheen) => Some(500),
            (Cause::Closed | Cause::Truncated | Cause::ClientGone | Cause::Io(_), _)
            | (Cause::Tls(_) | Cause::NameRejected, _) => None,
        }
    }

    /// The status in the access log when the client could not be answered: nginx's words.
    pub fn log_status(&self) -> u16 {
        self.status().unwrap_or(match self.side {
            // It went before it had said what it wants.
            Side::Client
                if matches!(self.stage, Stage::ReadRequestHead | Stage::ReadRequestBody) =>
            {
                400
            }
            Side::Client => 499,
            Side::Upstream | Side::Sheen => 500,
        })
    }

    /// What clients do to us is news at most; what the app does is an error, as in nginx.
    pub fn level(&self) -> Level {
        match (&self.cause, self.side) {
            (Cause::Interrupted(Interrupt::Drain | Interrupt::Cut), _) => Level::Info,
            // nginx.conf has a limit to raise, and who runs it has to hear of it.
            (Cause::Refused(Refusal { status: 413, .. }), Side::Client) => Level::Error,
            (_, Side::Client) => Level::Info,
            (_, Side::Upstream | Side::Sheen) => Level::Error,
        }
    }

    /// True when another connection to the same upstream may do better: this one was dead.
    pub fn is_dead_connection(&self) -> bool {
        self.side == Side::Upstream && matches!(self.cause, Cause::Closed | Cause::Io(_))
    }

    /// Between two requests hardly anything is a fault: the client went, or nobody came.
    pub fn between_requests(self) -> Result<Closed, Self> {
        match self.cause {
            Cause::Interrupted(Interrupt::Deadline) => Ok(Closed::Idle),
            Cause::Interrupted(Interrupt::Drain | Interrupt::Cut) => Ok(Closed::Drained),
            Cause::Closed | Cause::Truncated | Cause::Io(_) => Ok(Closed::ByClient),
            _ => Err(self),
        }
    }

    pub fn refused(stage: Stage, side: Side, refusal: Refusal) -> Self {
        Self { stage, side, cause: Cause::Refused(refusal) }
    }
}

/// In nginx's words, which other programs look for.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.side {
            Side::Client => "client",
            Side::Upstream => "upstream",
            Side::Sheen => "sheen",
        };
        match &self.cause {
            Cause::Interrupted(Interrupt::Deadline) => {
                write!(f, "{who} timed out (110: Connection timed out)")?;
            }
            Cause::Interrupted(Interrupt::Drain | Interrupt::Cut) => {
                write!(f, "connection ended by shutdown")?;
            }
            Cause::Closed => write!(f, "{who} prematurely closed connection")?,
            Cause::Truncated => write!(f, "{who} closed connection without close_notify")?,
            Cause::ClientGone => write!(f, "client prematurely closed connection")?,
            Cause::Io(error) => {
                write!(f, "{} failed ({})", self.stage.call(), errno::words(error))?;
            }
            Cause::Tls(error) => write!(f, "TLS with {who} failed: {error}")?,
            Cause::NameRejected => write!(f, "handshake rejected: its server name is not served")?,
            Cause::PlainOnTls => write!(f, "client sent plain HTTP request to HTTPS port")?,
            Cause::Refused(refusal) => match self.side {
                Side::Upstream => write!(f, "upstream sent an invalid answer: {}", refusal.words)?,
                Side::Client | Side::Sheen if refusal.words.starts_with("client ") => {
                    f.write_str(refusal.words)?;
                }
                Side::Client | Side::Sheen => {
                    write!(f, "client sent invalid request: {}", refusal.words)?;
                }
            },
        }
        write!(f, " while {}", self.stage.words())
    }
}
