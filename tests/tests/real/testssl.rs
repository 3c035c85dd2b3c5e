//! testssl.sh against sheen: no weakness above LOW, TLS 1.2 and 1.3 only, forward secrecy only.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use sheen_tests::sheen::{NAME, Setup};
use sheen_tests::upstream::Upstream;
use tempfile::TempDir;

use crate::authority;
use crate::parts::{self, Part};

/// Findings that are not sheen's, with the severity testssl.sh gives them and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "engine_problem",
        "WARN",
        "about the openssl of this machine, which has no GOST ciphers to try",
    ),
    (
        "sessionresumption_ticket",
        "WARN",
        "testssl.sh 3.0 hangs up before the tickets of TLS 1.3 come; the tests of openssl.rs resume",
    ),
];

/// One line of the report.
#[derive(Debug)]
struct Finding {
    severity: String,
    text: String,
}

/// What an app's page may well carry; sheen passes it on and testssl.sh asks for it.
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Security-Policy: default-src 'self'\r\n\
                    X-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\n\r\nok";

#[test]
fn testssl_finds_no_weakness() {
    let Some(_turn) = parts::alone(&[Part::Testssl]) else { return };
    let findings = scan();
    let ids = |severities: &[&str]| {
        let bad =
            findings.iter().filter(|(_, found)| severities.contains(&found.severity.as_str()));
        bad.map(|(id, found)| format!("{id} {}: {}", found.severity, found.text))
            .collect::<Vec<_>>()
    };
    let known = |line: &String| {
        EXCEPTIONS.iter().any(|(id, severity, _)| line.starts_with(&format!("{id} {severity}: ")))
    };
    let mut weak = ids(&["MEDIUM", "HIGH", "CRITICAL", "FATAL", "WARN"]);
    weak.retain(|line| !known(line));
    assert!(weak.is_empty(), "{}", weak.join("\n"));

    let found = |id: &str| findings.get(id).unwrap_or_else(|| panic!("nothing about {id}"));
    for id in ["SSLv2", "SSLv3", "TLS1", "TLS1_1"] {
        assert_eq!(found(id).text, "not offered", "{id}");
    }
    for id in ["TLS1_2", "TLS1_3"] {
        assert!(found(id).text.starts_with("offered"), "{id}: {}", found(id).text);
    }
    assert_eq!(found("ALPN").text, "http/1.1");
    assert_eq!(found("cert_chain_of_trust").severity, "OK");
    assert_eq!(found("HSTS_time").severity, "OK");
    assert_eq!(found("HSTS_subdomains").severity, "OK");
    assert_eq!(found("PFS").text, "offered");
    let ciphers: Vec<&Finding> = findings
        .iter()
        .filter_map(|(id, finding)| id.starts_with("cipher_x").then_some(finding))
        .collect();
    assert!(ciphers.len() >= 6, "{ciphers:?}");
    for cipher in ciphers {
        let text = &cipher.text;
        assert!(text.contains(" ECDH "), "no forward secrecy: {text}");
        assert!(text.contains("AESGCM") || text.contains("ChaCha20"), "not AEAD: {text}");
    }
}

/// Runs testssl.sh and returns its findings by their ids; the report stays among the artefacts.
fn scan() -> BTreeMap<String, Finding> {
    let app = Upstream::answering(PAGE);
    let dir = TempDir::new().unwrap();
    let root = authority::write_root(dir.path());
    let mut setup = Setup::to(&app).site("hsts = \"max-age=63072000; includeSubDomains\"");
    setup.sites[0].files = vec![authority::issue(&[NAME]).write(dir.path(), "site")];
    let sheen = setup.start();
    let json = parts::artefact("testssl.json");
    let _ = fs::remove_file(&json);
    let target = format!("{NAME}:{}", sheen.https().port());
    let arguments = [
        // No public network: neither names nor revocation lists are looked up.
        &["--nodns", "none", "--ip", "127.0.0.1", "--add-ca", &root][..],
        &["--warnings", "off", "--quiet", "--color", "0", "--connect-timeout", "10"],
        &["--openssl-timeout", "10", "--jsonfile", json.to_str().unwrap(), &target],
    ]
    .concat();
    let said = parts::run(240, "testssl", &arguments, "");
    fs::write(parts::artefact("testssl.txt"), &said.out).unwrap();
    let report = fs::read_to_string(&json).unwrap_or_else(|_| panic!("no report: {}", said.text()));
    let report: Value = serde_json::from_str(&report).unwrap();
    let findings = report.as_array().unwrap().iter().map(|line| {
        let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        (field("id"), Finding { severity: field("severity"), text: field("finding") })
    });
    let findings: BTreeMap<String, Finding> = findings.collect();
    assert!(findings.contains_key("scanTime"), "testssl.sh did not come to its end");
    findings
}
