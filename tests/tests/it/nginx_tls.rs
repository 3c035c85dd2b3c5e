//! What nginx.conf says of TLS: certificates by address and server, refused names, what is offered.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, ClientConfig, NamedGroup, ProtocolVersion};
use sheen_tests::client::{Client, End, Offer};
use sheen_tests::nginx::{self, Nginx};
use sheen_tests::nginx_conf::{Running, write};
use sheen_tests::pki::{self, KeyKind};
use sheen_tests::sheen::{NAME, Reload, run};
use sheen_tests::wait;
use tempfile::TempDir;

/// A running sheen with further certificates, each for one name: `ROOT/NAME.crt`.
fn start(http: &str, names: &[&str]) -> Running {
    Running::prepared(http, &[NAME], &[], |dir| {
        for name in names {
            pki::issue(&[name], KeyKind::Ecdsa).write(dir, name);
        }
    })
}

/// An offer that takes any certificate.
fn trusting() -> Offer {
    Offer { trusting: true, ..Offer::default() }
}

fn connect(
    running: &Running,
    plain_port: bool,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<Client, End> {
    let address = if plain_port { running.http } else { running.https };
    Client::tls_with(address, name, config)
}

/// The name of a certificate made for one.
fn named(client: &mut Client) -> String {
    let der = client.certificate();
    let text = String::from_utf8_lossy(&der).into_owned();
    let known = ["one.test", "two.test", "three.test", NAME];
    known.into_iter().find(|name| text.contains(name)).unwrap_or("?").to_owned()
}

#[test]
fn the_same_name_has_a_certificate_for_each_address() {
    let server = |listen: &str, names: &str, cert: &str| {
        format!(
            "server {{ listen 127.0.0.1:{listen} ssl; server_name {names}; return 200 x; \
             ssl_certificate ROOT/{cert}.crt; ssl_certificate_key ROOT/{cert}.key; }}"
        )
    };
    let http = server("HTTP_PORT", "a.test", "one.test")
        + &server("HTTP_PORT", "b.test", "two.test")
        + &server("HTTPS", "b.test", "three.test")
        + &server("HTTPS", "~^a[.]", "one.test")
        + "server { listen 127.0.0.1:HTTPS ssl; server_name bare.test; return 200 bare; }";
    let running = start(&http, &["one.test", "two.test", "three.test"]);
    let config = trusting().config();
    let without = Offer { sni: false, ..trusting() }.config();
    let seen = |running: &Running| {
        let mut seen = Vec::new();
        for name in ["a.test", "b.test", "c.test", "bare.test", ""] {
            let config = if name.is_empty() { &without } else { &config };
            let name = if name.is_empty() { "c.test" } else { name };
            let of = |plain| named(&mut connect(running, plain, name, config).unwrap());
            seen.push((of(true), of(false)));
        }
        seen
    };
    let expected = [
        ("one.test", "one.test"),
        ("two.test", "three.test"),
        // What nobody has goes to the first server of the address.
        ("one.test", "three.test"),
        ("one.test", "three.test"),
        ("one.test", "three.test"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(one, two)| ((*one).to_owned(), (*two).to_owned())).collect();
    assert_eq!(seen(&running), expected);
    // The other way round, by a reload.
    let path = running.sheen.dir.path().join("nginx.conf");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("two.test", "one.test")).unwrap();
    running.sheen.hup();
    assert_eq!(named(&mut connect(&running, true, "b.test", &config).unwrap()), "one.test");
    assert_eq!(named(&mut connect(&running, false, "b.test", &config).unwrap()), "three.test");
}

/// The last two bytes of an alert in the clear: how bad, and what. `!` at the end of a name stands for
/// a dot, which the client would leave out.
fn alert(port: u16, name: &str) -> Option<[u8; 2]> {
    let mut client = Client::plain(([127, 0, 0, 1], port).into());
    client.start_tls(&name.replace('!', "z"), &trusting().config());
    let mut hello = client.first_flight();
    if let Some(bare) = name.strip_suffix('!') {
        let sent = format!("{bare}z").into_bytes();
        let at = hello.windows(sent.len()).position(|bytes| bytes == sent).unwrap();
        hello[at + bare.len()] = b'.';
    }
    client.send_raw(&hello);
    let answer = client.receive_raw();
    matches!(answer[..], [21, 3, _, 0, 2, _, _]).then(|| [answer[5], answer[6]])
}

#[test]
fn a_handshake_for_a_refused_name_gets_nginxs_alert() {
    let http = "server { listen 127.0.0.1:PORT ssl default_server; ssl_reject_handshake on; }
        server { listen 127.0.0.1:PORT ssl; server_name app.test;
            ssl_certificate ROOT/site.crt; ssl_certificate_key ROOT/site.key; return 200 x; }
        server { listen 127.0.0.1:PORT ssl; server_name no.app.test;
            ssl_reject_handshake on; }";
    let dir = TempDir::new().unwrap();
    let (cert, key) = pki::issue(&[NAME], KeyKind::Ecdsa).write(dir.path(), "site");
    let (cert, key) = (fs::read_to_string(cert).unwrap(), fs::read_to_string(key).unwrap());
    let running = Running::start(&http.replace(":PORT", ":HTTPS"), &[NAME]);
    running.sheen.allow_log("handshake rejected: its server name is not served");
    let real = nginx::is_installed()
        .then(|| Nginx::start(http, &[("site.crt", &cert), ("site.key", &key)]));
    for name in [NAME, "app.test!", "other.test", "no.app.test", "no.app.test!"] {
        let ours = alert(running.https.port(), name);
        assert_eq!(ours.is_some(), !name.starts_with(NAME), "{name}");
        assert!(ours.is_none_or(|alert| alert == [2, 112]), "{name}: unrecognized_name");
        if let Some(real) = &real {
            assert_eq!(ours, alert(real.port, name), "{name}");
        }
    }
    assert_eq!(running.get_tls(NAME, "/").text(), "x");
}

#[test]
fn an_address_offers_what_its_default_server_says() {
    let server = |listen: &str, name: &str, lines: &str| {
        format!(
            "server {{ listen 127.0.0.1:{listen} ssl; server_name {name}; {lines} return 200 x; }}"
        )
    };
    let http = "ssl_certificate ROOT/site.crt; ssl_certificate_key ROOT/site.key;".to_owned()
        + &server(
            "HTTP_PORT",
            NAME,
            "ssl_protocols TLSv1.2; \
            ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:AES128-SHA; \
            ssl_prefer_server_ciphers on; ssl_ecdh_curve secp384r1;",
        )
        + &server("HTTP_PORT", "other.test", "ssl_protocols TLSv1.3;")
        + &server("HTTPS", NAME, "ssl_protocols TLSv1.3; ssl_session_tickets off;");
    let running = start(&http, &[]);
    running.sheen.log().wait_for("not offered: AES128-SHA");
    running.sheen.log().wait_for("the protocols of an address are those of its default server");
    running.sheen.log().wait_for("\"ssl_session_tickets off\": no session is resumed");
    let config = trusting().config();
    for name in [NAME, "other.test"] {
        let mut client = connect(&running, true, name, &config).unwrap();
        let session = client.session();
        assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_2), "{name}");
        assert_eq!(
            session.negotiated_cipher_suite().unwrap().suite(),
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        );
        let group = session.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::secp384r1);
    }
    let mut client = connect(&running, false, NAME, &config).unwrap();
    assert_eq!(client.session().protocol_version(), Some(ProtocolVersion::TLSv1_3));
    running.sheen.allow_log("TLS with client failed");
    let old = Offer { versions: vec![&rustls::version::TLS12], ..trusting() }.config();
    assert!(connect(&running, false, NAME, &old).is_err(), "no TLS 1.2 there");
}

