//! TLS as browsers speak it: versions, groups, ALPN, names, key kinds, resumption.

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, NamedGroup, ProtocolVersion, SignatureScheme};
use sheen_tests::client::{Client, End, Offer};
use sheen_tests::pki::{self, Identity, KeyKind};
use sheen_tests::sheen::{NAME, Setup, Sheen, Site};
use sheen_tests::upstream::Upstream;

fn serving() -> (Upstream, Sheen) {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    (app, sheen)
}

fn connect(sheen: &Sheen, config: &Arc<ClientConfig>) -> Result<Client, End> {
    Client::tls_with(sheen.https(), NAME, config)
}

#[test]
fn versions_1_2_and_1_3_are_spoken() {
    let (_app, sheen) = serving();
    for (version, expected) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let config = Offer { versions: vec![version], ..Offer::default() }.config();
        let mut client = connect(&sheen, &config).unwrap();
        assert_eq!(client.session().protocol_version(), Some(expected));
        assert_eq!(client.get(NAME, "/").text(), "ok");
    }
    let mut client = sheen.client();
    assert_eq!(client.session().protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[test]
fn protocols_can_be_narrowed() {
    let app = Upstream::ok("ok");
    for (word, right, wrong) in [("1.2", &TLS12, &TLS13), ("1.3", &TLS13, &TLS12)] {
        let mut setup = Setup::to(&app);
        setup.tls = format!("protocols = [{word:?}]");
        let sheen = setup.start();
        let config = |version| Offer { versions: vec![version], ..Offer::default() }.config();
        assert!(connect(&sheen, &config(right)).is_ok());
        let end = connect(&sheen, &config(wrong)).err();
        assert!(matches!(end, Some(End::Tls(_))), "{end:?}");
    }
}

#[test]
fn older_versions_are_refused_with_an_alert() {
    let (_app, sheen) = serving();
    for minor in [0, 1, 2] {
        let mut client = Client::plain(sheen.https());
        client.send_raw(&old_hello(minor));
        let answer = client.receive_raw();
        // fatal protocol_version
        assert_eq!((answer[0], &answer[5..]), (0x15, &[2, 70][..]), "3.{minor}: {answer:?}");
    }
}

/// A ClientHello of SSL 3.0 (0), TLS 1.0 (1) or 1.1 (2).
fn old_hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 6, 0xc0, 0x09, 0xc0, 0x13, 0x00, 0x2f]);
    body.extend([1, 0]);
    // supported_groups, ec_point_formats, signature_algorithms
    let extensions =
        [&[0, 10, 0, 4, 0, 2, 0, 23][..], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 4, 0, 2, 4, 3]]
            .concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut hello = vec![1, 0];
    hello.extend((body.len() as u16).to_be_bytes());
    hello.extend(body);
    let mut record = vec![0x16, 3, 1];
    record.extend((hello.len() as u16).to_be_bytes());
    record.extend(hello);
    record
}

#[test]
fn the_hybrid_group_is_chosen_when_offered() {
    let (_app, sheen) = serving();
    let mut client = sheen.client();
    let group = client.session().negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
}

#[test]
fn classic_groups_are_spoken_too() {
    let (_app, sheen) = serving();
    for name in [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1] {
        let mut offer = Offer::default();
        offer.groups.retain(|group| group.name() == name);
        let mut client = connect(&sheen, &offer.config()).unwrap();
        let group = client.session().negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, name);
    }
}

#[test]
fn alpn_chooses_http_1_1_and_refuses_what_is_not_spoken() {
    let (_app, sheen) = serving();
    for (alpn, expected) in [
        (vec!["h2", "http/1.1"], Some("http/1.1")),
        (vec!["http/1.1"], Some("http/1.1")),
        (vec![], None),
    ] {
        let mut client = connect(&sheen, &Offer { alpn, ..Offer::default() }.config()).unwrap();
        let chosen = client.session().alpn_protocol().map(String::from_utf8_lossy);
        assert_eq!(chosen.as_deref(), expected);
        assert_eq!(client.get(NAME, "/").text(), "ok");
    }
    let end = connect(&sheen, &Offer { alpn: vec!["h2"], ..Offer::default() }.config()).err();
    let Some(End::Tls(words)) = end else { panic!("{end:?}") };
    assert!(words.contains("NoApplicationProtocol"), "{words}");
}

/// Sites with an identity each, and those identities.
fn named_sites(
    app: &Upstream,
    names: &[&'static str],
) -> (tempfile::TempDir, Vec<Identity>, Sheen) {
    let dir = tempfile::TempDir::new().unwrap();
    let mut setup = Setup::to(app);
    setup.sites.clear();
    let mut identities = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let identity = pki::issue(&[name], KeyKind::Ecdsa);
        let mut site = Site::new(&[name], app.address());
        site.files.push(identity.write(dir.path(), &index.to_string()));
        setup.sites.push(site);
        identities.push(identity);
    }
    (dir, identities, setup.start())
}

