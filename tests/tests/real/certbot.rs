//! Folders as certbot keeps them: `live/NAME/FILE.pem -> ../../archive/NAME/FILE1.pem`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use sheen_tests::pki::{Identity, write_key};
use sheen_tests::sheen::NAME;
use tempfile::TempDir;

/// The kinds of files, in the order in which certbot's update_all_links_to flips their links.
const KINDS: [&str; 4] = ["cert", "privkey", "chain", "fullchain"];

/// What certbot calls a lineage: the certificates of one name, one after the other.
#[derive(Debug)]
pub(crate) struct Certbot {
    root: TempDir,
    number: u32,
}

impl Certbot {
    pub(crate) fn new(first: &Identity) -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir_all(root.path().join("live").join(NAME)).unwrap();
        fs::create_dir_all(root.path().join("archive").join(NAME)).unwrap();
        let mut certbot = Self { root, number: 0 };
        certbot.renew(first, |_| ());
        certbot
    }

    /// The pair that sheen is told.
    pub(crate) fn files(&self) -> (PathBuf, PathBuf) {
        (self.live("fullchain"), self.live("privkey"))
    }

    /// Writes the next generation into the archive, then unlinks and links one file after the
    /// other, with `between` after each link, told its kind: for a while a key lies beside a
    /// certificate not its own.
    pub(crate) fn renew(&mut self, identity: &Identity, mut between: impl FnMut(&str)) {
        self.number += 1;
        for kind in KINDS {
            let path = self.root.path().join("archive").join(NAME).join(self.file(kind));
            match kind {
                "privkey" => write_key(&path, &identity.key_pem),
                "fullchain" => fs::write(path, &identity.chain_pem).unwrap(),
                "cert" => fs::write(path, certificates(identity)[0]).unwrap(),
                _ => fs::write(path, certificates(identity)[1]).unwrap(),
            }
        }
        for kind in KINDS {
            let link = self.live(kind);
            if self.number > 1 {
                fs::remove_file(&link).unwrap();
            }
            symlink(PathBuf::from("../../archive").join(NAME).join(self.file(kind)), &link)
                .unwrap();
            between(kind);
        }
    }

    fn live(&self, kind: &str) -> PathBuf {
        self.root.path().join("live").join(NAME).join(format!("{kind}.pem"))
    }

    fn file(&self, kind: &str) -> String {
        format!("{kind}{}.pem", self.number)
    }
}

/// The certificates of a chain, each as PEM.
fn certificates(identity: &Identity) -> Vec<&str> {
    identity.chain_pem.split_inclusive("-----END CERTIFICATE-----\n").collect()
}
