//! A second reading of everything that is fuzzed: naive, slow, and written from the RFCs alone.

use std::net::{IpAddr, SocketAddr};

use sheen::h1::framing::Length;

/// A field of a head: its name in lower case, its value without the white space around it.
pub(super) type Field = (String, Vec<u8>);

/// Whether every CR has its LF and every LF its CR, and nothing else is a control character.
pub(super) fn is_clean(head: &[u8]) -> bool {
    let lines = lines(head);
    let plain = |b: &u8| *b == b'\t' || !b.is_ascii_control();
    lines.len() > 1 && lines.iter().all(|line| line.iter().all(plain))
}

pub(super) fn fields(head: &[u8]) -> Vec<Field> {
    let lines = lines(head).into_iter().skip(1);
    lines.take_while(|line| !line.is_empty()).map(field).collect()
}

/// The values of the fields of that name.
pub(super) fn values<'a>(fields: &'a [Field], name: &str) -> Vec<&'a [u8]> {
    fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_slice()).collect()
}

/// The words of the comma-separated list in the fields of that name, in lower case.
pub(super) fn words(fields: &[Field], name: &str) -> Vec<String> {
    let values = values(fields, name);
    let words = values.iter().flat_map(|value| value.split(|b| *b == b',')).map(trim);
    words.map(lower).filter(|word| !word.is_empty()).collect()
}

/// RFC 9112 section 6.3 for a request; nothing when it has to be refused.
pub(super) fn request_length(head: &[u8]) -> Option<Length> {
    let declared = declared_length(&fields(head), lines(head)[0].ends_with(b"1.1"))?;
    Some(declared.unwrap_or(Length::None))
}

/// RFC 9112 section 6.3 for an answer; nothing when it has to be refused.
pub(super) fn answer_length(head: &[u8], status: u16, to_head: bool) -> Option<Length> {
    let declared = declared_length(&fields(head), head.starts_with(b"HTTP/1.1"))?;
    if to_head || status < 200 || status == 204 || status == 304 {
        return Some(Length::None);
    }
    Some(declared.unwrap_or(Length::UntilClose))
}

fn declared_length(fields: &[Field], http11: bool) -> Option<Option<Length>> {
    let (codings, lengths) = (words(fields, "transfer-encoding"), values(fields, "content-length"));
    if values(fields, "transfer-encoding").is_empty() {
        return match lengths[..] {
            [] => Some(None),
            [digits] if digits.iter().all(u8::is_ascii_digit) => {
                match std::str::from_utf8(digits).ok()?.parse::<i64>().ok()? {
                    0 => Some(Some(Length::None)),
                    bytes => Some(Some(Length::Sized(bytes as u64))),
                }
            }
            _ => None,
        };
    }
    (http11 && codings == ["chunked"] && lengths.is_empty()).then_some(Some(Length::Chunked))
}

/// What the most careless app might take for a statement about the length: names with `_`, `.` or
/// white space for `-` or around them, lines that end in CR or LF alone.
pub(super) fn careless_lengths(head: &[u8]) -> Vec<Field> {
    let lines = head.split(|b| matches!(b, b'\r' | b'\n' | 0)).skip(1);
    let with_colon = lines.filter(|line| line.contains(&b':'));
    let plain = with_colon.map(field).map(|(name, value)| {
        let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control()).to_owned();
        (name.replace(['_', '.', ' ', '\t'], "-"), value)
    });
    plain.filter(|(name, _)| ["content-length", "transfer-encoding"].contains(&&**name)).collect()
}

/// A chunked body, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dechunked {
    pub(super) data: Vec<u8>,
    /// Size lines with extensions.
    pub(super) extensions: usize,
    pub(super) trailers: Vec<Field>,
    /// Bytes of the body with its framing.
    pub(super) consumed: usize,
}

