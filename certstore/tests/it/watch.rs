//! Renewals as tools do them, seen by the watch

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use certstore::watch::{self, Options, Watch};
use certstore::{Report, Source, Store};
use notify::{RecursiveMode, Watcher};
use rustls::SignatureScheme;

use crate::pki::{Authority, Pair, directory, lines, put, source, until};

/// A store under watch, and what it reported.
struct Watched {
    store: Arc<Store>,
    watch: Watch,
    reports: Receiver<Report>,
}

impl Watched {
    fn new(sources: Vec<Source>, options: Options) -> Watched {
        let (store, _) = Store::open(sources).unwrap();
        let (sender, reports) = mpsc::channel();
        let watch = watch::spawn_with(Arc::clone(&store), options, move |report| {
            let _ = sender.send(report);
        });
        // The answer tells that the watch stands, so what follows is found by it alone.
        watch.rescan();
        assert!(reports.recv_timeout(DEADLINE).unwrap().is_empty());
        Watched { store, watch, reports }
    }

    fn serves(&self, pair: &Pair) -> bool {
        let schemes = &[SignatureScheme::ECDSA_NISTP256_SHA256];
        pair.is(&self.store.current().select(None, schemes).unwrap())
    }

    fn until_served(&self, what: &str, pair: &Pair) {
        until(what, || self.serves(pair));
        let report = self.report();
        assert_eq!(report.changed.len(), 1, "{what}: {report:?}");
        assert!(report.kept.is_empty(), "{what}: {report:?}");
    }

    fn report(&self) -> Report {
        self.reports.recv_timeout(DEADLINE).expect("a report")
    }

    fn is_silent(&self) -> bool {
        self.reports.recv_timeout(Duration::from_millis(300)).is_err()
    }
}

/// Quick to read, slow to complain: a test machine may stall between two halves of a renewal.
fn quick() -> Options {
    Options {
        debounce: Duration::from_millis(20),
        debounce_max: Duration::from_millis(200),
        poll: NEVER,
        ..Options::default()
    }
}

/// Complains soon, for the tests that wait for it.
fn impatient() -> Options {
    Options { retries: [5, 10, 20].map(Duration::from_millis).to_vec(), ..quick() }
}

#[test]
fn certbot_links_four_files_one_after_the_other() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let (live, archive) = (dir.join("live/a.example"), dir.join("archive/a.example"));
    fs::create_dir_all(&live).unwrap();
    fs::create_dir_all(&archive).unwrap();
    let issue = |number: u32| {
        let pair = authority.issue(&["a.example"]);
        let contents = [
            ("cert", pair.leaf()),
            ("privkey", pair.key.clone()),
            ("chain", authority.intermediate.pem()),
            ("fullchain", pair.fullchain()),
        ];
        for (kind, text) in &contents {
            put(&archive.join(format!("{kind}{number}.pem")), text);
        }
        // storage.py, update_all_links_to: unlink, then link, each in turn.
        for (kind, _) in &contents {
            let link = live.join(format!("{kind}.pem"));
            let _ = fs::remove_file(&link);
            symlink(format!("../../archive/a.example/{kind}{number}.pem"), &link).unwrap();
        }
        pair
    };
    issue(1);
    let watched = Watched::new(vec![source(&live, &[])], quick());
    for number in 2..6 {
        let pair = issue(number);
        watched.until_served("certbot's renewal", &pair);
    }
}

#[test]
fn files_are_renamed_over() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let watched = Watched::new(vec![authority.issue(&["a.example"]).write(&dir)], quick());
    for _ in 0..3 {
        let pair = authority.issue(&["a.example"]);
        put(&dir.join("key.tmp"), &pair.key);
        put(&dir.join("chain.tmp"), pair.fullchain());
        fs::rename(dir.join("key.tmp"), dir.join("privkey.pem")).unwrap();
        fs::rename(dir.join("chain.tmp"), dir.join("fullchain.pem")).unwrap();
        watched.until_served("the renamed pair", &pair);
    }
}

