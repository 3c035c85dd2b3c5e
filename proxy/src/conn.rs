//! One connection, from accept to its log line. This page tells the story; the other rooms do the
//! work.
//!
//! ```text
//!   handshake -> [ read head -> plan -> connect -> relay both ways -> log ] ... -> close
//!                                                        '-> tunnel (a task of its own)
//! ```
//!
//! How it ends for the client:
//!
//! | end | answer | last bytes | then |
//! |---|---|---|---|
//! | between two requests | none | close_notify, FIN | closed |
//! | after an answer with `Connection: close` | given | close_notify, FIN | what it still sends is thrown away; a drain waits for nothing more |
//! | fault before an answer has begun | an error page | close_notify, FIN | what it still sends is thrown away |
//! | fault in the middle of an answer | cut | none: a TLS client sees a truncation, a plain one a reset | closed |
//! | drain or cut | none | close_notify, FIN if they fit | closed |

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use crate::admission::Permit;
use crate::buf::Buf;
use crate::context::{Held, Live, Worker};
use crate::fault::{Cause, Closed, Fault, Refusal, Side};
use crate::h1::head::{Search, check_begin, leading_empty_lines};
use crate::io::runtime;
use crate::io::socket::Socket;
use crate::limits::{DRAIN_GRACE, Timeouts};
use crate::peer::Peer;
use crate::plan::{self, Context, Deed, Plan, Terms};
use crate::record::{Identity, Introduction, Record, log_access, unix_ms};
use crate::redirect::Location;
use crate::respond;
use crate::stage::Stage;
use crate::tls::stream::{Input, Stream};
use crate::tunnel::{self, Tunnel};
use front::Front;

mod ending;
mod forward;
mod front;
mod http;

/// A client's connection and what it has agreed on.
#[derive(Debug)]
pub struct Connection {
    worker: Rc<Worker>,
    snapshot: Held,
    identity: Rc<Identity>,
    client: Stream,
    /// Plaintext from the client that is not done with.
    input: Buf,
    record: Record,
    /// Requests whose head has come.
    served: u64,
    /// When it was accepted, by the worker's clock.
    since_ms: u64,
    front: Front,
    permit: Permit,
    live: Live,
}

/// How the conversation with a client ends, if not by a fault.
#[derive(Debug)]
enum End {
    Closed(Closed),
    Tunnel(Box<Opened>),
}

/// The far end of a tunnel.
#[derive(Debug)]
struct Opened {
    upstream: Stream,
    /// What it has sent after its 101.
    sent: Buf,
    /// Longest silence of both sides.
    idle: Duration,
}

/// What waiting for a request comes to.
#[derive(Debug)]
enum Arrival {
    /// A head of so many bytes.
    Head(usize),
    Closed(Closed),
}

/// What follows an exchange.
#[derive(Debug)]
enum Next {
    Request,
    Close,
    Tunnel(Box<Opened>),
    /// An error page is to take the place of the app's answer of this status.
    Intercepted(u16),
    /// The app's answer has said where another is.
    HandedOver,
}

impl Connection {
    pub fn new(
        worker: Rc<Worker>,
        snapshot: Held,
        socket: Socket,
        peer: Peer,
        introduction: Option<Introduction>,
        number: u64,
        permit: Permit,
    ) -> Self {
        let send_limit = snapshot.limits.timeouts.send;
        let since_ms = worker.registry.now_ms();
        let identity = Identity {
            number,
            address: peer.to_string().into(),
            ip: peer.ip().map(|ip| ip.to_canonical()),
            port: peer.port(),
            since_ms: unix_ms(),
            introduction: introduction.map(Box::new),
            local: OnceCell::new(),
            trusted: Cell::new(false),
            handshake: OnceCell::new(),
        };
        Self {
            client: Stream::new(socket, worker.registry.watch(), Side::Client, send_limit),
            identity: Rc::new(identity),
            input: Buf::new(),
            record: Record::default(),
            served: 0,
            since_ms,
            front: Front::default(),
            permit,
            live: Live::new(&worker),
            snapshot,
            worker,
        }
    }

    /// Serves the connection to its end. Every end is logged here or in the tunnel, once (invariant
    /// 4).
    pub async fn serve(mut self, tls: bool, trusted: bool) {
        self.identity.trusted.set(trusted);
        match self.converse(tls).await {
            Ok(End::Closed(closed)) => Box::pin(self.close(closed)).await,
            Ok(End::Tunnel(opened)) => self.become_tunnel(*opened),
            Err(fault) => Box::pin(self.fail(fault)).await,
        }
    }

