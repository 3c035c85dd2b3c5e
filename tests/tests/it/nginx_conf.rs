//! Configurations in nginx's language, of the kinds that are published for Shiny, run as they are;
//! and what some of their lines ask of the process.

use std::fs;

use sheen_tests::client::{Answer, Client};
use sheen_tests::nginx_conf::{Running, write};
use sheen_tests::sheen::{NAME, Reload, run};
use sheen_tests::upstream::Upstream;
use sheen_tests::{wait, websocket};
use tempfile::TempDir;
use tungstenite::protocol::Role;

/// The final file of the tutorial that most people follow.
const TUTORIAL: &str = r#"
    map $http_upgrade $connection_upgrade {
        default upgrade;
        ''      close;
    }
    server {
        listen 127.0.0.1:HTTP_PORT;
        server_name app.test www.app.test;
        return 301 https://$server_name$request_uri;
    }
    server {
        listen 127.0.0.1:HTTPS ssl http2;
        server_name app.test www.app.test;
        ssl_certificate ROOT/site.crt;
        ssl_certificate_key site.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256;
        ssl_prefer_server_ciphers off;
        ssl_session_timeout 1d;
        ssl_session_cache shared:MozSSL:10m;
        ssl_session_tickets off;
        add_header Strict-Transport-Security "max-age=63072000" always;
        location / {
            proxy_pass http://APP;
            proxy_redirect http://APP/ $scheme://$host/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 20d;
            proxy_buffering off;
        }
    }
"#;

fn tutorial(app: &Upstream) -> Running {
    Running::start(&TUTORIAL.replace("APP", app.address()), &[NAME, "www.app.test"])
}

fn location(answer: &Answer) -> &str {
    answer.field("location").unwrap_or_default()
}

#[test]
fn the_tutorials_final_file_redirects_and_proxies() {
    let app = Upstream::mirror();
    let running = tutorial(&app);
    let answer = running.get("www.app.test", "/x?y=1");
    assert_eq!((answer.status(), location(&answer)), (301, "https://app.test/x?y=1"));
    let answer = running.get_tls(NAME, "/a%20b?c");
    assert_eq!(answer.field("strict-transport-security"), Some("max-age=63072000"));
    let seen = answer.mirrored();
    assert_eq!(seen.line, "GET /a%20b?c HTTP/1.1");
    for (name, value) in [
        ("host", Some(NAME)),
        ("x-real-ip", Some("127.0.0.1")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("https")),
        ("connection", None),
        ("upgrade", None),
    ] {
        assert_eq!(seen.field(name), value, "{name}: {}", seen.raw);
    }
}

#[test]
fn the_tutorials_final_file_lets_websockets_through() {
    let app = websocket::echo_app();
    let running = tutorial(&app);
    let mut client = Client::tls(running.https, NAME);
    websocket::upgrade(&mut client);
    let mut socket = websocket::frames(client, Role::Client);
    websocket::echoes(&mut socket, "hello");
}

#[test]
fn a_websocket_without_the_fields_for_it_is_an_ordinary_request() {
    let app = Upstream::mirror();
    let http = "server { listen 127.0.0.1:HTTP_PORT; location / { proxy_pass http://APP; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    let mut client = Client::plain(running.http);
    client.send(websocket::request("/ws"));
    let seen = client.answer("GET").mirrored();
    assert_eq!((seen.field("upgrade"), seen.field("connection")), (None, None), "{}", seen.raw);
    assert_eq!(seen.field("host"), Some(app.address()));
}

#[test]
fn redirects_of_rstudio_come_back_under_the_clients_address() {
    let app = Upstream::answering(
        "HTTP/1.1 302 Found\r\nLocation: http://localhost:8787/auth-sign-in\r\n\
         Server: rstudio\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n",
    );
    let http = r#"
        server {
            listen 127.0.0.1:HTTP_PORT;
            server_name app.test;
            rewrite ^/rstudio$ $scheme://$http_host/rstudio/ permanent;
            location /rstudio/ {
                rewrite ^/rstudio/(.*)$ /$1 break;
                proxy_pass http://APP;
                proxy_redirect http://localhost:8787/ $scheme://$host/rstudio/;
                proxy_cookie_path / /rstudio/;
            }
        }
    "#;
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    let answer = running.get(NAME, "/rstudio/x?y");
    assert_eq!((answer.status(), location(&answer)), (302, "http://app.test/rstudio/auth-sign-in"));
    assert_eq!(answer.field("set-cookie"), Some("a=b; Path=/rstudio/"));
    assert_eq!(answer.field("server"), Some("sheen"));
    assert!(app.received().starts_with("GET /x?y HTTP/1.1\r\n"), "{}", app.received());
    let answer = running.get(NAME, "/rstudio");
    assert_eq!((answer.status(), location(&answer)), (301, "http://app.test/rstudio/"));
}

