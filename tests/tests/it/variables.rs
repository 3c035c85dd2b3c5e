//! Every variable, read at each place that has variables, beside the real nginx: while a request
//! is decided about (`return`, `map`, `if`, `proxy_set_header`), with its answer (`add_header`), and
//! in the log.

use std::fmt::Write as _;

use sheen_tests::both::{Both, Side};
use sheen_tests::client::{Client, Offer};
use sheen_tests::nginx_conf::Running;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::{Upstream, ok};
use sheen_tests::websocket;

use self::How::{Length, Same, Shape};

/// What must be the same of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Same,
    /// All but the digits: times, numbers of connections, sizes of heads that differ.
    Shape,
    Length,
}

const VARIABLES: &[(&str, How)] = &[
    ("arg_a", Same),
    ("arg_missing", Same),
    ("args", Same),
    ("binary_remote_addr", Same),
    ("body_bytes_sent", Same),
    ("bytes_sent", Shape),
    ("connection", Shape),
    ("connection_requests", Same),
    ("connection_time", Shape),
    ("content_length", Same),
    ("content_type", Same),
    ("cookie_c", Same),
    ("document_root", Same),
    ("document_uri", Same),
    ("gzip_ratio", Same),
    ("host", Same),
    ("hostname", Same),
    ("http2", Same),
    ("http_cookie", Same),
    ("http_host", Same),
    ("http_missing", Same),
    ("http_user_agent", Same),
    ("http_x_a", Same),
    ("https", Same),
    ("is_args", Same),
    ("limit_rate", Same),
    ("msec", Shape),
    ("pid", Shape),
    ("pipe", Same),
    ("proxy_add_x_forwarded_for", Same),
    ("proxy_host", Same),
    ("proxy_port", Same),
    ("proxy_protocol_addr", Same),
    ("proxy_protocol_port", Same),
    ("proxy_protocol_server_addr", Same),
    ("proxy_protocol_server_port", Same),
    ("query_string", Same),
    ("realip_remote_addr", Same),
    ("realip_remote_port", Shape),
    ("realpath_root", Same),
    ("remote_addr", Same),
    ("remote_port", Shape),
    ("remote_user", Same),
    ("request", Same),
    ("request_body", Same),
    ("request_body_file", Same),
    ("request_completion", Same),
    ("request_filename", Same),
    ("request_id", Length),
    ("request_length", Same),
    ("request_method", Same),
    ("request_time", Shape),
    ("request_uri", Same),
    ("scheme", Same),
    ("sent_http_connection", Same),
    ("sent_http_content_length", Same),
    ("sent_http_content_type", Same),
    ("sent_http_location", Same),
    ("sent_http_transfer_encoding", Same),
    ("sent_http_x_app", Same),
    ("server_addr", Same),
    ("server_name", Same),
    ("server_port", Same),
    ("server_protocol", Same),
    ("ssl_alpn_protocol", Same),
    ("ssl_cipher", Same),
    ("ssl_client_cert", Same),
    ("ssl_client_escaped_cert", Same),
    ("ssl_client_fingerprint", Same),
    ("ssl_client_i_dn", Same),
    ("ssl_client_raw_cert", Same),
    ("ssl_client_s_dn", Same),
    ("ssl_client_serial", Same),
    ("ssl_client_v_end", Same),
    ("ssl_client_v_remain", Same),
    ("ssl_client_v_start", Same),
    ("ssl_client_verify", Same),
    ("ssl_curve", Same),
    ("ssl_early_data", Same),
    ("ssl_protocol", Same),
    ("ssl_server_name", Same),
    ("ssl_session_reused", Same),
    ("status", Same),
    ("time_iso8601", Shape),
    ("time_local", Shape),
    ("upstream_addr", Same),
    ("upstream_bytes_received", Same),
    ("upstream_bytes_sent", Shape),
    ("upstream_cache_status", Same),
    ("upstream_connect_time", Shape),
    ("upstream_cookie_s", Same),
    ("upstream_header_time", Shape),
    ("upstream_http_server", Same),
    ("upstream_http_x_app", Same),
    ("upstream_response_length", Same),
    ("upstream_response_time", Shape),
    ("upstream_status", Same),
    ("uri", Same),
];

