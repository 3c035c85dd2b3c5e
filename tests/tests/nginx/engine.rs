//! The request engine beside the real nginx: one configuration, the same requests to both.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use sheen_tests::engine::{Engine, Seen};
use sheen_tests::nginx::{self, Nginx};

/// Where we differ on purpose: beginning and part of a target, and why.
const DELIBERATE: &[(&str, &str, &str)] = &[
    ("GET /var/", "%20", "nginx writes the decoded space into the request line and breaks it"),
    ("GET /capture/", "%20", "nginx writes the decoded space into the request line and breaks it"),
];

/// A configuration and what is asked of it: `METHOD target [host]`.
struct Table {
    http: String,
    files: &'static [(&'static str, &'static str)],
    requests: Vec<String>,
}

/// Runs a table in both and shows every difference.
fn compare(table: &Table) {
    if !nginx::is_installed() {
        eprintln!("skipped: there is no nginx on this machine");
        return;
    }
    let upstream = echo();
    let http = table.http.replace("UPSTREAM", &format!("127.0.0.1:{upstream}"));
    let server = Nginx::start(&http, table.files);
    let mut engine = Engine::new(&http, server.folder()).expect("it is right");
    let mut differences = Vec::new();
    for request in &table.requests {
        let words: Vec<&str> = request.split(' ').collect();
        let host = words.get(2).copied().unwrap_or("localhost");
        let raw = format!(
            "{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
            words[0], words[1]
        );
        let ours = engine.ask(words[0], words[1], host);
        let theirs = read(&server.ask(raw.as_bytes()), ours.body.is_some() && words[0] != "HEAD");
        let ours = if words[0] == "HEAD" { Seen { body: None, ..ours } } else { ours };
        let deliberate = DELIBERATE
            .iter()
            .any(|(start, part, _)| request.starts_with(start) && request.contains(part));
        if (ours != theirs) != deliberate {
            differences.push(format!("{request}\n   nginx: {theirs:?}\n   sheen: {ours:?}"));
        }
    }
    let count = differences.len();
    assert!(count == 0, "{count} of {}:\n{}", table.requests.len(), differences.join("\n"));
}

/// Status, Location and body of an answer.
fn read(answer: &[u8], with_body: bool) -> Seen {
    let text = String::from_utf8_lossy(answer);
    if answer.is_empty() {
        return Seen { status: 444, location: String::new(), body: None };
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let location =
        head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap_or_default();
    Seen {
        status: head[9..12].parse().unwrap(),
        location: location.to_owned(),
        body: with_body.then(|| body.to_owned()),
    }
}

/// An upstream that answers with the target it was asked for; says its port.
fn echo() -> u16 {
    upstream(|head| {
        let body = format!("proxied {}", head.split(' ').nth(1).unwrap_or_default());
        let length = body.len();
        format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
    })
}

/// An upstream that makes its answer of the head; says its port. It lives as long as the process.
pub(crate) fn upstream(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut buffer = [0; 4096];
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(len @ 1..) => head.extend_from_slice(&buffer[..len]),
                    _ => break,
                }
            }
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&head)).as_bytes());
        }
    });
    port
}

/// The words of a text.
fn list(words: &str) -> Vec<&str> {
    words.split(' ').collect()
}

fn get(targets: &[&str]) -> Vec<String> {
    targets.iter().map(|target| format!("GET {target}")).collect()
}

pub(crate) fn server(inside: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:PORT; server_name localhost; absolute_redirect off; {inside} }}"
    )
}

#[test]
fn uris_are_normalised_as_nginx_does() {
    let pieces = list("/ // a b . .. %2e %2F %41 %3f %23 %25 + ? %zz # %00 \u{e9}");
    let mut requests = Vec::new();
    for a in &pieces {
        for b in &pieces {
            for c in &pieces {
                requests.push(format!("GET /{a}{b}{c}"));
                requests.push(format!("GET /x/{a}{b}/{c}"));
            }
        }
    }
    for target in [
        "http://localhost",
        "http://localhost?x",
        "http://localhost/a?b",
        "*",
        "a/b",
        "http://localhost:80/%61",
    ] {
        requests.push(format!("GET {target}"));
    }
    let inside = "return 200 \"$uri|$args|$is_args|$request_uri|$host\";";
    for extra in ["", "merge_slashes off;"] {
        compare(&Table {
            http: server(&format!("{extra} {inside}")),
            files: &[],
            requests: requests.clone(),
        });
    }
}

