//! `listen` in nginx.conf: sockets in the file system, beside the real nginx and through their
//! lives.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::process::Signal;
use sheen_tests::both::{Both, Side};
use sheen_tests::client::{Client, Offer};
use sheen_tests::nginx_conf::Running;
use sheen_tests::sheen::{NAME, Reload, Stranger, run};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;
use tempfile::TempDir;

const SEEN: &str = "$server_name $remote_addr|$remote_port|$server_addr|$server_port|\
                    $realip_remote_addr|$proxy_add_x_forwarded_for|$proxy_protocol_addr|$host";

fn configuration(app: &Upstream) -> String {
    let server = |listen: &str, name: &str, directives: &str| {
        format!(
            "server {{ listen {listen}; server_name {name}; {directives}\n\
             location / {{ return 200 '{SEEN}'; }}\n\
             location /moved {{ return 301 /there; }}\n\
             location /app {{ proxy_pass http://{app}; }} }}\n",
            app = app.address()
        )
    };
    [
        "log_format seen '$http_x_id $remote_addr $server_addr $binary_remote_addr';\n\
         access_log ROOT/seen.log seen; access_log ROOT/combined.log;\n\
         ssl_certificate ROOT/site.crt; ssl_certificate_key ROOT/site.key;\n\
         proxy_set_header X-Seen '$remote_addr $server_addr $server_port';\n\
         server { listen 127.0.0.1:HTTP_PORT; return 204; }\n",
        &server("unix:ROOT/plain", "a.test", ""),
        &server("unix:ROOT/plain default_server backlog=17", "b.test", ""),
        &server("unix:ROOT/named", "named.test", "server_name_in_redirect on;"),
        &server("unix:ROOT/real", "real.test", "set_real_ip_from unix:;"),
        &server(
            "unix:ROOT/told proxy_protocol",
            "told.test",
            "set_real_ip_from unix:; real_ip_header proxy_protocol;",
        ),
        &server("unix:ROOT/secure ssl", "secure.test", ""),
    ]
    .concat()
}

/// What is asked at which socket: its name, what comes first, and the request without its X-Id.
const ASKED: &[(&str, &str, &str)] = &[
    ("plain", "", "GET / HTTP/1.1\r\nHost: a.test\r\n"),
    ("plain", "", "GET / HTTP/1.1\r\nHost: b.test\r\n"),
    ("plain", "", "GET / HTTP/1.1\r\nHost: other.test:81\r\n"),
    ("plain", "", "GET / HTTP/1.0\r\n"),
    ("plain", "", "GET /moved HTTP/1.1\r\nHost: a.test\r\n"),
    ("plain", "", "GET /moved HTTP/1.0\r\n"),
    ("plain", "", "GET /app HTTP/1.1\r\nHost: a.test\r\n"),
    ("named", "", "GET /moved HTTP/1.0\r\n"),
    ("named", "", "GET /moved HTTP/1.1\r\nHost: a.test\r\n"),
    ("plain", "", "GET /moved HTTP/1.1\r\nHost: a.test:8080\r\n"),
    ("real", "", "GET / HTTP/1.1\r\nHost: real.test\r\nX-Real-IP: 192.0.2.7\r\n"),
    ("real", "", "GET / HTTP/1.1\r\nHost: real.test\r\n"),
    ("told", "PROXY TCP4 192.0.2.1 198.51.100.1 5678 443\r\n", "GET / HTTP/1.1\r\nHost: x\r\n"),
    ("told", "PROXY UNKNOWN\r\n", "GET / HTTP/1.1\r\nHost: x\r\n"),
    ("secure", "", "GET /moved HTTP/1.1\r\nHost: secure.test\r\n"),
    ("secure", "", "GET /app HTTP/1.1\r\nHost: secure.test\r\n"),
];

