//! Keys under a passphrase: reads the passphrases of a file, tries each, and bounds what that costs

use std::path::Path;

use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use rustls::pki_types::PrivateKeyDer;
use zeroize::Zeroizing;

use crate::report::Problem;

/// The file of nginx's `ssl_password_file` as it was read: one passphrase a line.
#[derive(Clone, Copy)]
pub(crate) struct Passphrases<'a> {
    pub(crate) file: &'a Path,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Passphrases<'a> {
    /// In the order of the file. As in nginx empty lines do not count, a carriage return before the
    /// end of a line is not part of it, and a file without any stands for the empty passphrase.
    pub(crate) fn all(self) -> Result<Vec<&'a [u8]>, Problem> {
        let lines = self.bytes.split(|byte| *byte == b'\n');
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let all: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        if all.iter().any(|line| line.len() > PASSPHRASE_BYTES_MAX) {
            let what = format!("too long line: a passphrase has at most {PASSPHRASE_BYTES_MAX}");
            return Err(Problem::new(self.file, what + " bytes")
                .hint("one passphrase stands in a line; is it the right file?"));
        }
        if all.len() > PASSPHRASES_MAX {
            let what = format!("holds {} passphrases, more than {PASSPHRASES_MAX}", all.len());
            return Err(Problem::new(self.file, what)
                .hint("each is tried in turn: keep those of the keys in use"));
        }
        Ok(if all.is_empty() { vec![b""] } else { all })
    }
}

/// Decrypts an EncryptedPrivateKeyInfo (RFC 5958 section 3) with the first passphrase that fits;
/// `file` and `line` say where the key stands.
pub(crate) fn decrypt(
    der: &[u8],
    passphrases: Passphrases<'_>,
    (file, line): (&Path, usize),
) -> Result<Zeroizing<PrivateKeyDer<'static>>, Problem> {
    let all = passphrases.all()?;
    let key = EncryptedPrivateKeyInfo::try_from(der).ok();
    let Some((key, parameters)) =
        key.as_ref().and_then(|key| Some((key, key.encryption_algorithm.pbes2()?)))
    else {
        return Err(other_encryption(der, file, line));
    };
    check_cost(parameters, all.len(), file, line)?;
    for passphrase in &all {
        // In place, since what comes of a wrong passphrase is wiped as well.
        let mut buffer = Zeroizing::new(key.encrypted_data.to_vec());
        // Padding fits by chance once in 256 times, a whole key does not.
        if let Ok(plain) = parameters.decrypt_in_place(passphrase, &mut buffer)
            && PrivateKeyInfo::try_from(plain).is_ok()
        {
            return Ok(Zeroizing::new(PrivateKeyDer::Pkcs8(plain.to_vec().into())));
        }
    }
    let of = passphrases.file.display();
    let none = match &all[..] {
        [b""] => format!("{of} holds no passphrase"),
        [_] => format!("the passphrase in {of} does not fit"),
        _ => format!("none of the {} passphrases in {of} fits", all.len()),
    };
    let what = format!("cannot load certificate key in line {line}: bad decrypt: {none}");
    Err(Problem::new(file, what).hint(format!(
        "each line is a passphrase as it is, with the blanks in it; try one with: openssl pkey -in \
         {} -noout",
        file.display()
    )))
}

/// A file can ask for hours of work and gigabytes of memory: says so instead.
fn check_cost(
    parameters: &Parameters<'_>,
    passphrases: usize,
    file: &Path,
    line: usize,
) -> Result<(), Problem> {
    let (rounds, memory_bytes) = match &parameters.kdf {
        Kdf::Pbkdf2(kdf) => (u128::from(kdf.iteration_count), 0),
        // RFC 7914 section 2: N steps over 128 * r bytes for each of p lanes.
        Kdf::Scrypt(kdf) => {
            let (n, r) = (u128::from(kdf.cost_parameter), u128::from(kdf.block_size));
            let p = u128::from(kdf.parallelization);
            (n * r * p, 128 * r * (n + p))
        }
        _ => return Err(unsupported(file, line, "an unknown derivation of its key")),
    };
    let what = if memory_bytes > MEMORY_BYTES_MAX {
        format!("{} MiB of memory, more than {}", memory_bytes >> 20, MEMORY_BYTES_MAX >> 20)
    } else if rounds * passphrases as u128 > ROUNDS_MAX {
        format!(
            "{rounds} rounds for each of {passphrases} passphrases, more than {ROUNDS_MAX} in all"
        )
    } else {
        return Ok(());
    };
    let what = format!("the private key in line {line} asks for {what}");
    Err(Problem::new(file, what).hint(convert(file)))
}

/// What is no PBES2 with a cipher we have, by its name where it has one.
fn other_encryption(der: &[u8], file: &Path, line: usize) -> Problem {
    let head = &der[..der.len().min(HEAD_BYTES)];
    let has = |id: &[u8]| head.windows(id.len()).any(|window| window == id);
    match OTHERS.iter().find(|(id, _)| has(id)) {
        Some((_, name)) => unsupported(file, line, name),
        None => unsupported(file, line, "an unknown cipher, or damaged"),
    }
}

fn unsupported(file: &Path, line: usize, with: &str) -> Problem {
    let what = format!("the private key in line {line} is encrypted with {with}");
    let hint = format!("supported is PBES2 with PBKDF2 or scrypt and AES-CBC; {}", convert(file));
    Problem::new(file, what).hint(hint)
}

/// The command that encrypts a key in a way we read.
pub(crate) fn convert(file: &Path) -> String {
    format!(
        "encrypt it anew: (umask 077; openssl pkcs8 -topk8 -v2 aes-256-cbc -in {} -out key.pem)",
        file.display()
    )
}

/// The object identifiers of what others encrypt keys with, in DER, and their names in openssl.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x01", "PBES1 (PBE-MD2-DES)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x03", "PBES1 (PBE-MD5-DES)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x04", "PBES1 (PBE-MD2-RC2-64)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x06", "PBES1 (PBE-MD5-RC2-64)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0a", "PBES1 (PBE-SHA1-DES)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0b", "PBES1 (PBE-SHA1-RC2-64)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x01", "PBES1 (PBE-SHA1-RC4-128)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x02", "PBES1 (PBE-SHA1-RC4-40)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03", "PBES1 (PBE-SHA1-3DES)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x04", "PBES1 (PBE-SHA1-2DES)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x05", "PBES1 (PBE-SHA1-RC2-128)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x06", "PBES1 (PBE-SHA1-RC2-40)"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x03\x07", "DES-EDE3-CBC"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x03\x02", "RC2-CBC"),
    (b"\x2b\x0e\x03\x02\x07", "DES-CBC"),
];
/// The parameters of an encryption stand in front of what is encrypted, in fewer bytes than this.
const HEAD_BYTES: usize = 128;
/// As nginx has it: its buffer has 4096 bytes, the end of the line among them.
const PASSPHRASE_BYTES_MAX: usize = 4095;
const PASSPHRASES_MAX: usize = 64;
/// Of one key and all its passphrases: iterations of PBKDF2 (openssl writes 2048, OWASP advises
/// 600 000), or N * r * p of scrypt (openssl writes 131 072); a few seconds.
const ROUNDS_MAX: u128 = 10_000_000;
/// What openssl allows scrypt.
const MEMORY_BYTES_MAX: u128 = 32 << 20;
