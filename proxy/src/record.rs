//! What the logs say of a client and of each exchange: collected while it runs, written at its end.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::time::Instant;

use crate::config::{Level, UpstreamAddress};
use crate::context::Worker;
use crate::fault::Fault;
use crate::log::{self, Access};
use crate::serve::Ongoing;
use crate::tls::stream::Handshake;

#[derive(Debug)]
pub struct Record {
    pub request: log::Request,
    pub begun: Instant,
    /// 0 until there is an answer.
    pub status: Cell<u16>,
    /// Bytes of the answer's body.
    pub sent: Cell<u64>,
    /// True exactly when the client may have bytes of an answer: no other can be given.
    pub answering: Cell<bool>,
    /// What its log lines go by, where nginx.conf says it.
    pub ongoing: RefCell<Option<Box<Ongoing>>>,
    pub upstream: RefCell<Option<UpstreamAddress>>,
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
            answering: Cell::new(false),
            ongoing: RefCell::new(None),
            upstream: RefCell::new(None),
            by_kernel: Cell::new(false),
        }
    }
}

impl Record {
    /// Begins the next exchange.
    pub fn begin(&mut self) {
        self.request.clear();
        self.begun = Instant::now();
        self.status.set(0);
        self.sent.set(0);
        self.answering.set(false);
        self.ongoing.replace(None);
        self.upstream.replace(None);
        self.by_kernel.set(false);
    }

    /// For an exchange that goes on for long.
    pub fn shrink(&mut self) {
        self.request.shrink();
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
    /// Of the client.
    pub port: u16,
    /// Where it came to; asked for by whoever needs it.
    pub local: OnceCell<SocketAddr>,
    pub trusted: Cell<bool>,
    pub handshake: OnceCell<Handshake>,
}

/// The access line of an exchange.
pub fn log_access(worker: &Worker, identity: &Identity, record: &Record) {
    if let Some(mut ongoing) = record.ongoing.take() {
        ongoing.log(worker, record);
        return worker.give_back(ongoing.into_state());
    }
    worker.log.access(&Access {
        client: &identity.address,
        request: &record.request,
        status: record.status.get(),
        sent: record.sent.get(),
        duration: record.begun.elapsed(),
        upstream: record.upstream.borrow().as_ref(),
        by_kernel: record.by_kernel.get(),
        tls: identity.handshake.get().map(|handshake| handshake.protocol),
    });
}

/// The error line of a connection, in nginx's words.
pub fn log_fault(worker: &Worker, identity: &Identity, record: &Record, fault: &Fault) {
    log_error(worker, identity, record, fault.level(), &fault.to_string());
}

/// An error line with what it was about behind the words.
pub fn log_error(worker: &Worker, identity: &Identity, record: &Record, level: Level, what: &str) {
    let mut words = format!("*{} {what}, client: {}", identity.number, identity.address);
    let handshake = identity.handshake.get();
    if let Some(name) = handshake.and_then(|handshake| handshake.server_name.as_deref()) {
        words.push_str(&format!(", server: {name}"));
    }
    if record.has_request() {
        words.push_str(&format!(", request: \"{}\"", log::printable(record.request.line())));
    }
    if let Some(upstream) = &*record.upstream.borrow() {
        words.push_str(&format!(", upstream: \"{upstream}\""));
    }
    if !record.request.host().is_empty() {
        words.push_str(&format!(", host: \"{}\"", log::printable(record.request.host())));
    }
    worker.log.say(level, words);
}
