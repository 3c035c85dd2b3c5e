//! A certificate authority made like a public one: a root, an intermediate, leaves of 90 days.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CrlDistributionPoint, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber,
    date_time_ymd,
};
use sheen_tests::pki::Identity;

use crate::parts;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate for `names` with a serial of its own; the chain holds leaf and intermediate.
pub(crate) fn issue(names: &[&str]) -> Identity {
    // 64 bits, the first set: what testssl.sh takes for long enough.
    static SERIAL: AtomicU64 = AtomicU64::new(0x5eee_0000_0000_0001);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let mut params =
        CertificateParams::new(names.iter().copied().map(str::to_owned).collect::<Vec<_>>())
            .unwrap();
    params.distinguished_name.push(DnType::CommonName, names[0]);
    params.serial_number = Some(SerialNumber::from(serial));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.crl_distribution_points =
        vec![CrlDistributionPoint { uris: vec!["http://crl.test/intermediate.crl".to_owned()] }];
    live_for(&mut params, 90 * DAY);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let issuer = &authority().intermediate;
    let certificate = params.signed_by(&key, issuer).unwrap();
    Identity {
        chain_pem: certificate.pem() + &issuer.pem(),
        key_pem: key.serialize_pem(),
        der: certificate.der().clone(),
        serial,
    }
}

/// The root's certificate, for `--cacert` and the like.
pub(crate) fn write_root(folder: &Path) -> String {
    let path = folder.join("root.pem");
    fs::write(&path, authority().root.pem()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What Chromium is told to trust: the hash of the intermediate's public key.
pub(crate) fn pin() -> String {
    pin_of(authority().intermediate.der())
}

/// The base64 of the SHA-256 of a certificate's public key (RFC 7469's pin).
pub(crate) fn pin_of(der: &[u8]) -> String {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("certificate.der");
    fs::write(&path, der).unwrap();
    const PIPE: &str = "openssl x509 -inform der -in \"$0\" -noout -pubkey \
        | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64";
    let said = parts::run(30, "sh", &["-c", PIPE, path.to_str().unwrap()], "");
    said.good().trim().to_owned()
}

/// A serial as sheen's log writes it: bytes in hex with colons.
pub(crate) fn serial_words(identity: &Identity) -> String {
    let bytes = identity.serial.to_be_bytes();
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let root = CertifiedIssuer::self_signed(ca("sheen test root"), key()).unwrap();
        let mut params = ca("sheen test intermediate");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.use_authority_key_identifier_extension = true;
        let intermediate = CertifiedIssuer::signed_by(params, key(), &root).unwrap();
        Authority { root, intermediate }
    })
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    live_for(&mut params, 5 * 365 * DAY);
    params
}

/// Valid since an hour ago.
fn live_for(params: &mut CertificateParams, span: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now - HOUR;
    params.not_after = epoch + now - HOUR + span;
}
