//! The development authority from outside: files, modes, trust and re-issue

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use certstore::development::{self, DevelopmentFiles};
use certstore::{Source, Store};

use crate::pki::{directory, lines};

fn ensure(dir: &Path, names: &[&str]) -> DevelopmentFiles {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    development::ensure(dir, &names).unwrap()
}

/// (authority made, certificate issued)
fn made(files: &DevelopmentFiles) -> (bool, bool) {
    (files.created, files.issued)
}

#[test]
fn it_is_made_once_and_loads_without_a_warning() {
    let (_temp, dir) = directory();
    let dir = dir.join("state/sheen");
    let files = ensure(&dir, &["Shiny.Test", "192.0.2.7"]);
    assert_eq!(made(&files), (true, true));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&files.key), 0o600);
    assert_eq!(mode(&dir.join("development-ca-key.pem")), 0o600);
    assert_eq!(mode(&files.ca_cert), 0o644);

    let source = Source {
        cert: files.cert.clone(),
        key: files.key.clone(),
        passphrases: None,
        names: vec!["localhost".to_owned()],
        default: true,
        group: String::new(),
    };
    let (store, report) = Store::open(vec![source]).unwrap();
    assert_eq!(lines(&report.warnings, &dir), [""; 0]);
    assert_eq!(
        store.current().identities()[0].names(),
        ["localhost", "127.0.0.1", "::1", "shiny.test", "192.0.2.7"]
    );
    assert_eq!(made(&ensure(&dir, &["192.0.2.7", "shiny.test"])), (false, false));
    let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension() != Some("new".as_ref())), "{left:?}");
}

#[test]
fn other_names_are_a_reason_to_issue() {
    let (_temp, dir) = directory();
    ensure(&dir, &[]);
    assert_eq!(made(&ensure(&dir, &["a.test"])), (false, true));
    assert_eq!(made(&ensure(&dir, &["a.test"])), (false, false));
    assert_eq!(made(&ensure(&dir, &[])), (false, true));
}

#[test]
fn damage_is_a_reason_to_issue() {
    let (_temp, dir) = directory();
    let files = ensure(&dir, &[]);
    let damages: [&dyn Fn(); 4] = [
        &|| fs::write(&files.cert, "x").unwrap(),
        &|| fs::remove_file(&files.key).unwrap(),
        &|| fs::write(&files.key, [0xff, 0xfe]).unwrap(),
        // Others may have read it by now.
        &|| fs::set_permissions(&files.key, fs::Permissions::from_mode(0o640)).unwrap(),
    ];
    for (number, damage) in damages.iter().enumerate() {
        damage();
        assert_eq!(made(&ensure(&dir, &[])), (false, true), "damage {number}");
        assert_eq!(made(&ensure(&dir, &[])), (false, false), "damage {number}");
    }
}

#[test]
fn another_authority_is_a_reason_to_issue() {
    let (_temp, dir) = directory();
    let (_temp, other) = directory();
    let files = ensure(&dir, &[]);
    let others = ensure(&other, &[]);
    for name in ["development-ca.pem", "development-ca-key.pem"] {
        fs::copy(other.join(name), dir.join(name)).unwrap();
    }
    assert_eq!(made(&ensure(&dir, &[])), (false, true));
    // Half of it is none: a new one is made.
    fs::copy(&files.cert, &others.ca_cert).unwrap();
    assert_eq!(made(&ensure(&other, &[])), (true, true));
    fs::remove_file(&others.ca_cert).unwrap();
    assert_eq!(made(&ensure(&other, &[])), (true, true));
    assert_eq!(made(&ensure(&other, &[])), (false, false));
}

#[test]
fn places_and_keys_open_to_others_are_refused() {
    let (_temp, dir) = directory();
    ensure(&dir, &[]);
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let problem = development::ensure(&dir, &[]).unwrap_err();
        lines(&[problem], &dir).remove(0)
    };
    assert_eq!(
        chmod(&dir.join("development-ca-key.pem"), 0o640),
        "DIR/development-ca-key.pem: the key of the development authority is open to others \
         (mode 0640); hint: chmod 600 it, or delete it to have a new authority made"
    );
    assert_eq!(
        chmod(&dir, 0o1777),
        "DIR: others may write here (mode 1777), so they could replace the authority; hint: name \
         a directory of your own (mode 0700)"
    );
}

#[test]
fn a_name_that_is_none_is_refused() {
    let (_temp, dir) = directory();
    let problem = development::ensure(&dir, &["ä.test".to_owned()]).unwrap_err();
    assert!(
        problem.to_string().contains("hint: are these server names or addresses? localhost"),
        "{problem}"
    );
}
