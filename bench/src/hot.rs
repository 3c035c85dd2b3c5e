//! Hot functions under names of their own: never inlined, so that a profiler finds where they begin
//! and end.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use sheen::buf::Buf;
use sheen::h1::framing::{self, Length};
use sheen::h1::head::{AnswerHead, RequestHead, Table, Version, parse_answer, parse_request};
use sheen::h1::rewrite::{self, Outgoing, OutgoingBody};
use sheen::limits::Limits;
use sheen::log;
use sheen::plan::{self, Context, Plan};
use sheen::redirect::{Location, Redirect};
use sheen::serve::{self, Arrived, Begun};
use sheen::tls::session::Session;

use certstore::CertSet;
use rustls::SignatureScheme;

/// Tokenises a request head; returns the length of its target.
#[inline(never)]
pub fn parse_head(raw: &[u8], limits: &Limits) -> usize {
    let mut table = Table::default();
    match parse_request(raw, &mut table, limits) {
        Ok(head) => head.target.len(),
        Err(_) => 0,
    }
}

/// Decides how long a request's body is.
#[inline(never)]
pub fn frame_request(head: &RequestHead<'_, '_>) -> Option<Length> {
    framing::request(head).ok()
}

/// Everything between a request head and the upstream: parse, target, framing, site, location, the
/// app's head, in front of the body.
#[inline(never)]
pub fn plan_request(
    input: &mut Buf,
    head_len: usize,
    context: &Context<'_>,
    request: &mut log::Request,
    scratch: &mut Vec<u8>,
) -> Option<Plan> {
    plan::plan(input, head_len, context, request, scratch).ok()
}

/// As `plan_request`, by an nginx.conf.
#[inline(never)]
pub fn plan_by_conf(
    input: &mut Buf,
    head_len: usize,
    arrived: Arrived,
    request: &mut log::Request,
    scratch: &mut Vec<u8>,
) -> Option<Begun> {
    serve::begin(input, head_len, arrived, &Limits::default(), request, scratch).ok()
}

/// Everything between an answer head and the client: parse, framing, rewrite with HSTS, in front of
/// the body.
#[inline(never)]
pub fn translate_answer(buf: &mut Buf, head_len: usize, hsts: &[u8], scratch: &mut Vec<u8>) {
    scratch.clear();
    let raw = &buf.data()[..head_len];
    let mut table = Table::default();
    let Ok(head) = parse_answer(raw, &mut table) else { return };
    rewrite_answer(scratch, &head, raw, hsts);
    buf.replace_front(head_len, scratch);
}

/// The rewrite alone.
#[inline(never)]
pub fn rewrite_answer(out: &mut Vec<u8>, head: &AnswerHead<'_, '_>, raw: &[u8], hsts: &[u8]) {
    let body = match framing::answer(head, false) {
        Ok(Length::Sized(bytes)) => OutgoingBody::Sized(bytes),
        _ => OutgoingBody::Chunked,
    };
    let outgoing = Outgoing { client: Version::Http11, keep_alive: true, hsts: Some(hsts), body };
    rewrite::answer(out, head, raw, &outgoing);
}

/// The answer of a plain-HTTP listener; returns its length.
#[inline(never)]
pub fn redirect_parts(redirect: &Redirect, location: &Location<'_>) -> usize {
    let mut bytes = 0;
    for part in &redirect.parts(location) {
        bytes += part.len();
    }
    bytes
}

/// The certificate for a server name; true when there is one.
#[inline(never)]
pub fn select_certificate(set: &CertSet, name: &str, schemes: &[SignatureScheme]) -> bool {
    set.select(Some(name), schemes).is_some()
}

/// Encrypts into records.
#[inline(never)]
pub fn encrypt_records(session: &mut Session, plain: &[u8], out: &mut Buf) -> bool {
    session.send(&mut [], plain, out).is_ok()
}

/// Decrypts records.
#[inline(never)]
pub fn decrypt_records(
    session: &mut Session,
    records: &mut [u8],
    plain: &mut Buf,
    out: &mut Buf,
) -> bool {
    session.receive(records, plain, out).is_ok()
}

/// What encrypting costs without TLS around it: the cipher, record by record, in place.
#[inline(never)]
pub fn seal_bare(key: &LessSafeKey, data: &mut [u8]) -> bool {
    let mut sealed = true;
    for (number, record) in data.chunks_mut(16384).enumerate() {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&(number as u64).to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        sealed &= key.seal_in_place_separate_tag(nonce, Aad::from([0; 5]), record).is_ok();
    }
    sealed
}
