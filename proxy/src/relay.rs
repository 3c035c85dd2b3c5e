//! Moving bodies: one loop for either direction of an exchange, and for a tunnel, which is the same
//! without framing.

use std::cell::Cell;
use std::time::Duration;

use crate::buf::Buf;
use crate::fault::{Cause, Fault, Refusal, Side};
use crate::h1::chunked::{Chunked, Keep, Scan};
use crate::h1::framing::Length;
use crate::h1::rewrite::chunk_size_line;
use crate::io::runtime;
use crate::limits::{CHUNK_SIZE_DIGITS_MAX, PIECES_PER_TURN_MAX};
use crate::stage::Stage;
use crate::tls::stream::{Input, Stream};

/// A body on its way: what of it is still to come.
#[derive(Debug)]
pub struct Body {
    progress: Progress,
    wrapping: Wrapping,
    /// Bytes of the body itself so far.
    passed: u64,
    /// The same with their framing, as they came.
    raw: u64,
    /// More than this is refused with 413.
    limit: Option<u64>,
    /// What has gone by so far, where somebody asks for it: see [`Body::keep`].
    kept: Option<Box<Kept>>,
}

/// A copy of a body's data.
#[derive(Debug)]
struct Kept {
    data: Vec<u8>,
    /// More than this is not kept.
    bytes_max: usize,
    /// What takes the chunks off.
    chunked: Option<Chunked>,
}

impl Kept {
    /// Adds what goes on of a body; false when it is too much, or not chunks after all.
    fn add(&mut self, passed_on: &[u8]) -> bool {
        let start = self.data.len();
        self.data.extend_from_slice(passed_on);
        if let Some(chunked) = &mut self.chunked {
            // What goes on is chunks again, with the trailer section whole: nothing is left over.
            let Ok(scan) = chunked.scan(&mut self.data[start..]) else { return false };
            self.data.truncate(start + scan.kept);
        }
        self.data.len() <= self.bytes_max
    }
}

#[derive(Debug)]
enum Progress {
    Done,
    Sized { left: u64 },
    Chunked(Chunked),
    UntilClose,
}

/// Whether what goes on is put into chunks of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrapping {
    No,
    Chunks,
    /// Whoever moves the body writes the last chunk.
    OpenChunks,
}

/// What the receiver of an answer's body gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// HTTP/1.0: no chunks.
    Data,
    /// Chunks where the size is not known.
    Framed { trailers: bool },
    /// Chunks whatever it was, without the last one: whoever moves it writes that.
    OpenChunks,
}

impl Body {
    /// A request's body, which keeps its framing.
    pub fn of_request(length: Length, limit: Option<u64>) -> Result<Self, Refusal> {
        if let (Length::Sized(bytes), Some(limit)) = (length, limit)
            && bytes > limit
        {
            return Err(TOO_LARGE);
        }
        let progress = match length {
            Length::None | Length::UntilClose => Progress::Done,
            Length::Sized(left) => Progress::Sized { left },
            Length::Chunked => Progress::Chunked(Chunked::new(Keep::Framing)),
        };
        Ok(Self { progress, wrapping: Wrapping::No, passed: 0, raw: 0, limit, kept: None })
    }

