//! The checked configuration that every dialect is lowered into.
//!
//! A [`Config`] exists only when all of it is right; what is wrong is reported as [`Problem`]s, all
//! at once.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::limits::Limits;
use crate::route::http::Http;

pub use self::dialect::{Dialect, dialect};
pub use self::listen::{Keepalive, Listen, ListenAddress, ListenOptions};
pub use self::offer::{Offer, Tickets, certificate_group};
pub use self::process::{PID_FILE, Process, User};
pub use self::raw::Place;

pub(crate) mod address;
mod advice;
pub(crate) mod check;
mod dialect;
mod draft;
pub mod dump;
mod fields;
mod globals;
mod keys;
mod listen;
pub mod load;
mod names;
pub mod native;
pub mod nginx;
mod offer;
mod process;
pub(crate) mod raw;
mod table;
#[cfg(test)]
mod tests;
mod values;

/// What sheen runs. Made by [`load::load`] or by the `proxy` and `demo` verbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Worker threads, at least 1.
    pub workers: usize,
    pub runtime: Runtime,
    pub process: Process,
    /// At least one.
    pub listeners: Vec<Listen>,
    /// Peers whose X-Forwarded-For is continued instead of overwritten.
    pub trusted_proxies: Vec<IpNet>,
    pub protocols: Protocols,
    pub ktls: Ktls,
    pub log: LogConfig,
    pub limits: Limits,
    /// At least one; the first answers for names no other site has.
    pub sites: Vec<Site>,
    /// Servers as nginx.conf has them, in the place of `sites`, which then hold the certificates
    /// alone.
    pub http: Option<Compiled>,
}

/// What nginx.conf says of requests, compiled; the same when it is the same reading of a file.
#[derive(Debug, Clone)]
pub struct Compiled(pub Arc<Http>);

impl PartialEq for Compiled {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Compiled {}

/// Which driver the workers run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// The first rung of [`Rung::LADDER`] that this kernel allows.
    Auto,
    /// This rung or a failure at start.
    Exactly(Rung),
}

/// One way to wait for the kernel, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// io_uring with SINGLE_ISSUER and DEFER_TASKRUN (Linux 6.1).
    DeferTaskrun,
    /// io_uring with COOP_TASKRUN (Linux 5.19).
    CoopTaskrun,
    /// io_uring without flags (Linux 5.6).
    IoUring,
    /// epoll: containers often forbid io_uring.
    Epoll,
}

impl Rung {
    pub const LADDER: [Self; 4] =
        [Self::DeferTaskrun, Self::CoopTaskrun, Self::IoUring, Self::Epoll];

    /// The word in sheen.toml (`runtime = "..."`).
    pub fn word(self) -> &'static str {
        match self {
            Self::DeferTaskrun => "defer_taskrun",
            Self::CoopTaskrun => "coop_taskrun",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

/// TLS versions offered; at least one is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    pub tls12: bool,
    pub tls13: bool,
}

/// Whether the kernel does TLS for large answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ktls {
    Off,
    /// Where it has the cipher and the processor helps it.
    Auto,
    /// Where it has the cipher, or a failure at start.
    On,
}

impl Ktls {
    pub const ALL: [Self; 3] = [Self::Off, Self::Auto, Self::On];

    /// The word in sheen.toml (`ktls = "..."`).
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Auto => "auto",
            Self::On => "on",
        }
    }
}

/// One set of server names and what is behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Lower case, exact or `*.suffix`; may be empty for a first site that answers for everything.
    pub names: Vec<String>,
    /// Certificate files; empty: the development certificate.
    pub certificates: Vec<CertificateFiles>,
    /// The value of Strict-Transport-Security, checked (RFC 6797 section 6.1).
    pub hsts: Option<String>,
    pub http: PlainHttp,
    /// `DIR` of `DIR/.well-known/acme-challenge/TOKEN`, served on plain HTTP.
    pub acme_webroot: Option<PathBuf>,
    /// At least one, longest prefix first.
    pub locations: Vec<Location>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// `ssl_password_file`; sheen.toml has no key for it.
    pub passphrases: Option<PathBuf>,
}

/// What a plain-HTTP listener does with requests for a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// 301 to https.
    Redirect301,
    /// 308 to https: method and body are kept.
    Redirect308,
    /// Proxied without TLS.
    Proxy,
}

/// A path prefix and the app behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Begins with `/`.
    pub prefix: String,
    /// The prefix is replaced by `/` before the app sees the path.
    pub strip_prefix: bool,
    pub app: App,
    pub upstream: Upstream,
}

/// Which extra header tells the app its public address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// X-Forwarded-* alone.
    Shiny,
    /// X-RStudio-Request too.
    Workbench,
    /// X-RSC-Request too.
    Connect,
}

/// Where an app listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// As written in the configuration, for messages.
    pub name: String,
    /// Tried in order; at least one.
    pub addresses: Vec<UpstreamAddress>,
}

/// How names that variables make are looked up: `resolver`, `resolver_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resolving {
    /// How long what was found is good for.
    pub valid: Duration,
    pub timeout: Duration,
    pub v4: bool,
    pub v6: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// By their numbers: the access logs, and the error logs of servers. In sheen.toml there is one, or
    /// none.
    pub access: LogTargets,
    pub format: AccessFormat,
    pub error: LogTarget,
    pub level: Level,
}

/// What the numbers of one configuration mean. Requests outlive a reload, and their lines go where
/// the configuration says that they began with: so numbers travel with this.
pub type LogTargets = Arc<[LogTarget]>;

/// One `error_log` of a server.
#[derive(Debug, Clone, Copy)]
pub struct ErrorLog {
    /// The number of its file, among those of the access logs.
    pub file: usize,
    /// What is less severe is left out.
    pub level: Level,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    Stdout,
    Stderr,
    File(PathBuf),
    Syslog(Syslog),
}

/// A log that is sent away line by line, RFC 3164.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    pub server: SyslogServer,
    /// 0 (kern) to 23 (local7).
    pub facility: u8,
    /// 0 (emerg) to 7 (debug).
    pub severity: u8,
    /// The severity is that of each line.
    pub by_level: bool,
    pub tag: String,
    pub with_hostname: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogServer {
    Udp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for SyslogServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFormat {
    /// nginx's `combined`.
    Combined,
    /// One JSON object a line.
    Json,
}

/// Severity, most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Emerg,
    Alert,
    Crit,
    Error,
    Warn,
    Notice,
    Info,
    Debug,
}

impl Level {
    /// nginx's, most severe first.
    pub const ALL: [Self; 8] = [
        Self::Emerg,
        Self::Alert,
        Self::Crit,
        Self::Error,
        Self::Warn,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Emerg => "emerg",
            Self::Alert => "alert",
            Self::Crit => "crit",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// One thing that is wrong in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file, or the option on the command line (`--hsts`); empty when `what` says it.
    pub file: String,
    /// 1-based; `None` where there is no line (a command line, a missing file).
    pub line: Option<usize>,
    /// What is wrong, with the value, lower case, no full stop.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
    /// In whose form it is printed: `FILE:LINE: WHAT`, or nginx's `WHAT in FILE:LINE`.
    pub dialect: Dialect,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map_or_else(String::new, |line| format!(":{line}"));
        match self.dialect {
            // What no file is to blame for, such as a section that is missing.
            _ if self.file.is_empty() => f.write_str(&self.what)?,
            Dialect::Native => write!(f, "{}{line}: {}", self.file, self.what)?,
            Dialect::Nginx => write!(f, "{} in {}{line}", self.what, self.file)?,
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}
