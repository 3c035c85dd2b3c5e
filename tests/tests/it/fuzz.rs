//! The fuzz targets in the ordinary test run: the corpus and 3,000 mutations of it for each, the
//! same every time.

use std::fs;
use std::panic;

use sheen_tests::fuzz::{self, Random};
use sheen_tests::tidy;

/// Runs a target over the corpus of that name.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = tidy::root().join("tests/corpus").join(name);
    let entries = fs::read_dir(&folder).expect("the target has a corpus");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for (file, seed) in files.iter().zip(&seeds) {
        run(target, seed, &file.display().to_string());
    }
    let mut random = Random::of(name.as_bytes());
    for round in 0..MUTATIONS {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &seeds, &mut random);
        }
        run(target, &bytes, &format!("mutation {round}"));
    }
}

/// Says which bytes a target did not take.
fn run(target: fn(&[u8]), bytes: &[u8], origin: &str) {
    if let Err(cause) = panic::catch_unwind(|| target(bytes)) {
        eprintln!("{origin}: b\"{}\"", bytes.escape_ascii());
        panic::resume_unwind(cause);
    }
}

/// One change: of a byte, of a piece, or of a line for one of another seed.
fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(16)).min(bytes.len());
    match random.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = ODD[random.below(ODD.len())],
        2 => bytes.insert(at, ODD[random.below(ODD.len())]),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        5 => bytes.truncate(at),
        _ => {
            let lines = |seed: &[u8]| -> Vec<Vec<u8>> {
                seed.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
            };
            let mut own = lines(bytes);
            let other = lines(&seeds[random.below(seeds.len())]);
            if !other.is_empty() {
                let line = other[random.below(other.len())].clone();
                own.insert(random.below(own.len() + 1), line);
            }
            *bytes = own.concat();
        }
    }
}

#[test]
fn heads_of_requests_keep_their_meaning() {
    replay("head", fuzz::head);
}

#[test]
fn lengths_of_requests_are_read_in_one_way() {
    replay("framing", fuzz::framing);
}

#[test]
fn chunked_bodies_are_the_same_however_they_come() {
    replay("chunked", fuzz::chunked);
}

#[test]
fn paths_have_one_normal_form() {
    replay("path", fuzz::path);
}

#[test]
fn answers_keep_their_meaning() {
    replay("answer", fuzz::answer);
}

#[test]
fn buffers_are_vectors() {
    replay("buf", fuzz::buf);
}

#[test]
fn any_configuration_is_read_to_its_end() {
    replay("config", fuzz::config);
}

#[test]
fn any_nginx_conf_is_read_and_printed_and_read_again() {
    replay("nginx", fuzz::nginx);
}

#[test]
fn any_certificate_is_read_to_its_end() {
    replay("cert", fuzz::cert);
}

#[test]
fn headers_of_balancers_have_one_end() {
    replay("proxy_header", fuzz::proxy_header);
}

#[test]
fn request_targets() {
    replay("uri", fuzz::uri);
}

#[test]
fn expressions() {
    replay("regex", fuzz::regex);
}

#[test]
fn templates() {
    replay("template", fuzz::template);
}

#[test]
fn conditions_and_ranges() {
    replay("conditional", fuzz::conditional);
}

#[test]
fn servers_of_syslog() {
    replay("syslog", fuzz::syslog);
}

#[test]
fn lists_of_forwarded_addresses() {
    replay("real_ip", fuzz::real_ip);
}

#[test]
fn records_of_tunnels() {
    replay("records", fuzz::records);
}

const MUTATIONS: usize = 3_000;
/// Bytes that mean something to one parser or another.
const ODD: &[u8] = b"\0\t\n\r \"#%+,-./059:;=?AFZ[\\]_afz{|}\x0b\x7f\x80\xc3\xff";
