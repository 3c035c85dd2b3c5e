//! The table of directives: what people may write, where, with which arguments, and what becomes of
//! it.
//!
//! Reading, errors, lowering and `sheen directives` all come from it. The rooms below are named as
//! the pages of nginx's documentation are.

use std::fmt::Write as _;

mod access;
mod app;
mod core;
mod files;
mod filters;
mod http;
mod log;
mod proxy;
mod quic;
mod rewrite;
mod ssl;
mod status;
mod upstream;
mod visitors;

/// One directive, or one of its meanings where a name has two.
#[derive(Debug)]
pub struct Row {
    /// Ends with `*` where all names that begin so are treated alike.
    pub name: &'static str,
    pub contexts: Contexts,
    pub takes: Takes,
    pub treatment: Treatment,
}

/// Where a directive may stand: an "or" of the contexts below.
pub type Contexts = u16;

pub const MAIN: Contexts = 1;
pub const EVENTS: Contexts = 1 << 1;
pub const HTTP: Contexts = 1 << 2;
pub const SERVER: Contexts = 1 << 3;
pub const LOCATION: Contexts = 1 << 4;
/// `if` in `server`.
pub const IF_SERVER: Contexts = 1 << 5;
/// `if` in `location`.
pub const IF_LOCATION: Contexts = 1 << 6;
pub const LIMIT_EXCEPT: Contexts = 1 << 7;
pub const UPSTREAM: Contexts = 1 << 8;

/// Each context with its name in nginx's documentation.
pub const CONTEXT_NAMES: [(Contexts, &str); 9] = [
    (MAIN, "main"),
    (EVENTS, "events"),
    (HTTP, "http"),
    (SERVER, "server"),
    (LOCATION, "location"),
    (IF_SERVER, "if in server"),
    (IF_LOCATION, "if in location"),
    (LIMIT_EXCEPT, "limit_except"),
    (UPSTREAM, "upstream"),
];

/// http, server and location: most directives.
const LEVELS: Contexts = HTTP | SERVER | LOCATION;
const HTTP_SERVER: Contexts = HTTP | SERVER;
/// As [`LEVELS`], and `if` in a location.
const LEVELS_IF: Contexts = LEVELS | IF_LOCATION;
const EVERYWHERE: Contexts = (1 << 9) - 1;

/// How many arguments: bit N allows N, bit 15 more than 14.
pub type Count = u16;

pub const NONE: Count = 1;
pub const ONE: Count = 1 << 1;
pub const TWO: Count = 1 << 2;
pub const THREE: Count = 1 << 3;
pub const FOUR: Count = 1 << 4;
pub const ONE_OR_TWO: Count = ONE | TWO;
pub const TWO_OR_THREE: Count = TWO | THREE;
pub const ONE_TO_THREE: Count = ONE | TWO | THREE;
pub const ONE_TO_FOUR: Count = ONE | TWO | THREE | FOUR;
pub const AT_LEAST_ONE: Count = !NONE;
pub const AT_LEAST_TWO: Count = !(NONE | ONE);
pub const ANY: Count = !0;

/// True exactly when the count allows so many.
pub fn allows(count: Count, arguments: usize) -> bool {
    count & (1 << arguments.min(15)) != 0
}

/// The arguments a directive takes, and whether it may stand twice in one block. All but `Many`,
/// `Words` and `Block` may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// `on` or `off`.
    Flag,
    /// Bytes, with k or m.
    Size,
    /// Bytes, with k, m or g.
    Offset,
    /// A time that is kept in milliseconds.
    Milliseconds,
    /// A time that is kept in seconds.
    Seconds,
    Number,
    /// A number within these bounds.
    Between(u64, u64),
    /// A number and a size.
    Buffers,
    /// One of these.
    Word(&'static [&'static str]),
    /// Any of these; more with every line.
    Words(&'static [&'static str]),
    Once(Count),
    Many(Count),
    /// A block.
    Block(Count, Opens),
    /// A block that stands once.
    OnceBlock(Count, Opens),
    /// Nobody asks: the directive is refused whatever it says.
    Anything,
}