#[test]
fn sessions_are_resumed_as_far_as_tickets_are_given() {
    let http = "ssl_certificate ROOT/site.crt; ssl_certificate_key ROOT/site.key;
        server { listen 127.0.0.1:HTTP_PORT ssl; ssl_session_timeout 1d; return 200 x; }
        server { listen 127.0.0.1:HTTPS ssl; ssl_session_tickets off; return 200 x; }";
    let running = start(http, &[]);
    for versions in [vec![&rustls::version::TLS12], vec![&rustls::version::TLS13]] {
        for (plain_port, resumed) in [(true, true), (false, false)] {
            let offer = Offer { resumption: true, versions: versions.clone(), ..Offer::default() };
            let config = offer.config();
            let mut first = connect(&running, plain_port, NAME, &config).unwrap();
            // Tickets of TLS 1.3 come with the first answer.
            first.get(NAME, "/");
            let mut second = connect(&running, plain_port, NAME, &config).unwrap();
            second.get(NAME, "/");
            assert_eq!(second.is_resumed(), resumed, "{versions:?} {plain_port}");
        }
    }
}

/// A client's clock that stands still: it holds tickets to be as fresh as on the first day.
#[derive(Debug)]
struct Stopped(UnixTime);

impl TimeProvider for Stopped {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

#[test]
fn a_ticket_is_worth_nothing_when_its_time_is_over() {
    let http = "ssl_certificate ROOT/site.crt; ssl_certificate_key ROOT/site.key;
        server { listen 127.0.0.1:HTTP_PORT ssl; ssl_session_timeout 1s; return 200 x; }
        server { listen 127.0.0.1:HTTPS ssl; ssl_session_timeout 1h; return 200 x; }";
    let running = start(http, &[]);
    let mut first = Vec::new();
    for versions in [vec![&rustls::version::TLS12], vec![&rustls::version::TLS13]] {
        for short in [true, false] {
            let offer = Offer { resumption: true, versions: versions.clone(), ..Offer::default() };
            let mut config = Arc::unwrap_or_clone(offer.config());
            config.time_provider = Arc::new(Stopped(UnixTime::now()));
            let config = Arc::new(config);
            connect(&running, short, NAME, &config).unwrap().get(NAME, "/");
            first.push((versions.clone(), short, config));
        }
    }
    // Whole seconds are counted, and the first is good to its end.
    wait::pass(Duration::from_millis(2100));
    for (versions, short, config) in first {
        let mut second = connect(&running, short, NAME, &config).unwrap();
        second.get(NAME, "/");
        assert_eq!(second.is_resumed(), !short, "{versions:?}");
    }
}

/// Two servers whose certificates lie in files of that generation, in an order that changes.
fn generation(number: usize) -> String {
    let mut names = ["one.test", "two.test"];
    names.rotate_left(number % 2);
    let server = |name: &str| {
        let pair = format!("{}-{}", number % 2, name);
        format!(
            "server {{ listen 127.0.0.1:HTTPS ssl; server_name {name};\n\
             ssl_certificate ROOT/{pair}.crt; ssl_certificate_key ROOT/{pair}.key; return 200 x; }}\n"
        )
    };
    names.map(server).concat()
}

#[test]
fn a_handshake_during_a_reload_gets_a_certificate_for_its_name() {
    let running = Running::prepared(&generation(0), &[NAME], &[], |dir| {
        for name in ["one.test", "two.test"] {
            for number in 0..2 {
                pki::issue(&[name], KeyKind::Ecdsa).write(dir, &format!("{number}-{name}"));
            }
        }
    });
    let (dir, https) = (running.sheen.dir.path().to_owned(), running.https);
    let over = AtomicBool::new(false);
    let handshakes = thread::scope(|scope| {
        let clients = ["one.test", "two.test"].map(|name| {
            let over = &over;
            scope.spawn(move || {
                let config = Offer::default().config();
                let mut handshakes = 0;
                while !over.load(Ordering::Relaxed) {
                    // The client looks for the name in the certificate.
                    let client = Client::tls_with(https, name, &config);
                    assert!(client.is_ok(), "{name}, handshake {handshakes}: {client:?}");
                    handshakes += 1;
                }
                handshakes
            })
        });
        for number in 1..=RELOADS {
            write(&dir, &generation(number), running.http.port(), https.port());
            assert_eq!(running.sheen.hup(), Reload::Done);
        }
        over.store(true, Ordering::Relaxed);
        clients.map(|client| client.join().unwrap())
    });
    assert!(handshakes.iter().all(|count| *count > 0), "{handshakes:?}");
}

const RELOADS: usize = 20;

#[test]
fn lists_that_leave_nothing_are_refused() {
    let dir = TempDir::new().unwrap();
    pki::issue(&[NAME], KeyKind::Ecdsa).write(dir.path(), "site");
    for (lines, words) in [
        (
            "ssl_protocols TLSv1.2; ssl_ciphers AES128-SHA;",
            "SSL_CTX_set_cipher_list(\"AES128-SHA\") failed: no cipher match",
        ),
        ("ssl_ecdh_curve secp521r1;", "\"ssl_ecdh_curve\": none of these can be had"),
        ("ssl_protocols TLSv1;", "\"ssl_protocols\" names neither TLSv1.2 nor TLSv1.3"),
    ] {
        let http = format!(
            "server {{ listen 127.0.0.1:HTTPS ssl; {lines} ssl_certificate ROOT/site.crt; \
             ssl_certificate_key ROOT/site.key; }}"
        );
        let path = write(dir.path(), &http, 1, 2);
        let output = run(dir.path(), &["-t", "-c", &path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(words) && said.contains(":4"), "{lines}: {said}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn keys_under_a_passphrase_are_opened_as_nginx_does() {
    let cert = include_str!("../../../certstore/tests/data/ec.pem");
    let aes = include_str!("../../../certstore/tests/data/ec-aes256.pem");
    let scrypt = include_str!("../../../certstore/tests/data/ec-scrypt.pem");
    // For all servers, and one has its own; the names of files begin at the configuration.
    let http = "ssl_password_file http.pass; ssl_certificate ROOT/ec.crt;
        server { listen 127.0.0.1:PORT ssl; ssl_certificate_key ROOT/aes.key; return 200 x; }
        server { listen 127.0.0.1:PORT ssl; server_name b.test; ssl_password_file ROOT/own.pass;
            ssl_certificate_key ROOT/scrypt.key; return 200 x; }";
    let right = "wrong horse\n\ncorrect horse\r\n";
    let files = [
        ("ec.crt", cert),
        ("aes.key", aes),
        ("scrypt.key", scrypt),
        ("http.pass", right),
        ("own.pass", "correct horse"),
    ];
    let put = |dir: &Path| nginx::write_files(dir, &files);
    let ours = http.replace(":PORT", ":HTTPS");
    let running = Running::prepared(&ours, &[NAME], &[], put);
    let real = nginx::is_installed().then(|| Nginx::start(http, &files));
    for name in ["a.test", "b.test"] {
        let served = |port: u16| {
            let address = ([127, 0, 0, 1], port).into();
            Client::tls_with(address, name, &trusting().config()).unwrap().certificate()
        };
        let ours = served(running.https.port());
        if let Some(real) = &real {
            assert_eq!(ours, served(real.port), "{name}");
        }
    }
    // A reload with a passphrase that does not fit changes nothing.
    let dir = running.sheen.dir.path();
    running.sheen.allow_log("bad decrypt");
    fs::write(dir.join("http.pass"), "wrong horse\n").unwrap();
    assert_eq!(running.sheen.hup(), Reload::Kept);
    let said = String::from_utf8_lossy(
        &run(dir, &["-t", "-c", &dir.join("nginx.conf").display().to_string()]).stderr,
    )
    .into_owned();
    assert!(said.contains("bad decrypt: the passphrase in ") && !said.contains("horse"), "{said}");
    fs::write(dir.join("http.pass"), right).unwrap();
    assert_eq!(running.sheen.hup(), Reload::Done);
}
