//! Which pair answers which name, for which client

use std::path::Path;
use std::sync::Arc;

use certstore::{CertSet, Source, Store};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256};
use rustls::SignatureScheme;

use crate::pki::{Authority, Pair, directory, put, source};

const EVERYTHING: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];
const RSA_ONLY: &[SignatureScheme] =
    &[SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PSS_SHA256];
const ED25519_ONLY: &[SignatureScheme] = &[SignatureScheme::ED25519];

struct Bench {
    dir: std::path::PathBuf,
    sources: Vec<Source>,
    pairs: Vec<Pair>,
    _temp: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let (temp, dir) = directory();
        Bench { dir, sources: Vec::new(), pairs: Vec::new(), _temp: temp }
    }

    fn add(&mut self, pair: Pair, names: &[&str]) -> &mut Source {
        let dir = self.dir.join(self.sources.len().to_string());
        std::fs::create_dir(&dir).unwrap();
        pair.write(&dir);
        self.pairs.push(pair);
        self.sources.push(source(&dir, names));
        self.sources.last_mut().unwrap()
    }

    fn set(&self) -> Arc<CertSet> {
        Store::open(self.sources.clone()).unwrap().0.current()
    }

    /// The number of the pair that answers.
    fn answer(&self, set: &CertSet, sni: Option<&str>, schemes: &[SignatureScheme]) -> usize {
        let served = set.select(sni, schemes).unwrap();
        self.pairs.iter().position(|pair| pair.is(&served)).unwrap()
    }
}

#[test]
fn exact_names_come_before_wildcards_and_wildcards_before_the_default() {
    let authority = Authority::new();
    let mut bench = Bench::new();
    bench.add(authority.issue(&["default.example"]), &[]);
    bench.add(authority.issue(&["*.apps.example"]), &[]);
    bench.add(authority.issue(&["one.apps.example", "192.0.2.1"]), &[]);
    let set = bench.set();
    let cases: &[(Option<&str>, usize)] = &[
        (Some("one.apps.example"), 2),
        (Some("ONE.Apps.Example"), 2),
        (Some("one.apps.example."), 2),
        (Some("two.apps.example"), 1),
        (Some("TWO.apps.example."), 1),
        // One label only: RFC 6125, 6.4.3.
        (Some("a.two.apps.example"), 0),
        (Some("apps.example"), 0),
        (Some(".apps.example"), 0),
        (Some("xapps.example"), 0),
        (Some("unknown.example"), 0),
        (Some(""), 0),
        (Some("."), 0),
        (None, 0),
    ];
    for (sni, expected) in cases {
        assert_eq!(bench.answer(&set, *sni, EVERYTHING), *expected, "{sni:?}");
    }
    let endless = "a".repeat(300) + ".apps.example";
    assert_eq!(bench.answer(&set, Some(&endless), EVERYTHING), 0);
}

#[test]
fn ecdsa_is_preferred_and_rsa_serves_the_old() {
    let authority = Authority::new();
    let names = &["a.example"];
    let mut bench = Bench::new();
    bench.add(authority.issue_with(names, &PKCS_RSA_SHA256, |_| {}), names);
    bench.add(authority.issue_with(names, &PKCS_ECDSA_P384_SHA384, |_| {}), names);
    bench.add(authority.issue_with(names, &PKCS_ECDSA_P256_SHA256, |_| {}), names);
    let set = bench.set();
    let p384_and_rsa =
        &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP384_SHA384][..];
    // The same for the name and for clients without one: the default has its twins.
    for sni in [Some("a.example"), None, Some("unknown.example")] {
        assert_eq!(bench.answer(&set, sni, EVERYTHING), 2);
        assert_eq!(bench.answer(&set, sni, p384_and_rsa), 1);
        assert_eq!(bench.answer(&set, sni, RSA_ONLY), 0);
        assert_eq!(bench.answer(&set, sni, ED25519_ONLY), 2);
    }
}

