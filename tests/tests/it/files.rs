//! Static files beside the real nginx: the same folder, the same requests, the same answers.

mod requests;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sheen::buf::Buf;
use sheen::files::{self, Asked, Found, IfModifiedSince, Rules, Settings, Types};
use sheen::h1::kept::{FieldList, KeptHead};
use sheen_tests::nginx::{self, Nginx};

use requests::{FILES, URIS, conditions};

/// What of an answer is compared. Redirects have no body here, nor have errors: theirs is the
/// caller's page.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    fields: Vec<String>,
    body: String,
}

/// A location with what its lines mean to us.
struct Place {
    name: &'static str,
    /// Of its block; `ROOT` is the folder.
    lines: &'static str,
    /// Where the rest of the URI behind the name is, relative to the folder.
    folder: &'static str,
    /// An `alias`: the name is not part of the path.
    is_alias: bool,
    index: &'static [&'static [u8]],
    settings: fn() -> Settings,
}

#[test]
fn files_are_answered_as_nginx_answers() {
    if !nginx::is_installed() {
        eprintln!("skipped: there is no nginx on this machine");
        return;
    }
    let server = Nginx::start(&conf(), FILES);
    odd_files(server.folder());
    let mut differences = Vec::new();
    let mut compare = |place: &Place, method: &str, uri: &str, fields: &[(&str, String)]| {
        let lines: String = fields.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        let raw = format!(
            "{method} {uri} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n"
        );
        let theirs = theirs(&server.ask(raw.as_bytes()), method);
        let ours = ours(server.folder(), place, method, uri, fields, 0);
        if theirs != ours {
            differences
                .push(format!("{method} {uri} {fields:?}\n nginx {theirs:?}\n sheen {ours:?}"));
        }
    };
    for place in PLACES {
        for uri in URIS {
            for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS"] {
                compare(place, method, &uri.replace("/P", place.name), &[]);
            }
        }
        let whole = format!("{}/site.css", place.name);
        let (etag, modified) = validators(&server, &whole);
        for fields in conditions(&etag, &modified) {
            for method in ["GET", "HEAD"] {
                compare(place, method, &whole, &fields);
                compare(place, method, &format!("{}/empty", place.name), &fields);
            }
            // A long body is for ranges that begin late in it.
            if fields.iter().any(|(_, value)| value.contains("0000")) {
                compare(place, "GET", &format!("{}/long.txt", place.name), &fields);
            }
        }
    }
    assert!(differences.is_empty(), "{}:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn an_error_page_is_whole_and_has_its_status() {
    if !nginx::is_installed() {
        eprintln!("skipped: there is no nginx on this machine");
        return;
    }
    let server = Nginx::start(&conf(), FILES);
    for (uri, status) in [("/e/404", 404), ("/e/200", 200), ("/e/304", 304), ("/e/204", 204)] {
        for field in ["X: y", "Range: bytes=0-1", "If-None-Match: *", "If-Match: \"x\""] {
            let (name, value) = field.split_once(": ").unwrap();
            let raw = format!(
                "GET {uri} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{field}\r\n\r\n"
            );
            let theirs = theirs(&server.ask(raw.as_bytes()), "GET");
            let fields = [(name, value.to_owned())];
            let ours = ours(server.folder(), &PLACES[0], "GET", "/a/site.css", &fields, status);
            assert_eq!(ours, theirs, "{uri} {field}");
        }
    }
}

#[test]
fn no_path_leads_out_of_its_root() {
    let folder = tempfile::tempdir().unwrap();
    nginx::write_files(folder.path(), &[("in/a", "a"), ("secret", "s")]);
    let root = format!("{}/in/", folder.path().display());
    for (rest, status) in [
        (&b"a"[..], 200),
        (b"./a", 200),
        (b"../secret", 403),
        (b"x/../../secret", 403),
        (b"..", 403),
        (b"a\0", 403),
        (b"a\0../secret", 403),
        (b"..a", 404),
        (b"a/b", 404),
        (b"\xff", 404),
        (&[b'x'; 5000], 404),
    ] {
        let path = [root.as_bytes(), rest].concat();
        let asked = Asked { uri: rest, path: &path, root: root.len(), ..nothing() };
        let found = files::prepare(&Settings::default(), &asked);
        let got = match &found {
            Found::Answer(answer) => answer.status,
            Found::Trouble(trouble) => trouble.status,
            other => panic!("{other:?}"),
        };
        assert_eq!(got, status, "{} {found:?}", rest.escape_ascii());
    }
}

