//! Follows the files of a store: events, debounce, retry, and a slow poll as a net
//!
//! Renewals are not atomic: certbot unlinks and links four times, `cp` truncates and writes. So an
//! event says only «look again soon»; what is there is read as a whole and compared. A pair that
//! is bad is tried again a few times before anybody is told.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::report::{Problem, Report};
use crate::store::Store;

/// How patiently to watch.
#[derive(Clone, Debug)]
pub struct Options {
    /// Wait for this long a silence after an event before reading.
    pub debounce: Duration,
    /// Read after this long even if events keep coming.
    pub debounce_max: Duration,
    /// Look at the files this often without any event.
    pub poll: Duration,
    /// Waits between the attempts to read a bad pair before it is reported.
    pub retries: Vec<Duration>,
    /// True exactly when the kernel is asked for events; without them the poll is alone.
    pub events: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            debounce: Duration::from_millis(250),
            debounce_max: Duration::from_secs(2),
            poll: Duration::from_secs(60),
            retries: [100, 300, 1000, 3000].map(Duration::from_millis).to_vec(),
            events: true,
        }
    }
}

/// A thread that watches; dropping this ends it.
#[derive(Debug)]
pub struct Watch {
    signals: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Reads all files now, for an operator who waits for the answer: the report comes even when
    /// it is empty, and says at once what is bad.
    pub fn rescan(&self) {
        // Without a receiver the thread is gone, and with it who could be told.
        let _ = self.signals.send(Signal::Rescan);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.signals.send(Signal::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of `on_report` has been printed already.
            let _ = thread.join();
        }
    }
}

/// Watches with the usual patience.
pub fn spawn(store: Arc<Store>, on_report: impl Fn(Report) + Send + 'static) -> Watch {
    spawn_with(store, Options::default(), on_report)
}

/// Watches until the [`Watch`] is dropped. `on_report` is called on the thread of the watch and
/// must not drop it. Bad files are reported once for each distinct problem, and only when the
/// retries have not healed them.
pub fn spawn_with(
    store: Arc<Store>,
    options: Options,
    on_report: impl Fn(Report) + Send + 'static,
) -> Watch {
    let (signals, receiver) = mpsc::channel();
    let of_store = signals.clone();
    store.on_sources_replaced(Box::new(move || of_store.send(Signal::Sources).is_ok()));
    let of_kernel = signals.clone();
    let follow = move || {
        let mut follower = Follower::new(store, options, receiver, of_kernel, on_report);
        follower.run();
    };
    let thread = thread::Builder::new().name("certificates".to_owned()).spawn(follow);
    let thread = thread.expect("the system has room for a thread while the program starts");
    Watch { signals, thread: Some(thread) }
}

#[derive(Clone, Copy, Debug)]
enum Signal {
    /// Something happened in a watched directory.
    Touched,
    /// The configuration has other sources now.
    Sources,
    Rescan,
    Stop,
}

struct Follower<F> {
    store: Arc<Store>,
    options: Options,
    signals: Receiver<Signal>,
    on_report: F,
    /// `None` when the kernel gives no events.
    watcher: Option<RecommendedWatcher>,
    /// True exactly when a `Touched` is on its way: a busy directory sends one, not thousands.
    touched: Arc<AtomicBool>,
    /// Directories under watch. One that was replaced has another (dev, ino).
    watched: HashMap<PathBuf, (u64, u64)>,
    /// The files as they were before the last reading.
    stamps: Vec<Stamp>,
    /// The first event since the last reading, and when to read.
    touched_since: Option<Instant>,
    read_at: Option<Instant>,
    /// How often the timer has retried, and when it will again.
    attempts: usize,
    retry_at: Option<Instant>,
    poll_at: Instant,
    /// Problems that have been told and persist.
    reported: HashSet<Problem>,
    /// True exactly when it was told that events are missing.
    warned: bool,
}

