//! The folder that both serve.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

pub(super) const FILES: &[(&str, &str)] = &[
    ("pages/50x.html", "<p>sorry, the app is gone"),
    ("site/index.html", "<p>home"),
    ("site/about.html", "<p>about us"),
    ("site/errors/404.html", "<p>nothing here"),
    ("site/css/site.css", "p { color: black }"),
    ("site/dir/index.html", "<p>in a folder"),
    ("site/plain/a.txt", "0123456789abcdefghij"),
    ("site/plain/index.html", "<p>index of plain"),
    ("site/plain/sub/index.html", "<p>index of sub"),
    ("site/plain/page", "without an extension"),
    ("site/plain/x.JS", "let x;"),
    ("site/plain/zero", ""),
    ("site/plain/sp ace/caf\u{e9} & co.html", "<p>spaces"),
    ("site/plain/plus+%41?.txt", "odd"),
    ("site/spa/index.html", "<p>single page"),
    ("site/spa/app.js", "spa();"),
    ("site/spa/sub/index.html", "<p>sub page"),
    ("site/fixed/there.txt", "there"),
    ("site/types/a.html", "html of another type"),
    ("site/types/a.css", "css of no type"),
    ("site/notypes/a.html", "no type at all"),
    ("site/etag/a.txt", "0123456789"),
    ("site/if/a.txt", "here"),
    ("site/vars/a.html", "vars"),
    ("site/vars/sub/index.html", "vars"),
    ("site/relative/sub/index.html", "sub"),
    ("site/named/sub/index.html", "sub"),
    ("site/idx/one/second.html", "second"),
    ("site/idx/two/none", "no index"),
    ("site/idx/three/given.html", "given"),
    ("site/try/a.txt", "tried"),
    ("site/try/dir/x", "x"),
    ("site/download/secret.pdf", "%PDF-secret"),
    ("site/limited/a.txt", "small"),
    ("other/start.html", "<p>start"),
    ("other/x", "other x"),
    ("other/sub/index.html", "<p>index of other"),
    ("other/deep/y", "deep y"),
    ("deeper/z", "deeper z"),
    ("users/ann/public/a.txt", "ann's"),
    ("users/ann/public/index.html", "ann's index"),
    ("tests/x", "root of all"),
];

/// What text can't describe.
pub(super) fn fill(root: &Path) {
    let plain = root.join("site/plain");
    fs::create_dir_all(plain.join("empty")).unwrap();
    fs::create_dir_all(plain.join("index-dir/index.html")).unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    fs::write(plain.join("binary.bin"), bytes).unwrap();
    symlink("a.txt", plain.join("link.txt")).unwrap();
    symlink("../css", plain.join("css")).unwrap();
    symlink("loop", plain.join("loop")).unwrap();
    symlink("nowhere", plain.join("dangling")).unwrap();
    // Root may read it all the same, in both alike.
    fs::write(plain.join("closed"), "closed").unwrap();
    fs::set_permissions(plain.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
}
