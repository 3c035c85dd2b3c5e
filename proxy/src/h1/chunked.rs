//! The chunked transfer coding (RFC 9112 section 7.1), checked byte by byte while it passes
//! through.
//!
//! A body goes on in the chunks it came in, without being copied. What not everybody reads alike is
//! taken out: chunk extensions, and trailer fields that could change what the message means.

use super::head::Search;
use super::name::Name;
use crate::fault::Refusal;
use crate::limits::{CHUNK_EXTENSION_BYTES_MAX, CHUNK_SIZE_DIGITS_MAX, TRAILER_BYTES_MAX};

/// Progress through a chunked body.
///
/// ```text
/// Size -> (Extension) -> SizeLf -> Data -> DataCr -> DataLf -> Size ...
///                          '-- of size 0 --> Trailer -> Done
/// ```
#[derive(Debug, Clone)]
pub struct Chunked {
    state: State,
    keep: Keep,
}

/// What is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Chunks as they came, and the trailer section.
    Framing,
    /// Chunks as they came, and no trailers.
    Chunks,
    /// The data alone, for a client of HTTP/1.0.
    Data,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { digits: usize, size: u64 },
    Extension { bytes: usize, size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer,
    Done,
}

/// What [`Chunked::scan`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Bytes to pass on: they are now at the start of the input.
    pub kept: usize,
    /// Bytes of the body itself among them.
    pub data: u64,
}

