//! Bad files and the exact words for each; good files in every form

use std::fs;
use std::os::unix::fs::PermissionsExt;

use certstore::{Source, Store};

use crate::pki::{Authority, NONE, directory, lines, put, source};

/// Loads one pair and expects these problems, all of them, in these words.
fn check(case: &str, cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>, expected: &[&str]) {
    let (_temp, dir) = directory();
    put(&dir.join("fullchain.pem"), cert);
    put(&dir.join("privkey.pem"), key);
    let problems = match Store::open(vec![source(&dir, NONE)]) {
        Ok(_) => Vec::new(),
        Err(problems) => lines(&problems, &dir),
    };
    assert_eq!(problems, expected, "{case}");
}

#[test]
fn wrong_contents_are_named() {
    let no_key = "DIR/privkey.pem: holds a certificate but no private key; hint: are the \
                  certificate and the key swapped?";
    let no_certificate = "DIR/fullchain.pem: holds a private key but no certificate; hint: are \
                          the certificate and the key swapped?";
    check("swapped", EC_KEY, EC, &[no_certificate, no_key]);
    check("certificate twice", EC, EC, &[no_key]);
    check("key twice", EC_KEY, EC_KEY, &[no_certificate]);
    check("der key as certificate", der(EC_PKCS8), EC_KEY, &[no_certificate]);
    check(
        "ssh key",
        EC,
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        &["DIR/privkey.pem: holds an ssh key, which no certificate is made for; hint: name the \
           key the certificate was requested with"],
    );
    check(
        "public key as key",
        EC,
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        &["DIR/privkey.pem: holds no private key but a PUBLIC KEY; hint: supported are PRIVATE \
           KEY, RSA PRIVATE KEY and EC PRIVATE KEY"],
    );
    check(
        "crl as certificate",
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        EC_KEY,
        &["DIR/fullchain.pem: holds no certificate but a X509 CRL; hint: the certificate chain \
           begins with -----BEGIN CERTIFICATE-----"],
    );
    check(
        "two keys",
        EC,
        [EC_KEY, EC_PKCS8].concat(),
        &["DIR/privkey.pem: holds 2 private keys, the second in line 9; hint: keep the one of \
           the certificate"],
    );
}

#[test]
fn a_signing_request_is_neither() {
    check(
        "request as certificate",
        REQUEST,
        EC_KEY,
        &["DIR/fullchain.pem: is a certificate signing request, not a certificate; hint: send it \
           to the authority and name the certificate that comes back"],
    );
    check(
        "der request as certificate",
        der(REQUEST),
        EC_KEY,
        &["DIR/fullchain.pem: is a certificate signing request, not a certificate; hint: send it \
           to the authority and name the certificate that comes back"],
    );
    check(
        "request as key",
        EC,
        REQUEST,
        &["DIR/privkey.pem: is a certificate signing request, not a private key; hint: name the \
           key the request was made with"],
    );
}

#[test]
fn other_packings_come_with_the_command_to_convert_them() {
    check(
        "pkcs12",
        STORE_P12,
        EC_KEY,
        &["DIR/fullchain.pem: is a PKCS#12 (.pfx, .p12) store; hint: convert it: (umask 077; \
           openssl pkcs12 -in DIR/fullchain.pem -nodes -out both.pem), and name both.pem as \
           certificate and as key"],
    );
    check(
        "pkcs7",
        BUNDLE,
        EC_KEY,
        &["DIR/fullchain.pem: is a PKCS#7 (.p7b) bundle; hint: convert it: openssl pkcs7 -in \
           DIR/fullchain.pem -print_certs -out fullchain.pem"],
    );
    check(
        "pkcs7 in der",
        der(BUNDLE),
        EC_KEY,
        &["DIR/fullchain.pem: is a PKCS#7 (.p7b) bundle; hint: convert it: openssl pkcs7 -inform \
           DER -in DIR/fullchain.pem -print_certs -out fullchain.pem"],
    );
    check(
        "encrypted pkcs8",
        EC,
        EC_ENCRYPTED,
        &[
            "DIR/privkey.pem: the private key in line 1 is encrypted; hint: a server cannot ask for \
           the passphrase; name a file with it in ssl_password_file of nginx.conf, or decrypt the \
           key with: (umask 077; openssl pkey -in DIR/privkey.pem -out decrypted.pem)",
        ],
    );
    check(
        "encrypted in the old way",
        RSA,
        RSA_ENCRYPTED,
        &["DIR/privkey.pem: the private key in line 1 is encrypted in OpenSSL's traditional way \
           (Proc-Type: 4,ENCRYPTED); hint: with ssl_password_file of nginx.conf PKCS#8 is read; \
           encrypt it anew: (umask 077; openssl pkcs8 -topk8 -v2 aes-256-cbc -in \
           DIR/privkey.pem -out key.pem)"],
    );
    check(
        "encrypted der",
        EC,
        der(EC_ENCRYPTED),
        &["DIR/privkey.pem: is not a private key (PKCS#1, SEC1 or PKCS#8); hint: an encrypted \
           key or a certificate? convert a key with openssl pkey"],
    );
}