#[test]
fn a_file_that_shrinks_is_an_error_and_one_that_grows_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let bytes = sheen_tests::pattern(0, 400_000);
    for (len, is_whole) in [(300_000, false), (0, false), (400_000, true), (500_000, true)] {
        fs::write(&path, &bytes).unwrap();
        let asked = Asked { uri: b"/file", path: path.as_os_str().as_bytes(), ..nothing() };
        let Found::Answer(mut answer) = files::prepare(&Settings::default(), &asked) else {
            panic!("the file is there");
        };
        let mut buf = Buf::new();
        answer.body.fill(&mut buf).unwrap();
        let mut got = buf.data().to_vec();
        assert!(got.len() < 200_000, "a piece has a bound");
        buf.clear();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();
        let mut result = Ok(());
        while !answer.body.is_done() && result.is_ok() {
            result = answer.body.fill(&mut buf);
            got.extend_from_slice(buf.data());
            buf.clear();
        }
        assert_eq!(result.is_ok(), is_whole, "{len}");
        assert_eq!(answer.body.sent(), got.len() as u64);
        assert!(!is_whole || got == bytes);
    }
}

fn nothing() -> Asked<'static> {
    Asked {
        method: b"GET",
        uri: b"",
        args: b"",
        path: b"",
        root: 0,
        index: &[],
        fields: FieldList::default(),
        status: 0,
        media: b"",
    }
}

fn conf() -> String {
    let places: String = PLACES
        .iter()
        .map(|place| format!("location {}/ {{ {} }}\n", place.name, place.lines))
        .collect();
    format!(
        "server {{ listen 127.0.0.1:PORT; absolute_redirect off; root ROOT;
        types {{ text/css css; text/html HTML htm; image/svg+xml svg; }}
        location /e/ {{ rewrite ^/e/404 /no/404; rewrite ^/e/(2|3)(..)$ /no/$1$2 break; }}
        location /no/404 {{ error_page 404 /a/site.css; }}
        location /e/200 {{ error_page 404 =200 /a/site.css; root ROOT/no; }}
        location /e/304 {{ error_page 404 =304 /a/site.css; root ROOT/no; }}
        location /e/204 {{ error_page 404 =204 /a/site.css; root ROOT/no; }}
        {places} }}"
    )
    .replace("root ROOT; types", "root ROOT; default_type text/plain; types")
}

