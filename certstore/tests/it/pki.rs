//! A small authority in memory, and directories to put its certificates in

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use certstore::{Problem, Source};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SignatureAlgorithm,
};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

pub(crate) const NONE: &[&str] = &[];

/// An authority with a root and an intermediate, as public ones have.
pub(crate) struct Authority {
    pub(crate) root: Certificate,
    pub(crate) intermediate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let root_params = authority_params("Test Root");
        let root_key = KeyPair::generate().unwrap();
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let params = authority_params("Test Intermediate");
        let key = KeyPair::generate().unwrap();
        let intermediate = params.signed_by(&key, &root_issuer).unwrap();
        Authority { root, intermediate, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, &rcgen::PKCS_ECDSA_P256_SHA256, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        change(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Pair { leaf, intermediate: self.intermediate.pem(), key: key.serialize_pem() }
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// A leaf, its issuer and its key.
pub(crate) struct Pair {
    leaf: Certificate,
    intermediate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn leaf(&self) -> String {
        self.leaf.pem()
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        self.leaf.der()
    }

    pub(crate) fn fullchain(&self) -> String {
        self.leaf.pem() + &self.intermediate
    }

    /// True exactly when this is what a client would get.
    pub(crate) fn is(&self, served: &CertifiedKey) -> bool {
        &served.cert[0] == self.der()
    }

    pub(crate) fn write(&self, directory: &Path) -> Source {
        put(&directory.join("fullchain.pem"), self.fullchain());
        put(&directory.join("privkey.pem"), &self.key);
        source(directory, NONE)
    }
}

/// The usual two files in a directory.
pub(crate) fn source(directory: &Path, names: &[&str]) -> Source {
    Source {
        cert: directory.join("fullchain.pem"),
        key: directory.join("privkey.pem"),
        passphrases: None,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        default: false,
        group: String::new(),
    }
}

pub(crate) fn put(path: &Path, contents: impl AsRef<[u8]>) {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A temporary directory without symbolic links in its own path.
pub(crate) fn directory() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().canonicalize().unwrap();
    (temp, path)
}

/// Each problem on a line, the directory replaced by DIR.
pub(crate) fn lines(problems: &[Problem], directory: &Path) -> Vec<String> {
    let directory = directory.display().to_string();
    problems.iter().map(|problem| problem.to_string().replace(&directory, "DIR")).collect()
}

/// Waits for a condition; the deadline is for a broken build only.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
