//! Configurations of the kinds that are published for Shiny and its kin, whole and as they would
//! stand in /etc/nginx, each run by sheen.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use sheen_tests::client::{Answer, Client};
use sheen_tests::message::Head;
use sheen_tests::nginx;
use sheen_tests::nginx_conf::Running;
use sheen_tests::pki::{self, KeyKind};
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::{Conn, Upstream, ok};
use sheen_tests::websocket;
use tempfile::TempDir;
use tungstenite::protocol::Role;

/// An app of any kind: it shows what it was asked, redirects to where `?to=` says, and opens
/// WebSockets that return what they get.
fn app() -> Upstream {
    Upstream::start(|conn: &mut Conn| {
        while let Ok(Some(request)) = conn.try_request() {
            let target = request.head.line.split(' ').nth(1).unwrap().to_owned();
            if let Some(key) = request.head.field("sec-websocket-key")
                && request.head.field("upgrade") == Some("websocket")
            {
                conn.send(websocket::switching(key));
                let mut socket = websocket::frames(conn, Role::Server);
                while let Ok(message) = socket.read() {
                    if message.is_close() || socket.send(message).is_err() {
                        return;
                    }
                }
                return;
            }
            let answer = match target.split_once("?to=") {
                Some((_, to)) => format!(
                    "HTTP/1.1 302 Found\r\nLocation: {to}\r\nSet-Cookie: a=b; Path=/\r\n\
                     Content-Length: 0\r\n\r\n"
                ),
                None => ok(&request.head.raw),
            };
            conn.send(answer);
        }
    })
}

/// What is asked of a running configuration, and what must come of it.
struct Ask {
    /// `http`, `https`; `ws` and `wss` open a WebSocket and send a message to and fro.
    scheme: &'static str,
    host: &'static str,
    target: &'static str,
    /// The request line that the app sees, or a status with a Location or a text.
    is: &'static str,
    /// `name: value` of what the app sees, or, after `<`, of the answer; `name` alone: none.
    fields: &'static [&'static str],
}

const fn ask(
    scheme: &'static str,
    target: &'static str,
    is: &'static str,
    fields: &'static [&'static str],
) -> Ask {
    Ask { scheme, host: NAME, target, is, fields }
}

/// A folder with a certificate for [`NAME`].
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    pki::issue(&[NAME], KeyKind::Ecdsa).write(dir.path(), "site");
    dir
}

/// Runs a file in a folder and asks. `APP` in texts is the app's address, `PORT` that of the
/// listener asked.
fn runs(dir: TempDir, text: &str, asks: &[Ask]) {
    let app = app();
    let text = text.replace("APP", app.address());
    let running = Running::start_in(dir, &text, &["-g", "daemon off;"]);
    for ask in asks {
        let secure = matches!(ask.scheme, "https" | "wss");
        let address = if secure { running.https } else { running.http };
        let client = || match secure {
            true => Client::tls(address, ask.host),
            false => Client::plain(address),
        };
        let port = address.port().to_string();
        let fill = |text: &str| text.replace("APP", app.address()).replace("PORT", &port);
        if matches!(ask.scheme, "ws" | "wss") {
            let mut client = client();
            client.send(websocket::request(&fill(ask.target)));
            let answer = client.answer("GET");
            assert_eq!(answer.status(), 101, "{}: {}", ask.target, answer.text());
            let seen = app.received();
            assert!(seen.contains(&format!("{} HTTP/1.1\r\n", fill(ask.is))), "{seen}");
            let mut socket = websocket::frames(client, Role::Client);
            websocket::echoes(&mut socket, "a message");
            continue;
        }
        let answer = client().get(ask.host, &fill(ask.target));
        let (said, seen) = said(&answer);
        assert_eq!(said, fill(ask.is), "{} {}", ask.scheme, ask.target);
        for field in ask.fields {
            let (head, field) = match field.strip_prefix("< ") {
                Some(field) => (&answer.head, field),
                None => (seen.as_ref().expect("the app was asked"), *field),
            };
            let (name, value) = match field.split_once(": ") {
                Some((name, value)) => (name, Some(fill(value))),
                None => (field, None),
            };
            assert_eq!(head.field(name), value.as_deref(), "{}: {}", ask.target, head.raw);
        }
    }
}

/// The line that the app saw with its whole head, or what was answered.
fn said(answer: &Answer) -> (String, Option<Head>) {
    let text = answer.text();
    if answer.status() == 200 && text.contains(" HTTP/1.1\r\n") {
        let seen = answer.mirrored();
        return (seen.line.trim_end_matches(" HTTP/1.1").to_owned(), Some(seen));
    }
    let more = answer.field("location").map(str::to_owned);
    let more = more.unwrap_or_else(|| if text.contains('<') { String::new() } else { text });
    (format!("{} {}", answer.status(), more.trim_end()).trim_end().to_owned(), None)
}

