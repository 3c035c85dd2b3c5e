//! X-Accel-Redirect: the app decides who may have a file, and the proxy sends it.

use sheen_tests::nginx::{self, Nginx};
use sheen_tests::nginx_conf::Running;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::{Upstream, ok};

use super::{ask, folder, request, seen};

const CONF: &str = r#"
    types { text/html html; }
    server {
        listen 127.0.0.1:PORT;
        access_log off;
        root ROOT/site;
        location / { proxy_pass http://LEADER; proxy_cookie_path / /app/; }
        location /ignored/ { proxy_pass http://LEADER; proxy_ignore_headers X-Accel-Redirect; }
        location /hidden/ { proxy_pass http://LEADER; proxy_hide_header Content-Disposition; }
        location /download/ { internal; add_header X-By files; }
        location /remote/ {
            internal;
            set $what $upstream_http_x_what;
            proxy_pass http://APP;
            proxy_set_header X-What $what;
            add_header X-Was $what;
        }
        location /text/ { internal; return 200 "text $uri $args\n"; }
        location @named { return 200 "named $request_method\n"; }
        location @app { proxy_pass http://APP; }
        location /plain/ { }
    }
"#;

/// Where the app leads to: the last part of its target, decoded, and what it says besides.
fn leader() -> Upstream {
    Upstream::start(|conn| {
        conn.answer_all(|request| {
            let target = request.head.line.split(' ').nth(1).unwrap();
            let (_, to) = target.split_once("to=").unwrap_or(("", "/none"));
            let to = to.replace("%2520", "%20").replace("~", "?");
            let fields = "Content-Type: application/x-given\r\nX-What: it\r\n\
                Content-Disposition: attachment; filename=a.pdf\r\nCache-Control: private\r\n\
                Cache-Control: no-store\r\nSet-Cookie: a=b; Path=/\r\nETag: \"app\"\r\n\
                Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nExpires: 0\r\nX-Own: own\r\n\
                X-Accel-Buffering: no\r\nX-Accel-Limit-Rate: 0\r\nX-Accel-Expires: 0\r\n";
            format!(
                "HTTP/1.1 203 Led\r\nX-Accel-Redirect: {to}\r\n{fields}Content-Length: 7\r\n\r\napp led"
            )
            .into_bytes()
        });
    })
}

#[test]
fn the_app_leads_to_where_it_leads_with_nginx() {
    if !nginx::is_installed() {
        return;
    }
    let (leader, app) = (
        leader(),
        Upstream::start(|conn| {
            conn.answer_all(|request| {
                let what = request.head.field("x-what").unwrap_or("-");
                let line = &request.head.line[..request.head.line.len() - 9];
                ok(&format!("app {line} {what} {}\n", request.body.len())).into_bytes()
            });
        }),
    );
    let http = CONF.replace("LEADER", leader.address()).replace("APP", app.address());
    let server = Nginx::start(&http, folder::FILES);
    folder::fill(server.folder());
    let root = server.folder().display().to_string();
    let ours = http.replace("ROOT", &root).replace(":PORT", ":HTTP_PORT");
    let running = Running::start(&ours, &[NAME]);
    for words in ["failed (", "is forbidden", "is not found"] {
        running.sheen.allow_log(words);
    }
    for place in ["/", "/ignored/"] {
        for to in [
            "/download/secret.pdf",
            "/download/none",
            "/download",
            "/plain/",
            "/plain/sub",
            "/plain/sp%2520ace/",
            "/remote/x~y=z",
            "/text/x~a=b",
            "@named",
            "@app",
            "@nobody",
            "/plain/../index.html",
            "/plain/%2e%2e/index.html",
            "plain/a.txt",
            "~x",
            "",
            "/again/",
        ] {
            for method in ["GET", "HEAD", "POST"] {
                if method == "HEAD" && place == "/ignored/" {
                    // Nothing but the app's own head.
                    continue;
                }
                for fields in ["", "Range: bytes=1-2\r\n", "If-None-Match: \"app\"\r\n"] {
                    let raw = request(method, &format!("{place}?to={to}"), fields);
                    let (mine, theirs) = (ask(running.http, &raw), server.ask(raw.as_bytes()));
                    let mine = seen(&mine, running.http.port(), server.folder());
                    let theirs = seen(&theirs, server.port, server.folder());
                    assert_eq!(mine, theirs, "{raw}");
                }
            }
        }
    }
}

/// A deliberate difference: with nginx 1.22 it is seen all the same.
#[test]
fn what_is_hidden_stays_hidden_when_the_app_leads_elsewhere() {
    let leader = leader();
    let http = CONF.replace("LEADER", leader.address()).replace("APP", leader.address());
    let running = Running::start(&http.replace(":PORT", ":HTTP_PORT"), &[NAME]);
    let answer = running.get(NAME, "/hidden/?to=/text/x");
    assert_eq!((answer.status(), &*answer.text()), (200, "text /text/x \n"));
    assert_eq!(answer.field("content-disposition"), None);
    assert_eq!(answer.field("set-cookie"), Some("a=b; Path=/"));
}

#[test]
fn a_body_that_the_app_has_had_is_not_sent_again() {
    let leader = leader();
    let app = Upstream::echo();
    let http = CONF.replace("LEADER", leader.address()).replace("APP", app.address());
    let running = Running::start(&http.replace(":PORT", ":HTTP_PORT"), &[NAME]);
    running.sheen.allow_log("No such file");
    let raw = request("POST", "/?to=/remote/x", "Content-Length: 5\r\n") + "hello";
    let text = String::from_utf8_lossy(&ask(running.http, &raw)).into_owned();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\n"), "{text}");
    assert!(app.received().starts_with("GET /remote/x "), "{}", app.received());
    let raw = request("POST", "/?to=@app", "Content-Length: 5\r\n") + "hello";
    let text = String::from_utf8_lossy(&ask(running.http, &raw)).into_owned();
    assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
}
