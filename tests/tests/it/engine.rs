//! The request engine beside the real nginx: one configuration, the same requests to both.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use sheen::route::cookies::Cookies;
use sheen::route::evaluate::Context;
use sheen::route::facts::{Answer, Facts};
use sheen::route::location::Match;
use sheen::route::log_format::LogFormat;
use sheen::route::proxy_pass::ProxyPass;
use sheen::route::state::State;
use sheen::route::upstream_fields::Redirects;
use sheen::route::variable::{Registry, Variables};
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
fn upstream(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
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

fn get(targets: &[&str]) -> Vec<String> {
    targets.iter().map(|target| format!("GET {target}")).collect()
}

fn server(inside: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:PORT; server_name localhost; absolute_redirect off; {inside} }}"
    )
}

#[test]
fn uris_are_normalised_as_nginx_does() {
    let pieces = [
        "/", "//", "a", "b", ".", "..", "%2e", "%2F", "%41", "%3f", "%23", "%25", "+", "?", "%zz",
        "#", "%00", "\u{e9}",
    ];
    let mut requests = Vec::new();
    for a in pieces {
        for b in pieces {
            for c in pieces {
                requests.push(format!("GET /{a}{b}{c}"));
                requests.push(format!("GET /x/{a}{b}/{c}"));
            }
        }
    }
    requests.truncate(4000);
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
    let names = ["/", "/a", "/a/", "/ab", "/a/b", "/a/b/", "/images/", "/a/x.php", "/a-b"];
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
    for name in names {
        for tail in tails {
            requests.push(format!("GET {name}{tail}"));
            requests.push(format!("GET {name}{tail}/n3"));
        }
    }
    compare(&Table { http: server(&inside), files: &[], requests });
}

#[test]
fn servers_are_chosen_as_nginx_does() {
    let names = [
        "a.test",
        "*.a.test",
        "*.b.a.test",
        ".dot.test",
        "www.*",
        "www.x.*",
        "~^(?<who>[a-z]+)[0-9]\\.re\\.test$",
        "~re\\.test$",
        "_",
        "Upper.Test",
    ];
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
    let hosts = [
        "a.test",
        "A.TEST",
        "a.test.",
        "a.test:80",
        "x.a.test",
        "x.y.a.test",
        "b.a.test",
        "x.b.a.test",
        "dot.test",
        "x.dot.test",
        "www.a",
        "www.x.y",
        "www.x",
        "www.",
        "www",
        "joe1.re.test",
        "joe.re.test",
        "_",
        "upper.test",
        "UPPER.test:1",
        "other",
        "[::1]",
        "[::1]:80",
        "a..test",
        "a/b",
        ".a.test",
        ":80",
        "a_b",
        "x.a.test.:8",
        "..",
        ".",
        "a.test:x",
    ];
    let requests = hosts.iter().map(|host| format!("GET / {host}")).collect();
    compare(&Table { http, files: &[], requests });
}

