//! The upstream's answer on its way to the client: read its head, write the client's, relay the
//! body.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::buf::Buf;
use crate::bulk;
use crate::context::{Snapshot, Worker};
use crate::fault::{Cause, Fault, Refusal, Side};
use crate::h1::framing::{self, Length};
use crate::h1::head::{AnswerHead, Search, Table, Version, parse_answer};
use crate::h1::rewrite::{self, Outgoing, OutgoingBody};
use crate::h1::websocket::{self, Upgrade};
use crate::io::splice::Pipe;
use crate::limits::{INTERIM_ANSWERS_MAX, KTLS_BODY_BYTES_MIN, Limits};
use crate::plan::Terms;
use crate::record::Record;
use crate::relay::{Body, Half, Onward};
use crate::serve::Ongoing;
use crate::stage::Stage;
use crate::tls::stream::{Input, Stream};

/// Both ends and what has been agreed on.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    pub worker: &'a Worker,
    pub snapshot: &'a Snapshot,
    pub limits: &'a Limits,
    pub client: &'a Stream,
    pub upstream: &'a Stream,
    pub terms: Terms,
    pub upgrade: Upgrade,
    pub record: &'a Record,
    /// True while the request is still being sent: the time to answer begins after that.
    pub uploading: &'a Cell<bool>,
    /// What the answer goes by, where nginx.conf says it.
    pub ongoing: Option<&'a RefCell<Box<Ongoing>>>,
}

/// What both connections are good for after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Both were switched to WebSocket.
    Tunnel,
    /// An error page is to take the place of an answer of this status.
    Intercepted(u16),
    /// The answer has said where another is: see [`Ongoing::hands_over`].
    HandedOver,
    Whole {
        keep_client: bool,
        keep_upstream: bool,
    },
}

impl Outcome {
    /// True when nothing of the answer has been passed on: we make another.
    pub fn is_replaced(self) -> bool {
        matches!(self, Self::Intercepted(_) | Self::HandedOver)
    }
}

/// A final answer's head, as far as it matters after it was sent.
#[derive(Debug)]
struct Sent {
    head: usize,
    body: Body,
    /// The status, where trailers of ours end the body.
    trailers: Option<u16>,
    outcome: Outcome,
}

#[derive(Debug)]
enum Translated {
    Final(Sent),
    /// Not passed on: see [`Outcome`].
    Replaced(Outcome),
    /// The new head, nothing for one that is not passed on.
    Interim {
        head: usize,
    },
}

