//! What nginx asks of the arguments of single directives, beyond their number and kind.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::address::{self, ListenAddress, Url};
use super::table::{Contexts, HTTP, IF_LOCATION, LIMIT_EXCEPT, LOCATION, SERVER, UPSTREAM};
use super::tree::{Directive, all};
use super::values;
use crate::route::access::Whom;
use crate::route::condition::Asked;
use crate::route::location::{Match, check_nesting};
use crate::route::phases::LimitExcept;

/// The first thing that is wrong with the arguments of a directive in this context, in words of
/// nginx. `around` is the location that it stands in, at any depth.
pub(super) fn arguments(
    directive: &Directive,
    context: Contexts,
    around: Option<&Match>,
) -> Result<(), String> {
    let name = directive.name();
    match &*name {
        "access_log" => access_log(directive),
        "add_header" | "add_trailer" => always(directive),
        "allow" | "deny" => Whom::parse(&directive.text(0)).map(drop),
        "alias" if matches!(around, Some(Match::Named(_))) => {
            Err("the \"alias\" directive cannot be used inside the named location".to_owned())
        }
        "connection_pool_size" | "request_pool_size" => pool(directive),
        "error_log" => error_log(directive),
        "error_page" => error_page(directive),
        "if" => Asked::parse(&directive.slices()).map(drop),
        "alias" | "root" => root(directive),
        "index" => match directive.args().iter().find(|word| word.bytes.is_empty()) {
            Some(_) => Err("index \"\" in \"index\" directive is invalid".to_owned()),
            None => Ok(()),
        },
        "keepalive" => keepalive(directive),
        "keepalive_timeout" => {
            let first = values::milliseconds(directive.arg(0)).is_some();
            let second = directive.args().len() < 2 || values::seconds(directive.arg(1)).is_some();
            if first && second { Ok(()) } else { Err(invalid_value(directive)) }
        }
        "limit_except" => LimitExcept::parse(&directive.slices(), 0).map(drop),
        "listen" => address::listen(directive.args()).map(drop),
        "location" => location(directive, around),
        "log_format" => log_format(directive),
        "map" => variable(directive, 1),
        "proxy_cookie_domain" | "proxy_cookie_flags" | "proxy_cookie_path"
            if directive.args().len() == 1 =>
        {
            one_of(directive, 0, &["off"])
        }
        "proxy_pass" => proxy_pass(directive, context, around),
        "proxy_redirect" if directive.args().len() == 1 => {
            one_of(directive, 0, &["off", "default"])
        }
        "resolver" => resolver(directive),
        "return" => return_code(directive),
        "rewrite" if directive.args().len() == 3 => {
            one_of(directive, 2, &["last", "break", "redirect", "permanent"])
        }
        "server" if context == UPSTREAM => address::member(directive.args()).map(drop),
        "server_name" => server_name(directive),
        "set" => variable(directive, 0),
        "ssl_session_cache" => session_cache(directive),
        "use" if !WAYS_TO_WAIT.contains(&&*directive.text(0)) => {
            Err(format!("invalid event type \"{}\"", directive.text(0)))
        }
        "worker_priority" => worker_priority(directive),
        "worker_connections" => match values::number(directive.arg(0)) {
            Some(_) => Ok(()),
            None => Err(format!("invalid number \"{}\"", directive.text(0))),
        },
        "worker_processes" => match values::number(directive.arg(0)) {
            Some(1..) => Ok(()),
            None if directive.arg(0) == b"auto" => Ok(()),
            _ => Err(invalid_value(directive)),
        },
        _ => Ok(()),
    }
}

