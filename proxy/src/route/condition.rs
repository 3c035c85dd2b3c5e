//! The condition of an `if`: what is written, and what it is compiled to.

use super::regex::Regex;
use super::template::Template;
use super::variable::{Registry, Variable};

/// What is asked, in the words of the file; texts may have variables in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// `$name`: neither empty nor `0`.
    True { variable: &'a [u8] },
    /// `$name = text`.
    Equal { variable: &'a [u8], value: &'a [u8], negated: bool },
    /// `$name ~ pattern`.
    Matches { variable: &'a [u8], pattern: &'a [u8], caseless: bool, negated: bool },
    /// `-f path`.
    File { path: &'a [u8], test: FileTest, negated: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTest {
    Plain,
    Directory,
    Exists,
    Executable,
}

#[derive(Debug)]
pub(super) enum Condition {
    True(Variable),
    Equal { variable: Variable, value: Template, negated: bool },
    Matches { variable: Variable, regex: Regex, negated: bool },
    File { path: Template, test: FileTest, negated: bool },
}

impl<'a> Asked<'a> {
    /// The arguments of `if`, whose parentheses may stand alone or at the words. What is wrong is
    /// said as nginx says it.
    pub fn parse(arguments: &[&'a [u8]]) -> Result<Self, String> {
        let mut words = arguments.to_vec();
        match words.first() {
            Some([b'(']) => drop(words.remove(0)),
            Some([b'(', rest @ ..]) => words[0] = rest,
            other => return Err(invalid(other.copied().unwrap_or_default())),
        }
        match words.last() {
            Some([b')']) if words.len() > 1 => drop(words.pop()),
            Some([rest @ .., b')']) if !rest.is_empty() => {
                *words.last_mut().expect("has one") = rest;
            }
            other => return Err(invalid(other.copied().unwrap_or_default())),
        }
        match words[..] {
            [[b'$', variable @ ..]] if !variable.is_empty() => Ok(Self::True { variable }),
            [[b'$', variable @ ..], operator, value] if !variable.is_empty() => {
                let negated = operator.starts_with(b"!");
                match operator {
                    b"=" | b"!=" => Ok(Self::Equal { variable, value, negated }),
                    b"~" | b"~*" | b"!~" | b"!~*" => {
                        let (pattern, caseless) = (value, operator.ends_with(b"*"));
                        Ok(Self::Matches { variable, pattern, caseless, negated })
                    }
                    other => {
                        let other = String::from_utf8_lossy(other);
                        Err(format!("unexpected \"{other}\" in condition"))
                    }
                }
            }
            [operator, path] => {
                let test = match operator.strip_prefix(b"!").unwrap_or(operator) {
                    b"-f" => FileTest::Plain,
                    b"-d" => FileTest::Directory,
                    b"-e" => FileTest::Exists,
                    b"-x" => FileTest::Executable,
                    _ => return Err(invalid(operator)),
                };
                Ok(Self::File { path, test, negated: operator.starts_with(b"!") })
            }
            _ => Err(invalid(words[0])),
        }
    }

    pub(super) fn compile(self, registry: &mut Registry) -> Result<Condition, String> {
        Ok(match self {
            Self::True { variable } => Condition::True(registry.reference(variable)?),
            Self::Equal { variable, value, negated } => {
                let variable = registry.reference(variable)?;
                Condition::Equal { variable, value: Template::compile(value, registry)?, negated }
            }
            Self::Matches { variable, pattern, caseless, negated } => {
                let variable = registry.reference(variable)?;
                Condition::Matches { variable, regex: registry.regex(pattern, caseless)?, negated }
            }
            Self::File { path, test, negated } => {
                Condition::File { path: Template::compile(path, registry)?, test, negated }
            }
        })
    }
}

fn invalid(word: &[u8]) -> String {
    format!("invalid condition \"{}\"", String::from_utf8_lossy(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Asked<'_>, String> {
        let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        Asked::parse(&words)
    }

    #[test]
    fn parentheses_stand_alone_or_at_the_words() {
        for text in ["($host)", "( $host )", "( $host)", "($host )"] {
            assert_eq!(read(text), Ok(Asked::True { variable: b"host" }), "{text}");
        }
        for (text, word) in [("()", ")"), ("( )", ")"), ("$a", "$a"), ("($a", "$a"), ("(a)", "a")] {
            assert_eq!(read(text), Err(format!("invalid condition \"{word}\"")), "{text}");
        }
    }

    #[test]
    fn every_operator_is_known() {
        let (variable, value, pattern) = (&b"a"[..], &b"b"[..], &b"b"[..]);
        for (operator, caseless, negated) in
            [("~", false, false), ("!~", false, true), ("~*", true, false), ("!~*", true, true)]
        {
            let matches = Asked::Matches { variable, pattern, caseless, negated };
            assert_eq!(read(&format!("($a {operator} b)")), Ok(matches));
        }
        for (operator, negated) in [("=", false), ("!=", true)] {
            let equal = Asked::Equal { variable, value, negated };
            assert_eq!(read(&format!("($a {operator} b)")), Ok(equal));
        }
        for (operator, test, negated) in [
            ("-f", FileTest::Plain, false),
            ("!-d", FileTest::Directory, true),
            ("-e", FileTest::Exists, false),
            ("!-x", FileTest::Executable, true),
        ] {
            let file = Asked::File { path: b"/a", test, negated };
            assert_eq!(read(&format!("({operator} /a)")), Ok(file));
        }
        assert_eq!(read("($a == b)"), Err("unexpected \"==\" in condition".to_owned()));
    }
}
