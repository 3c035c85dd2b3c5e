//! The header that a load balancer puts in front of a connection to say who the client is: PROXY
//! protocol, versions 1 and 2. No sockets: bytes in, an answer out.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::limits::PROXY_HEADER_BYTES_MAX;

/// What the first bytes of a connection come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// So far it is the beginning of a header: all of it belongs to it.
    Incomplete,
    Header(Header),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the header; what follows is the client's.
    pub len: usize,
    /// `None`: the balancer speaks for itself (a health check), or does not know.
    pub client: Option<SocketAddr>,
    /// Where the client's connection went to.
    pub server: Option<SocketAddr>,
}

/// Why the bytes are no header, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken(pub &'static str);

/// Reads a header from the front of `bytes`, which are at most [`PROXY_HEADER_BYTES_MAX`].
pub fn parse(bytes: &[u8]) -> Result<Parsed, Broken> {
    let begins = |signature: &[u8]| {
        let len = signature.len().min(bytes.len());
        bytes[..len] == signature[..len]
    };
    if begins(SIGNATURE_2) {
        return version_2(bytes);
    }
    if begins(SIGNATURE_1) {
        return version_1(bytes);
    }
    Err(Broken("it does not begin with a PROXY protocol header"))
}

/// Section 2.1: one line of text.
fn version_1(bytes: &[u8]) -> Result<Parsed, Broken> {
    let line = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', line) else {
        if line.len() == LINE_BYTES_MAX {
            return Err(Broken("its line is too long"));
        }
        return Ok(Parsed::Incomplete);
    };
    let text = line[..end].strip_suffix(b"\r").ok_or(Broken("its line does not end in CRLF"))?;
    let text = std::str::from_utf8(text).map_err(|_| Broken("its line is not ASCII"))?;
    let mut words = text.split(' ').skip(1);
    let header = |addresses: Option<(SocketAddr, SocketAddr)>| {
        let (client, server) = addresses.unzip();
        Ok(Parsed::Header(Header { len: end + 1, client, server }))
    };
    let family = words.next().unwrap_or_default();
    // What follows UNKNOWN must be ignored.
    if family == "UNKNOWN" {
        return header(None);
    }
    let words: Vec<&str> = words.collect();
    let [source, destination, source_port, destination_port] = words[..] else {
        return Err(Broken("its line does not have two addresses and two ports"));
    };
    let ports = (port(source_port)?, port(destination_port)?);
    let bad_address = |_| Broken("its line has an address that is none");
    match family {
        "TCP4" => {
            let destination = destination.parse::<Ipv4Addr>().map_err(bad_address)?;
            let source = source.parse::<Ipv4Addr>().map_err(bad_address)?;
            header(Some(((source, ports.0).into(), (destination, ports.1).into())))
        }
        "TCP6" => {
            let destination = destination.parse::<Ipv6Addr>().map_err(bad_address)?;
            let source = source.parse::<Ipv6Addr>().map_err(bad_address)?;
            header(Some(((source, ports.0).into(), (destination, ports.1).into())))
        }
        _ => Err(Broken("its line is of an unknown family")),
    }
}

fn port(text: &str) -> Result<u16, Broken> {
    let broken = Broken("its line has a port that is none");
    let canonical = text == "0" || !text.starts_with('0');
    if !canonical || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(broken);
    }
    text.parse().map_err(|_| broken)
}

/// Section 2.2: twelve bytes of signature, version and command, family, length, addresses, TLVs.
fn version_2(bytes: &[u8]) -> Result<Parsed, Broken> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED_BYTES) else {
        return Ok(Parsed::Incomplete);
    };
    let (version_command, family) = (fixed[12], fixed[13]);
    let len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if version_command >> 4 != 2 {
        return Err(Broken("it has an unknown version"));
    }
    if FIXED_BYTES + len > PROXY_HEADER_BYTES_MAX {
        return Err(Broken("it is too long"));
    }
    let Some(rest) = rest.get(..len) else {
        return Ok(Parsed::Incomplete);
    };
    let header = |addresses: Option<(SocketAddr, SocketAddr)>| {
        let (client, server) = addresses.unzip();
        Ok(Parsed::Header(Header { len: FIXED_BYTES + len, client, server }))
    };
    match version_command & 0x0f {
        // LOCAL: the addresses must be ignored.
        0 => return header(None),
        1 => {}
        _ => return Err(Broken("it has an unknown command")),
    }
    let short = Broken("it is too short for its addresses");
    match family {
        // TCP over IPv4: addresses of 4 bytes, then ports.
        0x11 => {
            let Some(&[a, b, c, d, e, f, g, h, high, low, high_2, low_2]) = rest.get(..12) else {
                return Err(short);
            };
            let ports = (u16::from_be_bytes([high, low]), u16::from_be_bytes([high_2, low_2]));
            let source = (Ipv4Addr::new(a, b, c, d), ports.0).into();
            header(Some((source, (Ipv4Addr::new(e, f, g, h), ports.1).into())))
        }
        // TCP over IPv6: addresses of 16 bytes, then ports.
        0x21 => {
            let address = rest.get(..36).ok_or(short)?;
            let (mut source, mut destination) = ([0; 16], [0; 16]);
            source.copy_from_slice(&address[..16]);
            destination.copy_from_slice(&address[16..32]);
            let ports = (
                u16::from_be_bytes([address[32], address[33]]),
                u16::from_be_bytes([address[34], address[35]]),
            );
            let source = (Ipv6Addr::from(source), ports.0).into();
            header(Some((source, (Ipv6Addr::from(destination), ports.1).into())))
        }
        // UNSPEC, datagrams and sockets in the file system name no client on the network.
        _ => header(None),
    }
}

