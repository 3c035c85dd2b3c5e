//! Publishes sets of identities: build all, keep the last good of each source, swap once

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use crate::check::{self, Checked, Identity};
use crate::load;
use crate::report::{Change, Problem, Report};
use crate::set::CertSet;

/// A pair of files and what the configuration says it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The chain, leaf first, in PEM; or one certificate in DER.
    pub cert: PathBuf,
    /// The key in PEM or DER; may be the same file as `cert`.
    pub key: PathBuf,
    /// Passphrases for an encrypted key, one a line, tried in turn: nginx's `ssl_password_file`.
    pub passphrases: Option<PathBuf>,
    /// Server names the configuration gives to this pair, lower case, exact or `*.x`. Empty when
    /// only the names in the certificate count.
    pub names: Vec<String>,
    /// True exactly when this pair answers clients that ask for an unknown name, or for none.
    pub default: bool,
    /// Pairs that belong to one server have the same; see [`Store::select_of`].
    pub group: String,
}

impl Source {
    /// The files that are read.
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert, &self.key].into_iter().chain(&self.passphrases)
    }
}

/// The identities in service and the files they come from.
pub struct Store {
    set: ArcSwap<CertSet>,
    /// Held over a reload, so that two of them cannot publish in the wrong order. Handshakes
    /// never take it.
    slots: Mutex<Vec<Slot>>,
    /// Told when the sources themselves change; one that returns false is forgotten.
    observers: Mutex<Vec<Observer>>,
}

type Observer = Box<dyn Fn() -> bool + Send>;

impl Store {
    /// Loads every source. On failure, every problem of every source.
    pub fn open(sources: Vec<Source>) -> Result<(Arc<Store>, Report), Vec<Problem>> {
        let store = Store {
            set: ArcSwap::from_pointee(CertSet::default()),
            slots: Mutex::new(Vec::new()),
            observers: Mutex::new(Vec::new()),
        };
        let report = store.replace_sources(sources)?;
        Ok((Arc::new(store), report))
    }

    /// Reads all files again. A source whose files are bad keeps its last good identity; files
    /// with the same contents as before are not reported. What changed is published at once.
    pub fn reload(&self) -> Report {
        let mut slots = lock(&self.slots);
        let mut report = Report::default();
        for slot in slots.iter_mut() {
            match Slot::load(slot.source.clone(), Some(slot)) {
                Ok(Fresh::Same) => {}
                Ok(Fresh::Changed { slot: fresh, warnings }) => {
                    report.changed.extend(fresh.change(Some(slot)));
                    Problem::merge(&mut report.warnings, warnings);
                    *slot = fresh;
                }
                Err(problems) => Problem::merge(&mut report.kept, problems),
            }
        }
        if !report.changed.is_empty() {
            self.publish(&slots);
        }
        report
    }

    /// Takes over the sources of a new configuration: all of them, or none and every problem.
    pub fn replace_sources(&self, sources: Vec<Source>) -> Result<Report, Vec<Problem>> {
        let mut slots = lock(&self.slots);
        let mut report = Report::default();
        let mut problems = Vec::new();
        let mut next = Vec::with_capacity(sources.len());
        for source in sources {
            let same_files = |slot: &&Slot| slot.source.files().eq(source.files());
            let before = slots.iter().find(same_files);
            match Slot::load(source, None) {
                Ok(Fresh::Same) => {}
                Ok(Fresh::Changed { slot, warnings }) => {
                    report.changed.extend(slot.change(before));
                    Problem::merge(&mut report.warnings, warnings);
                    next.push(slot);
                }
                Err(found) => Problem::merge(&mut problems, found),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let gone =
            |old: &&Slot| !next.iter().any(|slot: &Slot| slot.source.cert == old.source.cert);
        report.changed.extend(slots.iter().filter(gone).map(Slot::farewell));
        *slots = next;
        self.publish(&slots);
        drop(slots);
        lock(&self.observers).retain(|observer| observer());
        Ok(report)
    }

    /// The set in service now.
    pub fn current(&self) -> Arc<CertSet> {
        self.set.load_full()
    }

    /// Answers one handshake without taking hold of the set.
    pub fn select(
        &self,
        sni: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.set.load().select(sni, schemes)
    }

    /// Answers one handshake from the pairs of one group; `None` where there is no such group, as
    /// there may be for a moment while sources are replaced.
    pub fn select_of(&self, group: &str, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.set.load().select_of(group, schemes)
    }

    /// Every file of every source, without doubles.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let slots = lock(&self.slots);
        let all = slots.iter().flat_map(|slot| slot.source.files());
        let mut files: Vec<PathBuf> = all.cloned().collect();
        files.sort();
        files.dedup();
        files
    }

    pub(crate) fn on_sources_replaced(&self, observer: Observer) {
        lock(&self.observers).push(observer);
    }

    fn publish(&self, slots: &[Slot]) {
        let pairs: Vec<_> = slots.iter().map(|slot| (&slot.source, &slot.identity)).collect();
        self.set.store(Arc::new(CertSet::new(&pairs)));
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("set", &self.set.load()).finish_non_exhaustive()
    }
}

/// A source with its last good identity.
struct Slot {
    source: Source,
    digest: [u8; 32],
    identity: Arc<Identity>,
}

enum Fresh {
    Same,
    Changed { slot: Slot, warnings: Vec<Problem> },
}

impl Slot {
    /// Reads and checks a source; `known` is what is in service for it.
    fn load(source: Source, known: Option<&Slot>) -> Result<Fresh, Vec<Problem>> {
        let bytes = load::read(&source)?;
        let digest = bytes.digest;
        if known.is_some_and(|known| known.digest == digest) {
            return Ok(Fresh::Same);
        }
        let loaded = load::decode(&bytes, &source)?;
        let Checked { identity, warnings } =
            check::check(loaded, &source, unix_now()).map_err(|problem| vec![problem])?;
        Ok(Fresh::Changed { slot: Slot { source, digest, identity }, warnings })
    }

    /// What to report when this takes the place of `before`; nothing if clients see the same.
    fn change(&self, before: Option<&Slot>) -> Option<Change> {
        let was = before.map(|slot| &slot.identity);
        let same = was.is_some_and(|was| was.same_as(&self.identity));
        (!same).then(|| Change {
            file: self.source.cert.clone(),
            names: self.names(),
            now: Some(Arc::clone(&self.identity)),
            was: was.cloned(),
        })
    }

    fn farewell(&self) -> Change {
        Change {
            file: self.source.cert.clone(),
            names: self.names(),
            now: None,
            was: Some(Arc::clone(&self.identity)),
        }
    }

    fn names(&self) -> Vec<String> {
        match self.source.names.is_empty() {
            true => self.identity.names().to_vec(),
            false => self.source.names.clone(),
        }
    }
}

/// The one place of this crate that asks for the date.
pub(crate) fn unix_now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// A panic in an observer or a reload leaves whole values behind: each is replaced in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
