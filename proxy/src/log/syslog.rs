//! Log lines as datagrams to a syslog server, in the form that nginx sends (RFC 3164).
//!
//! Nothing is waited for: a line that the socket does not take is lost, and the next one tries a
//! new socket.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;

use jiff::{Timestamp, tz::TimeZone};

use crate::config::{Level, Syslog, SyslogServer};

/// One log on its way to a server.
#[derive(Debug)]
pub(super) struct Sender {
    syslog: Syslog,
    hostname: String,
    socket: Option<Socket>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Sender {
    pub(super) fn new(syslog: &Syslog) -> Self {
        let hostname = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        Self { syslog: syslog.clone(), hostname, socket: None }
    }

    /// Sends each line of a block.
    pub(super) fn send(&mut self, block: &[u8]) {
        let mut message = Vec::new();
        for line in block.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            message.clear();
            self.append(line, &mut message);
            if self.socket.is_none() {
                self.socket = Socket::open(&self.syslog.server).ok();
            }
            if self.socket.as_ref().is_none_or(|socket| socket.send(&message).is_err()) {
                self.socket = None;
            }
        }
    }

    fn append(&self, line: &[u8], message: &mut Vec<u8>) {
        let Syslog { facility, severity, by_level, tag, with_hostname, .. } = &self.syslog;
        let severity = if *by_level { level_of(line).unwrap_or(*severity) } else { *severity };
        let time = Timestamp::now().to_zoned(TimeZone::system());
        let time = time.strftime("%b %e %H:%M:%S");
        let host = if *with_hostname { format!("{} ", self.hostname) } else { String::new() };
        let _ = write!(message, "<{}>{time} {host}{tag}: ", facility * 8 + severity);
        message.extend_from_slice(&line[..line.len().min(LINE_BYTES_MAX)]);
    }
}

impl Socket {
    fn open(server: &SyslogServer) -> io::Result<Self> {
        match server {
            SyslogServer::Udp(address) => {
                let own: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(own)?;
                socket.set_nonblocking(true)?;
                socket.connect(address)?;
                Ok(Self::Udp(socket))
            }
            SyslogServer::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                socket.connect(path)?;
                Ok(Self::Unix(socket))
            }
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(message),
            Self::Unix(socket) => socket.send(message),
        }
    }
}

/// For the fuzzer: the datagram of a line.
#[doc(hidden)]
pub fn fuzz(syslog: &Syslog, line: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    Sender::new(syslog).append(line, &mut message);
    message
}

/// The severity of an error line: `2026/11/21 12:00:00 [error] ...`.
fn level_of(line: &[u8]) -> Option<u8> {
    let rest = line.get(TIME_BYTES..)?.strip_prefix(b"[")?;
    let word = &rest[..rest.iter().position(|byte| *byte == b']')?];
    let place = Level::ALL.iter().position(|level| level.word().as_bytes() == word)?;
    u8::try_from(place).ok()
}

/// Longer lines are cut: a datagram has an end.
const LINE_BYTES_MAX: usize = 8 << 10;
/// Of an error line, the space with it.
const TIME_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_line_has_the_severity_of_its_level() {
        assert_eq!(level_of(b"2026/11/21 12:00:00 [error] 1#0: x"), Some(3));
        assert_eq!(level_of(b"2026/11/21 12:00:00 [debug] 1#0: x"), Some(7));
        assert_eq!(level_of(b"127.0.0.1 - - [21/Nov/2026] x"), None);
        assert_eq!(level_of(b""), None);
    }
}
