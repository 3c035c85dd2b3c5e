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

use crate::passphrase::{self, Passphrases};
use crate::report::Problem;
use crate::store::Source;

/// A chain and a key as the files have them: decoded, not yet checked.
pub(crate) struct Loaded {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Zeroizing<PrivateKeyDer<'static>>,
    /// Permission bits of the key file.
    pub(crate) key_mode: u32,
}

/// The bytes of the files, and what they hash to.
pub(crate) struct Bytes {
    cert: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    key_mode: u32,
    /// Of the file of passphrases, if there is one.
    passphrases: Option<Zeroizing<Vec<u8>>>,
    /// Tells a changed pair from an unchanged one; never leaves the process.
    pub(crate) digest: [u8; 32],
}

/// Reads all files. A certificate file may hold the key too, so all are treated as secret.
pub(crate) fn read(source: &Source) -> Result<Bytes, Vec<Problem>> {
    let cert = read_file(&source.cert, PEM);
    let key = read_file(&source.key, PEM);
    let passphrases = source.passphrases.as_ref().map(|file| read_file(file, PASSPHRASES));
    let (cert, key, passphrases) = match (cert, key, passphrases.transpose()) {
        (Ok(cert), Ok(key), Ok(passphrases)) => (cert, key, passphrases),
        (cert, key, passphrases) => {
            let problems = [cert.err(), key.err(), passphrases.err()];
            let mut problems: Vec<_> = problems.into_iter().flatten().collect();
            problems.dedup();
            return Err(problems);
        }
    };
    let mut context = digest::Context::new(&digest::SHA256);
    // The lengths keep a byte from moving between the files unnoticed.
    context.update(&cert.bytes.len().to_be_bytes());
    context.update(&cert.bytes);
    context.update(&key.bytes.len().to_be_bytes());
    context.update(&key.bytes);
    // A change of the mode alone is worth a new warning.
    context.update(&key.mode.to_be_bytes());
    let passphrases = passphrases.map(|file| file.bytes);
    if let Some(bytes) = &passphrases {
        context.update(bytes);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(Bytes { cert: cert.bytes, key: key.bytes, key_mode: key.mode, passphrases, digest })
}

/// Decodes what was read; the paths of the source are for the messages.
pub(crate) fn decode(bytes: &Bytes, source: &Source) -> Result<Loaded, Vec<Problem>> {
    let passphrases = source.passphrases.as_deref().zip(bytes.passphrases.as_deref());
    let passphrases = passphrases.map(|(file, bytes)| Passphrases { file, bytes });
    let chain = decode_chain(&bytes.cert, &source.cert);
    match (chain, decode_key(&bytes.key, &source.key, passphrases)) {
        (Ok(chain), Ok(key)) => Ok(Loaded { chain, key, key_mode: bytes.key_mode }),
        (chain, key) => Err([chain.err(), key.err()].into_iter().flatten().collect()),
    }
}

/// Runs the whole loader over arbitrary bytes as certificate and key: for fuzzing.
#[doc(hidden)]
pub fn fuzz_load(bytes: &[u8]) {
    let secret = || Zeroizing::new(bytes.to_vec());
    let (key_mode, digest) = (0o600, [0; 32]);
    let bytes = Bytes { cert: secret(), key: secret(), key_mode, passphrases: None, digest };
    let source = Source {
        cert: "cert.pem".into(),
        key: "key.pem".into(),
        // Deriving a key may take seconds, which no fuzzer has for an input.
        passphrases: None,
        names: vec!["a.example".to_owned(), "*.b.example".to_owned()],
        default: false,
        group: String::new(),
    };
    if let Ok(chain) = decode_chain(&bytes.cert, &source.cert) {
        crate::check::inspect(&chain, &source);
    }
    if let Ok(loaded) = decode(&bytes, &source) {
        let _ = crate::check::check(loaded, &source, 1_800_000_000);
    }
}

/// How large a file may be, and what a larger one seems to be.
#[derive(Clone, Copy)]
struct Bound {
    bytes_max: usize,
    name: &'static str,
    hint: &'static str,
}

struct Contents {
    bytes: Zeroizing<Vec<u8>>,
    mode: u32,
}

fn read_file(path: &Path, bound: Bound) -> Result<Contents, Problem> {
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
    let bytes_max = bound.bytes_max;
    let bytes_expected = usize::try_from(metadata.len()).unwrap_or(bytes_max);
    let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_expected.min(bytes_max) + 1));
    let read = file.take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| cannot_read(path, &error))?;
    if bytes.len() > bytes_max {
        let what = format!("is larger than {}", bound.name);
        return Err(Problem::new(path, what).hint(bound.hint));
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

fn decode_key(
    bytes: &[u8],
    file: &Path,
    passphrases: Option<Passphrases<'_>>,
) -> Result<Zeroizing<PrivateKeyDer<'static>>, Problem> {
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
    if let Some(block) = blocks.iter().find(|block| block.traditional) {
        return Err(traditional(file, block));
    }
    let encrypted = |block: &Block| block.label == ENCRYPTED_LABEL;
    let keys: Vec<_> =
        blocks.iter().filter(|b| KEY_LABELS.contains(&&*b.label) || encrypted(b)).collect();
    match keys[..] {
        [] => Err(no_key(&blocks, file)),
        [block] if encrypted(block) => match passphrases {
            Some(all) => passphrase::decrypt(&block.unpack(bytes, file)?, all, (file, block.line)),
            None => Err(no_passphrase(file, block)),
        },
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
    /// True exactly when its contents are encrypted in OpenSSL's own old way (RFC 1421).
    traditional: bool,
}

impl Block {
    fn decode(&self, bytes: &[u8], file: &Path) -> Result<(SectionKind, Vec<u8>), Problem> {
        // The library's error may quote the contents, so it is not repeated here.
        <(SectionKind, Vec<u8>)>::from_pem_slice(&bytes[self.start..self.end])
            .map_err(|_| self.not_base64(file))
    }

    /// The contents of an encrypted key, whose label the library does not know.
    fn unpack(&self, bytes: &[u8], file: &Path) -> Result<Vec<u8>, Problem> {
        let block = &bytes[self.start..self.end];
        let lines = block.split_inclusive(|byte| *byte == b'\n');
        let inner = lines.filter(|line| !line.starts_with(b"-----"));
        let known = [b"-----BEGIN PRIVATE KEY-----\n"].into_iter().map(|line| &line[..]);
        let known: Vec<_> =
            known.chain(inner).chain([&b"-----END PRIVATE KEY-----\n"[..]]).collect();
        let (_, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(&known.concat())
            .map_err(|_| self.not_base64(file))?;
        Ok(der)
    }

    fn not_base64(&self, file: &Path) -> Problem {
        let (label, line) = (&self.label, self.line);
        Problem::new(file, format!("the {label} in line {line} is not valid base64"))
            .hint("were line breaks or characters lost in copying?")
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
            open = Some(Block { label, line: number + 1, start, end: at, traditional: false });
        } else if text.starts_with(b"-----END ") {
            let Some(mut block) = open.take() else {
                continue;
            };
            block.end = at;
            blocks.push(block);
        } else if text.starts_with(b"Proc-Type:") && text.ends_with(b"ENCRYPTED") {
            open.iter_mut().for_each(|block| block.traditional = true);
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

fn no_passphrase(file: &Path, block: &Block) -> Problem {
    Problem::new(file, format!("the private key in line {} is encrypted", block.line)).hint(
        format!(
            "a server cannot ask for the passphrase; name a file with it in ssl_password_file of \
         nginx.conf, or decrypt the key with: (umask 077; openssl pkey -in {} -out decrypted.pem)",
            file.display()
        ),
    )
}

fn traditional(file: &Path, block: &Block) -> Problem {
    let line = block.line;
    let what = format!("the private key in line {line} is encrypted in OpenSSL's traditional way");
    Problem::new(file, what + " (Proc-Type: 4,ENCRYPTED)").hint(format!(
        "with ssl_password_file of nginx.conf PKCS#8 is read; {}",
        passphrase::convert(file)
    ))
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
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The object identifier 1.2.840.113549.1.7.2 in DER.
const PKCS7_SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const PEM: Bound = Bound {
    bytes_max: 1 << 20,
    name: "1 MiB",
    hint: "is it a chain and a key, or a bundle of all authorities?",
};
const PASSPHRASES: Bound =
    Bound { bytes_max: 256 << 10, name: "256 KiB", hint: "is it a passphrase in each line?" };