impl<F: Fn(Report)> Follower<F> {
    fn new(
        store: Arc<Store>,
        options: Options,
        signals: Receiver<Signal>,
        to_self: Sender<Signal>,
        on_report: F,
    ) -> Self {
        let touched = Arc::new(AtomicBool::new(false));
        let poll_at = Instant::now() + options.poll;
        let mut follower = Follower {
            store,
            options,
            signals,
            on_report,
            watcher: None,
            touched: Arc::clone(&touched),
            watched: HashMap::new(),
            stamps: Vec::new(),
            touched_since: None,
            read_at: None,
            attempts: 0,
            retry_at: None,
            poll_at,
            reported: HashSet::new(),
            warned: false,
        };
        if follower.options.events {
            let watcher =
                notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                    if matters(&event) && !touched.swap(true, Ordering::AcqRel) {
                        let _ = to_self.send(Signal::Touched);
                    }
                });
            match watcher {
                Ok(watcher) => follower.watcher = Some(watcher),
                Err(error) => follower.warn(&error),
            }
        }
        follower
    }

    fn run(&mut self) {
        // The store was read before the first watch stood: look for what happened in between.
        self.follow();
        self.read(Asked::ByEvent);
        loop {
            let due = [self.read_at, self.retry_at, Some(self.poll_at)];
            let due = due.into_iter().flatten().min().unwrap_or(self.poll_at);
            match self.signals.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Signal::Touched) => self.touch(),
                Ok(Signal::Sources) => self.read(Asked::ByEvent),
                Ok(Signal::Rescan) => self.read(Asked::ByOperator),
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.tick(Instant::now()),
            }
        }
    }

    fn touch(&mut self) {
        self.touched.store(false, Ordering::Release);
        let now = Instant::now();
        let since = *self.touched_since.get_or_insert(now);
        self.read_at = Some((now + self.options.debounce).min(since + self.options.debounce_max));
    }

    fn tick(&mut self, now: Instant) {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if passed(self.retry_at) {
            self.retry_at = None;
            self.attempts += 1;
            self.read(Asked::ByEvent);
        } else if passed(self.read_at) {
            self.read(Asked::ByEvent);
        } else if self.poll_at <= now {
            self.poll_at = now + self.options.poll;
            // A file that was bad may heal without a trace in its own stamp.
            if !self.reported.is_empty() || self.stamps != stamps(&self.store.files()) {
                self.read(Asked::ByEvent);
            }
        }
    }

    fn read(&mut self, asked: Asked) {
        self.touched_since = None;
        self.read_at = None;
        let before = stamps(&self.store.files());
        let report = self.store.reload();
        self.follow();
        // What changed while we read came before its directory was watched, perhaps.
        if stamps(&self.store.files()) != before {
            self.touch();
        }
        self.stamps = before;
        let report = match asked {
            Asked::ByOperator => self.answer(report),
            Asked::ByEvent => self.settle(report),
        };
        if !report.is_empty() || asked == Asked::ByOperator {
            (self.on_report)(report);
        }
    }

    /// An operator is told everything.
    fn answer(&mut self, report: Report) -> Report {
        self.reported = report.kept.iter().cloned().collect();
        self.attempts = 0;
        self.retry_at = None;
        report
    }

    /// Holds bad files back until the retries are exhausted, and what was told already for ever.
    fn settle(&mut self, mut report: Report) -> Report {
        let kept = std::mem::take(&mut report.kept);
        let news: Vec<_> = kept.iter().filter(|p| !self.reported.contains(*p)).cloned().collect();
        if !news.is_empty() {
            if self.retry_at.is_some() {
                return report;
            }
            if let Some(wait) = self.options.retries.get(self.attempts) {
                self.retry_at = Some(Instant::now() + *wait);
                return report;
            }
        }
        self.attempts = 0;
        self.retry_at = None;
        self.reported = kept.into_iter().collect();
        report.kept = news;
        report
    }

    /// Brings the watched directories in line with where the files lead now.
    fn follow(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let mut wanted = HashMap::new();
        for directory in self.store.files().iter().flat_map(|file| directories(file)) {
            if let Ok(metadata) = fs::metadata(&directory) {
                wanted.insert(directory, (metadata.dev(), metadata.ino()));
            }
        }
        self.watched.retain(|directory, id| {
            let stays = wanted.get(directory) == Some(id);
            if !stays {
                // The kernel drops the watch of a deleted directory by itself.
                let _ = watcher.unwatch(directory);
            }
            stays
        });
        let mut failed = None;
        for (directory, id) in wanted {
            if self.watched.contains_key(&directory) {
                continue;
            }
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(directory, id)),
                // It vanished since: the stamps or the next event will tell.
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            self.warn(&error);
        }
    }

    fn warn(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.warned, true) {
            let warnings = vec![no_events(error, self.options.poll)];
            (self.on_report)(Report { warnings, ..Report::default() });
        }
    }
}

/// Who wants the files read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    ByEvent,
    ByOperator,
}

/// Our own reading opens and closes the files; acting on that would never end.
fn matters(event: &notify::Result<notify::Event>) -> bool {
    match event {
        // An overflow carries no kind that could be looked at: it always matters.
        Ok(event) if event.need_rescan() => true,
        Ok(event) => match event.kind {
            EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
            EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Other => true,
        },
        Err(_) => true,
    }
}

/// The directories whose entries decide what `file` leads to: that of every symbolic link on the
/// way and that of the file; if the way ends early, the last directory there is.
fn directories(file: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut at = PathBuf::from("/");
    let mut ahead = Vec::new();
    let mut links = 0;
    push_reversed(&mut ahead, &std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()));
    while let Some(name) = ahead.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        match fs::symlink_metadata(&next) {
            Ok(metadata) if metadata.is_symlink() && links < LINKS_MAX => {
                found.insert(at.clone());
                links += 1;
                let Ok(target) = fs::read_link(&next) else {
                    break;
                };
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                push_reversed(&mut ahead, &target);
            }
            Ok(metadata) if metadata.is_dir() && !ahead.is_empty() => at = next,
            Ok(_) | Err(_) => {
                found.insert(at);
                break;
            }
        }
    }
    found
}

