//! Certificates made in memory: one authority for a test run, identities signed by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, SerialNumber,
};
use rustls::pki_types::CertificateDer;

/// The kind of key a leaf certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Ecdsa,
    Rsa,
}

/// A leaf certificate with its key, in PEM as certbot would write them.
#[derive(Debug, Clone)]
pub struct Identity {
    pub chain_pem: String,
    pub key_pem: String,
    /// What a client sees in the handshake.
    pub der: CertificateDer<'static>,
    pub serial: u64,
}

/// The authority every client of the harness trusts.
pub fn authority() -> CertificateDer<'static> {
    issuer().der().clone()
}

/// A certificate for `names` with a serial of its own.
pub fn issue(names: &[&str], kind: KeyKind) -> Identity {
    static SERIAL: AtomicU64 = AtomicU64::new(0x1000);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let key = match kind {
        KeyKind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyKind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
    }
    .unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.distinguished_name.push(DnType::CommonName, names[0].clone());
    params.serial_number = Some(SerialNumber::from(serial));
    let certificate = params.signed_by(&key, issuer()).unwrap();
    Identity {
        chain_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        der: certificate.der().clone(),
        serial,
    }
}

impl Identity {
    /// Writes `NAME.crt` and `NAME.key` into `dir`, the key readable by its owner alone.
    pub fn write(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let files = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
        self.write_to(&files.0, &files.1);
        files
    }

    /// Writes the pair, each file in place.
    pub fn write_to(&self, cert: &Path, key: &Path) {
        write_key(key, &self.key_pem);
        fs::write(cert, &self.chain_pem).unwrap();
    }
}

/// Writes a private key with mode 600.
pub fn write_key(path: &Path, pem: &str) {
    fs::write(path, pem).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn issuer() -> &'static CertifiedIssuer<'static, KeyPair> {
    static ISSUER: OnceLock<CertifiedIssuer<'static, KeyPair>> = OnceLock::new();
    ISSUER.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "sheen test authority");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        CertifiedIssuer::self_signed(params, key).unwrap()
    })
}
