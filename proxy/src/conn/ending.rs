//! The last words of a connection: a proper close, or an error page and the log.

use super::Connection;
use crate::fault::{Cause, Closed, Fault, Side};
use crate::h1::head::Version;
use crate::limits::LINGER;
use crate::record::{log_access, log_fault};
use crate::respond;
use crate::serve;
use crate::stage::{Interrupt, Stage};

impl Connection {
    /// An ordinary end: what we still have to say is said, and what the client still sends is not
    /// answered with a reset.
    pub(super) async fn close(self, closed: Closed) {
        if self.front.resets && self.record.status.get() == CLOSED_UNANSWERED {
            return self.client.reset_on_close();
        }
        self.client.watch.enter(Stage::Linger, LINGER);
        if self.client.finish().await.is_ok() && closed == Closed::AfterAnswer {
            self.linger().await;
        }
    }

    /// Waits for a client that has its last answer, so that it is not reset while it reads.
    async fn linger(&self) {
        let is_done = !self.record.owes_body.get() && self.input.is_empty();
        if is_done && !self.client.throw_away() {
            if self.worker.is_draining() {
                return;
            }
            // A drain waits for it no longer than for any client between two requests.
            self.client.watch.enter(Stage::KeepAlive, LINGER);
        }
        self.client.linger().await;
    }

    /// The end of a connection on which something went wrong: an answer if one can be given, and
    /// the log.
    pub(super) async fn fail(mut self, fault: Fault) {
        let worker = self.worker.clone();
        if matches!(fault.cause, Cause::PlainOnTls) {
            self.client.take_plain(&mut self.input);
        }
        let early = fault.stage == Stage::ReadRequestHead || !self.input.is_empty();
        if early && !self.record.has_request() {
            let seen = self.input.data();
            let line = seen.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
            self.record.request.set(line, b"", b"", b"");
        }
        self.record_refused();
        log_fault(
            &worker,
            &self.identity,
            &self.record,
            self.record.ongoing.borrow().as_deref(),
            &fault,
        );
        let answering = self.record.answering.get();
        if !answering {
            self.record.status.set(fault.log_status());
        }
        let timed_out = matches!(fault.cause, Cause::Interrupted(Interrupt::Deadline));
        if self.front.resets && timed_out && fault.side == Side::Client {
            if self.record.has_request() {
                log_access(&worker, &self.identity, &self.record, &self.client);
            }
            return self.client.reset_on_close();
        }
        let status = fault.status().filter(|_| !answering);
        if let Some(status) = status {
            let out = self.last_words(&fault, status);
            self.client.watch.enter(Stage::Linger, LINGER);
            // A client that does not take it has been logged already.
            let sent = match fault.cause {
                Cause::PlainOnTls => self.client.write_past_tls(&out).await,
                _ => self.client.write(&out).await,
            };
            self.record.is_complete.set(sent.is_ok());
            if self.record.has_request() {
                log_access(&worker, &self.identity, &self.record, &self.client);
            }
            if sent.is_ok() && self.client.finish().await.is_ok() {
                self.linger().await;
            }
            return;
        }
        if self.record.has_request() {
            log_access(&worker, &self.identity, &self.record, &self.client);
        }
        match fault.cause {
            Cause::Interrupted(Interrupt::Cut | Interrupt::Drain) => self.client.abandon(),
            _ if answering && !self.client.is_tls() => self.client.reset_on_close(),
            _ => {}
        }
    }

    /// The answer to a fault, put on record.
    fn last_words(&self, fault: &Fault, status: u16) -> Vec<u8> {
        let is_plain = matches!(fault.cause, Cause::PlainOnTls);
        let known = if is_plain { PLAIN_ON_TLS } else { status };
        let ongoing = &mut *self.record.ongoing.borrow_mut();
        let page = ongoing.as_deref_mut().filter(|ongoing| !is_plain || ongoing.has_page(known));
        let page = page.and_then(|ongoing| serve::last_words(ongoing, known, fields_of(status)));
        let (status, out, body) = page.unwrap_or_else(|| {
            let mut out = Vec::new();
            let body = self.error_page(fault, status, &mut out);
            (status, out, body)
        });
        self.record.status.set(status);
        self.record.sent.set(body);
        self.record.head_sent.set(out.len() as u64 - body);
        out
    }

    fn error_page(&self, fault: &Fault, status: u16, out: &mut Vec<u8>) -> u64 {
        if matches!(fault.cause, Cause::PlainOnTls) {
            return respond::write_plain_on_tls(out);
        }
        let server_name = self.identity.handshake.get().and_then(|h| h.server_name.as_deref());
        let answer = respond::Answer {
            status,
            server: respond::SERVER,
            fields: fields_of(status),
            hsts: self.hsts(self.snapshot.routes.index(server_name.unwrap_or_default())),
            connection: respond::connection(false, Version::Http11),
            to_head: self.record.request.line().starts_with(b"HEAD "),
        };
        respond::write(out, &answer)
    }
}

/// What belongs to a status.
fn fields_of(status: u16) -> &'static [u8] {
    match status {
        405 => b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n",
        426 => b"Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n",
        _ => b"",
    }
}

/// nginx's number for plain HTTP on a TLS port, in `error_page` alone; clients see 400.
const PLAIN_ON_TLS: u16 = 497;
/// nginx's status for `return 444`: closed without an answer.
const CLOSED_UNANSWERED: u16 = 444;