    /// An answer's body.
    pub fn of_answer(length: Length, onward: Onward) -> Self {
        let keep = match onward {
            Onward::Data | Onward::OpenChunks => Keep::Data,
            Onward::Framed { trailers: true } => Keep::Framing,
            Onward::Framed { trailers: false } => Keep::Chunks,
        };
        let progress = match length {
            Length::None => Progress::Done,
            Length::Sized(left) => Progress::Sized { left },
            Length::Chunked => Progress::Chunked(Chunked::new(keep)),
            Length::UntilClose => Progress::UntilClose,
        };
        let wrapping = match (onward, length) {
            (Onward::OpenChunks, _) => Wrapping::OpenChunks,
            (Onward::Framed { .. }, Length::UntilClose) => Wrapping::Chunks,
            _ => Wrapping::No,
        };
        Self { progress, wrapping, passed: 0, raw: 0, limit: None, kept: None }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.progress, Progress::Done)
    }

    /// What is still to come of a body of known size that goes on as it is; of others, nothing.
    pub fn left(&self) -> u64 {
        match self.progress {
            Progress::Sized { left } if self.wrapping == Wrapping::No => left,
            Progress::Sized { .. }
            | Progress::Done
            | Progress::Chunked(_)
            | Progress::UntilClose => 0,
        }
    }

    /// So many bytes of a body of known size went by without us.
    pub fn went_by(&mut self, bytes: u64) {
        let Progress::Sized { left } = &mut self.progress else { return };
        debug_assert!(bytes <= *left);
        *left -= bytes;
        self.passed += bytes;
        self.raw += bytes;
        if *left == 0 {
            self.progress = Progress::Done;
        }
    }

    /// Bytes of the body that have gone by, framing not counted.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Keeps a copy of a request's body, without its chunks, if that is at most `bytes_max`.
    pub fn keep(&mut self, bytes_max: usize) {
        let chunked = match self.progress {
            Progress::Sized { left } if left <= bytes_max as u64 => None,
            Progress::Chunked(_) => Some(Chunked::new(Keep::Data)),
            Progress::Sized { .. } | Progress::Done | Progress::UntilClose => return,
        };
        self.kept = Some(Box::new(Kept { data: Vec::new(), bytes_max, chunked }));
    }

    /// The copy, once the body is complete.
    pub fn take_kept(&mut self) -> Option<Vec<u8>> {
        let kept = self.kept.take().filter(|_| self.is_done());
        kept.map(|kept| kept.data)
    }

    /// Bytes that have come of the body, its framing with them.
    pub fn raw(&self) -> u64 {
        self.raw
    }

    /// How much of `bytes` belongs to the body, and how much of that, moved to the front, goes on.
    fn take(&mut self, bytes: &mut [u8]) -> Result<Scan, Refusal> {
        let all = bytes.len();
        let plain = |n: usize| Scan { consumed: n, kept: n, data: n as u64 };
        let scan = match &mut self.progress {
            Progress::Done => plain(0),
            Progress::Sized { left } => {
                let n = (*left).min(all as u64);
                *left -= n;
                plain(n as usize)
            }
            Progress::Chunked(chunked) => chunked.scan(bytes)?,
            Progress::UntilClose => plain(all),
        };
        let over = match &self.progress {
            Progress::Sized { left } => *left == 0,
            Progress::Chunked(chunked) => chunked.is_done(),
            Progress::Done | Progress::UntilClose => false,
        };
        if over {
            self.progress = Progress::Done;
        }
        if let Some(kept) = &mut self.kept
            && !kept.add(&bytes[..scan.kept])
        {
            self.kept = None;
        }
        self.passed += scan.data;
        self.raw += scan.consumed as u64;
        if self.limit.is_some_and(|limit| self.passed > limit) {
            return Err(TOO_LARGE);
        }
        Ok(scan)
    }

    /// Throws away what has come of the body. Errors: it is malformed, or beyond its limit.
    pub fn skip(&mut self, buf: &mut Buf) -> Result<(), Refusal> {
        let scan = self.take(buf.data_mut())?;
        buf.consume(scan.consumed);
        Ok(())
    }

    /// The end of the sender's stream: true when that ends the body.
    fn end(&mut self) -> bool {
        let ends = matches!(self.progress, Progress::UntilClose);
        if ends {
            self.progress = Progress::Done;
        }
        ends
    }
}

/// One direction of an exchange.
#[derive(Debug)]
pub struct Half<'a> {
    pub from: &'a Stream,
    pub to: &'a Stream,
    /// Begins with `head` bytes that go on as they are, then what has come of the body.
    pub buf: &'a mut Buf,
    pub head: usize,
    pub body: &'a mut Body,
    pub stage: Stage,
    /// Longest wait for the next bytes of the sender.
    pub limit: Duration,
    /// While true, the sender may wait for the other direction: its time does not run.
    pub paused: &'a Cell<bool>,
    /// An answer's client that has gone ends it.
    pub heeds_client: bool,
}

