//! Scenarios as text.
//!
//! Above the line `=== requests` stands the inside of an http block, in which `PORT` is the port it
//! listens on, `UPSTREAM` the app's address, `APP_PORT` its port, `SOCKET` the path of its Unix
//! socket and `ROOT` a folder. Below stand requests, one a line:
//!
//! ```text
//! GET /x                       with Host: a.test and Connection: close
//! GET /x b.test | X-A: 1 | ... another Host (`-`: none), further fields; whoever names Connection
//!                              gets no other
//! POST /x a.test << body       with a Content-Length
//! GET /x a.test => 404 | X-B: 2 << text     what the app answers, which it learns from X-Answer
//! GET /x a.test => RAW HTTP/1.0 200 OK\r\n\r\ntext
//! RAW GET / HTTP/1.0\r\n\r\n   bytes as they are
//! {GET,HEAD} /{a,b}            all four
//! ```
//!
//! `\r`, `\n`, `\t`, `\0`, `\xHH` and `\\` stand for their bytes, `\,` for a comma between braces.

/// The inside of an http block, and what is asked of it.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) conf: &'static str,
    pub(crate) requests: Vec<Request>,
}

/// What goes to both on a connection of its own.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// As it stands in the scenario, without braces.
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
    /// The connection is read to its end.
    pub(crate) to_end: bool,
}

impl Scenario {
    pub(crate) fn new(name: &'static str, text: &'static str) -> Self {
        let (conf, lines) = text.split_once("=== requests\n").expect("a scenario has requests");
        let lines = lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let requests = lines.flat_map(expand).map(Request::new).collect();
        Self { name, conf, requests }
    }
}

impl Request {
    fn new(text: String) -> Self {
        let (asked, answer) = match text.split_once(" => ") {
            Some((asked, answer)) => (asked, Some(answer)),
            None => (text.as_str(), None),
        };
        let (mut bytes, to_end) = match asked.strip_prefix("RAW ") {
            Some(raw) => (unescape(raw), true),
            None => built(asked),
        };
        if let Some(answer) = answer {
            let field = format!("X-Answer: {}\r\n", escape(&self::answer(answer)));
            let line = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            bytes.splice(line..line, field.into_bytes());
        }
        Self { text, bytes, to_end }
    }

    /// True when these words stand in what is sent.
    pub(crate) fn has(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.bytes).contains(words)
    }

    /// The target, if it is that of a request line.
    pub(crate) fn target(&self) -> String {
        let line = self.bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        String::from_utf8_lossy(line).split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// The methods of the requests on the connection.
    pub(crate) fn methods(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let lines = text.lines().filter(|line| line.contains(" HTTP/"));
        lines.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }
}

/// The bytes of `METHOD TARGET [HOST] | FIELD... << BODY`.
fn built(asked: &str) -> (Vec<u8>, bool) {
    let (head, body) = match asked.split_once(" << ") {
        Some((head, body)) => (head, Some(unescape(body))),
        None => (asked, None),
    };
    let mut parts = head.split(" | ");
    let mut words = parts.next().unwrap().split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let host = words.next().unwrap_or("a.test");
    let mut bytes = [method.as_bytes(), b" ", &unescape(target), b" HTTP/1.1\r\n"].concat();
    let mut field = |field: &[u8]| bytes.extend([field, b"\r\n"].concat());
    if host != "-" {
        field(&[b"Host: ", &*unescape(host)].concat());
    }
    let mut closes = true;
    for part in parts {
        closes &= !part.to_ascii_lowercase().starts_with("connection:");
        field(&unescape(part));
    }
    if let Some(body) = &body {
        field(format!("Content-Length: {}", body.len()).as_bytes());
    }
    if closes {
        field(b"Connection: close");
    }
    field(b"");
    bytes.extend(body.unwrap_or_default());
    (bytes, closes)
}

/// The bytes of `STATUS | FIELD... << BODY`, with a length if nothing else frames the body.
fn answer(text: &str) -> Vec<u8> {
    if text == "WAIT" {
        return text.into();
    }
    if let Some(raw) = text.strip_prefix("RAW ") {
        return unescape(raw);
    }
    let (head, body) = match text.split_once(" << ") {
        Some((head, body)) => (head, unescape(body)),
        None => (text, Vec::new()),
    };
    let mut parts = head.split(" | ");
    let status = parts.next().unwrap();
    let mut bytes = format!("HTTP/1.1 {status} Word\r\n").into_bytes();
    let mut is_framed = matches!(status, "204" | "304");
    for part in parts {
        is_framed |= part.starts_with("Transfer-Encoding:") || part.starts_with("Content-Length:");
        bytes.extend(unescape(part));
        bytes.extend(b"\r\n");
    }
    if !is_framed {
        bytes.extend(format!("Content-Length: {}\r\n", body.len()).into_bytes());
    }
    [&bytes, &b"\r\n"[..], &body].concat()
}

/// The lines that a line with braces stands for.
fn expand(line: &str) -> Vec<String> {
    let Some(end) = line.find('}') else { return vec![line.to_owned()] };
    let start = line[..end].rfind('{').expect("a brace is opened before it is closed");
    let words = line[start + 1..end].replace("\\,", "\0");
    let one =
        |word: &str| format!("{}{}{}", &line[..start], word.replace('\0', ","), &line[end + 1..]);
    words.split(',').flat_map(|word| expand(&one(word))).collect()
}

/// Bytes for what stands behind backslashes.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let [kind, tail @ ..] = rest else { panic!("{text}: a backslash at the end") };
        rest = tail;
        bytes.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => b'\0',
            b'\\' => b'\\',
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).unwrap();
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).unwrap()
            }
            other => panic!("{text}: \\{}", *other as char),
        });
    }
    bytes
}

/// A field's value that [`unescape`] makes the bytes of.
fn escape(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'\\' => "\\\\".to_owned(),
        b' '..=b'~' => (*byte as char).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    bytes.iter().map(one).collect()
}