#[test]
fn a_body_beyond_the_limit_of_its_location_is_refused() {
    let app = Upstream::echo();
    let http = "client_max_body_size 10; server { listen 127.0.0.1:HTTP_PORT; \
                location / { proxy_pass http://APP; } \
                location /big/ { client_max_body_size 0; proxy_pass http://APP; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    for (target, expected) in [("/", 413), ("/big/", 200)] {
        let mut client = Client::plain(running.http);
        let body = "x".repeat(11);
        client
            .send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n{body}"));
        assert_eq!(client.answer("POST").status(), expected, "{target}");
    }
    running.sheen.expect_log("client intended to send too large body: 11 bytes, client: 127.0.0.1");
}

#[test]
fn what_certbot_leaves_is_tested_and_what_is_missing_is_refused_by_name() {
    let certbot = r#"
    server {
        server_name app.test; # managed by Certbot
        location / { proxy_pass http://127.0.0.1:3838; }
        listen 127.0.0.1:HTTPS ssl; # managed by Certbot
        ssl_certificate ROOT/site.crt; # managed by Certbot
        ssl_certificate_key ROOT/site.key; # managed by Certbot
    }
    server {
        if ($host = app.test) { return 301 https://$host$request_uri; } # managed by Certbot
        listen 127.0.0.1:HTTP_PORT;
        server_name app.test;
        return 404; # managed by Certbot
    }"#;
    let running = Running::start(certbot, &[NAME]);
    let answer = running.get(NAME, "/x");
    assert_eq!((answer.status(), location(&answer)), (301, "https://app.test/x"));
    assert_eq!(running.get("other.test", "/x").status(), 404);

    let dir = TempDir::new().unwrap();
    let broken = "server { listen 8080 quic;\nlocation / { proxy_pass https://127.0.0.1:1; \
                  proxy_set_header A $nothing; } }";
    let path = write(dir.path(), broken, 1, 2);
    let tested = run(dir.path(), &["-t", "-c", &path]);
    let said = String::from_utf8_lossy(&tested.stderr).into_owned();
    assert!(!tested.status.success());
    for line in [
        format!("[emerg] \"quic\" of \"listen\" is not supported yet in {path}:4"),
        format!("[emerg] unknown \"nothing\" variable in {path}:5"),
        format!("(https:// in \"proxy_pass\") is not supported yet in {path}:5"),
    ] {
        assert!(said.contains(&line), "{line}\n{said}");
    }
    fs::write(&path, "events {}\n").unwrap();
}

#[test]
fn each_server_has_its_log_in_its_format() {
    let app = Upstream::ok("hello");
    let http = r#"
        log_format main '$remote_addr [$time_local] "$request" $status $body_bytes_sent '
                        '"$http_x_a" $upstream_addr $host';
        map $status $loud { ~^2 0; default 1; }
        access_log ROOT/all.log main;
        server {
            listen 127.0.0.1:HTTP_PORT;
            server_name app.test;
            location / { proxy_pass http://APP; }
            location /own { access_log ROOT/own.log; access_log ROOT/loud.log main if=$loud;
                            return 200 "own"; }
            location /none { access_log off; return 200 "none"; }
        }
    "#;
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    let mut client = Client::plain(running.http);
    for target in ["/none", "/own", "/a"] {
        assert_eq!(client.get(NAME, target).status(), 200);
    }
    let read = |name: &str| fs::read_to_string(running.sheen.dir.path().join(name)).unwrap();
    wait::until("the last line", || read("all.log").contains('\n'));
    let (all, own) = (read("all.log"), read("own.log"));
    let end = format!("\"GET /a HTTP/1.1\" 200 5 \"-\" {} app.test\n", app.address());
    assert!(all.starts_with("127.0.0.1 [") && all.ends_with(&end), "{all}");
    assert_eq!(all.lines().count(), 1, "{all}");
    assert!(own.contains("\"GET /own HTTP/1.1\" 200 3 \"-\" \"-\"\n"), "{own}");
    assert_eq!(read("loud.log"), "");
}

#[test]
fn a_group_of_one_server_and_the_usual_error_page() {
    let app = Upstream::mirror();
    let http = r#"
        upstream shiny { server APP; keepalive 16; }
        server {
            listen 127.0.0.1:HTTP_PORT;
            error_page 500 502 503 504 /50x.html;
            location = /50x.html { root html; }
            set $group shiny;
            location / { proxy_pass http://shiny; }
            location /named/ { proxy_pass http://$group$request_uri; }
            location /down/ { proxy_pass http://127.0.0.1:1/; add_header X-Gone yes always; }
        }
    "#;
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    running.sheen.expect_log("Connection refused");
    for target in ["/x?y", "/named/x?y"] {
        let seen = running.get(NAME, target).mirrored();
        assert_eq!(seen.line, format!("GET {target} HTTP/1.1"));
        assert_eq!(seen.field("host"), Some("shiny"));
    }
    let folder = running.sheen.dir.path().join("html");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("50x.html"), "<p>sorry").unwrap();
    let mut client = Client::plain(running.http);
    let answer = client.get(NAME, "/down/");
    assert_eq!((answer.status(), &*answer.text()), (502, "<p>sorry"));
    assert_eq!(client.get(NAME, "/x").status(), 200, "the connection goes on");
}

#[test]
fn what_a_template_says_cannot_break_the_framing() {
    let app = Upstream::mirror();
    let http = r#"
        server {
            listen 127.0.0.1:HTTP_PORT;
            location / {
                proxy_pass http://APP;
                proxy_set_header Content-Length 5;
                proxy_set_header Transfer-Encoding chunked;
                proxy_set_header Connection "upgrade, X-A";
                proxy_set_header X-Split "$arg_a";
                proxy_set_header X-Uri "$uri";
                proxy_set_header Cookie "";
            }
        }
    "#;
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    let mut client = Client::plain(running.http);
    client.send("GET /%0d%0aX-Evil:1?a=%0d%0aX HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\n");
    let seen = client.answer("GET").mirrored();
    for name in ["content-length", "transfer-encoding", "connection", "x-evil", "cookie"] {
        assert_eq!(seen.field(name), None, "{name}: {}", seen.raw);
    }
}

#[test]
fn kernel_tls_is_asked_for_as_in_nginx() {
    let http = r#"
        server {
            listen 127.0.0.1:HTTPS ssl;
            ssl_certificate ROOT/site.crt;
            ssl_certificate_key ROOT/site.key;
            ssl_conf_command Options KTLS;
            return 200 "here";
        }
    "#;
    let running = Running::start(http, &[NAME]);
    assert_eq!(running.get_tls(NAME, "/").text(), "here");
    // Used or not is the kernel's affair; that it was asked for is said either way.
    running.sheen.log().wait_for("kernel TLS");
}

#[test]
fn as_many_files_may_be_open_as_are_asked_for() {
    let text = |files: u32| {
        format!(
            "worker_rlimit_nofile {files}; worker_processes 1; daemon off;\n\
             events {{ worker_connections 64; }}\n\
             http {{ server {{ listen 127.0.0.1:HTTP_PORT; return 200 here; }} }}\n"
        )
    };
    let running = Running::start_in(TempDir::new().unwrap(), &text(777), &[]);
    let limits = || fs::read_to_string(format!("/proc/{}/limits", running.sheen.pid())).unwrap();
    let files = || -> Vec<String> {
        let limits = limits();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect()
    };
    assert_eq!(files(), ["777", "777"]);
    assert_eq!(running.get(NAME, "/").text(), "here");

    let path = running.sheen.dir.path().join("nginx.conf");
    let changed = fs::read_to_string(&path).unwrap().replace("777", "776");
    fs::write(&path, changed).unwrap();
    assert_eq!(running.sheen.hup(), Reload::Done);
    running.sheen.log().wait_for("worker_rlimit_nofile change at the next start");
    assert_eq!(files(), ["777", "777"]);
}
