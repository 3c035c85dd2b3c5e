//! What the logs say of a client and of each exchange: collected while it runs, written at its end.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::config::{Level, ListenAddress};
use crate::context::Worker;
use crate::fault::Fault;
use crate::log::{self, Access};
use crate::proxy_protocol::Header;
use crate::serve::Ongoing;
use crate::tls::session::Handshake;
use crate::tls::stream::Stream;
use crate::tries::Tries;

#[derive(Debug)]
pub struct Record {
    pub request: log::Request,
    pub begun: Instant,
    /// 0 until there is an answer.
    pub status: Cell<u16>,
    /// Bytes of the answer's body.
    pub sent: Cell<u64>,
    /// Bytes of the answer's head.
    pub head_sent: Cell<u64>,
    /// What the client had been sent on this connection when the exchange began.
    pub sent_before: Cell<u64>,
    /// Bytes that have come of the request's body, its framing with them.
    pub body_received: Cell<u64>,
    /// True exactly when the answer went out whole.
    pub is_complete: Cell<bool>,
    /// True exactly when it had come before the exchange before it was over.
    pub is_pipelined: Cell<bool>,
    /// True exactly when the client may have bytes of an answer: no other can be given.
    pub answering: Cell<bool>,
    /// True exactly when the client may still be sending the request's body.
    pub owes_body: Cell<bool>,
    /// What its log lines go by, where nginx.conf says it.
    pub ongoing: RefCell<Option<Box<Ongoing>>>,
    /// Shared with `ongoing`.
    pub tries: Rc<Tries>,
    /// True exactly when the kernel moved the answer's body, TLS and all.
    pub by_kernel: Cell<bool>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            request: log::Request::default(),
            begun: Instant::now(),
            status: Cell::new(0),
            sent: Cell::new(0),
            head_sent: Cell::new(0),
            sent_before: Cell::new(0),
            body_received: Cell::new(0),
            is_complete: Cell::new(false),
            is_pipelined: Cell::new(false),
            answering: Cell::new(false),
            owes_body: Cell::new(false),
            ongoing: RefCell::new(None),
            tries: Rc::default(),
            by_kernel: Cell::new(false),
        }
    }
}

impl Record {
    /// Begins the next exchange with a client that has been sent so many bytes.
    pub fn begin(&mut self, sent_before: u64) {
        self.clear();
        self.begun = Instant::now();
        self.sent_before.set(sent_before);
    }

    /// Forgets an exchange that is over.
    pub fn clear(&mut self) {
        self.request.clear();
        self.status.set(0);
        self.sent.set(0);
        self.head_sent.set(0);
        self.body_received.set(0);
        self.is_complete.set(false);
        self.is_pipelined.set(false);
        self.answering.set(false);
        self.owes_body.set(false);
        self.ongoing.replace(None);
        self.tries.clear();
        self.by_kernel.set(false);
    }

    /// For an exchange that goes on for long.
    pub fn shrink(&mut self) {
        self.request.shrink();
        self.tries.shrink();
        if let Some(ongoing) = self.ongoing.get_mut() {
            ongoing.shrink();
        }
    }

    /// True when a request has begun, so that there is something to log.
    pub fn has_request(&self) -> bool {
        !self.request.line().is_empty()
    }
}

/// Who the client is, for the logs and for the app.
#[derive(Debug)]
pub struct Identity {
    pub number: u64,
    pub address: Box<str>,
    /// The same as a number; none on a socket in the file system.
    pub ip: Option<IpAddr>,
    /// Of the client.
    pub port: u16,
    /// When it was accepted, in milliseconds since 1970.
    pub since_ms: u64,
    /// Whom a balancer in front of it speaks for, where `address` is the balancer's.
    pub introduction: Option<Box<Introduction>>,
    /// Where it came to; asked for by whoever needs it.
    pub local: OnceCell<ListenAddress>,
    pub trusted: Cell<bool>,
    pub handshake: OnceCell<Handshake>,
}

impl Identity {
    /// Where the client came to; a connection has asked before its first request is read.
    pub fn local(&self) -> &ListenAddress {
        self.local.get_or_init(|| ListenAddress::NOWHERE)
    }
}

/// What a PROXY protocol header says.
#[derive(Debug)]
pub struct Introduction {
    pub client: SocketAddr,
    pub client_text: Box<str>,
    /// Where the client's connection went to.
    pub server_text: Box<str>,
    pub server_port: u16,
}

impl Introduction {
    /// `None`: the balancer speaks for itself.
    pub fn of(header: &Header) -> Option<Self> {
        let client = header.client?;
        let server = header.server.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
        Some(Self {
            client,
            client_text: client.ip().to_string().into(),
            server_text: server.ip().to_string().into(),
            server_port: server.port(),
        })
    }
}

/// The clock of the logs, in milliseconds since 1970.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The access line of an exchange.
pub fn log_access(worker: &Worker, identity: &Identity, record: &Record, client: &Stream) {
    if let Some(mut ongoing) = record.ongoing.take() {
        ongoing.log(worker, record, client.sent() - record.sent_before.get());
        return worker.give_back(ongoing.into_spare());
    }
    worker.log.access(&Access {
        client: &identity.address,
        request: &record.request,
        status: record.status.get(),
        sent: record.sent.get(),
        begun: record.begun,
        upstream: record.tries.address().as_deref(),
        by_kernel: record.by_kernel.get(),
        tls: identity.handshake.get().map(|handshake| handshake.protocol),
    });
}

/// The error line of a connection, in nginx's form, which other programs look for.
pub fn log_fault(
    worker: &Worker,
    identity: &Identity,
    record: &Record,
    ongoing: Option<&Ongoing>,
    fault: &Fault,
) {
    log_event(worker, identity, record, ongoing, (fault.level(), fault));
}

/// An error line about a request: a level, and what is wrong.
pub fn log_event(
    worker: &Worker,
    identity: &Identity,
    record: &Record,
    ongoing: Option<&Ongoing>,
    (level, what): (Level, &dyn fmt::Display),
) {
    let (client, server) = match ongoing {
        Some(ongoing) => {
            let (client, server) = ongoing.parties();
            (client, Some(log::printable(server)))
        }
        None => {
            let handshake = identity.handshake.get();
            let name = handshake.and_then(|handshake| handshake.server_name.as_deref());
            (&*identity.address, name.map(str::to_owned))
        }
    };
    let mut words = format!("*{} {what}, client: {client}", identity.number);
    let mut say = |name: &str, value: &str, quote: &str| {
        let _ = write!(words, ", {name}: {quote}{value}{quote}");
    };
    if let Some(server) = server {
        say("server", &server, "");
    }
    if record.has_request() {
        say("request", &log::printable(record.request.line()), "\"");
    }
    if let Some(upstream) = record.tries.address() {
        let target = ongoing.map(|ongoing| log::printable(ongoing.target()));
        match target {
            Some(target) => say("upstream", &format!("http://{upstream}{target}"), "\""),
            None => say("upstream", &upstream.to_string(), "\""),
        }
    }
    for (name, value) in [("host", record.request.host()), ("referrer", record.request.referer())] {
        if !value.is_empty() {
            say(name, &log::printable(value), "\"");
        }
    }
    match ongoing.and_then(Ongoing::error_logs) {
        Some((all, logs)) => worker.log.say_in(all, logs, level, &words),
        None => worker.log.say(level, words),
    }
}
