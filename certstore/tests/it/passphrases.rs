//! Keys under a passphrase: what opens them, what is refused and in which words

use std::fs;
use std::path::Path;
use std::time::Duration;

use certstore::watch::{self, Options};
use certstore::{Source, Store};

use crate::files::{EC, EC_KEY, RSA_ENCRYPTED};
use crate::pki::{NONE, directory, lines, put, source, until};

/// The usual pair in a directory, with a key and a file of passphrases; `None`: it is missing.
fn locked(dir: &Path, key: &str, passphrases: Option<&str>) -> Source {
    put(&dir.join("fullchain.pem"), EC);
    put(&dir.join("privkey.pem"), key);
    if let Some(text) = passphrases {
        put(&dir.join("pass"), text);
    }
    Source { passphrases: Some(dir.join("pass")), ..source(dir, NONE) }
}

/// Loads the pair and expects these problems, in these words.
fn check(case: &str, key: &str, passphrases: Option<&str>, expected: &[&str]) {
    let (_temp, dir) = directory();
    let problems = match Store::open(vec![locked(&dir, key, passphrases)]) {
        Ok(_) => Vec::new(),
        Err(problems) => lines(&problems, &dir),
    };
    assert_eq!(problems, expected, "{case}");
    assert!(problems.iter().all(|line| !line.contains("horse")), "{case}: {problems:?}");
}

#[test]
fn the_passphrase_that_fits_opens_the_key() {
    check("aes-256", AES256, Some(RIGHT), &[]);
    check("aes-128 and hmac with sha-1", AES128_SHA1, Some(RIGHT), &[]);
    check("scrypt", SCRYPT, Some(RIGHT), &[]);
    check("no end of line", AES256, Some("correct horse"), &[]);
    check("the third", AES256, Some("first\n\nsecond\r\ncorrect horse\r\n"), &[]);
    check("carriage returns", &AES256.replace('\n', "\r\n"), Some(RIGHT), &[]);
    check("a key that is not encrypted", EC_KEY, Some(""), &[]);
}

#[test]
fn a_passphrase_that_does_not_fit_is_bad_decrypt() {
    let bad = |none: &str| {
        format!(
            "DIR/privkey.pem: cannot load certificate key in line 1: bad decrypt: {none}; hint: \
             each line is a passphrase as it is, with the blanks in it; try one with: openssl pkey \
             -in DIR/privkey.pem -noout"
        )
    };
    let wrong = |case, text: &str, none| check(case, AES256, Some(text), &[&bad(none)]);
    wrong("one", "wrong horse\n", "the passphrase in DIR/pass does not fit");
    wrong("two", "wrong horse\nhorse\n", "none of the 2 passphrases in DIR/pass fits");
    wrong("blanks count", " correct horse\n", "the passphrase in DIR/pass does not fit");
    wrong("empty", "\n\r\n", "DIR/pass holds no passphrase");
    let many: String = (0..60).map(|number| format!("wrong horse {number}\n")).collect();
    wrong("many", &many, "none of the 60 passphrases in DIR/pass fits");
    check("missing", AES256, None, &["DIR/pass: no such file"]);
    check("missing and not needed", EC_KEY, None, &["DIR/pass: no such file"]);
}

#[test]
fn other_encryption_is_named() {
    let anew = "encrypt it anew: (umask 077; openssl pkcs8 -topk8 -v2 aes-256-cbc -in \
                DIR/privkey.pem -out key.pem)";
    let other = |case, key: &str, with| {
        let expected = format!(
            "DIR/privkey.pem: the private key in line 1 is encrypted with {with}; hint: supported \
             is PBES2 with PBKDF2 or scrypt and AES-CBC; {anew}"
        );
        check(case, key, Some(RIGHT), &[&expected]);
    };
    other("3des", DES3, "DES-EDE3-CBC");
    other("pbes1", PBES1, "PBES1 (PBE-SHA1-3DES)");
    let label = "ENCRYPTED PRIVATE KEY-----";
    let plain = format!("-----BEGIN {label}\nMAA=\n-----END {label}\n");
    other("not encrypted at all", &plain, "an unknown cipher, or damaged");
    let traditional = format!(
        "DIR/privkey.pem: the private key in line 1 is encrypted in OpenSSL's traditional way \
         (Proc-Type: 4,ENCRYPTED); hint: with ssl_password_file of nginx.conf PKCS#8 is read; {anew}"
    );
    check("traditional", RSA_ENCRYPTED, Some(RIGHT), &[&traditional]);
    let damaged = "DIR/privkey.pem: the ENCRYPTED PRIVATE KEY in line 1 is not valid base64; hint: \
                   were line breaks or characters lost in copying?";
    check("damaged", &format!("-----BEGIN {label}\n?\n-----END {label}\n"), Some(""), &[damaged]);
}