/// What is wrong with its standing behind those that stood in the same block.
pub(super) fn behind(directive: &Directive, earlier: &[Directive]) -> Result<(), String> {
    let name = directive.name();
    let stood = |name: &str| all(earlier, name).next().is_some();
    let other = match &*name {
        "alias" => "root",
        "root" => "alias",
        "proxy_cookie_domain" | "proxy_cookie_flags" | "proxy_cookie_path" | "proxy_redirect" => {
            // `off` stands alone.
            let is_off = |line: &Directive| line.slices() == [b"off"];
            if all(earlier, &name).any(|line| is_off(line) || is_off(directive)) {
                return Err(format!("\"{name}\" directive is duplicate"));
            }
            let is_default = directive.is("proxy_redirect") && directive.slices() == [b"default"];
            if is_default && !stood("proxy_pass") {
                return Err(
                    "\"proxy_redirect default\" should be placed after the \"proxy_pass\" \
                            directive"
                        .to_owned(),
                );
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    if stood(other) {
        return Err(format!(
            "\"{name}\" directive is duplicate, \"{other}\" directive was specified earlier"
        ));
    }
    Ok(())
}

pub(super) fn invalid_value(directive: &Directive) -> String {
    format!("\"{}\" directive invalid value", directive.name())
}

fn one_of(directive: &Directive, number: usize, words: &[&str]) -> Result<(), String> {
    let given = directive.text(number);
    if words.contains(&&*given) { Ok(()) } else { Err(format!("invalid parameter \"{given}\"")) }
}

fn pool(directive: &Directive) -> Result<(), String> {
    match values::size(directive.arg(0)) {
        Some(bytes) if bytes < POOL_BYTES_MIN => {
            Err(format!("the pool size must be no less than {POOL_BYTES_MIN}"))
        }
        Some(bytes) if bytes % POOL_ALIGNMENT != 0 => {
            Err(format!("the pool size must be a multiple of {POOL_ALIGNMENT}"))
        }
        _ => Ok(()),
    }
}

fn variable(directive: &Directive, number: usize) -> Result<(), String> {
    match directive.arg(number) {
        [b'$', _, ..] => Ok(()),
        _ => Err(format!("invalid variable name \"{}\"", directive.text(number))),
    }
}

fn always(directive: &Directive) -> Result<(), String> {
    if directive.args().len() < 3 { Ok(()) } else { one_of(directive, 2, &["always"]) }
}

fn keepalive(directive: &Directive) -> Result<(), String> {
    let value = directive.text(0);
    let number = values::number(directive.arg(0)).filter(|number| *number > 0);
    let invalid = || format!("invalid value \"{value}\" in \"keepalive\" directive");
    number.map(drop).ok_or_else(invalid)
}

fn worker_priority(directive: &Directive) -> Result<(), String> {
    let digits = directive.arg(0);
    let digits = digits.strip_prefix(b"-").or(digits.strip_prefix(b"+")).unwrap_or(digits);
    let invalid = || "\"worker_priority\" directive invalid number".to_owned();
    values::number(digits).map(drop).ok_or_else(invalid)
}

fn root(directive: &Directive) -> Result<(), String> {
    let path = directive.text(0);
    for variable in ["document_root", "realpath_root"] {
        if path.contains(&format!("${variable}")) || path.contains(&format!("${{{variable}}}")) {
            let name = directive.name();
            return Err(format!(
                "the ${variable} variable cannot be used in the \"{name}\" directive"
            ));
        }
    }
    Ok(())
}

fn access_log(directive: &Directive) -> Result<(), String> {
    if directive.arg(0) == b"off" {
        return match directive.args().get(1) {
            None => Ok(()),
            Some(_) => Err(format!("invalid parameter \"{}\"", directive.text(1))),
        };
    }
    let (mut buffered, mut flushed) = (false, false);
    for number in 2..directive.args().len() {
        let parameter = directive.text(number);
        let (name, value) = parameter.split_once('=').unwrap_or((&parameter, ""));
        match name {
            "buffer" => {
                let size = values::size(value.as_bytes()).filter(|size| *size > 0);
                size.ok_or_else(|| format!("invalid buffer size \"{value}\""))?;
                buffered = true;
            }
            "flush" => {
                let time = values::milliseconds(value.as_bytes()).filter(|time| !time.is_zero());
                time.ok_or_else(|| format!("invalid flush time \"{value}\""))?;
                flushed = true;
            }
            "gzip" => {
                let level = values::number(value.as_bytes());
                if parameter.contains('=') && !level.is_some_and(|level| (1..=9).contains(&level)) {
                    return Err(format!("invalid compression level \"{value}\""));
                }
                buffered = true;
            }
            "if" if parameter.contains('=') => {}
            _ => return Err(format!("invalid parameter \"{parameter}\"")),
        }
    }
    if flushed && !buffered {
        return Err(format!("no buffer is defined for access_log \"{}\"", directive.text(0)));
    }
    if buffered && directive.arg(0).contains(&b'$') {
        return Err("buffered logs cannot have variables in name".to_owned());
    }
    if buffered && directive.arg(0).starts_with(b"syslog:") {
        return Err("logs to syslog cannot be buffered".to_owned());
    }
    Ok(())
}

/// How the lines of a log are collected before they are written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Buffering {
    bytes: u64,
    flush: Duration,
    /// The level; 0: not compressed.
    gzip: u64,
}

/// That of an `access_log` that is right; `None` where it has none.
pub(super) fn buffering(directive: &Directive) -> Option<Buffering> {
    let mut buffering = Buffering { bytes: 0, flush: Duration::ZERO, gzip: 0 };
    for word in directive.args().iter().skip(2) {
        if let Some(size) = word.bytes.strip_prefix(b"buffer=") {
            buffering.bytes = values::size(size)?;
        } else if let Some(time) = word.bytes.strip_prefix(b"flush=") {
            buffering.flush = values::milliseconds(time)?;
        } else if let Some(level) = word.bytes.strip_prefix(b"gzip") {
            buffering.gzip = level.strip_prefix(b"=").map_or(Some(1), values::number)?;
            if buffering.bytes == 0 {
                buffering.bytes = GZIP_BUFFER_BYTES;
            }
        }
    }
    (buffering.bytes > 0).then_some(buffering)
}

fn error_log(directive: &Directive) -> Result<(), String> {
    for number in 1..directive.args().len() {
        let level = directive.text(number);
        if !LOG_LEVELS.contains(&&*level) {
            return Err(format!("invalid log level \"{level}\""));
        }
    }
    Ok(())
}

fn log_format(directive: &Directive) -> Result<(), String> {
    if directive.arg(0) == b"combined" {
        return Err("duplicate \"log_format\" name \"combined\"".to_owned());
    }
    let escaping = directive.text(1);
    match escaping.strip_prefix("escape=") {
        None | Some("default" | "json" | "none") => Ok(()),
        Some(other) => Err(format!("unknown log format escaping \"{other}\"")),
    }
}

fn error_page(directive: &Directive) -> Result<(), String> {
    let words = directive.args();
    let mut codes = words.len() - 1;
    // `=200` or `=` may stand before the page.
    if let Some(word) = words.get(codes.wrapping_sub(1))
        && let [b'=', code @ ..] = &word.bytes[..]
    {
        if codes == 1 {
            return Err(format!("invalid value \"{}\"", directive.text(0)));
        }
        if !code.is_empty() && values::number(code).is_none() {
            return Err(format!("invalid value \"={}\"", String::from_utf8_lossy(code)));
        }
        codes -= 1;
    }
    for number in 0..codes {
        let text = directive.text(number);
        match values::number(directive.arg(number)) {
            None | Some(499) => return Err(format!("invalid value \"{text}\"")),
            Some(300..=599) => {}
            Some(_) => return Err(format!("value \"{text}\" must be between 300 and 599")),
        }
    }
    Ok(())
}

fn resolver(directive: &Directive) -> Result<(), String> {
    for number in 0..directive.args().len() {
        let word = directive.text(number);
        let right = match word.split_once('=') {
            Some(("valid", time)) => values::seconds(time.as_bytes()).is_some(),
            Some(("ipv4" | "ipv6", switch)) => matches!(switch, "on" | "off"),
            _ => true,
        };
        if !right {
            return Err(format!("invalid parameter: {word}"));
        }
    }
    Ok(())
}

fn return_code(directive: &Directive) -> Result<(), String> {
    let first = directive.arg(0);
    let is_address =
        [&b"http://"[..], b"https://", b"$scheme"].iter().any(|head| first.starts_with(head));
    match values::number(first) {
        Some(0..=999) => Ok(()),
        None if directive.args().len() == 1 && is_address => Ok(()),
        _ => Err(format!("invalid return code \"{}\"", directive.text(0))),
    }
}

fn proxy_pass(
    directive: &Directive,
    context: Contexts,
    around: Option<&Match>,
) -> Result<(), String> {
    let Url::Fixed { uri: Some(_), .. } = address::url(&directive.text(0))? else {
        return Ok(());
    };
    let no_path = matches!(around, Some(Match::Regex { .. } | Match::Named(_)));
    if no_path || matches!(context, IF_LOCATION | LIMIT_EXCEPT) {
        return Err("\"proxy_pass\" cannot have URI part in location given by regular \
                    expression, or inside named location, or inside \"if\" statement, or inside \
                    \"limit_except\" block"
            .to_owned());
    }
    Ok(())
}

/// A star in front stands before a dot with a name behind it.
fn server_name(directive: &Directive) -> Result<(), String> {
    let is_wrong = |name: &[u8]| match name {
        b"." => true,
        [b'*', rest @ ..] => !matches!(rest, [b'.', _, ..]),
        _ => false,
    };
    match (0..directive.args().len()).find(|number| is_wrong(directive.arg(*number))) {
        Some(number) => Err(format!("server name \"{}\" is invalid", directive.text(number))),
        None => Ok(()),
    }
}

fn session_cache(directive: &Directive) -> Result<(), String> {
    for number in 0..directive.args().len() {
        let text = directive.text(number);
        let mut parts = text.splitn(3, ':');
        let right = match (parts.next(), parts.next(), parts.next()) {
            (Some("off" | "none" | "builtin"), None, None) => true,
            (Some("builtin"), Some(size), None) => values::number(size.as_bytes()).is_some(),
            (Some("shared"), Some(name), Some(size)) if !name.is_empty() => {
                match values::size(size.as_bytes()) {
                    Some(bytes) if bytes < SESSION_CACHE_BYTES_MIN => {
                        return Err(format!("session cache \"{text}\" is too small"));
                    }
                    size => size.is_some(),
                }
            }
            _ => false,
        };
        if !right {
            return Err(format!("invalid session cache \"{text}\""));
        }
    }
    Ok(())
}

fn location(directive: &Directive, around: Option<&Match>) -> Result<(), String> {
    let inner = Match::parse(&directive.slices())?;
    around.map_or(Ok(()), |outer| check_nesting(outer, &inner))
}

/// What is wrong between the directives of a block: which of them, or the block's own end, and in
/// which words.
pub(super) fn block(directive: &Directive, context: Contexts) -> Vec<(Option<usize>, String)> {
    let block = directive.block();
    let mut wrong = Vec::new();
    match context {
        SERVER | LOCATION => {
            let read = |line: &Directive| Match::parse(&line.slices()).ok();
            let locations: Vec<_> = block
                .iter()
                .map(|line| if line.is("location") { read(line) } else { None })
                .collect();
            let mut seen = HashSet::new();
            for (number, location) in locations.iter().enumerate() {
                let Some(location) = location else { continue };
                if location.claim().is_some_and(|claim| !seen.insert(claim)) {
                    wrong.push((Some(number), location.duplicate()));
                }
            }
        }
        UPSTREAM if all(block, "server").next().is_none() => {
            wrong.push((None, "no servers are inside upstream".to_owned()));
        }
        _ => {}
    }
    wrong
}

/// What only one directive of a block may have, and what nginx says of a second one that has it.
pub(super) fn claims(directive: &Directive, context: Contexts) -> Vec<(String, String)> {
    let name = directive.text(0);
    let what = match &*directive.name() {
        "listen" => {
            let Ok(listen) = address::listen(directive.args()) else { return Vec::new() };
            let at = |port: u16| match &listen.address {
                ListenAddress::Ip(ip) => Some(SocketAddr::new(*ip, port).to_string()),
                ListenAddress::Unix(path) => Some(format!("unix:{path}")),
                ListenAddress::Host(_) => None,
            };
            let addresses = listen.ports.clone().filter_map(at);
            let addresses = addresses.map(|address| format!("a duplicate listen {address}"));
            return addresses.map(|what| (what.clone(), what)).collect();
        }
        "log_format" => format!("duplicate \"log_format\" name \"{name}\""),
        "upstream" if context == HTTP => format!("duplicate upstream \"{name}\""),
        _ => return Vec::new(),
    };
    let key = if directive.is("upstream") { what.to_lowercase() } else { what.clone() };
    vec![(key, what)]
}

/// What is wrong with a line of data in the block of that name.
pub(super) fn line(block: &str, line: &Directive) -> Result<(), &'static str> {
    let alone = ["hostnames", "volatile"].iter().any(|word| line.is(word));
    match (block, line.words().len()) {
        ("map", 1) if alone => Ok(()),
        ("map", 2) => Ok(()),
        ("map", _) => Err("invalid number of the map parameters"),
        _ => Ok(()),
    }
}

/// Those that nginx has on Linux.
const WAYS_TO_WAIT: &[&str] = &["epoll", "poll", "select"];

const LOG_LEVELS: &[&str] = &[
    "debug",
    "info",
    "notice",
    "warn",
    "error",
    "crit",
    "alert",
    "emerg",
    "debug_core",
    "debug_alloc",
    "debug_mutex",
    "debug_event",
    "debug_http",
    "debug_mail",
    "debug_stream",
];

/// nginx's, where a compressed log names no buffer.
const GZIP_BUFFER_BYTES: u64 = 64 << 10;

/// What nginx's own data in a pool takes on a machine of 64 bits.
const POOL_BYTES_MIN: u64 = 112;
const POOL_ALIGNMENT: u64 = 16;

/// Eight pages.
const SESSION_CACHE_BYTES_MIN: u64 = 8 * 4096;
