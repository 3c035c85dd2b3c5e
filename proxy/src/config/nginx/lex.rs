//! nginx's grammar: bytes to words, and what each run of words ends with.
//!
//! It is nginx's own scanner in its own order of tests, since people's files live from its corners: a
//! quote inside a word is a byte like others, `#` begins a comment only where a word may begin,
//! `${name}` does not open a block, and a word ends the line of its `;`, not of its first byte.

use crate::limits::CONFIG_WORD_BYTES_MAX;

/// One word of a directive, its quotes and escapes taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub bytes: Vec<u8>,
    /// The line on which it begins, 1-based.
    pub line: usize,
}

/// Words up to their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Empty exactly when the end is `Close` or `File`.
    pub(super) words: Vec<Word>,
    pub(super) end: End,
    /// The line of the end, which is the one nginx names.
    pub(super) line: usize,
}

/// What words can end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`, where a directive may begin.
    Close,
    File,
}

/// Why there is no telling where the next word begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) what: String,
    pub(super) line: usize,
    /// The first word of what was begun and not ended.
    pub(super) begun: Option<Word>,
}

/// Reads one text from its front.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    /// Of `-g`: its end has words of its own.
    is_parameter: bool,
}

/// Where in a word the scanner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between words: one may begin here.
    Gap,
    /// In a word; true exactly when the byte before was `$`.
    Bare(bool),
    /// In a word that began with this quote; true exactly when the byte before was `$`.
    Quoted(u8, bool),
    /// After the closing quote, where a word must end.
    Closed,
    Comment,
}