#[test]
fn rewrites_are_run_as_nginx_does() {
    let inside = "
        rewrite ^/server/(.*)$ /loc/$1;
        rewrite ^/last/(.*)$ /loc/$1 last;
        rewrite ^/args/(.*)$ /loc/$1?x=1;
        rewrite ^/drop/(.*)$ /loc/$1?;
        rewrite ^/dropadd/(.*)$ /loc?y=$1?;
        rewrite ^/redirect/(.*)$ /loc/$1 redirect;
        rewrite ^/permanent/(.*)$ /loc/$1?a=b permanent;
        rewrite ^/url/(.*)$ http://other.test/$1;
        rewrite ^/scheme/(.*)$ $scheme://other.test/$1?;
        rewrite ^/empty$ $unset_value;
        rewrite ^/two/([^/]*)/(.*)$ /loc/$2/$1/$2;
        if ($arg_server = yes) { return 403; }
        if ($arg_go) { rewrite ^ /loc/gone?; }
        set $unset_value '';
        set $value $uri;
        location /loc { return 200 'loc $uri $args $value $request_uri'; }
        location /break { rewrite ^/break/(.*)$ /loc/$1 break; return 200 'broken $uri $args'; }
        location /loop { rewrite ^/loop(.*)$ /loop$1x last; }
        location /once { rewrite ^/once/(.*)$ /loc/$1?q=$1 last; return 200 'no'; }
        location /on { rewrite ^/on/(.*)$ /off/$1; rewrite ^/off/(.*)$ /loc/$1; }
        location /if {
            set $a 0; set $c '';
            if ($arg_a = x) { set $a 1; }
            if ($arg_a != x) { set $c not; }
            if ($uri ~ ^/if/(\\w+)$) { set $c $1; }
            if ($uri ~* /CASE(.)) { set $c $1$1; }
            if ($uri !~ b) { set $c \"${c}nob\"; }
            if ($uri !~* B) { set $c \"${c}noB\"; }
            if ($a) { return 200 'if a=$a c=$c'; }
            return 200 'c=$c';
        }
        location /setargs { set $args changed=$arg_a; rewrite ^ /loc last; }
        location ~ ^/quote/(.*)$ { set $q $1; return 200 'q=$q 1=$1 $uri'; }
        location ~ ^/back/(.*)$ { return 301 /target/$1$is_args$args; }
        location /pass/ { rewrite ^/pass/(.*)$ /new/$1?z=1 break; proxy_pass http://UPSTREAM/ignored/; }
        location /brk { break; return 200 'no'; }
        location /codes/1 { return 204; } location /codes/2 { return 200; } location /codes/3 { return 404 'text'; }
        location /codes/4 { return 404; } location /codes/5 { return 301 /x; } location /codes/6 { return http://a.test/$uri; }
        location /codes/7 { return 307 $scheme://$host$request_uri; } location /codes/8 { return 500 ''; } location /codes/9 { return 444; }
    ";
    let mut requests = Vec::new();
    for start in [
        "server",
        "last",
        "args",
        "drop",
        "dropadd",
        "redirect",
        "permanent",
        "url",
        "scheme",
        "two",
        "break",
        "loop",
        "once",
        "on",
        "if",
        "setargs",
        "quote",
        "back",
        "pass",
        "loc",
        "brk",
        "empty",
    ] {
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
    for start in [
        "plain", "root", "path", "noslash", "query", "var", "varargs", "varhost", "varuri",
        "exact", "regex", "capture", "if", "limit", "rw", "tried", "retried", "named",
    ] {
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
    let inside = "
        root ROOT;
        error_page 404 /pages/404.html;
        error_page 403 =200 /pages/403.html;
        error_page 402 = /pages/return;
        error_page 410 @gone;
        error_page 409 =301 http://other.test/$uri;
        error_page 408 http://other.test/;
        error_page 500 502 /pages/500.html;
        location /pages/return { return 200 'own $uri $request_method'; }
        location @gone { return 200 'gone $uri $request_uri'; }
        location /s402 { return 402; } location /s403 { return 403; } location /s404 { return 404; } location /s410 { return 410; }
        location /s409 { return 409; } location /s408 { return 408; } location /s500 { return 500; } location /s418 { return 418; }
        location /own { error_page 404 = /s410x; return 404; }
        location /s410x { error_page 410 /pages/410.html; return 410; }
        location /rec { recursive_error_pages on; error_page 404 = /rec2; return 404; }
        location /rec2 { recursive_error_pages on; error_page 410 =206 /pages/410.html; return 410; }
        location /cycle { recursive_error_pages on; error_page 404 = /cycle; return 404; }
        location /try { try_files $uri $uri/ $uri.html /dir/ =418; }
        location /try2 { try_files $uri /files/none @fallback; }
        location @fallback { return 200 'fallback $uri'; }
        location /try3 { try_files /files/a.txt =404; }
        location /try4 { try_files /nothing /try3; }
        location /try5 { try_files /nothing/ /dir =404; }
        location /f { if (-f $request_filename) { return 200 'file'; } if (-d $request_filename) { return 200 'directory'; }
            if (!-e $request_filename) { return 200 'nothing $document_root'; } return 200 'other'; }
        location /x { if (-x ROOT/x.sh) { return 200 'x'; } if (!-x ROOT/files/a.txt) { return 200 'not x'; } return 200 'no'; }
        location /only/ { internal; }
        location /accel { error_page 404 /only/a.txt; return 404; }
    ";
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
fn fields_of_upstreams_are_rewritten_as_nginx_does() {
    if !nginx::is_installed() {
        eprintln!("skipped: there is no nginx on this machine");
        return;
    }
    let upstream = repeat_fields();
    let places: &[(&str, &str, &[&str])] = &[
        ("/a/", "http://UPSTREAM/", &[]),
        ("/b/", "http://UPSTREAM", &[]),
        ("/c/", "http://UPSTREAM/to/", &["proxy_redirect default", "proxy_redirect / /d/"]),
        (
            "/e/",
            "http://UPSTREAM/",
            &[
                "proxy_redirect off",
                "proxy_cookie_path off",
                "proxy_cookie_domain off",
                "proxy_cookie_flags off",
            ],
        ),
        ("/f/", "http://UPSTREAM$request_uri", &[]),
        (
            "/g/",
            "http://UPSTREAM/",
            &[
                "proxy_redirect http://in.test/ https://$host/g/",
                "proxy_redirect http://$host/ /same/",
                "proxy_redirect ~^http://([^/]+)(/.*)$ /x/$1$2",
            ],
        ),
        ("/h/", "http://UPSTREAM/", &["proxy_redirect ~*^/ABC /abc"]),
        (
            "/i/",
            "http://UPSTREAM/",
            &["proxy_cookie_path / /i/", "proxy_cookie_domain in.test $host"],
        ),
        (
            "/j/",
            "http://UPSTREAM/",
            &[
                "proxy_cookie_path ~^/(app|other)/ /j/$1/",
                "proxy_cookie_domain ~\\.?in\\.(test)$ out.$1",
                "proxy_cookie_flags one secure samesite=lax nohttponly",
                "proxy_cookie_flags ~t.o httponly nosamesite nosecure",
            ],
        ),
        ("/l/", "http://UPSTREAM/", &["proxy_cookie_domain ~^(.*)n.test$ .out$1"]),
        (
            "/k/",
            "http://UPSTREAM/",
            &[
                "proxy_cookie_domain .in.test .out.test",
                "proxy_cookie_flags ~ secure httponly samesite=strict",
            ],
        ),
    ];
    let mut inside = String::new();
    for (name, url, lines) in places {
        let lines: String = lines.iter().map(|line| format!("{line};\n")).collect();
        inside += &format!("location {name} {{ proxy_pass {url}; {lines} }}\n");
    }
    let address = format!("127.0.0.1:{upstream}");
    let server = Nginx::start(&server(&inside).replace("UPSTREAM", &address), &[]);
    let own = format!("http://{address}/");
    let locations = [
        "/",
        "/x?y",
        &own,
        &format!("{own}to/x"),
        "http://in.test/p",
        "http://localhost/q",
        "https://in.test/",
        "/ABCdef",
        "/abc",
        "relative",
        "http://127.0.0.1/",
    ];
    let cookies = [
        "one=1",
        "one=1; Path=/",
        "one=1;Path=/app/;Domain=in.test",
        "two=2; Domain=.IN.test; path=/other/x; Secure; HttpOnly",
        "one=a=b; SameSite=None; Max-Age=1; Path=app",
        "two; Path=/",
        "two=\"q\"; secure; samesite=Lax; Expires=Thu, 01 Jan 1970",
        "; Path=/",
        "one=1; Domain=x.in.test ; ; Path = /",
        "one=1; Path=/;",
        "three",
    ];
    let mut differences = Vec::new();
    assert_eq!(locations.len(), cookies.len());
    for (name, url, lines) in places {
        let url = url.replace("UPSTREAM", &address);
        let mut fields = UpstreamFields::new(name, &url, lines);
        for (at, location) in locations.iter().enumerate() {
            let cookie = cookies[at];
            let raw = format!(
                "GET {name}x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Location: {location}\r\nX-Cookie: {cookie}\r\n\r\n"
            );
            let answer = server.ask(raw.as_bytes());
            let answer = String::from_utf8_lossy(&answer);
            let field = |name: &str| {
                answer
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .unwrap_or("nothing")
                    .to_owned()
            };
            let theirs = (field("Location: "), field("Refresh: "), field("Set-Cookie: "));
            let ours = fields.rewrite(location, cookie);
            if ours != theirs {
                differences.push(format!(
                    "{name} {location} {cookie}\n   nginx: {theirs:?}\n   sheen: {ours:?}"
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}:\n{}", differences.len(), differences.join("\n"));
}

/// The lines of one location, compiled.
struct UpstreamFields {
    variables: Variables,
    state: State,
    redirects: Redirects,
    cookies: Cookies,
}

impl UpstreamFields {
    fn new(name: &str, url: &str, lines: &[&str]) -> Self {
        let mut registry = Registry::default();
        let location = Match::parse(&[name.as_bytes()]).unwrap();
        let proxy = ProxyPass::parse(url.as_bytes(), &location, &mut registry).unwrap();
        let mut redirects = Redirects::default();
        let mut cookies = Cookies::default();
        let mut defaults = true;
        for line in lines {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            match (words[0], &words[1..]) {
                (b"proxy_redirect", rest) => {
                    defaults = false;
                    if rest != [b"off"] {
                        redirects.add(rest, Some(&proxy), name.as_bytes(), &mut registry).unwrap();
                    }
                }
                (_, [b"off"]) => {}
                (b"proxy_cookie_path", rest) => cookies.add_path(rest, &mut registry).unwrap(),
                (b"proxy_cookie_domain", rest) => cookies.add_domain(rest, &mut registry).unwrap(),
                (_, rest) => cookies.add_flags(rest, &mut registry).unwrap(),
            }
        }
        if defaults {
            redirects = Redirects::default_for(&proxy, name.as_bytes());
        }
        let variables = registry.finish().unwrap();
        Self { variables, state: State::default(), redirects, cookies }
    }

    fn rewrite(&mut self, location: &str, cookie: &str) -> (String, String, String) {
        self.state.begin(&self.variables);
        let facts = Facts { host: b"localhost", ..Facts::default() };
        let mut context =
            Context { variables: &self.variables, facts: &facts, state: &mut self.state };
        let refresh = format!("5; url={location}");
        let mut out = [Vec::new(), Vec::new(), Vec::new()];
        if !self.redirects.rewrite_location(location.as_bytes(), &mut context, &mut out[0]) {
            out[0] = location.as_bytes().to_vec();
        }
        if !self.redirects.rewrite_refresh(refresh.as_bytes(), &mut context, &mut out[1]) {
            out[1] = refresh.into_bytes();
        }
        if !self.cookies.rewrite(cookie.as_bytes(), &mut context, &mut out[2]) {
            out[2] = cookie.as_bytes().to_vec();
        }
        let [a, b, c] = out.map(|value| String::from_utf8(value).unwrap());
        (a, b, c)
    }
}

/// An upstream that answers with the fields it was told in X-Location and X-Cookie.
fn repeat_fields() -> u16 {
    upstream(|head| {
        let field = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        let (location, cookie) = (field("X-Location: "), field("X-Cookie: "));
        format!(
            "HTTP/1.0 302 Found\r\nLocation: {location}\r\nRefresh: 5; url={location}\r\nSet-Cookie: {cookie}\r\nContent-Length: 0\r\n\r\n"
        )
    })
}

#[test]
fn logs_are_escaped_as_nginx_does() {
    if !nginx::is_installed() {
        eprintln!("skipped: there is no nginx on this machine");
        return;
    }
    let format = "'$http_a|$arg_a|$uri|$args|$cookie_c|$remote_user|$http_none|$status|${request_method}x|' '$1$request'";
    let format = format.replace("$1", "");
    let mut http = String::new();
    let mut logs = String::new();
    for escape in ["default", "json", "none"] {
        http += &format!("log_format {escape} escape={escape} {format};\n");
        logs += &format!("access_log ROOT/{escape}.log {escape};\n");
    }
    http += &server(&format!("{logs} return 204;"));
    let running = Nginx::start(&http, &[]);
    let values: &[&[u8]] = &[b"plain", b"q\"u\\o", b"\xc3\xa9\xff", b"t\tb", b"", b"~!{}"];
    let targets = ["/a?a=1", "/%22%5C%0a%01?a=%22", "/%C3%A9?A=x&a=y", "/\u{e9}?a", "/?b&a=&c"];
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    for value in values {
        for target in targets {
            let basic = "Authorization: Basic dXNlOnBhc3M=";
            let mut raw = format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{basic}\r\nA: "
            )
            .into_bytes();
            raw.extend_from_slice(value);
            raw.extend_from_slice(b"\r\nCookie: b=1; c=2; d\r\n\r\n");
            running.ask(&raw);
            for (at, escape) in ["default", "json", "none"].iter().enumerate() {
                expected[at].extend(log_line(escape, &format, target, value));
            }
        }
    }
    for (escape, expected) in ["default", "json", "none"].iter().zip(&expected) {
        let log = std::fs::read(running.folder().join(format!("{escape}.log"))).unwrap();
        let (theirs, ours) = (String::from_utf8_lossy(&log), String::from_utf8_lossy(expected));
        for (theirs, ours) in theirs.lines().zip(ours.lines()) {
            assert_eq!(theirs, ours, "{escape}: nginx left, sheen right");
        }
        assert_eq!(log.len(), expected.len());
    }
}

fn log_line(escape: &str, format: &str, target: &str, value: &[u8]) -> Vec<u8> {
    let mut registry = Registry::default();
    let escape = format!("escape={escape}");
    let format = format.replace(['\'', ' '], "");
    let format = LogFormat::parse(&[escape.as_bytes(), format.as_bytes()], &mut registry).unwrap();
    let variables = registry.finish().unwrap();
    let mut state = State::default();
    state.begin(&variables);
    let line = format!("GET {target} HTTP/1.1");
    let fields = [
        httparse::Header { name: "Authorization", value: b"Basic dXNlOnBhc3M=" },
        httparse::Header { name: "A", value },
        httparse::Header { name: "Cookie", value: b"b=1; c=2; d" },
    ];
    let normal = sheen::route::uri::normalise(target.as_bytes(), true, &mut state.uri).unwrap();
    state.args = target.as_bytes()[normal.args].to_vec();
    let facts = Facts {
        request_line: line.as_bytes(),
        method: b"GET",
        fields: &fields,
        answer: Answer { status: 204, ..Answer::default() },
        ..Facts::default()
    };
    let mut out = Vec::new();
    let mut context = Context { variables: &variables, facts: &facts, state: &mut state };
    format.append(&mut context, &mut out);
    out.push(b'\n');
    out
}

#[test]
fn expressions_match_as_in_pcre() {
    let patterns = [
        "^a",
        "b$",
        "^(a|b)+$",
        "(a)(b)?(c)?",
        "(?i)ABC",
        "[[:alpha:]]+([[:digit:]])",
        "\\d{2,3}",
        "^\\w+\\.\\w$",
        "[^a-c]",
        "(?<year>\\d+)-(?<rest>.*)",
        "(?P<p>x.)",
        "(?'q'x.)",
        "\\/",
        "a{,2}",
        "a{2",
        "x{2}y",
        "[a\\-c]",
        "[]a]+",
        "[^]a]",
        "a.c",
        "(?s)a.c",
        "(?m)^c$",
        "\\Aab",
        "c\\z",
        "c\\Z",
        "c$",
        "(?:a|ab)(c|bcd)",
        "(a*?)(a*)",
        "\\Qa.c\\E",
        "[a-\\d]+",
        "[&&a]",
        "[a~~]",
        "[[a]",
        "\\x41",
        "\\x{42}",
        "\\101",
        "\\h",
        "a\\b",
        "\\Bb",
        "(?#note)a",
        "(?-i)a",
        "(?i:A)b",
        "^$",
        "()",
        "a||b",
        "^(.*)/([^/]*)$",
        "\\.(?:css|js)$",
        "\\s",
        "\\S+$",
        "\\R",
        "\\N+",
        "[\\s\\S]+",
        "(?x)a b",
        "%",
        "\\%",
        "\\-",
        "\\_",
        "\\:",
        "}",
        "]",
        "a]b}",
        "[.-0]",
        "[+--]",
        "\\<",
        "\\e",
        "[\\b]",
        "\\cA",
    ];
    let mut inside = String::new();
    for (at, pattern) in patterns.iter().enumerate() {
        for (mode, operator) in [("s", "~"), ("i", "~*")] {
            inside += &format!(
                "location ~ \"(?s)^/{mode}{at}/(?<s>.*)\\z\" {{ if ($s {operator} \"{pattern}\") {{ return 200 'yes [$1] [$2] [$3]'; }} return 200 no; }}\n"
            );
        }
    }
    let subjects = [
        "",
        "a",
        "b",
        "abc",
        "ABC",
        "abcd",
        "a.c",
        "a%0Ac",
        "c%0A",
        "c%0A%0A",
        "ab%0Acd",
        "aaa",
        "xy",
        "xxy",
        "2024-05-06",
        "a/b/c.css",
        "a-b",
        "a{,2}",
        "a{2",
        "a%20b",
        "%5B%5D",
        "&a~",
        "AB",
        "%25",
        "%c3%a9",
        "]",
        "}",
        "a]b}",
        "a%01%08%1b",
        "..",
        "+,-",
        "%3Ca%3E",
        "c%0D%0A",
    ];
    let mut requests = Vec::new();
    for at in 0..patterns.len() {
        for subject in subjects {
            requests.push(format!("GET /s{at}/{subject}"));
            requests.push(format!("GET /i{at}/{subject}"));
        }
    }
    compare(&Table { http: server(&inside), files: &[], requests });
}
