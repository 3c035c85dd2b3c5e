//! Pairs that are served and will hurt: the exact words

use std::fs;
use std::os::unix::fs::PermissionsExt;

use certstore::Store;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd};

use crate::pki::{Authority, NONE, directory, lines, put, source};

/// Loads one pair and expects these warnings, all of them, in these words.
fn check(case: &str, cert: &str, key: &str, names: &[&str], expected: &[&str]) {
    let (_temp, dir) = directory();
    put(&dir.join("fullchain.pem"), cert);
    put(&dir.join("privkey.pem"), key);
    let (_, report) = Store::open(vec![source(&dir, names)]).unwrap();
    assert_eq!(lines(&report.warnings, &dir), expected, "{case}");
}

#[test]
fn a_good_pair_has_none() {
    let pair = Authority::new().issue(&["a.example", "*.b.example", "192.0.2.1"]);
    let names = ["a.example", "x.b.example", "*.b.example", "192.0.2.1"];
    check("good", &pair.fullchain(), &pair.key, &names, &[]);
}

#[test]
fn names_that_are_not_covered_are_listed() {
    let pair = Authority::new().issue(&["a.example", "*.b.example"]);
    check(
        "names",
        &pair.fullchain(),
        &pair.key,
        &["a.example", "b.example", "x.y.b.example", "*.a.example"],
        &["DIR/fullchain.pem: the certificate does not cover b.example, x.y.b.example, \
           *.a.example; hint: it is for a.example, *.b.example"],
    );
    let pair = Authority::new().issue(&[]);
    check(
        "no names at all",
        &pair.fullchain(),
        &pair.key,
        &["a.example"],
        &[
            "DIR/fullchain.pem: the certificate has no subject alternative names; hint: browsers \
             ignore the common name; have it issued with subjectAltName",
            "DIR/fullchain.pem: the certificate does not cover a.example; hint: it names no \
             server at all",
        ],
    );
}

#[test]
fn chains_that_trouble_clients_are_explained() {
    let authority = Authority::new();
    let pair = authority.issue(&["a.example"]);
    check(
        "no intermediate",
        &pair.leaf(),
        &pair.key,
        NONE,
        &["DIR/fullchain.pem: the chain lacks the issuer's certificate (CN=Test Intermediate); \
           hint: many clients fail without it; use fullchain.pem rather than cert.pem"],
    );
    check(
        "with the root",
        &(pair.fullchain() + &authority.root.pem()),
        &pair.key,
        NONE,
        &["DIR/fullchain.pem: the chain includes the self-signed root; hint: leave it out: \
           clients ignore it, and it costs bytes in every handshake"],
    );
    check(
        "issuers in the wrong order",
        &(pair.leaf() + &authority.root.pem() + &authority.intermediate.pem()),
        &pair.key,
        NONE,
        &[
            "DIR/fullchain.pem: certificate 2 is not the issuer of certificate 1; hint: each \
             certificate should be followed by its issuer; some clients insist",
            "DIR/fullchain.pem: certificate 3 is not the issuer of certificate 2; hint: each \
             certificate should be followed by its issuer; some clients insist",
        ],
    );
}

#[test]
fn validity_is_compared_with_today() {
    let authority = Authority::new();
    let with = |change: fn(&mut CertificateParams)| {
        authority.issue_with(&["a.example"], &PKCS_ECDSA_P256_SHA256, change)
    };
    let expired = with(|params| params.not_after = date_time_ymd(2020, 2, 29));
    check(
        "expired",
        &expired.fullchain(),
        &expired.key,
        NONE,
        &["DIR/fullchain.pem: the certificate expired on 2020-02-29; hint: renew it; browsers \
           show an error page until then"],
    );
    let early = with(|params| params.not_before = date_time_ymd(4000, 1, 1));
    check(
        "early",
        &early.fullchain(),
        &early.key,
        NONE,
        &["DIR/fullchain.pem: the certificate is not valid before 4000-01-01; hint: is the clock \
           of this machine right?"],
    );
}

#[test]
fn certificates_for_other_purposes_are_named() {
    let authority = Authority::new();
    let client = authority.issue_with(&["a.example"], &PKCS_ECDSA_P256_SHA256, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    check(
        "client certificate",
        &client.fullchain(),
        &client.key,
        NONE,
        &["DIR/fullchain.pem: the certificate is not made for servers; hint: its extended key \
           usage lacks serverAuth, so clients refuse it"],
    );
    check(
        "what openssl req -x509 makes",
        include_str!("../data/ca-leaf.pem"),
        include_str!("../data/ca-leaf-key.pem"),
        NONE,
        &[
            "DIR/fullchain.pem: the certificate has no subject alternative names; hint: browsers \
             ignore the common name; have it issued with subjectAltName",
            "DIR/fullchain.pem: the certificate is one of an authority (CA:TRUE); hint: some \
             clients refuse it for a server; issue one with CA:FALSE",
        ],
    );
    check(
        "sha-1",
        include_str!("../data/sha1.pem"),
        include_str!("../data/sha1-key.pem"),
        NONE,
        &[
            "DIR/fullchain.pem: the chain lacks the issuer's certificate (CN=Old CA); hint: many \
             clients fail without it; use fullchain.pem rather than cert.pem",
            "DIR/fullchain.pem: certificate 1 is signed with SHA-1; hint: browsers refuse it; \
             have it issued with SHA-256",
        ],
    );
}

#[test]
fn a_key_open_to_everybody_is_told_with_its_mode() {
    let (_temp, dir) = directory();
    let source = Authority::new().issue(&["a.example"]).write(&dir);
    let warnings = |mode: u32| {
        fs::set_permissions(&source.key, fs::Permissions::from_mode(mode)).unwrap();
        let (_, report) = Store::open(vec![source.clone()]).unwrap();
        lines(&report.warnings, &dir)
    };
    // Readable by a group such as ssl-cert is how Debian means it.
    assert_eq!(warnings(0o640), [""; 0]);
    assert_eq!(
        warnings(0o644),
        ["DIR/privkey.pem: the key is open to everybody (mode 0644); hint: chmod o= \
          DIR/privkey.pem"]
    );
}
