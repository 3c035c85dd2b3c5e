//! `ssl_ciphers` and `ssl_ecdh_curve`: OpenSSL's lists, in terms of what rustls has.

use rustls::{CipherSuite, NamedGroup};

/// What a list comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen<T> {
    /// In the order of the list.
    pub(super) offered: Vec<T>,
    /// Words that ask for what can't be had.
    pub(super) missing: Vec<String>,
}

/// The suites of TLS 1.2 that a list in OpenSSL's language names; ciphers(1) describes it. Those of
/// TLS 1.3 are offered whatever it says, as in nginx.
pub(super) fn suites(list: &str) -> Chosen<CipherSuite> {
    let mut active: Vec<&Suite> = Vec::new();
    let mut killed: Vec<CipherSuite> = Vec::new();
    let mut missing = Vec::new();
    // A command may follow a word at once: `DEFAULT@SECLEVEL=1`.
    let list = list.replace('@', ":@");
    for word in list.split([':', ',', ' ', ';']).filter(|word| !word.is_empty()) {
        if let Some(command) = word.strip_prefix('@') {
            if command == "STRENGTH" {
                active.sort_by_key(|suite| suite.tags.contains(&"AES128"));
            }
            continue;
        }
        let (sign, name) = match word.as_bytes()[0] {
            sign @ (b'!' | b'-' | b'+') => (sign, &word[1..]),
            _ => (b'=', word),
        };
        let is_meant = |suite: &&Suite| name.split('+').all(|part| suite.is(part));
        match sign {
            b'!' => killed.extend(SUITES.iter().filter(is_meant).map(|suite| suite.id)),
            b'-' => active.retain(|suite| !is_meant(suite)),
            b'+' => active.sort_by_key(is_meant),
            _ => {
                let found: Vec<&Suite> = SUITES.iter().filter(is_meant).collect();
                if found.is_empty() && !name.starts_with("TLS_") {
                    missing.push(name.to_owned());
                }
                let is_new = |suite: &&Suite| !active.iter().any(|known| known.id == suite.id);
                let new: Vec<&Suite> = found.into_iter().filter(is_new).collect();
                active.extend(new);
            }
        }
    }
    active.retain(|suite| !killed.contains(&suite.id));
    Chosen { offered: active.into_iter().map(|suite| suite.id).collect(), missing }
}

/// The groups that a list names; `None` for `auto`.
pub(super) fn groups(list: &str) -> Option<Chosen<NamedGroup>> {
    if list == "auto" {
        return None;
    }
    let mut chosen = Chosen { offered: Vec::new(), missing: Vec::new() };
    for word in list.split([':', '/']).filter(|word| !word.is_empty()) {
        let name = word.trim_start_matches(['?', '*']);
        let known = GROUPS
            .iter()
            .find(|(names, _)| names.iter().any(|known| known.eq_ignore_ascii_case(name)));
        match known {
            Some((_, group)) if chosen.offered.contains(group) => {}
            Some((_, group)) => chosen.offered.push(*group),
            None => chosen.missing.push(name.to_owned()),
        }
    }
    Some(chosen)
}

/// A suite with the words of OpenSSL's language that mean it, among others.
struct Suite {
    name: &'static str,
    id: CipherSuite,
    tags: &'static [&'static str],
}

impl Suite {
    fn is(&self, word: &str) -> bool {
        const COMMON: &[&str] =
            &["ALL", "DEFAULT", "HIGH", "TLSv1.2", "ECDHE", "EECDH", "ECDH", "kECDHE", "kEECDH"];
        self.name == word
            || COMMON.contains(&word)
            || self.tags.contains(&word)
            || self.id.as_str() == Some(word)
    }
}