impl Chunked {
    pub fn new(keep: Keep) -> Self {
        Self { state: State::Size { digits: 0, size: 0 }, keep }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Goes through `bytes` as far as they reach, and moves what is passed on to their front.
    ///
    /// Errors: anything that is not exactly a chunked body.
    pub fn scan(&mut self, bytes: &mut [u8]) -> Result<Scan, Refusal> {
        let mut scan = Scan { consumed: 0, kept: 0, data: 0 };
        while scan.consumed < bytes.len() && !self.is_done() {
            let byte = bytes[scan.consumed];
            match self.state {
                State::Data { left } => {
                    let n = left.min((bytes.len() - scan.consumed) as u64);
                    scan.data += n;
                    pass(bytes, &mut scan, n as usize);
                    self.state =
                        if left == n { State::DataCr } else { State::Data { left: left - n } };
                }
                State::Trailer => {
                    if !self.trailer(bytes, &mut scan)? {
                        break;
                    }
                }
                state => {
                    let keep = self.keep != Keep::Data && !is_extension(state, byte);
                    self.state = step(state, byte)?;
                    if keep {
                        pass(bytes, &mut scan, 1);
                    } else {
                        scan.consumed += 1;
                    }
                }
            }
        }
        Ok(scan)
    }

    /// Takes the trailer section once all of it is there: true when it was.
    fn trailer(&mut self, bytes: &mut [u8], scan: &mut Scan) -> Result<bool, Refusal> {
        let rest = &bytes[scan.consumed..];
        let end = Search::default().find(rest)?.filter(|end| *end <= TRAILER_BYTES_MAX);
        let Some(end) = end else {
            if rest.len() > TRAILER_BYTES_MAX {
                return Err(Refusal { status: 431, words: "trailer section is too long" });
            }
            return Ok(false);
        };
        let section = match self.keep {
            Keep::Framing => filter_trailers(&rest[..end])?,
            Keep::Chunks => b"\r\n".to_vec(),
            Keep::Data => Vec::new(),
        };
        bytes[scan.kept..scan.kept + section.len()].copy_from_slice(&section);
        scan.kept += section.len();
        scan.consumed += end;
        self.state = State::Done;
        Ok(true)
    }
}

/// The next state of the framing, for one byte of it.
fn step(state: State, byte: u8) -> Result<State, Refusal> {
    match (state, byte) {
        (State::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            if digits == CHUNK_SIZE_DIGITS_MAX || size > u64::from(u32::MAX) << 24 {
                return Err(Refusal::bad_request("chunk size is too large"));
            }
            let digit = (byte as char).to_digit(16).expect("the pattern admits hex digits only");
            Ok(State::Size { digits: digits + 1, size: size << 4 | u64::from(digit) })
        }
        (State::Size { digits: 1.., size }, b'\r') => Ok(State::SizeLf { size }),
        (State::Size { digits: 1.., size }, b';') => Ok(State::Extension { bytes: 1, size }),
        (State::Size { .. }, _) => Err(Refusal::bad_request("invalid chunk size")),
        (State::Extension { size, .. }, b'\r') => Ok(State::SizeLf { size }),
        (State::Extension { bytes, size }, b'\t' | b' '..=b'~' | 0x80..)
            if bytes < CHUNK_EXTENSION_BYTES_MAX =>
        {
            Ok(State::Extension { bytes: bytes + 1, size })
        }
        (State::Extension { .. }, _) => Err(Refusal::bad_request("invalid chunk extension")),
        (State::SizeLf { size: 0 }, b'\n') => Ok(State::Trailer),
        (State::SizeLf { size }, b'\n') => Ok(State::Data { left: size }),
        (State::SizeLf { .. }, _) => Err(Refusal::bad_request("chunk size line ends in a bare CR")),
        (State::DataCr, b'\r') => Ok(State::DataLf),
        (State::DataLf, b'\n') => Ok(State::Size { digits: 0, size: 0 }),
        (State::DataCr | State::DataLf, _) => {
            Err(Refusal::bad_request("chunk is not followed by CR LF"))
        }
        (State::Data { .. } | State::Trailer | State::Done, _) => {
            unreachable!("scan takes these states by more than a byte")
        }
    }
}

/// True for the bytes of an extension, its semicolon included.
fn is_extension(state: State, byte: u8) -> bool {
    match state {
        State::Size { .. } => byte == b';',
        State::Extension { .. } => byte != b'\r',
        _ => false,
    }
}

/// Moves `n` bytes to the end of what is passed on; nothing moves while nothing was taken out.
fn pass(bytes: &mut [u8], scan: &mut Scan, n: usize) {
    if scan.kept != scan.consumed {
        bytes.copy_within(scan.consumed..scan.consumed + n, scan.kept);
    }
    scan.kept += n;
    scan.consumed += n;
}

/// The trailer section without the fields that have no place there; never longer than it was.
fn filter_trailers(section: &[u8]) -> Result<Vec<u8>, Refusal> {
    if section == b"\r\n" {
        return Ok(section.to_vec());
    }
    let mut table = [httparse::EMPTY_HEADER; TRAILER_FIELDS_MAX];
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(section, &mut table)
    else {
        return Err(Refusal::bad_request("invalid trailer section"));
    };
    let mut kept = Vec::with_capacity(section.len());
    for field in fields {
        let name = field.name.as_bytes();
        let known = Name::aliased(name).unwrap_or_else(|| Name::of(name));
        if !known.is_forbidden_in_trailers() {
            kept.extend_from_slice(name);
            kept.extend_from_slice(b":");
            kept.extend_from_slice(field.value);
            kept.extend_from_slice(b"\r\n");
        }
    }
    kept.extend_from_slice(b"\r\n");
    Ok(kept)
}

/// Fields of one trailer section.
const TRAILER_FIELDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans `input` in pieces of `size` bytes, as a socket might deliver it.
    fn run(input: &[u8], size: usize, keep: Keep) -> Result<(Vec<u8>, usize), &'static str> {
        let mut chunked = Chunked::new(keep);
        let (mut pending, mut out, mut fed, mut used) = (Vec::new(), Vec::new(), 0, 0);
        while !chunked.is_done() {
            if fed == input.len() {
                return Err("incomplete");
            }
            let next = (fed + size).min(input.len());
            pending.extend_from_slice(&input[fed..next]);
            fed = next;
            let scan = chunked.scan(&mut pending).map_err(|refusal| refusal.words)?;
            out.extend_from_slice(&pending[..scan.kept]);
            pending.drain(..scan.consumed);
            used += scan.consumed;
        }
        Ok((out, used))
    }

    #[test]
    fn chunks_pass_unchanged_however_they_are_cut() {
        let body = b"5\r\nhello\r\n00A\r\n0123456789\r\n0\r\n\r\n";
        let message = [&body[..], b"GET /next"].concat();
        for size in 1..=message.len() {
            let expected = Ok((body.to_vec(), body.len()));
            assert_eq!(run(&message, size, Keep::Framing), expected, "{size}");
            assert_eq!(run(&message, size, Keep::Data).unwrap().0, b"hello0123456789");
        }
    }

    #[test]
    fn extensions_and_forbidden_trailers_are_taken_out() {
        let body = b"5;a=\"b\";c\r\nhello\r\n0;x\r\nX-Sum: 1\r\nContent-Length: 7\r\n\
            x_forwarded_for: me\r\nY: 2\r\n\r\n";
        for size in 1..=body.len() {
            let (out, used) = run(body, size, Keep::Framing).unwrap();
            assert_eq!(out, b"5\r\nhello\r\n0\r\nX-Sum:1\r\nY:2\r\n\r\n", "{size}");
            assert_eq!(used, body.len());
            assert_eq!(run(body, size, Keep::Chunks).unwrap().0, b"5\r\nhello\r\n0\r\n\r\n");
            assert_eq!(run(body, size, Keep::Data).unwrap().0, b"hello");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for body in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"0x5\r\n",
            b" 5\r\n",
            b"5 \r\nhello",
            b"5\nhello\r\n",
            b"5\rhello\r\n",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5\r\nhello\r\r",
            b"12345678901234567\r\n",
            b"ffffffffffffffff\r\n",
            b"5;a\nb\r\nhello",
            b"5;a\x00\r\nhello",
            b";\r\n",
            b"0\r\nX: 1\n\n",
            b"0\r\n X: 1\r\n\r\n",
            b"0\r\nX : 1\r\n\r\n",
            b"0\r\nnot a field\r\n\r\n",
        ] {
            for size in [1, body.len()] {
                let result = run(body, size, Keep::Framing);
                let name = String::from_utf8_lossy(body);
                assert!(!matches!(result, Ok(_) | Err("incomplete")), "{name:?}: {result:?}");
            }
        }
    }

    #[test]
    fn trailers_and_extensions_are_bounded() {
        let long = [&b"0\r\nX: "[..], &vec![b'a'; TRAILER_BYTES_MAX]].concat();
        assert_eq!(run(&long, 1000, Keep::Framing), Err("trailer section is too long"));
        let long = [&b"5;"[..], &vec![b'a'; CHUNK_EXTENSION_BYTES_MAX]].concat();
        assert_eq!(run(&long, 1000, Keep::Framing), Err("invalid chunk extension"));
    }
}