#[test]
fn what_would_take_minutes_is_refused() {
    let costly = |case, key, text, what| {
        let expected = format!(
            "DIR/privkey.pem: the private key in line 1 asks for {what}; hint: encrypt it anew: \
             (umask 077; openssl pkcs8 -topk8 -v2 aes-256-cbc -in DIR/privkey.pem -out key.pem)"
        );
        check(case, key, Some(text), &[&expected]);
    };
    let rounds = "6000000 rounds for each of 2 passphrases, more than 10000000 in all";
    costly("iterations", COSTLY, "wrong horse\ncorrect horse\n", rounds);
    costly("memory", SCRYPT_LARGE, RIGHT, "254 MiB of memory, more than 32");
    check(
        "too many",
        AES256,
        Some(&"wrong horse\n".repeat(65)),
        &[
            "DIR/pass: holds 65 passphrases, more than 64; hint: each is tried in turn: keep those of \
           the keys in use",
        ],
    );
    check(
        "too long",
        AES256,
        Some(&"a".repeat(4096)),
        &["DIR/pass: too long line: a passphrase has at most 4095 bytes; hint: one passphrase \
           stands in a line; is it the right file?"],
    );
    check(
        "too large",
        AES256,
        Some(&"\n".repeat((256 << 10) + 1)),
        &["DIR/pass: is larger than 256 KiB; hint: is it a passphrase in each line?"],
    );
}

#[test]
fn a_change_of_the_passphrases_is_followed() {
    let (_temp, dir) = directory();
    let (store, _) = Store::open(vec![locked(&dir, AES256, Some(RIGHT))]).unwrap();
    assert!(store.reload().is_empty());
    let (told, reports) = std::sync::mpsc::channel();
    let options = Options {
        debounce: Duration::from_millis(5),
        retries: Vec::new(),
        poll: Duration::from_secs(3600),
        ..Options::default()
    };
    let watch = watch::spawn_with(store.clone(), options, move |report| {
        told.send(report).unwrap();
    });
    put(&dir.join("pass"), "wrong horse\n");
    let mut kept = Vec::new();
    until("the report of the wrong passphrase", || {
        kept.extend(reports.try_iter().flat_map(|report| report.kept));
        !kept.is_empty()
    });
    assert!(kept[0].to_string().contains("bad decrypt"), "{kept:?}");
    assert_eq!(store.current().identities().len(), 1, "the last good stays");
    // A new key and its passphrase, one after the other, as a renewal writes them.
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ec-scrypt.pem"),
        dir.join("privkey.pem"),
    )
    .unwrap();
    put(&dir.join("pass"), RIGHT);
    drop(watch);
    assert!(store.reload().kept.is_empty());
}

const RIGHT: &str = "correct horse\n";
const AES256: &str = include_str!("../data/ec-aes256.pem");
const AES128_SHA1: &str = include_str!("../data/ec-aes128-sha1.pem");
const SCRYPT: &str = include_str!("../data/ec-scrypt.pem");
const SCRYPT_LARGE: &str = include_str!("../data/ec-scrypt-large.pem");
const COSTLY: &str = include_str!("../data/ec-costly.pem");
const DES3: &str = include_str!("../data/ec-des3.pem");
const PBES1: &str = include_str!("../data/ec-pbes1.pem");
