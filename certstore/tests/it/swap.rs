//! Reloads: what is published, what is kept, and that nobody sees a half

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use certstore::{Resolver, Store};
use rustls::SignatureScheme;

use crate::pki::{Authority, directory, lines, put, source};

const READING_MAX: Duration = Duration::from_secs(60);
const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];

#[test]
fn unchanged_files_say_nothing() {
    let (_temp, dir) = directory();
    let pair = Authority::new().issue(&["a.example"]);
    let source = pair.write(&dir);
    // Without its issuer, so there is a warning that could be repeated.
    put(&source.cert, pair.leaf());
    let (store, report) = Store::open(vec![source]).unwrap();
    assert_eq!(report.warnings.len(), 1);
    let before = store.current();
    assert!(store.reload().is_empty());
    assert!(Arc::ptr_eq(&before, &store.current()), "nothing is published for nothing");
}

#[test]
fn a_renewal_is_told_with_the_serial_before() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let old = authority.issue(&["a.example"]);
    let (store, _) = Store::open(vec![old.write(&dir)]).unwrap();
    let serial = store.current().identities()[0].serial_hex().to_owned();
    let new = authority.issue(&["a.example"]);
    new.write(&dir);
    let report = store.reload();
    assert_eq!(report.changed.len(), 1);
    let line = report.changed[0].to_string();
    assert!(line.ends_with(&format!(" (was serial {serial})")), "{line}");
    assert!(new.is(&store.current().select(None, ECDSA).unwrap()));
}

#[test]
fn a_new_chain_for_the_same_certificate_is_told_as_such() {
    let (_temp, dir) = directory();
    let pair = Authority::new().issue(&["a.example"]);
    let (store, _) = Store::open(vec![pair.write(&dir)]).unwrap();
    put(&dir.join("fullchain.pem"), pair.leaf());
    let line = store.reload().changed[0].to_string();
    assert!(line.ends_with(" (same certificate, new chain)"), "{line}");
    // White space is no news.
    put(&dir.join("fullchain.pem"), pair.leaf() + "\n");
    assert!(store.reload().changed.is_empty());
}

#[test]
fn a_bad_source_keeps_its_last_good_and_does_not_hold_up_others() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let dirs = [dir.join("a"), dir.join("b")];
    dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    let old = authority.issue(&["a.example"]);
    let sources = vec![old.write(&dirs[0]), authority.issue(&["b.example"]).write(&dirs[1])];
    let (store, _) = Store::open(sources).unwrap();
    // Only the chain of a is renewed; b is renewed whole.
    put(&dirs[0].join("fullchain.pem"), authority.issue(&["a.example"]).fullchain());
    let new = authority.issue(&["b.example"]);
    new.write(&dirs[1]);
    let report = store.reload();
    assert_eq!(report.changed.len(), 1);
    assert_eq!(
        lines(&report.kept, &dir),
        ["DIR/a/fullchain.pem: the certificate does not belong to the key in DIR/a/privkey.pem; \
          hint: was only one of the two renewed, or is it the key of another certificate?"]
    );
    assert!(old.is(&store.current().select(Some("a.example"), ECDSA).unwrap()));
    assert!(new.is(&store.current().select(Some("b.example"), ECDSA).unwrap()));
}

#[test]
fn new_sources_are_taken_over_whole_or_not_at_all() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let dirs = [dir.join("a"), dir.join("b")];
    dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    let (a, b) = (authority.issue(&["a.example"]), authority.issue(&["b.example"]));
    let first = a.write(&dirs[0]);
    let second = b.write(&dirs[1]);
    let (store, _) = Store::open(vec![first.clone()]).unwrap();
    let before = store.current();

    let missing = source(&dir.join("none"), &[]);
    let problems = store.replace_sources(vec![second.clone(), missing]).unwrap_err();
    assert_eq!(
        lines(&problems, &dir),
        ["DIR/none/fullchain.pem: no such file", "DIR/none/privkey.pem: no such file"]
    );
    assert!(Arc::ptr_eq(&before, &store.current()));

    let report = store.replace_sources(vec![second]).unwrap();
    let told: Vec<String> = report.changed.iter().map(|change| change.to_string()).collect();
    assert!(told[0].starts_with("certificate for b.example: serial "), "{told:?}");
    assert!(told[1].starts_with("certificate for a.example: no longer served"), "{told:?}");
    assert!(b.is(&store.current().select(Some("a.example"), ECDSA).unwrap()));
}