    /// Handshake, then exchange after exchange.
    async fn converse(&mut self, tls: bool) -> Result<End, Fault> {
        self.find_front();
        if tls && let Some(closed) = self.handshake().await? {
            return Ok(End::Closed(closed));
        }
        loop {
            let head_len = match self.read_head().await? {
                Arrival::Head(head_len) => head_len,
                Arrival::Closed(closed) => return Ok(End::Closed(closed)),
            };
            let next = match self.snapshot.http().cloned() {
                None => self.exchange(head_len).await?,
                Some(http) => Box::pin(self.exchange_http(http, head_len)).await?,
            };
            if let Next::Tunnel(opened) = next {
                opened.upstream.rest()?;
                self.client.rest()?;
                return Ok(End::Tunnel(opened));
            }
            self.record.is_complete.set(self.record.answering.get());
            log_access(&self.worker, &self.identity, &self.record, &self.client);
            if matches!(next, Next::Close) {
                return Ok(End::Closed(Closed::AfterAnswer));
            }
            self.record.clear();
        }
    }

    async fn handshake(&mut self) -> Result<Option<Closed>, Fault> {
        self.client.watch.enter(Stage::Handshake, self.limits().timeouts.handshake);
        let config = self.snapshot.tls.of(|| self.local());
        self.client.start_tls(config)?;
        let Some(handshake) = self.client.handshake(&mut self.input).await? else {
            return Ok(Some(Closed::ByClient));
        };
        let _ = self.identity.handshake.set(handshake);
        self.find_front();
        Ok(None)
    }

    /// A reload reaches connections that stay open, between two of their requests.
    fn take_published(&mut self) {
        let published = self.worker.snapshot();
        if !published.is(&self.snapshot) {
            self.snapshot = published;
            self.find_front();
        }
    }

    /// Waits for a whole request head at the front of `input`.
    async fn read_head(&mut self) -> Result<Arrival, Fault> {
        self.take_published();
        let Timeouts { keep_alive, request_head, .. } = self.limits().timeouts;
        let keep_alive = self.front.keep_alive.unwrap_or(keep_alive);
        let draining = self.worker.is_draining();
        if draining && self.served > 0 && self.input.is_empty() {
            return Ok(Arrival::Closed(Closed::Drained));
        }
        // A connection that was accepted has one request to bring, also while we drain.
        let idle_limit = if draining { DRAIN_GRACE } else { keep_alive };
        let waiting = Stage::before_request(self.served);
        self.client.watch.enter(waiting, idle_limit);
        let mut search = Search::default();
        let mut is_pipelined = self.served > 0;
        loop {
            let skip = leading_empty_lines(self.input.data());
            if skip > 0 {
                self.input.consume(skip);
                search = Search::default();
            }
            let idle = self.input.is_empty();
            if !idle && self.client.watch.stage() == waiting {
                self.served += 1;
                self.record.begin(self.client.sent());
                self.record.is_pipelined.set(is_pipelined);
                self.client.watch.enter(Stage::ReadRequestHead, request_head);
            }
            let found = search.find(self.input.data()).map_err(|refusal| self.refuse(refusal))?;
            self.check_head_len(found)?;
            if let Some(head_len) = found {
                return Ok(Arrival::Head(head_len));
            }
            check_begin(self.input.data()).map_err(|refusal| self.refuse(refusal))?;
            is_pipelined = false;
            match self.client.read(&mut self.input).await {
                Ok(Input::Data) => {}
                Ok(Input::End | Input::Truncated) if idle => {
                    return Ok(Arrival::Closed(Closed::ByClient));
                }
                Ok(Input::End | Input::Truncated) => {
                    let (stage, side, cause) =
                        (Stage::ReadRequestHead, Side::Client, Cause::Closed);
                    return Err(Fault { stage, side, cause });
                }
                Err(fault) if idle => return fault.between_requests().map(Arrival::Closed),
                Err(fault) => return Err(fault),
            }
        }
    }

