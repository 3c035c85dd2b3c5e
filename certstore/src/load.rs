//! Files (PEM or DER) to a chain and a key; says which file, what is wrong and what to do

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use aws_lc_rs::digest;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use crate::report::Problem;

/// A chain and a key as the files have them: decoded, not yet checked.
pub(crate) struct Loaded {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Zeroizing<PrivateKeyDer<'static>>,
    /// Permission bits of the key file.
    pub(crate) key_mode: u32,
}

/// The bytes of both files, and what they hash to.
pub(crate) struct Bytes {
    cert: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    key_mode: u32,
    /// Tells a changed pair from an unchanged one; never leaves the process.
    pub(crate) digest: [u8; 32],
}

/// Reads both files. A certificate file may hold the key too, so both are treated as secret.
pub(crate) fn read(cert: &Path, key: &Path) -> Result<Bytes, Vec<Problem>> {
    let (cert, key) = match (read_file(cert), read_file(key)) {
        (Ok(cert), Ok(key)) => (cert, key),
        (cert, key) => {
            let mut problems: Vec<_> = [cert.err(), key.err()].into_iter().flatten().collect();
            problems.dedup();
            return Err(problems);
        }
    };
    let mut context = digest::Context::new(&digest::SHA256);
    // The length keeps a byte from moving between the files unnoticed.
    context.update(&cert.bytes.len().to_be_bytes());
    context.update(&cert.bytes);
    context.update(&key.bytes);
    // A change of the mode alone is worth a new warning.
    context.update(&key.mode.to_be_bytes());
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(Bytes { cert: cert.bytes, key: key.bytes, key_mode: key.mode, digest })
}

/// Decodes what was read; the paths are for the messages.
pub(crate) fn decode(bytes: &Bytes, cert: &Path, key: &Path) -> Result<Loaded, Vec<Problem>> {
    match (decode_chain(&bytes.cert, cert), decode_key(&bytes.key, key)) {
        (Ok(chain), Ok(key)) => Ok(Loaded { chain, key, key_mode: bytes.key_mode }),
        (chain, key) => Err([chain.err(), key.err()].into_iter().flatten().collect()),
    }
}

/// Runs the whole loader over arbitrary bytes as certificate and key: for fuzzing.
#[doc(hidden)]
pub fn fuzz_load(bytes: &[u8]) {
    let secret = || Zeroizing::new(bytes.to_vec());
    let bytes = Bytes { cert: secret(), key: secret(), key_mode: 0o600, digest: [0; 32] };
    let (cert, key) = (Path::new("cert.pem"), Path::new("key.pem"));
    let source = crate::Source {
        cert: cert.to_path_buf(),
        key: key.to_path_buf(),
        names: vec!["a.example".to_owned(), "*.b.example".to_owned()],
        default: false,
        group: String::new(),
    };
    if let Ok(chain) = decode_chain(&bytes.cert, cert) {
        crate::check::inspect(&chain, &source);
    }
    if let Ok(loaded) = decode(&bytes, cert, key) {
        let _ = crate::check::check(loaded, &source, 1_800_000_000);
    }
}

struct Contents {
    bytes: Zeroizing<Vec<u8>>,
    mode: u32,
}

fn read_file(path: &Path) -> Result<Contents, Problem> {
    let file = open(path).map_err(|error| cannot_read(path, &error))?;
    let metadata = file.metadata().map_err(|error| cannot_read(path, &error))?;
    if metadata.is_dir() {
        return Err(Problem::new(path, "is a directory")
            .hint("name the file in it, for certbot fullchain.pem and privkey.pem"));
    }
    if !metadata.is_file() {
        return Err(Problem::new(path, "is not a regular file")
            .hint("a renewal can only be read from a file that can be read twice"));
    }
    // Room for all of it at once: a vector that grows leaves copies of the key behind.
    let bytes_expected = usize::try_from(metadata.len()).unwrap_or(FILE_BYTES_MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_expected.min(FILE_BYTES_MAX) + 1));
    let read = file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| cannot_read(path, &error))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Problem::new(path, "is larger than 1 MiB")
            .hint("is it a chain and a key, or a bundle of all authorities?"));
    }
    Ok(Contents { bytes, mode: metadata.mode() & 0o7777 })
}

/// Never waits: opening a pipe nobody writes to would block for ever otherwise.
fn open(path: &Path) -> io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().read(true).custom_flags(nonblocking).open(path)
}

fn cannot_read(path: &Path, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => match std::fs::read_link(path) {
            Ok(target) => Problem::new(
                path,
                format!("is a symbolic link to {}, which does not exist", target.display()),
            ),
            Err(_) => Problem::new(path, "no such file"),
        },
        io::ErrorKind::PermissionDenied => {
            let hint = match path.starts_with("/etc/letsencrypt") {
                true => {
                    "certbot keeps /etc/letsencrypt/live and archive for root (mode 0700): \
                     start sheen as root, or open both directories and the key to its group"
                }
                false => {
                    "the user sheen runs as must be able to read the file and to enter \
                     every directory above it"
                }
            };
            Problem::new(path, "permission denied").hint(hint)
        }
        _ => Problem::new(path, format!("cannot be read: {error}")),
    }
}

