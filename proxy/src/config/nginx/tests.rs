//! The language against what nginx says of it, and what a tree holds.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::table::Family;
use super::*;

mod rows;

/// Each case: `<<<` and where it stands, a text, `>>>`, what is said of it, hints after an arrow;
/// a line `~` says why nginx says something else.
const BROKEN: &str = include_str!("tests/broken.txt");

const NGINX: &str = "/usr/sbin/nginx";

/// A folder with one configuration.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("t")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn read(&self) -> Result<Tree, Vec<Problem>> {
        self.read_with(Vec::new())
    }

    fn read_with(&self, globals: Vec<String>) -> Result<Tree, Vec<Problem>> {
        let prefix = self.folder.path().to_owned();
        let conf_prefix = prefix.clone();
        let text = fs::read(self.path()).unwrap();
        read(&self.path(), text, &Options { prefix, conf_prefix, globals, error_log: None })
    }

    /// What we say of a text: `t:LINE WHAT -> HINT`, line by line.
    fn said(&self, text: &str) -> Vec<String> {
        self.write("t", text);
        let problems = self.read().err().unwrap_or_default();
        let folder = format!("{}/", self.folder.path().display());
        let line = |problem: &Problem| {
            let place = problem.line.map_or_else(String::new, |line| format!(":{line}"));
            let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!(" -> {hint}"));
            format!("{}{place} {}{hint}", problem.file, problem.what)
                .replace(&folder, "")
                .replace(folder.trim_end_matches('/'), ".")
        };
        problems.iter().map(line).collect()
    }

    /// What nginx says of it, in the same form; `None` when it finds nothing wrong.
    fn nginx(&self, text: &str) -> Option<String> {
        self.write("t", text);
        let mut command = Command::new(NGINX);
        command.arg("-t").arg("-c").arg(self.path()).arg("-p").arg(self.folder.path());
        let output = command.args(["-e", "stderr"]).output().expect("nginx runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find(|line| line.contains("[emerg]") || line.contains("[crit]"))?;
        let (_, said) = line.split_once("] ").unwrap();
        // The number of the process, when the line is one of a log.
        let said = match said.split_once(": ") {
            Some((process, said)) if process.contains('#') => said,
            _ => said,
        };
        let folder = format!("{}/", self.folder.path().display());
        let said = said.replace(&folder, "");
        let (what, file, line) = match said.rsplit_once(" in ") {
            Some((what, place)) if place.contains(':') && !place.contains(' ') => {
                let (file, line) = place.rsplit_once(':').unwrap();
                (what, file, format!(":{line}"))
            }
            _ => (&*said, "", String::new()),
        };
        Some(format!("{file}{line} {what}"))
    }
}

fn has_nginx() -> bool {
    let found = Path::new(NGINX).exists();
    if !found {
        eprintln!("no {NGINX} to compare with");
    }
    found
}

/// The text as it stands in `main`, `http`, `server`...; it begins on line 1.
fn wrapped(place: &str, text: &str) -> String {
    let (before, after) = match place {
        "main" => ("", ""),
        "events" => ("events { ", "\n} http { }"),
        "http" => ("events { } http { ", "\n}"),
        "server" => ("events { } http { server { ", "\n} }"),
        "location" => ("events { } http { server { location / { ", "\n} } }"),
        "if in server" => ("events { } http { server { if ($host) { ", "\n} } }"),
        "if in location" => ("events { } http { server { location / { if ($host) { ", "\n} } } }"),
        "limit_except" => {
            ("events { } http { server { location / { limit_except GET { ", "\n} } } }")
        }
        "upstream" => ("events { } http { upstream u { ", "\nserver 127.0.0.1; } }"),
        other => panic!("no such place: {other}"),
    };
    format!("{before}{text}{after}")
}

/// One broken configuration.
struct Case {
    text: String,
    expected: Vec<&'static str>,
    /// Why nginx says something else.
    reason: Option<&'static str>,
}

fn cases() -> Vec<Case> {
    let case = |case: &'static str| {
        let (text, expected) = case.split_once("\n>>>\n").expect("a case has an answer");
        let (place, text) = text.split_once('\n').expect("a case has a place");
        let (reasons, expected) =
            expected.trim_end().lines().partition(|line| line.starts_with("~ "));
        let reasons: Vec<&str> = reasons;
        Case {
            text: wrapped(place.trim(), text),
            expected,
            reason: reasons.first().map(|line| &line[2..]),
        }
    };
    BROKEN.split("<<<").skip(1).map(case).collect()
}

