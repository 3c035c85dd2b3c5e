//! The walk over what was read: every directive against the table, includes put in their places,
//! everything that is wrong collected in the order in which nginx would come upon it.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::hint;
use super::include::{Files, named};
use super::levels;
use super::rules;
use super::table::{
    self, Contexts, IF_LOCATION, IF_SERVER, LOCATION, MAIN, Opens, Row, Takes, Treatment, allows,
    expectation,
};
use super::tree::{Directive, Origin, Parsed, Tree, parse};
use super::{Options, values};
use crate::config::raw::Place;
use crate::config::{Dialect, Problem};
use crate::limits::{CONFIG_DIRECTIVES_MAX, CONFIG_PROBLEMS_MAX};
use crate::route::location::Match;

#[derive(Debug)]
pub(super) struct Check<'a> {
    options: &'a Options,
    files: Files,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
    /// Directives that do nothing here, by the reason, in the order of their coming.
    idle: Vec<(&'static str, Vec<&'static str>)>,
    /// Rows that have been refused with their sentence already.
    refused: Vec<&'static str>,
    /// Of the access logs that have one, by their files.
    buffers: HashMap<PathBuf, rules::Buffering>,
    directives: usize,
}

/// The block whose directives are walked, over all files that hold a part of it.
#[derive(Debug)]
struct Block<'a> {
    inside: Inside<'a>,
    /// The location it is, or is in.
    around: Option<&'a Match>,
    directives: Vec<Directive>,
    /// Rows that have stood in it.
    seen: Vec<&'static Row>,
    /// What only one of its directives may have.
    claimed: HashSet<String>,
}

impl<'a> Block<'a> {
    fn main() -> Self {
        let inside = Inside::Context(MAIN);
        Self::new(inside, None)
    }

    fn new(inside: Inside<'a>, around: Option<&'a Match>) -> Self {
        Self { inside, around, directives: Vec::new(), seen: Vec::new(), claimed: HashSet::new() }
    }
}

#[derive(Debug, Clone, Copy)]
enum Inside<'a> {
    Context(Contexts),
    /// Lines of data of the block of this name; true exactly when `include` is none of them.
    Lines(&'a str, bool),
    /// Nobody knows what may stand here.
    Unknown,
}

