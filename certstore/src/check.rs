//! Key fits leaf, order of the chain, names, kind of key: files become an [`Identity`]

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Version};
use x509_parser::public_key::PublicKey;

use crate::advice;
use crate::load::Loaded;
use crate::report::Problem;
use crate::store::Source;

/// A chain and a key that fit each other. Invariant: only `check` makes one.
pub struct Identity {
    names: Vec<String>,
    serial_hex: String,
    fingerprint: String,
    not_before: i64,
    not_after: i64,
    key_kind: KeyKind,
    certified_key: Arc<CertifiedKey>,
}

impl Identity {
    /// The names the certificate is for: its subject alternative names, lower case (host names
    /// and addresses), or the common name of an old certificate without any.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The serial number as 04:ab:..
    pub fn serial_hex(&self) -> &str {
        &self.serial_hex
    }

    /// SHA-256 of the leaf certificate as 04:ab:..
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The start of validity, in unix seconds.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// The end of validity, in unix seconds.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Whole days until the end of validity, negative after it; `now` in unix seconds.
    pub fn days_left(&self, now: i64) -> i64 {
        self.not_after.saturating_sub(now).div_euclid(86_400)
    }

    pub fn key_kind(&self) -> KeyKind {
        self.key_kind
    }

    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified_key)
    }

    /// True exactly when clients see no difference between the two.
    pub(crate) fn same_as(&self, other: &Identity) -> bool {
        self.certified_key.cert == other.certified_key.cert
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("names", &self.names)
            .field("serial_hex", &self.serial_hex)
            .field("key_kind", &self.key_kind)
            .finish_non_exhaustive()
    }
}

/// What signs handshakes: the kind of the leaf's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Ed25519,
    Rsa { bits: usize },
}

impl KeyKind {
    /// The schemes such a key can sign with. As rustls chooses, but without making a signer.
    pub(crate) fn schemes(self) -> &'static [SignatureScheme] {
        match self {
            KeyKind::EcdsaP256 => &[SignatureScheme::ECDSA_NISTP256_SHA256],
            KeyKind::EcdsaP384 => &[SignatureScheme::ECDSA_NISTP384_SHA384],
            KeyKind::EcdsaP521 => &[SignatureScheme::ECDSA_NISTP521_SHA512],
            KeyKind::Ed25519 => &[SignatureScheme::ED25519],
            KeyKind::Rsa { .. } => &[
                SignatureScheme::RSA_PSS_SHA256,
                SignatureScheme::RSA_PSS_SHA384,
                SignatureScheme::RSA_PSS_SHA512,
                SignatureScheme::RSA_PKCS1_SHA256,
                SignatureScheme::RSA_PKCS1_SHA384,
                SignatureScheme::RSA_PKCS1_SHA512,
            ],
        }
    }

    /// Rank among the kinds one name is served with, the lowest first: a P-256 signature costs
    /// a quarter of an RSA one, and the larger curves buy nothing but time.
    pub(crate) fn rank(self) -> u8 {
        match self {
            KeyKind::EcdsaP256 => 0,
            KeyKind::EcdsaP384 => 1,
            KeyKind::EcdsaP521 => 2,
            KeyKind::Ed25519 => 3,
            KeyKind::Rsa { .. } => 4,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyKind::EcdsaP256 => f.write_str("ECDSA P-256"),
            KeyKind::EcdsaP384 => f.write_str("ECDSA P-384"),
            KeyKind::EcdsaP521 => f.write_str("ECDSA P-521"),
            KeyKind::Ed25519 => f.write_str("Ed25519"),
            KeyKind::Rsa { bits } => write!(f, "RSA {bits}"),
        }
    }
}

/// An identity and what will hurt about it.
pub(crate) struct Checked {
    pub(crate) identity: Arc<Identity>,
    pub(crate) warnings: Vec<Problem>,
}

/// Checks that the pair can be served; what can be served badly becomes a warning.
pub(crate) fn check(loaded: Loaded, source: &Source, now: i64) -> Result<Checked, Problem> {
    let Loaded { chain, key, key_mode } = loaded;
    let (identity, warnings) = {
        let parsed = parse(&chain, &source.cert)?;
        let leaf = &parsed[0];
        let signer = any_supported_type(&key).map_err(|_| unusable_key(&parsed, source))?;
        fits(&parsed, &*signer, source)?;
        if leaf.version() != X509Version::V3 {
            let version = leaf.version().0.saturating_add(1);
            return Err(Problem::new(
                &source.cert,
                format!("is an X.509 version {version} certificate"),
            )
            .hint(
                "it can carry no server names and browsers refuse it; have it issued as version 3",
            ));
        }
        let key_kind = key_kind(leaf, &source.cert)?;
        let warnings = advice::advise(&parsed, source, key_mode, now);
        let identity = Identity {
            names: names(leaf),
            serial_hex: leaf.raw_serial_as_string(),
            fingerprint: hex(digest::digest(&digest::SHA256, &chain[0]).as_ref()),
            not_before: leaf.validity().not_before.timestamp(),
            not_after: leaf.validity().not_after.timestamp(),
            key_kind,
            certified_key: Arc::new(CertifiedKey::new(chain.clone(), signer)),
        };
        (identity, warnings)
    };
    Ok(Checked { identity: Arc::new(identity), warnings })
}