#[test]
fn damage_is_located() {
    check(
        "empty",
        "",
        EC_KEY,
        &["DIR/fullchain.pem: is empty; hint: is it still being written, or was the disk full?"],
    );
    check(
        "no pem",
        "hello\n",
        EC_KEY,
        &["DIR/fullchain.pem: holds no PEM block (-----BEGIN ...) and is not DER; hint: is it \
           the right file?"],
    );
    check(
        "utf-16",
        b"\xff\xfe-\0-\0",
        EC_KEY,
        &["DIR/fullchain.pem: is UTF-16 text; hint: save it as plain text (UTF-8)"],
    );
    check(
        "not base64",
        EC.replace("MII", "M*I"),
        EC_KEY,
        &["DIR/fullchain.pem: the CERTIFICATE in line 1 is not valid base64; hint: were line \
           breaks or characters lost in copying?"],
    );
    check(
        "line breaks lost",
        EC.replace('\n', "\\n"),
        EC_KEY,
        &["DIR/fullchain.pem: line 1 is a malformed -----BEGIN line; hint: it must stand alone \
           and unindented; were line breaks lost in copying?"],
    );
    check(
        "indented",
        EC.replace("-----BEGIN", "  -----BEGIN"),
        EC_KEY,
        &["DIR/fullchain.pem: line 1 is a malformed -----BEGIN line; hint: it must stand alone \
           and unindented; were line breaks lost in copying?"],
    );
}

#[test]
fn a_truncated_file_is_told_from_a_damaged_one() {
    let truncated = "DIR/fullchain.pem: the CERTIFICATE that begins in line 1 has no -----END \
                     line; hint: the file was copied in part, or is still being written";
    check("truncated", &EC[..EC.len() / 2], EC_KEY, &[truncated]);
    check(
        "truncated, then another",
        [&EC[..EC.len() / 2], "\n", EC].concat(),
        EC_KEY,
        &[truncated],
    );
    check(
        "both truncated",
        &EC[..EC.len() / 2],
        &RSA_KEY[..500],
        &[
            truncated,
            "DIR/privkey.pem: the RSA PRIVATE KEY that begins in line 1 has no -----END line; \
             hint: the file was copied in part, or is still being written",
        ],
    );
}