/// Directories, links and such, which text can't describe.
fn odd_files(folder: &Path) {
    for place in ["a", "shop"] {
        let folder = folder.join(place);
        let inside = |name: &str| folder.join(name);
        fs::create_dir_all(inside("none")).unwrap();
        fs::create_dir_all(inside("index-dir/index.html")).unwrap();
        fs::create_dir_all(inside("sp ace%")).unwrap();
        fs::write(inside("long.txt"), sheen_tests::pattern(0, 300_000)).unwrap();
        std::os::unix::fs::symlink("loop", inside("loop")).unwrap();
        std::os::unix::fs::symlink("site.css", inside("link.css")).unwrap();
        std::os::unix::fs::symlink("nowhere", inside("dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(inside("socket")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            inside("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        // Root may read all the same, in both alike.
        fs::write(inside("closed"), "x").unwrap();
        fs::set_permissions(inside("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    }
}

const INDEX: &[&[u8]] = &[b"index.html", b"second.html"];

const PLACES: &[Place] = &[
    Place {
        name: "/a",
        lines: "index index.html second.html;",
        folder: "",
        is_alias: false,
        index: INDEX,
        settings: || Settings { types: types(b"text/plain"), ..Settings::default() },
    },
    Place {
        name: "/b",
        lines: "alias ROOT/shop/; index /a/page.html; etag off; default_type application/x-y; \
                if_modified_since before;",
        folder: "shop/",
        is_alias: true,
        index: &[b"/a/page.html"],
        settings: || Settings {
            types: types(b"application/x-y"),
            charset: None,
            etag: false,
            rules: Rules { if_modified_since: IfModifiedSince::Before, ..Rules::default() },
        },
    },
    Place {
        name: "/c",
        lines: "alias ROOT/shop/; max_ranges 1; if_modified_since off; default_type ''; types {}",
        folder: "shop/",
        is_alias: true,
        index: &[b"index.html"],
        settings: || Settings {
            types: Types::new([], b""),
            charset: None,
            etag: true,
            rules: Rules { if_modified_since: IfModifiedSince::Off, ranges_max: 1 },
        },
    },
    Place {
        name: "/d",
        lines: "alias ROOT/shop/; max_ranges 0;",
        folder: "shop/",
        is_alias: true,
        index: &[b"index.html"],
        settings: || Settings {
            types: types(b"text/plain"),
            rules: Rules { ranges_max: 0, ..Rules::default() },
            ..Settings::default()
        },
    },
];

fn types(default: &[u8]) -> Types {
    let entries: [(&[u8], &[u8]); 4] = [
        (b"css", b"text/css"),
        (b"HTML", b"text/html"),
        (b"htm", b"text/html"),
        (b"svg", b"image/svg+xml"),
    ];
    Types::new(entries, default)
}

/// What nginx says of a file.
fn validators(server: &Nginx, uri: &str) -> (String, String) {
    let raw = format!("GET {uri} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let seen = theirs(&server.ask(raw.as_bytes()), "GET");
    let field = |name: &str| {
        let value = seen.fields.iter().find_map(|line| line.strip_prefix(name));
        value.unwrap_or("\"none\"").to_owned()
    };
    (field("ETag: "), field("Last-Modified: "))
}

fn theirs(answer: &[u8], method: &str) -> Seen {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head[9..12].parse().unwrap();
    let fields = head.lines().skip(1).map(str::to_owned).collect();
    seen(status, fields, &answer[end + 4..], method)
}

/// Follows index files as a server would.
fn ours(
    folder: &Path,
    place: &Place,
    method: &str,
    target: &str,
    fields: &[(&str, String)],
    status: u16,
) -> Seen {
    let lines: String =
        fields.iter().map(|(name, value)| format!("{name}: {}\r\n", value.trim())).collect();
    let head = format!("GET / HTTP/1.1\r\n{lines}\r\n");
    let (head, _) = KeptHead::lenient_request(head.as_bytes(), |_| true);
    let settings = (place.settings)();
    let (uri, args) = target.split_once('?').unwrap_or((target, ""));
    let mut uri = uri.replace("%20", " ").replace("%25", "%");
    loop {
        // The second location of an index with a slash.
        let (place, settings) = match uri == "/a/page.html" {
            true => (&PLACES[0], (PLACES[0].settings)()),
            false => (place, settings.clone()),
        };
        let root = format!("{}/{}", folder.display(), place.folder);
        let rest = if place.is_alias { &uri[place.name.len() + 1..] } else { &uri[1..] };
        let path = format!("{root}{rest}");
        let asked = Asked {
            method: method.as_bytes(),
            uri: uri.as_bytes(),
            args: args.as_bytes(),
            path: path.as_bytes(),
            root: root.len(),
            index: place.index,
            fields: head.fields(),
            status,
            media: b"",
        };
        let line = |line: Vec<u8>| vec![String::from_utf8(line).unwrap().trim_end().to_owned()];
        return match files::prepare(&settings, &asked) {
            Found::Index(next) => {
                uri = String::from_utf8(next).unwrap();
                continue;
            }
            Found::MissingSlash(to) => {
                seen(301, line([b"Location: ", &to[..]].concat()), b"", method)
            }
            Found::Trouble(trouble) => seen(trouble.status, Vec::new(), b"", method),
            Found::NotSatisfiable(range) => seen(416, line(range), b"", method),
            Found::Answer(mut answer) => {
                let lines = answer.lines();
                let all = [lines.content, lines.etag, lines.ranges].concat();
                let fields = String::from_utf8(all).unwrap().lines().map(str::to_owned).collect();
                let (mut body, mut buf) = (Vec::new(), Buf::new());
                while !answer.body.is_done() {
                    answer.body.fill(&mut buf).unwrap();
                    body.extend_from_slice(buf.data());
                    buf.clear();
                }
                seen(answer.status, fields, &body, method)
            }
        };
    }
}

/// Leaves out what is not of the file, and gives boundaries one name.
fn seen(status: u16, mut fields: Vec<String>, body: &[u8], method: &str) -> Seen {
    let is_error = !matches!(status, 200 | 206 | 304) && !fields.iter().any(|f| f.contains("ETag"));
    let other = ["Server:", "Date:", "Connection:"];
    fields.retain(|line| !other.iter().any(|name| line.starts_with(name)));
    if is_error || status == 301 {
        fields.retain(|line| !line.starts_with("Content-Type") && !line.starts_with("Content-Len"));
        return Seen { status, fields, body: String::new() };
    }
    assert!(method != "HEAD" || body.is_empty());
    let boundary = fields.iter().find_map(|line| line.split_once("boundary="));
    let boundary = boundary.map(|(_, boundary)| boundary.to_owned());
    let short = |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
    // Of a long body, a sum is enough to tell that it differs.
    let sum = match &boundary {
        None if body.len() > 400 => {
            body.iter().fold(7_u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(*b)))
        }
        _ => 0,
    };
    let mut body = format!("{} bytes, sum {sum}: {}", body.len(), short(body));
    if let Some(boundary) = boundary {
        assert_eq!(boundary.len(), 20);
        fields.iter_mut().for_each(|line| *line = line.replace(&boundary, "B"));
        body = body.replace(&boundary, "B");
    }
    Seen { status, fields, body }
}