/// RFC 9112 section 7.1.3; nothing when the body is not whole.
pub(super) fn dechunk(input: &[u8]) -> Option<Dechunked> {
    let mut rest = input;
    let mut data = Vec::new();
    let mut extensions = 0;
    loop {
        let line = take_line(&mut rest)?;
        extensions += usize::from(line.contains(&b';'));
        let digits = line.split(|b| *b == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        data.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    let mut trailers = Vec::new();
    loop {
        match take_line(&mut rest)? {
            b"" => break,
            line => trailers.push(field(line)),
        }
    }
    Some(Dechunked { data, extensions, trailers, consumed: input.len() - rest.len() })
}

/// RFC 3986 sections 2.1 and 5.2.4, double slashes merged; nothing when the path has to be refused.
pub(super) fn normal_path(path: &[u8]) -> Option<Vec<u8>> {
    let decoded = unescape(path)?;
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut is_folder = true;
    for segment in decoded[1..].split(|b| *b == b'/') {
        is_folder = true;
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop()?;
            }
            segment => {
                segments.push(segment);
                is_folder = false;
            }
        }
    }
    let mut normal = [b"/", segments.join(&b'/').as_slice()].concat();
    if is_folder && !segments.is_empty() {
        normal.push(b'/');
    }
    Some(normal)
}

/// Without its escapes; nothing for a bad one and for NUL.
pub(super) fn unescape(path: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = path.split(|b| *b == b'%');
    let mut decoded = pieces.next()?.to_vec();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        decoded.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        decoded.extend_from_slice(&piece[2..]);
    }
    (!decoded.contains(&0)).then_some(decoded)
}

/// The addresses that values of `X-Forwarded-For` tell, the last first, with their ports or 0;
/// `None` where there is something else, behind which nobody looks.
pub(super) fn forwarded(values: &[&[u8]]) -> Vec<Option<(IpAddr, u16)>> {
    let mut told = Vec::new();
    for value in values.iter().rev() {
        let value = String::from_utf8_lossy(value);
        let words = value.split([' ', ',']).rev().filter(|word| !word.is_empty());
        told.extend(words.map(address));
        // nginx takes one of these away with the address behind it, and reads on in the others.
        let leading = value.len() - value.trim_start_matches([' ', ',']).len();
        if value.is_empty() || leading > 1 || leading == value.len() {
            told.push(None);
        }
    }
    told
}

/// The client, as far as everyone from `peer` on is trusted.
pub(super) fn client(
    told: &[Option<(IpAddr, u16)>],
    peer: Option<IpAddr>,
    recursive: bool,
    trusts: impl Fn(Option<IpAddr>) -> bool,
) -> Option<(IpAddr, u16)> {
    let known = told.iter().map_while(|told| *told);
    let tellers = [peer].into_iter().chain(known.clone().map(|(ip, _)| Some(ip)));
    let believed = known.zip(tellers).take_while(|(_, teller)| trusts(*teller));
    believed.map(|(told, _)| told).take(if recursive { usize::MAX } else { 1 }).last()
}

fn address(word: &str) -> Option<(IpAddr, u16)> {
    if let Ok(ip) = word.parse() {
        return Some((ip, 0));
    }
    let address: SocketAddr = word.parse().ok().filter(|_| !word.contains('%'))?;
    (address.port() > 0).then(|| (address.ip(), address.port()))
}

/// Whether these are the bytes of a name or an address and perhaps a port, RFC 3986 section 3.2.
pub(super) fn is_authority(bytes: &[u8]) -> bool {
    let text = lower(bytes);
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (&*text, ""),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let is_address = |host: &str| host.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b));
    (port.is_empty() || port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
        && !host.is_empty()
        && bare.map_or(host.bytes().all(allowed), is_address)
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(|| take_line(&mut rest)).collect()
}

fn take_line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    Some(line)
}

fn field(line: &[u8]) -> Field {
    let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
    (lower(&line[..colon]), trim(line.get(colon + 1..).unwrap_or_default()).to_vec())
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}
