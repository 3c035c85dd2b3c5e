//! Escaping and unescaping of URIs as nginx does it.

/// Bytes to escape.
pub type Set = [bool; 256];

/// For a path: what would end it or is not allowed in it.
pub const URI: &Set = &set(b" \"#%<>?\\^`{|}");
/// For arguments: what separates them as well.
pub(super) const ARGS: &Set = &set(b" \"#%&+;<>?\\^`{|}");
/// For a request line: what would end it. What is not ASCII goes as it is.
pub(super) const REQUEST_LINE: &Set = &{
    let mut set = *CONTROL;
    set[b' ' as usize] = true;
    set
};
/// For a header field: control characters, which would end it.
pub(super) const CONTROL: &Set = &set(b"");

/// Appends `text` with every byte of `set` as `%XX`.
pub fn append(text: &[u8], set: &Set, out: &mut Vec<u8>) {
    out.reserve(text.len());
    for byte in text {
        if has(set, *byte) {
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        } else {
            out.push(*byte);
        }
    }
}

/// As [`append`]; text that needs no escape is copied in one go.
pub fn append_mostly_plain(text: &[u8], set: &Set, out: &mut Vec<u8>) {
    if text.iter().any(|byte| has(set, *byte)) {
        append(text, set, out);
    } else {
        out.extend_from_slice(text);
    }
}

/// Escapes the control characters behind `start`, in place.
pub(super) fn escape_control(start: usize, out: &mut Vec<u8>) {
    if has_control(&out[start..]) {
        let text = out.split_off(start);
        append(&text, CONTROL, out);
    }
}

/// Hardly any text has one, and every value of a field is looked at: eight bytes at a time.
fn has_control(text: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let is_in = |eight: &[u8; 8]| {
        let eight = u64::from_ne_bytes(*eight);
        let below_space = eight.wrapping_sub(ONES * 0x20) & !eight;
        let delete = eight ^ (ONES * 0x7f);
        let is_delete = delete.wrapping_sub(ONES) & !delete;
        (below_space | is_delete) & HIGHEST != 0
    };
    match text.last_chunk() {
        Some(last) => text.as_chunks().0.iter().chain([last]).any(is_in),
        None => text.iter().any(u8::is_ascii_control),
    }
}

/// Decodes, up to the first `?`, what may stand in a redirect unescaped; in place.
pub(super) fn unescape_redirect(text: &mut Vec<u8>) {
    if memchr::memchr(b'%', text).is_none() {
        return;
    }
    let hex = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let (mut from, mut to) = (0, 0);
    while from < text.len() {
        let byte = text[from];
        from += 1;
        if byte != b'%' {
            text[to] = byte;
            to += 1;
            if byte == b'?' {
                break;
            }
            continue;
        }
        // A percent sign that escapes nothing goes, as nginx has it.
        let Some(first) = text.get(from).copied() else { break };
        from += 1;
        let Some(high) = hex(first) else {
            text[to] = first;
            to += 1;
            continue;
        };
        let Some(second) = text.get(from).copied() else { break };
        from += 1;
        let Some(low) = hex(second) else { continue };
        match high << 4 | low {
            b'?' => {
                text[to] = b'?';
                to += 1;
                break;
            }
            plain @ b'&'..=b'~' => {
                text[to] = plain;
                to += 1;
            }
            _ => {
                text[to..to + 3].copy_from_slice(&[b'%', first, second]);
                to += 3;
            }
        }
    }
    let rest = text.len() - from;
    text.copy_within(from.., to);
    text.truncate(to + rest);
}

fn has(set: &Set, byte: u8) -> bool {
    set[usize::from(byte)]
}

/// Control characters, DEL and what is not ASCII are in every set but that of control characters,
/// which leaves the last.
const fn set(bytes: &[u8]) -> Set {
    let (mut set, mut at) = ([false; 256], 0);
    while at < set.len() {
        set[at] = (at as u8).is_ascii_control() || (at > 0x7f && !bytes.is_empty());
        at += 1;
    }
    at = 0;
    while at < bytes.len() {
        set[bytes[at] as usize] = true;
        at += 1;
    }
    set
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_escaped_where_they_mean_something() {
        for (text, uri, args) in [
            ("/a b", "/a%20b", "/a%20b"),
            ("a&b+c;d", "a&b+c;d", "a%26b%2Bc%3Bd"),
            ("100%?#", "100%25%3F%23", "100%25%3F%23"),
            ("\u{e9}\n\"<>\\^`{|}", "%C3%A9%0A%22%3C%3E%5C%5E%60%7B%7C%7D", ""),
            ("-._~!$'()*,:=@[]", "-._~!$'()*,:=@[]", ""),
        ] {
            let mut out = Vec::new();
            append(text.as_bytes(), URI, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), uri);
            let mut out = Vec::new();
            append_mostly_plain(text.as_bytes(), ARGS, &mut out);
            let args = if args.is_empty() { uri } else { args };
            assert_eq!(String::from_utf8(out).unwrap(), args);
        }
    }

    #[test]
    fn control_characters_are_seen_wherever_they_stand() {
        for byte in 0..=u8::MAX {
            for len in 1..20 {
                for at in 0..len {
                    let mut text = vec![b'a'; len];
                    text[at] = byte;
                    assert_eq!(has_control(&text), has(CONTROL, byte), "{byte} at {at} of {len}");
                }
            }
        }
        assert!(!has_control(b""));
    }

    #[test]
    fn redirects_are_unescaped_up_to_their_arguments() {
        for (text, expected) in [
            ("/plain", "/plain"),
            ("/a%41%2f%20%25?x=%41", "/aA/%20%25?x=%41"),
            ("/a%3Fb%41", "/a?b%41"),
            ("/%zz%4", "/zz"),
            ("/%4g%", "/"),
            ("/%7e%7F%c3", "/~%7F%c3"),
        ] {
            let mut text = text.as_bytes().to_vec();
            unescape_redirect(&mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
