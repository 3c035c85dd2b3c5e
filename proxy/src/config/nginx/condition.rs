//! The condition of an `if`.

use super::lex::Word;

/// What is asked; texts may have variables in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `$name`: neither empty nor `0`.
    Set { variable: Vec<u8> },
    /// `$name = text` and the like.
    Compare { variable: Vec<u8>, how: Comparison, negated: bool, with: Vec<u8> },
    /// `-f path` and the like.
    Path { is: PathTest, negated: bool, path: Vec<u8> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`, `!=`
    Equal,
    /// `~`, `!~`
    Regex,
    /// `~*`, `!~*`
    RegexAnyCase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathTest {
    /// `-f`
    File,
    /// `-d`
    Directory,
    /// `-e`
    Exists,
    /// `-x`
    Executable,
}

/// Reads the arguments of `if`; what is wrong is said as nginx says it.
pub fn condition(arguments: &[Word]) -> Result<Condition, String> {
    let mut words: Vec<&[u8]> = arguments.iter().map(|word| &word.bytes[..]).collect();
    // The brackets may stand alone or at the words.
    match words.first() {
        Some([b'(']) => drop(words.remove(0)),
        Some([b'(', rest @ ..]) => words[0] = rest,
        other => return Err(invalid(other.copied().unwrap_or_default())),
    }
    match words.last() {
        Some([b')']) if words.len() > 1 => drop(words.pop()),
        Some([rest @ .., b')']) if !rest.is_empty() => *words.last_mut().expect("has one") = rest,
        other => return Err(invalid(other.copied().unwrap_or_default())),
    }
    match words[..] {
        [[b'$', variable @ ..]] if !variable.is_empty() => {
            Ok(Condition::Set { variable: variable.to_owned() })
        }
        [[b'$', variable @ ..], operator, with] if !variable.is_empty() => {
            let (how, negated) = match operator {
                b"=" => (Comparison::Equal, false),
                b"!=" => (Comparison::Equal, true),
                b"~" => (Comparison::Regex, false),
                b"!~" => (Comparison::Regex, true),
                b"~*" => (Comparison::RegexAnyCase, false),
                b"!~*" => (Comparison::RegexAnyCase, true),
                other => {
                    let other = String::from_utf8_lossy(other);
                    return Err(format!("unexpected \"{other}\" in condition"));
                }
            };
            let (variable, with) = (variable.to_owned(), with.to_owned());
            Ok(Condition::Compare { variable, how, negated, with })
        }
        [test, path] => {
            let (letter, negated) = match test {
                [b'-', letter] => (letter, false),
                [b'!', b'-', letter] => (letter, true),
                other => return Err(invalid(other)),
            };
            let is = match letter {
                b'f' => PathTest::File,
                b'd' => PathTest::Directory,
                b'e' => PathTest::Exists,
                b'x' => PathTest::Executable,
                _ => return Err(invalid(test)),
            };
            Ok(Condition::Path { is, negated, path: path.to_owned() })
        }
        _ => Err(invalid(words[0])),
    }
}

fn invalid(word: &[u8]) -> String {
    format!("invalid condition \"{}\"", String::from_utf8_lossy(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Condition, String> {
        let words: Vec<Word> =
            text.split(' ').map(|word| Word { bytes: word.into(), line: 1 }).collect();
        condition(&words)
    }

    #[test]
    fn brackets_stand_alone_or_at_the_words() {
        let set = Condition::Set { variable: b"host".to_vec() };
        for text in ["($host)", "( $host )", "( $host)", "($host )"] {
            assert_eq!(read(text), Ok(set.clone()), "{text}");
        }
    }

    #[test]
    fn every_operator_is_known() {
        for (operator, how, negated) in [
            ("=", Comparison::Equal, false),
            ("!=", Comparison::Equal, true),
            ("~", Comparison::Regex, false),
            ("!~", Comparison::Regex, true),
            ("~*", Comparison::RegexAnyCase, false),
            ("!~*", Comparison::RegexAnyCase, true),
        ] {
            let (variable, with) = (b"a".to_vec(), b"b".to_vec());
            let compare = Condition::Compare { variable, how, negated, with };
            assert_eq!(read(&format!("($a {operator} b)")), Ok(compare));
        }
        for (test, is, negated) in [
            ("-f", PathTest::File, false),
            ("!-d", PathTest::Directory, true),
            ("-e", PathTest::Exists, false),
            ("!-x", PathTest::Executable, true),
        ] {
            let path = Condition::Path { is, negated, path: b"/a".to_vec() };
            assert_eq!(read(&format!("({test} /a)")), Ok(path));
        }
    }
}
