//! PCRE patterns as nginx's files have them, translated to the syntax of a linear-time engine.
//!
//! What has no linear-time form (look-around but for one, back-references, possessive and atomic groups,
//! recursion) is refused with the reason.

use super::exclusion;

/// The same pattern for `regex_syntax` in byte mode; one difference is left: where `$` stands inside
/// a group, the group may hold the final newline that PCRE leaves out.
pub(super) fn translate(pattern: &[u8]) -> Result<String, String> {
    let mut translator = Translator {
        pattern,
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        multi_line: false,
        quantifiable: false,
    };
    while translator.at < pattern.len() {
        translator.step()?;
    }
    Ok(translator.out)
}

struct Translator<'p> {
    pattern: &'p [u8],
    at: usize,
    out: String,
    /// An inline flag has turned on `m`, where `$` means the end of a line.
    multi_line: bool,
    /// What came last is something that a quantifier may follow.
    quantifiable: bool,
}

impl Translator<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.pattern.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &[u8] {
        &self.pattern[self.at..]
    }

    fn step(&mut self) -> Result<(), String> {
        let byte = self.pattern[self.at];
        match byte {
            b'\\' => return self.escape(),
            b'[' => return self.class(),
            b'(' => return self.group(),
            b'*' | b'+' | b'?' => return self.quantifier(1),
            b'{' => match counted(self.rest()) {
                Some(len) => return self.quantifier(len),
                None => self.out.push_str("\\{"),
            },
            b'$' if !self.multi_line => self.out.push_str(END),
            b'}' => self.out.push_str("\\}"),
            b']' => self.out.push_str("\\]"),
            byte => self.literal(byte),
        }
        self.quantifiable = !matches!(byte, b'|');
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, byte: u8) {
        if byte.is_ascii() {
            self.out.push(byte as char);
        } else {
            self.hex(byte);
        }
    }

    fn hex(&mut self, byte: u8) {
        self.out.push_str(&format!("\\x{byte:02X}"));
    }

    fn quantifier(&mut self, len: usize) -> Result<(), String> {
        if !self.quantifiable {
            return Err("a quantifier does not follow a repeatable item".into());
        }
        self.copy(len);
        match self.peek(0) {
            Some(b'?') => self.copy(1),
            Some(b'+') => return Err(no_linear_form("a possessive quantifier")),
            _ => {}
        }
        self.quantifiable = false;
        Ok(())
    }

    /// Copies ASCII as it is.
    fn copy(&mut self, len: usize) {
        let end = (self.at + len).min(self.pattern.len());
        for at in self.at..end {
            self.literal(self.pattern[at]);
        }
        self.at = end;
    }

    /// An opening parenthesis and what says which kind of group it opens.
    fn group(&mut self) -> Result<(), String> {
        self.quantifiable = false;
        let rest = &self.pattern[self.at + 1..];
        if rest.starts_with(b"*") {
            return Err(no_linear_form("a verb \"(*\""));
        }
        let Some(kind) = rest.strip_prefix(b"?") else {
            self.copy(1);
            return Ok(());
        };
        let (before, group) = self.pattern.split_at(self.at);
        if let Some(form) = exclusion::translate(before, group, END) {
            self.out.push_str(&form);
            self.at = self.pattern.len();
            return Ok(());
        }
        for (start, what) in REFUSED_GROUPS {
            if kind.starts_with(start.as_bytes()) {
                return Err(no_linear_form(what));
            }
        }
        if kind.starts_with(b"#") {
            let len = kind.iter().position(|b| *b == b')');
            self.at += 2 + len.ok_or("missing ) after (?# comment")? + 1;
            return Ok(());
        }
        for (start, end) in [("P<", b'>'), ("<", b'>'), ("'", b'\'')] {
            if let Some(name) = kind.strip_prefix(start.as_bytes()) {
                let len = name.iter().position(|b| *b == end);
                let len = len.ok_or("the name of a group has no end")?;
                return self.name(start.len(), len);
            }
        }
        self.flags()
    }

    fn name(&mut self, start: usize, len: usize) -> Result<(), String> {
        let name = &self.pattern[self.at + 2 + start..][..len];
        let valid = name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
            && name.first().is_some_and(|b| !b.is_ascii_digit());
        if !valid || len > 32 {
            return Err("invalid name of a group".into());
        }
        self.out.push_str("(?P<");
        name.iter().for_each(|b| self.out.push(*b as char));
        self.out.push('>');
        self.at += 2 + start + len + 1;
        Ok(())
    }

    /// `(?flags)` and `(?flags:`.
    fn flags(&mut self) -> Result<(), String> {
        let mut on = true;
        for ahead in 2.. {
            match self.peek(ahead) {
                Some(b'-') => on = false,
                Some(b'm') => self.multi_line = on,
                Some(b'i' | b's' | b'x' | b'U') => {}
                Some(b')' | b':') => {
                    // "(?)" and "(?-)" change nothing.
                    if ahead == 2 && self.peek(2) == Some(b')') {
                        self.at += 3;
                    } else {
                        self.copy(ahead + 1);
                    }
                    return Ok(());
                }
                Some(other) => {
                    return Err(format!("unrecognized character \"{}\" after (?", other as char));
                }
                None => return Err("missing )".into()),
            }
        }
        Ok(())
    }

    /// A backslash outside a class.
    fn escape(&mut self) -> Result<(), String> {
        let Some(byte) = self.peek(1) else { return Err("\\ at end of pattern".into()) };
        self.quantifiable = true;
        let is_octal = |ahead| matches!(self.peek(ahead), Some(b'0'..=b'7'));
        let replacement = match byte {
            b'1'..=b'7' if is_octal(2) && is_octal(3) => {
                let value = self.escaped_byte()?;
                self.quoted_byte(value);
                return Ok(());
            }
            b'Q' => return self.quoted(),
            b'E' => "",
            b'Z' => END,
            b'N' => "[^\\n]",
            b'R' => "(?:\\r\\n|[\\n\\x0B\\x0C\\r\\x85])",
            b'h' => "[\\t \\xA0]",
            b'H' => "[^\\t \\xA0]",
            b'v' => "[\\n\\x0B\\x0C\\r\\x85]",
            b'V' => "[^\\n\\x0B\\x0C\\r\\x85]",
            b'A' => "\\A",
            b'z' => "\\z",
            b'b' => "\\b",
            b'B' => "\\B",
            b'd' => "\\d",
            b'D' => "\\D",
            b's' => "\\s",
            b'S' => "\\S",
            b'w' => "\\w",
            b'W' => "\\W",
            b'k' | b'1'..=b'9' => return Err(no_linear_form("a back-reference")),
            b'g' => return Err(no_linear_form("a back-reference or a subroutine call")),
            b'K' => return Err(no_linear_form("\\K")),
            b'G' => return Err(no_linear_form("\\G")),
            b'X' | b'C' | b'p' | b'P' => {
                return Err(format!("\\{} needs Unicode, and names are bytes here", byte as char));
            }
            _ => {
                let value = self.escaped_byte()?;
                self.quoted_byte(value);
                return Ok(());
            }
        };
        self.out.push_str(replacement);
        self.at += 2;
        Ok(())
    }

    /// A byte that stands for itself.
    fn quoted_byte(&mut self, byte: u8) {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'/' {
            self.out.push(byte as char);
        } else {
            self.hex(byte);
        }
    }

    /// `\Q...\E`.
    fn quoted(&mut self) -> Result<(), String> {
        self.at += 2;
        while self.at < self.pattern.len() {
            if self.rest().starts_with(b"\\E") {
                self.at += 2;
                return Ok(());
            }
            self.quoted_byte(self.pattern[self.at]);
            self.at += 1;
        }
        Ok(())
    }

    /// An escape that stands for one byte, in a class or outside.
    fn escaped_byte(&mut self) -> Result<u8, String> {
        let byte = self.peek(1).ok_or("\\ at end of pattern")?;
        self.at += 2;
        Ok(match byte {
            b'a' => 7,
            b'e' => 27,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'c' => {
                let control = self.peek(0).ok_or("\\c at end of pattern")?;
                self.at += 1;
                control.to_ascii_uppercase() ^ 0x40
            }
            b'0'..=b'7' => {
                self.at -= 1;
                self.digits(8, 3)?
            }
            b'x' if self.peek(0) == Some(b'{') => self.braced(16)?,
            b'o' if self.peek(0) == Some(b'{') => self.braced(8)?,
            b'x' => self.digits(16, 2)?,
            byte if byte.is_ascii_alphanumeric() => {
                return Err(format!("unrecognized character \"{}\" follows \\", byte as char));
            }
            byte => byte,
        })
    }

    fn digits(&mut self, radix: u32, max: usize) -> Result<u8, String> {
        let mut value = 0;
        for _ in 0..max {
            let Some(digit) = self.peek(0).and_then(|b| (b as char).to_digit(radix)) else { break };
            value = value * radix + digit;
            self.at += 1;
        }
        u8::try_from(value).map_err(|_| "character code is above 255".into())
    }

    fn braced(&mut self, radix: u32) -> Result<u8, String> {
        self.at += 1;
        let value = self.digits(radix, 8.min(self.pattern.len() - self.at))?;
        if self.peek(0) != Some(b'}') {
            return Err("missing } after a character code".into());
        }
        self.at += 1;
        Ok(value)
    }

    /// A bracketed class. Every byte that might be an operator of the other syntax is escaped.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        self.at += 1;
        if self.peek(0) == Some(b'^') {
            self.out.push('^');
            self.at += 1;
        }
        let mut first = true;
        // True exactly when what came last cannot begin a range.
        let mut closed = true;
        loop {
            let Some(byte) = self.peek(0) else {
                return Err("missing terminating ] for character class".into());
            };
            match byte {
                b']' if !first => break,
                b'-' if !closed && self.is_range() => {
                    self.out.push('-');
                    self.at += 1;
                    self.class_byte()?;
                    closed = true;
                }
                b'[' if self.posix() => closed = true,
                b'\\' => closed = self.class_escape()?,
                _ => {
                    self.class_byte()?;
                    closed = false;
                }
            }
            first = false;
        }
        self.out.push(']');
        self.at += 1;
        self.quantifiable = true;
        Ok(())
    }

    /// True when the hyphen here stands between two single bytes.
    fn is_range(&self) -> bool {
        match (self.peek(1), self.peek(2)) {
            (Some(b']') | None, _) => false,
            (Some(b'\\'), Some(escape)) => !b"dDsSwWhHvVNRQE".contains(&escape),
            (Some(b'['), Some(b':')) => false,
            _ => true,
        }
    }

    fn class_byte(&mut self) -> Result<(), String> {
        let byte = match self.pattern[self.at] {
            b'\\' if self.peek(1) == Some(b'b') => {
                self.at += 2;
                8
            }
            b'\\' => self.escaped_byte()?,
            byte => {
                self.at += 1;
                byte
            }
        };
        self.quoted_byte(byte);
        Ok(())
    }

    /// A backslash in a class; says whether it stood for several bytes.
    fn class_escape(&mut self) -> Result<bool, String> {
        let several = match self.peek(1) {
            Some(b'd') => "\\d",
            Some(b'D') => "\\D",
            Some(b's') => "\\s",
            Some(b'S') => "\\S",
            Some(b'w') => "\\w",
            Some(b'W') => "\\W",
            Some(b'h') => "\\t\\x20\\xA0",
            Some(b'v') => "\\n\\x0B\\x0C\\r\\x85",
            Some(b'E') => "",
            Some(b'Q') => {
                self.quoted()?;
                return Ok(true);
            }
            Some(b'p' | b'P') => return Err("\\p needs Unicode, and names are bytes here".into()),
            _ => {
                self.class_byte()?;
                return Ok(false);
            }
        };
        self.out.push_str(several);
        self.at += 2;
        Ok(true)
    }

    /// `[:alpha:]`, copied.
    fn posix(&mut self) -> bool {
        let Some(body) = self.rest().strip_prefix(b"[:") else { return false };
        let Some(len) = body.windows(2).position(|end| end == b":]") else { return false };
        let name = body[..len].strip_prefix(b"^").unwrap_or(&body[..len]);
        if !name.iter().all(u8::is_ascii_lowercase) {
            return false;
        }
        self.copy(len + 4);
        true
    }
}

