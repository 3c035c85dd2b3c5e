//! One exchange with servers as nginx.conf has them: what is decided is done, and an error of the
//! app may lead to another decision.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::{Connection, Next};
use crate::fault::{Cause, Fault, Side};
use crate::plan::Forward;
use crate::record::log_fault;
use crate::route::http::Http;
use crate::serve::{self, Arrived, Begun, Deed, Ongoing};
use crate::stage::Stage;

impl Connection {
    pub(super) async fn exchange_http(
        &mut self,
        http: Arc<Http>,
        head_len: usize,
    ) -> Result<Next, Fault> {
        let Begun { mut ongoing, mut deed } = self.begin_http(&http, head_len)?;
        // What of the input is the request's head, or the app's in its place.
        let mut front = head_len;
        loop {
            let terms = ongoing.terms();
            self.enter_location(&ongoing);
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
        let arrived = Arrived {
            http,
            limits: &http.hosts[self.front.host].limits,
            identity: &self.identity,
            tls: self.client.is_tls(),
            local: self.local(),
            requests: self.served,
            age: Duration::from_millis(self.worker.registry.now_ms() - self.since_ms),
            draining: self.worker.is_draining(),
            state: self.worker.states.borrow_mut().pop().unwrap_or_default(),
        };
        let scratch = &mut *self.worker.scratch.borrow_mut();
        serve::begin(&mut self.input, head_len, arrived, &mut self.record.request, scratch)
            .map_err(|refusal| self.refuse(refusal))
    }
}

/// What a forward was lent.
fn taken(forward: &mut Forward) -> Result<Box<Ongoing>, Fault> {
    let lent = forward.ongoing.take().map(|ongoing| Box::new(ongoing.into_inner()));
    lent.ok_or(Fault { stage: Stage::ReadAnswerHead, side: Side::Sheen, cause: Cause::Closed })
}
