//! Fields of upstreams and lines of logs beside the real nginx.

use sheen::h1::kept::KeptHead;
use sheen::route::cookies::Cookies;
use sheen::route::evaluate::Context;
use sheen::route::facts::{Answer, Facts};
use sheen::route::location::Match;
use sheen::route::log_format::LogFormat;
use sheen::route::proxy_pass::ProxyPass;
use sheen::route::state::State;
use sheen::route::upstream_fields::Redirects;
use sheen::route::variable::{Registry, Variables};
use sheen_tests::nginx::{self, Nginx};

use crate::engine::{server, upstream};

#[test]
fn fields_of_upstreams_are_rewritten_as_nginx_does() {
    if !nginx::is_installed() {
        eprintln!("skipped: there is no nginx on this machine");
        return;
    }
    let upstream = repeat_fields();
    let mut inside = String::new();
    for (name, url, lines) in PLACES {
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
    let mut differences = Vec::new();
    assert_eq!(locations.len(), COOKIES.len());
    for (name, url, lines) in PLACES {
        let url = url.replace("UPSTREAM", &address);
        let mut fields = UpstreamFields::new(name, &url, lines);
        for (at, location) in locations.iter().enumerate() {
            let cookie = COOKIES[at];
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

/// Locations with what they proxy to and their further lines.
const PLACES: &[(&str, &str, &[&str])] = &[
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
    ("/i/", "http://UPSTREAM/", &["proxy_cookie_path / /i/", "proxy_cookie_domain in.test $host"]),
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

/// What upstreams set.
const COOKIES: &[&str] = &[
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
                        redirects.add(rest, &proxy, name.as_bytes(), &mut registry).unwrap();
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
    let mut head = format!("{line}\r\nAuthorization: Basic dXNlOnBhc3M=\r\nA: ").into_bytes();
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\nCookie: b=1; c=2; d\r\n\r\n");
    let (head, _) = KeptHead::lenient_request(&head, |_| true);
    let normal = sheen::route::uri::normalise(target.as_bytes(), true, &mut state.uri).unwrap();
    state.args = target.as_bytes()[normal.args].to_vec();
    let facts = Facts {
        request_line: line.as_bytes(),
        method: b"GET",
        fields: head.fields(),
        answer: Answer { status: 204, ..Answer::default() },
        ..Facts::default()
    };
    let mut out = Vec::new();
    let mut context = Context { variables: &variables, facts: &facts, state: &mut state };
    format.append(&mut context, &mut out);
    out.push(b'\n');
    out
}
