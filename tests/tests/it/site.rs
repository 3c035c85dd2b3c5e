//! A site with files beside an app, the whole program beside the real nginx: one folder, one
//! configuration, the same requests, the same answers.

mod accel;
mod bodies;
mod folder;
mod table;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sheen_tests::client::Client;
use sheen_tests::nginx::{self, Nginx};
use sheen_tests::nginx_conf::Running;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::{Upstream, ok};
use sheen_tests::wait;

/// sheen and nginx on one folder and one configuration, in front of the same apps.
struct Pair {
    nginx: Nginx,
    sheen: Running,
    _apps: Vec<Upstream>,
}

/// What of an answer is compared.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Seen {
    status: u16,
    fields: Vec<String>,
    body: String,
}

impl Pair {
    /// `http` says `PORT` for the port, `ROOT` for the folder, and the names of apps.
    fn start(http: &str) -> Self {
        let app = Upstream::start(|conn| {
            conn.answer_all(|request| {
                let mut words = request.head.line.split(' ');
                let (method, target) = (words.next().unwrap(), words.next().unwrap());
                let body = request.body.len();
                ok(&format!("app {method} {target} {body}\n")).into_bytes()
            });
        });
        let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n";
        let fail = Upstream::answering(missing);
        let http = http.replace("APP", app.address()).replace("FAIL", fail.address());
        let nginx = Nginx::start(&http, folder::FILES);
        folder::fill(nginx.folder());
        let root = nginx.folder().display().to_string();
        let ours = http.replace("ROOT", &root).replace(":PORT", ":HTTP_PORT");
        let sheen = Running::start(&ours, &[NAME]);
        // A file that is not there is an error in the log, as it is in nginx's.
        for words in ["failed (", "is forbidden", "is not found", "alias", "refused", "leads out"] {
            sheen.sheen.allow_log(words);
        }
        Self { nginx, sheen, _apps: vec![app, fail] }
    }

    fn ours(&self, raw: &str) -> Vec<u8> {
        ask(self.sheen.http, raw)
    }

    fn theirs(&self, raw: &str) -> Vec<u8> {
        ask(SocketAddr::from(([127, 0, 0, 1], self.nginx.port)), raw)
    }

    /// What both say to a request, in a form that can be compared.
    fn both(&self, raw: &str) -> [Seen; 2] {
        let folder = self.nginx.folder();
        let ours = seen(&self.ours(raw), self.sheen.http.port(), folder);
        let theirs = seen(&self.theirs(raw), self.nginx.port, folder);
        [ours, theirs]
    }
}

fn ask(address: SocketAddr, raw: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    stream.write_all(raw.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// One answer, up to the end of the connection. Pages of our own making are not nginx's.
fn seen(answer: &[u8], port: u16, folder: &Path) -> Seen {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no head in {:?}", String::from_utf8_lossy(answer));
    });
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = &answer[end + 4..];
    let status = head[9..12].parse().unwrap();
    let folder = folder.display().to_string();
    let clean = |line: &str| line.replace(&format!(":{port}"), ":PORT").replace(&folder, "ROOT");
    let text = String::from_utf8_lossy(body);
    let is_page =
        text.contains("<hr><center>nginx") || text.contains("<!doctype html>\n<html lang");
    // Nothing of a page, or of the app's, for HEAD.
    let of_head = body.is_empty() && !head.contains("\r\nLast-Modified: ");
    let is_apps = text.starts_with("app ");
    let is_ours =
        |name: &str| ["location", "content-range", "x-"].iter().any(|n| name.starts_with(n));
    let mut fields: Vec<String> = head.lines().skip(1).map(clean).collect();
    fields.retain(|line| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match &*name {
            "server" | "connection" | "transfer-encoding" => false,
            // Pages and answers of apps are not the subject; of those for 416 nginx's have two ETags.
            _ if is_page || of_head || is_apps || status == 416 => is_ours(&name),
            "date" => head.contains("\r\nLast-Modified: "),
            _ => true,
        }
    });
    let date = fields.iter_mut().find(|line| line.starts_with("Date: "));
    if let Some(date) = date {
        assert_eq!(date.len(), "Date: Sun, 06 Nov 1994 08:49:37 GMT".len());
        *date = "Date".to_owned();
    }
    // With `always`, nginx adds these to an answer of status 416 twice.
    let mut known = BTreeSet::new();
    fields.retain(|line| status != 416 || known.insert(line.clone()));
    let boundary = fields.iter().find_map(|line| line.split_once("boundary="));
    let boundary = boundary.map(|(_, boundary)| boundary.to_owned()).unwrap_or_default();
    let of_boundary = |text: &str| match &*boundary {
        "" => text.to_owned(),
        boundary => text.replace(boundary, "BOUNDARY"),
    };
    // Fields that are added see the type of the parts in nginx, and that of the answer here.
    fields.retain(|line| boundary.is_empty() || !line.starts_with("Got-Type: "));
    let fields = fields.iter().map(|line| of_boundary(line)).collect();
    let sum = if boundary.is_empty() { sum(body) } else { 0 };
    let shown = String::from_utf8_lossy(&body[..body.len().min(300)]);
    let body = if is_page {
        "page".to_owned()
    } else {
        format!("{} {sum} {}", body.len(), of_boundary(&shown))
    };
    Seen { status, fields, body }
}

