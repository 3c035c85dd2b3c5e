//! `syslog:server=...,facility=...` of `access_log` and `error_log`.

use std::net::SocketAddr;

use super::address::{Target, target};
use crate::config::address::resolve_by_system;
use crate::config::raw::Resolve;
use crate::config::{Syslog, SyslogServer};

/// Reads what stands after `syslog:`. Errors are in nginx's words.
pub(super) fn syslog(text: &str) -> Result<Syslog, String> {
    read(text, resolve_by_system)
}

/// For the fuzzer: any text, without asking the network for names.
#[doc(hidden)]
pub fn fuzz(text: &str) -> Result<Syslog, String> {
    read(text, |_, port| Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))]))
}

fn read(text: &str, resolve: Resolve) -> Result<Syslog, String> {
    let mut server = None;
    let (mut facility, mut severity, mut tag, mut with_hostname) = (None, None, None, true);
    for parameter in text.split(',') {
        let Some((name, value)) = parameter.split_once('=') else {
            match parameter {
                "nohostname" => with_hostname = false,
                _ => return Err(unknown(parameter)),
            }
            continue;
        };
        match name {
            "server" if server.is_some() => return Err(duplicate(name)),
            "server" => server = Some(address(value, resolve)?),
            "facility" if facility.is_some() => return Err(duplicate(name)),
            "facility" => facility = Some(place(FACILITIES, name, value)?),
            "severity" if severity.is_some() => return Err(duplicate(name)),
            "severity" => severity = Some(place(SEVERITIES, name, value)?),
            "tag" if tag.is_some() => return Err(duplicate(name)),
            "tag" => tag = Some(checked_tag(value)?),
            _ => return Err(unknown(parameter)),
        }
    }
    Ok(Syslog {
        server: server.ok_or("no syslog server specified")?,
        facility: facility.unwrap_or(LOCAL7),
        severity: severity.unwrap_or(INFO),
        by_level: false,
        tag: tag.unwrap_or("nginx").to_owned(),
        with_hostname,
    })
}

fn unknown(parameter: &str) -> String {
    format!("unknown syslog parameter \"{parameter}\"")
}

fn duplicate(name: &str) -> String {
    format!("duplicate syslog \"{name}\"")
}

fn place(words: &[&str], name: &str, value: &str) -> Result<u8, String> {
    let place = words.iter().position(|word| *word == value);
    let place = place.and_then(|place| u8::try_from(place).ok());
    place.ok_or_else(|| format!("unknown syslog {name} \"{value}\""))
}

fn checked_tag(tag: &str) -> Result<&str, String> {
    if tag.len() > TAG_BYTES_MAX {
        return Err("syslog tag length exceeds 32".to_owned());
    }
    match tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        true => Ok(tag),
        false => {
            Err("syslog \"tag\" only allows alphanumeric characters and underscore".to_owned())
        }
    }
}

fn address(text: &str, resolve: Resolve) -> Result<SyslogServer, String> {
    let wrong = |what: &str| format!("{what} in syslog server \"{text}\"");
    if !text.starts_with("unix:") && text.contains(['/', '?']) {
        return Err(wrong("invalid host"));
    }
    let (name, port) = match target(text).map_err(wrong)? {
        Target::Unix(path) => return Ok(SyslogServer::Unix(path.into())),
        Target::Ip { ip, port } => {
            return Ok(SyslogServer::Udp((ip, port.unwrap_or(PORT)).into()));
        }
        Target::Host { name, port } => (name, port.unwrap_or(PORT)),
    };
    let found = resolve(&name, port).ok().and_then(|found| found.first().copied());
    found.map(SyslogServer::Udp).ok_or_else(|| wrong("host not found"))
}

const TAG_BYTES_MAX: usize = 32;
const PORT: u16 = 514;
const LOCAL7: u8 = 23;
const INFO: u8 = 6;

/// RFC 5424 section 6.2.1, in nginx's words.
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv",
    "ftp", "ntp", "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
const SEVERITIES: &[&str] = &["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];
