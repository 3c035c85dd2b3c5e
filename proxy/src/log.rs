//! Access and error logs. Workers hand finished lines to one thread that writes them; they never
//! wait for a disk.
//!
//! When that thread can't keep up, lines are dropped and counted, and the count is logged.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, tz::TimeZone};

pub use self::output::open;
use self::output::{Files, Output};
use crate::config::{
    AccessFormat, ErrorLog, Level, LogConfig, LogTarget, LogTargets, UpstreamAddress,
};

mod output;
mod syslog;

#[doc(hidden)]
pub use syslog::fuzz as fuzz_syslog;

/// What the log of one exchange says.
#[derive(Debug)]
pub struct Access<'a> {
    pub client: &'a str,
    pub request: &'a Request,
    pub status: u16,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// Its first byte came then.
    pub begun: Instant,
    pub upstream: Option<&'a UpstreamAddress>,
    pub tls: Option<&'static str>,
    /// The kernel moved the body.
    pub by_kernel: bool,
}

/// What is kept of a request head for the logs, in one allocation that is used again.
#[derive(Debug, Default)]
pub struct Request {
    text: Vec<u8>,
    line_end: usize,
    host_end: usize,
    referer_end: usize,
}

impl Request {
    pub fn set(&mut self, line: &[u8], host: &[u8], referer: &[u8], user_agent: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(&line[..line.len().min(LOGGED_BYTES_MAX)]);
        self.line_end = self.text.len();
        for (part, end) in [(host, &mut self.host_end), (referer, &mut self.referer_end)] {
            self.text.extend_from_slice(&part[..part.len().min(LOGGED_BYTES_MAX)]);
            *end = self.text.len();
        }
        self.text.extend_from_slice(&user_agent[..user_agent.len().min(LOGGED_BYTES_MAX)]);
    }

    pub fn clear(&mut self) {
        self.set(b"", b"", b"", b"");
    }

    /// Gives back what an idle or long-lived connection does not need.
    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
    }

    pub fn line(&self) -> &[u8] {
        &self.text[..self.line_end]
    }

    pub fn host(&self) -> &[u8] {
        &self.text[self.line_end..self.host_end]
    }

    pub fn referer(&self) -> &[u8] {
        &self.text[self.host_end..self.referer_end]
    }

    fn user_agent(&self) -> &[u8] {
        &self.text[self.referer_end..]
    }
}

/// The logging thread.
#[derive(Debug)]
pub struct Log {
    handle: Handle,
}

/// Log files that have been opened and are not in use yet.
#[derive(Debug)]
pub struct Prepared(Box<Files>);

/// A way to the logging thread; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    sender: SyncSender<Message>,
    level: Level,
    format: AccessFormat,
    logs: LogTargets,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    /// Lines for the log of that number.
    Access {
        logs: LogTargets,
        number: usize,
        lines: Vec<u8>,
    },
    Error(String),
    Replace(Box<Files>),
    Stop(SyncSender<()>),
}

impl Log {
    /// Errors: there is no thread for it.
    pub fn start(Prepared(files): Prepared) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(QUEUE_MESSAGES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let count = dropped.clone();
        let LogConfig { access, format, level, .. } = &files.config;
        let (logs, format, level) = (access.clone(), *format, *level);
        let handle = Handle { sender, level, format, logs, dropped };
        std::thread::Builder::new()
            .name("sheen-log".into())
            .spawn(move || write_lines(*files, &receiver, &count))?;
        Ok(Self { handle })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Opens the files of a configuration, of the same one again after a rotation; nothing changes
    /// before [`Log::replace`].
    ///
    /// Errors: one of them can't be opened.
    pub fn prepare(config: &LogConfig) -> io::Result<Prepared> {
        Ok(Prepared(Box::new(Files::open(config)?)))
    }

    pub fn replace(&mut self, Prepared(files): Prepared) {
        self.handle.level = files.config.level;
        self.handle.format = files.config.format;
        self.handle.logs = files.config.access.clone();
        let _ = self.handle.sender.send(Message::Replace(files));
    }
}

impl Prepared {
    /// What keeps the process from starting, in the error log if that is no terminal: it is said there
    /// as well.
    pub fn lament(&mut self, problems: &[String]) {
        if self.0.config.error == LogTarget::Stderr {
            return;
        }
        for problem in problems {
            let line = error_line(Level::Emerg, problem.lines().next().unwrap_or_default());
            self.0.error(format!("{line}\n").as_bytes());
        }
    }