#[test]
fn what_pairs_have_in_common_is_told_once_and_many_names_are_cut() {
    let (_temp, dir) = directory();
    let names = ["a.x", "b.x", "c.x", "d.x", "e.x", "f.x"];
    let pair = Authority::new().issue(&names);
    pair.write(&dir);
    put(&dir.join("fullchain.pem"), pair.leaf());
    let sources = vec![source(&dir, &names[..1]), source(&dir, &names[1..])];
    let (store, report) = Store::open(sources).unwrap();
    assert_eq!(report.warnings.len(), 1);
    let told: Vec<String> = report.changed.iter().map(|change| change.to_string()).collect();
    assert!(told[0].starts_with("certificate for a.x: serial "), "{told:?}");
    let many = "certificate for b.x, c.x, d.x, e.x and 1 more: serial ";
    assert!(told[1].starts_with(many), "{told:?}");
    put(&dir.join("fullchain.pem"), "");
    assert_eq!(store.reload().kept.len(), 1);
}

#[test]
fn eight_readers_never_see_a_mixed_pair() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let pairs = [authority.issue(&["a.example"]), authority.issue(&["a.example"])];
    let (store, _) = Store::open(vec![pairs[0].write(&dir)]).unwrap();
    let done = AtomicBool::new(false);
    let seen = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // Bounded, so that a failure of the writer ends the test.
                let start = Instant::now();
                while !done.load(Ordering::Relaxed) && start.elapsed() < READING_MAX {
                    let served = store.current().select(Some("a.example"), ECDSA).unwrap();
                    served.keys_match().unwrap();
                    assert!(pairs.iter().any(|pair| pair.is(&served)));
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..50 {
            // One file, then the other: half of the reloads find a pair that does not fit.
            let pair = &pairs[round % 2];
            put(&dir.join("privkey.pem"), &pair.key);
            assert_eq!(store.reload().kept.len(), 1);
            put(&dir.join("fullchain.pem"), pair.fullchain());
            assert_eq!(store.reload().changed.len(), 1);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(seen.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_handshake_is_answered_through_rustls() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let pair = authority.issue(&["a.example"]);
    let (store, _) = Store::open(vec![pair.write(&dir)]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver(Arc::clone(&store))));
    server.ticketer = certstore::tickets::ticketer();
    let server = Arc::new(server);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.root.der().clone()).unwrap();
    let client = Arc::new(
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    );
    assert_eq!(handshake(&client, &server), (pair.der().to_vec(), false));
    // A renewal leaves sessions alone: the client resumes, and keeps what it was shown.
    authority.issue(&["a.example"]).write(&dir);
    assert_eq!(store.reload().changed.len(), 1);
    assert_eq!(handshake(&client, &server), (pair.der().to_vec(), true));
}

/// What certificate the client was shown, and whether it resumed.
fn handshake(
    client: &Arc<rustls::ClientConfig>,
    server: &Arc<rustls::ServerConfig>,
) -> (Vec<u8>, bool) {
    let name = "a.example".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = rustls::ServerConnection::new(Arc::clone(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        server.read_tls(&mut &flight[..]).unwrap();
        server.process_new_packets().unwrap();
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        client.read_tls(&mut &flight[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    let resumed = client.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    (client.peer_certificates().unwrap()[0].to_vec(), resumed)
}