#[test]
fn files_are_rewritten_in_place_in_halves() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let watched = Watched::new(vec![authority.issue(&["a.example"]).write(&dir)], quick());
    let pair = authority.issue(&["a.example"]);
    let chain = pair.fullchain();
    put(&dir.join("privkey.pem"), &pair.key);
    put(&dir.join("fullchain.pem"), &chain[..100]);
    assert!(watched.is_silent(), "a half is not worth a word while retries go on");
    put(&dir.join("fullchain.pem"), &chain);
    watched.until_served("the whole", &pair);
}

#[test]
fn kubernetes_swaps_a_directory() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let fill = |number: u32| {
        let pair = authority.issue(&["a.example"]);
        let generation = dir.join(format!("..{number}"));
        fs::create_dir(&generation).unwrap();
        pair.write(&generation);
        symlink(format!("..{number}"), dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
        let _ = fs::remove_dir_all(dir.join(format!("..{}", number - 1)));
        pair
    };
    fill(1);
    for name in ["fullchain.pem", "privkey.pem"] {
        symlink(format!("..data/{name}"), dir.join(name)).unwrap();
    }
    let watched = Watched::new(vec![source(&dir, &[])], quick());
    for number in 2..5 {
        let pair = fill(number);
        watched.until_served("the swap", &pair);
    }
    // The directory that came last is watched too.
    let pair = authority.issue(&["a.example"]);
    pair.write(&dir.join("..4"));
    watched.until_served("the write behind the links", &pair);
}

#[test]
fn a_directory_goes_and_comes_back() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let place = dir.join("etc/certs/a");
    fs::create_dir_all(&place).unwrap();
    let old = authority.issue(&["a.example"]);
    let watched = Watched::new(vec![old.write(&place)], impatient());
    fs::remove_dir_all(dir.join("etc")).unwrap();
    let report = watched.report();
    assert_eq!(
        lines(&report.kept, &dir),
        [
            "DIR/etc/certs/a/fullchain.pem: no such file",
            "DIR/etc/certs/a/privkey.pem: no such file"
        ]
    );
    assert!(watched.serves(&old));
    // Level by level, so that each is found through the one above.
    for level in ["etc", "etc/certs", "etc/certs/a"] {
        fs::create_dir(dir.join(level)).unwrap();
        assert!(watched.is_silent());
    }
    let pair = authority.issue(&["a.example"]);
    put(&place.join("privkey.pem"), &pair.key);
    put(&place.join("fullchain.pem"), pair.fullchain());
    until("the pair in the new directory", || watched.serves(&pair));
}

#[test]
fn a_bad_pair_is_told_once_and_heals() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let old = authority.issue(&["a.example"]);
    let watched = Watched::new(vec![old.write(&dir)], impatient());
    let pair = authority.issue(&["a.example"]);
    let mismatch = "DIR/fullchain.pem: the certificate does not belong to the key in \
                    DIR/privkey.pem; hint: was only one of the two renewed, or is it the key of \
                    another certificate?";
    for _ in 0..2 {
        put(&dir.join("fullchain.pem"), pair.fullchain());
        let report = watched.report();
        assert_eq!(lines(&report.kept, &dir), [mismatch]);
        assert!(report.changed.is_empty());
        assert!(watched.serves(&old));
        // The same once more is no news, healed by the old pair neither.
        put(&dir.join("fullchain.pem"), pair.fullchain());
        assert!(watched.is_silent());
        put(&dir.join("fullchain.pem"), old.fullchain());
        assert!(watched.is_silent());
    }
    pair.write(&dir);
    until("the healed pair", || watched.serves(&pair));
}

#[test]
fn a_whole_directory_is_renamed_over() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let place = dir.join("certs");
    fs::create_dir(&place).unwrap();
    let watched = Watched::new(vec![authority.issue(&["a.example"]).write(&place)], quick());
    for number in 0..3 {
        let next = dir.join("next");
        fs::create_dir(&next).unwrap();
        let pair = authority.issue(&["a.example"]);
        pair.write(&next);
        fs::rename(&place, dir.join(format!("old{number}"))).unwrap();
        fs::rename(&next, &place).unwrap();
        watched.until_served("the directory moved in", &pair);
    }
}