    /// The files among the logs.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.0.access.iter().chain([&self.0.error]).filter_map(|output| match output {
            Output::File(file) => Some(file),
            Output::Stdout | Output::Stderr | Output::Syslog(_) => None,
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // What has been said so far is written, unless whoever reads it has stopped reading.
        let (done, wait) = mpsc::sync_channel(1);
        if self.handle.sender.try_send(Message::Stop(done)).is_ok() {
            let _ = wait.recv_timeout(LAST_LINES);
        }
    }
}

impl Handle {
    /// One line in the error log, in nginx's form.
    pub fn say(&self, level: Level, words: impl fmt::Display) {
        if level <= self.level {
            self.push(Message::Error(error_line(level, words) + "\n"));
        }
    }

    fn push(&self, message: Message) {
        if self.sender.try_send(message).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A worker's end of the logs: access lines are collected, and handed over in blocks.
#[derive(Debug)]
pub struct Sink {
    handle: RefCell<Handle>,
    /// By the number of the access log.
    lines: RefCell<Vec<Vec<u8>>>,
}

impl Sink {
    pub fn new(handle: Handle) -> Self {
        Self { handle: RefCell::new(handle), lines: RefCell::new(vec![Vec::new()]) }
    }

    pub fn replace(&self, handle: Handle) {
        // The numbers of what has been collected are those of before.
        self.flush();
        *self.handle.borrow_mut() = handle;
    }

    pub fn access(&self, access: &Access<'_>) {
        if self.handle.borrow().logs.is_empty() {
            return;
        }
        let lines = &mut self.lines.borrow_mut()[0];
        match self.handle.borrow().format {
            AccessFormat::Combined => combined(lines, access),
            AccessFormat::Json => json(lines, access),
        }
        self.hand_over(0, lines, BLOCK_BYTES);
    }

    /// A line of another's making in the log of that number among `logs`.
    pub fn line(&self, logs: &LogTargets, number: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if !Arc::ptr_eq(logs, &self.handle.borrow().logs) {
            // Of a configuration that was, or is about to be heard of here.
            let mut lines = Vec::new();
            write(&mut lines);
            lines.push(b'\n');
            let line = Message::Access { logs: logs.clone(), number, lines };
            return self.handle.borrow().push(line);
        }
        let all = &mut *self.lines.borrow_mut();
        if all.len() <= number {
            all.resize_with(number + 1, Vec::new);
        }
        write(&mut all[number]);
        all[number].push(b'\n');
        self.hand_over(number, &mut all[number], BLOCK_BYTES);
    }

    fn hand_over(&self, number: usize, lines: &mut Vec<u8>, least: usize) {
        if lines.len() >= least {
            let (handle, lines) = (self.handle.borrow(), std::mem::take(lines));
            handle.push(Message::Access { logs: handle.logs.clone(), number, lines });
        }
    }

    pub fn say(&self, level: Level, words: impl fmt::Display) {
        self.handle.borrow().say(level, words);
    }

    /// One line in the error logs of a server, which are among `all`.
    pub fn say_in(&self, all: &LogTargets, logs: &[ErrorLog], level: Level, words: &str) {
        for log in logs.iter().filter(|log| level <= log.level) {
            self.line(all, log.file, |out| {
                out.extend_from_slice(error_line(level, words).as_bytes())
            });
        }
    }

    /// Hands over what has been collected; called at every tick.
    pub fn flush(&self) {
        for (number, lines) in self.lines.borrow_mut().iter_mut().enumerate() {
            self.hand_over(number, lines, 1);
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.flush();
    }
}

/// nginx's `combined` format.
fn combined(out: &mut Vec<u8>, access: &Access<'_>) {
    out.extend_from_slice(access.client.as_bytes());
    out.extend_from_slice(b" - - [");
    CLOCK.with(|clock| clock.access_time(out));
    out.extend_from_slice(b"] \"");
    escape(out, access.request.line(), Quote::Combined);
    out.extend_from_slice(b"\" ");
    number(out, access.status.into());
    out.push(b' ');
    number(out, access.sent);
    for part in [access.request.referer(), access.request.user_agent()] {
        out.extend_from_slice(b" \"");
        if part.is_empty() {
            out.push(b'-');
        }
        escape(out, part, Quote::Combined);
        out.push(b'"');
    }
    out.push(b'\n');
}

fn json(out: &mut Vec<u8>, access: &Access<'_>) {
    let request = access.request;
    let upstream = access.upstream.map(ToString::to_string).unwrap_or_default();
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(Timestamp::now().to_string().as_bytes());
    out.push(b'"');
    let texts = [
        ("client", access.client.as_bytes()),
        ("request", request.line()),
        ("host", request.host()),
        ("referer", request.referer()),
        ("user_agent", request.user_agent()),
        ("upstream", upstream.as_bytes()),
        ("tls", access.tls.unwrap_or_default().as_bytes()),
    ];
    for (name, value) in texts {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":\"");
        escape(out, value, Quote::Json);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"status\":");
    number(out, access.status.into());
    out.extend_from_slice(b",\"body_bytes_sent\":");
    number(out, access.sent);
    out.extend_from_slice(b",\"request_time_ms\":");
    number(out, access.begun.elapsed().as_millis() as u64);
    out.extend_from_slice(b",\"ktls\":");
    out.extend_from_slice(if access.by_kernel { b"true" } else { b"false" });
    out.extend_from_slice(b"}\n");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    /// `\xXX`, as nginx's `escape=default`.
    Combined,
    Json,
}

/// Nothing from the network can begin a line of its own or end its quotes.
fn escape(out: &mut Vec<u8>, text: &[u8], quote: Quote) {
    // JSON is UTF-8; what is not shows as replacement characters.
    let lossy;
    let text = match quote {
        Quote::Json if std::str::from_utf8(text).is_err() => {
            lossy = String::from_utf8_lossy(text);
            lossy.as_bytes()
        }
        Quote::Json | Quote::Combined => text,
    };
    for byte in text {
        match (quote, byte) {
            (Quote::Combined, b'"' | b'\\' | ..b' ' | 0x7f..) => {
                let _ = write!(out, "\\x{byte:02X}");
            }
            (Quote::Json, b'"' | b'\\') => out.extend_from_slice(&[b'\\', *byte]),
            (Quote::Json, ..b' ' | 0x7f) => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            _ => out.push(*byte),
        }
    }
}

/// A request line or name for the error log.
pub fn printable(text: &[u8]) -> String {
    let mut out = Vec::new();
    escape(&mut out, text, Quote::Combined);
    String::from_utf8_lossy(&out).into_owned()
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

thread_local! {
    static CLOCK: Clock = const { Clock { second: Cell::new(0), text: RefCell::new(String::new()) } };
}

/// The local time of the access log, formatted once a second.
struct Clock {
    second: Cell<u64>,
    text: RefCell<String>,
}

impl Clock {
    fn access_time(&self, out: &mut Vec<u8>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut text = self.text.borrow_mut();
        if self.second.replace(now) != now || text.is_empty() {
            text.clear();
            let time = Timestamp::now().to_zoned(TimeZone::system());
            let _ = write!(text, "{}", time.strftime("%d/%b/%Y:%H:%M:%S %z"));
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// How far local time is east of Greenwich.
pub fn local_offset_s() -> i32 {
    thread_local! {
        static KNOWN: Cell<(u64, i32)> = const { Cell::new((0, 0)) };
    }
    let quarter = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 900;
    let (known, offset) = KNOWN.get();
    if known == quarter {
        return offset;
    }
    let offset = Timestamp::now().to_zoned(TimeZone::system()).offset().seconds();
    KNOWN.set((quarter, offset));
    offset
}

/// A line of the error log, without its end.
pub fn error_line(level: Level, words: impl fmt::Display) -> String {
    format!("{} [{}] {}#0: {words}", error_time(), level.word(), std::process::id())
}

fn error_time() -> impl fmt::Display {
    Timestamp::now().to_zoned(TimeZone::system()).strftime("%Y/%m/%d %H:%M:%S").to_string()
}

/// The logging thread.
fn write_lines(mut files: Files, messages: &Receiver<Message>, dropped: &AtomicU64) {
    let mut complained = Instant::now();
    while let Ok(message) = messages.recv() {
        match message {
            Message::Access { logs, number, lines } => files.access(&logs, number, &lines),
            Message::Error(line) => files.error(line.as_bytes()),
            Message::Replace(new) => {
                let before = std::mem::replace(&mut files, *new);
                files.succeed(before);
            }
            Message::Stop(done) => {
                let _ = done.send(());
                return;
            }
        }
        if complained.elapsed() > Duration::from_secs(1) {
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                complained = Instant::now();
                let words =
                    format!("{lost} blocks of log lines were dropped: the disk is too slow");
                files.error(format!("{} [warn] {words}\n", error_time()).as_bytes());
            }
        }
    }
}

/// Longer request lines and fields are cut in the logs.
const LOGGED_BYTES_MAX: usize = 2048;
/// Access lines are handed over at the latest when there are so many.
const BLOCK_BYTES: usize = 16 << 10;
/// For the last lines to be written at the end of the process.
const LAST_LINES: Duration = Duration::from_secs(2);
const QUEUE_MESSAGES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_by_name() {
        let name = "America/New_York";
        // A machine without tzdata has nothing to know.
        if std::path::Path::new("/usr/share/zoneinfo").join(name).exists() {
            assert!(TimeZone::get(name).is_ok(), "TZ={name} would be taken for UTC");
        }
    }
}
