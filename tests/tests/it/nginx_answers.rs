//! What nginx.conf says of answers and of the request that the app gets, beside the real nginx.

use sheen::files::date;
use sheen_tests::both::Both;
use sheen_tests::client::{Answer, Client};
use sheen_tests::message::Framing;
use sheen_tests::nginx_conf::Running;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::{Upstream, ok};

/// Both with one server, of which this is the inside.
fn both(inside: &str) -> Option<Both> {
    let server = format!("server {{ listen 127.0.0.1:HTTP_PORT; server_name app.test; {inside} }}");
    Both::start(&server, &[NAME])
}

fn ask(port: u16, request: &str) -> Answer {
    let mut client = Client::plain(([127, 0, 0, 1], port).into());
    client.send(request);
    client.answer(request.split(' ').next().unwrap())
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {NAME}\r\n\r\n")
}

/// Expires in seconds since 1970, and the lines of Cache-Control.
fn freshness(answer: &Answer) -> (Option<i64>, Vec<String>) {
    let values = |name| answer.head.values(name).into_iter().map(str::to_owned).collect();
    let expires: Vec<String> = values("expires");
    assert!(expires.len() < 2, "{}", answer.head.raw);
    let expires = expires.first().map(|value| date::parse(value.as_bytes()).unwrap_or(-1));
    (expires, values("cache-control"))
}

/// Seconds in `max-age=`; of other values nothing.
fn age(cache_control: &[String]) -> Option<i64> {
    cache_control.first()?.strip_prefix("max-age=")?.parse().ok()
}

/// What both say of how long an answer to a GET may be kept.
fn compare_freshness(both: &Both, target: &str) {
    let ours = ask(both.sheen.http.port(), &get(target));
    let theirs = ask(both.nginx.port, &get(target));
    assert_eq!(ours.status(), theirs.status(), "{target}");
    let ((our_end, our_rest), (their_end, their_rest)) = (freshness(&ours), freshness(&theirs));
    // Pages of our own are not kept by anybody unless told otherwise.
    if our_rest == ["no-store"] {
        assert!(their_rest.is_empty(), "{target}: {their_rest:?}");
        return;
    }
    // The clock goes on between the two.
    let near = |one: Option<i64>, other: Option<i64>| match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() < 5,
        (one, other) => one == other,
    };
    assert!(near(our_end, their_end), "{target}: {our_end:?} {their_end:?}");
    match (age(&our_rest), age(&their_rest)) {
        (None, None) => assert_eq!(our_rest, their_rest, "{target}"),
        (one, other) => assert!(near(one, other), "{target}: {our_rest:?} {their_rest:?}"),
    }
    assert_eq!(our_rest.len(), their_rest.len(), "{target}");
    for name in ["last-modified", "etag"] {
        assert_eq!(ours.field(name), theirs.field(name), "{target} {name}");
    }
}