/// What the block of a directive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// Directives of this context.
    Context(Contexts),
    /// Directives of `if`, which differ between a server and a location.
    If,
    /// Lines of data, with `include` among them.
    Lines,
    /// Lines of data, and `include` is one of them.
    LinesAlone,
    /// What another module reads.
    Foreign,
}

/// What becomes of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// sheen does what nginx does.
    Does(Family),
    /// Taken, and nothing follows from it; why.
    NoEffect(&'static str),
    /// Refused; what to do, or what it would have protected.
    Refused(&'static str),
    /// Taken when its first argument is this word, with which nothing follows; else refused.
    RefusedUnless(&'static str, &'static str),
}

/// Directives that are lowered together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Processes, signals, the error log: the top and `events`.
    Core,
    /// Servers, locations, what clients may do, files.
    Http,
    /// `rewrite`, `return`, `if`, `set`, `break`.
    Rewrite,
    /// `map`.
    Map,
    /// `proxy_*`.
    Proxy,
    /// `upstream` and what stands in it.
    Upstream,
    /// `ssl_*`.
    Ssl,
    /// `add_header`, `add_trailer`, `expires`.
    Headers,
    /// `access_log`, `log_format`.
    Log,
    /// `allow`, `deny`.
    Access,
    /// `set_real_ip_from`, `real_ip_*`.
    RealIp,
}

impl Family {
    pub fn word(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Http => "http",
            Self::Rewrite => "rewrite",
            Self::Map => "map",
            Self::Proxy => "proxy",
            Self::Upstream => "upstream",
            Self::Ssl => "ssl",
            Self::Headers => "headers",
            Self::Log => "log",
            Self::Access => "access",
            Self::RealIp => "realip",
        }
    }
}

const fn row(name: &'static str, contexts: Contexts, takes: Takes, treatment: Treatment) -> Row {
    Row { name, contexts, takes, treatment }
}

/// All rooms, in the order of nginx's documentation.
const ROOMS: &[&[Row]] = &[
    core::ROWS,
    http::ROWS,
    rewrite::ROWS,
    proxy::ROWS,
    upstream::ROWS,
    ssl::ROWS,
    log::ROWS,
    access::ROWS,
    quic::ROWS,
    app::ROWS,
    filters::ROWS,
    files::ROWS,
    visitors::ROWS,
    status::ROWS,
];

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    ROOMS.iter().copied().flatten()
}

/// The rows of a name: more than one when it means different things in different contexts.
pub fn named(name: &[u8]) -> impl Iterator<Item = &'static Row> {
    let exact = rows().any(|row| row.name.as_bytes() == name);
    rows().filter(move |row| match row.name.strip_suffix('*') {
        Some(prefix) => !exact && name.starts_with(prefix.as_bytes()),
        None => row.name.as_bytes() == name,
    })
}

impl Row {
    pub fn family(&self) -> Option<Family> {
        match self.treatment {
            Treatment::Does(family) => Some(family),
            _ => None,
        }
    }

    /// What its block holds; `None` when it has none.
    pub fn opens(&self) -> Option<Opens> {
        match self.takes {
            Takes::Block(_, opens) | Takes::OnceBlock(_, opens) => Some(opens),
            _ => None,
        }
    }

    /// How many arguments it takes.
    pub fn count(&self) -> Count {
        match self.takes {
            Takes::Flag
            | Takes::Size
            | Takes::Offset
            | Takes::Milliseconds
            | Takes::Seconds
            | Takes::Number
            | Takes::Between(..)
            | Takes::Word(_) => ONE,
            Takes::Buffers => TWO,
            Takes::Words(_) => AT_LEAST_ONE,
            Takes::Once(count)
            | Takes::Many(count)
            | Takes::Block(count, _)
            | Takes::OnceBlock(count, _) => count,
            Takes::Anything => ANY,
        }
    }

    /// True exactly when a second one in the same block is a mistake.
    pub fn stands_once(&self) -> bool {
        !matches!(self.takes, Takes::Words(_) | Takes::Many(_) | Takes::Block(..) | Takes::Anything)
    }
}