#[test]
fn contents_that_are_not_what_the_label_says_are_refused() {
    check(
        "not x.509",
        format!("{EC}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        EC_KEY,
        &["DIR/fullchain.pem: certificate 2 is not X.509; hint: the contents are damaged: fetch \
           the file again"],
    );
    check(
        "der with a tail",
        [der(EC), b"xy".to_vec()].concat(),
        EC_KEY,
        &["DIR/fullchain.pem: certificate 1 is followed by 2 stray bytes; hint: was it copied \
           twice or in part?"],
    );
    check(
        "a key that is none",
        EC,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        &[
            "DIR/privkey.pem: holds a private key that cannot be used; hint: supported are RSA from \
           2048 bits, ECDSA on P-256, P-384 or P-521, and Ed25519",
        ],
    );
    check(
        "too large",
        vec![b'x'; (1 << 20) + 1],
        EC_KEY,
        &["DIR/fullchain.pem: is larger than 1 MiB; hint: is it a chain and a key, or a bundle \
           of all authorities?"],
    );
}

#[test]
fn pairs_that_cannot_be_served_are_refused() {
    check(
        "mismatch",
        RSA,
        EC_KEY,
        &["DIR/fullchain.pem: the certificate does not belong to the key in DIR/privkey.pem; \
           hint: was only one of the two renewed, or is it the key of another certificate?"],
    );
    let authority = Authority::new();
    let pair = authority.issue(&["a.example"]);
    check(
        "out of order",
        authority.intermediate.pem() + &pair.leaf(),
        &pair.key,
        &["DIR/fullchain.pem: the chain is out of order: the certificate of the key is number 2 \
           of 2; hint: concatenate the server's certificate first, then its issuer, then the next"],
    );
    check(
        "weak",
        RSA1024,
        RSA1024_KEY,
        &["DIR/fullchain.pem: the key is RSA with 1024 bits, too weak; hint: browsers refuse \
           less than 2048; make a new key and have it certified"],
    );
    check(
        "version 1",
        V1,
        V1_KEY,
        &["DIR/fullchain.pem: is an X.509 version 1 certificate; hint: it can carry no server \
           names and browsers refuse it; have it issued as version 3"],
    );
    check(
        "curve of another world",
        K1,
        K1_KEY,
        &["DIR/fullchain.pem: the key of the certificate is of an unsupported kind \
           (1.2.840.10045.2.1); hint: supported are RSA from 2048 bits, ECDSA on P-256, P-384 or \
           P-521, and Ed25519"],
    );
}

#[test]
fn every_problem_of_every_source_comes_at_once() {
    let (_temp, dir) = directory();
    let source = |cert: &str, key: &str| Source {
        cert: dir.join(cert),
        key: dir.join(key),
        passphrases: None,
        names: Vec::new(),
        default: false,
        group: String::new(),
    };
    fs::create_dir(dir.join("live")).unwrap();
    std::os::unix::fs::symlink("../archive/1.pem", dir.join("dangling.pem")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let sources =
        vec![source("a.pem", "a.key"), source("live", "dangling.pem"), source("pipe", "pipe")];
    let problems = Store::open(sources).unwrap_err();
    assert_eq!(
        lines(&problems, &dir),
        [
            "DIR/a.pem: no such file",
            "DIR/a.key: no such file",
            "DIR/live: is a directory; hint: name the file in it, for certbot fullchain.pem and \
             privkey.pem",
            "DIR/dangling.pem: is a symbolic link to ../archive/1.pem, which does not exist",
            "DIR/pipe: is not a regular file; hint: a renewal can only be read from a file that \
             can be read twice",
        ]
    );
}

#[test]
fn good_pairs_load_in_every_form() {
    check("sec1 with parameters", EC, EC_KEY, &[]);
    check("pkcs8", EC, EC_PKCS8, &[]);
    check("pkcs8 in der", EC, der(EC_PKCS8), &[]);
    check("der both", der(EC), der(EC_PKCS8), &[]);
    check("pkcs1", RSA, RSA_KEY, &[]);
    check("pkcs1 in der", RSA, der(RSA_KEY), &[]);
    check("rsa pkcs8", RSA, RSA_PKCS8, &[]);
    check("ed25519", ED25519, ED25519_KEY, &[]);
    check("crlf", EC.replace('\n', "\r\n"), EC_KEY.replace('\n', "\r\n"), &[]);
    check("byte order mark", format!("\u{feff}{EC}"), EC_KEY, &[]);
    check("words around", format!("subject=ec\n{EC}trailing words"), EC_KEY, &[]);
}

#[test]
fn one_file_may_hold_both() {
    let (_temp, dir) = directory();
    let both = dir.join("both.pem");
    put(&both, [EC_KEY, EC].concat());
    let (cert, key) = (both.clone(), both);
    let (names, group) = (Vec::new(), String::new());
    let source = Source { cert, key, passphrases: None, names, default: false, group };
    let (store, _) = Store::open(vec![source]).unwrap();
    assert_eq!(store.current().identities()[0].names(), ["ec.example", "*.ec.example"]);
}

#[test]
fn the_identity_tells_what_it_is() {
    let (_temp, dir) = directory();
    put(&dir.join("fullchain.pem"), RSA);
    put(&dir.join("privkey.pem"), RSA_KEY);
    let (store, report) = Store::open(vec![source(&dir, NONE)]).unwrap();
    let set = store.current();
    let identity = &set.identities()[0];
    assert_eq!(identity.key_kind().to_string(), "RSA 2048");
    assert_eq!(identity.names(), ["rsa.example"]);
    assert_eq!(identity.fingerprint().len(), 32 * 3 - 1);
    assert_eq!(identity.days_left(identity.not_after() - 86_400 * 3 - 1), 3);
    assert_eq!(identity.days_left(identity.not_after() + 1), -1);
    let line = report.changed[0].to_string();
    let begin = format!("certificate for rsa.example: serial {} expires ", identity.serial_hex());
    assert!(line.starts_with(&begin), "{line}");
    let end = format!(", RSA 2048, from {}/fullchain.pem", dir.display());
    assert!(line.ends_with(&end), "{line}");
}

#[test]
fn nothing_shows_the_key() {
    let (_temp, dir) = directory();
    put(&dir.join("fullchain.pem"), EC);
    put(&dir.join("privkey.pem"), EC_PKCS8);
    let (store, report) = Store::open(vec![source(&dir, NONE)]).unwrap();
    let shown = format!("{store:?} {report:?}");
    let secret = der(EC_PKCS8);
    // The scalar is the octet string of the inner structure; any six bytes of it would show.
    for window in secret[40..60].windows(6) {
        let list = format!("{window:?}");
        assert!(!shown.contains(list.trim_matches(['[', ']'])));
        let hex: String = window.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!shown.to_lowercase().contains(&hex));
    }
}

#[test]
fn an_unreadable_file_is_explained() {
    let (_temp, dir) = directory();
    put(&dir.join("fullchain.pem"), EC);
    put(&dir.join("privkey.pem"), EC_KEY);
    fs::set_permissions(dir.join("privkey.pem"), fs::Permissions::from_mode(0o000)).unwrap();
    match Store::open(vec![source(&dir, NONE)]) {
        // Root reads everything.
        Ok(_) => assert!(rustix::process::geteuid().is_root()),
        Err(problems) => assert_eq!(
            lines(&problems, &dir),
            ["DIR/privkey.pem: permission denied; hint: the user sheen runs as must be able to \
              read the file and to enter every directory above it"]
        ),
    }
}

/// The contents of the first PEM block.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    let begin = pem.rfind("-----BEGIN ").unwrap();
    let body = pem[begin..].lines().skip(1).take_while(|line| !line.starts_with("-----"));
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in body.flat_map(str::bytes).filter(|byte| *byte != b'=') {
        bits = bits << 6 | alphabet.iter().position(|c| *c == byte).unwrap() as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

pub(crate) const EC: &str = include_str!("../data/ec.pem");
pub(crate) const EC_KEY: &str = include_str!("../data/ec-sec1.pem");
pub(crate) const EC_PKCS8: &str = include_str!("../data/ec-pkcs8.pem");
pub(crate) const EC_ENCRYPTED: &str = include_str!("../data/ec-encrypted.pem");
pub(crate) const ED25519: &str = include_str!("../data/ed25519.pem");
pub(crate) const ED25519_KEY: &str = include_str!("../data/ed25519-key.pem");
pub(crate) const RSA: &str = include_str!("../data/rsa.pem");
pub(crate) const RSA_KEY: &str = include_str!("../data/rsa-pkcs1.pem");
pub(crate) const RSA_PKCS8: &str = include_str!("../data/rsa-pkcs8.pem");
pub(crate) const RSA_ENCRYPTED: &str = include_str!("../data/rsa-encrypted.pem");
const RSA1024: &str = include_str!("../data/rsa1024.pem");
const RSA1024_KEY: &str = include_str!("../data/rsa1024-key.pem");
const V1: &str = include_str!("../data/v1.pem");
const V1_KEY: &str = include_str!("../data/v1-key.pem");
const K1: &str = include_str!("../data/k1.pem");
const K1_KEY: &str = include_str!("../data/k1-key.pem");
pub(crate) const REQUEST: &str = include_str!("../data/request.pem");
pub(crate) const BUNDLE: &str = include_str!("../data/bundle.p7b");
pub(crate) const STORE_P12: &[u8] = include_bytes!("../data/store.p12");
