//! Certificates replaced while sheen runs: every way tools write them, and what keeps the last good
//! pair.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use sheen_tests::client::{Client, Offer};
use sheen_tests::pki::{self, Identity, KeyKind, write_key};
use sheen_tests::sheen::{NAME, Reload, Setup, Sheen};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;
use tempfile::TempDir;

/// A sheen whose pair lies where `files` say.
fn serving(app: &Upstream, files: (PathBuf, PathBuf)) -> Sheen {
    let mut setup = Setup::to(app);
    setup.sites[0].files = vec![files];
    setup.start()
}

fn identity() -> Identity {
    pki::issue(&[NAME], KeyKind::Ecdsa)
}

fn shows(sheen: &Sheen, identity: &Identity) -> bool {
    shown(sheen) == identity.der
}

fn shown(sheen: &Sheen) -> CertificateDer<'static> {
    let trusting = Offer { trusting: true, ..Offer::default() }.config();
    Client::tls_with(sheen.https(), NAME, &trusting).unwrap().certificate()
}

/// Replaces by `renew` while a connection is open: it goes on, and new ones see the new certificate
/// soon.
fn renewed_by(sheen: &Sheen, new: &Identity, renew: impl FnOnce()) {
    let mut open = sheen.client();
    assert_eq!(open.get(NAME, "/").text(), "ok");
    let old = open.certificate();
    let begun = Instant::now();
    renew();
    wait::until("the new certificate", || shows(sheen, new));
    assert!(begun.elapsed() < Duration::from_secs(3), "after {:?}", begun.elapsed());
    assert_ne!(old, new.der);
    assert_eq!(open.get(NAME, "/").text(), "ok");
}

#[test]
fn files_written_in_place_are_taken_up() {
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    let files = identity().write(dir.path(), "site");
    let sheen = serving(&app, files.clone());
    for _ in 0..3 {
        let new = identity();
        renewed_by(&sheen, &new, || new.write_to(&files.0, &files.1));
    }
}

#[test]
fn files_renamed_over_the_old_are_taken_up() {
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    let files = identity().write(dir.path(), "site");
    let sheen = serving(&app, files.clone());
    let new = identity();
    renewed_by(&sheen, &new, || {
        let (cert, key) = new.write(dir.path(), "next");
        fs::rename(cert, &files.0).unwrap();
        fs::rename(key, &files.1).unwrap();
    });
}

/// certbot's folders: `live/NAME/FILE.pem -> ../../archive/NAME/FILE1.pem`.
struct Certbot {
    root: TempDir,
}

impl Certbot {
    fn new(first: &Identity) -> Self {
        let certbot = Self { root: TempDir::new().unwrap() };
        fs::create_dir_all(certbot.root.path().join("live/app.test")).unwrap();
        fs::create_dir_all(certbot.root.path().join("archive/app.test")).unwrap();
        certbot.renew(1, first, Duration::ZERO);
        certbot
    }

    fn live(&self, name: &str) -> PathBuf {
        self.root.path().join("live/app.test").join(name)
    }

    fn files(&self) -> (PathBuf, PathBuf) {
        (self.live("fullchain.pem"), self.live("privkey.pem"))
    }

    /// Writes generation `number` and flips the links one after the other, as update_all_links_to
    /// does.
    fn renew(&self, number: u32, identity: &Identity, between: Duration) {
        let archive = self.root.path().join("archive/app.test");
        write_key(&archive.join(format!("privkey{number}.pem")), &identity.key_pem);
        for kind in ["cert", "chain", "fullchain"] {
            fs::write(archive.join(format!("{kind}{number}.pem")), &identity.chain_pem).unwrap();
        }
        for kind in ["cert", "privkey", "chain", "fullchain"] {
            let link = self.live(&format!("{kind}.pem"));
            // The first generation has no links to remove.
            let _ = fs::remove_file(&link);
            wait::pass(between);
            symlink(format!("../../archive/app.test/{kind}{number}.pem"), &link).unwrap();
            wait::pass(between);
        }
    }
}

#[test]
fn certbots_links_flipped_one_after_the_other_are_taken_up() {
    let app = Upstream::ok("ok");
    let certbot = Certbot::new(&identity());
    let sheen = serving(&app, certbot.files());
    let new = identity();
    renewed_by(&sheen, &new, || certbot.renew(2, &new, Duration::ZERO));
    let newer = identity();
    renewed_by(&sheen, &newer, || certbot.renew(3, &newer, Duration::from_millis(150)));
}

#[test]
fn a_kubernetes_secret_is_taken_up() {
    let app = Upstream::ok("ok");
    let mount = TempDir::new().unwrap();
    let generation = |name: &str, identity: &Identity| {
        let dir = mount.path().join(name);
        fs::create_dir(&dir).unwrap();
        identity.write_to(&dir.join("tls.crt"), &dir.join("tls.key"));
        let link = mount.path().join("..data_tmp");
        symlink(name, &link).unwrap();
        fs::rename(&link, mount.path().join("..data")).unwrap();
    };
    generation("..2026_01", &identity());
    let files = (mount.path().join("tls.crt"), mount.path().join("tls.key"));
    symlink("..data/tls.crt", &files.0).unwrap();
    symlink("..data/tls.key", &files.1).unwrap();
    let sheen = serving(&app, files);
    let new = identity();
    renewed_by(&sheen, &new, || {
        generation("..2026_02", &new);
        fs::remove_dir_all(mount.path().join("..2026_01")).unwrap();
    });
}