/// The contexts as nginx's documentation lists them.
pub fn context_names(contexts: Contexts) -> String {
    if contexts == EVERYWHERE {
        return "any".to_owned();
    }
    let names = CONTEXT_NAMES.iter().filter(|(context, _)| contexts & context != 0);
    names.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

/// The table as `sheen directives` shows it.
pub fn print() -> String {
    let mut rows: Vec<&Row> = rows().collect();
    rows.sort_by_key(|row| row.name);
    let mut out = format!("{:32} {:24} {:40} treatment\n", "directive", "arguments", "contexts");
    for row in rows {
        let contexts = context_names(row.contexts);
        let arguments = arguments(row.takes);
        let treatment = match row.treatment {
            Treatment::Does(family) => format!("as nginx ({})", family.word()),
            Treatment::NoEffect(reason) => format!("no effect: {reason}"),
            Treatment::Refused(sentence) => format!("refused: {sentence}"),
            Treatment::RefusedUnless(word, sentence) => {
                format!("refused unless \"{word}\": {sentence}")
            }
        };
        let _ = writeln!(out, "{:32} {arguments:24} {contexts:40} {treatment}", row.name);
    }
    out
}

/// What a directive takes, as it follows "it takes".
pub(super) fn expectation(takes: Takes) -> String {
    match takes {
        Takes::Flag => "\"on\" or \"off\"".to_owned(),
        Takes::Size => "bytes, or a number with k or m: 8k".to_owned(),
        Takes::Offset => "bytes, or a number with k, m or g: 10m".to_owned(),
        Takes::Milliseconds => {
            "seconds, or numbers with ms, s, m, h, d or w, without a space: 1h30m".to_owned()
        }
        Takes::Seconds => {
            "seconds, or numbers with s, m, h, d, w, M or y, without a space: 1d12h".to_owned()
        }
        Takes::Number => "a number".to_owned(),
        Takes::Between(least, most) => format!("a number from {least} to {most}"),
        Takes::Buffers => "a number and a size, neither of them 0: 4 8k".to_owned(),
        Takes::Word(words) => format!("one of {}", words.join(", ")),
        Takes::Words(words) => format!("any of {}", words.join(", ")),
        Takes::Once(count) | Takes::Many(count) => counted(count),
        Takes::Block(count, _) | Takes::OnceBlock(count, _) => {
            format!("{} and a block {{ ... }}", counted(count))
        }
        Takes::Anything => "any arguments".to_owned(),
    }
}

fn counted(count: Count) -> String {
    let least = count.trailing_zeros();
    match count_words(count).as_str() {
        "none" => "no arguments".to_owned(),
        "1" => "1 argument".to_owned(),
        words => match words.strip_suffix('+') {
            Some("1") => "at least 1 argument".to_owned(),
            Some(_) => format!("at least {least} arguments"),
            None => format!("{} arguments", words.replace('-', " to ")),
        },
    }
}

/// The arguments in a few words.
fn arguments(takes: Takes) -> String {
    match takes {
        Takes::Flag => "on | off".to_owned(),
        Takes::Size | Takes::Offset => "size".to_owned(),
        Takes::Milliseconds | Takes::Seconds => "time".to_owned(),
        Takes::Number => "number".to_owned(),
        Takes::Between(least, most) => format!("{least}..{most}"),
        Takes::Buffers => "number size".to_owned(),
        Takes::Word(words) => words.join(" | "),
        Takes::Words(words) => format!("{} ...", words.join(" | ")),
        Takes::Once(count) => count_words(count),
        Takes::Many(count) => format!("{}, repeatable", count_words(count)),
        Takes::Block(count, _) | Takes::OnceBlock(count, _) => {
            format!("{} {{...}}", count_words(count))
        }
        Takes::Anything => "any".to_owned(),
    }
}

/// `none`, `1`, `1-3`, `2+`, `any`.
fn count_words(count: Count) -> String {
    let least = count.trailing_zeros();
    match (count, least) {
        (ANY, _) => "any".to_owned(),
        (NONE, _) => "none".to_owned(),
        (count, least) if count & (1 << 15) != 0 => format!("{least}+"),
        (count, least) if count == 1 << least => least.to_string(),
        (count, least) => format!("{least}-{}", 15 - count.leading_zeros()),
    }
}
