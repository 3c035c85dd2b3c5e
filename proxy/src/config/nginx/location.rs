//! What a `location` matches.

use std::borrow::Cow;

use super::lex::Word;

/// The path of a location and how it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matches {
    pub how: How,
    /// The path, the regular expression, or the name with its `@`.
    pub path: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// `=`
    Exact,
    /// No sign.
    Prefix,
    /// `^~`: no regular expression is asked.
    PrefixAlone,
    /// `~`
    Regex,
    /// `~*`
    RegexAnyCase,
    /// `@name`
    Named,
}

impl Matches {
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.path)
    }

    pub fn is_regex(&self) -> bool {
        matches!(self.how, How::Regex | How::RegexAnyCase)
    }
}

/// Reads the arguments of `location`, of which there are one or two: the sign may stand alone or
/// before the path. What is wrong is said as nginx says it.
pub fn matches(arguments: &[Word]) -> Result<Matches, String> {
    let (how, path) = match arguments {
        [sign, path] => {
            let how = match &sign.bytes[..] {
                b"=" => How::Exact,
                b"^~" => How::PrefixAlone,
                b"~" => How::Regex,
                b"~*" => How::RegexAnyCase,
                other => {
                    let other = String::from_utf8_lossy(other);
                    return Err(format!("invalid location modifier \"{other}\""));
                }
            };
            (how, &path.bytes[..])
        }
        words => match words.first().map_or(&b""[..], |word| &word.bytes) {
            [b'=', path @ ..] => (How::Exact, path),
            [b'^', b'~', path @ ..] => (How::PrefixAlone, path),
            [b'~', b'*', path @ ..] => (How::RegexAnyCase, path),
            [b'~', path @ ..] => (How::Regex, path),
            path @ [b'@', ..] => (How::Named, path),
            path => (How::Prefix, path),
        },
    };
    Ok(Matches { how, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_stand_alone_or_before_the_path() {
        let read = |text: &str| {
            let words: Vec<Word> =
                text.split(' ').map(|word| Word { bytes: word.into(), line: 1 }).collect();
            matches(&words).map(|matches| (matches.how, matches.text().into_owned()))
        };
        for (text, how, path) in [
            ("/a", How::Prefix, "/a"),
            ("= /a", How::Exact, "/a"),
            ("=/a", How::Exact, "/a"),
            ("^~ /a", How::PrefixAlone, "/a"),
            ("^~/a", How::PrefixAlone, "/a"),
            ("~ \\.php$", How::Regex, "\\.php$"),
            ("~*a", How::RegexAnyCase, "a"),
            ("~* a", How::RegexAnyCase, "a"),
            ("@a", How::Named, "@a"),
            ("", How::Prefix, ""),
        ] {
            assert_eq!(read(text), Ok((how, path.to_owned())), "{text}");
        }
        assert_eq!(read("a b"), Err("invalid location modifier \"a\"".to_owned()));
    }
}
