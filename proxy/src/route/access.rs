//! `allow` and `deny`: who may have the content of a location, by the client's address.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// The rules of a level, in their order: the first that speaks of a client decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub rules: Box<[Rule]>,
}

/// One `allow` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub allows: bool,
    pub whom: Whom,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    All,
    /// Those who come through a socket in the file system.
    Unix,
    Net(IpNet),
}

impl Access {
    /// Whether a client is let in; one without an address came through a socket in the file system.
    pub fn admits(&self, client: Option<IpAddr>) -> bool {
        // Rules of v4 are for v4 in v6's form too; where there are none, those of v6 are.
        let is_v4 = |rule: &Rule| match rule.whom {
            Whom::Net(net) => net.addr().is_ipv4(),
            Whom::All => true,
            Whom::Unix => false,
        };
        let plain = |ip: &IpAddr| ip.to_canonical() == *ip || !self.rules.iter().any(is_v4);
        let client = client.map(|ip| if plain(&ip) { ip } else { ip.to_canonical() });
        let speaks_of = |rule: &&Rule| match (&rule.whom, client) {
            (Whom::All, _) | (Whom::Unix, None) => true,
            (Whom::Net(net), Some(ip)) => net.contains(&ip),
            (Whom::Unix, Some(_)) | (Whom::Net(_), None) => false,
        };
        self.rules.iter().find(speaks_of).is_none_or(|rule| rule.allows)
    }
}

impl Whom {
    /// The argument of the directive. Errors: in nginx's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid parameter \"{text}\"");
        Ok(match text {
            "all" => Self::All,
            "unix:" => Self::Unix,
            _ => Self::Net(network(text).ok_or_else(invalid)?),
        })
    }

    /// True when the address of a network has bits set beyond it, which mean nothing.
    pub fn has_low_bits(&self) -> bool {
        matches!(self, Self::Net(net) if net.addr() != net.network())
    }
}

/// An address, or a network with its bits: `10.0.0.0/8`.
pub fn network(text: &str) -> Option<IpNet> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address = match ipv4(address) {
        Some(address) => address.into(),
        None => address.parse::<IpAddr>().ok()?,
    };
    match bits {
        Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
            IpNet::new(address, bits.parse().ok()?).ok()
        }
        Some(_) => None,
        None => Some(address.into()),
    }
}

/// Four numbers between three dots, as nginx reads them everywhere: decimal, whatever zeros they
/// begin with, and 0 where none stands.
pub fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let digit = |number: u8, byte: u8| {
            let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
            number.checked_mul(10)?.checked_add(digit)
        };
        *octet = parts.next()?.bytes().try_fold(0, digit)?;
    }
    parts.next().is_none().then(|| octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_speaks_of_a_client_decides() {
        let rules = [
            (false, "192.0.2.7"),
            (true, "192.0.2.0/24"),
            (true, "2001:db8::/32"),
            (true, "unix:"),
            (false, "all"),
        ];
        let rule = |(allows, whom): (bool, &str)| Rule { allows, whom: Whom::parse(whom).unwrap() };
        let access = Access { rules: rules.into_iter().map(rule).collect() };
        for (client, admitted) in [
            ("192.0.2.7", false),
            ("192.0.2.8", true),
            ("::ffff:192.0.2.8", true),
            ("198.51.100.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("unix:", true),
        ] {
            assert_eq!(access.admits(client.parse().ok()), admitted, "{client}");
        }
        let mapped = "::ffff:192.0.2.8".parse().ok();
        assert!(!Access { rules: [rule((false, "::/0"))].into() }.admits(mapped));
        let alone = Access { rules: [rule((false, "unix:"))].into() };
        assert!(alone.admits("192.0.2.7".parse().ok()) && !alone.admits(None));
    }

    #[test]
    fn addresses_are_read_as_nginx_reads_them() {
        for (text, address) in [
            ("10.0.0.1", Some([10, 0, 0, 1])),
            ("010.0.0.01", Some([10, 0, 0, 1])),
            ("0000255.8.09.1", Some([255, 8, 9, 1])),
            ("10..0.", Some([10, 0, 0, 0])),
            ("...", Some([0; 4])),
            ("256.0.0.1", None),
            ("10.0.0", None),
            ("10.0.0.1.", None),
            (".10.0.0.1", None),
            ("+1.0.0.1", None),
            ("0x1.0.0.1", None),
            ("", None),
        ] {
            assert_eq!(ipv4(text), address.map(Ipv4Addr::from), "{text}");
        }
    }

    #[test]
    fn whom_is_read_as_nginx_reads_it() {
        assert_eq!(Whom::parse("010.0.0.0/08"), Whom::parse("10.0.0.0/8"));
        for text in ["10.0.0.0/+8", "10.0.0.0/", "10.0.0.0/8/8", "::/129", "1.2.3.4/33"] {
            assert!(Whom::parse(text).is_err(), "{text}");
        }
        for text in ["", "alle", "unix", "10.0.0.0/33", "10.0.0", "example.com", "10.0.0.1:80"] {
            assert_eq!(Whom::parse(text), Err(format!("invalid parameter \"{text}\"")));
        }
        assert!(Whom::parse("10.1.2.3/8").unwrap().has_low_bits());
        assert!(!Whom::parse("10.0.0.0/8").unwrap().has_low_bits());
    }
}