impl Half<'_> {
    /// Moves the body to its end. Reading stops while the receiver does not take what was read.
    pub async fn run(mut self) -> Result<(), Fault> {
        let mut turn = Turn::default();
        loop {
            self.pass_on().await?;
            if self.body.is_done() {
                return Ok(());
            }
            self.from.watch.enter(self.stage, self.limit_now());
            turn.piece().await;
            // An upstream that has ended its side may have answered; a client that has is gone.
            let heeds = self.heeds_client && self.stage == Stage::ReadAnswerBody;
            let client = heeds.then_some(self.to);
            let gone = || client.is_some_and(Stream::peer_closed);
            let fault = match self.from.read_unless(self.buf, gone).await? {
                Input::Data => continue,
                Input::End if self.body.end() => {
                    if self.body.wrapping == Wrapping::Chunks {
                        self.to.write(b"0\r\n\r\n").await?;
                    }
                    return Ok(());
                }
                Input::End => Cause::Closed,
                Input::Truncated => Cause::Truncated,
            };
            return Err(self.fault(fault));
        }
    }

    /// Sends the head and what is there of the body.
    pub async fn pass_on(&mut self) -> Result<(), Fault> {
        let into_chunks = self.body.wrapping != Wrapping::No;
        if into_chunks && self.head > 0 {
            self.to.write(&self.buf.data()[..self.head]).await?;
            self.buf.consume(self.head);
            self.head = 0;
        }
        if self.buf.is_empty() {
            return Ok(());
        }
        let scan = match self.body.take(&mut self.buf.data_mut()[self.head..]) {
            Ok(scan) => scan,
            Err(refusal) => return Err(self.fault(Cause::Refused(refusal))),
        };
        if into_chunks {
            return self.pass_on_chunk(scan).await;
        }
        let ready = self.head + scan.kept;
        if ready > 0 {
            self.to.write(&self.buf.data()[..ready]).await?;
        }
        self.buf.consume(self.head + scan.consumed);
        self.head = 0;
        Ok(())
    }

    /// What was kept, as a chunk. One of no bytes would be the last.
    async fn pass_on_chunk(&mut self, scan: Scan) -> Result<(), Fault> {
        // Nothing, but where the body came in chunks or another answer follows.
        let rest = self.buf.data()[scan.consumed..].to_vec();
        self.buf.truncate(scan.kept);
        if scan.kept > 0 {
            let mut line = Vec::with_capacity(CHUNK_SIZE_DIGITS_MAX + 2);
            chunk_size_line(&mut line, scan.kept);
            self.buf.replace_front(0, &line);
            self.buf.extend(b"\r\n");
            self.to.write(self.buf.data()).await?;
        }
        self.buf.clear();
        if !rest.is_empty() {
            self.buf.extend(&rest);
        }
        Ok(())
    }

    pub fn limit_now(&self) -> Duration {
        if self.paused.get() { Duration::MAX } else { self.limit }
    }

    pub fn fault(&self, cause: Cause) -> Fault {
        let side = match self.stage {
            Stage::ReadAnswerBody => Side::Upstream,
            _ => Side::Client,
        };
        Fault { stage: self.stage, side, cause }
    }
}

/// Takes a request's body to its end, and passes on nothing of it. `buf` holds what has come.
pub async fn discard(
    from: &Stream,
    buf: &mut Buf,
    body: &mut Body,
    limit: Duration,
) -> Result<(), Fault> {
    let stage = Stage::ReadRequestBody;
    let fault = |cause| Fault { stage, side: Side::Client, cause };
    let mut turn = Turn::default();
    loop {
        let scan = body.take(buf.data_mut()).map_err(|refusal| fault(Cause::Refused(refusal)))?;
        buf.consume(scan.consumed);
        if body.is_done() {
            return Ok(());
        }
        from.watch.enter(stage, limit);
        turn.piece().await;
        match from.read(buf).await? {
            Input::Data => {}
            Input::End => return Err(fault(Cause::Closed)),
            Input::Truncated => return Err(fault(Cause::Truncated)),
        }
    }
}

/// One direction of a tunnel, to its end; `moved` counts the bytes. Both ends' deadlines move with
/// every byte.
#[allow(
    clippy::manual_async_fn,
    reason = "an async fn keeps its arguments twice, idle tunnels too"
)]
pub fn pump<'a>(
    from: &'a Stream,
    to: &'a Stream,
    buf: &'a mut Buf,
    idle: &'a Cell<Duration>,
    moved: &'a Cell<u64>,
) -> impl Future<Output = Result<(), Fault>> + 'a {
    async move {
        let mut turn = Turn::default();
        loop {
            if !buf.is_empty() {
                to.write(buf.data()).await?;
                moved.set(moved.get() + buf.len() as u64);
                buf.clear();
            }
            match from.read(buf).await? {
                Input::Data => {
                    from.watch.postpone(idle.get());
                    to.watch.postpone(idle.get());
                    turn.piece().await;
                }
                Input::End => return to.finish().await,
                Input::Truncated => {
                    let (stage, side, cause) = (Stage::Tunnel, Side::Client, Cause::Truncated);
                    return Err(Fault { stage, side, cause });
                }
            }
        }
    }
}

/// Counts pieces, and lets other connections run after so many: on a fast path both ends may be
/// ready for ever.
#[derive(Debug, Default)]
pub struct Turn {
    pieces: usize,
}

impl Turn {
    pub async fn piece(&mut self) {
        self.pieces += 1;
        if self.pieces.is_multiple_of(PIECES_PER_TURN_MAX) {
            runtime::yield_now().await;
        }
    }
}

const TOO_LARGE: Refusal = Refusal { status: 413, words: "client intended to send too large body" };