fn sum(body: &[u8]) -> u64 {
    body.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n{fields}\r\n")
}

#[test]
fn a_site_beside_an_app_is_served_as_by_nginx() {
    if !nginx::is_installed() {
        return;
    }
    let pair = Pair::start(table::SITE);
    let (mut asked, mut different) = (0, Vec::new());
    let mut compare = |raw: &str| {
        asked += 1;
        let [ours, theirs] = pair.both(raw);
        if ours != theirs {
            let line = raw.lines().next().unwrap();
            different.push(format!("{line}\n nginx {theirs:?}\n sheen {ours:?}"));
        }
    };
    for target in table::TARGETS {
        for method in ["GET", "HEAD"] {
            compare(&request(method, target, ""));
        }
        compare(&request("POST", target, "Content-Length: 0\r\n"));
        compare(&request("GET", target, "Range: bytes=1-3\r\n"));
        compare(&request("GET", target, "If-Modified-Since: Sun, 06 Nov 2044 08:49:37 GMT\r\n"));
        compare(&request("GET", target, "If-Match: \"x\"\r\n"));
    }
    for target in table::CONDITIONAL {
        for fields in table::fields_for(&pair, target) {
            compare(&request("GET", target, &fields));
            compare(&request("HEAD", target, &fields));
        }
    }
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "X"] {
        for target in ["/plain/a.txt", "/plain/", "/plain/sub", "/none", "/down/", "/alias/x"] {
            compare(&request(method, target, ""));
        }
    }
    let count = different.len();
    assert!(different.is_empty(), "{count} of {asked}:\n{}", different.join("\n"));
    assert!(asked > 800, "{asked}");
}

#[test]
fn a_file_that_is_not_there_is_logged_in_nginxs_words() {
    if !nginx::is_installed() {
        return;
    }
    let pair = Pair::start(table::SITE);
    // What stands between the number of the connection and the client.
    let words = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| line.contains(", client: 127.0.0.1"));
        let what = lines.filter_map(|line| line.split_once(" *")?.1.split_once(' '));
        let what = what.filter_map(|(_, rest)| rest.split_once(", client").map(|(what, _)| what));
        what.map(str::to_owned).collect()
    };
    for target in [
        "/plain/none",
        "/plain/empty/",
        "/plain/none/",
        "/plain/a.txt/x",
        "/quiet/none",
        "/quiet/empty/",
        "/plain/loop",
    ] {
        pair.both(&request("GET", target, ""));
    }
    let log = pair.nginx.folder().join("error.log");
    let theirs = words(&std::fs::read_to_string(log).unwrap());
    assert_eq!(theirs.len(), 5, "{theirs:?}");
    wait::holds_within(wait::DEADLINE, || words(&pair.sheen.sheen.log().text()) == theirs);
    assert_eq!(words(&pair.sheen.sheen.log().text()), theirs);
}

#[test]
fn fields_that_may_not_be_doubled_are_refused_for_files_and_apps() {
    if !nginx::is_installed() {
        return;
    }
    let pair = Pair::start(table::SITE);
    for name in [
        "If-Match",
        "If-None-Match",
        "If-Range",
        "If-Modified-Since",
        "Authorization",
        "If-Unmodified-Since",
        "Content-Range",
        "Range",
        "Accept",
        "X-A",
    ] {
        for target in ["/plain/a.txt", "/app/x"] {
            let fields = format!("{name}: \"a\"\r\n{}: \"b\"\r\n", name.to_ascii_uppercase());
            let [ours, theirs] = pair.both(&request("GET", target, &fields));
            assert_eq!(ours, theirs, "{name} {target}");
        }
    }
}

