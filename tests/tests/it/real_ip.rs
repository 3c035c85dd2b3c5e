//! Proxies in front: who the client is by a field they send, or by their PROXY protocol header,
//! beside the real nginx.

use sheen_tests::both::{Both, Side};
use sheen_tests::client::Client;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::Upstream;

/// Servers that believe differently, each with what is sent to it; `-` for no field at all.
const SERVERS: &[(&str, &[&str])] = &[
    ("", &["X-Real-IP: 192.0.2.1", "X-Forwarded-For: 192.0.2.1"]),
    (
        "set_real_ip_from 127.0.0.1;",
        &[
            "-",
            "X-Real-IP: 192.0.2.1",
            "X-Real-IP: 192.0.2.1:8080",
            "X-Real-IP: 2001:db8::1",
            "X-Real-IP: [2001:db8::1]:99",
            "X-Real-IP: [2001:db8::1]",
            "X-Real-IP: 192.0.2.1, 192.0.2.2",
            "X-Real-IP: 192.0.2.1\r\nX-Real-IP: 192.0.2.2",
            "X-Real-IP: unknown",
            "X-Real-IP: 192.0.2.1:0",
            "X-Real-IP: ",
            "X-Forwarded-For: 192.0.2.1",
        ],
    ),
    (
        "set_real_ip_from 192.0.2.0/24; real_ip_header X-Forwarded-For;",
        &["X-Forwarded-For: 192.0.2.1"],
    ),
    (
        "set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.1.2.3/8; real_ip_header X-Forwarded-For;",
        &[
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-For: 192.0.2.1, 10.0.0.1",
            "X-Forwarded-For: 192.0.2.1,10.0.0.1 ,",
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2",
            "X-Forwarded-For: ,",
        ],
    ),
    (
        "set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; \
         real_ip_header X-Forwarded-For; real_ip_recursive on;",
        &[
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-For: 192.0.2.1, 10.0.0.1",
            "X-Forwarded-For: 192.0.2.9, 192.0.2.1, 10.0.0.2, 10.0.0.1",
            "X-Forwarded-For: 10.0.0.3, 10.0.0.2",
            "X-Forwarded-For: nonsense, 10.0.0.2",
            "X-Forwarded-For: nonsense",
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.2",
        ],
    ),
    (
        "set_real_ip_from localhost; real_ip_header CF-Connecting-IP;",
        &["CF-Connecting-IP: 192.0.2.7", "cf-connecting-ip: 2001:db8::7", "X-Real-IP: 192.0.2.1"],
    ),
    ("set_real_ip_from unix:;", &["X-Real-IP: 192.0.2.1"]),
];

const SEEN: &str = "$remote_addr $realip_remote_addr $proxy_add_x_forwarded_for \
                    $proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr \
                    $proxy_protocol_server_port";

fn configuration(app: &Upstream) -> String {
    let mut http = format!(
        "log_format seen '$http_x_id {SEEN}'; access_log ROOT/seen.log seen;\n\
         proxy_http_version 1.1; proxy_set_header Connection '';\n\
         proxy_set_header X-Seen '{SEEN}'; proxy_set_header X-Real-IP $remote_addr;\n"
    );
    for (number, (directives, _)) in SERVERS.iter().enumerate() {
        http.push_str(&format!(
            "server {{ listen 127.0.0.1:HTTP_PORT; server_name s{number}.test; {directives}\n\
             location / {{ proxy_pass http://{app}; }}\n\
             location /here {{ return 200 '{SEEN}'; }}\n\
             location /who {{ if ($remote_addr = 192.0.2.1) {{ return 200 known; }}\n\
             return 200 unknown; }}\n\
             location /trusted {{ set_real_ip_from 127.0.0.1; location /trusted/app {{\n\
             proxy_pass http://{app}; }} try_files /none @named; }}\n\
             location @named {{ proxy_pass http://{app}; }}\n\
             location /header {{ real_ip_header X-Other; proxy_pass http://{app}; }}\n\
             location /kept {{ set_real_ip_from 127.0.0.1; allow 192.0.2.1; deny all;\n\
             error_page 403 /header; proxy_pass http://{app}; }}\n\
             location /early {{ set_real_ip_from 127.0.0.1; return 200 '{SEEN}'; }} }}\n",
            app = app.address()
        ));
    }
    http
}