#[test]
fn expires_goes_for_files_and_what_an_app_has_left_to_us() {
    let leads = Upstream::start(|conn| {
        conn.answer_all(|request| {
            let to = request.head.line.split(' ').nth(1).unwrap();
            let head = format!("X-Accel-Redirect: {to}\r\nCache-Control: private\r\nExpires: 0");
            format!("HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: 0\r\n\r\n").into()
        });
    });
    let inside = "location = /os-release { root /usr/lib; expires modified 2h; }
        location = /text { expires 2h; return 200 text; }
        location = /to-text { proxy_pass http://LEADS/text; }
        location = /to-file { proxy_pass http://LEADS/os-release; }";
    let Some(both) = both(&inside.replace("LEADS", leads.address())) else { return };
    for target in ["/os-release", "/text", "/to-text", "/to-file"] {
        compare_freshness(&both, target);
    }
}

#[test]
fn expires_says_what_nginx_says() {
    let app = Upstream::answering(
        "HTTP/1.1 200 OK\r\nLast-Modified: Wed, 01 Jan 2020 00:00:00 GMT\r\nETag: \"a\"\r\n\
         Cache-Control: private\r\nExpires: 0\r\nContent-Length: 3\r\n\r\nhi\n",
    );
    let forms = [
        "off",
        "epoch",
        "max",
        "0",
        "1h",
        "+30d",
        "-1",
        "@15h30m",
        "@0",
        "modified 1h",
        "modified 36500d",
        "modified -1h",
        "$arg_e",
        "modified $arg_e",
    ];
    let mut inside = String::from("expires 1d; location /inherits { proxy_pass http://APP; }");
    for (number, form) in forms.iter().enumerate() {
        inside += &format!("location /{number}/ {{ expires {form}; proxy_pass http://APP; }}");
        inside += &format!("location /own{number}/ {{ expires {form}; return 301 /x; }}");
    }
    inside += "location /refused { return 403 \"no\\n\"; }
        location /more { add_header Cache-Control public; proxy_pass http://APP; }
        location /if { if ($arg_e) { expires 2h; } proxy_pass http://APP; }
        location /etag {
            expires off; add_header ETag \"b\"; add_header Last-Modified \"\";
            proxy_pass http://APP;
        }";
    let inside = inside.replace("APP", app.address());
    let Some(both) = both(&inside) else { return };
    let single = "/inherits /refused /more /if?e=1 /if /etag";
    let mut targets: Vec<String> = single.split(' ').map(str::to_owned).collect();
    for number in 0..forms.len() {
        for query in ["", "?e=2h", "?e=max", "?e=@1h", "?e=nonsense", "?e=off"] {
            targets.push(format!("/{number}/{query}"));
        }
        targets.push(format!("/own{number}/"));
    }
    for target in targets {
        compare_freshness(&both, &target);
    }
}

#[test]
fn trailers_follow_an_answer_that_is_chunked_for_them() {
    let app = Upstream::start(|conn| {
        conn.answer_all(|request| {
            let target = request.head.line.split(' ').nth(1).unwrap();
            match target {
                "/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
                    Trailer: X-Theirs\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Theirs: 1\r\n\r\n"
                    .to_vec(),
                "/empty" => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
                "/close" => b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde".to_vec(),
                "/missing" => b"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx".to_vec(),
                "/same" => b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(),
                _ => ok("abcde").into_bytes(),
            }
        });
    });
    let inside = "add_trailer X-Ours \"$status $arg_a\"; add_trailer X-Always yes always;
        location / { proxy_pass http://APP; proxy_http_version 1.1; }
        location /plain { proxy_pass http://APP; add_trailer X-Other $arg_a; }";
    let Some(both) = both(&inside.replace("APP", app.address())) else { return };
    for target in ["/?a=1", "/chunked", "/empty", "/close", "/missing", "/same", "/plain?a="] {
        let ours = ask(both.sheen.http.port(), &get(target));
        let theirs = ask(both.nginx.port, &get(target));
        let seen = |answer: &Answer| {
            let Answer { framing, body, trailers, .. } = answer.clone();
            let announced = answer.field("trailer").map(str::to_owned);
            (answer.status(), framing, body, trailers, announced)
        };
        assert_eq!(seen(&ours).0, seen(&theirs).0, "{target}");
        // nginx passes on the field that announces trailers which it does not.
        assert_eq!(
            (seen(&ours).1, seen(&ours).2, seen(&ours).3),
            (seen(&theirs).1, seen(&theirs).2, seen(&theirs).3),
            "{target}"
        );
        assert_eq!(seen(&ours).4, None, "{target}");
    }
    let mut client = both.sheen().plain();
    let head = client.get(NAME, "/?a=1");
    assert_eq!(head.framing, Framing::Chunked);
    assert_eq!(client.get(NAME, "/chunked").text(), "abcde", "the connections go on");
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer("HEAD").field("content-length"), Some("5"));
}

#[test]
fn the_apps_trailers_pass_where_they_are_asked_for() {
    let app = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let http = "server { listen 127.0.0.1:HTTP_PORT; location / { proxy_pass http://APP; } \
                location /on { proxy_pass http://APP; proxy_pass_trailers on; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    assert_eq!(running.get(NAME, "/").trailers, []);
    assert_eq!(running.get(NAME, "/on").trailers, [("X-Sum".to_owned(), "1".to_owned())]);
}

#[test]
fn added_fields_are_inherited_as_they_are_told() {
    let app = Upstream::ok("x");
    let http = "add_header X-A http; server { listen 127.0.0.1:HTTP_PORT; add_header_inherit merge;
        add_header X-B server;
        location / { add_header X-C location; proxy_pass http://APP; }
        location /none { proxy_pass http://APP; }
        location /off { add_header_inherit off; proxy_pass http://APP; }
        location /on { add_header_inherit on; add_header X-C location; proxy_pass http://APP; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    for (target, expected) in [
        ("/", [Some("http"), Some("server"), Some("location")]),
        ("/none", [Some("http"), Some("server"), None]),
        ("/off", [None, None, None]),
        ("/on", [None, None, Some("location")]),
    ] {
        let answer = running.get(NAME, target);
        let fields = ["x-a", "x-b", "x-c"].map(|name| answer.field(name));
        assert_eq!(fields, expected, "{target}");
    }
}

#[test]
fn the_server_field_says_as_much_as_it_is_told() {
    let app = Upstream::ok("x");
    let http = "server { listen 127.0.0.1:HTTP_PORT; location / { proxy_pass http://APP; }
        location /on { server_tokens on; proxy_pass http://APP; }
        location /text { server_tokens build; return 200 x; }
        location /page { server_tokens on; return 404; }
        location /off { server_tokens off; return 404; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    let version = concat!("sheen/", env!("CARGO_PKG_VERSION"));
    for (target, expected) in [
        ("/", "sheen"),
        ("/on", version),
        ("/text", version),
        ("/page", version),
        ("/off", "sheen"),
    ] {
        assert_eq!(running.get(NAME, target).field("server"), Some(expected), "{target}");
    }
}

/// An app that answers with what it got: the fields that matter, and the body.
fn witness() -> Upstream {
    Upstream::start(|conn| {
        conn.answer_all(|request| {
            let mut text = format!("{:?}", String::from_utf8_lossy(&request.body));
            for (name, value) in &request.head.fields {
                if name.starts_with("X") || name == "Content-Type" {
                    text += &format!("\n{name}: {value}");
                }
            }
            ok(&text).into_bytes()
        });
    })
}

#[test]
fn the_app_gets_the_body_it_is_meant_to_get() {
    let app = witness();
    let inside = "location / { proxy_pass http://APP; }
        location /drop { proxy_pass http://APP; proxy_pass_request_body off;
            proxy_set_header Content-Length \"\"; }
        location /set { proxy_pass http://APP; proxy_set_body \"[$arg_a] $request_method\"; }
        location /both { proxy_pass http://APP; proxy_set_body set; proxy_pass_request_body off; }
        location /empty { proxy_pass http://APP; proxy_set_body \"\"; }";
    let Some(both) = both(&inside.replace("APP", app.address())) else { return };
    let (mut ours, mut theirs) = (both.sheen().plain(), both.nginx().plain());
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for target in ["/", "/drop", "/set?a=%20x", "/both", "/empty"] {
        for rest in ["\r\n", "Content-Length: 3\r\n\r\nabc", chunked] {
            for method in ["GET", "POST"] {
                let request = format!("{method} {target} HTTP/1.1\r\nHost: {NAME}\r\n{rest}");
                ours.send(&request);
                theirs.send(&request);
                let (ours, theirs) = (ours.answer(method), theirs.answer(method));
                assert_eq!((ours.status(), ours.text()), (200, theirs.text()), "{request}");
            }
        }
    }
}

#[test]
fn a_body_is_a_value_however_it_is_framed() {
    let app = Upstream::ok("x");
    let http = "log_format body '$request_uri [$request_body]'; access_log ROOT/body.log body;
        client_body_buffer_size 1k; server { listen 127.0.0.1:HTTP_PORT; location / { proxy_pass http://APP; } }";
    let Some(both) = Both::start(&http.replace("APP", app.address()), &[NAME]) else { return };
    let large = format!("400\r\n{}\r\n", "x".repeat(1 << 10));
    let bodies = [
        ("/sized", "Content-Length: 3\r\n\r\na=b".to_owned()),
        (
            "/chunked",
            "Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n2\r\n&c\r\n0\r\n\r\n".to_owned(),
        ),
        ("/empty", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
        ("/large", format!("Transfer-Encoding: chunked\r\n\r\n{large}{large}0\r\n\r\n")),
        ("/none", "\r\n".to_owned()),
    ];
    let seen = both.sides().map(|side| {
        bodies.each_ref().map(|(target, body)| {
            let mut client = side.plain();
            client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\n{body}"));
            assert_eq!(client.answer("POST").status(), 200);
            side.log_line("body.log", target)
        })
    });
    assert_eq!(seen[1], seen[0]);
    let expected = ["/sized [a=b]", "/chunked [a=b&c]", "/empty []", "/large [-]", "/none [-]"];
    assert_eq!(seen[1], expected);
}

#[test]
fn a_trailer_that_was_sent_is_a_value_of_the_log() {
    let app = Upstream::ok("x");
    let http = "log_format t '$request_uri [$sent_trailer_x_a] [$sent_trailer_none]';
        access_log ROOT/t.log t; server { listen 127.0.0.1:HTTP_PORT;
        location / { proxy_pass http://APP; add_trailer X-A \"$status $host\"; }
        location /bare { proxy_pass http://APP; } }";
    let Some(both) = Both::start(&http.replace("APP", app.address()), &[NAME]) else { return };
    let seen = both.sides().map(|side| {
        ["/with", "/bare"].map(|target| {
            assert_eq!(side.plain().get(NAME, target).status(), 200);
            side.log_line("t.log", target)
        })
    });
    assert_eq!(seen[1], seen[0]);
    assert_eq!(seen[1], [format!("/with [200 {NAME}] [-]"), "/bare [-] [-]".to_owned()]);
}

#[test]
fn a_dropped_body_keeps_to_its_bounds() {
    let app = witness();
    let http = "client_max_body_size 10; client_body_timeout 1s; \
                server { listen 127.0.0.1:HTTP_PORT; \
                location / { proxy_pass http://APP; proxy_pass_request_body off; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    running.sheen.allow_log("client timed out while reading client request body");
    let mut client = Client::plain(running.http);
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n",
    );
    assert_eq!(client.answer("POST").status(), 413);
    let mut client = Client::plain(running.http);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer("POST").status(), 408);
    assert_eq!(app.received(), "", "nothing of either reached the app");
}

#[test]
fn fields_with_odd_names_are_left_out_as_nginx_does() {
    for switches in [
        "",
        "underscores_in_headers on;",
        "ignore_invalid_headers off;",
        "ignore_invalid_headers off; underscores_in_headers on;",
    ] {
        let app = witness();
        let inside = format!(
            "{switches} location / {{ proxy_pass http://{0}; \
             proxy_set_header X-Seen \"[$http_x_under] [$http_x_a]\"; }}",
            app.address()
        );
        let Some(both) = both(&inside) else { return };
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {NAME}\r\nX_Under: 1\r\nX-A: 2\r\nX.Dot: 3\r\nX!b: 4\r\n\r\n"
        );
        let ours = ask(both.sheen.http.port(), &request).text();
        assert_eq!(ours, ask(both.nginx.port, &request).text(), "{switches}");
    }
}

#[test]
fn a_server_takes_so_many_fields_and_no_more() {
    let http =
        "server { listen 127.0.0.1:HTTP_PORT; server_name few; max_headers 3; return 200 x; }
        server { listen 127.0.0.1:HTTP_PORT; server_name many; return 200 x; }";
    let running = Running::start(http, &[NAME]);
    running.sheen.allow_log("client sent too many header lines");
    let request = |host: &str, more: usize| {
        let fields: String = (0..more).map(|number| format!("X-{number}: 1\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
    };
    let port = running.http.port();
    let statuses = [("few", 2), ("few", 3), ("many", 3), ("many", 200)]
        .map(|(host, more)| ask(port, &request(host, more)).status());
    assert_eq!(statuses, [200, 431, 200, 200]);
}

#[test]
fn who_is_kept_out_is_named_as_fail2ban_looks_for_it() {
    let http = "access_log off; server { listen 127.0.0.1:HTTP_PORT; server_name kept.test;\n\
                error_log ROOT/kept.log; deny 127.0.0.1; location / { return 200 early; }\n\
                location /files { root ROOT; } }";
    let Some(both) = Both::start(http, &[NAME]) else { return };
    let [theirs, ours] = both.sides().map(|side| {
        assert_eq!(side.plain().get("kept.test", "/").text(), "early");
        assert_eq!(side.plain().get("kept.test", "/files").status(), 403);
        let line = side.log_line("kept.log", "");
        let (level, words) = line.split_once(" [").unwrap().1.split_once("] ").unwrap();
        format!("{level} {}", words.split_once("access").unwrap().1)
    });
    assert_eq!(theirs, ours);
    assert!(ours.starts_with("error  forbidden by rule, client: 127.0.0.1, server: kept.test, "));
}