/// A run in the making.
#[derive(Debug)]
struct Scan {
    words: Vec<Word>,
    state: State,
    /// Where the word that is being read begins, and on which line.
    start: usize,
    start_line: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8], is_parameter: bool) -> Self {
        Self { text, at: 0, line: 1, is_parameter }
    }

    /// The next words and their end.
    pub(super) fn run(&mut self) -> Result<Run, Unreadable> {
        let mut scan =
            Scan { words: Vec::new(), state: State::Gap, start: self.at, start_line: self.line };
        loop {
            let in_word = matches!(scan.state, State::Bare(_) | State::Quoted(..));
            let Some(&byte) = self.text.get(self.at) else {
                if in_word || !scan.words.is_empty() {
                    return Err(self.unreadable(self.end_words(), scan));
                }
                return Ok(Run { words: scan.words, end: End::File, line: self.line });
            };
            if in_word && self.at - scan.start >= CONFIG_WORD_BYTES_MAX {
                return Err(self.too_long(scan));
            }
            self.at += 1;
            self.line += usize::from(byte == b'\n');
            match self.step(&mut scan, byte) {
                Ok(state) => scan.state = state,
                Err(Some(end)) => return Ok(Run { words: scan.words, end, line: self.line }),
                Err(None) => {
                    let what = format!("unexpected \"{}\"", String::from_utf8_lossy(&[byte]));
                    return Err(self.unreadable(what, scan));
                }
            }
        }
    }

    /// What a byte makes of the state, or the end that it is; neither where it must not stand.
    fn step(&mut self, scan: &mut Scan, byte: u8) -> Result<State, Option<End>> {
        let state = match scan.state {
            State::Comment if byte == b'\n' => State::Gap,
            State::Comment => State::Comment,
            State::Closed => match byte {
                b' ' | b'\t' | b'\r' | b'\n' => State::Gap,
                b';' => return Err(Some(End::Semicolon)),
                b'{' => return Err(Some(End::Open)),
                // As in `if ($a = "b")`.
                b')' => {
                    (scan.start, scan.start_line) = (self.at - 1, self.line);
                    State::Bare(false)
                }
                _ => return Err(None),
            },
            State::Gap => return self.begin(scan, byte),
            state @ (State::Bare(true) | State::Quoted(_, true)) if byte == b'{' => state,
            state @ (State::Bare(_) | State::Quoted(..)) if byte == b'\\' => {
                self.skip_escaped(state)
            }
            State::Quoted(quote, _) if byte == quote => {
                scan.words.push(self.word(scan));
                State::Closed
            }
            State::Quoted(quote, _) => State::Quoted(quote, byte == b'$'),
            State::Bare(_) => match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    scan.words.push(self.word(scan));
                    State::Gap
                }
                b';' | b'{' => {
                    scan.words.push(self.word(scan));
                    return Err(Some(if byte == b';' { End::Semicolon } else { End::Open }));
                }
                byte => State::Bare(byte == b'$'),
            },
        };
        Ok(state)
    }

    /// As [`Lexer::step`], where a word may begin.
    fn begin(&mut self, scan: &mut Scan, byte: u8) -> Result<State, Option<End>> {
        (scan.start, scan.start_line) = (self.at - 1, self.line);
        let first = scan.words.is_empty();
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => Ok(State::Gap),
            b';' if !first => Err(Some(End::Semicolon)),
            b'{' if !first => Err(Some(End::Open)),
            b'}' if first => Err(Some(End::Close)),
            b';' | b'{' | b'}' => Err(None),
            b'#' => Ok(State::Comment),
            b'"' | b'\'' => {
                scan.start += 1;
                Ok(State::Quoted(byte, false))
            }
            b'\\' => Ok(self.skip_escaped(State::Bare(false))),
            byte => Ok(State::Bare(byte == b'$')),
        }
    }

    /// Passes over a block in another language, to behind its closing brace: strings and comments
    /// of Lua hide braces. False when the file ends first.
    pub(super) fn skip_foreign_block(&mut self) -> bool {
        let mut depth = 1_usize;
        let mut quote = None;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += 1;
            self.line += usize::from(byte == b'\n');
            match (quote, byte) {
                (Some(_), b'\\') => {
                    // Lua's way to go on in the next line, among others.
                    self.line += usize::from(self.text.get(self.at) == Some(&b'\n'));
                    self.at += 1;
                }
                (Some(open), byte) if byte == open || byte == b'\n' => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'-') if self.text.get(self.at) == Some(&b'-') => {
                    let rest = &self.text[self.at..];
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                (None, b'{') => depth += 1,
                (None, b'}') if depth == 1 => return true,
                (None, b'}') => depth -= 1,
                (None, _) => {}
            }
        }
        false
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The byte after a backslash means nothing to the grammar.
    fn skip_escaped(&mut self, state: State) -> State {
        if let Some(byte) = self.text.get(self.at) {
            self.at += 1;
            self.line += usize::from(*byte == b'\n');
        }
        match state {
            State::Quoted(quote, _) => State::Quoted(quote, false),
            _ => State::Bare(false),
        }
    }

    /// The word that ends before the byte just read.
    fn word(&self, scan: &Scan) -> Word {
        let bytes = unescape(&self.text[scan.start..self.at - 1]);
        Word { bytes, line: scan.start_line }
    }

    fn end_words(&self) -> &'static str {
        if self.is_parameter {
            r#"unexpected end of parameter, expecting ";""#
        } else {
            r#"unexpected end of file, expecting ";" or "}""#
        }
    }

    fn unreadable(&self, what: impl Into<String>, scan: Scan) -> Unreadable {
        Unreadable { what: what.into(), line: self.line, begun: scan.words.into_iter().next() }
    }

    fn too_long(&self, scan: Scan) -> Unreadable {
        let what = match scan.state {
            State::Quoted(quote, _) => format!(
                "too long parameter, probably missing terminating \"{}\" character",
                char::from(quote)
            ),
            _ => {
                let begin = String::from_utf8_lossy(&self.text[scan.start..scan.start + 10]);
                format!("too long parameter \"{begin}...\" started")
            }
        };
        let line = scan.start_line;
        Unreadable { line, ..self.unreadable(what, scan) }
    }
}

/// `\"`, `\'` and `\\` lose their backslash, `\t`, `\r` and `\n` are what they name, and any other
/// backslash stays: regular expressions need it.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let meant = match (byte, bytes.peek()) {
            (b'\\', Some(escaped @ (b'"' | b'\'' | b'\\'))) => Some(*escaped),
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'n')) => Some(b'\n'),
            _ => None,
        };
        out.push(meant.unwrap_or(byte));
        if meant.is_some() {
            bytes.next();
        }
    }
    out
}