/// Everything of the check that needs no key: for fuzzing.
pub(crate) fn inspect(chain: &[CertificateDer<'static>], source: &Source) {
    if let Ok(parsed) = parse(chain, &source.cert) {
        let _ = key_kind(&parsed[0], &source.cert);
        let _ = names(&parsed[0]);
        let _ = advice::advise(&parsed, source, 0o644, 1_800_000_000);
    }
}

/// The names of a certificate; the common name counts only when there are no others.
pub(crate) fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if let Ok(Some(extension)) = leaf.subject_alternative_name() {
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.push(normal(name)),
                GeneralName::IPAddress(octets) => names.extend(address(octets)),
                _ => {}
            }
        }
    }
    // What is no name reaches neither the index nor a log.
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"-._*:".contains(&b);
    names.retain(|name| !name.is_empty() && name.bytes().all(letter));
    if names.is_empty() {
        let common = leaf.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
        let common = common.filter(|cn| cn.contains('.') && cn.bytes().all(letter));
        names.extend(common.map(normal));
    }
    names
}

/// Lower case, without the dot of the root.
pub(crate) fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn address(octets: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(IpAddr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(octets).ok().map(|v6| IpAddr::from(v6).to_string())
}

fn parse<'a>(
    chain: &'a [CertificateDer<'static>],
    file: &Path,
) -> Result<Vec<X509Certificate<'a>>, Problem> {
    let mut parsed = Vec::with_capacity(chain.len());
    for (index, der) in chain.iter().enumerate() {
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => parsed.push(certificate),
            Ok((rest, _)) => {
                let what =
                    format!("certificate {} is followed by {} stray bytes", index + 1, rest.len());
                return Err(Problem::new(file, what).hint("was it copied twice or in part?"));
            }
            Err(_) => {
                return Err(Problem::new(file, format!("certificate {} is not X.509", index + 1))
                    .hint("the contents are damaged: fetch the file again"));
            }
        }
    }
    if parsed.is_empty() {
        return Err(Problem::new(file, "holds no certificate"));
    }
    Ok(parsed)
}

/// The signing library refuses a key without a reason; the leaf knows the likely one.
fn unusable_key(parsed: &[X509Certificate<'_>], source: &Source) -> Problem {
    if let Err(problem) = key_kind(&parsed[0], &source.cert) {
        return problem;
    }
    Problem::new(&source.key, "holds a private key that cannot be used")
        .hint("supported are RSA from 2048 bits, ECDSA on P-256, P-384 or P-521, and Ed25519")
}

fn fits(
    parsed: &[X509Certificate<'_>],
    signer: &dyn SigningKey,
    source: &Source,
) -> Result<(), Problem> {
    let Some(public) = signer.public_key() else {
        return Err(Problem::new(&source.key, "holds a private key whose public half is unknown"));
    };
    let of_key = |certificate: &X509Certificate<'_>| certificate.public_key().raw == &*public;
    match parsed.iter().position(of_key) {
        Some(0) => Ok(()),
        Some(index) => Err(Problem::new(
            &source.cert,
            format!(
                "the chain is out of order: the certificate of the key is number {} of {}",
                index + 1,
                parsed.len()
            ),
        )
        .hint("concatenate the server's certificate first, then its issuer, then the next")),
        None => Err(Problem::new(
            &source.cert,
            format!("the certificate does not belong to the key in {}", source.key.display()),
        )
        .hint("was only one of the two renewed, or is it the key of another certificate?")),
    }
}

fn key_kind(leaf: &X509Certificate<'_>, file: &Path) -> Result<KeyKind, Problem> {
    let public = leaf.public_key();
    let algorithm = &public.algorithm.algorithm;
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        let Ok(PublicKey::RSA(rsa)) = public.parsed() else {
            return Err(Problem::new(file, "the RSA key of the certificate cannot be read"));
        };
        // Counted here: the library's own size rounds to bytes.
        let modulus =
            rsa.modulus.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &rsa.modulus[at..]);
        let bits =
            modulus.first().map_or(0, |top| modulus.len() * 8 - top.leading_zeros() as usize);
        return match bits < RSA_BITS_MIN {
            true => Err(Problem::new(file, format!("the key is RSA with {bits} bits, too weak"))
                .hint("browsers refuse less than 2048; make a new key and have it certified")),
            false => Ok(KeyKind::Rsa { bits }),
        };
    }
    if *algorithm == OID_SIG_ED25519 {
        return Ok(KeyKind::Ed25519);
    }
    let curve = public.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    let kind = match curve.filter(|_| *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY) {
        Some(curve) if curve == OID_EC_P256 => Some(KeyKind::EcdsaP256),
        Some(curve) if curve == OID_NIST_EC_P384 => Some(KeyKind::EcdsaP384),
        Some(curve) if curve == OID_NIST_EC_P521 => Some(KeyKind::EcdsaP521),
        _ => None,
    };
    kind.ok_or_else(|| {
        Problem::new(
            file,
            format!("the key of the certificate is of an unsupported kind ({algorithm})"),
        )
        .hint("supported are RSA from 2048 bits, ECDSA on P-256, P-384 or P-521, and Ed25519")
    })
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

/// The CA/Browser Forum's minimum since 2014; aws-lc refuses to sign with less.
const RSA_BITS_MIN: usize = 2048;
