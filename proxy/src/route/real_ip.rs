//! `set_real_ip_from`, `real_ip_header` and `real_ip_recursive`: who the client is, as trusted
//! proxies in front of us tell it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::h1::kept::{Field, FieldList};
use crate::h1::name::Name;

/// Whom a server believes, and what.
#[derive(Debug, Clone, Default)]
pub struct RealIp {
    pub from: Vec<IpNet>,
    /// `unix:`: those who come through a socket in the file system.
    pub from_unix: bool,
    pub source: Source,
    /// The last address that is not of a trusted proxy, instead of the last.
    pub recursive: bool,
}

/// `real_ip_header`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Source {
    #[default]
    XRealIp,
    XForwardedFor,
    ProxyProtocol,
    /// Any other field.
    Field(Box<str>),
}

impl Source {
    /// The argument of the directive.
    pub fn parse(name: &str) -> Self {
        match name {
            _ if name.eq_ignore_ascii_case("x-real-ip") => Self::XRealIp,
            _ if name.eq_ignore_ascii_case("x-forwarded-for") => Self::XForwardedFor,
            // nginx compares this one as it is written.
            "proxy_protocol" => Self::ProxyProtocol,
            _ => Self::Field(name.into()),
        }
    }
}

impl RealIp {
    /// The client and its port, 0 where none is told. `None`: `peer` (none on a Unix socket) is not
    /// believed, or says nothing that could be.
    pub fn find(
        &self,
        peer: Option<IpAddr>,
        introduced: Option<SocketAddr>,
        fields: FieldList<'_>,
    ) -> Option<(IpAddr, u16)> {
        let mut values: Vec<&[u8]> = match &self.source {
            Source::XForwardedFor => fields.all(Name::XForwardedFor).collect(),
            Source::XRealIp => fields.all(Name::XRealIp).collect(),
            Source::Field(name) => {
                let is_it = |field: &Field<'_>| field.name.eq_ignore_ascii_case(name.as_bytes());
                fields.iter().filter(is_it).map(|field| field.value).collect()
            }
            Source::ProxyProtocol => {
                return introduced
                    .filter(|_| self.trusts(peer))
                    .map(|from| (from.ip(), from.port()));
            }
        };
        if self.source != Source::XForwardedFor {
            values.truncate(1);
        }
        self.behind(peer, &values)
    }

    /// Goes back through the addresses, the last field first, as far as each is believed.
    fn behind(&self, peer: Option<IpAddr>, values: &[&[u8]]) -> Option<(IpAddr, u16)> {
        let mut found = None;
        let mut teller = peer;
        for value in values.iter().rev() {
            let mut rest = *value;
            loop {
                if !self.trusts(teller) {
                    return found;
                }
                let Some((before, client)) = last_address(rest) else { return found };
                found = Some(client);
                teller = Some(client.0);
                if !self.recursive {
                    return found;
                }
                match before {
                    Some(before) => rest = before,
                    None => break,
                }
            }
        }
        found
    }

    fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(ip) => self.from.iter().any(|net| net.contains(&ip.to_canonical())),
            None => self.from_unix,
        }
    }
}

/// An address, and a port or 0.
type Told = (IpAddr, u16);

/// The last address of a list, and what stands before it.
fn last_address(value: &[u8]) -> Option<(Option<&[u8]>, Told)> {
    let separates = |byte: &u8| matches!(byte, b' ' | b',');
    let end = value.iter().rposition(|byte| !separates(byte))? + 1;
    let start = value[..end].iter().rposition(separates).map_or(0, |at| at + 1);
    let address = parse(std::str::from_utf8(&value[start..end]).ok()?)?;
    let before = start.checked_sub(1).map(|end| &value[..end]);
    Some((before.filter(|before| !before.is_empty()), address))
}

