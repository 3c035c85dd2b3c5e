//! Directives and blocks: what a text says before anybody asks what it means, and the way back.

use std::borrow::Cow;
use std::path::PathBuf;
use std::rc::Rc;

use super::lex::{End, Lexer, Run, Unreadable, Word, quote};
use super::table::{Family, Row};
use crate::config::Problem;
use crate::config::raw::Place;
use crate::limits::{CONFIG_DEPTH_MAX, CONFIG_DIRECTIVES_MAX, CONFIG_WORD_BYTES_MAX};

/// A configuration that nginx would take as well, includes in their places.
#[derive(Debug)]
pub struct Tree {
    /// Of the `-g` options and of the file, in this order.
    pub main: Vec<Directive>,
    /// The files in the order in which they were opened, for `-T`.
    pub files: Vec<Source>,
    /// What is legal and worth a word.
    pub notes: Vec<Problem>,
    /// Directives that are refused by name, and left out: nothing runs with one of them, but the rest
    /// can be looked at as well.
    pub refused: Vec<Problem>,
}

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub text: Vec<u8>,
}

/// `name argument ...;` or `name argument ... { ... }`; in `map` and its like, one line of data.
#[derive(Debug)]
pub struct Directive {
    /// Not empty; the first is the name.
    words: Vec<Word>,
    block: Option<Vec<Directive>>,
    /// Where its `;` or `{` stands.
    pub place: Place,
    /// The line of its `}`, or of its `;`; `None` when the file ended before the block did.
    end_line: Option<usize>,
    /// What the table says of it; `None` for a line of data.
    pub row: Option<&'static Row>,
}

impl Directive {
    /// The name, or the first word of a line of data.
    pub fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.words[0].bytes)
    }

    pub fn is(&self, name: &str) -> bool {
        self.words[0].bytes == name.as_bytes()
    }

    pub fn family(&self) -> Option<Family> {
        self.row.and_then(|row| row.family())
    }

    /// The arguments; of a line of data, what follows its first word.
    pub fn args(&self) -> &[Word] {
        &self.words[1..]
    }

    /// The arguments as slices.
    pub fn slices(&self) -> Vec<&[u8]> {
        self.args().iter().map(|word| &*word.bytes).collect()
    }

    /// The argument of this number, 0 the first; empty when there is none.
    pub fn arg(&self, number: usize) -> &[u8] {
        self.args().get(number).map_or(b"", |word| &word.bytes)
    }

    /// The argument of this number as text, with marks where it is not UTF-8.
    pub fn text(&self, number: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(self.arg(number))
    }

    /// The name and the arguments.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// True exactly for `on`, in any case; the check has seen that it is `on` or `off`.
    pub fn is_on(&self) -> bool {
        self.arg(0).eq_ignore_ascii_case(b"on")
    }

    /// What stands between the braces; nothing when there are none.
    pub fn block(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    pub fn has_block(&self) -> bool {
        self.block.is_some()
    }

    /// Where its `}` stands; `None` when it has none though it needs one.
    pub(super) fn end_place(&self) -> Option<Place> {
        Some(Place { file: self.place.file.clone(), line: Some(self.end_line?) })
    }

    pub(super) fn take_block(&mut self) -> Option<Vec<Directive>> {
        self.block.take()
    }

    pub(super) fn put_block(&mut self, block: Vec<Directive>) {
        self.block = Some(block);
    }
}

impl Tree {
    /// The block of that name at the top: `http`, `events`.
    pub fn section(&self, name: &str) -> Option<&Directive> {
        find(&self.main, name)
    }

    /// All files verbatim, each under its name, as `nginx -T` prints them.
    pub fn dump(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for source in &self.files {
            out.extend_from_slice(b"# configuration file ");
            out.extend_from_slice(source.path.as_os_str().as_encoded_bytes());
            out.extend_from_slice(b":\n");
            out.extend_from_slice(&source.text);
            out.push(b'\n');
        }
        out
    }
}

/// The first directive of that name in a block.
pub fn find<'a>(block: &'a [Directive], name: &str) -> Option<&'a Directive> {
    block.iter().find(|directive| directive.is(name))
}

/// All directives of that name in a block, in their order.
pub fn all<'a>(block: &'a [Directive], name: &str) -> impl Iterator<Item = &'a Directive> {
    block.iter().filter(move |directive| directive.is(name))
}

/// What could be read of a text, and where reading ended if that was not its end.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) directives: Vec<Directive>,
    pub(super) stopped: Option<Stop>,
}

/// Why a text was not read to its end.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) what: String,
    pub(super) hint: Option<String>,
    pub(super) line: usize,
}

/// Where a text comes from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    File(Rc<str>),
    /// `-g`.
    CommandLine,
}