fn decode_chain(bytes: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let blocks = pem_blocks(bytes, file)?;
    if blocks.is_empty() {
        return match Der::of(bytes, file)? {
            Der::Other => Ok(vec![CertificateDer::from(bytes.to_vec())]),
            Der::Key => Err(key_for_certificate(file)),
            Der::Request => Err(request_for_certificate(file)),
        };
    }
    let certificates: Vec<_> = blocks.iter().filter(|b| b.label == "CERTIFICATE").collect();
    if certificates.is_empty() {
        return Err(no_certificate(&blocks, file));
    }
    let mut chain = Vec::with_capacity(certificates.len());
    for block in certificates {
        let (_, der) = block.decode(bytes, file)?;
        chain.push(CertificateDer::from(der));
    }
    Ok(chain)
}

fn decode_key(bytes: &[u8], file: &Path) -> Result<Zeroizing<PrivateKeyDer<'static>>, Problem> {
    let blocks = pem_blocks(bytes, file)?;
    if blocks.is_empty() {
        return match Der::of(bytes, file)? {
            Der::Key => PrivateKeyDer::try_from(bytes.to_vec())
                .map(Zeroizing::new)
                .map_err(|what| Problem::new(file, what)),
            Der::Request => Err(request_for_key(file)),
            Der::Other => Err(Problem::new(file, "is not a private key (PKCS#1, SEC1 or PKCS#8)")
                .hint("an encrypted key or a certificate? convert a key with openssl pkey")),
        };
    }
    if let Some(block) = blocks.iter().find(|block| block.encrypted) {
        return Err(Problem::new(
            file,
            format!("the private key in line {} is encrypted", block.line),
        )
        .hint(format!(
            "a server cannot ask for the passphrase; decrypt it with: (umask 077; openssl \
                 pkey -in {} -out decrypted.pem)",
            file.display()
        )));
    }
    let keys: Vec<_> = blocks.iter().filter(|b| KEY_LABELS.contains(&&*b.label)).collect();
    match keys[..] {
        [] => Err(no_key(&blocks, file)),
        [block] => match block.decode(bytes, file)? {
            (SectionKind::RsaPrivateKey, der) => Ok(PrivateKeyDer::Pkcs1(der.into())),
            (SectionKind::EcPrivateKey, der) => Ok(PrivateKeyDer::Sec1(der.into())),
            (_, der) => Ok(PrivateKeyDer::Pkcs8(der.into())),
        }
        .map(Zeroizing::new),
        [_, second, ..] => Err(Problem::new(
            file,
            format!("holds {} private keys, the second in line {}", keys.len(), second.line),
        )
        .hint("keep the one of the certificate")),
    }
}

/// What bytes without a PEM block seem to be.
enum Der {
    Key,
    Request,
    /// A certificate, or nothing we know: the check will tell.
    Other,
}

impl Der {
    fn of(bytes: &[u8], file: &Path) -> Result<Der, Problem> {
        if bytes.is_empty() {
            return Err(Problem::new(file, "is empty")
                .hint("is it still being written, or was the disk full?"));
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(Problem::new(file, "is UTF-16 text").hint("save it as plain text (UTF-8)"));
        }
        if bytes[0] != 0x30 {
            return Err(Problem::new(file, "holds no PEM block (-----BEGIN ...) and is not DER")
                .hint("is it the right file?"));
        }
        // The first member of the outer sequence tells PKCS#12 (version 3) and PKCS#7 (its type).
        let head = &bytes[..bytes.len().min(32)];
        if head.windows(5).take(6).any(|w| w[..4] == [0x02, 0x01, 0x03, 0x30]) {
            return Err(Problem::new(file, "is a PKCS#12 (.pfx, .p12) store").hint(format!(
                "convert it: (umask 077; openssl pkcs12 -in {} -nodes -out both.pem), and name \
                 both.pem as certificate and as key",
                file.display()
            )));
        }
        if head.windows(PKCS7_SIGNED_DATA.len()).any(|w| w == PKCS7_SIGNED_DATA) {
            return Err(pkcs7(file, "-inform DER "));
        }
        if PrivateKeyDer::try_from(bytes).is_ok() {
            return Ok(Der::Key);
        }
        match X509CertificationRequest::from_der(bytes) {
            Ok(_) => Ok(Der::Request),
            Err(_) => Ok(Der::Other),
        }
    }
}

/// One PEM block: where it is and what it calls itself.
struct Block {
    label: String,
    /// The line of its -----BEGIN, counted from 1.
    line: usize,
    start: usize,
    end: usize,
    /// True exactly when its contents are encrypted, in the new way or the old (RFC 1421).
    encrypted: bool,
}