#[test]
fn shiny_server_at_the_root() {
    let asks = [
        ask("http", "/", "GET /", &["host: app.test", "connection", "upgrade"]),
        ask("http", "/app/?a=b%20c", "GET /app/?a=b%20c", &[]),
        ask("http", "/x?to=http://APP/login", "302 http://app.test/login", &[]),
        ask("ws", "/app/websocket/", "GET /app/websocket/", &[]),
    ];
    runs(folder(), include_str!("published/shiny_root.conf"), &asks);
}

#[test]
fn shiny_server_under_a_prefix() {
    let asks = [
        ask("http", "/", "200 the rest of the site", &[]),
        ask("http", "/shiny", "301 http://app.test/shiny/", &[]),
        ask("http", "/shiny/", "GET /", &["host: APP"]),
        ask("http", "/shiny/a%20b/?c", "GET /a%20b/?c", &[]),
        ask("http", "/shiny/x?to=/login", "302 http://app.test/shiny/login", &[]),
        ask("ws", "/shiny/app/websocket/", "GET /app/websocket/", &[]),
    ];
    runs(folder(), include_str!("published/shiny_prefix.conf"), &asks);
}

#[test]
fn two_apps_under_two_prefixes() {
    let forwarded =
        &["host: sales", "x-forwarded-proto: http", "x-forwarded-for: 127.0.0.1", "connection"];
    let asks = [
        ask("http", "/sales", "301 http://app.test:PORT/sales/", &[]),
        ask("http", "/sales/x?y", "GET /x?y", forwarded),
        ask("http", "/sales/x?to=/y", "302 /y", &[]),
        ask("http", "/stock/shelf", "301 http://app.test:PORT/stock/shelf/", &[]),
        ask("http", "/stock/shelf/a", "GET /apps/stock/shelf/a", &["host: app.test"]),
        ask("http", "/favicon.ico", "204", &[]),
        ask("ws", "/sales/websocket/", "GET /websocket/", &[]),
        ask("ws", "/stock/shelf/websocket/", "GET /apps/stock/shelf/websocket/", &[]),
    ];
    runs(folder(), include_str!("published/two_apps.conf"), &asks);
}

#[test]
fn rstudio_server() {
    const URL: &str = "x-rstudio-request: http://app.test:PORT/rstudio/s/x?y";
    let asks = [
        ask("http", "/rstudio", "301 http://app.test:PORT/rstudio/", &[]),
        ask("http", "/rstudio/s/x?y", "GET /s/x?y", &[URL]),
        ask(
            "http",
            "/rstudio/x?to=http://APP/auth-sign-in",
            "302 http://app.test/rstudio/auth-sign-in",
            &["< set-cookie: a=b; Path=/rstudio/"],
        ),
        ask("ws", "/rstudio/p/123/websocket/", "GET /p/123/websocket/", &[]),
    ];
    runs(folder(), include_str!("published/rstudio.conf"), &asks);
}

#[test]
fn workbench_under_a_path_of_its_own() {
    let told = &[
        "x-rstudio-root-path: /workbench",
        "x-forwarded-host: app.test",
        "x-forwarded-proto: https",
        "forwarded: host=app.test:PORT;proto=https;",
    ];
    let asks = [
        ask("https", "/workbench/home", "GET /home", told),
        ask("https", "/workbench/x?to=/workbench/y", "302 /workbench/y", &[]),
        ask("wss", "/workbench/s/1/events", "GET /s/1/events", &[]),
    ];
    runs(folder(), include_str!("published/workbench.conf"), &asks);
}

#[test]
fn connect() {
    const URL: &str = "x-rsc-request: http://app.test:PORT/content/1/?a=b";
    let asks = [
        ask("http", "/content/1/?a=b", "GET /content/1/?a=b", &[URL, "host: APP"]),
        ask("ws", "/content/1/websocket/", "GET /content/1/websocket/", &[]),
    ];
    runs(folder(), include_str!("published/connect.conf"), &asks);
}

#[test]
fn shinyproxy_with_ssl_on() {
    let asks = [
        ask("http", "/app/x", "301 https://app.test/app/x", &[]),
        ask("https", "/app/x", "GET /app/x", &["x-forwarded-protocol: https", "host: app.test"]),
        ask("https", "/x?to=/login", "302 /login", &[]),
        ask("wss", "/app_proxy/1/websocket/", "GET /app_proxy/1/websocket/", &[]),
    ];
    runs(folder(), include_str!("published/shinyproxy.conf"), &asks);
}

#[test]
fn the_tutorials_final_file() {
    let dir = folder();
    fs::write(dir.path().join("dhparam.pem"), DHPARAM).unwrap();
    const HSTS: &str = "< strict-transport-security: max-age=63072000";
    const TOLD: &[&str] =
        &[HSTS, "host: app.test", "x-real-ip: 127.0.0.1", "x-forwarded-proto: https"];
    let asks = [
        ask("http", "/x?y", "301 https://app.test/x?y", &["< strict-transport-security"]),
        ask("https", "/x?y", "GET /x?y", TOLD),
        ask("https", "/x?to=http://APP/y", "302 https://app.test/y", &[HSTS]),
        ask("wss", "/websocket/", "GET /websocket/", &[]),
    ];
    runs(dir, include_str!("published/tutorial.conf"), &asks);
}

