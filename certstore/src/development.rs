//! A certificate for the machine of an author, issued by an authority of its own
//!
//! The authority is made once and may be added to the trust store of the browser; what it signs is
//! renewed as needed. Its key never leaves the state directory.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::check::{self, Identity};
use crate::load;
use crate::report::Problem;
use crate::store::{Source, unix_now};

/// What the common name of every development authority begins with.
pub(crate) const CA_NAME: &str = "sheen development CA";

/// Where the development authority and its certificate are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevelopmentFiles {
    /// The authority's certificate, to be added to trust stores.
    pub ca_cert: PathBuf,
    /// The certificate to serve.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// True exactly when the authority is new, so that no trust store knows it yet.
    pub created: bool,
    /// True exactly when the certificate was issued by this call.
    pub issued: bool,
}

/// Where state belongs: `$XDG_STATE_HOME/sheen`, else `~/.local/state/sheen`, and `/var/lib/sheen`
/// for a service without a home.
pub fn state_dir() -> PathBuf {
    state_dir_of(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

/// Makes sure there is a certificate for localhost, the loopback addresses and `names` (hosts or
/// addresses) that is good for 30 days at least.
pub fn ensure(state_dir: &Path, names: &[String]) -> Result<DevelopmentFiles, Problem> {
    ensure_at(state_dir, names, unix_now())
}

fn ensure_at(state_dir: &Path, names: &[String], now: i64) -> Result<DevelopmentFiles, Problem> {
    prepare(state_dir)?;
    // Two programs that start at once must not each make an authority.
    let _lock = lock(&state_dir.join("development.lock"))?;
    let authority = Authority {
        cert: state_dir.join("development-ca.pem"),
        key: state_dir.join("development-ca-key.pem"),
    };
    let source = Source {
        cert: state_dir.join("development.pem"),
        key: state_dir.join("development-key.pem"),
        passphrases: None,
        names: wanted_names(names),
        default: false,
        group: String::new(),
    };
    let known = authority.load(now)?;
    let created = known.is_none();
    let (der, issuer) = match known {
        Some(known) => known,
        None => authority.create(now)?,
    };
    let issued = created || !is_good(&source, &der, now);
    if issued {
        issue(&source, &issuer, now)?;
    }
    Ok(DevelopmentFiles {
        ca_cert: authority.cert,
        cert: source.cert,
        key: source.key,
        created,
        issued,
    })
}

/// The files of the authority.
struct Authority {
    cert: PathBuf,
    key: PathBuf,
}

type Known = (CertificateDer<'static>, Issuer<'static, KeyPair>);

impl Authority {
    /// `None` when there is none, or one that is damaged or about to expire. One that cannot be
    /// read is an error instead: a new one would silently undo the trust put in the old.
    fn load(&self, now: i64) -> Result<Option<Known>, Problem> {
        let (Some(cert), Some(key)) = (read(&self.cert)?, read(&self.key)?) else {
            return Ok(None);
        };
        let metadata =
            fs::metadata(&self.key).map_err(|error| failed(&self.key, "read", &error))?;
        if metadata.mode() & 0o077 != 0 {
            let mode = metadata.mode() & 0o777;
            return Err(Problem::new(
                &self.key,
                format!("the key of the development authority is open to others (mode {mode:04o})"),
            )
            .hint("chmod 600 it, or delete it to have a new authority made"));
        }
        let key = KeyPair::from_pem(&key).ok();
        let der = CertificateDer::from_pem_slice(cert.as_bytes()).ok();
        let (Some(key), Some(der)) = (key, der) else {
            return Ok(None);
        };
        let fits = X509Certificate::from_der(&der).is_ok_and(|(_, certificate)| {
            let not_after = certificate.validity().not_after.timestamp();
            certificate.public_key().raw == key.subject_public_key_info()
                && certificate.is_ca()
                && not_after > now + seconds(LEAF_DAYS)
        });
        if !fits {
            return Ok(None);
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).ok();
        Ok(issuer.map(|issuer| (der, issuer)))
    }

    fn create(&self, now: i64) -> Result<Known, Problem> {
        let key = KeyPair::generate().map_err(|error| refused(&self.cert, &error))?;
        let mut params = CertificateParams::default();
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let name: String = format!("{CA_NAME} {host}").chars().take(COMMON_NAME_MAX).collect();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid(&mut params, now, AUTHORITY_DAYS);
        let certificate = params.self_signed(&key).map_err(|e| refused(&self.cert, &e))?;
        // The key first: a certificate without its key would be trusted for nothing.
        write(&self.key, &Zeroizing::new(key.serialize_pem()), 0o600)?;
        write(&self.cert, &certificate.pem(), 0o644)?;
        Ok((certificate.der().clone(), Issuer::new(params, key)))
    }
}

/// Whether the certificate on disk can still be served: signed by this authority, good for 30
/// more days, for exactly the wanted names, with its own key that nobody else may read.
fn is_good(source: &Source, authority: &CertificateDer<'static>, now: i64) -> bool {
    let Some(identity) = load_pair(source, now) else {
        return false;
    };
    let key_is_private = fs::metadata(&source.key).is_ok_and(|m| m.mode() & 0o077 == 0);
    let names_fit = sorted(identity.names().to_vec()) == sorted(source.names.clone());
    key_is_private && names_fit && is_signed(&identity, authority, now + seconds(LEAF_DAYS_MIN))
}

fn load_pair(source: &Source, now: i64) -> Option<std::sync::Arc<Identity>> {
    let bytes = load::read(source).ok()?;
    let loaded = load::decode(&bytes, source).ok()?;
    Some(check::check(loaded, source, now).ok()?.identity)
}

fn is_signed(identity: &Identity, authority: &CertificateDer<'static>, at: i64) -> bool {
    let certified = identity.certified_key();
    let Ok(leaf) = ParsedCertificate::try_from(&certified.cert[0]) else {
        return false;
    };
    let mut roots = RootCertStore::empty();
    if roots.add(authority.clone()).is_err() {
        return false;
    }
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.unsigned_abs()));
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&leaf, &roots, &[], at, algorithms).is_ok()
}

