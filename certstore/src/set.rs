//! Immutable index of identities: exact name, wildcard, default

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use crate::check::{Identity, KeyKind, normal};
use crate::store::Source;

/// What each server name is answered with at one moment. Never changes once made.
#[derive(Default)]
pub struct CertSet {
    exact: HashMap<Box<[u8]>, Entry>,
    /// By what follows the asterisk: `.example.com`. It stands for exactly one label.
    wildcard: HashMap<Box<[u8]>, Entry>,
    default: Entry,
    groups: HashMap<Box<str>, Entry>,
    identities: Vec<Arc<Identity>>,
}

impl CertSet {
    /// Names of the configuration come before the names in certificates, and of two sources that
    /// claim a name with the same kind of key the first wins. A name the configuration gives to a
    /// source is not widened by certificates of others.
    pub(crate) fn new(pairs: &[(&Source, &Arc<Identity>)]) -> CertSet {
        let mut set = CertSet::default();
        for (source, identity) in pairs {
            set.identities.push(Arc::clone(identity));
            source.names.iter().for_each(|name| set.entry(name).add(identity));
            set.groups.entry(source.group.as_str().into()).or_default().add(identity);
        }
        set.seal();
        for (_, identity) in pairs {
            identity.names().iter().for_each(|name| set.entry(name).add(identity));
        }
        set.default = set.default_of(pairs);
        set
    }

    /// The answer to a server name: the first by rank among the kinds of key the client can
    /// verify. A name nobody knows, or none, is answered with the default. Allocates nothing.
    pub fn select(
        &self,
        sni: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        sni.and_then(|name| self.find(name)).unwrap_or(&self.default).choose(schemes)
    }

    /// As [`CertSet::select`], among the pairs of one group.
    pub fn select_of(&self, group: &str, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.groups.get(group)?.choose(schemes)
    }

    /// Every identity, in the order of the sources.
    pub fn identities(&self) -> &[Arc<Identity>] {
        &self.identities
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
        let mut lower = [0; NAME_BYTES_MAX];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        if let Some(entry) = self.exact.get(&*lower) {
            return Some(entry);
        }
        let dot = lower.iter().position(|byte| *byte == b'.').filter(|dot| *dot > 0)?;
        self.wildcard.get(&lower[dot..])
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        let name = normal(name);
        match name.strip_prefix('*') {
            Some(parent) => self.wildcard.entry(parent.as_bytes().into()).or_default(),
            None => self.exact.entry(name.as_bytes().into()).or_default(),
        }
    }

    fn seal(&mut self) {
        let entries = self.exact.values_mut().chain(self.wildcard.values_mut());
        entries.for_each(|entry| entry.sealed = true);
    }

    /// The flagged sources; without a flag the first source, with its twin of another key kind.
    fn default_of(&self, pairs: &[(&Source, &Arc<Identity>)]) -> Entry {
        let mut entry = Entry::default();
        for (_, identity) in pairs.iter().filter(|(source, _)| source.default) {
            entry.add(identity);
        }
        if !entry.choices.is_empty() {
            return entry;
        }
        let Some((source, first)) = pairs.first() else {
            return entry;
        };
        let name = source.names.first().or(first.names().first());
        let twins = name.and_then(|name| match normal(name).strip_prefix('*') {
            Some(parent) => self.wildcard.get(parent.as_bytes()),
            None => self.exact.get(normal(name).as_bytes()),
        });
        match twins.filter(|twins| twins.holds(first)) {
            Some(twins) => twins.clone(),
            None => {
                entry.add(first);
                entry
            }
        }
    }
}

impl fmt::Debug for CertSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertSet").field("identities", &self.identities).finish_non_exhaustive()
    }
}

/// The identities of one name: at most one of each kind of key, ordered by rank.
#[derive(Clone, Default)]
struct Entry {
    choices: Vec<(KeyKind, Arc<CertifiedKey>)>,
    /// True exactly when the configuration said whose name this is.
    sealed: bool,
}

impl Entry {
    fn add(&mut self, identity: &Identity) {
        let kind = identity.key_kind();
        let known = self.choices.iter().any(|(known, _)| known.rank() == kind.rank());
        if self.sealed || known {
            return;
        }
        self.choices.push((kind, identity.certified_key()));
        self.choices.sort_by_key(|(kind, _)| kind.rank());
    }

    fn holds(&self, identity: &Identity) -> bool {
        self.choices.iter().any(|(_, key)| Arc::ptr_eq(key, &identity.certified_key()))
    }

    /// When the client can verify none of them it gets the first: the handshake then fails with
    /// «no common signature algorithms», which tells more than a missing certificate.
    fn choose(&self, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let fits = |kind: KeyKind| kind.schemes().iter().any(|scheme| schemes.contains(scheme));
        let chosen = self.choices.iter().find(|(kind, _)| fits(*kind)).or(self.choices.first());
        chosen.map(|(_, key)| Arc::clone(key))
    }
}

/// RFC 1035, 2.3.4: a host name has at most 255 bytes.
const NAME_BYTES_MAX: usize = 255;