/// Where we differ on purpose: scenario and place (`*` for any), variable, and why.
const DELIBERATE: &[(&str, &str, &str, &str)] = &[
    ("*", "proxy_set_header", "binary_remote_addr", CONTROLS),
    ("*", "add_header", "binary_remote_addr", CONTROLS),
    ("*", "log", "sent_http_connection", "nginx has forgotten by then that the connection goes on"),
    ("chunked", "add_header", "sent_http_transfer_encoding", "nginx chunks after that"),
    ("returned", "*", "http_x_a", "several fields are joined, as nginx does since 1.23"),
    ("*", "add_header", "upstream_bytes_received", "nginx counts what came with the head at once"),
    ("redirected", "*", "sent_http_location", "it is the whole URL, as it is sent"),
    ("redirected", "*", "sent_http_content_length", PAGE),
    ("redirected", "*", "sent_http_content_type", PAGE),
    ("redirected", "*", "body_bytes_sent", PAGE),
];

const CONTROLS: &str =
    "control characters are escaped in fields: nginx lets them break the message";
const PAGE: &str = "pages of our own are not nginx's";

/// One request: what it is called, whether it comes over TLS, its request line, and its fields but
/// for Host.
struct Scenario {
    name: &'static str,
    tls: bool,
    line: &'static str,
    fields: &'static str,
}

const fn plain(name: &'static str, line: &'static str, fields: &'static str) -> Scenario {
    Scenario { name, tls: false, line, fields }
}

const fn secure(name: &'static str, line: &'static str, fields: &'static str) -> Scenario {
    Scenario { name, tls: true, line, fields }
}

const BODY: &str = "a \"body\"!";

/// Read while a request is decided about, and nowhere else: nginx keeps what it read first.
const DECIDED: &[Scenario] = &[
    plain(
        "returned",
        "GET /return/%41?a=b%20c&A=d HTTP/1.1",
        "User-Agent: tester/1.0\r\nX-A: one\r\nX-A: two\r\nCookie: b=1; c=2\r\n\
         Authorization: Basic dXNlcjpwYXNz\r\nX-Forwarded-For: 192.0.2.1\r\n",
    ),
    plain("mapped", "GET /map?a=1 HTTP/1.1", "X-A: x\r\n"),
    plain("asked", "GET /if?a=1 HTTP/1.1", "Cookie: c=0\r\n"),
    plain("bare", "GET /return HTTP/1.0", ""),
    plain("mirrored", "GET /mirror/x HTTP/1.1", "X-A: y\r\n"),
    plain("posted", "POST /mirror/x?a= HTTP/1.1", "Content-Length: 9\r\nContent-Type: text/x\r\n"),
    plain("failed", "GET /failed HTTP/1.1", ""),
    secure("returned over TLS", "GET /return?a=1 HTTP/1.1", ""),
    secure("mirrored over TLS", "GET /mirror/?a=1 HTTP/1.1", ""),
];

/// Read with the answer alone, and in the log alone.
const ANSWERED: &[Scenario] = &[
    plain("own", "GET /own?a=1 HTTP/1.1", "X-A: y\r\n"),
    plain("own bare", "GET /own HTTP/1.0", ""),
    plain("redirected", "GET /away?x HTTP/1.1", ""),
    plain("proxied", "GET /app/x?a=1 HTTP/1.1", "X-A: y\r\nCookie: c=2\r\n"),
    plain("posted", "POST /app/x?a= HTTP/1.1", "Content-Length: 9\r\nContent-Type: text/x\r\n"),
    plain("headed", "HEAD /app/ HTTP/1.1", ""),
    plain("unmodified", "GET /304 HTTP/1.1", ""),
    plain("chunked", "GET /chunked HTTP/1.1", ""),
    plain("sorry", "GET /broken HTTP/1.1", ""),
    secure("own over TLS", "GET /own HTTP/1.1", ""),
    secure("proxied over TLS", "GET /app/ HTTP/1.1", ""),
];

