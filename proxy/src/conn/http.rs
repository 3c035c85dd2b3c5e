//! One exchange with servers as nginx.conf has them: what is decided is done, and an error of the
//! app may lead to another decision.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::{Connection, Next};
use crate::fault::{Cause, Fault, Side};
use crate::h1::head::Search;
use crate::plan::Forward;
use crate::record::{log_fault, unix_ms};
use crate::route::http::Http;
use crate::serve::{self, Arrived, Begun, Deed, Ongoing};
use crate::stage::Stage;

impl Connection {
    pub(super) async fn exchange_http(
        &mut self,
        http: Arc<Http>,
        head_len: usize,
    ) -> Result<Next, Fault> {
        let Begun { terms, mut ongoing, mut deed } = self.begin_http(&http, head_len)?;
        // What of the input is the request's head, or the app's in its place.
        let mut front = head_len;
        loop {
            deed = match deed {
                Deed::Reply { status, bytes, body } => {
                    self.record.sent.set(body);
                    self.record.ongoing.replace(Some(ongoing));
                    return self.author(front, terms, status, &bytes).await;
                }
                Deed::Close { status } => {
                    self.record.status.set(status);
                    self.record.ongoing.replace(Some(ongoing));
                    self.input.consume(front);
                    return Ok(Next::Close);
                }
                Deed::Forward(mut forward) => {
                    front = forward.head;
                    forward.ongoing = Some(Box::new(RefCell::new(*ongoing)));
                    let end = self.forward(terms, &mut forward).await;
                    let whole = forward.body.is_done() && !terms.has_body;
                    ongoing = taken(&mut forward)?;
                    ongoing.keep_body(&mut forward.body);
                    match self.after_forward(end, &mut ongoing, front, whole) {
                        Ok(Err(page)) => page,
                        Ok(Ok(next)) => {
                            self.record.ongoing.replace(Some(ongoing));
                            return Ok(next);
                        }
                        Err(fault) => {
                            self.record.ongoing.replace(Some(ongoing));
                            return Err(fault);
                        }
                    }
                }
            };
        }
    }

    /// What follows the app's answer, or the deed that takes its place.
    fn after_forward(
        &mut self,
        end: Result<Next, Fault>,
        ongoing: &mut Ongoing,
        front: usize,
        whole: bool,
    ) -> Result<Result<Next, Deed>, Fault> {
        let status = match &end {
            Ok(Next::Intercepted(status)) => Some(*status),
            Ok(_) => None,
            Err(fault) => fault.status().filter(|_| fault.side != Side::Client),
        };
        let answering = self.record.answering.get();
        let Some(status) = status.filter(|_| !answering) else { return end.map(Ok) };
        let page = if whole {
            let scratch = &mut *self.worker.scratch.borrow_mut();
            serve::fail(ongoing, status, &mut self.input, front, scratch)
        } else {
            None
        };
        match (page, end) {
            (Some(page), end) => {
                if let Err(fault) = end {
                    log_fault(&self.worker, &self.identity, &self.record, Some(ongoing), &fault);
                }
                Ok(Err(page))
            }
            (None, Ok(_)) => {
                let (stage, side) = (Stage::ReadAnswerHead, Side::Upstream);
                Err(Fault { stage, side, cause: Cause::Closed })
            }
            (None, Err(fault)) => Err(fault),
        }
    }

    fn begin_http(&mut self, http: &Arc<Http>, head_len: usize) -> Result<Begun, Fault> {
        let (arrived, limits) = (self.arrived(http), &self.snapshot.limits);
        let scratch = &mut *self.worker.scratch.borrow_mut();
        let said = &mut self.record.request;
        serve::begin(&mut self.input, head_len, arrived, limits, said, scratch)
            .map_err(|refusal| self.refuse(refusal))
    }

    fn arrived(&self, http: &Arc<Http>) -> Arrived {
        let nowhere = || SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let address = || self.client.local_address().unwrap_or_else(nowhere);
        let begun = self.record.begun.elapsed();
        Arrived {
            http: http.clone(),
            identity: self.identity.clone(),
            tries: self.record.tries.clone(),
            begun_ms: unix_ms().saturating_sub(begun.as_millis() as u64),
            // Plain HTTP may have come where TLS was expected.
            tls: self.identity.handshake.get().is_some(),
            local: *self.identity.local.get_or_init(address),
            requests: self.served,
            is_pipelined: self.record.is_pipelined.get(),
            draining: self.worker.is_draining(),
            state: self.worker.states.borrow_mut().pop().unwrap_or_default(),
        }
    }

    /// Puts a request that was refused before it was understood on record, so that it is logged as
    /// its server logs.
    pub(super) fn record_refused(&mut self) {
        let Some(http) = self.snapshot.http.clone() else { return };
        if !self.record.has_request() || self.record.ongoing.borrow().is_some() {
            return;
        }
        let input = self.input.data();
        // Of a head that is not whole, the lines that are.
        let end = input.windows(2).rposition(|end| end == b"\r\n");
        let head = match (Search::default().find(input), end) {
            (Ok(Some(head_len)), _) => input[..head_len].to_vec(),
            (Ok(None), Some(end)) => [&input[..end], b"\r\n\r\n"].concat(),
            (Ok(None), None) | (Err(_), _) => self.record.request.line().to_vec(),
        };
        let handshake = self.identity.handshake.get();
        let server_name = handshake.and_then(|handshake| handshake.server_name.as_deref());
        let server_name = server_name.unwrap_or_default().as_bytes();
        let ongoing = serve::refused(self.arrived(&http), &head, server_name);
        self.record.ongoing.replace(Some(ongoing));
    }
}

/// What a forward was lent.
fn taken(forward: &mut Forward) -> Result<Box<Ongoing>, Fault> {
    let lent = forward.ongoing.take().map(|ongoing| Box::new(ongoing.into_inner()));
    lent.ok_or(Fault { stage: Stage::ReadAnswerHead, side: Side::Sheen, cause: Cause::Closed })
}
