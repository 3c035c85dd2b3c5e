//! Targets of where logs go, and of who the client is that they name.

use std::net::IpAddr;

use sheen::config::nginx::fuzz_syslog;
use sheen::h1::kept::KeptHead;
use sheen::log;
use sheen::route::real_ip::{RealIp, Source};

use super::naive;

/// What stands behind `syslog:` and, behind its first newline, a line: the parameters mean the same
/// in the other order, the server is read as it is printed, and the datagram is the line behind its
/// priority.
pub fn syslog(bytes: &[u8]) {
    let (text, line) = split_line(bytes);
    let text = String::from_utf8_lossy(text);
    let syslog = match fuzz_syslog(&text) {
        Ok(syslog) => syslog,
        Err(what) => return assert!(!what.is_empty() && !what.contains('\n')),
    };
    let turned = text.split(',').rev().collect::<Vec<_>>().join(",");
    assert_eq!(fuzz_syslog(&turned).as_ref(), Ok(&syslog));
    let again = fuzz_syslog(&format!("server={}", syslog.server)).expect("it has been read");
    assert_eq!(again.server, syslog.server);

    let message = log::fuzz_syslog(&syslog, line);
    let priority = format!("<{}>", syslog.facility * 8 + syslog.severity);
    let rest = message.strip_prefix(priority.as_bytes()).expect("the priority comes first");
    let front = rest.len() - line.len().min(LINE_BYTES_MAX);
    assert!(front < 512, "{front} bytes in front of the line");
    assert_eq!(rest[front..], line[..rest.len() - front]);
    assert!(rest[..front].ends_with(format!(" {}: ", syslog.tag).as_bytes()));
}

/// Trusted networks in the first line, the peer in the second, then `X-Forwarded-For`, one value a
/// line: a naive reader finds the same client.
pub fn real_ip(bytes: &[u8]) {
    let (networks, rest) = split_line(bytes);
    let (peer, values) = split_line(rest);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let networks = text(networks);
    let words = || networks.split(' ');
    let peer: Option<IpAddr> = text(peer).parse().ok();
    // Others come with no head that is accepted.
    let is_value = |value: &&[u8]| !value.iter().any(u8::is_ascii_control);
    let values = values.split(|byte| *byte == b'\n').filter(is_value).map(<[u8]>::trim_ascii);
    let values: Vec<&[u8]> = values.take(8).collect();
    let mut real_ip = RealIp {
        from: words().filter_map(|word| word.parse().ok()).take(8).collect(),
        from_unix: words().any(|word| word == "unix:"),
        source: Source::XForwardedFor,
        recursive: false,
    };
    let trusts = |ip: Option<IpAddr>| match ip {
        Some(ip) => real_ip.from.iter().any(|network| network.contains(&ip.to_canonical())),
        None => real_ip.from_unix,
    };
    let named = |name: &str| {
        let line = |value: &&[u8]| [name.as_bytes(), b": ", value, b"\r\n"].concat();
        let lines = values.iter().map(line).collect::<Vec<_>>().concat();
        KeptHead::lenient_request(&[b"GET / HTTP/1.1\r\n", &*lines, b"\r\n"].concat(), |_| true).0
    };
    let expected = [false, true].map(|recursive| {
        let told = naive::forwarded(&values);
        naive::client(&told, peer, recursive, trusts)
    });
    let single =
        naive::client(&naive::forwarded(&values[..values.len().min(1)]), peer, true, trusts);
    for (recursive, expected) in [false, true].into_iter().zip(expected) {
        real_ip.recursive = recursive;
        assert_eq!(
            real_ip.find(peer, None, named("x-forwarded-FOR").fields()),
            expected,
            "{recursive}"
        );
        assert_eq!(real_ip.find(peer, None, named("X-Real-IP").fields()), None);
    }
    real_ip.source = Source::parse("X-Client");
    assert_eq!(real_ip.find(peer, None, named("x-client").fields()), single, "one field counts");
}

/// The first line and what follows it.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// Longer lines are cut.
const LINE_BYTES_MAX: usize = 8 << 10;