#[test]
fn clients_behind_proxies_are_who_nginx_takes_them_for() {
    let app = Upstream::mirror();
    let Some(both) = Both::start(&configuration(&app), &[NAME]) else { return };
    both.sheen.sheen.expect_log("access forbidden by rule");
    let rows: Vec<(usize, &str)> = SERVERS
        .iter()
        .enumerate()
        .flat_map(|(server, (_, fields))| fields.iter().map(move |field| (server, *field)))
        .collect();
    let [theirs, ours] = both.sides().map(|side| {
        let mut seen: Vec<Vec<String>> =
            rows.iter().enumerate().map(|(row, of)| ask(side, row, *of)).collect();
        // All are asked before the log is read: lines wait for one another in it.
        for (row, seen) in seen.iter_mut().enumerate() {
            seen.extend(TARGETS.map(|target| side.log_line("seen.log", &id(row, target))));
        }
        seen
    });
    let mut found = Vec::new();
    for ((server, field), (theirs, ours)) in rows.iter().zip(theirs.iter().zip(&ours)) {
        if theirs != ours {
            let directives = SERVERS[*server].0;
            found.push(format!("{directives} {field}:\nnginx {theirs:#?}\nsheen {ours:#?}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

const TARGETS: [&str; 8] =
    ["here", "who", "app", "trusted", "trusted/app", "header", "kept", "early"];

/// What a row's line in the log begins with.
fn id(row: usize, target: &str) -> String {
    format!("{row}-{target} ")
}

/// What is seen of a client who sends `field` to a server, at every place but the log.
fn ask(side: Side<'_>, row: usize, (server, field): (usize, &str)) -> Vec<String> {
    let mut client = side.plain();
    let field = if field == "-" { String::new() } else { format!("{field}\r\n") };
    let mut seen = Vec::new();
    for target in TARGETS {
        let id = id(row, target);
        client.send(format!(
            "GET /{target} HTTP/1.1\r\nHost: s{server}.test\r\nX-Id: {}\r\n{field}\r\n",
            id.trim_end()
        ));
        let text = client.answer("GET").text();
        if text.contains("X-Seen") {
            let wanted = |line: &&str| line.starts_with("X-Seen") || line.starts_with("X-Real-IP");
            seen.extend(text.lines().filter(wanted).map(str::to_owned));
        } else {
            seen.push(text);
        }
    }
    seen
}

/// Headers of balancers, and what follows them comes from: each row is sent to a listener that
/// expects one.
const INTRODUCED: &[&str] = &[
    "PROXY TCP4 192.0.2.1 198.51.100.1 5678 443\r\n",
    "PROXY TCP6 2001:db8::1 2001:db8::2 5678 443\r\n",
    "PROXY UNKNOWN\r\n",
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x09\0\x0a",
    "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
];

#[test]
fn a_balancer_introduces_clients_as_in_nginx() {
    let server = |name: &str, directives: &str| {
        format!(
            "server {{ listen 127.0.0.1:HTTPS proxy_protocol; server_name {name}; {directives}\n\
             return 200 '{SEEN} $remote_port'; }}\n"
        )
    };
    let http = [
        "log_format seen '$http_x_id $remote_addr'; access_log ROOT/seen.log seen;\n",
        "server { listen 127.0.0.1:HTTP_PORT; return 204; }\n",
        &server("plain.test", ""),
        &server("real.test", "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;"),
        &server("other.test", "set_real_ip_from 10.0.0.1; real_ip_header proxy_protocol;"),
    ]
    .concat();
    let Some(both) = Both::start(&http, &[NAME]) else { return };
    let rows: Vec<(&str, &str)> = ["plain.test", "real.test", "other.test"]
        .iter()
        .flat_map(|name| INTRODUCED.iter().map(|header| (*name, *header)))
        .collect();
    let [theirs, ours] = both.sides().map(|side| {
        let introduced = |(row, (name, header)): (usize, &(&str, &str))| {
            let mut client = Client::plain(side.https);
            let own = client.local_address().port().to_string();
            let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nX-Id: {row}-\r\n\r\n");
            client.send([header.as_bytes(), request.as_bytes()].concat());
            client.answer("GET").text().replace(&own, "OWN")
        };
        let texts: Vec<String> = rows.iter().enumerate().map(introduced).collect();
        let line = |(row, text)| (text, side.log_line("seen.log", &format!("{row}- ")));
        texts.into_iter().enumerate().map(line).collect::<Vec<_>>()
    });
    let mut found = Vec::new();
    for ((name, header), (theirs, ours)) in rows.iter().zip(theirs.iter().zip(&ours)) {
        if theirs != ours {
            found.push(format!("{name} {header:?}:\nnginx {theirs:?}\nsheen {ours:?}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_of_a_real_address_is_refused_is_said() {
    let dir = tempfile::TempDir::new().unwrap();
    let http = "set_real_ip_from 10.1.2.3/8;\nserver { listen 8080;\nset_real_ip_from no.such.host.invalid;\n\
                location / {\nset_real_ip_from 10.0.0.1; return 200; } }";
    let path = sheen_tests::nginx_conf::write(dir.path(), http, 1, 2);
    let tested = sheen_tests::sheen::run(dir.path(), &["-t", "-c", &path]);
    let said = String::from_utf8_lossy(&tested.stderr).into_owned();
    let line = format!("host not found in set_real_ip_from \"no.such.host.invalid\" in {path}:6");
    assert!(said.contains(&line), "{line}\n{said}");
    let fine = http.replace("no.such.host.invalid", "10.0.0.2");
    let path = sheen_tests::nginx_conf::write(dir.path(), &fine, 1, 2);
    let tested = sheen_tests::sheen::run(dir.path(), &["-t", "-c", &path]);
    let said = String::from_utf8_lossy(&tested.stderr).into_owned();
    assert!(tested.status.success(), "{said}");
}
