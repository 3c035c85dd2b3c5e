//! Just enough HTTP/1.1 and WebSocket for a load and an upstream that know each other.

/// A head: the length it has, and the fields we look at.
#[derive(Debug, Default)]
pub(crate) struct Head<'a> {
    pub(crate) bytes: usize,
    pub(crate) first_line: &'a [u8],
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) websocket_key: Option<&'a [u8]>,
}

impl<'a> Head<'a> {
    /// `None` while the empty line has not come.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        let mut head = Self::default();
        let mut rest = data;
        loop {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let line = rest[..end].trim_ascii_end();
            rest = &rest[end + 1..];
            if line.is_empty() {
                head.bytes = data.len() - rest.len();
                return Some(head);
            }
            if head.first_line.is_empty() {
                head.first_line = line;
            } else {
                head.field(line);
            }
        }
    }

    fn field(&mut self, line: &'a [u8]) {
        // Lengths first: most fields are none of ours.
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match colon {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.content_length = number(value);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.chunked = true,
            17 if name.eq_ignore_ascii_case(b"sec-websocket-key") => {
                self.websocket_key = Some(value);
            }
            _ => {}
        }
    }

    /// Of an answer.
    pub(crate) fn status(&self) -> u64 {
        let mut words = self.first_line.split(|byte| *byte == b' ');
        words.nth(1).and_then(number).unwrap_or(0)
    }

    /// Of a request.
    pub(crate) fn target(&self) -> &'a [u8] {
        self.first_line.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
    }
}

pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Chunked coding, read over to its end.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// Of the chunk at hand, its line end included.
    left: u64,
    line: Vec<u8>,
    last: bool,
}

impl Chunks {
    /// Bytes taken from `data`, and whether the body has ended.
    pub(crate) fn skip(&mut self, data: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < data.len() {
            if self.left > 0 {
                let n = self.left.min((data.len() - at) as u64);
                self.left -= n;
                at += n as usize;
                continue;
            }
            let byte = data[at];
            at += 1;
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let text = std::str::from_utf8(line.trim_ascii()).unwrap_or_default();
            if self.last && text.is_empty() {
                return (at, true);
            }
            let size = u64::from_str_radix(text.split(';').next().unwrap_or_default(), 16);
            match size {
                Ok(0) => self.last = true,
                Ok(size) => self.left = size + 2,
                Err(_) => {}
            }
        }
        (at, false)
    }
}

/// A WebSocket frame: where its payload is.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Frame {
    /// `None` while it has not come whole.
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let (first, second) = (*data.first()?, *data.get(1)?);
        let (length, mut start) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(data.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(data.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let mut mask = None;
        if second & 0x80 != 0 {
            mask = Some(data.get(start..start + 4)?.try_into().ok()?);
            start += 4;
        }
        let end = start + usize::try_from(length).ok()?;
        data.get(start..end)?;
        Some(Self { opcode: first & 0x0f, mask, start, end })
    }

    /// Appends a whole binary message.
    pub(crate) fn write(out: &mut Vec<u8>, payload: &[u8], mask: Option<[u8; 4]>) {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        out.push(0x82);
        match payload.len() {
            short @ 0..126 => out.push(bit | short as u8),
            long => {
                out.push(bit | 126);
                let long = u16::try_from(long).expect("no message of ours is 64 KiB long");
                out.extend_from_slice(&long.to_be_bytes());
            }
        }
        out.extend_from_slice(&mask.unwrap_or_default()[..if mask.is_some() { 4 } else { 0 }]);
        let mask = mask.unwrap_or_default();
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_chunks_and_frames_are_read_when_they_are_whole() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-Length: 12\r\n\r\nbody";
        assert!(Head::read(&answer[..answer.len() - 6]).is_none());
        let head = Head::read(answer).unwrap();
        assert_eq!((head.status(), head.content_length), (200, Some(12)));
        assert_eq!(head.bytes, answer.len() - 4);

        let body = b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\nnext";
        assert_eq!(Chunks::default().skip(body), (body.len() - 4, true));
        let mut bytewise = Chunks::default();
        let ends = body.iter().position(|byte| bytewise.skip(&[*byte]).1);
        assert_eq!(ends, Some(body.len() - 5));

        let mut out = Vec::new();
        Frame::write(&mut out, &[7; 200], Some([1, 2, 3, 4]));
        assert!(Frame::read(&out[..out.len() - 1]).is_none());
        let frame = Frame::read(&out).unwrap();
        assert_eq!((frame.opcode, frame.end - frame.start), (2, 200));
        assert_eq!(frame.mask, Some([1, 2, 3, 4]));
    }
}
