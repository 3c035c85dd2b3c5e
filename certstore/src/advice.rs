//! What is legal and will hurt: warnings about a pair that is served all the same

use x509_parser::oid_registry::{
    OID_MD5_WITH_RSA, OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA, Oid,
    asn1_rs::oid,
};
use x509_parser::prelude::X509Certificate;

use crate::check;
use crate::development;
use crate::report::{Problem, date};
use crate::store::Source;

/// Everything worth saying about a chain (leaf first, not empty), in a fixed order.
pub(crate) fn advise(
    chain: &[X509Certificate<'_>],
    source: &Source,
    key_mode: u32,
    now: i64,
) -> Vec<Problem> {
    let mut warnings = Vec::new();
    validity(chain, source, now, &mut warnings);
    leaf(&chain[0], source, &mut warnings);
    order(chain, source, &mut warnings);
    signatures(chain, source, &mut warnings);
    if key_mode & 0o007 != 0 {
        warnings.push(
            Problem::new(
                &source.key,
                format!("the key is open to everybody (mode {key_mode:04o})"),
            )
            .hint(format!("chmod o= {}", source.key.display())),
        );
    }
    warnings
}

fn validity(chain: &[X509Certificate<'_>], source: &Source, now: i64, out: &mut Vec<Problem>) {
    for (index, certificate) in chain.iter().enumerate() {
        let subject = match index {
            0 => "the certificate".to_owned(),
            _ => format!("the issuer's certificate ({} in the file)", index + 1),
        };
        let not_before = certificate.validity().not_before.timestamp();
        let not_after = certificate.validity().not_after.timestamp();
        if now > not_after {
            out.push(
                Problem::new(&source.cert, format!("{subject} expired on {}", date(not_after)))
                    .hint("renew it; browsers show an error page until then"),
            );
        } else if now < not_before {
            out.push(
                Problem::new(
                    &source.cert,
                    format!("{subject} is not valid before {}", date(not_before)),
                )
                .hint("is the clock of this machine right?"),
            );
        }
    }
}

fn leaf(leaf: &X509Certificate<'_>, source: &Source, out: &mut Vec<Problem>) {
    let names = check::names(leaf);
    let has_alternatives = matches!(leaf.subject_alternative_name(), Ok(Some(_)));
    if !has_alternatives {
        out.push(
            Problem::new(&source.cert, "the certificate has no subject alternative names")
                .hint("browsers ignore the common name; have it issued with subjectAltName"),
        );
    }
    let uncovered: Vec<&str> = source
        .names
        .iter()
        .filter(|name| !names.iter().any(|pattern| covers(pattern, name)))
        .map(String::as_str)
        .collect();
    if !uncovered.is_empty() {
        let what = format!("the certificate does not cover {}", uncovered.join(", "));
        let hint = match names.is_empty() {
            true => "it names no server at all".to_owned(),
            false => format!("it is for {}", names.join(", ")),
        };
        out.push(Problem::new(&source.cert, what).hint(hint));
    }
    if leaf.is_ca() {
        out.push(
            Problem::new(&source.cert, "the certificate is one of an authority (CA:TRUE)")
                .hint("some clients refuse it for a server; issue one with CA:FALSE"),
        );
    }
    if let Ok(Some(usage)) = leaf.extended_key_usage()
        && !usage.value.server_auth
        && !usage.value.any
    {
        out.push(
            Problem::new(&source.cert, "the certificate is not made for servers")
                .hint("its extended key usage lacks serverAuth, so clients refuse it"),
        );
    }
}

fn order(chain: &[X509Certificate<'_>], source: &Source, out: &mut Vec<Problem>) {
    for (index, pair) in chain.windows(2).enumerate() {
        if pair[0].issuer().as_raw() != pair[1].subject().as_raw() {
            out.push(
                Problem::new(
                    &source.cert,
                    format!(
                        "certificate {} is not the issuer of certificate {}",
                        index + 2,
                        index + 1
                    ),
                )
                .hint("each certificate should be followed by its issuer; some clients insist"),
            );
        }
    }
    let last = &chain[chain.len() - 1];
    let self_issued = last.issuer().as_raw() == last.subject().as_raw();
    if chain.len() > 1 && self_issued {
        out.push(
            Problem::new(&source.cert, "the chain includes the self-signed root")
                .hint("leave it out: clients ignore it, and it costs bytes in every handshake"),
        );
    }
    if chain.len() == 1 && !self_issued && !issued_by_development_ca(last) {
        let issuer = last.issuer().to_string();
        let issuer: String = issuer.chars().filter(|c| !c.is_control()).collect();
        out.push(
            Problem::new(
                &source.cert,
                format!("the chain lacks the issuer's certificate ({issuer})"),
            )
            .hint("many clients fail without it; use fullchain.pem rather than cert.pem"),
        );
    }
}

/// The development authority signs without an intermediate; its root is in the trust store.
fn issued_by_development_ca(certificate: &X509Certificate<'_>) -> bool {
    let common = certificate.issuer().iter_common_name().next();
    common.and_then(|cn| cn.as_str().ok()).is_some_and(|cn| cn.starts_with(development::CA_NAME))
}

fn signatures(chain: &[X509Certificate<'_>], source: &Source, out: &mut Vec<Problem>) {
    for (index, certificate) in chain.iter().enumerate() {
        // Nobody verifies the signature of a root on itself.
        if certificate.issuer().as_raw() == certificate.subject().as_raw() {
            continue;
        }
        let algorithm = &certificate.signature_algorithm.algorithm;
        let Some((_, word)) = WEAK_SIGNATURES.iter().find(|(oid, _)| oid == algorithm) else {
            continue;
        };
        out.push(
            Problem::new(&source.cert, format!("certificate {} is signed with {word}", index + 1))
                .hint("browsers refuse it; have it issued with SHA-256"),
        );
    }
}

/// RFC 6125, 6.4.3: a wildcard is the whole left-most label and stands for exactly one.
fn covers(pattern: &str, name: &str) -> bool {
    if pattern == name {
        return true;
    }
    let (Some(parent), Some((label, rest))) = (pattern.strip_prefix("*."), name.split_once('.'))
    else {
        return false;
    };
    !label.is_empty() && label != "*" && rest == parent
}

static WEAK_SIGNATURES: [(Oid<'static>, &str); 5] = [
    (OID_PKCS1_SHA1WITHRSA, "SHA-1"),
    (OID_SHA1_WITH_RSA, "SHA-1"),
    (oid!(1.2.840.10045.4.1), "SHA-1"), // ecdsa-with-SHA1
    (OID_PKCS1_MD5WITHRSAENC, "MD5"),
    (OID_MD5_WITH_RSA, "MD5"),
];