#[test]
fn locations_are_chosen_as_nginx_does() {
    let names = list("/ /a /a/ /ab /a/b /a/b/ /images/ /a/x.php /a-b");
    let mut inside = String::new();
    for (at, name) in names.iter().enumerate() {
        inside += &match at % 3 {
            0 => format!("location {name} {{ return 200 'prefix {name} $1'; }}\n"),
            1 => format!(
                "location ^~ {name} {{ return 200 'stop {name} $1'; location ~ q$ {{ return 200 'inner {name}'; }} }}\n"
            ),
            _ => format!(
                "location {name} {{ location ~ /n(.)$ {{ return 200 'nested {name} $1'; }} location {name}deep {{ return 200 'deep {name}'; }} return 200 'outer {name}'; }}\n"
            ),
        };
    }
    inside += "location = / { return 200 root; } location = /a/b { return 200 exact; }\n";
    inside += "location ~ \\.php$ { return 200 'php'; } location ~* \\.(PNG|gif)$ { return 200 'image $1'; }\n";
    inside += "location ~ ^/a(?<tail>.*)z$ { return 200 'tail $tail $1'; location ~ zz { return 200 'nested zz'; } }\n";
    inside += "location /slash/ { proxy_pass http://UPSTREAM; } location /both/ { proxy_pass http://UPSTREAM; }\n";
    inside +=
        "location = /both { return 200 'both'; } location /in/ { internal; return 200 'in'; }\n";
    inside += "location @named { return 200 'named'; }\n";
    let mut requests = get(&[
        "/slash",
        "/slash?a=b",
        "/slash/",
        "/slashx",
        "/both",
        "/both/",
        "/in/",
        "/in",
        "/@named",
        "/s%20lash",
    ]);
    let tails = [
        "", "/", "x", "/x", ".php", ".gif", ".Png", "zz", "/nq", "/n1", "deep", "deep/n2", "b",
        "-b", "/b", "/b/", "/b/c", "q", "z",
    ];
    for name in &names {
        for tail in tails {
            requests.push(format!("GET {name}{tail}"));
            requests.push(format!("GET {name}{tail}/n3"));
        }
    }
    compare(&Table { http: server(&inside), files: &[], requests });
}

#[test]
fn servers_are_chosen_as_nginx_does() {
    let names = list(
        "a.test *.a.test *.b.a.test .dot.test www.* www.x.* ~^(?<who>[a-z]+)[0-9]\\.re\\.test$ ~re\\.test$ _ Upper.Test",
    );
    let mut http = String::from(
        "server { listen 127.0.0.1:PORT default_server; server_name none; return 200 'default $host'; }\n",
    );
    for name in names {
        let braces = name.starts_with('~');
        let quoted = if braces { format!("\"{name}\"") } else { name.to_owned() };
        let who = if name.contains("who") { "$who $1" } else { "" };
        http += &format!(
            "server {{ listen 127.0.0.1:PORT; server_name {quoted}; return 200 \"{} $host {who} $http_host\"; }}\n",
            if braces { "re" } else { name }
        );
    }
    let http = http.replace("server_name none;", "server_name none; set $who $who;");
    let hosts = list(
        "a.test A.TEST a.test. a.test:80 x.a.test x.y.a.test b.a.test x.b.a.test dot.test x.dot.test www.a www.x.y www.x www. www joe1.re.test joe.re.test _ upper.test UPPER.test:1 other [::1] [::1]:80 a..test a/b .a.test :80 a_b x.a.test.:8 .. . a.test:x",
    );
    let requests = hosts.iter().map(|host| format!("GET / {host}")).collect();
    compare(&Table { http, files: &[], requests });
}

