//! The house rules that plain text can tell: sizes, first lines, import directions, unsafe,
//! orphans, the map.

use std::fs;

use sheen_tests::tidy::{self, Source};

const ALL: &[&str] = &["proxy", "certstore", "bench", "tests"];

fn none(rule: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

fn all() -> Vec<Source> {
    let sources = tidy::sources(ALL);
    assert!(sources.len() > 10, "the workspace was not found");
    sources
}

#[test]
fn files_have_at_most_500_lines() {
    none("a split names a thing", tidy::long_files(&all()));
}

#[test]
fn functions_have_at_most_70_lines() {
    none("a split names a thing", tidy::long_functions(&all()));
}

#[test]
fn every_file_says_its_one_job_in_its_first_line() {
    none("no `//!` first line", tidy::without_first_line(&all()));
}

#[test]
fn unsafe_and_monoio_are_named_in_io_alone() {
    // invariant 1
    let mut outside = tidy::sources(&["proxy/src", "certstore/src"]);
    outside.retain(|source| !source.path.starts_with("proxy/src/io/"));
    none("belongs into proxy/src/io", tidy::naming(&outside, &["unsafe", "monoio"]));
}

#[test]
fn the_rooms_without_sockets_and_clocks_know_none() {
    // invariant 1
    let mut pure = tidy::sources(&["proxy/src/h1", "proxy/src/route", "proxy/src/config"]);
    pure.retain(|source| !source.path.contains("/config/dev"));
    let words =
        &["TcpStream", "TcpListener", "UnixStream", "Instant", "SystemTime", "async", "await"];
    none("no socket, no clock", tidy::naming(&pure, words));
}

#[test]
fn the_data_plane_holds_no_lock() {
    // invariant 2
    let mut data = tidy::sources(&["proxy/src"]);
    data.retain(|source| {
        let path = source.path.trim_start_matches("proxy/src/");
        [
            "conn",
            "relay",
            "files/",
            "redirect",
            "respond",
            "worker",
            "stage",
            "fault",
            "h1/",
            "tls/",
            "upstream/",
            "route/",
            "io/",
        ]
        .iter()
        .any(|room| path.starts_with(room))
    });
    none("no lock", tidy::naming(&data, &["Mutex", "RwLock", "Condvar"]));
}

/// Who may name whom within `proxy/src`: a room and the rooms it must not know.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("h1", &["io", "conn", "worker", "server", "relay", "upstream", "tls", "log"]),
    ("route", &["io", "conn", "worker", "server", "relay", "upstream", "tls", "log"]),
    ("config", &["io", "conn", "worker", "server", "relay", "upstream", "h1"]),
    ("limits", &["io", "conn", "worker", "server", "relay", "upstream", "h1", "config", "tls"]),
    ("stage", &["io", "conn", "worker", "server", "relay", "upstream", "tls", "h1"]),
    ("fault", &["io", "conn", "worker", "server", "relay", "upstream", "tls", "h1"]),
    ("io", &["conn", "worker", "server", "relay", "upstream", "tls", "h1", "route"]),
    ("tls", &["conn", "worker", "server", "relay", "upstream", "h1", "route"]),
    ("upstream", &["conn", "worker", "server", "route"]),
    ("relay", &["conn", "worker", "server"]),
    ("files", &["io", "conn", "worker", "server", "upstream", "plan", "respond"]),
    ("redirect", &["conn", "worker", "server", "upstream"]),
    ("respond", &["conn", "worker", "server", "upstream"]),
    ("conn", &["worker", "server", "cli"]),
    ("worker", &["server", "cli"]),
];

#[test]
fn imports_point_the_way_the_house_is_built() {
    let mut wrong = Vec::new();
    for source in tidy::sources(&["proxy/src"]) {
        let path = source.path.trim_start_matches("proxy/src/");
        let room = path.split(['/', '.']).next().unwrap_or_default();
        let Some((_, forbidden)) = FORBIDDEN.iter().find(|(from, _)| *from == room) else {
            continue;
        };
        for (line, used) in tidy::rooms_used(&source) {
            if forbidden.contains(&used.as_str()) {
                wrong.push(format!("{}:{line}: {room} names {used}", source.path));
            }
        }
    }
    none("an arrow of the house is turned round", wrong);
}

#[test]
fn the_certificate_store_knows_neither_proxy_nor_runtime() {
    none(
        "certstore",
        tidy::naming(&tidy::sources(&["certstore/src"]), &["sheen", "monoio", "tokio"]),
    );
}

#[test]
fn nothing_is_left_lying_about() {
    // Spelt so that this line does not find itself.
    let marks = [["FIX", "ME"].concat(), ["TO", "DO"].concat(), ["db", "g!("].concat()];
    let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
    none("left lying about", tidy::marked(&all(), &marks));
}

#[test]
fn every_file_is_a_module_of_its_crate() {
    let folders =
        ["proxy/src", "certstore/src", "tests/src", "tests/tests/it", "tests/tests/nginx"]
            .map(|folder| [folder]);
    for folder in folders {
        none("no `mod` line names it", tidy::orphans(&tidy::sources(&folder)));
    }
}

#[test]
fn the_map_names_every_module() {
    let Ok(map) = fs::read_to_string(tidy::root().join("ARCHITECTURE.md")) else { return };
    let mut missing = Vec::new();
    for source in tidy::sources(&["proxy/src", "certstore/src"]) {
        if let Some((_, name)) = tidy::module_of(&source.path)
            && !map.contains(&name)
        {
            missing.push(source.path);
        }
    }
    none("not in ARCHITECTURE.md", missing);
}