#[test]
fn a_name_gets_its_certificate_exact_before_wildcard_before_the_first() {
    let app = Upstream::ok("ok");
    let (_dir, identities, sheen) =
        named_sites(&app, &["first.test", "*.wild.test", "exact.wild.test", "last.test"]);
    let trusting = Offer { trusting: true, ..Offer::default() }.config();
    let shown = |name: &str| {
        let mut client = Client::tls_with(sheen.https(), name, &trusting).unwrap();
        let der = client.certificate();
        identities.iter().position(|identity| identity.der == der)
    };
    for (name, expected) in [
        ("first.test", 0),
        ("FIRST.test", 0),
        ("a.wild.test", 1),
        ("exact.wild.test", 2),
        ("last.test", 3),
        ("unknown.test", 0),
        ("wild.test", 0),
        ("a.b.wild.test", 0),
    ] {
        assert_eq!(shown(name), Some(expected), "{name}");
    }
    let silent = Offer { sni: false, trusting: true, ..Offer::default() }.config();
    let mut client = Client::tls_with(sheen.https(), "last.test", &silent).unwrap();
    assert_eq!(client.certificate(), identities[0].der);
}

#[test]
fn one_name_may_have_an_rsa_and_an_ecdsa_certificate() {
    let app = Upstream::ok("ok");
    let dir = tempfile::TempDir::new().unwrap();
    let rsa = pki::issue(&[NAME], KeyKind::Rsa);
    let ecdsa = pki::issue(&[NAME], KeyKind::Ecdsa);
    let mut setup = Setup::to(&app);
    setup.sites[0].files = vec![rsa.write(dir.path(), "rsa"), ecdsa.write(dir.path(), "ecdsa")];
    let sheen = setup.start();
    assert_eq!(sheen.client().certificate(), ecdsa.der);
    for version in [&TLS12, &TLS13] {
        let with = |schemes: Vec<SignatureScheme>| {
            let offer =
                Offer { versions: vec![version], schemes, trusting: true, ..Offer::default() };
            let mut client = connect(&sheen, &offer.config()).unwrap();
            assert_eq!(client.get(NAME, "/").text(), "ok");
            client.certificate()
        };
        assert_eq!(with(vec![SignatureScheme::ECDSA_NISTP256_SHA256]), ecdsa.der);
        assert_eq!(
            with(vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256]),
            rsa.der
        );
    }
}

#[test]
fn sessions_are_resumed_by_every_worker() {
    let app = Upstream::ok("ok");
    let sheen = Setup { workers: 2, ..Setup::to(&app) }.start();
    for version in [&TLS12, &TLS13] {
        let config =
            Offer { versions: vec![version], resumption: true, ..Offer::default() }.config();
        let mut first = connect(&sheen, &config).unwrap();
        assert!(!first.is_resumed());
        assert_eq!(first.get(NAME, "/").text(), "ok");
        // Enough connections to meet both workers.
        for turn in 0..16 {
            let mut client = connect(&sheen, &config).unwrap();
            assert_eq!(client.get(NAME, "/").text(), "ok");
            assert!(client.is_resumed(), "{version:?}, turn {turn}");
        }
    }
}

#[test]
fn a_session_is_resumed_after_a_reload() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    let config = Offer { resumption: true, ..Offer::default() }.config();
    assert_eq!(connect(&sheen, &config).unwrap().get(NAME, "/").text(), "ok");
    assert_eq!(sheen.hup(), sheen_tests::sheen::Reload::Done);
    let mut client = connect(&sheen, &config).unwrap();
    assert_eq!(client.get(NAME, "/").text(), "ok");
    assert!(client.is_resumed());
}

#[test]
fn a_resumed_session_is_no_way_into_another_site() {
    let app = Upstream::mirror();
    let (_dir, identities, sheen) = named_sites(&app, &["first.test", "other.test"]);
    let config = Offer { resumption: true, ..Offer::default() }.config();
    let mut client = Client::tls_with(sheen.https(), "first.test", &config).unwrap();
    assert_eq!(client.get("first.test", "/").status(), 200);
    let mut client = Client::tls_with(sheen.https(), "other.test", &config).unwrap();
    assert_eq!(client.certificate(), identities[1].der);
    assert_eq!(client.get("first.test", "/").status(), 421);
}

#[test]
fn new_keys_may_be_announced_at_any_time() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    for turn in 0..20 {
        client.refresh_keys();
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\n\r\nabc");
        client.refresh_keys();
        client.send("def");
        assert_eq!(client.answer("POST").text(), "abcdef", "turn {turn}");
    }
}

#[test]
fn the_session_ends_with_close_notify_when_the_client_says_it() {
    let (_app, sheen) = serving();
    let mut client = sheen.client();
    assert_eq!(client.get(NAME, "/").text(), "ok");
    client.close_notify();
    client.closes();
}
