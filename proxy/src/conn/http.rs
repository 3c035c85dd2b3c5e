//! One exchange with servers as nginx.conf has them: what is decided is done, and an error of the
//! app may lead to another decision.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::{Connection, Next};
use crate::fault::{Cause, Fault, Side};
use crate::plan::{Forward, Terms};
use crate::record::log_fault;
use crate::route::http::Http;
use crate::serve::{self, Arrived, Begun, Deed, Left, Ongoing};
use crate::stage::{Interrupt, Stage};

impl Connection {
    pub(super) async fn exchange_http(
        &mut self,
        http: Arc<Http>,
        head_len: usize,
    ) -> Result<Next, Fault> {
        let Begun { mut terms, mut ongoing, mut deed } = self.begin_http(&http, head_len)?;
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
                    ongoing = taken(&mut forward)?;
                    let left = left(&end, terms);
                    if left == Left::NoBody {
                        front = 0;
                    }
                    match self.after_forward(end, &mut ongoing, front, left) {
                        Ok(Err(page)) => {
                            terms = ongoing.terms;
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

    /// What follows the app's answer, or the deed that takes its place.
    fn after_forward(
        &mut self,
        end: Result<Next, Fault>,
        ongoing: &mut Ongoing,
        front: usize,
        left: Left,
    ) -> Result<Result<Next, Deed>, Fault> {
        let status = match &end {
            Ok(Next::Intercepted(status)) => Some(*status),
            Ok(_) => None,
            Err(fault) => fault.status().filter(|status| has_page(fault, *status)),
        };
        let answering = self.record.answering.get();
        let Some(status) = status.filter(|_| !answering) else { return end.map(Ok) };
        let page = {
            let scratch = &mut *self.worker.scratch.borrow_mut();
            serve::fail(ongoing, status, &mut self.input, front, left, scratch)
        };
        match (page, end) {
            (Some(page), end) => {
                if let Err(fault) = end {
                    log_fault(&self.worker, &self.identity, &self.record, &fault);
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
        let nowhere = || SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let local = *self
            .identity
            .local
            .get_or_init(|| self.client.local_address().unwrap_or_else(nowhere));
        let arrived = Arrived {
            http,
            limits: &self.snapshot.limits,
            identity: &self.identity,
            tls: self.client.is_tls(),
            local,
            requests: self.served,
            draining: self.worker.is_draining(),
            state: self.worker.states.borrow_mut().pop().unwrap_or_default(),
        };
        let scratch = &mut *self.worker.scratch.borrow_mut();
        serve::begin(&mut self.input, head_len, arrived, &mut self.record.request, scratch)
            .map_err(|refusal| self.refuse(refusal))
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

/// What of a request an error page can still count on.
fn left(end: &Result<Next, Fault>, terms: Terms) -> Left {
    match end {
        _ if !terms.has_body => Left::All,
        // Nothing of it has been sent.
        Err(fault) if fault.stage == Stage::ConnectUpstream => Left::All,
        _ => Left::NoBody,
    }
}

/// What a forward was lent.
fn taken(forward: &mut Forward) -> Result<Box<Ongoing>, Fault> {
    let lent = forward.ongoing.take().map(|ongoing| Box::new(ongoing.into_inner()));
    lent.ok_or(Fault { stage: Stage::ReadAnswerHead, side: Side::Sheen, cause: Cause::Closed })
}