#[test]
fn the_configuration_comes_before_what_certificates_claim() {
    let authority = Authority::new();
    let mut bench = Bench::new();
    bench.add(authority.issue(&["a.example", "b.example"]), &["a.example"]);
    bench.add(authority.issue(&["a.example", "b.example"]), &["b.example"]);
    // Offers what pair 0 lacks, but the configuration did not give it the name.
    let rsa = authority.issue_with(&["a.example", "c.example"], &PKCS_RSA_SHA256, |_| {});
    bench.add(rsa, &["c.example"]);
    let set = bench.set();
    assert_eq!(bench.answer(&set, Some("a.example"), EVERYTHING), 0);
    assert_eq!(bench.answer(&set, Some("a.example"), RSA_ONLY), 0);
    assert_eq!(bench.answer(&set, Some("b.example"), EVERYTHING), 1);
    assert_eq!(bench.answer(&set, Some("c.example"), EVERYTHING), 2);
}

#[test]
fn the_first_source_wins_a_conflict() {
    let authority = Authority::new();
    let mut bench = Bench::new();
    bench.add(authority.issue(&["a.example"]), &["a.example"]);
    bench.add(authority.issue(&["a.example"]), &["a.example"]);
    assert_eq!(bench.answer(&bench.set(), Some("a.example"), EVERYTHING), 0);
}

#[test]
fn the_flagged_source_is_the_default() {
    let authority = Authority::new();
    let mut bench = Bench::new();
    bench.add(authority.issue(&["a.example"]), &[]);
    bench.add(authority.issue(&["b.example"]), &[]).default = true;
    assert_eq!(bench.answer(&bench.set(), None, EVERYTHING), 1);
    assert_eq!(bench.answer(&bench.set(), Some("a.example"), EVERYTHING), 0);
}

#[test]
fn configured_wildcards_and_spellings_are_understood() {
    let authority = Authority::new();
    let mut bench = Bench::new();
    bench.add(authority.issue(&["z.example"]), &[]);
    bench.add(authority.issue(&["*.b.example"]), &["*.B.example."]);
    assert_eq!(bench.answer(&bench.set(), Some("x.b.example"), EVERYTHING), 1);
}

#[test]
fn no_source_answers_nobody() {
    let (store, report) = Store::open(Vec::new()).unwrap();
    assert!(report.is_empty());
    assert!(store.current().select(Some("a.example"), EVERYTHING).is_none());
}

#[test]
fn a_common_name_serves_where_there_is_nothing_else() {
    let (_temp, dir) = directory();
    put(&dir.join("fullchain.pem"), include_str!("../data/ca-leaf.pem"));
    put(&dir.join("privkey.pem"), include_str!("../data/ca-leaf-key.pem"));
    let (store, _) = Store::open(vec![source(Path::new(&dir), &[])]).unwrap();
    assert_eq!(store.current().identities()[0].names(), ["self.example"]);
}

#[test]
fn a_group_answers_with_its_own_pairs_whatever_the_names() {
    let authority = Authority::new();
    let mut bench = Bench::new();
    for (kind, group) in [
        (&PKCS_ECDSA_P256_SHA256, "one"),
        (&PKCS_ECDSA_P256_SHA256, "two"),
        (&PKCS_RSA_SHA256, "two"),
    ] {
        let pair = authority.issue_with(&["same.example"], kind, |_| {});
        bench.add(pair, &["same.example"]).group = group.to_owned();
    }
    let set = bench.set();
    let of = |group: &str, schemes: &[SignatureScheme]| {
        let served = set.select_of(group, schemes)?;
        bench.pairs.iter().position(|pair| pair.is(&served))
    };
    assert_eq!((of("one", EVERYTHING), of("two", EVERYTHING)), (Some(0), Some(1)));
    assert_eq!(of("two", RSA_ONLY), Some(2), "by what the client can verify");
    assert_eq!(of("gone", EVERYTHING), None);
}