#[test]
fn connections_through_a_socket_are_what_they_are_in_nginx() {
    let app = Upstream::mirror();
    let Some(both) = Both::start(&configuration(&app), &[NAME, "secure.test"]) else { return };
    let mut found = Vec::new();
    for (number, asked) in ASKED.iter().enumerate() {
        let [theirs, ours] = both.sides().map(|side| ask(side, number, asked));
        if theirs != ours {
            found.push(format!("{asked:?}:\nnginx {theirs:#?}\nsheen {ours:#?}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let [theirs, ours] = both.sides().map(|side| {
        let mode = fs::metadata(side.folder.join("plain")).unwrap().permissions().mode();
        let logged = side.log_line("combined.log", "unix: - - [");
        (mode, logged.split_once(']').unwrap().1.to_owned())
    });
    assert_eq!(theirs, ours);
}

/// Status, body or Location, what the app saw, and the line of the log.
fn ask(
    side: Side<'_>,
    number: usize,
    (socket, before, request): &(&str, &str, &str),
) -> Vec<String> {
    let mut client = Client::plain_unix(&side.folder.join(socket));
    if *socket == "secure" {
        client.start_tls("secure.test", &Offer::default().config());
        client.handshake().unwrap();
    }
    let id = format!("id-{number}");
    client.send(format!("{before}{request}X-Id: {id}\r\nConnection: close\r\n\r\n"));
    let answer = client.answer("GET");
    let is_app = request.contains("/app ");
    let text = match answer.status() {
        200 if is_app => answer.mirrored().field("x-seen").unwrap_or("none").to_owned(),
        200 => answer.text(),
        _ => answer.field("location").unwrap_or("none").to_owned(),
    };
    let seen = [answer.status().to_string(), text, side.log_line("seen.log", &id)];
    seen.map(|text| side.neutral(&text)).into()
}

fn listening(sockets: &[&str]) -> String {
    let lines = sockets.iter().map(|name| format!("listen unix:ROOT/{name};\n"));
    format!(
        "access_log off; server {{ listen 127.0.0.1:HTTP_PORT;\n{} return 200 $server_addr; }}",
        lines.collect::<String>()
    )
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

#[test]
fn a_reload_adds_and_removes_sockets_and_a_test_touches_none() {
    let mut running = Running::prepared(&listening(&["one", "two"]), &[NAME], &[], |folder| {
        // Of a process that was killed.
        drop(UnixListener::bind(folder.join("two")).unwrap());
    });
    let folder = running.sheen.dir.path().to_owned();
    let [one, two, three] = ["one", "two", "three"].map(|name| folder.join(name));
    let served = |path: &Path| {
        let answer = Client::plain_unix(path).get(NAME, "/");
        assert_eq!(answer.text(), format!("unix:{}", path.display()));
    };
    served(&one);
    served(&two);
    let conf = folder.join("nginx.conf");
    let text = fs::read_to_string(&conf).unwrap();
    let (from, to) = (format!("listen unix:{}", one.display()), three.display());
    let text = text.replace(&from, &format!("listen unix:{to}"));
    fs::write(&conf, &text).unwrap();
    let tested = run(&folder, &["-t", "-c", conf.to_str().unwrap()]);
    assert!(tested.status.success(), "{tested:?}");
    assert!(is_socket(&one) && is_socket(&two) && !three.exists());
    assert_eq!(running.sheen.hup(), Reload::Done);
    served(&two);
    served(&three);
    assert!(!one.exists());
    running.sheen.signal(Signal::QUIT);
    assert!(running.sheen.wait().success());
    assert!(!two.exists() && !three.exists());
}

#[test]
fn a_socket_goes_over_to_the_next_binary() {
    let dir = TempDir::new().unwrap();
    let text = format!(
        "pid ROOT/run.pid; worker_processes 2; daemon off; events {{}}\nhttp {{ {} }}\n",
        listening(&["one"])
    );
    let mut running = Running::start_in(dir, &text, &[]);
    let folder = running.sheen.dir.path().to_owned();
    let path = folder.join("one");
    running.sheen.signal(Signal::USR2);
    let heir = Stranger::of(&folder.join("run.pid"), Some(running.sheen.pid()));
    running.sheen.log().wait_for("new binary");
    running.sheen.signal(Signal::QUIT);
    assert!(running.sheen.wait().success());
    for _ in 0..8 {
        let answer = Client::plain_unix(&path).get(NAME, "/");
        assert_eq!(answer.text(), format!("unix:{}", path.display()));
    }
    heir.signal(Signal::QUIT);
    heir.wait();
    wait::until("the end of the socket", || !path.exists());
}

#[test]
fn a_test_says_that_the_machine_has_no_such_address() {
    let dir = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let tested = |listen: &str| {
        let http = format!("server {{ listen {listen}; return 204; }}");
        let conf = sheen_tests::nginx_conf::write(dir.path(), &http, 1, 2);
        let output = run(dir.path(), &["-t", "-c", &conf]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = tested("192.0.2.1:8081");
    let words = "[emerg] bind() to 192.0.2.1:8081 failed (99: Cannot assign requested address)";
    assert!(code == Some(1) && said.contains(words), "{said}");
    let (code, said) = tested(&taken.to_string());
    assert_eq!(code, Some(0), "{said}");
}

/// nginx binds the wildcard alone and tells by the address that a connection has come to.
#[test]
fn an_address_and_the_wildcard_share_a_port() {
    let servers: String = ["127.0.0.1:HTTP_PORT", "HTTP_PORT", "127.0.0.2:HTTP_PORT"]
        .map(|listen| format!("server {{ listen {listen}; return 200 {listen}; }}\n"))
        .concat();
    let running = Running::start(&format!("access_log off; {servers}"), &[NAME]);
    let port = running.http.port();
    let seen = |last| Client::plain((Ipv4Addr::new(127, 0, 0, last), port).into()).get(NAME, "/");
    for (last, who) in [(1, "127.0.0.1:"), (2, "127.0.0.2:"), (3, "")] {
        assert_eq!(seen(last).text(), format!("{who}{port}"));
    }
    let conf = running.sheen.dir.path().join("nginx.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text.replace("127.0.0.2:", "127.0.0.3:")).unwrap();
    assert_eq!(running.sheen.hup(), Reload::Done);
    for (last, who) in [(1, "127.0.0.1:"), (3, "127.0.0.3:"), (2, "")] {
        assert_eq!(seen(last).text(), format!("{who}{port}"));
    }
}