impl Exchange<'_> {
    /// Relays the answer that arrives in `buf`; what follows a 101 stays there.
    pub async fn answer(&self, buf: &mut Buf) -> Result<Outcome, Fault> {
        let mut interim = 0;
        loop {
            let head_len = self.read_head(buf).await?;
            let mut sent = match self.translate(buf, head_len)? {
                Translated::Final(sent) => sent,
                Translated::Replaced(outcome) => return Ok(outcome),
                Translated::Interim { head } => {
                    interim += 1;
                    if interim > INTERIM_ANSWERS_MAX {
                        return Err(self.refused(Refusal::bad_request("too many 1xx answers")));
                    }
                    self.client.write(&buf.data()[..head]).await?;
                    buf.consume(head);
                    continue;
                }
            };
            if sent.outcome == Outcome::Tunnel {
                self.client.write(&buf.data()[..sent.head]).await?;
                buf.consume(sent.head);
                return Ok(Outcome::Tunnel);
            }
            let half = Half {
                from: self.upstream,
                to: self.client,
                buf,
                head: sent.head,
                body: &mut sent.body,
                stage: Stage::ReadAnswerBody,
                limit: self.limits.timeouts.upstream_answer,
                paused: self.uploading,
                heeds_client: self.heeds_client(),
            };
            let result = self.pass(half).await;
            self.record.sent.set(sent.body.passed());
            self.record.tries.body(sent.body.raw());
            result?;
            if let Some(status) = sent.trailers {
                self.end_with_trailers(status).await?;
            }
            // What follows an answer nobody asked for.
            let Outcome::Whole { keep_client, keep_upstream } = sent.outcome else {
                return Ok(sent.outcome);
            };
            return Ok(Outcome::Whole {
                keep_client,
                keep_upstream: keep_upstream && buf.is_empty(),
            });
        }
    }

    async fn end_with_trailers(&self, status: u16) -> Result<(), Fault> {
        let Some(ongoing) = self.ongoing else { return Ok(()) };
        let mut out = Vec::new();
        ongoing.borrow_mut().write_trailers(status, &mut out);
        self.client.write(&out).await
    }

    /// False where an answer is awaited though the client has gone.
    fn heeds_client(&self) -> bool {
        self.ongoing.is_none_or(|ongoing| ongoing.borrow().heeds_client())
    }

    /// Sends the head and the body. Here, and nowhere else, is decided that the kernel does it.
    async fn pass(&self, half: Half<'_>) -> Result<(), Fault> {
        if self.snapshot.offload.is_some() && half.body.left() >= KTLS_BODY_BYTES_MIN {
            return Box::pin(self.pass_by_kernel(half)).await;
        }
        half.run().await
    }

    /// What has come goes out first, so that TLS owes the client nothing at the hand-over.
    async fn pass_by_kernel(&self, mut half: Half<'_>) -> Result<(), Fault> {
        half.pass_on().await?;
        if let Some(mut pipe) = Pipe::lend()
            && half.body.left() > 0
            && half.from.may_be_spliced()
            && half.to.hand_over(&self.snapshot.offload)?
        {
            self.record.by_kernel.set(true);
            return bulk::run(&mut half, &mut pipe).await;
        }
        half.run().await
    }

    /// Relays the answer while the request is still being sent. The answer's end is the end. An
    /// upstream that has closed its side may still have answered, so that alone does not end the
    /// exchange from the upload's side.
    pub async fn answer_during(
        &self,
        upload: impl Future<Output = Result<(), Fault>>,
        buf: &mut Buf,
    ) -> Result<Outcome, Fault> {
        self.uploading.set(true);
        let (mut upload, mut answer) = (pin!(upload), pin!(self.answer(buf)));
        let mut uploaded: Option<bool> = None;
        poll_fn(|context| {
            if uploaded.is_none()
                && let Poll::Ready(end) = upload.as_mut().poll(context)
            {
                uploaded = match end {
                    Ok(()) => Some(true),
                    Err(fault) if fault.is_dead_connection() => Some(false),
                    Err(fault) => return Poll::Ready(Err(fault)),
                };
                self.uploading.set(false);
                self.upstream.watch.postpone(self.answer_limit());
            }
            let Poll::Ready(end) = answer.as_mut().poll(context) else { return Poll::Pending };
            Poll::Ready(end.map(|outcome| match uploaded {
                Some(true) => outcome,
                Some(false) | None if outcome.is_replaced() => outcome,
                // What is left of the request stands in the way of the next one, on both sides.
                Some(false) | None => Outcome::Whole { keep_client: false, keep_upstream: false },
            }))
        })
        .await
    }

    /// Waits for a whole head at the front of `buf`.
    async fn read_head(&self, buf: &mut Buf) -> Result<usize, Fault> {
        let watch = &self.upstream.watch;
        let mut search = Search::default();
        let heeds_client = self.heeds_client();
        loop {
            let found = search.find(buf.data()).map_err(|refusal| self.refused(refusal))?;
            let max = self.snapshot.limits.response_head_bytes_max;
            if found.unwrap_or(buf.len()) > max {
                return Err(self.refused(Refusal::bad_request("header is too big")));
            }
            if let Some(head_len) = found {
                return Ok(head_len);
            }
            watch.enter(Stage::ReadAnswerHead, self.answer_limit());
            watch.set_probing(true);
            match self
                .upstream
                .read_unless(buf, || heeds_client && self.client.peer_closed())
                .await?
            {
                Input::Data => {}
                Input::End | Input::Truncated => {
                    let cause = Cause::Closed;
                    return Err(Fault {
                        stage: Stage::ReadAnswerHead,
                        side: Side::Upstream,
                        cause,
                    });
                }
            }
        }
    }

    /// While the client uploads it is the client that is waited for, with deadlines of its own.
    fn answer_limit(&self) -> Duration {
        if self.uploading.get() { Duration::MAX } else { self.limits.timeouts.upstream_answer }
    }

    /// Puts the client's head in the place of the upstream's.
    fn translate(&self, buf: &mut Buf, head_len: usize) -> Result<Translated, Fault> {
        let scratch = &mut *self.worker.scratch.borrow_mut();
        scratch.clear();
        let raw = &buf.data()[..head_len];
        let mut table = Table::default();
        let head = parse_answer(raw, &mut table).map_err(|refusal| self.refused(refusal))?;
        let is_final = head.status == 101 || head.status >= 200;
        self.record.tries.head(head_len, is_final.then_some(head.status));
        let translated = match head.status {
            101 => {
                websocket::check_answer(&head, self.upgrade).map_err(|r| self.refused(r))?;
                Translated::Final(self.switch(&head, raw, scratch))
            }
            // We have answered Expect ourselves, and HTTP/1.0 knows no interim answers.
            100 => Translated::Interim { head: 0 },
            ..=199 if self.terms.version == Version::Http10 => Translated::Interim { head: 0 },
            ..=199 => {
                rewrite::interim(scratch, &head, raw);
                Translated::Interim { head: scratch.len() }
            }
            status if self.intercepts(&head) => {
                self.ongoing.iter().for_each(|ongoing| ongoing.borrow_mut().keep_upstream(raw));
                return Ok(Translated::Replaced(Outcome::Intercepted(status)));
            }
            _ if self
                .ongoing
                .is_some_and(|ongoing| ongoing.borrow_mut().hands_over(&head, raw)) =>
            {
                return Ok(Translated::Replaced(Outcome::HandedOver));
            }
            _ => Translated::Final(self.finish(&head, raw, scratch)?),
        };
        if let Translated::Final(_) = translated {
            self.record.head_sent.set(scratch.len() as u64);
            self.record.answering.set(true);
        }
        buf.replace_front(head_len, scratch);
        Ok(translated)
    }

    fn intercepts(&self, head: &AnswerHead<'_, '_>) -> bool {
        self.ongoing.is_some_and(|ongoing| ongoing.borrow_mut().intercepts(head))
    }

    fn switch(&self, head: &AnswerHead<'_, '_>, raw: &[u8], out: &mut Vec<u8>) -> Sent {
        let outgoing = Outgoing {
            client: self.terms.version,
            keep_alive: true,
            hsts: self.hsts(),
            body: OutgoingBody::Tunnel,
        };
        self.write_head(out, head, raw, &outgoing);
        let body = Body::of_answer(Length::None, Onward::Data);
        Sent { head: out.len(), body, trailers: None, outcome: Outcome::Tunnel }
    }

    fn finish(
        &self,
        head: &AnswerHead<'_, '_>,
        raw: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Sent, Fault> {
        let Terms { version, to_head, keep_alive, .. } = self.terms;
        let ongoing = self.ongoing.map(RefCell::borrow);
        // `proxy_method` may make HEAD of another method, and another of HEAD.
        let asks_head = ongoing.as_ref().map_or(to_head, |it| it.asks_head);
        let framed = framing::answer(head, asks_head).map_err(|refusal| self.refused(refusal))?;
        let status = ongoing.as_ref().map_or(head.status, |it| it.status_of(head.status));
        // A page may be shown with a status that has no body: what the app sends for one stays here.
        let is_dropped = (to_head || framing::is_bodyless(status)) && framed != Length::None;
        let length = if is_dropped { Length::None } else { framed };
        let mut body = OutgoingBody::of(length, status, to_head, version);
        let has_chunks = version == Version::Http11;
        let adds = ongoing.as_ref().is_some_and(|ongoing| ongoing.adds_trailers(status));
        let passed = ongoing.as_ref().is_none_or(|ongoing| ongoing.passes_trailers());
        drop(ongoing);
        let has_body = matches!(body, OutgoingBody::Sized(_) | OutgoingBody::Chunked);
        let trailers = (adds && has_chunks && has_body).then_some(status);
        if trailers.is_some() {
            body = OutgoingBody::Chunked;
        }
        // The rest of an upload that is answered early stands in the way of another request.
        let keep_client = keep_alive
            && !self.uploading.get()
            && body != OutgoingBody::UntilClose
            && !self.worker.is_draining();
        let keep_upstream = length != Length::UntilClose
            && !is_dropped
            && self.upgrade == Upgrade::None
            && head.fields.keep_alive(head.version);
        let outgoing =
            Outgoing { client: version, keep_alive: keep_client, hsts: self.hsts(), body };
        self.write_head(out, head, raw, &outgoing);
        let onward = match trailers {
            Some(_) => Onward::OpenChunks,
            None if has_chunks => Onward::Framed { trailers: passed },
            None => Onward::Data,
        };
        let body = Body::of_answer(length, onward);
        let outcome = Outcome::Whole { keep_client, keep_upstream };
        Ok(Sent { head: out.len(), body, trailers, outcome })
    }

    /// `None` on plain HTTP; else the whole line, empty where it is off.
    fn hsts(&self) -> Option<&[u8]> {
        if self.ongoing.is_some() {
            return Some(b"");
        }
        let site = self.snapshot.routes.site(self.terms.site);
        self.client.is_tls().then_some(&*site.hsts)
    }

    fn write_head(
        &self,
        out: &mut Vec<u8>,
        head: &AnswerHead<'_, '_>,
        raw: &[u8],
        outgoing: &Outgoing<'_>,
    ) {
        let Some(ongoing) = self.ongoing else {
            self.record.status.set(head.status);
            return rewrite::answer(out, head, raw, outgoing);
        };
        let status = ongoing.borrow_mut().write_answer(out, head, raw, outgoing);
        self.record.status.set(status);
    }

    fn refused(&self, refusal: Refusal) -> Fault {
        Fault::refused(Stage::ReadAnswerHead, Side::Upstream, refusal)
    }
}
