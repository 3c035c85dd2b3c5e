//! Access and error logs of nginx.conf: which requests have a line, what it says beside the real
//! nginx, where it goes, and what other programs read out of it.

use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use sheen_tests::both::{Both, Side};
use sheen_tests::client::Client;
use sheen_tests::nginx;
use sheen_tests::nginx_conf::Running;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;

const LOG: &str = r#"
    log_format seen '$remote_addr|$request|$status|$server_name|$host|$http_user_agent|'
                    '$request_method|$request_uri|$server_protocol|$remote_user';
    access_log ROOT/seen.log seen;
    large_client_header_buffers 4 1k;
    client_header_timeout 300ms;
    client_body_timeout 300ms;
    client_max_body_size 10;
"#;

const SERVERS: &str = r#"
    server {
        listen 127.0.0.1:HTTP_PORT default_server;
        server_name first.test;
        location / { return 200 first; }
        location /silent { return 444; }
        location /app { proxy_pass http://APP; }
        location /gone { proxy_pass http://127.0.0.1:1; }
    }
    server {
        listen 127.0.0.1:HTTP_PORT;
        server_name second.test;
        location / { return 200 second; }
    }
"#;

/// What comes on a connection of its own, and how it goes on.
struct Odd {
    /// `LONG` stands for more than a head may hold.
    bytes: &'static str,
    /// The client leaves when it has sent that; else it waits for the end.
    leaves: bool,
    /// Why our line differs from nginx's, and what it is.
    differs: Option<(&'static str, &'static [&'static str])>,
}

const fn odd(bytes: &'static str) -> Odd {
    Odd { bytes, leaves: false, differs: None }
}

const ODD: &[Odd] = &[
    odd("GET /one HTTP/1.1\r\nHost: second.test\r\nUser-Agent: a\r\nConnection: close\r\n\r\n"),
    odd("GET /one HTTP/1.0\r\n\r\n"),
    odd("BREW\r\n\r\n"),
    odd("GET / HTTP/1.1\r\n\r\n"),
    odd("GET / HTTP/1.1\r\nHost: second.test\r\nHost: first.test\r\n\r\n"),
    odd("GET / HTTP/1.1\r\nHost: second.test\r\nUser-Agent: b\r\nContent-Length: x\r\n\r\n"),
    odd("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n"),
    odd(
        "POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello hello",
    ),
    odd("GET /gone HTTP/1.1\r\nHost: first.test\r\nConnection: close\r\n\r\n"),
    Odd {
        differs: Some((
            "the line is logged whole, with its parts: nginx stops reading within it",
            &["GET /LONG HTTP/1.1|414|first.test|first.test|-|GET|/LONG|HTTP/1.1|-"],
        )),
        ..odd("GET /LONG HTTP/1.1\r\nHost: first.test\r\n\r\n")
    },
    Odd {
        differs: Some((
            "too large a head has a status of its own",
            &["GET / HTTP/1.1|431|second.test|second.test|d|GET|/|HTTP/1.1|-"],
        )),
        ..odd("GET / HTTP/1.1\r\nHost: second.test\r\nUser-Agent: d\r\nX-Long: LONG\r\n\r\n")
    },
    odd("GET /ha"),
    odd("GET /half HTTP/1.1\r\nHost: second.test\r\nUser-A"),
    odd("POST /app HTTP/1.1\r\nHost: first.test\r\nUser-Agent: e\r\nContent-Length: 5\r\n\r\nab"),
    Odd { leaves: true, ..odd("") },
    Odd { leaves: true, ..odd("GET /half") },
    Odd { leaves: true, ..odd("GET /half HTTP/1.1\r\nHost: second.test\r\nUser-A") },
    Odd { leaves: true, ..odd("GET /app HTTP/1.1\r\nHost: first.test\r\nUser-Agent: c\r\n\r\n") },
];

#[test]
fn odd_requests_have_the_lines_that_nginx_writes() {
    // It answers nobody.
    let app = Upstream::start(|conn| drop(conn.rest()));
    let http = format!("{LOG}{SERVERS}").replace("APP", app.address());
    let Some(both) = Both::start(&http, &[NAME]) else { return };
    both.sheen.sheen.expect_log("connect() failed (111: Connection refused)");
    let [theirs, ours] = both.sides().map(|side| {
        ODD.iter().zip(addresses()).for_each(|(odd, from)| send(side, odd, from));
        lines(side)
    });
    let mut found = Vec::new();
    for (odd, (theirs, ours)) in ODD.iter().zip(theirs.into_iter().zip(ours)) {
        let expected = match odd.differs {
            None => theirs.clone(),
            Some((_, lines)) => lines.iter().map(|line| (*line).to_owned()).collect(),
        };
        if ours != expected || (odd.differs.is_some() && ours == theirs) {
            found.push(format!("{:?}\nnginx {theirs:#?}\nsheen {ours:#?}", odd.bytes));
        }
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// A row's address: by that its lines are known.
fn addresses() -> impl Iterator<Item = IpAddr> {
    (1..=255).map(|number| [127, 0, 1, number].into())
}

/// Sends one of them and awaits the end.
fn send(side: Side<'_>, odd: &Odd, from: IpAddr) {
    let mut client = Client::plain_from(from, side.http);
    client.send(odd.bytes.replace("LONG", &"l".repeat(LONG)));
    if odd.leaves {
        client.shutdown_write();
    }
    let mut bin = Vec::new();
    let _ = client.read_to_end(&mut bin);
}

/// The lines that each of them has left behind.
fn lines(side: Side<'_>) -> Vec<Vec<String>> {
    // What came before is written when these are.
    for number in 0..3 {
        side.plain().get("first.test", &format!("/marker-{number}"));
    }
    let text = || fs::read_to_string(side.folder.join("seen.log")).unwrap_or_default();
    wait::until("the marker", || text().contains("/marker-2 ") && text().ends_with('\n'));
    let text = text();
    let lines_from = |from: IpAddr| -> Vec<String> {
        let from = format!("{from}|");
        text.lines().filter_map(|line| line.strip_prefix(&from)).map(shortened).collect()
    };
    addresses().take(ODD.len()).map(lines_from).collect()
}

/// With `LONG` for what is left of it.
fn shortened(line: &str) -> String {
    let parts = line.split('|').map(|part| match part.split_once("lll") {
        Some((start, rest)) => format!("{start}LONG{}", rest.trim_start_matches('l')),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("|")
}

const LONG: usize = 5000;

#[test]
fn every_log_is_opened_again_and_conditions_and_off_are_kept() {
    let http = r#"
        log_format short '$uri $status';
        log_format quoted escape=json '{"uri":"$uri","agent":"$http_user_agent","no":"$http_no"}';
        log_format bare escape=none '$uri "$http_user_agent" $http_no.';
        map $status $loud { ~^2 0; default 1; }
        access_log ROOT/main.log short buffer=32k flush=5m;
        error_log ROOT/error.log;
        server {
            listen 127.0.0.1:HTTP_PORT;
            location / { return 200 a; }
            location /own {
                access_log ROOT/own.log short;
                access_log ROOT/loud.log short if=$loud;
                access_log ROOT/json.log quoted;
                access_log ROOT/bare.log bare;
                if ($arg_loud) { return 404; }
                return 200 b;
            }
            location /off {
                access_log off;
                location /off/on { access_log ROOT/own.log short; return 200 c; }
                return 200 d;
            }
        }
    "#;
    let running = Running::start(http, &[NAME]);
    let folder = running.sheen.dir.path().to_owned();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let ask = |target: &str| {
        let mut client = Client::plain(running.http);
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nUser-Agent: \"a\\b\"\r\nConnection: close\r\n\r\n"
        ));
        client.answer("GET");
    };
    let names = ["main.log", "own.log", "loud.log", "json.log", "bare.log", "error.log"];
    for round in 0..2 {
        for target in ["/off/x", "/off/on", "/own/1", "/own/2?loud=1", "/main"] {
            ask(target);
        }
        // Each file is written for itself.
        let last = [("main.log", "/main "), ("own.log", "/own/2 "), ("bare.log", "/own/2 ")];
        wait::until("the last lines", || last.iter().all(|(name, line)| read(name).contains(line)));
        wait::until("loud and json", || {
            !read("loud.log").is_empty() && read("json.log").contains("/own/2")
        });
        let said = names.map(&read);
        let bare = "/own/1 \"\"a\\b\"\" .\n/own/2 \"\"a\\b\"\" .\n";
        let json =
            |uri: &str| format!("{{\"uri\":\"{uri}\",\"agent\":\"\\\"a\\\\b\\\"\",\"no\":\"\"}}\n");
        let json = json("/own/1") + &json("/own/2");
        let expected = ["/main 200\n", "/off/on 200\n/own/1 200\n/own/2 404\n", "/own/2 404\n"];
        assert_eq!(said[..3], expected, "round {round}");
        assert_eq!((&*said[3], &*said[4]), (&*json, bare));
        for name in names {
            fs::rename(folder.join(name), folder.join(format!("{name}.1"))).unwrap();
        }
        running.sheen.signal(Signal::USR1);
        for name in names {
            wait::until(name, || folder.join(name).exists());
        }
    }
}

#[test]
fn an_error_log_that_nobody_keeps_is_not_printed() {
    let http = "error_log /dev/null; server { listen 127.0.0.1:HTTP_PORT; \
                location / { proxy_pass http://127.0.0.1:1; } }";
    let running = Running::start(http, &[NAME]);
    assert_eq!(running.get(NAME, "/").status(), 502);
    assert!(!running.sheen.log().holds("connect()"), "{}", running.sheen.log().text());
}

/// What fail2ban's filters for nginx look for in an error line, word by word: time, level, process
/// and connection, then anything, client, server, request, host, referrer.
fn banned(line: &str) -> Option<(String, String)> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (date, rest) = line.split_at_checked(20)?;
    let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let rest = rest.strip_prefix('[')?;
    let (level, rest) = rest.split_once("] ")?;
    let (process, rest) = rest.split_once(": *")?;
    let (pid, tid) = process.split_once('#')?;
    let (connection, what) = rest.split_once(' ')?;
    let (what, rest) = what.split_once(", client: ")?;
    let (client, rest) = rest.split_once(", server: ")?;
    let (server, rest) = rest.split_once(", request: \"")?;
    let (request, rest) = rest.split_once('"')?;
    let rest = match rest.strip_prefix(", upstream: \"") {
        Some(rest) => rest.split_once('"')?.1,
        None => rest,
    };
    let (host, rest) = rest.strip_prefix(", host: \"")?.split_once('"')?;
    let end = rest.is_empty() || rest.starts_with(", referrer: \"") && rest.ends_with('"');
    let right = shape == "0000/00/00 00:00:00 "
        && level == "error"
        && [pid, tid, connection].into_iter().all(digits)
        && !server.contains(' ')
        && request.split(' ').count() == 3
        && !host.contains(' ')
        && end;
    right.then(|| (what.to_owned(), client.to_owned()))
}

#[test]
fn error_lines_are_those_that_other_programs_look_for() {
    let app = Upstream::start(|conn| drop(conn.head()));
    let http = r#"
        log_format combined2 '$remote_addr - $remote_user [$time_local] "$request" $status';
        access_log ROOT/access.log combined2;
        set_real_ip_from 127.0.0.1;
        error_log ROOT/error.log;
        server {
            listen 127.0.0.1:HTTP_PORT;
            server_name app.test other.test;
            location /gone/ { proxy_pass http://127.0.0.1:1/under/; }
            location / { proxy_pass http://APP; }
        }
    "#;
    let Some(both) = Both::start(&http.replace("APP", app.address()), &[NAME]) else { return };
    let seen = both.sides().map(|side| {
        let mut seen = Vec::new();
        for target in ["/gone/x?y", "/closed"] {
            let mut client = side.plain();
            client.send(format!(
                "GET {target} HTTP/1.1\r\nHost: other.test\r\nReferer: http://a/\r\n\
                 X-Real-IP: 192.0.2.1\r\nConnection: close\r\n\r\n"
            ));
            assert_eq!(client.answer("GET").status(), 502);
            let mut line = String::new();
            wait::until("the error line", || {
                let text = fs::read_to_string(side.folder.join("error.log")).unwrap_or_default();
                line = text.lines().find(|line| line.contains(target)).unwrap_or_default().into();
                !line.is_empty()
            });
            assert!(
                banned(&line).is_some_and(|(_, ip)| ip == "192.0.2.1"),
                "{}: {line}",
                side.name
            );
            let (_, what) = line.split_once(" *").unwrap();
            seen.push(side.neutral(what.split_once(' ').unwrap().1));
        }
        // Its filter for bad requests reads the access log.
        let mut client = side.plain();
        client.send("GET / HTTP/1.1\r\n\r\n");
        client.answer("GET");
        let line = side.log_line("access.log", "127.0.0.1 - - [");
        seen.push(line.split_once("] ").unwrap().1.to_owned());
        seen
    });
    assert_eq!(seen[1], seen[0]);
    assert_eq!(seen[0][2], "\"GET / HTTP/1.1\" 400");
}

#[test]
fn a_client_that_goes_while_the_app_thinks_is_told_of_as_499() {
    let app = Upstream::start(|conn| drop(conn.rest()));
    let http = "log_format s '$status $body_bytes_sent $request_completion $upstream_status.'; \
                access_log ROOT/s.log s; server { listen 127.0.0.1:HTTP_PORT; \
                location / { proxy_pass http://APP; } }";
    let Some(both) = Both::start(&http.replace("APP", app.address()), &[NAME]) else { return };
    for side in both.sides() {
        let mut client = side.plain();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let waiting = app.connections();
        wait::until("the app's turn", || app.connections() > 0 && waiting <= app.connections());
        client.set_timeout(Duration::from_secs(1));
        drop(client);
        assert_eq!(side.log_line("s.log", "4"), "499 0  -.", "{}", side.name);
    }
}

#[test]
fn each_server_has_its_error_log() {
    let http = r#"
        access_log off;
        error_log ROOT/http.log;
        server {
            listen 127.0.0.1:HTTP_PORT;
            server_name one.test;
            error_log ROOT/one.log;
            error_log ROOT/crit.log crit;
            location / { proxy_pass http://127.0.0.1:1; }
        }
        server {
            listen 127.0.0.1:HTTP_PORT;
            server_name two.test;
            location / { proxy_pass http://127.0.0.1:1; }
        }
        server {
            listen 127.0.0.1:HTTP_PORT;
            server_name three.test;
            error_log /dev/null;
            location / { proxy_pass http://127.0.0.1:1; }
        }
    "#;
    let Some(both) = Both::start(http, &[NAME]) else { return };
    let seen = both.sides().map(|side| {
        for host in ["three.test", "one.test", "two.test"] {
            assert_eq!(side.plain().get(host, &format!("/{host}")).status(), 502);
        }
        ["http.log", "one.log", "crit.log"].map(|name| {
            let read = || fs::read_to_string(side.folder.join(name)).unwrap_or_default();
            let wanted = if name == "crit.log" { "" } else { "connect()" };
            wait::until(name, || read().contains(wanted));
            let asked = read().lines().filter_map(banned).count();
            (asked, read().contains("/one.test"), read().contains("/two.test"))
        })
    });
    assert_eq!(seen[1], seen[0]);
    assert_eq!(seen[0], [(1, false, true), (1, true, false), (0, false, false)]);
}

#[test]
fn lines_go_to_syslog_as_nginxs_do() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let local = UnixDatagram::bind(dir.path().join("log")).unwrap();
    local.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    let http = r#"
        log_format short '$request "$status"';
        access_log syslog:server=UDP,facility=local1,severity=notice,tag=shiny_1 short;
        error_log syslog:server=unix:LOCAL,nohostname error;
        server {
            listen 127.0.0.1:HTTP_PORT;
            server_name app.test;
            location / { proxy_pass http://127.0.0.1:1; }
        }
    "#;
    let http = http
        .replace("UDP", &server.local_addr().unwrap().to_string())
        .replace("LOCAL", &dir.path().join("log").display().to_string());
    let Some(both) = Both::start(&http, &[NAME]) else { return };
    let seen = both.sides().map(|side| {
        assert_eq!(side.plain().get(NAME, "/x").status(), 502);
        let mut buffer = [0; 4096];
        let len = server.recv(&mut buffer).unwrap();
        let access = String::from_utf8_lossy(&buffer[..len]).into_owned();
        let len = local.recv(&mut buffer).unwrap();
        let error = String::from_utf8_lossy(&buffer[..len]).into_owned();
        let shape = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
        };
        let (priority, rest) = access.split_once('>').unwrap();
        let (time, rest) = rest.split_at(16);
        let (error_priority, error) = error.split_once('>').unwrap();
        assert!(error.contains("connect() failed (111: Connection refused)"), "{error}");
        let tag = error[16..].split(' ').next().unwrap().to_owned();
        [priority, &shape(time), rest, error_priority, &tag].map(str::to_owned)
    });
    assert_eq!(seen[1], seen[0]);
    assert!(seen[0][2].ends_with(" shiny_1: GET /x HTTP/1.1 \"502\""), "{:?}", seen[0]);
}

#[test]
fn what_of_a_log_is_wrong_is_said() {
    let dir = tempfile::TempDir::new().unwrap();
    for (log, what) in [
        ("syslog:facility=user", "no syslog server specified"),
        ("syslog:server=127.0.0.1,facility=x", "unknown syslog facility \"x\""),
        ("syslog:server=127.0.0.1,severity=x", "unknown syslog severity \"x\""),
        ("syslog:server=127.0.0.1,nothing", "unknown syslog parameter \"nothing\""),
        ("syslog:server=127.0.0.1,tag=a-b", "syslog \"tag\" only allows alphanumeric"),
        ("syslog:server=unix:/a,server=unix:/b", "duplicate syslog \"server\""),
        ("syslog:server=unix:", "no path in the unix domain socket in syslog server \"unix:\""),
        ("syslog:server=:514", "no host in syslog server \":514\""),
        ("syslog:server=127.0.0.1:0", "invalid port in syslog server \"127.0.0.1:0\""),
        ("syslog:server=127.0.0.1:x", "invalid port in syslog server \"127.0.0.1:x\""),
        ("syslog:server=[::1", "invalid host in syslog server \"[::1\""),
        ("syslog:server=127.0.0.1/x", "invalid host in syslog server \"127.0.0.1/x\""),
        ("syslog:server", "unknown syslog parameter \"server\""),
        ("syslog:server=", "no host in syslog server \"\""),
        ("/var/log/$host.log", "is not supported: requests could open any number of files"),
    ] {
        let http = format!("access_log {log};\nserver {{ listen 8080; return 200; }}");
        let path = sheen_tests::nginx_conf::write(dir.path(), &http, 1, 2);
        let tested = sheen_tests::sheen::run(dir.path(), &["-t", "-c", &path]);
        let said = String::from_utf8_lossy(&tested.stderr).into_owned();
        let line = said.lines().find(|line| line.contains(what));
        assert!(line.is_some_and(|line| line.ends_with(&format!("in {path}:4"))), "{log}\n{said}");
        if let (true, Some(theirs)) = (log.starts_with("syslog"), nginx_says(dir.path(), log)) {
            assert!(theirs.contains(what), "{log}: nginx says {theirs}");
        }
    }
}

/// What the real nginx says is wrong with an access log.
fn nginx_says(folder: &Path, log: &str) -> Option<String> {
    if !nginx::is_installed() {
        return None;
    }
    let conf = folder.join("theirs.conf");
    fs::write(&conf, format!("events {{}} http {{ access_log {log}; }}")).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-t", "-e", "stderr", "-p"]).arg(folder).arg("-c").arg(&conf);
    let output = command.output().unwrap();
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}