    fn check_head_len(&mut self, found: Option<usize>) -> Result<(), Fault> {
        let limits = self.limits();
        let len = found.unwrap_or(self.input.len());
        if len <= limits.request_head_bytes_max {
            return Ok(());
        }
        let head = &self.input.data()[..len];
        let line = memchr::memchr(b'\r', head).map_or(head, |end| &head[..end]);
        let refusal = if line.len() > limits.request_target_bytes_max {
            Refusal { status: 414, words: "client sent too long URI" }
        } else {
            Refusal { status: 431, words: "client sent too large request headers" }
        };
        self.record.request.set(line, b"", b"", b"");
        Err(self.refuse(refusal))
    }

    async fn exchange(&mut self, head_len: usize) -> Result<Next, Fault> {
        let Plan { terms, deed } = self.plan(head_len)?;
        self.record.owes_body.set(terms.has_body);
        let (status, fields): (u16, Vec<u8>) = match deed {
            Deed::Forward(mut forward) => return self.forward(terms, &mut forward).await,
            Deed::Redirect { host, target, permanent } => {
                let site = self.snapshot.routes.site(terms.site);
                let head = &self.input.data()[..head_len];
                let location = Location {
                    permanent_redirect: permanent,
                    host: host.map_or(site.name.as_bytes(), |host| &head[host]),
                    target: &head[target],
                    keep_alive: terms.keep_alive && !terms.has_body,
                };
                self.record.status.set(if permanent { 308 } else { 301 });
                self.record.answering.set(true);
                self.snapshot.redirect.send(&self.client, &location).await?;
                self.input.consume(head_len);
                return Ok(after(terms));
            }
            Deed::Challenge(Some(content)) => {
                let out = respond::challenge(&content, connection(terms), terms.to_head);
                return self.author(head_len, terms, 200, &out).await;
            }
            Deed::AddSlash(location) => (301, location),
            Deed::Challenge(None) | Deed::NotFound => (404, Vec::new()),
        };
        let mut out = Vec::new();
        let answer = respond::Answer {
            status,
            server: respond::SERVER,
            fields: &fields,
            hsts: self.hsts(terms.site),
            connection: connection(terms),
            to_head: terms.to_head,
        };
        self.record.sent.set(respond::write(&mut out, &answer));
        self.author(head_len, terms, status, &out).await
    }

    /// Sends an answer of our own that leaves the connection in order.
    async fn author(
        &mut self,
        head_len: usize,
        terms: Terms,
        status: u16,
        answer: &[u8],
    ) -> Result<Next, Fault> {
        self.record.status.set(status);
        self.record.answering.set(true);
        self.record.head_sent.set((answer.len() as u64).saturating_sub(self.record.sent.get()));
        self.client.write(answer).await?;
        self.input.consume(head_len);
        Ok(after(terms))
    }

    fn plan(&mut self, head_len: usize) -> Result<Plan, Fault> {
        let handshake = self.identity.handshake.get();
        let context = Context {
            snapshot: &self.snapshot,
            client: &self.identity.address,
            trusted: self.identity.trusted.get(),
            tls: self.client.is_tls(),
            server_name: handshake.and_then(|handshake| handshake.server_name.as_deref()),
            draining: self.worker.is_draining(),
        };
        let scratch = &mut *self.worker.scratch.borrow_mut();
        plan::plan(&mut self.input, head_len, &context, &mut self.record.request, scratch)
            .map_err(|refusal| self.refuse(refusal))
    }

    fn become_tunnel(self, opened: Opened) {
        let Self { identity, client, input, mut record, permit, live, .. } = self;
        let Opened { upstream, sent, idle } = opened;
        record.shrink();
        let tunnel = Tunnel {
            identity,
            client,
            upstream,
            from_client: input,
            from_upstream: sent,
            idle,
            record,
            permit,
            live,
        };
        runtime::spawn(tunnel::run(Box::new(tunnel)));
    }

    /// The site's HSTS line; never over plain HTTP (RFC 6797 section 7.2).
    fn hsts(&self, site: usize) -> &[u8] {
        if self.client.is_tls() { &self.snapshot.routes.site(site).hsts } else { b"" }
    }

    fn refuse(&self, refusal: Refusal) -> Fault {
        Fault::refused(Stage::ReadRequestHead, Side::Client, refusal)
    }
}

/// An answer of our own: the connection goes on unless a body is still to come.
fn after(terms: Terms) -> Next {
    if terms.keep_alive && !terms.has_body { Next::Request } else { Next::Close }
}

/// What an answer of our own says of that.
fn connection(terms: Terms) -> &'static [u8] {
    respond::connection(terms.keep_alive && !terms.has_body, terms.version)
}
