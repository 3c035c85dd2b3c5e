//! Reading facts for variables: cookies, arguments, and what is rarely asked for.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::builtin::Builtin;
use super::clock::{append_seconds, decimal};
use super::facts::{Answer, ClientCertificate, Facts, Tls, Try};
use super::fields::{Separator, VariableName, append_joined};
use crate::h1::kept::FieldList;
use crate::h1::name::Name;

/// The value of a field of the answer. Nobody is told that a connection goes on in HTTP/1.1.
pub(super) fn sent(answer: &Answer<'_>, name: &VariableName, out: &mut Vec<u8>) -> bool {
    if name.append_joined(answer.fields, out) {
        return true;
    }
    let is_connection = name.text() == b"connection";
    if is_connection {
        out.extend_from_slice(if answer.keeps_alive { b"keep-alive" } else { b"close" });
    }
    is_connection
}

/// The value of `name` in the arguments, as it is written there.
pub(super) fn argument(args: &[u8], name: &[u8], out: &mut Vec<u8>) -> bool {
    for pair in args.split(|b| *b == b'&') {
        let Some(equals) = memchr::memchr(b'=', pair) else { continue };
        if pair[..equals].eq_ignore_ascii_case(name) && !name.is_empty() {
            out.extend_from_slice(&pair[equals + 1..]);
            return true;
        }
    }
    false
}

/// The value of a cookie that the client sent.
pub(super) fn cookie(fields: FieldList<'_>, name: &[u8], out: &mut Vec<u8>) -> bool {
    for value in fields.all(Name::Cookie) {
        if let Some(found) = attribute(value, name) {
            out.extend_from_slice(found);
            return true;
        }
    }
    false
}

/// The value of a cookie that the upstream sets, the last of that name.
pub(super) fn set_cookie(fields: FieldList<'_>, name: &[u8], out: &mut Vec<u8>) -> bool {
    for value in fields.all(Name::SetCookie).rev() {
        let pair = value.split(|b| *b == b';').next().unwrap_or_default();
        let Some(equals) = memchr::memchr(b'=', pair) else { continue };
        if pair[..equals].trim_ascii().eq_ignore_ascii_case(name) {
            out.extend_from_slice(pair[equals + 1..].trim_ascii());
            return true;
        }
    }
    false
}

fn attribute<'v>(value: &'v [u8], name: &[u8]) -> Option<&'v [u8]> {
    let mut rest = value;
    while !rest.is_empty() {
        let head = rest.get(..name.len()).filter(|head| head.eq_ignore_ascii_case(name));
        if head.is_some()
            && let Some(found) = rest[name.len()..].trim_ascii_start().strip_prefix(b"=")
        {
            let found = found.trim_ascii_start();
            return found.split(|b| *b == b';').next();
        }
        let end = rest.iter().position(|b| matches!(b, b';' | b','))?;
        rest = rest[end + 1..].trim_ascii_start();
    }
    None
}