const HTTP: &str = r#"
    MAPS
    log_format all '$http_x_id|ALL';
    access_log off;
    root ROOT;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    ssl_certificate site.crt;
    ssl_certificate_key site.key;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
    server {
        listen 127.0.0.1:HTTP_PORT;
        listen 127.0.0.1:HTTPS ssl;
        server_name app.test www.app.test;
        location /return { return 200 "|ALL"; }
        location /map { return 200 "|MAPPED"; }
        location /if { IFS return 200 "|ASKED"; }
        location /mirror/ {
            proxy_pass http://MIRROR/below/;
            proxy_set_header Connection "";
            proxy_set_header X-All "|ALL";
        }
        location /failed { proxy_pass http://127.0.0.1:1; error_page 502 @failed; }
        location @failed { return 503 "|ALL"; }
    }
    server {
        listen 127.0.0.1:HTTP_PORT;
        listen 127.0.0.1:HTTPS ssl;
        server_name added.test;
        add_header X-All "|ALL" always;
        ANSWERS
    }
    server {
        listen 127.0.0.1:HTTP_PORT;
        listen 127.0.0.1:HTTPS ssl;
        server_name logged.test;
        access_log ROOT/all.log all;
        ANSWERS
    }
"#;

const ANSWERS: &str = r#"
        location /own { return 200 "own"; }
        location /away { return 302 /elsewhere$is_args$args; }
        location /app/ { proxy_pass http://APP; }
        location /304 { proxy_pass http://UNMODIFIED; }
        location /chunked { proxy_pass http://CHUNKED; }
        location /broken { proxy_pass http://127.0.0.1:1; error_page 502 @sorry; }
        location @sorry { return 503 "sorry"; }
        location /ws {
            proxy_pass http://SOCKETS;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }
"#;

fn names() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().map(|(name, _)| *name)
}

fn joined(of: impl Fn(&str) -> String) -> String {
    names().map(of).collect::<Vec<_>>().join("|")
}

/// The configuration, in front of these apps.
fn configuration(apps: &[(&str, &Upstream)]) -> String {
    let maps: String = names()
        .map(|name| format!("map ${name} $map_{name} {{ \"\" empty; default \"<${name}>\"; }}\n"))
        .collect();
    let mut ifs = String::new();
    for name in names() {
        let _ = writeln!(ifs, "set $if_{name} no; if (${name}) {{ set $if_{name} yes; }}");
    }
    let mut http = HTTP.replace("ANSWERS", ANSWERS);
    for (name, app) in apps {
        http = http.replace(&format!("http://{name}"), &format!("http://{}", app.address()));
    }
    http.replace("MAPPED", &joined(|name| format!("$map_{name}")))
        .replace("MAPS", &maps)
        .replace("IFS", &ifs)
        .replace("ASKED", &joined(|name| format!("$if_{name}")))
        .replace("ALL", &joined(|name| format!("${name}")))
}

/// What was read at one place: its name, and the values behind a `|`; until it is looked for in the
/// log, what its line there begins with.
type Read = (&'static str, String);

/// Asks a server of one of them, and finds what variables were where it reads them.
fn ask(side: Side<'_>, scenario: &Scenario, host: &str) -> Read {
    let mut client = match scenario.tls {
        true => tls(side),
        false => side.plain(),
    };
    let Scenario { line, fields, .. } = scenario;
    let id = format!("{}-{host}", scenario.name.replace(' ', "-"));
    // Without a Host the first server answers.
    let host_field = match line.ends_with("1.0") && host == NAME {
        true => String::new(),
        false => format!("Host: {host}\r\n"),
    };
    let body = if line.starts_with("POST") { BODY } else { "" };
    client.send(format!("{line}\r\n{host_field}X-Id: {id}\r\n{fields}\r\n{body}"));
    let answer = client.answer(line.split(' ').next().unwrap());
    let text = answer.text();
    let sent = text.lines().find_map(|line| line.strip_prefix("X-All: "));
    let (place, values) = match (host, sent) {
        ("logged.test", _) => return (LOG, format!("{id}|")),
        ("added.test", _) => ("add_header", answer.field("x-all").unwrap().to_owned()),
        (_, Some(sent)) => ("proxy_set_header", sent.trim_end().to_owned()),
        (_, None) => ("return", text),
    };
    (place, side.neutral(&values))
}

const LOG: &str = "log";

/// With the values of the log if they are there.
fn logged(side: Side<'_>, (place, read): Read) -> Read {
    match place {
        LOG => (place, side.neutral(&side.log_line("all.log", &read)[read.len() - 1..])),
        _ => (place, read),
    }
}

/// Of which X25519 is taken; an ECDSA certificate wants the other as well.
const CURVES: [rustls::NamedGroup; 2] = [rustls::NamedGroup::X25519, rustls::NamedGroup::secp256r1];

/// With the one suite that the configuration leaves.
fn tls(side: Side<'_>) -> Client {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let offer = Offer {
        versions: vec![&rustls::version::TLS12],
        suites: vec![rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256],
        groups: provider
            .kx_groups
            .into_iter()
            .filter(|group| CURVES.contains(&group.name()))
            .collect(),
        trusting: true,
        ..Offer::default()
    };
    Client::tls_with(side.https, NAME, &offer.config()).unwrap()
}

/// Every difference that is not in the table.
fn differences(scenario: &str, theirs: &Read, ours: &Read) -> Vec<String> {
    let place = theirs.0;
    assert_eq!(ours.0, place, "{scenario}");
    let values = |read: &Read| -> Vec<String> {
        let values: Vec<String> = read.1.split('|').skip(1).map(str::to_owned).collect();
        assert_eq!(values.len(), VARIABLES.len(), "{place} of {scenario}: {values:?}");
        values
    };
    let mut found = Vec::new();
    for ((name, how), (theirs, ours)) in
        VARIABLES.iter().zip(values(theirs).iter().zip(values(ours)))
    {
        let fits = |word: &str, row: &str| row == "*" || row == word;
        let deliberate = DELIBERATE
            .iter()
            .any(|row| fits(scenario, row.0) && fits(place, row.1) && fits(name, row.2));
        if shape(theirs, *how) != shape(&ours, *how) && !deliberate {
            found.push(format!("{scenario}, {place}: ${name}: nginx {theirs:?}, sheen {ours:?}"));
        }
    }
    found
}

/// What of a value is compared.
fn shape(value: &str, how: How) -> String {
    match how {
        Same => value.to_owned(),
        Length => value.len().to_string(),
        Shape => {
            let mut shape = String::new();
            for character in value.chars() {
                match character.is_ascii_digit() {
                    true if shape.ends_with('#') => {}
                    true => shape.push('#'),
                    false => shape.push(character),
                }
            }
            shape
        }
    }
}

#[test]
fn every_variable_says_what_nginx_says() {
    let fixed = "HTTP/1.1 200 OK\r\nServer: app/1\r\nX-App: here\r\nSet-Cookie: s=t; Path=/\r\n\
                 Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n";
    let app = Upstream::start(move |conn| {
        conn.answer_all(|request| match request.head.line.starts_with("HEAD") {
            true => fixed.into(),
            false => format!("{fixed}hello").into(),
        });
    });
    // The answer must have one size, whatever the request's.
    let mirror = Upstream::start(|conn| {
        conn.answer_all(|request| {
            let line = request.head.raw.lines().find(|line| line.starts_with("X-All"));
            let body = format!("{:4000}", line.unwrap_or_default());
            ok(&body).into_bytes()
        });
    });
    let unmodified = Upstream::answering("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n");
    let chunked = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let sockets = websocket::echo_app();
    let apps = [
        ("APP", &app),
        ("MIRROR", &mirror),
        ("UNMODIFIED", &unmodified),
        ("CHUNKED", &chunked),
        ("SOCKETS", &sockets),
    ];
    let names = [NAME, "www.app.test", "added.test", "logged.test"];
    let Some(both) = Both::start(&configuration(&apps), &names) else { return };
    both.sheen.sheen.expect_log("connect() failed (111: Connection refused)");
    let mut found = Vec::new();
    let decided = DECIDED.iter().map(|scenario| (scenario, NAME));
    let answered = ANSWERED
        .iter()
        .flat_map(|scenario| ["added.test", "logged.test"].map(|host| (scenario, host)));
    let asked: Vec<(&Scenario, [Read; 2])> = decided
        .chain(answered)
        .map(|(scenario, host)| (scenario, both.sides().map(|side| ask(side, scenario, host))))
        .collect();
    let talks = both.sides().map(talk);
    // All is asked before the log is read: lines wait for one another in it.
    for (scenario, [theirs, ours]) in asked {
        let (theirs, ours) = (logged(both.nginx(), theirs), logged(both.sheen(), ours));
        found.extend(differences(scenario.name, &theirs, &ours));
    }
    let [theirs, ours] = talks;
    let (theirs, ours) = (logged(both.nginx(), theirs), logged(both.sheen(), ours));
    found.extend(differences("a WebSocket", &theirs, &ours));
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// A WebSocket with one message each way.
fn talk(side: Side<'_>) -> Read {
    let mut client = side.plain();
    let request = websocket::request("/ws").replace(NAME, "logged.test");
    let request = request.replacen("\r\n", "\r\nX-Id: ws\r\n", 1);
    client.send(request);
    assert_eq!(client.answer("GET").status(), 101);
    client.send(b"\x81\x85\0\0\0\0hello");
    let mut bytes = [0; 7];
    std::io::Read::read_exact(&mut client, &mut bytes).unwrap();
    client.shutdown_write();
    client.rest();
    (LOG, "ws|".to_owned())
}

#[test]
fn a_second_request_on_a_connection_is_counted() {
    let http = r#"
        log_format counts '$http_x_id $connection_requests $body_bytes_sent $request_length $pipe';
        access_log ROOT/counts.log counts;
        server { listen 127.0.0.1:HTTP_PORT; return 200 "$connection_requests"; }
    "#;
    let Some(both) = Both::start(http, &[NAME]) else { return };
    let said = both.sides().map(|side| {
        let mut client = side.plain();
        // Two at once, and a third when they are answered.
        let request = |id: &str| format!("GET /{id} HTTP/1.1\r\nHost: a\r\nX-Id: {id}\r\n\r\n");
        client.send([request("one"), request("two")].concat());
        let mut said = vec![client.answer("GET").text(), client.answer("GET").text()];
        client.send(request("three"));
        said.push(client.answer("GET").text());
        said.extend(["one", "two", "three"].map(|id| side.log_line("counts.log", id)));
        said
    });
    assert_eq!(said[1], said[0]);
    assert_eq!(said[0][..3], ["1", "2", "3"]);
}

#[test]
fn what_never_has_a_value_is_named() {
    let dir = tempfile::TempDir::new().unwrap();
    let http = "log_format a '$tcpinfo_rtt $sent_trailer_x $upstream_trailer_y $sent_http_z';\n\
                server { listen 8080; access_log off; return 200 $ssl_session_id; }";
    let path = sheen_tests::nginx_conf::write(dir.path(), http, 1, 2);
    let tested = sheen_tests::sheen::run(dir.path(), &["-t", "-c", &path]);
    let said = String::from_utf8_lossy(&tested.stderr).into_owned();
    for name in ["tcpinfo_rtt", "upstream_trailer_y", "ssl_session_id"] {
        assert!(said.contains(&format!("\"${name}\" has no value here")), "{name}: {said}");
    }
    let is_quiet = !said.contains("sent_http_z") && !said.contains("sent_trailer_x");
    assert!(tested.status.success() && is_quiet, "{said}");
}

#[test]
fn the_version_is_ours() {
    let http = "server { listen 127.0.0.1:HTTP_PORT; return 200 \"of $nginx_version\"; }";
    let running = Running::start(http, &[NAME]);
    let version = sheen::cli::version().trim().rsplit('/').next().unwrap_or_default().to_owned();
    assert_eq!(running.get(NAME, "/").text(), format!("of {version}"));
}