#[test]
fn a_site_with_an_app_below_it() {
    let dir = folder();
    let files = [
        ("site/index.html", "welcome"),
        ("site/style.css", "body {}"),
        ("site/404.html", "lost"),
        ("site/about/index.html", "about"),
        ("manual/a.html", "manual"),
    ];
    nginx::write_files(dir.path(), &files);
    let cached = &["< cache-control: public, max-age=3600", "< content-type: text/css"];
    let asks = [
        ask("http", "/", "200 welcome", &["< content-type: text/html"]),
        ask("http", "/style.css", "200 body {}", cached),
        ask("http", "/about", "301 http://app.test:PORT/about/", &[]),
        ask("http", "/about/", "200 about", &[]),
        ask("http", "/nowhere", "404 lost", &[]),
        ask("http", "/404.html", "404 lost", &[]),
        ask("http", "/docs/a.html", "200 manual", &[]),
        ask("http", "/shiny", "301 http://app.test:PORT/shiny/", &[]),
        ask("http", "/shiny/x?y", "GET /x?y", &[]),
        ask("ws", "/shiny/websocket/", "GET /websocket/", &[]),
    ];
    runs(dir, include_str!("published/site_and_app.conf"), &asks);
}

#[test]
fn what_certbot_has_edited() {
    let dir = folder();
    let (live, archive) = ("letsencrypt/live/app.test", "letsencrypt/archive/app.test");
    for (name, file) in [("fullchain", "site.crt"), ("privkey", "site.key")] {
        fs::create_dir_all(dir.path().join(live)).unwrap();
        fs::create_dir_all(dir.path().join(archive)).unwrap();
        let target = dir.path().join(archive).join(format!("{name}1.pem"));
        fs::rename(dir.path().join(file), target).unwrap();
        let link = dir.path().join(live).join(format!("{name}.pem"));
        symlink(format!("../../archive/app.test/{name}1.pem"), link).unwrap();
    }
    let options = include_str!("published/options-ssl-nginx.conf");
    fs::write(dir.path().join("letsencrypt/options-ssl-nginx.conf"), options).unwrap();
    fs::write(dir.path().join("letsencrypt/ssl-dhparams.pem"), DHPARAM).unwrap();
    let asks = [
        ask("http", "/x?y", "301 https://app.test/x?y", &[]),
        Ask { host: "other.test", ..ask("http", "/x", "404", &[]) },
        ask("https", "/x?y", "GET /x?y", &[]),
        ask("wss", "/websocket/", "GET /websocket/", &[]),
    ];
    runs(dir, include_str!("published/certbot.conf"), &asks);
}

#[test]
fn debians_own_file_with_a_site_that_is_enabled() {
    if !nginx::is_installed() {
        eprintln!("skipped: there is no nginx on this machine");
        return;
    }
    let dir = folder();
    let etc = Path::new("/etc/nginx");
    for name in ["mime.types", "proxy_params"] {
        fs::copy(etc.join(name), dir.path().join(name)).unwrap();
    }
    for name in ["modules-enabled", "conf.d", "sites-available", "sites-enabled", "log"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let whole = fs::read_to_string(etc.join("nginx.conf")).unwrap();
    let whole = whole
        .replace("/etc/nginx", "ROOT")
        .replace("/var/log/nginx", "ROOT/log")
        .replace("/run/nginx.pid", "ROOT/nginx.pid");
    let app = app();
    let site = include_str!("published/site_available.conf").replace("APP", app.address());
    let port = sheen_tests::port::free();
    let root = dir.path().display().to_string();
    let site = site.replace("HTTP_PORT", &port.to_string()).replace("ROOT", &root);
    fs::write(dir.path().join("sites-available/shiny"), site).unwrap();
    symlink("../sites-available/shiny", dir.path().join("sites-enabled/shiny")).unwrap();
    let running = Running::start_in(dir, &whole, &["-g", "daemon off;"]);
    let mut client = Client::plain(([127, 0, 0, 1], port).into());
    let seen = client.get(NAME, "/x?y").mirrored();
    assert_eq!(seen.line, "GET /x?y HTTP/1.1");
    assert_eq!(seen.field("host"), Some(NAME), "{}", seen.raw);
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    let log = running.sheen.dir.path().join("log/access.log");
    sheen_tests::wait::until("a line in the log", || {
        fs::read_to_string(&log).unwrap_or_default().contains("\"GET /x?y HTTP/1.1\" 200 ")
    });
    let mut client = Client::plain(([127, 0, 0, 1], port).into());
    client.send(websocket::request("/websocket/"));
    assert_eq!(client.answer("GET").status(), 101);
    websocket::echoes(&mut websocket::frames(client, Role::Client), "hello");
}

/// As openssl writes it; nobody uses it here.
const DHPARAM: &str = "-----BEGIN DH PARAMETERS-----\n\
    MEYCQQDaWDwW2YUiidDkr3VvTMqS3UvlM7gE+w/tlO+cikQD7VdGUNNpmdsp13Yn\n\
    a6LT1BLiGPTdHghM9tgAPnxHdOgzAgEC\n\
    -----END DH PARAMETERS-----\n";