fn issue(source: &Source, issuer: &Issuer<'_, KeyPair>, now: i64) -> Result<(), Problem> {
    let key = KeyPair::generate().map_err(|error| refused(&source.cert, &error))?;
    let mut params = CertificateParams::new(source.names.clone()).map_err(|error| {
        Problem::new(&source.cert, format!("cannot be issued: {error}"))
            .hint(format!("are these server names or addresses? {}", source.names.join(", ")))
    })?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "sheen development certificate");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, now, LEAF_DAYS);
    let certificate = params.signed_by(&key, issuer).map_err(|e| refused(&source.cert, &e))?;
    write(&source.key, &Zeroizing::new(key.serialize_pem()), 0o600)?;
    write(&source.cert, &certificate.pem(), 0o644)
}

/// From an hour ago, for clocks that differ, for so many days.
fn valid(params: &mut CertificateParams, now: i64, days: u32) {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.unsigned_abs());
    params.not_before = now - Duration::from_secs(3600);
    params.not_after = now + Duration::from_secs(u64::from(days) * 86_400);
}

fn wanted_names(names: &[String]) -> Vec<String> {
    let mut wanted: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for name in names {
        let name = check::normal(name);
        if !wanted.contains(&name) {
            wanted.push(name);
        }
    }
    wanted
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn prepare(directory: &Path) -> Result<(), Problem> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| failed(directory, "created", &error))?;
    let metadata = fs::metadata(directory).map_err(|error| failed(directory, "read", &error))?;
    match metadata.mode() & 0o022 {
        0 => Ok(()),
        // Not mended: it may be a directory like /tmp that others rely on.
        _ => Err(Problem::new(
            directory,
            format!(
                "others may write here (mode {:04o}), so they could replace the authority",
                metadata.mode() & 0o7777
            ),
        )
        .hint("name a directory of your own (mode 0700)")),
    }
}

/// Released when the file is dropped.
fn lock(path: &Path) -> Result<File, Problem> {
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = open.map_err(|error| failed(path, "opened", &error))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|errno| failed(path, "locked", &errno.into()))?;
    Ok(file)
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, Problem> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Not text: damaged, as if it were not there.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(failed(path, "read", &error)),
    }
}

/// Writes beside the file and renames over it, so nobody reads a half of it, ever.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Problem> {
    let beside = path.with_extension("new");
    let written = (|| {
        let _ = fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        // The mode given at creation is narrowed by the umask.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    written.map_err(|error| failed(path, "written", &error))
}

fn failed(path: &Path, deed: &str, error: &io::Error) -> Problem {
    let problem = Problem::new(path, format!("cannot be {deed}: {error}"));
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            problem.hint("name another directory with XDG_STATE_HOME, or your own certificate")
        }
        _ => problem,
    }
}

fn refused(path: &Path, error: &rcgen::Error) -> Problem {
    Problem::new(path, format!("cannot be issued: {error}"))
}

fn state_dir_of(xdg: Option<OsString>, home: Option<OsString>) -> PathBuf {
    // The XDG base directory specification: a relative path is to be ignored.
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|p| p.is_absolute());
    match (absolute(xdg), absolute(home)) {
        (Some(xdg), _) => xdg.join("sheen"),
        (None, Some(home)) => home.join(".local/state/sheen"),
        (None, None) => PathBuf::from("/var/lib/sheen"),
    }
}

const fn seconds(days: u32) -> i64 {
    days as i64 * 86_400
}

/// Browsers refuse leaves of more than 398 days, and renewal costs nothing here.
const LEAF_DAYS: u32 = 90;
const LEAF_DAYS_MIN: u32 = 30;
const AUTHORITY_DAYS: u32 = 3650;
/// RFC 5280, appendix A.1: ub-common-name.
const COMMON_NAME_MAX: usize = 64;

const _: () = assert!(LEAF_DAYS_MIN < LEAF_DAYS && LEAF_DAYS < 398);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leaf_is_renewed_a_month_before_its_end_and_the_authority_in_time() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        let start = 1_800_000_000;
        let at = |days: i64| {
            let files = ensure_at(dir, &[], start + days * 86_400).unwrap();
            (files.created, files.issued)
        };
        assert_eq!(at(0), (true, true));
        assert_eq!(at(59), (false, false));
        assert_eq!(at(61), (false, true));
        assert_eq!(at(61 + 59), (false, false));
        // Every leaf must end before its authority.
        let last = i64::from(AUTHORITY_DAYS) - i64::from(LEAF_DAYS);
        assert_eq!(at(last - 1), (false, true));
        assert_eq!(at(last + 1), (true, true));
    }

    #[test]
    fn state_has_its_place() {
        let dir = |xdg: Option<&str>, home: Option<&str>| {
            state_dir_of(xdg.map(OsString::from), home.map(OsString::from)).display().to_string()
        };
        assert_eq!(dir(Some("/x"), Some("/home/a")), "/x/sheen");
        assert_eq!(dir(Some("x"), Some("/home/a")), "/home/a/.local/state/sheen");
        assert_eq!(dir(None, Some("/home/a")), "/home/a/.local/state/sheen");
        assert_eq!(dir(None, Some("")), "/var/lib/sheen");
        assert_eq!(dir(None, None), "/var/lib/sheen");
    }
}