#[test]
fn deleted_files_stay_in_service() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let old = authority.issue(&["a.example"]);
    let watched = Watched::new(vec![old.write(&dir)], impatient());
    fs::remove_file(dir.join("fullchain.pem")).unwrap();
    let report = watched.report();
    assert_eq!(lines(&report.kept, &dir), ["DIR/fullchain.pem: no such file"]);
    assert!(watched.serves(&old));
    let pair = authority.issue(&["a.example"]);
    pair.write(&dir);
    until("the pair that came back", || watched.serves(&pair));
}

#[test]
fn the_poll_finds_what_no_event_tells() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let options = Options { poll: Duration::from_millis(20), events: false, ..Options::default() };
    let watched = Watched::new(vec![authority.issue(&["a.example"]).write(&dir)], options);
    let pair = authority.issue(&["a.example"]);
    pair.write(&dir);
    watched.until_served("the polled pair", &pair);
    assert!(watched.is_silent());
}

#[test]
fn an_operator_gets_an_answer_at_once() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let options = Options { events: false, poll: NEVER, ..Options::default() };
    let watched = Watched::new(vec![authority.issue(&["a.example"]).write(&dir)], options);
    watched.watch.rescan();
    assert!(watched.report().is_empty());
    let pair = authority.issue(&["a.example"]);
    put(&dir.join("fullchain.pem"), pair.fullchain());
    for _ in 0..2 {
        watched.watch.rescan();
        assert_eq!(watched.report().kept.len(), 1, "told again when asked again");
    }
    put(&dir.join("privkey.pem"), &pair.key);
    watched.watch.rescan();
    assert_eq!(watched.report().changed.len(), 1);
    assert!(watched.serves(&pair));
}

#[test]
fn new_sources_are_followed() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let places: [PathBuf; 2] = ["a", "b"].map(|name| dir.join(name));
    places.iter().for_each(|place| fs::create_dir(place).unwrap());
    let watched = Watched::new(vec![authority.issue(&["a.example"]).write(&places[0])], quick());
    let second = authority.issue(&["b.example"]).write(&places[1]);
    watched.store.replace_sources(vec![second]).unwrap();
    let pair = authority.issue(&["b.example"]);
    pair.write(&places[1]);
    watched.until_served("the new source's renewal", &pair);
}

#[test]
fn a_busy_directory_does_not_hold_up_a_renewal() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let options = Options { debounce: NEVER, ..quick() };
    let watched = Watched::new(vec![authority.issue(&["a.example"]).write(&dir)], options);
    let pair = authority.issue(&["a.example"]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Bounded, so that a failure of the other thread ends the test.
            let start = Instant::now();
            while !done.load(Ordering::Relaxed) && start.elapsed() < 2 * DEADLINE {
                put(&dir.join("noise"), "x");
                thread::park_timeout(Duration::from_millis(2));
            }
        });
        pair.write(&dir);
        watched.until_served("the pair among noise", &pair);
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn our_own_reading_is_no_event() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let watched = Watched::new(vec![authority.issue(&["a.example"]).write(&dir)], quick());
    let (sender, events) = mpsc::channel();
    let mut witness = notify::recommended_watcher(move |_| {
        let _ = sender.send(());
    })
    .unwrap();
    witness.watch(Path::new(&dir), RecursiveMode::NonRecursive).unwrap();
    let pair = authority.issue(&["a.example"]);
    pair.write(&dir);
    watched.until_served("the renewal", &pair);
    // A loop would read every 20 ms, so there would never be so long a silence.
    let start = Instant::now();
    while events.recv_timeout(Duration::from_millis(400)).is_ok() {
        assert!(start.elapsed() < DEADLINE, "the files are read again and again");
    }
}

#[test]
fn a_dropped_watch_is_over() {
    let (_temp, dir) = directory();
    let authority = Authority::new();
    let Watched { store, watch, reports } =
        Watched::new(vec![authority.issue(&["a.example"]).write(&dir)], quick());
    drop(watch);
    assert_eq!(reports.recv_timeout(DEADLINE).unwrap_err(), mpsc::RecvTimeoutError::Disconnected);
    // The store forgets the watch that is gone.
    let again = authority.issue(&["a.example"]).write(&dir);
    assert_eq!(store.replace_sources(vec![again]).unwrap().changed.len(), 1);
}

const DEADLINE: Duration = Duration::from_secs(20);
const NEVER: Duration = Duration::from_secs(3600);