impl Block {
    fn decode(&self, bytes: &[u8], file: &Path) -> Result<(SectionKind, Vec<u8>), Problem> {
        // The library's error may quote the contents, so it is not repeated here.
        <(SectionKind, Vec<u8>)>::from_pem_slice(&bytes[self.start..self.end]).map_err(|_| {
            let (label, line) = (&self.label, self.line);
            Problem::new(file, format!("the {label} in line {line} is not valid base64"))
                .hint("were line breaks or characters lost in copying?")
        })
    }
}

/// Finds the PEM blocks; an opened and never closed one is an error.
fn pem_blocks(bytes: &[u8], file: &Path) -> Result<Vec<Block>, Problem> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut at = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    for (number, line) in bytes[at..].split_inclusive(|byte| *byte == b'\n').enumerate() {
        let (start, text) = (at, line.trim_ascii());
        at += line.len();
        if let Some(rest) = text.strip_prefix(b"-----BEGIN ") {
            if let Some(block) = open {
                return Err(truncated(file, &block));
            }
            let indent = line.len() - line.trim_ascii_start().len();
            let Some(label) = rest.strip_suffix(b"-----").and_then(label).filter(|_| indent == 0)
            else {
                return Err(Problem::new(
                    file,
                    format!("line {} is a malformed -----BEGIN line", number + 1),
                )
                .hint("it must stand alone and unindented; were line breaks lost in copying?"));
            };
            let encrypted = label == "ENCRYPTED PRIVATE KEY";
            open = Some(Block { label, line: number + 1, start, end: at, encrypted });
        } else if text.starts_with(b"-----END ") {
            let Some(mut block) = open.take() else {
                continue;
            };
            block.end = at;
            blocks.push(block);
        } else if text.starts_with(b"Proc-Type:") && text.ends_with(b"ENCRYPTED") {
            open.iter_mut().for_each(|block| block.encrypted = true);
        }
    }
    match open {
        Some(block) => Err(truncated(file, &block)),
        None => Ok(blocks),
    }
}

/// A label as text, if it is one: what is not may be a piece of a key and is not repeated.
fn label(bytes: &[u8]) -> Option<String> {
    let fits = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b" #.".contains(b);
    (bytes.len() <= 40 && bytes.iter().all(fits))
        .then(|| bytes.iter().map(|b| *b as char).collect())
}

fn truncated(file: &Path, block: &Block) -> Problem {
    let (label, line) = (&block.label, block.line);
    Problem::new(file, format!("the {label} that begins in line {line} has no -----END line"))
        .hint("the file was copied in part, or is still being written")
}

fn no_certificate(blocks: &[Block], file: &Path) -> Problem {
    let holds = |word: &str| blocks.iter().any(|block| block.label.contains(word));
    if holds("PRIVATE KEY") {
        key_for_certificate(file)
    } else if holds("CERTIFICATE REQUEST") {
        request_for_certificate(file)
    } else if holds("PKCS7") {
        pkcs7(file, "")
    } else {
        Problem::new(file, format!("holds no certificate but a {}", blocks[0].label))
            .hint("the certificate chain begins with -----BEGIN CERTIFICATE-----")
    }
}

fn no_key(blocks: &[Block], file: &Path) -> Problem {
    let holds = |word: &str| blocks.iter().any(|block| block.label == word);
    if holds("CERTIFICATE") {
        Problem::new(file, "holds a certificate but no private key")
            .hint("are the certificate and the key swapped?")
    } else if holds("CERTIFICATE REQUEST") || holds("NEW CERTIFICATE REQUEST") {
        request_for_key(file)
    } else if holds("OPENSSH PRIVATE KEY") {
        Problem::new(file, "holds an ssh key, which no certificate is made for")
            .hint("name the key the certificate was requested with")
    } else {
        Problem::new(file, format!("holds no private key but a {}", blocks[0].label))
            .hint("supported are PRIVATE KEY, RSA PRIVATE KEY and EC PRIVATE KEY")
    }
}

fn key_for_certificate(file: &Path) -> Problem {
    Problem::new(file, "holds a private key but no certificate")
        .hint("are the certificate and the key swapped?")
}

fn request_for_certificate(file: &Path) -> Problem {
    Problem::new(file, "is a certificate signing request, not a certificate")
        .hint("send it to the authority and name the certificate that comes back")
}

fn request_for_key(file: &Path) -> Problem {
    Problem::new(file, "is a certificate signing request, not a private key")
        .hint("name the key the request was made with")
}

fn pkcs7(file: &Path, form: &str) -> Problem {
    Problem::new(file, "is a PKCS#7 (.p7b) bundle").hint(format!(
        "convert it: openssl pkcs7 {form}-in {} -print_certs -out fullchain.pem",
        file.display()
    ))
}

const KEY_LABELS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The object identifier 1.2.840.113549.1.7.2 in DER.
const PKCS7_SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const FILE_BYTES_MAX: usize = 1 << 20;
