//! The bytes of an answer from a file, in pieces: the whole, one range, or several as
//! multipart/byteranges (RFC 9110 section 14.6).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::buf::Buf;
use crate::fault::{Cause, Fault, Side};
use crate::limits::BUF_BYTES;
use crate::relay::Turn;
use crate::stage::Stage;
use crate::tls::stream::Stream;

/// What is still to be sent of a file.
#[derive(Debug, Default)]
pub struct FileBody {
    /// `None` when there is nothing to send.
    file: Option<File>,
    /// Of the part that is under way.
    part: Range<u64>,
    /// The parts after it.
    parts: std::vec::IntoIter<Range<u64>>,
    multipart: Option<Multipart>,
    sent: u64,
}

/// What stands between the parts.
#[derive(Debug)]
pub(super) struct Multipart {
    /// Twenty digits.
    boundary: String,
    /// Type of the file; empty for none.
    media: Box<[u8]>,
    size: u64,
}

impl Multipart {
    pub(super) fn new(boundary: u64, media: &[u8], size: u64) -> Self {
        Self { boundary: format!("{boundary:020}"), media: media.into(), size }
    }

    pub(super) fn boundary(&self) -> &str {
        &self.boundary
    }

    fn append_part_head(&self, part: &Range<u64>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("\r\n--{}\r\n", self.boundary).as_bytes());
        if !self.media.is_empty() {
            out.extend_from_slice(b"Content-Type: ");
            out.extend_from_slice(&self.media);
            out.extend_from_slice(b"\r\n");
        }
        let (last, size) = (part.end - 1, self.size);
        let line = format!("Content-Range: bytes {}-{last}/{size}\r\n\r\n", part.start);
        out.extend_from_slice(line.as_bytes());
    }

    fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }

    /// Bytes of the whole body.
    pub(super) fn len(&self, parts: &[Range<u64>]) -> u64 {
        let mut head = Vec::new();
        let part_len = |part: &Range<u64>| {
            head.clear();
            self.append_part_head(part, &mut head);
            head.len() as u64 + (part.end - part.start)
        };
        parts.iter().map(part_len).sum::<u64>() + self.end().len() as u64
    }
}

impl FileBody {
    /// These bytes of a file, at the least one part.
    pub(super) fn new(file: File, parts: Vec<Range<u64>>, multipart: Option<Multipart>) -> Self {
        let mut parts = parts.into_iter();
        let part = match multipart {
            Some(_) => 0..0,
            None => parts.next().unwrap_or_default(),
        };
        Self { file: Some(file), part, parts, multipart, sent: 0 }
    }

    /// True when everything has been handed out.
    pub fn is_done(&self) -> bool {
        self.file.is_none()
    }

    /// Bytes handed out.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Appends the next bytes to `buf`, until it holds a piece or the body is done.
    ///
    /// Errors: the file can't be read, or has become shorter than the head has promised.
    pub fn fill(&mut self, buf: &mut Buf) -> io::Result<()> {
        let before = buf.len();
        let result = self.fill_up(buf);
        self.sent += (buf.len() - before) as u64;
        result
    }

    fn fill_up(&mut self, buf: &mut Buf) -> io::Result<()> {
        while let Some(file) = &self.file {
            if self.part.is_empty() {
                self.next_part(buf);
                continue;
            }
            let room = BUF_BYTES.saturating_sub(buf.len());
            if room == 0 {
                return Ok(());
            }
            let want = (self.part.end - self.part.start).min(room as u64) as usize;
            let space = &mut buf.space(want)[..want];
            let n = match file.read_at(space, self.part.start) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, SHORTER)),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            buf.filled(n);
            self.part.start += n as u64;
        }
        Ok(())
    }

    fn next_part(&mut self, buf: &mut Buf) {
        let part = self.parts.next();
        if let Some(multipart) = &self.multipart {
            match &part {
                Some(part) => {
                    let mut head = Vec::with_capacity(160);
                    multipart.append_part_head(part, &mut head);
                    buf.extend(&head);
                }
                None => buf.extend(multipart.end().as_bytes()),
            }
        }
        match part {
            Some(part) => self.part = part,
            None => self.file = None,
        }
    }
}

/// Sends what is in `buf`, the head, and then the body. A file that can't be read to its end cuts
/// the connection, as an upstream does that stops in the middle.
pub async fn send(to: &Stream, buf: &mut Buf, body: &mut FileBody) -> Result<(), Fault> {
    // Only the sending waits, each time with a deadline of its own.
    to.watch.enter(Stage::SendAnswer, Duration::MAX);
    let mut turn = Turn::default();
    loop {
        body.fill(buf).map_err(|error| Fault {
            stage: Stage::SendAnswer,
            side: Side::Sheen,
            cause: Cause::Io(error),
        })?;
        if !buf.is_empty() {
            to.write(buf.data()).await?;
            buf.clear();
        }
        if body.is_done() {
            return Ok(());
        }
        turn.piece().await;
        // On a fast path nothing waits, so nothing else would notice that the worker ends.
        to.watch.interrupted()?;
    }
}

const SHORTER: &str = "file was truncated while it was sent";