/// The word as it may be written so that [`Lexer::run`] reads it again.
pub(super) fn quote(word: &[u8], out: &mut Vec<u8>) {
    if is_plain(word) {
        out.extend_from_slice(word);
        return;
    }
    out.push(b'"');
    for byte in word {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// True exactly when the word means itself without quotes.
fn is_plain(word: &[u8]) -> bool {
    let begins = word.first().is_some_and(|byte| !matches!(byte, b'#' | b'}' | b'"' | b'\''));
    let special = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b'\\');
    begins && !word.iter().any(special)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words in `<>`, ends as they are written.
    fn read(text: &str) -> String {
        let mut lexer = Lexer::new(text.as_bytes(), false);
        let mut out = String::new();
        loop {
            let run = match lexer.run() {
                Ok(run) => run,
                Err(error) => return format!("{out}! {} :{}", error.what, error.line),
            };
            for word in &run.words {
                out.push_str(&format!("<{}>", String::from_utf8_lossy(&word.bytes)));
            }
            match run.end {
                End::Semicolon => out.push(';'),
                End::Open => out.push('{'),
                End::Close => out.push('}'),
                End::File => return out,
            }
        }
    }

    #[test]
    fn words_quotes_escapes_and_comments() {
        for (text, expected) in [
            ("", ""),
            ("a;", "<a>;"),
            ("a b\tc\r\nd;", "<a><b><c><d>;"),
            ("a{b;}", "<a>{<b>;}"),
            ("a 'b c' \"d;e\";", "<a><b c><d;e>;"),
            ("a b\"c'd;", "<a><b\"c'd>;"),
            ("a \"\" '';", "<a><><>;"),
            (r#"a "x\"y" 'x\'y' x\\y;"#, r#"<a><x"y><x'y><x\y>;"#),
            (r"a \.php$ \d\s;", r"<a><\.php$><\d\s>;"),
            (r"a x\ty\nz\rw;", "<a><x\ty\nz\rw>;"),
            (r"a b\ c;", r"<a><b\ c>;"),
            (r"a \#b;", r"<a><\#b>;"),
            (r"a \;;", r"<a><\;>;"),
            ("a # b;\n c;", "<a><c>;"),
            ("a b#c;", "<a><b#c>;"),
            ("#", ""),
            ("a ${b}c{d;}", "<a><${b}c>{<d>;}"),
            ("a \"${b}\";", "<a><${b}>;"),
            ("a x${b}y;", "<a><x${b}y>;"),
            ("a b}c;", "<a><b}c>;"),
            ("if ($a = \"b\") {", "<if><($a><=><b><)>{"),
            ("a 'b'{", "<a><b>{"),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_in_words_of_nginx() {
        let end = "! unexpected end of file, expecting \";\" or \"}\"";
        for (text, expected) in [
            ("a", format!("{end} :1")),
            ("a 'b;\n\n", format!("{end} :3")),
            ("a;\nb \"c\"\n", format!("<a>;{end} :3")),
            (";", "! unexpected \";\" :1".to_owned()),
            ("a;\n{", "<a>;! unexpected \"{\" :2".to_owned()),
            ("a\n}", "! unexpected \"}\" :2".to_owned()),
            ("a \"b\"c;", "! unexpected \"c\" :1".to_owned()),
            ("a\\", format!("{end} :1")),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
        let long = |quote: &str| read(&format!("a;\nb {quote}{};", "x".repeat(4096)));
        assert_eq!(long(""), "<a>;! too long parameter \"xxxxxxxxxx...\" started :2");
        let expected = "<a>;! too long parameter, probably missing terminating \"'\" character :2";
        assert_eq!(long("'"), expected);
        assert!(read(&format!("a {};", "x".repeat(4095))).ends_with("x>;"));
    }

    #[test]
    fn a_directive_stands_on_the_line_of_its_end() {
        let mut lexer = Lexer::new(b"a\n b\n c;", false);
        let run = lexer.run().unwrap();
        let lines: Vec<usize> = run.words.iter().map(|word| word.line).collect();
        assert_eq!((run.line, lines), (3, vec![1, 2, 3]));
    }

    #[test]
    fn blocks_of_lua_are_passed_over() {
        let text = b" -- it's }\n local s = \"}\\\"}\\\n}\" if x { } '}' } rest;";
        let mut lexer = Lexer::new(text, false);
        assert!(lexer.skip_foreign_block());
        let rest = lexer.run().unwrap();
        assert_eq!((&*rest.words[0].bytes, rest.line), (&b"rest"[..], 3));
        assert!(!Lexer::new(b"{ }", false).skip_foreign_block());
    }

    #[test]
    fn quoted_words_are_read_again() {
        for word in
            ["", "a", "a b", "#a", "}", "{", "a\"b", "\"", "\\", "\\.php$", "${a}", "\n\t\r"]
        {
            let mut text = b"x ".to_vec();
            quote(word.as_bytes(), &mut text);
            text.push(b';');
            let run = Lexer::new(&text, false).run().unwrap();
            assert_eq!(
                run.words[1].bytes,
                word.as_bytes(),
                "{:?}",
                text.escape_ascii().to_string()
            );
        }
    }
}
