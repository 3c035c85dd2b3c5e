//! One exchange with servers as nginx.conf has them: what is decided is done, and an error of the
//! app may lead to another decision.

use std::cell::RefCell;
use std::time::Duration;

use super::{Connection, Next};
use crate::buf::Buf;
use crate::config::Level;
use crate::context::HeldHttp;
use crate::fault::{Cause, Fault, Side};
use crate::files::{self, FileBody};
use crate::h1::framing::Length;
use crate::h1::head::{Search, readable_request};
use crate::limits::{DISCARDED_BYTES_MAX, LINGER};
use crate::plan::{Destination, Forward, Upload};
use crate::record::{log_event, log_fault, unix_ms};
use crate::relay::Body;
use crate::serve::{self, Arrived, Begun, Deed, Left, Ongoing, Rest};
use crate::stage::{Interrupt, Stage};
use crate::tls::stream::Input;
use crate::upstream::resolve;

impl Connection {
    pub(super) async fn exchange_http(
        &mut self,
        http: HeldHttp,
        head_len: usize,
    ) -> Result<Next, Fault> {
        let Begun { mut ongoing, mut deed } = self.begin_http(&http, head_len)?;
        self.record.owes_body.set(ongoing.terms.has_body);
        // What of the input is the request's head, or the app's in its place.
        let mut front = head_len;
        loop {
            self.complain(&mut ongoing);
            self.enter_location(&ongoing);
            deed = match deed {
                Deed::Reply { status, bytes, body } => {
                    let rest = ongoing.rest();
                    self.record.sent.set(body);
                    self.record.head_sent.set((bytes.len() as u64).saturating_sub(body));
                    self.record.ongoing.replace(Some(ongoing));
                    self.begin_answer(status);
                    self.client.write(&bytes).await?;
                    self.input.consume(front);
                    return Ok(self.discard(rest).await);
                }
                Deed::File { status, head, body } => {
                    let rest = ongoing.rest();
                    self.record.head_sent.set(head.len() as u64);
                    self.record.ongoing.replace(Some(ongoing));
                    self.begin_answer(status);
                    Box::pin(self.send_file(&head, body)).await?;
                    self.input.consume(front);
                    return Ok(self.discard(rest).await);
                }
                Deed::Close { status } => {
                    self.record.status.set(status);
                    self.record.ongoing.replace(Some(ongoing));
                    self.input.consume(front);
                    return Ok(Next::Close);
                }
                Deed::Forward(mut forward) => {
                    let terms = ongoing.terms;
                    self.record.tries.turn();
                    let found = self.find_app(&mut forward, &mut ongoing).await;
                    forward.ongoing = Some(RefCell::new(ongoing));
                    let end = match found {
                        Ok(true) => self.forward(terms, &mut forward).await,
                        Ok(false) => Ok(Next::Intercepted(502)),
                        Err(fault) => Err(fault),
                    };
                    let left = left(&forward);
                    ongoing = taken(&mut forward)?;
                    ongoing.keep_body(&mut forward.body);
                    match self.after_forward(end, &mut ongoing, left) {
                        Ok(Err(page)) => {
                            front = if let Left::Whole { head } = left { head } else { 0 };
                            page
                        }
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

    /// Looks up where the app is, if that is not known; false where nobody knows.
    async fn find_app(&self, forward: &mut Forward, ongoing: &mut Ongoing) -> Result<bool, Fault> {
        let Some(sought) = forward.sought.take() else { return Ok(true) };
        let found = Box::pin(resolve::look_up(&self.worker, *sought)).await?;
        if let Destination::Host { named, .. } = &mut forward.to {
            *named = found.map_err(|words| ongoing.complain(Level::Error, words)).ok();
            return Ok(named.is_some());
        }
        Ok(true)
    }

    /// What follows the app's answer, or the deed that takes its place.
    fn after_forward(
        &mut self,
        end: Result<Next, Fault>,
        ongoing: &mut Ongoing,
        left: Left,
    ) -> Result<Result<Next, Deed>, Fault> {
        if self.record.answering.get() {
            return end.map(Ok);
        }
        let scratch = &mut *self.worker.scratch.borrow_mut();
        let input = &mut self.input;
        let status = match &end {
            Ok(Next::Intercepted(status)) => Some(*status),
            Ok(_) => None,
            Err(fault) => fault.status().filter(|status| has_page(fault, *status)),
        };
        let asked = if end.is_err() { ongoing.target().to_vec() } else { Vec::new() };
        let page = match (&end, status) {
            (Ok(Next::HandedOver), _) => serve::follow(ongoing, left, input, scratch),
            (_, Some(status)) => serve::fail(ongoing, status, left, input, scratch),
            (_, None) => return end.map(Ok),
        };
        match (page, end) {
            (Some(page), end) => {
                if let Err(fault) = end {
                    // What failed, and not what is asked next.
                    let next = ongoing.replace_target(asked);
                    log_fault(&self.worker, &self.identity, &self.record, Some(ongoing), &fault);
                    ongoing.replace_target(next);
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

    fn begin_http(&mut self, http: &HeldHttp, head_len: usize) -> Result<Begun, Fault> {
        let (arrived, limits) = (self.arrived(http), &http.hosts[self.front.host].limits);
        let scratch = &mut *self.worker.scratch.borrow_mut();
        let said = &mut self.record.request;
        serve::begin(&mut self.input, head_len, arrived, limits, said, scratch)
            .map_err(|refusal| self.refuse(refusal))
    }

    fn arrived(&self, http: &HeldHttp) -> Arrived {
        let reads = http.variables.reads;
        self.record.tries.time(reads.tries);
        let begun_ms = || {
            let begun = self.record.begun.elapsed();
            unix_ms().saturating_sub(begun.as_millis() as u64)
        };
        Arrived {
            http: http.clone(),
            identity: self.identity.clone(),
            tries: self.record.tries.clone(),
            begun_ms: if reads.request_time { begun_ms() } else { 0 },
            // Plain HTTP may have come where TLS was expected.
            tls: self.identity.handshake.get().is_some(),
            requests: self.served,
            age: Duration::from_millis(self.worker.registry.now_ms() - self.since_ms),
            is_pipelined: self.record.is_pipelined.get(),
            draining: self.worker.is_draining(),
            spare: self.worker.lend(),
        }
    }

    /// Puts a request that was refused before it was understood on record, so that it is logged as
    /// its server logs.
    pub(super) fn record_refused(&mut self) {
        let Some(http) = self.snapshot.http().cloned() else { return };
        if !self.record.has_request() || self.record.ongoing.borrow().is_some() {
            return;
        }
        let input = self.input.data();
        // Of a head that is not whole, the lines that are.
        let end = input.windows(2).rposition(|end| end == b"\r\n");
        let head = match (Search::default().find(input), end) {
            (Ok(Some(head_len)), _) => readable_request(&input[..head_len]),
            (Ok(None), Some(end)) => readable_request(&input[..end + 2]),
            (Ok(None), None) | (Err(_), _) => self.record.request.line().to_vec(),
        };
        let handshake = self.identity.handshake.get();
        let server_name = handshake.and_then(|handshake| handshake.server_name.as_deref());
        let server_name = server_name.unwrap_or_default().as_bytes();
        let ongoing = serve::refused(self.arrived(&http), &head, server_name);
        self.record.ongoing.replace(Some(ongoing));
    }

    /// An answer of our own leaves: no other can be given.
    fn begin_answer(&self, status: u16) {
        self.record.status.set(status);
        self.record.answering.set(true);
    }

    async fn send_file(&self, head: &[u8], mut body: FileBody) -> Result<(), Fault> {
        let mut buf = Buf::new();
        buf.extend(head);
        let result = files::send(&self.client, &mut buf, &mut body).await;
        // What is in the buffer still has not been sent.
        self.record.sent.set(body.sent().saturating_sub(buf.len() as u64));
        result
    }

    /// What follows an answer of our own: the rest of the request's body is read and thrown away,
    /// so that another request can follow.
    async fn discard(&mut self, rest: Rest) -> Next {
        if !rest.keeps {
            return Next::Close;
        }
        if rest.body == Length::None {
            return Next::Request;
        }
        let Ok(mut body) = Body::of_request(rest.body, Some(DISCARDED_BYTES_MAX)) else {
            return Next::Close;
        };
        self.client.watch.enter(Stage::Linger, LINGER);
        loop {
            if body.skip(&mut self.input).is_err() {
                return Next::Close;
            }
            if body.is_done() {
                return Next::Request;
            }
            match self.client.read(&mut self.input).await {
                Ok(Input::Data) => {}
                Ok(Input::End | Input::Truncated) | Err(_) => return Next::Close,
            }
        }
    }

    /// What was found on the way to an answer goes to the error log.
    fn complain(&self, ongoing: &mut Ongoing) {
        let complaints = ongoing.take_complaints();
        for (level, words) in complaints {
            let what = (level, &words as &dyn std::fmt::Display);
            log_event(&self.worker, &self.identity, &self.record, Some(ongoing), what);
        }
    }
}

/// What is left of a request at an app that has failed.
fn left(forward: &Forward) -> Left {
    match forward.upload {
        Upload::Whole => Left::Whole { head: forward.head },
        Upload::Done => Left::Nothing,
        Upload::Begun => Left::Pieces,
    }
}

/// True when an error page of the location takes the place of a fault.
fn has_page(fault: &Fault, status: u16) -> bool {
    match fault.cause {
        Cause::Interrupted(Interrupt::Drain | Interrupt::Cut) => false,
        // A body that turns out too large is the client's fault, and has a page all the same.
        _ => fault.side != Side::Client || status == 413,
    }
}

/// What a forward was lent.
fn taken(forward: &mut Forward) -> Result<Box<Ongoing>, Fault> {
    let lent = forward.ongoing.take().map(RefCell::into_inner);
    lent.ok_or(Fault { stage: Stage::ReadAnswerHead, side: Side::Sheen, cause: Cause::Closed })
}
