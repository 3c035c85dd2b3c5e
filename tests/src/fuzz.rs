//! The bodies of the fuzz targets: each takes any bytes and checks what must hold for them, not
//! only that nothing panics.
//!
//! libFuzzer drives them from `tests/fuzz`; the ordinary test run replays `tests/corpus` and some
//! mutations of it.

mod files;
mod logs;
mod messages;
mod naive;
mod records;
mod routing;

pub use files::conditional;
pub use logs::{real_ip, syslog};
pub use messages::{answer, framing, head};
pub use records::records;
pub use routing::{regex, template, uri};

use sheen::buf::Buf;
use sheen::fault::Refusal;
use sheen::h1::chunked::{Chunked, Keep};
use sheen::limits::{BUF_BYTES, PROXY_HEADER_BYTES_MAX, TRAILER_BYTES_MAX};
use sheen::proxy_protocol::{Parsed, parse};
use sheen::route::path::normal;

/// A chunked body: whole, in pieces, and what went through it once more.
pub fn chunked(bytes: &[u8]) {
    let framing = scan_whole(bytes, Keep::Framing);
    let data = scan_whole(bytes, Keep::Data);
    for keep in [Keep::Framing, Keep::Data] {
        let whole = scan_whole(bytes, keep);
        for size in [1, 2, 3, 7, 64] {
            is_the_same_scan(&whole, &scan_pieces(bytes, keep, |_| size));
        }
        let mut random = Random::of(bytes);
        is_the_same_scan(&whole, &scan_pieces(bytes, keep, |left| 1 + random.below(left)));
    }
    let framing = match (framing, &data) {
        (Ok(framing), _) => framing,
        // The data alone goes to clients that get no trailers, so nobody looks at them.
        (Err(refusal), Ok(_)) => {
            assert_eq!(refusal, Refusal::bad_request("invalid trailer section"));
            return;
        }
        (Err(refusal), Err(same)) => return assert_eq!(refusal, *same),
    };
    let data = data.expect("what goes on in chunks is understood without them");
    if !framing.is_done {
        return assert!(!data.is_done);
    }
    let naive = naive::dechunk(bytes).expect("what is done is whole");
    assert_eq!(data.out, naive.data);
    assert_eq!([framing.consumed, data.consumed], [naive.consumed; 2]);
    assert_eq!([framing.data, data.data], [naive.data.len() as u64; 2]);

    let sent = naive::dechunk(&framing.out).expect("what goes on is whole");
    assert_eq!(sent.consumed, framing.out.len());
    assert_eq!((&sent.data, sent.extensions), (&naive.data, 0));
    let mut allowed = naive.trailers;
    allowed.retain(|(name, _)| !messages::is_guarded(name));
    assert_eq!(sent.trailers, allowed);
    let again = scan_whole(&framing.out, Keep::Framing).expect("what goes on is accepted");
    assert_eq!(again, Scanned { consumed: framing.out.len(), ..framing.clone() });
}

/// What became of a body, or of as much of it as there was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scanned {
    out: Vec<u8>,
    consumed: usize,
    data: u64,
    is_done: bool,
}

fn scan_whole(bytes: &[u8], keep: Keep) -> Result<Scanned, Refusal> {
    scan_pieces(bytes, keep, |left| left)
}

/// Scans as a connection does: what is not consumed stays in front of what comes next.
fn scan_pieces(
    bytes: &[u8],
    keep: Keep,
    mut size: impl FnMut(usize) -> usize,
) -> Result<Scanned, Refusal> {
    let mut chunked = Chunked::new(keep);
    let mut all = Scanned { out: Vec::new(), consumed: 0, data: 0, is_done: false };
    let mut fed = 0;
    while fed < bytes.len() && !chunked.is_done() {
        fed += size(bytes.len() - fed).min(bytes.len() - fed);
        let mut pending = bytes[all.consumed..fed].to_vec();
        let scan = chunked.scan(&mut pending)?;
        assert!(scan.kept <= scan.consumed && scan.consumed <= pending.len());
        assert!(scan.data <= scan.kept as u64);
        all.out.extend_from_slice(&pending[..scan.kept]);
        all.consumed += scan.consumed;
        all.data += scan.data;
        assert_eq!(pending[scan.consumed..], bytes[all.consumed..fed], "the rest stays as it is");
        let waiting = fed - all.consumed;
        assert!(chunked.is_done() || waiting <= TRAILER_BYTES_MAX, "only a trailer is waited for");
    }
    all.is_done = chunked.is_done();
    Ok(all)
}

fn is_the_same_scan(whole: &Result<Scanned, Refusal>, pieces: &Result<Scanned, Refusal>) {
    // A trailer section that is too long and wrong as well may be refused for either.
    let too_long = |refusal: &Refusal| refusal.status == 431;
    match (whole, pieces) {
        (Err(a), Err(b)) if too_long(a) || too_long(b) => {}
        _ => assert_eq!(whole, pieces),
    }
}