/// The variables that a request path rarely needs.
pub(super) fn rare(
    builtin: Builtin,
    facts: &Facts<'_>,
    status_override: u16,
    out: &mut Vec<u8>,
) -> bool {
    let (connection, answer) = (&facts.connection, &facts.answer);
    match builtin {
        Builtin::Status => {
            let status = if status_override > 0 { status_override } else { answer.status };
            decimal(u64::from(status), 3, out);
        }
        Builtin::RemotePort if connection.remote_port == 0 => {}
        Builtin::RemotePort => decimal(u64::from(connection.remote_port), 1, out),
        Builtin::ServerPort if connection.server_port == 0 => {}
        Builtin::ServerPort => decimal(u64::from(connection.server_port), 1, out),
        Builtin::BytesSent => decimal(answer.bytes_sent, 1, out),
        Builtin::BodyBytesSent => decimal(answer.body_bytes_sent, 1, out),
        Builtin::RequestLength => decimal(facts.request_length, 1, out),
        Builtin::RequestTime => {
            append_seconds(facts.now().unix_ms.saturating_sub(facts.clock.request_ms), out);
        }
        Builtin::Msec => append_seconds(facts.now().unix_ms, out),
        Builtin::Connection => decimal(connection.number, 1, out),
        Builtin::ConnectionRequests => decimal(connection.requests, 1, out),
        Builtin::ConnectionTime => {
            append_seconds(facts.now().unix_ms.saturating_sub(connection.since_ms), out);
        }
        Builtin::Pid => decimal(u64::from(facts.process.pid), 1, out),
        Builtin::RequestId => facts.request_id.iter().for_each(|byte| hex(*byte, out)),
        Builtin::ContentLength => match facts.unchunked {
            Some(bytes) => decimal(bytes, 1, out),
            None => return field(facts, Name::ContentLength, out),
        },
        Builtin::ContentType => return field(facts, Name::ContentType, out),
        Builtin::HttpHost => return field(facts, Name::Host, out),
        Builtin::HttpCookie => {
            return append_joined(facts.fields.all(Name::Cookie), Separator::Semicolon, out);
        }
        Builtin::ProxyAddXForwardedFor => {
            if field(facts, Name::XForwardedFor, out) {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(connection.remote_text);
        }
        Builtin::RealipRemoteAddr => out.extend_from_slice(connection.peer_text),
        Builtin::RealipRemotePort if connection.peer_port == 0 => {}
        Builtin::RealipRemotePort => decimal(u64::from(connection.peer_port), 1, out),
        Builtin::BinaryRemoteAddr => match connection.remote_addr {
            Some(IpAddr::V4(address)) => out.extend_from_slice(&address.octets()),
            Some(IpAddr::V6(address)) => out.extend_from_slice(&address.octets()),
            None => out.extend_from_slice(connection.remote_text),
        },
        Builtin::RequestBody => match facts.request_body {
            Some(body) => out.extend_from_slice(body),
            None => return false,
        },
        Builtin::RemoteUser => return remote_user(facts.fields, out),
        other => return rarer(other, facts, out),
    }
    true
}

fn rarer(builtin: Builtin, facts: &Facts<'_>, out: &mut Vec<u8>) -> bool {
    let tries = facts.upstream.tries;
    let number = |number: Option<u64>, out: &mut Vec<u8>| match number {
        Some(number) => decimal(number, 1, out),
        None => out.push(b'-'),
    };
    let time = |milliseconds: Option<u64>, out: &mut Vec<u8>| match milliseconds {
        Some(milliseconds) => append_seconds(milliseconds, out),
        None => out.push(b'-'),
    };
    let each = |out: &mut Vec<u8>, write: &dyn Fn(&Try<'_>, &mut Vec<u8>)| {
        for (at, attempt) in tries.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(if attempt.is_elsewhere { b" : " } else { b", " });
            }
            write(attempt, out);
        }
        !tries.is_empty()
    };
    match builtin {
        Builtin::UpstreamAddr => each(out, &|a, out| out.extend_from_slice(a.addr)),
        Builtin::UpstreamStatus => each(out, &|a, out| number(a.status.map(u64::from), out)),
        Builtin::UpstreamConnectTime => each(out, &|a, out| time(a.connect_ms, out)),
        Builtin::UpstreamHeaderTime => each(out, &|a, out| time(a.header_ms, out)),
        Builtin::UpstreamResponseTime => each(out, &|a, out| time(a.response_ms, out)),
        Builtin::UpstreamResponseLength => each(out, &|a, out| decimal(a.response_length, 1, out)),
        Builtin::UpstreamBytesReceived => each(out, &|a, out| decimal(a.bytes_received, 1, out)),
        Builtin::UpstreamBytesSent => each(out, &|a, out| decimal(a.bytes_sent, 1, out)),
        Builtin::ProxyProtocolAddr
        | Builtin::ProxyProtocolPort
        | Builtin::ProxyProtocolServerAddr
        | Builtin::ProxyProtocolServerPort => proxy_protocol(builtin, facts, out),
        other => facts.tls.is_some_and(|tls| of_tls(other, &tls, out)),
    }
}