#[test]
fn the_access_log_counts_the_bytes_of_files() {
    let http = r#"
        log_format short '$request_uri $status $body_bytes_sent $request_filename';
        access_log ROOT/short.log short;
        server { listen 127.0.0.1:HTTP_PORT; root ROOT; error_page 404 /gone.html; }
    "#;
    let running = Running::start(http, &[NAME]);
    running.sheen.allow_log("No such file");
    let root = running.sheen.dir.path().to_owned();
    std::fs::write(root.join("a.txt"), "0123456789").unwrap();
    std::fs::write(root.join("gone.html"), "gone").unwrap();
    let mut client = Client::plain(running.http);
    client.send(format!("HEAD /a.txt HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
    assert_eq!(client.answer("HEAD").status(), 200);
    assert_eq!(client.get(NAME, "/a.txt").text(), "0123456789");
    client.send(format!("GET /a.txt HTTP/1.1\r\nHost: {NAME}\r\nRange: bytes=2-4\r\n\r\n"));
    assert_eq!(client.answer("GET").text(), "234");
    assert_eq!(client.get(NAME, "/none").text(), "gone");
    let read = || std::fs::read_to_string(root.join("short.log")).unwrap();
    wait::until("four lines", || read().lines().count() == 4);
    let dir = root.display();
    let expected = [
        format!("/a.txt 200 0 {dir}/a.txt"),
        format!("/a.txt 200 10 {dir}/a.txt"),
        format!("/a.txt 206 3 {dir}/a.txt"),
        format!("/none 404 4 {dir}/gone.html"),
    ];
    assert_eq!(read().lines().collect::<Vec<_>>(), expected);
}

/// A deliberate difference: nginx serves it.
#[test]
fn an_alias_without_its_slash_does_not_lead_out() {
    let http = "server { listen 127.0.0.1:HTTP_PORT; location /img { alias ROOT/images/; } }";
    let running = Running::start(http, &[NAME]);
    for (path, status) in [("/img/a", 200), ("/img../site.key", 403), ("/img..%2fsite.key", 403)] {
        let root = running.sheen.dir.path();
        std::fs::create_dir_all(root.join("images")).unwrap();
        std::fs::write(root.join("images/a"), "a").unwrap();
        assert_eq!(running.get(NAME, path).status(), status, "{path}");
    }
    running.sheen.expect_log("leads out of its root");
}

#[test]
fn a_page_for_401_still_asks_for_credentials() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
                  Content-Length: 2\r\n\r\nno";
    let app = Upstream::answering(answer);
    let other = Upstream::answering(ok("other"));
    let http = format!(
        "server {{ listen 127.0.0.1:HTTP_PORT; root ROOT; proxy_intercept_errors on;
            error_page 401 /page; location = /page {{ }} location = /text {{ return 401 text; }}
            location / {{ proxy_pass http://{0}; }}
            location /to/text {{ error_page 401 /text; proxy_pass http://{0}; }}
            location /other {{ proxy_pass http://{1}; }}
            location /to/app {{ error_page 401 /other; proxy_pass http://{0}; }} }}",
        app.address(),
        other.address()
    );
    let prepare = |root: &Path| std::fs::write(root.join("page"), "page").unwrap();
    let running = Running::prepared(&http, &[NAME], &[], prepare);
    for (path, body) in [("/", "page"), ("/to/text", "text"), ("/to/app", "other")] {
        let answer = running.get(NAME, path);
        assert_eq!((answer.status(), &*answer.text()), (401, body), "{path}");
        assert_eq!(answer.field("www-authenticate"), Some("Basic realm=\"x\""), "{path}");
    }
}

#[test]
fn what_is_odd_about_files_is_noted_in_nginxs_words() {
    let dir = tempfile::TempDir::new().unwrap();
    let http = "types { text/css css; text/x-css CSS; } server { index /a b; listen 8080; }";
    let path = sheen_tests::nginx_conf::write(dir.path(), http, 1, 2);
    let tested = sheen_tests::sheen::run(dir.path(), &["-t", "-c", &path]);
    let said = String::from_utf8_lossy(&tested.stderr).into_owned();
    for words in [
        "duplicate extension \"css\", content type: \"text/x-css\", previous content type: \
         \"text/css\" in ",
        "only the last index in \"index\" directive should be absolute in ",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(tested.status.success(), "{said}");
}

#[test]
fn what_the_workers_may_not_read_is_forbidden_and_said() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let http = "access_log off; server { listen 127.0.0.1:HTTP_PORT; root ROOT/closed;
        location /tried/ { try_files $uri /fallback; } location = /fallback { return 200 back; } }";
    let running = Running::start_with(http, &[NAME], &["-g", "user nobody nogroup;"]);
    let closed = running.sheen.dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let root = closed.display();
    assert_eq!(running.get(NAME, "/x").status(), 403);
    running.sheen.expect_log(&format!("open() \"{root}/x\" failed (13: Permission denied)"));
    assert_eq!(running.get(NAME, "/tried/x").text(), "back");
    let words = format!("stat() \"{root}/tried/x\" failed (13: Permission denied)");
    let line = running.sheen.log().wait_for(&words);
    assert!(line.contains(" [crit] ") && line.contains("request: \"GET /tried/x"), "{line}");
    assert_eq!(running.get(NAME, "/").status(), 403);
    running.sheen.expect_log(&format!("\"{root}/index.html\" is forbidden (13: "));
}
