//! A request on its way to the app, and the answer back.

use std::cell::Cell;

use super::{Connection, Next, Opened};
use crate::answer::{Exchange, Outcome};
use crate::buf::Buf;
use crate::config::UpstreamAddress;
use crate::fault::{Fault, Side};
use crate::h1::websocket::Upgrade;
use crate::plan::{Forward, Terms, Upload};
use crate::relay::{self, Half};
use crate::stage::Stage;
use crate::tls::stream::Stream;
use crate::upstream;

impl Connection {
    /// Proxies: on a pooled connection where there is one, and once more on a new one when that was
    /// dead.
    pub(super) async fn forward(
        &mut self,
        terms: Terms,
        forward: &mut Forward,
    ) -> Result<Next, Fault> {
        let mut pooled = forward.upgrade == Upgrade::None;
        if forward.instead.is_some() && !forward.body.is_done() {
            Box::pin(self.drop_body(forward)).await?;
        }
        loop {
            let (upstream, address, reused) = self.connect(forward, pooled).await?;
            let mut from_upstream = Buf::new();
            let sent_before = upstream.sent();
            let result = self.relay(&upstream, terms, forward, &mut from_upstream).await;
            self.record.tries.end(upstream.sent() - sent_before);
            self.record.body_received.set(forward.body.raw());
            if let Err(fault) = &result {
                self.record.tries.fail(fault.status().filter(|_| fault.side != Side::Client));
            }
            let outcome = match result {
                Err(fault)
                    if reused
                        && forward.repeatable
                        && fault.is_dead_connection()
                        && from_upstream.is_empty()
                        && !self.record.answering.get() =>
                {
                    pooled = false;
                    continue;
                }
                result => result?,
            };
            return Ok(match outcome {
                Outcome::Tunnel => {
                    let idle = forward.to.limits(&self.snapshot).timeouts.tunnel_idle;
                    Next::Tunnel(Box::new(Opened { upstream, sent: from_upstream, idle }))
                }
                Outcome::Intercepted(status) => Next::Intercepted(status),
                Outcome::HandedOver => Next::HandedOver,
                Outcome::Whole { keep_client, keep_upstream } => {
                    self.record.owes_body.set(!forward.body.is_done());
                    if keep_upstream && !self.worker.is_draining() {
                        let now_ms = self.worker.registry.now_ms();
                        self.worker.pool.put(address, upstream, now_ms);
                    }
                    if keep_client { Next::Request } else { Next::Close }
                }
            });
        }
    }

    async fn connect(
        &self,
        forward: &Forward,
        pooled: bool,
    ) -> Result<(Stream, UpstreamAddress, bool), Fault> {
        let addresses = forward.to.addresses(&self.snapshot);
        let timeouts = &forward.to.limits(&self.snapshot).timeouts;
        let idle =
            if pooled { self.worker.pool.take(addresses, !forward.repeatable) } else { None };
        let (stream, address, reused) = match idle {
            Some((stream, address)) => {
                self.record.tries.begin(&address);
                self.record.tries.connected();
                (stream, address, true)
            }
            None => {
                let (watch, tries) = (self.worker.registry.watch(), &self.record.tries);
                let (connect, send) = (timeouts.upstream_connect, timeouts.send);
                let (stream, address) =
                    Box::pin(upstream::connect(addresses, tries, watch, connect, send)).await?;
                (stream, address, false)
            }
        };
        stream.set_send_limit(timeouts.send);
        Ok((stream, address, reused))
    }

    /// Both directions of one exchange.
    async fn relay(
        &mut self,
        upstream: &Stream,
        terms: Terms,
        forward: &mut Forward,
        from_upstream: &mut Buf,
    ) -> Result<Outcome, Fault> {
        let Self { worker, snapshot, client, input, record, .. } = self;
        let Forward { upgrade, ongoing, to, body, upload: uploaded, instead, .. } = forward;
        let (upgrade, ongoing) = (*upgrade, ongoing.as_ref());
        let limits = to.limits(snapshot);
        let uploading = &Cell::new(false);
        let exchange = Exchange {
            worker,
            snapshot,
            limits,
            client,
            upstream,
            terms,
            upgrade,
            record,
            uploading,
            ongoing,
        };
        if body.is_done() {
            // The head stays in the buffer until the answer is there: it may have to be sent again.
            let head = instead.as_deref().unwrap_or(&input.data()[..forward.head]);
            upstream.write(head).await?;
            let outcome = exchange.answer(from_upstream).await?;
            if !outcome.is_replaced() {
                input.consume(forward.head);
            }
            return Ok(outcome);
        }
        *uploaded = Upload::Begun;
        if forward.expects_continue && input.len() == forward.head {
            client.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let mut upload = Half {
            from: client,
            to: upstream,
            buf: input,
            head: forward.head,
            body,
            stage: Stage::ReadRequestBody,
            limit: limits.timeouts.request_body,
            paused: &Cell::new(false),
            heeds_client: true,
        };
        upload.pass_on().await?;
        if upload.body.is_done() {
            *uploaded = Upload::Done;
            return exchange.answer(from_upstream).await;
        }
        // Most requests have no body or a short one; the two halves at once are put on the heap for
        // the others.
        let upload = async {
            upload.run().await?;
            *uploaded = Upload::Done;
            Ok(())
        };
        Box::pin(exchange.answer_during(upload, from_upstream)).await
    }

    /// Reads what the app is not to get of a request's body.
    async fn drop_body(&mut self, forward: &mut Forward) -> Result<(), Fault> {
        forward.upload = Upload::Begun;
        if forward.expects_continue && self.input.is_empty() {
            self.client.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let limit = forward.to.limits(&self.snapshot).timeouts.request_body;
        relay::discard(&self.client, &mut self.input, &mut forward.body, limit).await?;
        forward.upload = Upload::Done;
        Ok(())
    }
}