impl<'a> Check<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self {
            options,
            files: Files::default(),
            problems: Vec::new(),
            notes: Vec::new(),
            idle: Vec::new(),
            refused: Vec::new(),
            buffers: HashMap::new(),
            directives: 0,
        }
    }

    /// For the fuzzer: what is wrong with a text that no file goes with.
    pub(super) fn run_text(mut self, text: &[u8]) -> Vec<Problem> {
        self.files.closed = true;
        self.walk_file(Path::new("fuzz"), text, &mut Block::main());
        self.problems
    }

    pub(super) fn run(mut self, path: &Path, text: Vec<u8>) -> Result<Tree, Vec<Problem>> {
        let mut main = Block::main();
        for globals in &self.options.globals {
            let origin = Origin::CommandLine;
            let parsed = parse(globals.as_bytes(), &origin);
            self.walk(parsed, &origin, &mut main);
        }
        let nowhere = Place { file: "".into(), line: None };
        match self.files.enter(path, text) {
            Ok(text) => self.walk_file(path, &text, &mut main),
            Err(what) => self.refuse(&nowhere, what, Some("name a file with -c FILE".to_owned())),
        }
        if self.is_readable() && !main.directives.iter().any(|d| d.is("events")) {
            let what = "no \"events\" section in configuration".to_owned();
            self.refuse(&nowhere, what, Some("write: events {}".to_owned()));
        }
        // As nginx, which puts the levels together once it has read them all.
        if self.is_readable() {
            for (place, what) in levels::wrong(&main.directives) {
                self.refuse(&place, what, None);
            }
        }
        self.problems.truncate(CONFIG_PROBLEMS_MAX);
        if !self.is_readable() {
            return Err(self.problems);
        }
        self.note_idle(path);
        let (files, notes, refused) = (self.files.read, self.notes, self.problems);
        Ok(Tree { main: main.directives, files, notes, refused })
    }

    /// True exactly when all has been walked and nothing is wrong but that some directives are refused
    /// by name.
    fn is_readable(&self) -> bool {
        let count = self.problems.len();
        count <= self.refused.len() && count < CONFIG_PROBLEMS_MAX
    }

    fn walk_file(&mut self, path: &Path, text: &[u8], block: &mut Block<'_>) {
        let origin = Origin::File(path.to_string_lossy().into());
        let parsed = parse(text, &origin);
        self.walk(parsed, &origin, block);
        self.files.close();
    }

    fn walk(&mut self, parsed: Parsed, origin: &Origin, block: &mut Block<'_>) {
        for directive in parsed.directives {
            self.directives += 1;
            if self.problems.len() >= CONFIG_PROBLEMS_MAX {
                return;
            }
            if self.directives > CONFIG_DIRECTIVES_MAX {
                let what = format!("more than {CONFIG_DIRECTIVES_MAX} directives");
                return self.refuse(&directive.place, what, None);
            }
            match block.inside {
                Inside::Context(context) => self.directive(directive, context, block),
                Inside::Lines(name, include_is_data) => {
                    self.line(directive, name, include_is_data, block);
                }
                Inside::Unknown => {}
            }
        }
        if let Some(stop) = parsed.stopped {
            self.refuse(&origin.place(stop.line), stop.what, stop.hint);
        }
    }

    /// A line of data. An include with more or fewer words than two is one.
    fn line(&mut self, line: Directive, name: &str, include_is_data: bool, block: &mut Block<'_>) {
        if line.has_block() {
            return self.refuse(&line.place, "unexpected \"{\"".to_owned(), None);
        }
        if line.is("include") && !include_is_data {
            match (name, line.args().len()) {
                (_, 1) => return self.include(&line, block),
                ("types", _) => return self.refuse(&line.place, wrong_count("include"), None),
                _ => {}
            }
        }
        if let Err(what) = rules::line(name, &line) {
            let hint = hint::missing_semicolon(&line);
            return self.refuse(&line.place, what.to_owned(), hint);
        }
        block.directives.push(line);
    }

    fn directive(&mut self, mut directive: Directive, context: Contexts, block: &mut Block<'_>) {
        let name = directive.name().into_owned();
        let rows: Vec<&'static Row> = table::named(&directive.words()[0].bytes).collect();
        let Some(&first) = rows.first() else {
            let what = format!("unknown directive \"{name}\"");
            return self.refuse(&directive.place, what, Some(hint::of_unknown(&name, context)));
        };
        let Some(&row) = rows.iter().find(|row| row.contexts & context != 0) else {
            let contexts = rows.iter().fold(0, |contexts, row| contexts | row.contexts);
            let what = format!("\"{name}\" directive is not allowed here");
            self.refuse(&directive.place, what, Some(hint::of_place(&name, contexts, context)));
            return self.block(&mut directive, first, context, block.around);
        };
        directive.row = Some(row);
        if !self.has_right_form(&directive, row) {
            return;
        }
        if name == "include" {
            return self.include(&directive, block);
        }
        if let Some(sentence) = refusal(&directive, row) {
            self.refuse_row(&directive, row, sentence);
            if row.opens() != Some(Opens::Foreign) {
                self.block(&mut directive, row, context, block.around);
            }
            return;
        }
        if let Err(what) = self.value(&directive, row, context, block) {
            let hint = hint::missing_semicolon(&directive).or_else(|| hint::of_value(&what, row));
            self.refuse(&directive.place, what, hint);
        } else {
            self.look_for_lost_semicolon(&directive, context);
        }
        if name == "ssl" {
            let what = "the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive \
                        instead";
            self.note(&directive.place, what.to_owned(), None);
        }
        if let Treatment::NoEffect(reason) = row.treatment {
            self.remember_idle(reason, row.name);
        }
        self.block(&mut directive, row, context, block.around);
        block.seen.push(row);
        block.directives.push(directive);
    }

    /// Whether it has a block exactly when it must, and as many arguments as it may.
    fn has_right_form(&mut self, directive: &Directive, row: &'static Row) -> bool {
        let name = directive.name();
        let what = match (row.takes, row.opens()) {
            (Takes::Anything, _) => return true,
            (_, None) if directive.has_block() => {
                format!("directive \"{name}\" is not terminated by \";\"")
            }
            (_, Some(_)) if !directive.has_block() => {
                format!("directive \"{name}\" has no opening \"{{\"")
            }
            _ if !allows(row.count(), directive.args().len()) => wrong_count(&name),
            _ => return true,
        };
        let hint = hint::missing_semicolon(directive)
            .or_else(|| Some(format!("it takes {}", expectation(row.takes))));
        self.refuse(&directive.place, what, hint);
        false
    }

    /// What is wrong with the value, or with its being there a second time.
    fn value(
        &mut self,
        directive: &Directive,
        row: &'static Row,
        context: Contexts,
        block: &mut Block<'_>,
    ) -> Result<(), String> {
        let name = row.name;
        rules::behind(directive, &block.directives)?;
        if row.stands_once() && block.seen.iter().any(|seen| std::ptr::eq(*seen, row)) {
            return Err(format!("\"{name}\" directive is duplicate"));
        }
        let first = directive.arg(0);
        let right = match row.takes {
            Takes::Flag => match values::flag(first) {
                Some(_) => true,
                None => {
                    let given = directive.text(0);
                    return Err(format!(
                        "invalid value \"{given}\" in \"{name}\" directive, it must be \"on\" or \
                         \"off\""
                    ));
                }
            },
            Takes::Size => values::size(first).is_some(),
            Takes::Offset => values::offset(first).is_some(),
            Takes::Milliseconds => values::milliseconds(first).is_some(),
            Takes::Seconds => values::seconds(first).is_some(),
            Takes::Number | Takes::Between(..) if values::number(first).is_none() => {
                return Err(format!("\"{name}\" directive invalid number"));
            }
            Takes::Between(least, most) => match values::number(first) {
                Some(number) if (least..=most).contains(&number) => true,
                _ => return Err(format!("value must be between {least} and {most}")),
            },
            Takes::Buffers => {
                values::number(first).is_some_and(|number| number > 0)
                    && values::size(directive.arg(1)).is_some_and(|size| size > 0)
            }
            Takes::Word(words) => return one_of(words, first),
            Takes::Words(words) => return self.words(directive, words),
            _ => true,
        };
        if !right {
            return Err(rules::invalid_value(directive));
        }
        rules::arguments(directive, context, block.around)?;
        if name == "access_log" {
            self.buffer(directive)?;
        }
        let mut claims = rules::claims(directive, context).into_iter();
        let taken = claims.find_map(|(key, what)| (!block.claimed.insert(key)).then_some(what));
        taken.map_or(Ok(()), Err)
    }

    /// A log has one buffer, however many lines write to it.
    fn buffer(&mut self, directive: &Directive) -> Result<(), String> {
        let Some(buffering) = rules::buffering(directive) else { return Ok(()) };
        let path = self.options.prefix.join(&*directive.text(0));
        match self.buffers.entry(path) {
            Entry::Occupied(known) if *known.get() != buffering => Err(format!(
                "access_log \"{}\" already defined with conflicting parameters",
                known.key().display()
            )),
            Entry::Occupied(_) => Ok(()),
            Entry::Vacant(free) => {
                free.insert(buffering);
                Ok(())
            }
        }
    }

    fn words(&mut self, directive: &Directive, words: &[&str]) -> Result<(), String> {
        for (number, word) in directive.args().iter().enumerate() {
            one_of(words, &word.bytes)?;
            let before = &directive.args()[..number];
            if before.iter().any(|other| other.bytes.eq_ignore_ascii_case(&word.bytes)) {
                let what = format!("duplicate value \"{}\"", directive.text(number));
                self.note(&directive.place, what, None);
            }
        }
        Ok(())
    }

    /// Walks what stands between the braces and puts it back, includes in their places.
    fn block(
        &mut self,
        directive: &mut Directive,
        row: &'static Row,
        context: Contexts,
        around: Option<&Match>,
    ) {
        let (Some(read), Some(opens)) = (directive.take_block(), row.opens()) else {
            return;
        };
        let inside = match opens {
            Opens::Context(context) => Inside::Context(context),
            Opens::If if context == LOCATION => Inside::Context(IF_LOCATION),
            Opens::If => Inside::Context(IF_SERVER),
            Opens::Lines => Inside::Lines(row.name, false),
            Opens::LinesAlone => Inside::Lines(row.name, true),
            Opens::Foreign => Inside::Unknown,
        };
        let own =
            if row.name == "location" { Match::parse(&directive.slices()).ok() } else { None };
        let around = own.as_ref().or(around);
        let mut block = Block::new(inside, around);
        let problems = self.problems.len();
        // Its text has been read to the end: a break is reported where the file is walked.
        let origin = Origin::CommandLine;
        self.walk(Parsed { directives: read, stopped: None }, &origin, &mut block);
        directive.put_block(block.directives);
        let Inside::Context(context) = inside else {
            return;
        };
        // Of a block without an end, or with mistakes, nobody knows what it would have held.
        let Some(end) = directive.end_place().filter(|_| self.problems.len() == problems) else {
            return;
        };
        for (number, what) in rules::block(directive, context) {
            let place = match number {
                Some(number) => directive.block()[number].place.clone(),
                None => end.clone(),
            };
            self.refuse(&place, what, None);
        }
    }

    fn include(&mut self, directive: &Directive, block: &mut Block<'_>) {
        let paths = match named(directive.arg(0), &self.options.conf_prefix) {
            Ok(paths) => paths,
            Err(what) => return self.refuse(&directive.place, what, None),
        };
        for path in paths {
            match self.files.open(&path) {
                Ok(text) => self.walk_file(&path, &text, block),
                Err(what) => {
                    let relative = !directive.arg(0).starts_with(b"/") && what.starts_with("open");
                    let folder = self.options.conf_prefix.display();
                    let hint = relative.then(|| format!("paths are relative to {folder}"));
                    self.refuse(&directive.place, what, hint);
                }
            }
        }
    }

    /// A word at the beginning of a line that names a directive was likely meant as one.
    fn look_for_lost_semicolon(&mut self, directive: &Directive, context: Contexts) {
        let meant = hint::lost(directive).filter(|(name, _)| {
            table::named(name.as_bytes()).any(|row| row.contexts & context != 0)
        });
        if let Some((name, line)) = meant {
            let what = format!("\"{name}\" is an argument of \"{}\" here", directive.name());
            let hint = format!("is a ; missing at the end of line {line}?");
            self.note(&directive.place, what, Some(hint));
        }
    }

    fn refuse_row(&mut self, directive: &Directive, row: &'static Row, sentence: &'static str) {
        let hint = (!self.refused.contains(&row.name)).then(|| sentence.to_owned());
        self.refused.push(row.name);
        let what = format!("\"{}\" directive is not supported", directive.name());
        self.refuse(&directive.place, what, hint);
    }

    fn remember_idle(&mut self, reason: &'static str, name: &'static str) {
        match self.idle.iter_mut().find(|(known, _)| *known == reason) {
            None => self.idle.push((reason, vec![name])),
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
        }
    }

    /// One note for all that does nothing.
    fn note_idle(&mut self, path: &Path) {
        if self.idle.is_empty() {
            return;
        }
        let mut what = "without effect here:".to_owned();
        for (number, (reason, names)) in self.idle.iter().enumerate() {
            let before = if number == 0 { "" } else { ";" };
            let _ = write!(what, "{before} {} ({reason})", names.join(", "));
        }
        let place = Place { file: path.to_string_lossy().into(), line: None };
        self.note(&place, what, None);
    }

    fn note(&mut self, place: &Place, what: String, hint: Option<String>) {
        self.notes.push(problem(place, what, hint));
    }

    fn refuse(&mut self, place: &Place, what: String, hint: Option<String>) {
        self.problems.push(problem(place, what, hint));
    }
}

fn problem(place: &Place, what: String, hint: Option<String>) -> Problem {
    let dialect = Dialect::Nginx;
    Problem { file: place.file.to_string(), line: place.line, what, hint, dialect }
}

/// Why a directive is refused, if it is.
fn refusal(directive: &Directive, row: &Row) -> Option<&'static str> {
    match row.treatment {
        Treatment::Does(_) | Treatment::NoEffect(_) => None,
        Treatment::Refused(sentence) => Some(sentence),
        Treatment::RefusedUnless(word, sentence) => {
            let harmless = directive.arg(0).eq_ignore_ascii_case(word.as_bytes());
            (!harmless).then_some(sentence)
        }
    }
}

fn wrong_count(name: &str) -> String {
    format!("invalid number of arguments in \"{name}\" directive")
}

fn one_of(words: &[&str], given: &[u8]) -> Result<(), String> {
    if words.iter().any(|word| given.eq_ignore_ascii_case(word.as_bytes())) {
        return Ok(());
    }
    Err(format!("invalid value \"{}\"", String::from_utf8_lossy(given)))
}