#[test]
fn broken_configurations_are_refused_with_every_reason() {
    let bench = Bench::new();
    let mut wrong = String::new();
    let cases = cases();
    assert!(cases.len() >= 200, "{} cases", cases.len());
    for case in &cases {
        let said = bench.said(&case.text);
        if said != case.expected {
            let (said, expected) = (said.join("\n"), case.expected.join("\n"));
            let _ = writeln!(wrong, "---\n{}\nexpected:\n{expected}\nsaid:\n{said}", case.text);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_first_problem_is_the_one_that_nginx_finds() {
    if !has_nginx() {
        return;
    }
    let bench = Bench::new();
    let mut wrong = String::new();
    for case in cases() {
        let nginx = bench.nginx(&case.text).unwrap_or_default();
        let first = case.expected.first().map_or("", |line| line.split(" -> ").next().unwrap());
        if (nginx == first) == case.reason.is_some() {
            let reason = case.reason.unwrap_or("none");
            let _ = writeln!(
                wrong,
                "---\n{}\nwe:    {first}\nnginx: {nginx}\nreason: {reason}",
                case.text
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_tree_has_its_includes_in_their_places() {
    let bench = Bench::new();
    fs::create_dir(bench.folder.path().join("sites")).unwrap();
    bench.write("sites/b", "server { listen 81; }\n");
    bench.write("sites/a", "server { listen 80; location / { include proxy; } }\n");
    bench.write("proxy", "proxy_pass http://x;\n");
    bench.write("types", "types { text/html html htm; include more; }");
    bench.write("more", "text/css css;");
    bench
        .write("t", "events { }\nhttp {\n include types;\n include sites/*;\n include none*;\n}\n");
    let tree = bench.read().unwrap();
    let http = tree.section("http").unwrap();
    let names: Vec<String> = http.block().iter().map(|d| d.name().into_owned()).collect();
    assert_eq!(names, ["types", "server", "server"]);
    let types = http.block()[0].block();
    assert_eq!((types.len(), types[1].arg(0)), (2, &b"css"[..]));
    let location = tree::find(http.block()[1].block(), "location").unwrap();
    let proxy_pass = &location.block()[0];
    assert_eq!((proxy_pass.family(), &*proxy_pass.text(0)), (Some(Family::Proxy), "http://x"));
    assert!(proxy_pass.place.file.ends_with("/proxy") && proxy_pass.place.line == Some(1));
    let files: Vec<_> = tree.files.iter().map(|file| file.path.file_name().unwrap()).collect();
    assert_eq!(files, ["t", "types", "more", "a", "proxy", "b"]);
    let dump = String::from_utf8(tree.dump()).unwrap();
    let path = bench.path();
    assert!(dump.starts_with(&format!("# configuration file {}:\nevents {{ }}\n", path.display())));
    assert!(dump.ends_with("sites/b:\nserver { listen 81; }\n\n"), "{dump}");
    assert_eq!(tree.notes, []);
}

#[test]
fn globals_come_first_and_share_the_top_with_the_file() {
    let bench = Bench::new();
    bench.write("t", "events { }\ndaemon on;\n");
    let read = |globals: &[&str]| {
        bench.read_with(globals.iter().map(|global| (*global).to_owned()).collect())
    };
    let tree = read(&["pid x; worker_processes 2;"]).unwrap();
    let names: Vec<String> = tree.main.iter().map(|d| d.name().into_owned()).collect();
    assert_eq!(names, ["pid", "worker_processes", "events", "daemon"]);
    let said = |globals| read(globals).unwrap_err()[0].to_string();
    let path = bench.path();
    let duplicate = format!("\"daemon\" directive is duplicate in {}:2", path.display());
    assert_eq!(said(&["daemon off;"]), duplicate);
    assert!(said(&["foo 1;"]).starts_with("unknown directive \"foo\" in command line\n  hint: "));
    assert_eq!(
        said(&["pid x"]).lines().next(),
        Some("unexpected end of parameter, expecting \";\" in command line")
    );
}

#[test]
fn what_does_nothing_is_noted_once() {
    let bench = Bench::new();
    let text = "sendfile on; ssl off; gzip on; server { gzip off; tcp_nopush on; ssl_dhparam x;\n\
                server_name a\n listen 80; ssl_protocols TLSv1.2 TLSv1.2; auth_basic off; }";
    bench.write("t", &wrapped("http", text));
    let notes = bench.read().unwrap().notes;
    let said: Vec<String> = notes.iter().map(ToString::to_string).collect();
    let path = bench.path();
    let path = path.display();
    assert_eq!(
        said,
        [
            format!(
                "the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive \
                 instead in {path}:1"
            ),
            format!(
                "\"listen\" is an argument of \"server_name\" here in {path}:3\n  hint: is a ; \
             missing at the end of line 2?"
            ),
            format!("duplicate value \"TLSv1.2\" in {path}:3"),
            format!(
                "without effect here: sendfile (files are read and sent in sheen's own way); gzip \
             (answers are passed on uncompressed, or as the app compressed them); tcp_nopush \
             (heads and bodies always go together); ssl_dhparam (no key exchange with finite \
             fields is offered, only elliptic curves) in {path}"
            ),
        ]
    );
}

#[test]
fn what_goes_together_is_taken_as_by_nginx() {
    let bench = Bench::new();
    let log = "access_log a.log combined";
    for http in [
        "proxy_buffers 8 8k; proxy_buffer_size 16k; proxy_busy_buffers_size 56k;",
        "proxy_buffers 1 8k; proxy_busy_buffers_size 1k; large_client_header_buffers 4 9;",
        "proxy_buffers 1 8k; server { proxy_buffers 4 8k; }",
        "large_client_header_buffers 4 512; proxy_max_temp_file_size 0; server { }",
        "server { location / { proxy_pass http://127.0.0.1:1; proxy_redirect default;
            proxy_redirect off x; proxy_redirect default; proxy_cookie_flags a never secure; } }",
        &format!("{log} buffer=8k; server {{ {log}; {log} buffer=8192; }}"),
    ] {
        let text = wrapped("http", http);
        assert_eq!(bench.said(&text), [""; 0], "{http}");
        if Path::new(NGINX).exists() {
            assert_eq!(bench.nginx(&text), None, "{http}");
        }
    }
}

#[test]
fn problems_are_bounded() {
    let bench = Bench::new();
    bench.write("t", &"foo;\n".repeat(1000));
    assert_eq!(bench.read().unwrap_err().len(), crate::limits::CONFIG_PROBLEMS_MAX);
    bench.write("t", "include t*; events { }");
    assert!(bench.read().unwrap_err()[0].what.ends_with("includes itself"));
}
