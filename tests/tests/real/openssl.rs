//! What openssl s_client, the tool operators look with, sees: protocols, the chain, resumption, the
//! end.

use std::sync::RwLockReadGuard;

use sheen_tests::pki::Identity;
use sheen_tests::sheen::{NAME, Setup, Sheen};
use sheen_tests::upstream::Upstream;
use tempfile::TempDir;

use crate::authority;
use crate::parts::{self, Part, Ran};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";

/// A page behind sheen, for s_client to ask for.
struct Served {
    sheen: Sheen,
    identity: Identity,
    dir: TempDir,
    _app: Upstream,
    _turn: RwLockReadGuard<'static, ()>,
}

impl Served {
    /// `None` when openssl is missing and the environment allows it.
    fn start() -> Option<Self> {
        let turn = parts::beside_others(&[Part::Openssl])?;
        let app = Upstream::ok("the page");
        let dir = TempDir::new().unwrap();
        let identity = authority::issue(&[NAME]);
        let mut setup = Setup::to(&app);
        setup.sites[0].files = vec![identity.write(dir.path(), "site")];
        Some(Self { sheen: setup.start(), identity, dir, _app: app, _turn: turn })
    }

    /// One request by s_client, which checks the chain and the name and reads to the end.
    fn s_client(&self, arguments: &[&str]) -> Ran {
        let root = authority::write_root(self.dir.path());
        let address = self.sheen.https().to_string();
        let usual = [
            "s_client",
            "-connect",
            &address,
            "-servername",
            NAME,
            "-CAfile",
            &root,
            "-verify_hostname",
            NAME,
            "-verify_return_error",
            "-ign_eof",
        ];
        parts::run(30, "openssl", &[&usual[..], arguments].concat(), REQUEST)
    }
}

/// Asserts an exchange without a flaw: the answer, a good chain, an end by close_notify.
fn goes_well(said: &Ran) {
    let text = said.good();
    assert!(text.contains("HTTP/1.1 200 OK\r\n") && text.contains("the page"), "{text}");
    assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    assert!(!said.err.contains("unexpected eof"), "{}", said.err);
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let Some(served) = Served::start() else { return };
    for (option, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = served.s_client(&[option]);
        goes_well(&said);
        assert!(said.text().contains(&format!("New, {name}, Cipher is")), "{}", said.text());
    }
    for option in ["-tls1_1", "-tls1"] {
        // At level 0 openssl itself is willing.
        let said = served.s_client(&[option, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(!said.status.success());
        assert!(said.text().contains("New, (NONE), Cipher is (NONE)"), "{}", said.text());
        // The refusal is sheen's, in words of TLS.
        assert!(said.err.contains("SSL alert number"), "{}", said.err);
    }
    goes_well(&served.s_client(&[]));
}

#[test]
fn only_ciphers_with_forward_secrecy_are_taken() {
    let Some(served) = Served::start() else { return };
    for ciphers in
        ["kRSA:@SECLEVEL=0", "DHE:@SECLEVEL=0", "ECDHE+AES+SHA:@SECLEVEL=0", "aNULL:@SECLEVEL=0"]
    {
        let said = served.s_client(&["-tls1_2", "-cipher", ciphers]);
        assert!(said.err.contains("SSL alert number 40"), "{ciphers}: {}", said.err);
    }
    goes_well(&served.s_client(&["-tls1_2", "-cipher", "ECDHE+AESGCM"]));
    goes_well(&served.s_client(&["-tls1_2", "-cipher", "ECDHE+CHACHA20"]));
}

#[test]
fn the_chain_is_the_leaf_and_its_intermediate() {
    let Some(served) = Served::start() else { return };
    let said = served.s_client(&["-showcerts"]);
    goes_well(&said);
    let text = said.text();
    let chain: Vec<&str> = text.lines().filter(|line| is_link(line)).map(str::trim).collect();
    let expected = ["0 s:CN = app.test", "i:CN = sheen test intermediate"];
    assert_eq!(chain[..2], expected, "{text}");
    assert_eq!(chain[2..], ["1 s:CN = sheen test intermediate", "i:CN = sheen test root"]);
    let shown: String = text
        .split_inclusive("-----END CERTIFICATE-----\n")
        .filter_map(|part| part.find("-----BEGIN CERTIFICATE-----").map(|at| &part[at..]))
        .collect();
    assert!(shown.starts_with(&served.identity.chain_pem), "the file's certificates, in its order");
}

/// Whether a line is of the list "Certificate chain": a subject or an issuer.
fn is_link(line: &str) -> bool {
    line.starts_with(" 0 s:") || line.starts_with(" 1 s:") || line.starts_with("   i:")
}

#[test]
fn a_session_is_resumed() {
    let Some(served) = Served::start() else { return };
    for (option, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let path = served.dir.path().join(name);
        let path = path.to_str().unwrap();
        goes_well(&served.s_client(&[option, "-sess_out", path]));
        let said = served.s_client(&[option, "-sess_in", path]);
        goes_well(&said);
        assert!(said.text().contains(&format!("Reused, {name}, Cipher is")), "{}", said.text());
    }
}