/// An address, with a port or without; IPv6 with one stands in brackets.
fn parse(text: &str) -> Option<Told> {
    if let Ok(ip) = text.parse() {
        return Some((ip, 0));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => text.split_once(':')?,
    };
    let port = port.bytes().all(|byte| byte.is_ascii_digit()).then_some(port)?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let ip = match text.starts_with('[') {
        true => host.parse::<Ipv6Addr>().ok()?.into(),
        false => host.parse().ok()?,
    };
    Some((ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::kept::KeptHead;

    fn find(real_ip: &RealIp, peer: &str, values: &[&str]) -> Option<String> {
        let name = match real_ip.source {
            Source::XRealIp => "X-Real-IP",
            _ => "X-Forwarded-For",
        };
        let lines: String = values.iter().map(|value| format!("{name}: {value}\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes();
        let (head, _) = KeptHead::lenient_request(&head, |_| true);
        let found = real_ip.find(peer.parse().ok(), None, head.fields());
        found.map(|(ip, port)| SocketAddr::from((ip, port)).to_string())
    }

    #[test]
    fn the_last_address_counts_or_the_last_that_is_not_trusted() {
        let from = vec!["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        let mut real_ip =
            RealIp { from, from_unix: false, source: Source::XForwardedFor, recursive: false };
        let local = "127.0.0.1";
        for (recursive, peer, values, expected) in [
            (false, local, &["192.0.2.1, 10.0.0.2"][..], Some("10.0.0.2:0")),
            (true, local, &["192.0.2.1, 10.0.0.2"], Some("192.0.2.1:0")),
            (true, local, &["192.0.2.9, 192.0.2.1, 10.0.0.2"], Some("192.0.2.1:0")),
            (true, local, &["192.0.2.1", "10.0.0.2"], Some("192.0.2.1:0")),
            (false, local, &["192.0.2.1", "192.0.2.2"], Some("192.0.2.2:0")),
            (true, local, &["10.0.0.3,10.0.0.2"], Some("10.0.0.3:0")),
            (true, local, &["nonsense, 10.0.0.2"], Some("10.0.0.2:0")),
            (true, local, &["nonsense"], None),
            (false, local, &[""], None),
            (false, local, &[" , "], None),
            (false, local, &[], None),
            (false, "192.0.2.7", &["192.0.2.1"], None),
            (false, "::ffff:127.0.0.1", &["192.0.2.1:8080 ,"], Some("192.0.2.1:8080")),
            (false, local, &["[2001:db8::1]:443"], Some("[2001:db8::1]:443")),
            (false, local, &["2001:db8::1"], Some("[2001:db8::1]:0")),
            (false, local, &["[2001:db8::1]"], None),
            (false, local, &["192.0.2.1:0"], None),
            (false, local, &["192.0.2.1:65536"], None),
        ] {
            real_ip.recursive = recursive;
            assert_eq!(find(&real_ip, peer, values).as_deref(), expected, "{peer} {values:?}");
        }
        real_ip.source = Source::XRealIp;
        assert_eq!(find(&real_ip, local, &["192.0.2.1"]).as_deref(), Some("192.0.2.1:0"));
        assert_eq!(find(&real_ip, "unix:", &["192.0.2.1"]), None);
        real_ip.from_unix = true;
        assert_eq!(find(&real_ip, "unix:", &["192.0.2.1"]).as_deref(), Some("192.0.2.1:0"));
    }

    #[test]
    fn a_balancer_is_believed_if_it_is_trusted() {
        let from = vec!["127.0.0.1/32".parse().unwrap()];
        let source = Source::parse("proxy_protocol");
        let real_ip = RealIp { from, from_unix: false, source, recursive: false };
        let client: SocketAddr = "192.0.2.1:7".parse().unwrap();
        let found =
            |peer: &str| real_ip.find(peer.parse().ok(), Some(client), FieldList::default());
        assert_eq!(found("127.0.0.1"), Some((client.ip(), 7)));
        assert_eq!(found("127.0.0.2"), None);
        assert_eq!(real_ip.find("127.0.0.1".parse().ok(), None, FieldList::default()), None);
    }
}