impl Origin {
    pub(super) fn place(&self, line: usize) -> Place {
        match self {
            Self::File(file) => Place { file: file.clone(), line: Some(line) },
            Self::CommandLine => Place { file: "command line".into(), line: None },
        }
    }
}

/// Reads a text into directives. Of a broken one, what stands before the break.
pub(super) fn parse(text: &[u8], origin: &Origin) -> Parsed {
    let is_parameter = matches!(origin, Origin::CommandLine);
    let mut parser = Parser { lexer: Lexer::new(text, is_parameter), origin, count: 0 };
    let mut directives = Vec::new();
    let stopped = parser.block(&mut directives, None).err();
    Parsed { directives, stopped }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    origin: &'a Origin,
    count: usize,
}

/// The block that is being read.
#[derive(Clone, Copy)]
struct Opened<'a> {
    name: &'a Word,
    line: usize,
    depth: usize,
}

impl Parser<'_> {
    /// Reads to the end of the block, or of the file when none is open.
    fn block(
        &mut self,
        directives: &mut Vec<Directive>,
        opened: Option<Opened<'_>>,
    ) -> Result<(), Stop> {
        loop {
            let run = self.lexer.run().map_err(stop)?;
            let line = run.line;
            match (run.end, opened) {
                (End::Close, Some(_)) | (End::File, None) => return Ok(()),
                (End::Close, None) => {
                    return Err(Stop {
                        what: r#"unexpected "}""#.to_owned(),
                        hint: Some("there is a } too many, here or above".to_owned()),
                        line,
                    });
                }
                (End::File, Some(opened)) => {
                    let name = String::from_utf8_lossy(&opened.name.bytes);
                    return Err(Stop {
                        what: r#"unexpected end of file, expecting "}""#.to_owned(),
                        hint: Some(format!("\"{name}\" of line {} is still open", opened.line)),
                        line,
                    });
                }
                (End::Semicolon, _) => directives.push(self.directive(run, None)?),
                (End::Open, _) => {
                    let depth = self.may_open(line, opened)?;
                    let mut block = Vec::new();
                    let result = self.inner(&run, &mut block, depth);
                    let mut directive = self.directive(run, Some(block))?;
                    directive.end_line = directive.end_line.filter(|_| result.is_ok());
                    directives.push(directive);
                    result?;
                }
            }
        }
    }

    /// The depth of the block that begins on this line.
    fn may_open(&self, line: usize, outer: Option<Opened<'_>>) -> Result<usize, Stop> {
        let depth = outer.map_or(0, |outer| outer.depth) + 1;
        let what = if matches!(self.origin, Origin::CommandLine) {
            "block directives are not supported in -g option".to_owned()
        } else if depth > CONFIG_DEPTH_MAX {
            format!("more than {CONFIG_DEPTH_MAX} blocks within each other")
        } else {
            return Ok(depth);
        };
        Err(Stop { what, hint: None, line })
    }

    /// What stands in the block that this run opens; of a broken one, what was read.
    fn inner(&mut self, run: &Run, block: &mut Vec<Directive>, depth: usize) -> Result<(), Stop> {
        let name = &run.words[0];
        if name.bytes.ends_with(b"_by_lua_block") {
            if self.lexer.skip_foreign_block() {
                return Ok(());
            }
            let what = r#"unexpected end of file, expecting "}""#.to_owned();
            return Err(Stop { what, hint: None, line: self.lexer.line() });
        }
        self.block(block, Some(Opened { name, line: run.line, depth }))
    }

    fn directive(&mut self, run: Run, block: Option<Vec<Directive>>) -> Result<Directive, Stop> {
        self.count += 1;
        if self.count > CONFIG_DIRECTIVES_MAX {
            let what = format!("more than {CONFIG_DIRECTIVES_MAX} directives");
            return Err(Stop { what, hint: None, line: run.line });
        }
        let place = self.origin.place(run.line);
        let end_line = Some(self.lexer.line());
        Ok(Directive { words: run.words, block, place, end_line, row: None })
    }
}

fn stop(error: Unreadable) -> Stop {
    let hint = error.begun.map(|word| {
        let name = String::from_utf8_lossy(&word.bytes);
        format!("\"{name}\" of line {} lacks its ; or a quote is not closed", word.line)
    });
    Stop { what: error.what, hint, line: error.line }
}

/// The directives as a text that reads the same.
pub fn print(directives: &[Directive]) -> Vec<u8> {
    let mut out = Vec::new();
    print_block(directives, 0, &mut out);
    out
}