#[test]
fn rewrites_are_run_as_nginx_does() {
    let inside = include_str!("engine/rewrites.conf");
    let mut requests = Vec::new();
    for start in list(
        "server last args drop dropadd redirect permanent url scheme two break loop once on if setargs quote back pass loc brk empty",
    ) {
        for tail in [
            "",
            "/",
            "/a",
            "/a/b",
            "/a?b=c",
            "/a%20b",
            "/a%20b?c=%20d",
            "/a+b",
            "/a%2Bb%26c",
            "/%C3%A9",
            "/a?a=x",
            "/abc?a=x&b",
            "/case1?a=y",
            "/x?server=yes",
            "/x?go=1&b=2",
            "/a%3fb",
            "/a%23b?x",
            "/a%25b",
            "?a=1",
            "/a;b&c",
            "/a%22%3c%3e",
        ] {
            requests.push(format!("GET /{start}{tail}"));
        }
    }
    requests.extend((1..10).map(|code| format!("GET /codes/{code}?a=b")));
    compare(&Table { http: server(inside), files: &[], requests });
}

#[test]
fn maps_are_read_as_nginx_does() {
    let http = format!(
        "map $arg_a $plain {{ default d; x 1; Y 2; \"\" empty; \\default named; ~^re(.*)$ \"re $1\"; ~*^CI(?<ci>.*) \"ci $ci\"; ~^re2 never; v $arg_b; }}
         map $http_host $names {{ hostnames; default none; a.test exact; *.a.test head; .b.test dot; www.* tail; ~^r one; }}
         map $plain $second {{ ~^re \"second $plain\"; 1 one; default \"other $plain\"; }}
         map $uri $kept {{ default $uri; }}
         map $uri $fresh {{ volatile; default $uri; }}
         map \"$arg_a:$arg_b\" $both {{ x:y both; default neither; }}
         map $arg_a $nodefault {{ x 1; }}
         {}",
        server("set $before \"$kept $fresh\"; rewrite ^/w(.*)$ /z$1;
            location / { return 200 'p=$plain s=$second n=$names k=$kept f=$fresh b=$before both=$both no=$nodefault ci=$ci'; }")
    );
    let mut requests = Vec::new();
    for a in
        ["", "x", "X", "y", "Y", "default", "reabc", "re2", "ciAB", "CIab", "other", "v", "%78"]
    {
        for b in ["", "y", "z"] {
            requests.push(format!("GET /w?a={a}&b={b}"));
            requests.push(format!("GET /v?b={b}&A={a}"));
        }
    }
    for host in
        ["a.test", "A.test", "x.a.test", "b.test", "x.b.test", "www.q", "rx", "a.test.", "zz"]
    {
        requests.push(format!("GET / {host}"));
    }
    compare(&Table { http, files: &[], requests });
}

#[test]
fn proxied_targets_are_built_as_nginx_does() {
    let mut inside = String::new();
    for (name, url) in [
        ("/plain/", "http://UPSTREAM"),
        ("/root/", "http://UPSTREAM/"),
        ("/path/", "http://UPSTREAM/to/"),
        ("/noslash", "http://UPSTREAM/to"),
        ("/query/", "http://UPSTREAM/to?x="),
        ("/var/", "http://UPSTREAM$uri"),
        ("/varargs/", "http://UPSTREAM/v$is_args$args"),
        ("/varhost/", "http://$up"),
        ("/varuri/", "http://$up/fixed"),
        ("= /exact", "http://UPSTREAM/other"),
        ("~ ^/regex/", "http://UPSTREAM"),
        ("~ ^/capture/(.*)$", "http://UPSTREAM/c/$1?a=$1"),
    ] {
        inside += &format!("location {name} {{ set $up UPSTREAM; proxy_pass {url}; }}\n");
    }
    inside += "
        location /if/ { proxy_pass http://UPSTREAM/i/; if ($arg_x) { proxy_pass http://UPSTREAM; } if ($arg_y) { set $z 1; } }
        location /limit/ { limit_except GET { proxy_pass http://UPSTREAM; } proxy_pass http://UPSTREAM/l/; }
        location /rw/ { rewrite ^/rw/(.*)$ /path/$1 last; }
        location /tried/ { try_files /none @named; }
        location @named { proxy_pass http://UPSTREAM; }
        location /retried/ { try_files /none /path/fallback?q=$arg_q; }
        location /named/ { rewrite ^ /changed; try_files /none @named; }
    ";
    let mut requests = Vec::new();
    for start in list(
        "plain root path noslash query var varargs varhost varuri exact regex capture if limit rw tried retried named",
    ) {
        for tail in [
            "",
            "/",
            "/a",
            "/a/../b",
            "/%61",
            "/a%20b?c=%20d",
            "/a%2fb",
            "/a+b?x=1&y=2",
            "/%C3%A9",
            "/a//b",
            "?q=1",
            "/a?x=1",
            "/a?y=1",
            "/a%3fb",
            "/a%25%23b",
            "/a\"b",
            "/a|b^c",
        ] {
            requests.push(format!("GET /{start}{tail}"));
        }
        requests.push(format!("POST /{start}/a"));
        requests.push(format!("HEAD /{start}/a"));
    }
    compare(&Table { http: server(&inside), files: &[], requests });
}

#[test]
fn error_pages_and_files_are_found_as_nginx_does() {
    let inside = include_str!("engine/errors.conf");
    let files: &[(&str, &str)] = &[
        ("pages/404.html", "page 404"),
        ("pages/403.html", "page 403"),
        ("pages/500.html", "page 500"),
        ("pages/410.html", "page 410"),
        ("files/a.txt", "a"),
        ("try.html", "try html"),
        ("try/b.html", "b html"),
        ("f/g", "g"),
        ("only/a.txt", "only"),
        ("try2", "two"),
    ];
    let mut requests = get(&[
        "/s402",
        "/s403",
        "/s404",
        "/s410?x=y",
        "/s409",
        "/s408",
        "/s500",
        "/s418",
        "/own",
        "/s410x",
        "/rec",
        "/cycle",
        "/nowhere",
        "/files/a.txt",
        "/files/none",
        "/try",
        "/try/b",
        "/try/b.html",
        "/try/none",
        "/try2",
        "/try2/x",
        "/try3",
        "/try4",
        "/try5",
        "/f",
        "/f/",
        "/f/g",
        "/f/h",
        "/x",
        "/only/a.txt",
        "/accel",
        "/pages/",
        "/files",
    ]);
    requests.retain(|request| {
        request != "GET /files"
            && request != "GET /try"
            && request != "GET /f/"
            && request != "GET /pages/"
    });
    requests.push("POST /s402".into());
    requests.push("HEAD /s402".into());
    requests.push("POST /s410".into());
    compare(&Table { http: server(inside), files, requests });
}

#[test]
fn expressions_match_as_in_pcre() {
    let patterns: Vec<&str> = include_str!("engine/patterns.txt").lines().collect();
    let mut inside = String::new();
    for (at, pattern) in patterns.iter().enumerate() {
        for (mode, operator) in [("s", "~"), ("i", "~*")] {
            inside += &format!(
                "location ~ \"(?s)^/{mode}{at}/(?<s>.*)\\z\" {{ if ($s {operator} \"{pattern}\") {{ return 200 'yes [$1] [$2] [$3]'; }} return 200 no; }}\n"
            );
        }
    }
    let subjects: Vec<&str> = include_str!("engine/subjects.txt").lines().collect();
    let mut requests = Vec::new();
    for at in 0..patterns.len() {
        for subject in &subjects {
            requests.push(format!("GET /s{at}/{subject}"));
            requests.push(format!("GET /i{at}/{subject}"));
        }
    }
    compare(&Table { http: server(&inside), files: &[], requests });
}