/// The header of a balancer: what is complete does not depend on what follows, and every part of it
/// is incomplete.
pub fn proxy_header(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(PROXY_HEADER_BYTES_MAX)];
    let Ok(Parsed::Header(header)) = parse(bytes) else { return };
    assert!((15..=bytes.len()).contains(&header.len));
    for len in 0..header.len {
        assert_eq!(parse(&bytes[..len]), Ok(Parsed::Incomplete), "{len} bytes");
    }
    assert_eq!(parse(&bytes[..header.len]), Ok(Parsed::Header(header)));
    let Some(client) = header.client.filter(|_| bytes[0] == b'P') else { return };
    let text = std::str::from_utf8(&bytes[..header.len]).expect("a line is ASCII");
    let port = format!(" {} ", client.port());
    assert!(text.starts_with("PROXY TCP") && text.contains(&port), "{text}: {client}");
}

/// A path of a request: its normal form is one, and is the same however the path is written.
pub fn path(bytes: &[u8]) {
    // No head with a NUL in it comes this far.
    let text = String::from_utf8_lossy(bytes).replace('\0', "");
    let text = format!("/{}", text.strip_prefix('/').unwrap_or(&text));
    let normal_form = normal(&text).map(|path| path.into_owned());
    assert_eq!(normal_form.as_ref().ok(), naive::normal_path(text.as_bytes()).as_ref());
    let Ok(normal_form) = normal_form else { return };

    assert_eq!(normal_form[0], b'/');
    assert!(!normal_form.contains(&0));
    assert!(!has(&normal_form, b"//"));
    let mut segments = normal_form.split(|b| *b == b'/');
    assert!(!segments.any(|segment| matches!(segment, b"." | b"..")));

    let decoded = naive::unescape(text.as_bytes()).expect("it has a normal form");
    let escaped: String = decoded.iter().map(|b| format!("%{b:02x}")).collect();
    // The first slash is never escaped: a target begins with it.
    let escaped = escaped.replacen("%2f", "/", 1);
    assert_eq!(normal(&escaped).as_deref(), Ok(&normal_form[..]));
    if let Ok(text) = str::from_utf8(&normal_form)
        && !text.contains('%')
    {
        assert_eq!(normal(text).as_deref(), Ok(&normal_form[..]));
    }
}

/// Operations on a buffer, three bytes each, beside the same on a vector.
pub fn buf(bytes: &[u8]) {
    let mut buf = Buf::new();
    let mut model: Vec<u8> = Vec::new();
    for (step, operation) in bytes.chunks_exact(3).take(32).enumerate() {
        let size = usize::from(u16::from_le_bytes([operation[1], operation[2]]));
        // Small, around the sizes of the pool, and large.
        let size = match operation[0] >> 6 {
            0 => size % 32,
            1 => size,
            2 => (BUF_BYTES - 32) + size % 64,
            _ => size * 2,
        };
        let size = if model.len() < 4 * BUF_BYTES { size } else { size % 32 };
        let fresh = crate::pattern(step as u64 * 7919, size);
        let some = if model.is_empty() { 0 } else { size % (model.len() + 1) };
        match operation[0] % 7 {
            0 => {
                // Small: just about what is free.
                let want = if size < 32 { buf.space(0).len() + size % 3 } else { size };
                let space = buf.space(want);
                assert!(space.len() >= want);
                let filled = if model.len() < 4 * BUF_BYTES { want } else { 0 };
                let fresh = crate::pattern(step as u64, filled);
                space[..filled].copy_from_slice(&fresh[..filled]);
                buf.filled(filled);
                model.extend_from_slice(&fresh[..filled]);
            }
            1 => {
                buf.extend(&fresh);
                model.extend_from_slice(&fresh);
            }
            2 => {
                buf.consume(some);
                model.drain(..some);
            }
            3 => {
                buf.replace_front(some, &fresh);
                model.splice(..some, fresh);
            }
            4 => {
                buf.data_mut()[..some].reverse();
                model[..some].reverse();
            }
            5 => {
                let len = model.len();
                buf.consume(len);
                model.clear();
            }
            _ => {
                buf.clear();
                model.clear();
            }
        }
        assert_eq!((buf.len(), buf.is_empty()), (model.len(), model.is_empty()));
        assert!(buf.data() == model, "step {step}: the bytes differ");
    }
}

/// A configuration, right or wrong.
pub fn config(bytes: &[u8]) {
    sheen::config::native::fuzz_parse(&String::from_utf8_lossy(bytes));
}

/// An nginx.conf, right or wrong.
pub fn nginx(bytes: &[u8]) {
    sheen::config::nginx::fuzz(bytes);
    for name in ["a.toml", "a.conf"] {
        sheen::config::dialect(bytes, std::path::Path::new(name));
    }
}

/// The files of a certificate and a key, right or wrong.
pub fn cert(bytes: &[u8]) {
    certstore::fuzz_load(bytes);
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// xorshift: the same numbers in every run.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that depend on `seed` alone.
    pub fn of(seed: &[u8]) -> Self {
        // FNV-1a; xorshift must not begin with 0.
        let hash = seed.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(hash | 1)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
