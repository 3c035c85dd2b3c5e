//! The last words of a connection: a proper close, or an error page and the log.

use super::Connection;
use crate::fault::{Cause, Closed, Fault, Side};
use crate::limits::LINGER;
use crate::record::{log_access, log_fault};
use crate::respond;
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
            self.client.linger().await;
        }
    }

    /// The end of a connection on which something went wrong: an answer if one can be given, and
    /// the log.
    pub(super) async fn fail(mut self, fault: Fault) {
        let worker = self.worker.clone();
        if fault.stage == Stage::ReadRequestHead && !self.record.has_request() {
            let seen = self.input.data();
            let line = seen.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
            self.record.request.set(line, b"", b"", b"");
        }
        log_fault(&worker, &self.identity, &self.record, &fault);
        let answering = self.record.answering.get();
        if !answering {
            self.record.status.set(fault.log_status());
        }
        let timed_out = matches!(fault.cause, Cause::Interrupted(Interrupt::Deadline));
        if self.front.resets && timed_out && fault.side == Side::Client {
            if self.record.has_request() {
                log_access(&worker, &self.identity, &self.record);
            }
            return self.client.reset_on_close();
        }
        let status = fault.status().filter(|_| !answering);
        if let Some(status) = status {
            let mut out = Vec::new();
            self.record.sent.set(self.error_page(&fault, status, &mut out));
            self.client.watch.enter(Stage::Linger, LINGER);
            // A client that does not take it has been logged already.
            let sent = match fault.cause {
                Cause::PlainOnTls => self.client.write_past_tls(&out).await,
                _ => self.client.write(&out).await,
            };
            if self.record.has_request() {
                log_access(&worker, &self.identity, &self.record);
            }
            if sent.is_ok() && self.client.finish().await.is_ok() {
                self.client.linger().await;
            }
            return;
        }
        if self.record.has_request() {
            log_access(&worker, &self.identity, &self.record);
        }
        match fault.cause {
            Cause::Interrupted(Interrupt::Cut | Interrupt::Drain) => self.client.abandon(),
            _ if answering && !self.client.is_tls() => self.client.reset_on_close(),
            _ => {}
        }
    }

    fn error_page(&self, fault: &Fault, status: u16, out: &mut Vec<u8>) -> u64 {
        if matches!(fault.cause, Cause::PlainOnTls) {
            respond::write_plain_on_tls(out);
            return 0;
        }
        let server_name = self.identity.handshake.get().and_then(|h| h.server_name.as_deref());
        let fields: &[u8] = match status {
            405 => b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n",
            426 => b"Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n",
            _ => b"",
        };
        let answer = respond::Answer {
            status,
            server: respond::SERVER,
            fields,
            hsts: self.hsts(self.snapshot.routes.index(server_name.unwrap_or_default())),
            keep_alive: false,
            to_head: self.record.request.line().starts_with(b"HEAD "),
        };
        respond::write(out, &answer)
    }
}

/// nginx's status for `return 444`: closed without an answer.
const CLOSED_UNANSWERED: u16 = 444;