fn push_reversed(ahead: &mut Vec<std::ffi::OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => ahead.push(name.to_owned()),
            Component::ParentDir => ahead.push("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

/// What tells two states of a file apart without reading it; `None` when it cannot be found.
type Stamp = Option<(u64, u64, i64, i64, i64, i64, u64)>;

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let m = fs::metadata(file).ok()?;
        let (mtime, ctime) = ((m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec()));
        Some((m.dev(), m.ino(), mtime.0, mtime.1, ctime.0, ctime.1, m.size()))
    };
    files.iter().map(stamp).collect()
}

fn no_events(error: &notify::Error, poll: Duration) -> Problem {
    let per_user = |limit: &str, value: &str| {
        let what = format!("the limit of {limit} is reached, so renewals are found by polling");
        let file = Path::new("/proc/sys/fs/inotify").join(limit);
        Problem::new(&file, format!("{what} every {} s", poll.as_secs()))
            .hint(format!("sysctl -w fs.inotify.{limit}={value}"))
    };
    let too_many_files = rustix::io::Errno::MFILE.raw_os_error();
    match &error.kind {
        ErrorKind::MaxFilesWatch => per_user("max_user_watches", "524288"),
        ErrorKind::Io(io) if is(io, too_many_files) => per_user("max_user_instances", "1024"),
        _ => {
            let file = error.paths.first().map_or(Path::new("inotify"), PathBuf::as_path);
            let every = poll.as_secs();
            Problem::new(
                file,
                format!(
                    "cannot be watched ({error}), so renewals are found by polling every {every} s"
                ),
            )
        }
    }
}

fn is(error: &io::Error, errno: i32) -> bool {
    error.raw_os_error() == Some(errno)
}

/// As many as Linux follows (path_resolution(7)).
const LINKS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_those_of_every_link_and_of_the_file() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("live/a")).unwrap();
        fs::create_dir_all(root.join("archive/a")).unwrap();
        fs::write(root.join("archive/a/cert1.pem"), "x").unwrap();
        let link = root.join("live/a/cert.pem");
        std::os::unix::fs::symlink("../../archive/a/cert1.pem", &link).unwrap();
        let expected = BTreeSet::from([root.join("live/a"), root.join("archive/a")]);
        assert_eq!(directories(&link), expected);
    }

    #[test]
    fn the_nearest_directory_stands_in_for_a_missing_one() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        let expected = BTreeSet::from([root.clone()]);
        assert_eq!(directories(&root.join("later/still/cert.pem")), expected);
        // A dangling link: its own directory, and where its target would be.
        std::os::unix::fs::symlink("later/cert.pem", root.join("link.pem")).unwrap();
        assert_eq!(directories(&root.join("link.pem")), expected);
    }

    #[test]
    fn a_ring_of_links_ends() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        std::os::unix::fs::symlink("b", root.join("a")).unwrap();
        std::os::unix::fs::symlink("a", root.join("b")).unwrap();
        assert_eq!(directories(&root.join("a")), BTreeSet::from([root]));
    }

    #[test]
    fn only_our_own_kind_of_access_is_ignored() {
        let event = |kind| Ok(notify::Event::new(kind));
        assert!(!matters(&event(EventKind::Access(AccessKind::Open(AccessMode::Any)))));
        assert!(!matters(&event(EventKind::Access(AccessKind::Close(AccessMode::Read)))));
        assert!(matters(&event(EventKind::Access(AccessKind::Close(AccessMode::Write)))));
        assert!(matters(&event(EventKind::Create(notify::event::CreateKind::File))));
        let overflow = notify::Event::new(EventKind::Access(AccessKind::Any))
            .set_flag(notify::event::Flag::Rescan);
        assert!(matters(&Ok(overflow)));
    }

    #[test]
    fn a_full_inotify_is_explained() {
        let poll = Duration::from_secs(60);
        let watches = no_events(&notify::Error::new(ErrorKind::MaxFilesWatch), poll);
        assert_eq!(
            watches.to_string(),
            "/proc/sys/fs/inotify/max_user_watches: the limit of max_user_watches is reached, so \
             renewals are found by polling every 60 s; hint: sysctl -w \
             fs.inotify.max_user_watches=524288"
        );
        let emfile = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let instances = no_events(&notify::Error::io(emfile), poll);
        assert!(instances.to_string().ends_with("sysctl -w fs.inotify.max_user_instances=1024"));
    }
}
