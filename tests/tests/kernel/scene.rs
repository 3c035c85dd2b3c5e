//! What every scenario inside the machine is made of: sheen with kernel TLS on, an app with large
//! answers, clients of every version and cipher, and the kernel's own counts.

use std::fs;
use std::io::Read;

use rustls::{CipherSuite, SupportedProtocolVersion};
use sheen_tests::client::{Client, Offer};
use sheen_tests::message::{self, Head};
use sheen_tests::sheen::{NAME, Setup, Sheen};
use sheen_tests::upstream::Upstream;
use sheen_tests::{is_pattern, pattern, wait};

/// Large enough for the kernel.
pub(crate) const LARGE: usize = 3 << 20;
pub(crate) const SMALL: usize = 1000;

/// An app whose answer to `/N` has N bytes.
pub(crate) fn app() -> Upstream {
    Upstream::start(|conn| {
        while let Ok(Some(request)) = conn.try_request() {
            let body = request.body;
            let len = if body.is_empty() { asked(&request.head) } else { body.len() };
            if !conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n")) {
                return;
            }
            let mut at = 0;
            while at < len {
                let piece = (len - at).min(256 << 10);
                let sent = match body.is_empty() {
                    true => conn.send(pattern(at as u64, piece)),
                    false => conn.send(&body[at..at + piece]),
                };
                if !sent {
                    return;
                }
                at += piece;
            }
        }
    })
}

/// The number in `GET /N`.
pub(crate) fn asked(head: &Head) -> usize {
    let target = head.raw.split(' ').nth(1).unwrap_or_default();
    target.trim_start_matches('/').parse().unwrap_or(SMALL)
}

pub(crate) fn setup(app: &Upstream) -> Setup {
    let mut setup = Setup::to(app).log("format = \"json\"");
    setup.tls = "ktls = \"on\"".to_owned();
    setup
}

pub(crate) fn request(len: usize) -> String {
    format!("GET /{len} HTTP/1.1\r\nHost: {NAME}\r\n\r\n")
}

/// Reads the answer to [`request`] and checks every byte.
pub(crate) fn answer(client: &mut Client, len: usize) {
    let head = message::read_head(client).unwrap().expect("an answer");
    assert_eq!(head.status(), 200);
    assert_eq!(head.field("content-length"), Some(len.to_string().as_str()));
    body(client, 0, len);
}

/// Reads `len` bytes of a body that are at `offset` in it, and checks them.
pub(crate) fn body(client: &mut Client, offset: usize, len: usize) {
    let mut chunk = vec![0; 64 << 10];
    let mut at = offset;
    while at < offset + len {
        let want = chunk.len().min(offset + len - at);
        let n = client.read(&mut chunk[..want]).unwrap();
        assert!(n > 0, "the answer ends after {at} bytes");
        assert!(is_pattern(at as u64, &chunk[..n]), "other bytes at {at}");
        at += n;
    }
}

pub(crate) fn get(client: &mut Client, len: usize) {
    client.send(request(len));
    answer(client, len);
}

/// Version and cipher by their names: all that rustls and the kernel share.
pub(crate) fn suites() -> Vec<(&'static SupportedProtocolVersion, CipherSuite)> {
    let (tls12, tls13) = (&rustls::version::TLS12, &rustls::version::TLS13);
    vec![
        (tls12, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
        (tls12, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
        (tls12, CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
        (tls13, CipherSuite::TLS13_AES_128_GCM_SHA256),
        (tls13, CipherSuite::TLS13_AES_256_GCM_SHA384),
        (tls13, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ]
}

/// A client that offers nothing but `suite`.
pub(crate) fn client(
    sheen: &Sheen,
    (version, suite): (&'static SupportedProtocolVersion, CipherSuite),
) -> Client {
    let offer = Offer { versions: vec![version], suites: vec![suite], ..Offer::default() };
    Client::tls_with(sheen.https(), NAME, &offer.config()).unwrap()
}

/// A client on whose connection the kernel does TLS.
pub(crate) fn handed_over(sheen: &Sheen) -> Client {
    let before = by_kernel(sheen);
    let mut client = sheen.client();
    get(&mut client, LARGE);
    wait::until("the hand-over in the access log", || by_kernel(sheen) > before);
    client
}

/// Answers that the kernel moved, by the access log.
pub(crate) fn by_kernel(sheen: &Sheen) -> usize {
    sheen.access().count("\"ktls\":true")
}

/// A count of /proc/net/tls_stat; `None` where this kernel does not have it.
pub(crate) fn tls_stat(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/net/tls_stat").unwrap();
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Whether this kernel takes new keys for a running connection.
pub(crate) fn rekeys() -> bool {
    tls_stat("TlsRxRekeyOk").is_some()
}