/// In OpenSSL's order.
const SUITES: &[Suite] = &[
    Suite {
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        id: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        tags: &["ECDSA", "aECDSA", "AES", "AESGCM", "AES256", "FIPS"],
    },
    Suite {
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        id: CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        tags: &["aRSA", "AES", "AESGCM", "AES256", "FIPS"],
    },
    Suite {
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        id: CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        tags: &["ECDSA", "aECDSA", "CHACHA20"],
    },
    Suite {
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        id: CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        tags: &["aRSA", "CHACHA20"],
    },
    Suite {
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        id: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        tags: &["ECDSA", "aECDSA", "AES", "AESGCM", "AES128", "FIPS"],
    },
    Suite {
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        id: CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        tags: &["aRSA", "AES", "AESGCM", "AES128", "FIPS"],
    },
];

const GROUPS: &[(&[&str], NamedGroup)] = &[
    (&["X25519"], NamedGroup::X25519),
    (&["prime256v1", "P-256", "secp256r1"], NamedGroup::secp256r1),
    (&["secp384r1", "P-384"], NamedGroup::secp384r1),
    (&["X25519MLKEM768"], NamedGroup::X25519MLKEM768),
    (&["SecP256r1MLKEM768"], NamedGroup::secp256r1MLKEM768),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of each suite's name, without what they share.
    fn offered(list: &str) -> Vec<&'static str> {
        let name = |id: &CipherSuite| SUITES.iter().find(|suite| suite.id == *id).unwrap().name;
        suites(list).offered.iter().map(|id| &name(id)[6..]).collect()
    }

    #[test]
    fn lists_in_openssls_language() {
        const ALL: [&str; 6] = [
            "ECDSA-AES256-GCM-SHA384",
            "RSA-AES256-GCM-SHA384",
            "ECDSA-CHACHA20-POLY1305",
            "RSA-CHACHA20-POLY1305",
            "ECDSA-AES128-GCM-SHA256",
            "RSA-AES128-GCM-SHA256",
        ];
        assert_eq!(offered("HIGH:!aNULL:!MD5"), ALL);
        assert_eq!(offered("ECDHE-RSA-AES128-GCM-SHA256"), ALL[5..]);
        assert_eq!(offered("EECDH+AESGCM:EDH+AESGCM"), [ALL[0], ALL[1], ALL[4], ALL[5]]);
        assert_eq!(offered("ALL:!aRSA:!CHACHA20"), [ALL[0], ALL[4]]);
        assert_eq!(offered("AES128:AES256+aRSA"), [ALL[4], ALL[5], ALL[1]]);
        assert_eq!(
            offered("ALL:+AESGCM:@SECLEVEL=2"),
            [ALL[2], ALL[3], ALL[0], ALL[1], ALL[4], ALL[5]]
        );
        assert_eq!(offered("AES128:CHACHA20:@STRENGTH"), [ALL[2], ALL[3], ALL[4], ALL[5]]);
        assert_eq!(offered("ECDH+AESGCM:DH+AESGCM:ECDH+AES256:!aNULL"), offered("AESGCM"));
        assert_eq!(offered("DEFAULT@SECLEVEL=1"), ALL);
        assert_eq!(offered("!AESGCM:ALL"), ALL[2..4], "what is killed never comes back");
        assert_eq!(offered("-AESGCM:ALL"), ALL, "what is taken out may come back");
        assert_eq!(offered("TLS_AES_128_GCM_SHA256:AES128-SHA:RSA"), [""; 0]);
    }

    #[test]
    fn what_cant_be_had_is_named() {
        let chosen =
            suites("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:!MD5:AES128-SHA");
        assert_eq!(chosen.missing, ["DHE-RSA-AES128-GCM-SHA256", "AES128-SHA"]);
        let chosen = groups("X25519:P-256:secp521r1:?x448").unwrap();
        assert_eq!(chosen.offered, [NamedGroup::X25519, NamedGroup::secp256r1]);
        assert_eq!(chosen.missing, ["secp521r1", "x448"]);
        assert_eq!(groups("auto"), None);
    }
}
