//! What curl, which most scripts and health checks use, makes of sheen.

use std::fs;

use sheen_tests::pki::Identity;
use sheen_tests::sheen::{NAME, Setup, Sheen};
use sheen_tests::upstream::{self, Upstream};
use tempfile::TempDir;

use crate::authority;
use crate::parts::{self, Part, Ran};

/// curl that trusts the test authority and finds [`NAME`] at a sheen.
#[derive(Debug)]
pub(crate) struct Curl {
    dir: TempDir,
    arguments: Vec<String>,
}

impl Curl {
    pub(crate) fn to(sheen: &Sheen) -> Self {
        let dir = TempDir::new().unwrap();
        let mut arguments = vec!["--disable".to_owned(), "--silent".to_owned()];
        arguments.extend(["--show-error", "--noproxy", "*", "--cacert"].map(str::to_owned));
        arguments.push(authority::write_root(dir.path()));
        for address in [sheen.https(), sheen.http()] {
            let port = address.port();
            arguments.extend(["--resolve".to_owned(), format!("{NAME}:{port}:127.0.0.1")]);
        }
        Self { dir, arguments }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let all: Vec<&str> =
            self.arguments.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        parts::run(60, "curl", &all, "")
    }
}

/// sheen with a certificate of the test authority.
fn serving(app: &Upstream, dir: &TempDir) -> Sheen {
    let identity: Identity = authority::issue(&[NAME]);
    let mut setup = Setup::to(app);
    setup.sites[0].files = vec![identity.write(dir.path(), "site")];
    setup.start()
}

fn https(sheen: &Sheen, path: &str) -> String {
    format!("https://{NAME}:{}{path}", sheen.https().port())
}

#[test]
fn a_page_comes_over_http_1_1_whatever_curl_offers() {
    let Some(_turn) = parts::beside_others(&[Part::Curl]) else { return };
    let app = Upstream::ok("the page");
    let dir = TempDir::new().unwrap();
    let sheen = serving(&app, &dir);
    let curl = Curl::to(&sheen);
    let format = "|%{http_code} %{http_version} %{ssl_verify_result}";
    for offer in [&["--http1.1"][..], &["--http2"], &["--no-alpn"], &["--tls-max", "1.2"]] {
        let url = https(&sheen, "/");
        let said = curl.run(&[offer, &["--write-out", format, &url]].concat());
        assert_eq!(said.good(), "the page|200 1.1 0", "{offer:?}");
    }
    // Two of one run share a connection.
    let url = https(&sheen, "/");
    let said = curl.run(&["--write-out", "|%{num_connects}|", &url, &url]);
    assert_eq!(said.good(), "the page|1|the page|0|");
}

#[test]
fn an_upload_waits_for_the_100_and_comes_back_whole() {
    let Some(_turn) = parts::beside_others(&[Part::Curl]) else { return };
    let app = Upstream::echo();
    let dir = TempDir::new().unwrap();
    let sheen = serving(&app, &dir);
    let curl = Curl::to(&sheen);
    let (sent, received) = (curl.dir.path().join("sent"), curl.dir.path().join("received"));
    fs::write(&sent, sheen_tests::pattern(3, 3 << 20)).unwrap();
    let (sent_path, received_path) = (sent.to_str().unwrap(), received.to_str().unwrap());
    let url = https(&sheen, "/upload");
    for chunked in [&[][..], &["--header", "Transfer-Encoding: chunked"]] {
        let said = curl.run(
            &[
                &["--verbose", "--header", "Expect: 100-continue", "--expect100-timeout", "30"],
                chunked,
                &["--upload-file", sent_path, "--output", received_path, &url],
            ]
            .concat(),
        );
        said.good();
        assert!(said.err.contains("HTTP/1.1 100 Continue"), "{}", said.err);
        assert!(!said.err.contains("Done waiting for 100-continue"), "{}", said.err);
        assert!(fs::read(&sent).unwrap() == fs::read(&received).unwrap(), "the bytes differ");
    }
}

#[test]
fn head_tells_the_length_and_sends_no_body() {
    let Some(_turn) = parts::beside_others(&[Part::Curl]) else { return };
    let app = Upstream::start(|conn| {
        conn.answer_all(|request| {
            let whole = upstream::ok("the page");
            let head = request.head.line.starts_with("HEAD ");
            let end = if head { whole.len() - "the page".len() } else { whole.len() };
            whole.as_bytes()[..end].to_vec()
        });
    });
    let dir = TempDir::new().unwrap();
    let sheen = serving(&app, &dir);
    let curl = Curl::to(&sheen);
    let (url, format) = (https(&sheen, "/"), "%{http_code} %{size_download} %{num_connects}\n");
    // The connection is good for more after a HEAD.
    let said = curl.run(&[
        "--head",
        "--write-out",
        format,
        &url,
        "--next",
        "--silent",
        "--cacert",
        &authority::write_root(curl.dir.path()),
        "--resolve",
        &format!("{NAME}:{}:127.0.0.1", sheen.https().port()),
        "--write-out",
        format,
        &url,
    ]);
    let said = said.good();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert!(said.contains("Content-Length: 8\r\n"), "{said}");
    assert!(said.ends_with("200 0 1\nthe page200 8 0\n"), "{said}");
}

#[test]
fn plain_http_leads_to_https() {
    let Some(_turn) = parts::beside_others(&[Part::Curl]) else { return };
    let app = Upstream::mirror();
    let dir = TempDir::new().unwrap();
    let sheen = serving(&app, &dir);
    let curl = Curl::to(&sheen);
    let plain = format!("http://{NAME}:{}/app/?a=b%20c&d", sheen.http().port());
    let format = "|%{http_code} %{num_redirects} %{url_effective}";
    let said = curl.run(&["--location", "--write-out", format, &plain]).good();
    let end = format!("|200 1 {}", https(&sheen, "/app/?a=b%20c&d"));
    assert!(said.ends_with(&end), "{said}");
    assert!(said.starts_with("GET /app/?a=b%20c&d HTTP/1.1\r\n"), "{said}");
    let lower = said.to_ascii_lowercase();
    assert!(lower.contains("\r\nx-forwarded-proto: https\r\n"), "{said}");
}