const SIGNATURE_1: &[u8] = b"PROXY ";
const SIGNATURE_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, its end included.
const LINE_BYTES_MAX: usize = 107;
const FIXED_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn version_2_of(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE_2.to_vec();
        bytes.extend([version_command, family]);
        bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    /// Parses `bytes` with a request behind them, and every part of them alone.
    fn header(bytes: &[u8]) -> Option<String> {
        for len in 0..bytes.len() {
            assert_eq!(parse(&bytes[..len]), Ok(Parsed::Incomplete), "{len} bytes");
        }
        let all = [bytes, b"GET / HTTP/1.1\r\n"].concat();
        let Ok(Parsed::Header(header)) = parse(&all) else { panic!("{:?}", parse(&all)) };
        assert_eq!(header.len, bytes.len());
        let server = header.server.map_or_else(String::new, |server| format!(" {server}"));
        header.client.map(|client| format!("{client}{server}"))
    }

    #[test]
    fn reads_lines() {
        for (line, client) in [
            ("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", Some("192.0.2.1:56324 10.0.0.1:443")),
            ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", Some("[2001:db8::1]:1 [::1]:65535")),
            ("PROXY TCP4 255.255.255.255 0.0.0.0 0 0\r\n", Some("255.255.255.255:0 0.0.0.0:0")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff::f ffff::f 65535 65535\r\n", None),
        ] {
            assert_eq!(header(line.as_bytes()).as_deref(), client, "{line}");
        }
    }

    #[test]
    fn refuses_lines_that_are_wrong() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "\x16\x03\x01",
            "PROXY\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443 \r\n",
            "PROXY TCP4 192.0.2.1  10.0.0.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +1 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 01 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1 \r\n",
            "PROXY TCP4 ::1 10.0.0.1 1 443\r\n",
            "PROXY TCP6 192.0.2.1 ::1 1 443\r\n",
            "PROXY UDP4 192.0.2.1 10.0.0.1 1 443\r\n",
            "PROXY TCP4 192.0.2.256 10.0.0.1 1 443\r\n",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
        let long = format!("PROXY UNKNOWN {}", "x".repeat(LINE_BYTES_MAX));
        assert_eq!(parse(long.as_bytes()), Err(Broken("its line is too long")));
    }

    #[test]
    fn reads_binary_headers() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 0x04, 0x01, 0xbb];
        let both = Some("192.0.2.1:56324 10.0.0.1:443");
        assert_eq!(header(&version_2_of(0x21, 0x11, &four)).as_deref(), both);
        let with_tlv = [&four[..], &[0x04, 0, 1, 0]].concat();
        assert_eq!(header(&version_2_of(0x21, 0x11, &with_tlv)).as_deref(), both);
        let mut six = [0; 36];
        six[..2].copy_from_slice(&[0x20, 0x01]);
        six[32..34].copy_from_slice(&[0, 80]);
        assert_eq!(header(&version_2_of(0x21, 0x21, &six)).as_deref(), Some("[2001::]:80 [::]:0"));
        assert_eq!(header(&version_2_of(0x20, 0x11, &four)), None);
        assert_eq!(header(&version_2_of(0x20, 0, &[])), None);
        assert_eq!(header(&version_2_of(0x21, 0x31, &[0; 216])), None);
    }

    #[test]
    fn refuses_binary_headers_that_are_wrong() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 0x04, 0x01, 0xbb];
        for bytes in [
            version_2_of(0x11, 0x11, &four),
            version_2_of(0x31, 0x11, &four),
            version_2_of(0x22, 0x11, &four),
            version_2_of(0x21, 0x11, &four[..11]),
            version_2_of(0x21, 0x21, &four),
            version_2_of(0x21, 0x11, &[0; PROXY_HEADER_BYTES_MAX]),
        ] {
            assert!(parse(&bytes).is_err(), "{bytes:?}");
        }
    }
}