fn proxy_protocol(builtin: Builtin, facts: &Facts<'_>, out: &mut Vec<u8>) -> bool {
    let Some(header) = facts.connection.proxy_protocol else { return false };
    match builtin {
        Builtin::ProxyProtocolAddr => out.extend_from_slice(header.addr),
        Builtin::ProxyProtocolServerAddr => out.extend_from_slice(header.server_addr),
        Builtin::ProxyProtocolPort => decimal(u64::from(header.port), 1, out),
        _ => decimal(u64::from(header.server_port), 1, out),
    }
    true
}

/// Variables of TLS; what is not known has no value, as `$ssl_session_id` here, where tickets have
/// taken the place of sessions.
fn of_tls(builtin: Builtin, tls: &Tls<'_>, out: &mut Vec<u8>) -> bool {
    let text = match builtin {
        Builtin::SslProtocol => tls.protocol,
        Builtin::SslCipher => tls.cipher,
        Builtin::SslCurve => tls.curve,
        Builtin::SslServerName => tls.server_name,
        Builtin::SslAlpnProtocol => tls.alpn,
        Builtin::SslSessionReused => match tls.session_reused {
            true => b"r",
            false => b".",
        },
        Builtin::SslEarlyData if tls.early_data => b"1",
        Builtin::SslClientVerify if tls.client.is_none() => b"NONE",
        other => match &tls.client {
            Some(client) => return of_client_certificate(other, client, out),
            None => return false,
        },
    };
    out.extend_from_slice(text);
    !text.is_empty()
}

fn of_client_certificate(
    builtin: Builtin,
    client: &ClientCertificate<'_>,
    out: &mut Vec<u8>,
) -> bool {
    let text = match builtin {
        Builtin::SslClientVerify => client.verify,
        Builtin::SslClientRawCert => client.pem,
        Builtin::SslClientSDn => client.subject,
        Builtin::SslClientIDn => client.issuer,
        Builtin::SslClientSerial => client.serial,
        Builtin::SslClientFingerprint => client.fingerprint,
        Builtin::SslClientVStart => client.not_before,
        Builtin::SslClientVEnd => client.not_after,
        Builtin::SslClientVRemain => client.days_left,
        Builtin::SslClientEscapedCert => {
            for byte in client.pem {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                    out.push(*byte);
                } else {
                    out.push(b'%');
                    hex_upper(*byte, out);
                }
            }
            return true;
        }
        Builtin::SslClientCert => {
            // Lines but the first begin with a tab, so that the whole can stand in a field.
            let mut lines = client.pem.trim_ascii_end().split(|b| *b == b'\n');
            out.extend_from_slice(lines.next().unwrap_or_default());
            for line in lines {
                out.extend_from_slice(b"\n\t");
                out.extend_from_slice(line);
            }
            return true;
        }
        _ => return false,
    };
    out.extend_from_slice(text);
    true
}

fn field(facts: &Facts<'_>, name: Name, out: &mut Vec<u8>) -> bool {
    append_joined(facts.fields.all(name), Separator::Comma, out)
}

/// The user of `Authorization: Basic`, verified or not.
fn remote_user(fields: FieldList<'_>, out: &mut Vec<u8>) -> bool {
    let Some(value) = fields.first(Name::Authorization) else { return false };
    let Some((scheme, token)) = value.split_at_checked(6) else { return false };
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return false;
    }
    let Ok(plain) = STANDARD.decode(token.trim_ascii()) else { return false };
    let Some(colon) = memchr::memchr(b':', &plain) else { return false };
    out.extend_from_slice(&plain[..colon]);
    true
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

fn hex_upper(byte: u8, out: &mut Vec<u8>) {
    let start = out.len();
    hex(byte, out);
    out[start..].make_ascii_uppercase();
}