#[test]
fn a_folder_put_in_place_of_another_is_taken_up() {
    let app = Upstream::ok("ok");
    let root = TempDir::new().unwrap();
    let live = root.path().join("live");
    fs::create_dir(&live).unwrap();
    let files = identity().write(&live, "site");
    let sheen = serving(&app, files);
    // The files are away for a moment; sheen may or may not notice.
    sheen.allow_log("site.");
    let new = identity();
    renewed_by(&sheen, &new, || {
        fs::rename(&live, root.path().join("old")).unwrap();
        wait::pass(Duration::from_millis(300));
        let next = root.path().join("next");
        fs::create_dir(&next).unwrap();
        new.write(&next, "site");
        fs::rename(&next, &live).unwrap();
    });
    let newer = identity();
    renewed_by(&sheen, &newer, || {
        newer.write(&live, "site");
    });
}

/// Breaks the pair by `damage`, asserts that the old certificate stays, then mends it.
fn kept_through(damage: impl FnOnce(&Path, &Path), log: &str) {
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    let old = identity();
    let files = old.write(dir.path(), "site");
    let sheen = serving(&app, files.clone());
    sheen.expect_log(log);
    let seen = sheen.log().lines().len();
    damage(&files.0, &files.1);
    wait::until("a word in the log", || {
        sheen.log().lines()[seen..].iter().any(|l| l.contains(log))
    });
    for _ in 0..5 {
        assert!(shows(&sheen, &old));
        wait::pass(Duration::from_millis(100));
    }
    let new = identity();
    new.write_to(&files.0, &files.1);
    wait::until("the new certificate", || shows(&sheen, &new));
    drop(sheen);
}

#[test]
fn a_key_that_does_not_fit_keeps_the_last_good_pair() {
    kept_through(|_, key| write_key(key, &identity().key_pem), "site.key");
}

#[test]
fn a_certificate_that_does_not_fit_keeps_the_last_good_pair() {
    kept_through(|cert, _| fs::write(cert, identity().chain_pem).unwrap(), "site");
}

#[test]
fn a_half_written_file_keeps_the_last_good_pair() {
    kept_through(
        |cert, _| {
            let chain = identity().chain_pem;
            fs::write(cert, &chain[..chain.len() / 2]).unwrap();
        },
        "site.crt",
    );
}

#[test]
fn an_empty_file_keeps_the_last_good_pair() {
    kept_through(|cert, _| fs::write(cert, "").unwrap(), "site.crt");
}

#[test]
fn a_missing_certificate_keeps_the_last_good_pair() {
    kept_through(|cert, _| fs::remove_file(cert).unwrap(), "site.crt");
}

#[test]
fn a_missing_key_keeps_the_last_good_pair() {
    kept_through(|_, key| fs::remove_file(key).unwrap(), "site.key");
}

#[test]
fn the_log_says_what_changed() {
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    let files = identity().write(dir.path(), "site");
    let sheen = serving(&app, files.clone());
    let seen = sheen.log().lines().len();
    let new = identity();
    renewed_by(&sheen, &new, || new.write_to(&files.0, &files.1));
    let serial = format!("{:x}", new.serial);
    wait::until("a line with name and serial", || {
        sheen.log().lines()[seen..].iter().any(|line| {
            let line = line.to_lowercase().replace(':', "");
            line.contains(NAME) && line.contains(&serial)
        })
    });
}

#[test]
fn the_start_says_which_certificates_are_served() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    let text = sheen.log().text();
    assert!(text.lines().any(|line| line.contains(NAME) && line.contains("expires")), "{text}");
}

#[test]
fn hup_takes_up_certificates_too() {
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    let files = identity().write(dir.path(), "site");
    let sheen = serving(&app, files.clone());
    let new = identity();
    new.write_to(&files.0, &files.1);
    assert_eq!(sheen.hup(), Reload::Done);
    assert!(shows(&sheen, &new));
}

#[test]
fn an_rsa_pair_may_become_an_ecdsa_pair() {
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    let files = pki::issue(&[NAME], KeyKind::Rsa).write(dir.path(), "site");
    let sheen = serving(&app, files.clone());
    let new = identity();
    renewed_by(&sheen, &new, || new.write_to(&files.0, &files.1));
}

#[test]
fn a_key_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    let files = identity().write(dir.path(), "site");
    fs::set_permissions(&files.1, fs::Permissions::from_mode(0o644)).unwrap();
    let sheen = serving(&app, files);
    assert!(sheen.log().holds("site.key"), "{}", sheen.log().text());
}