/// Length of `{n}`, `{n,}` or `{n,m}` at the start of `rest`; other braces are literal.
fn counted(rest: &[u8]) -> Option<usize> {
    let end = rest.iter().position(|b| *b == b'}')?;
    let inner = &rest[1..end];
    let mut numbers = inner.splitn(2, |b| *b == b',');
    let first = numbers.next()?;
    let digits = |number: &[u8]| number.iter().all(u8::is_ascii_digit);
    let valid = !first.is_empty() && digits(first) && numbers.next().is_none_or(digits);
    valid.then_some(end + 1)
}

fn no_linear_form(what: &str) -> String {
    format!("{what} cannot be matched in linear time")
}

/// PCRE's `$` and `\Z`: the end, or before a newline at the end.
pub(super) const END: &str = "(?:\\n?\\z)";

/// What follows `(?` in groups that we do not take; the longer first.
const REFUSED_GROUPS: &[(&str, &str)] = &[
    ("<=", "look-behind \"(?<=\""),
    ("<!", "look-behind \"(?<!\""),
    ("=", "look-ahead \"(?=\""),
    ("!", "look-ahead \"(?!\""),
    (">", "an atomic group \"(?>\""),
    ("|", "a branch reset \"(?|\""),
    ("(", "a conditional group \"(?(\""),
    ("R", "recursion \"(?R)\""),
    ("&", "a subroutine call \"(?&\""),
    ("P>", "a subroutine call \"(?P>\""),
    ("P=", "a back-reference \"(?P=\""),
    ("C", "a callout \"(?C\""),
    ("+", "a subroutine call \"(?+\""),
    ("-1", "a subroutine call \"(?-1\""),
    ("0", "recursion \"(?0)\""),
    ("1", "a subroutine call \"(?1)\""),
    ("2", "a subroutine call \"(?2)\""),
    ("3", "a subroutine call \"(?3)\""),
];
