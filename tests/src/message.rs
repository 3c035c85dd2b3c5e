//! Reading HTTP/1.1 messages from a stream of bytes, for the client's and the upstream's end alike.

/// Bytes that keep coming: a client's connection or an upstream's.
pub trait Source {
    /// What was received and not yet consumed.
    fn buffer(&mut self) -> &mut Vec<u8>;
    /// Receives more; false at the end of the stream.
    fn fill(&mut self) -> bool;
}

/// Start line and fields of a request or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Exactly as received, with the empty line.
    pub raw: String,
    /// The start line.
    pub line: String,
    pub fields: Vec<(String, String)>,
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A body and its trailer section.
pub type Body = (Vec<u8>, Vec<(String, String)>);

/// The stream ended before the message did; holds what was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended(pub Vec<u8>);

impl Head {
    /// Takes `raw`, a whole head with its empty line.
    pub fn parse(raw: &[u8]) -> Self {
        let raw = String::from_utf8_lossy(raw).into_owned();
        let mut lines = raw.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines.take_while(|line| !line.is_empty()).map(split_field).collect();
        Self { raw, line, fields }
    }

    /// Status of an answer.
    pub fn status(&self) -> u16 {
        let code = self.line.split(' ').nth(1).unwrap_or_default();
        code.parse().unwrap_or_else(|_| panic!("no status in {:?}", self.raw))
    }

    /// The one value of a field; panics when there are several.
    pub fn field(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() < 2, "several {name} in {}", self.raw);
        values.first().copied()
    }

    /// All values of a field, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// How the body of this request is delimited.
    pub fn request_framing(&self) -> Framing {
        if self.field("transfer-encoding").is_some() {
            return Framing::Chunked;
        }
        self.field("content-length").map_or(Framing::None, |len| Framing::Length(number(len)))
    }

    /// How the body of this answer to `method` is delimited.
    pub fn answer_framing(&self, method: &str) -> Framing {
        let status = self.status();
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Framing::None;
        }
        if self.field("transfer-encoding").is_some() {
            return Framing::Chunked;
        }
        self.field("content-length").map_or(Framing::UntilClose, |len| Framing::Length(number(len)))
    }
}

/// Reads up to and with the empty line after a head; `None` when the stream ends before its first
/// byte.
pub fn read_head(source: &mut impl Source) -> Result<Option<Head>, Ended> {
    loop {
        let end = find(source.buffer(), b"\r\n\r\n");
        if let Some(end) = end {
            let raw: Vec<u8> = source.buffer().drain(..end + 4).collect();
            return Ok(Some(Head::parse(&raw)));
        }
        if !source.fill() {
            let left = std::mem::take(source.buffer());
            return if left.is_empty() { Ok(None) } else { Err(Ended(left)) };
        }
    }
}

/// Reads a body and its trailer section; on an early end, the part that came.
pub fn read_body(source: &mut impl Source, framing: Framing) -> Result<Body, Ended> {
    match framing {
        Framing::None => Ok((Vec::new(), Vec::new())),
        Framing::Length(len) => Ok((read_exactly(source, len as usize)?, Vec::new())),
        Framing::UntilClose => {
            while source.fill() {}
            Ok((std::mem::take(source.buffer()), Vec::new()))
        }
        Framing::Chunked => read_chunked(source),
    }
}

/// Moves what is buffered into `into`; `None` when nothing is.
pub fn take_buffered(buffer: &mut Vec<u8>, into: &mut [u8]) -> Option<usize> {
    if buffer.is_empty() {
        return None;
    }
    let len = into.len().min(buffer.len());
    into[..len].copy_from_slice(&buffer[..len]);
    buffer.drain(..len);
    Some(len)
}

/// Reads `len` bytes.
pub fn read_exactly(source: &mut impl Source, len: usize) -> Result<Vec<u8>, Ended> {
    while source.buffer().len() < len {
        if !source.fill() {
            return Err(Ended(std::mem::take(source.buffer())));
        }
    }
    Ok(source.buffer().drain(..len).collect())
}

/// Reads a line up to its CRLF, which is not returned.
pub fn read_line(source: &mut impl Source) -> Result<String, Ended> {
    loop {
        let end = find(source.buffer(), b"\r\n");
        if let Some(end) = end {
            let line: Vec<u8> = source.buffer().drain(..end + 2).collect();
            return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if !source.fill() {
            return Err(Ended(std::mem::take(source.buffer())));
        }
    }
}

fn read_chunked(source: &mut impl Source) -> Result<Body, Ended> {
    let mut body = Vec::new();
    loop {
        let line = read_line(source)?;
        assert!(!line.contains(';'), "chunk extensions are not passed on: {line:?}");
        let size = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("size {line:?}"));
        if size == 0 {
            break;
        }
        match read_exactly(source, size + 2) {
            Ok(chunk) => {
                assert_eq!(&chunk[size..], b"\r\n", "a chunk ends with CRLF");
                body.extend_from_slice(&chunk[..size]);
            }
            Err(Ended(left)) => {
                body.extend_from_slice(&left);
                return Err(Ended(body));
            }
        }
    }
    let mut trailers = Vec::new();
    loop {
        let line = read_line(source)?;
        if line.is_empty() {
            return Ok((body, trailers));
        }
        trailers.push(split_field(&line));
    }
}

/// Position of `needle` in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn split_field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim().to_owned())
}

fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or_else(|_| panic!("Content-Length {digits:?}"))
}