fn print_block(directives: &[Directive], depth: usize, out: &mut Vec<u8>) {
    for directive in directives {
        out.extend(std::iter::repeat_n(b' ', depth * 4));
        for (number, word) in directive.words.iter().enumerate() {
            if number > 0 {
                out.push(b' ');
            }
            quote(&word.bytes, out);
        }
        match &directive.block {
            None => out.extend_from_slice(b";\n"),
            Some(block) => {
                out.extend_from_slice(b" {\n");
                print_block(block, depth + 1, out);
                out.extend(std::iter::repeat_n(b' ', depth * 4));
                out.extend_from_slice(b"}\n");
            }
        }
    }
}

/// For the fuzzer: any text is read without a panic, and what was read prints as a text that reads
/// the same.
pub(super) fn fuzz_print(text: &[u8]) {
    let origin = Origin::File("fuzz".into());
    let parsed = parse(text, &origin);
    if let Some(stop) = &parsed.stopped {
        assert!(!stop.what.is_empty() && stop.line >= 1, "a refusal says why and where");
    }
    let printed = print(&parsed.directives);
    // Escapes may make a word longer than a word may be.
    if printed.split(|byte| *byte == b'\n').any(|line| line.len() > CONFIG_WORD_BYTES_MAX) {
        return;
    }
    let again = parse(&printed, &origin);
    assert!(again.stopped.is_none(), "{:?}: {:?}", printed.escape_ascii(), again.stopped);
    assert!(is_same(&parsed.directives, &again.directives), "{:?}", printed.escape_ascii());
    assert!(print(&again.directives) == printed);
}

fn is_same(left: &[Directive], right: &[Directive]) -> bool {
    let same_words = |left: &Directive, right: &Directive| {
        let bytes = |directive: &Directive| -> Vec<Vec<u8>> {
            directive.words.iter().map(|word| word.bytes.clone()).collect()
        };
        bytes(left) == bytes(right)
    };
    left.len() == right.len()
        && left.iter().zip(right).all(|(left, right)| {
            same_words(left, right)
                && left.has_block() == right.has_block()
                && is_same(left.block(), right.block())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parsed {
        parse(text.as_bytes(), &Origin::File("t".into()))
    }

    #[test]
    fn blocks_hold_what_stands_in_them() {
        let parsed = read("a 1;\nb {\n c 'x y' {\n  d;\n }\n e;\n}\n");
        assert!(parsed.stopped.is_none());
        let b = find(&parsed.directives, "b").unwrap();
        let c = find(b.block(), "c").unwrap();
        assert_eq!((c.arg(0), c.arg(1), &*c.text(0)), (&b"x y"[..], &b""[..], "x y"));
        assert_eq!((c.place.line, b.block()[1].place.line), (Some(3), Some(6)));
        assert_eq!(all(c.block(), "d").count(), 1);
        assert!(!c.block()[0].has_block());
        let printed = String::from_utf8(print(&parsed.directives)).unwrap();
        assert_eq!(printed, "a 1;\nb {\n    c \"x y\" {\n        d;\n    }\n    e;\n}\n");
    }

    #[test]
    fn a_broken_text_gives_what_stands_before_the_break() {
        let said = |text: &str| {
            let parsed = read(text);
            let stop = parsed.stopped.expect("it is broken");
            let printed = String::from_utf8(print(&parsed.directives)).unwrap().replace('\n', "");
            format!("{printed} | {} :{} | {}", stop.what, stop.line, stop.hint.unwrap_or_default())
        };
        for (text, expected) in [
            ("a;\n}\nb;", "a; | unexpected \"}\" :2 | there is a } too many, here or above"),
            (
                "a {\n b;\n",
                "a {    b;} | unexpected end of file, expecting \"}\" :3 | \"a\" of line 1 is still \
                 open",
            ),
            (
                "a;\nb c",
                "a; | unexpected end of file, expecting \";\" or \"}\" :2 | \"b\" of line 2 lacks \
                 its ; or a quote is not closed",
            ),
        ] {
            assert_eq!(said(text), expected);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let text = "a{".repeat(CONFIG_DEPTH_MAX) + &"}".repeat(CONFIG_DEPTH_MAX);
        assert!(read(&text).stopped.is_none());
        let deeper = read(&format!("b{{{text}}}"));
        assert!(deeper.stopped.unwrap().what.starts_with("more than 64 blocks"));
    }

    #[test]
    fn globals_are_words_of_the_command_line() {
        let said = |text: &str| {
            let parsed = parse(text.as_bytes(), &Origin::CommandLine);
            parsed.stopped.map(|stop| stop.what).unwrap_or_default()
        };
        assert_eq!(said("daemon off; pid x;"), "");
        assert_eq!(said("daemon off"), "unexpected end of parameter, expecting \";\"");
        assert_eq!(said("events { }"), "block directives are not supported in -g option");
    }
}
