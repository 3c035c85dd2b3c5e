//! Programs out of a folder with another Debian, run with the loader and the libraries they were
//! built for, and without a chroot.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How one such program is started.
#[derive(Debug, Clone)]
pub(crate) struct Rooted {
    root: String,
    word: String,
    loader: String,
    libraries: String,
    program: String,
}

impl Rooted {
    /// `None` when the folder has no such program.
    ///
    /// Errors: it has, but not what is needed to run it.
    pub(crate) fn find(root: &Path, word: &str) -> Result<Option<Self>, String> {
        let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
        let Some(program) = program(&root, word) else { return Ok(None) };
        // Packages that were only unpacked have no /lib and no /lib64.
        let loaders = LOADERS.iter().map(|name| root.join(name));
        let loader = loaders.into_iter().find(|path| path.exists());
        let loader = loader.ok_or_else(|| {
            format!("no loader in {}: hint: unpack libc6 there too", root.display())
        })?;
        let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
        let libraries = ["usr/lib", "lib"].map(|dir| root.join(dir).join(&triple));
        Ok(Some(Self {
            root: root.display().to_string(),
            word: word.to_owned(),
            loader: loader.display().to_string(),
            libraries: libraries.map(|dir| dir.display().to_string()).join(":"),
            program: program.display().to_string(),
        }))
    }

    /// Starts it under its own name, which is enough for a program that does not start itself anew.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.loader);
        command.args(["--argv0", &self.word, "--library-path", &self.libraries, &self.program]);
        command
    }

    /// What programs look for in the place they were installed to.
    pub(crate) fn environment(&self) -> [(&'static str, String); 1] {
        [("H2O_ROOT", format!("{}/usr/share/h2o", self.root))]
    }

    /// A script that is the program to whoever starts it, the program itself included: haproxy's
    /// master starts itself anew under the name it was called by.
    pub(crate) fn script(&self, dir: &Path) -> Result<PathBuf, String> {
        let Self { loader, libraries, program, .. } = self;
        let script = dir.join(&self.word);
        let text = format!(
            "#!/bin/sh\nexec '{loader}' --argv0 \"$0\" --library-path '{libraries}' '{program}' \
             \"$@\"\n"
        );
        let done = fs::write(&script, text)
            .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)));
        done.map_err(|error| format!("{}: {error}", script.display()))?;
        Ok(script)
    }
}

/// A program of that name in the places where Debian has programs.
pub(crate) fn program(root: &Path, word: &str) -> Option<PathBuf> {
    let dirs = ["usr/sbin", "usr/bin", "usr/local/sbin", "usr/local/bin"];
    dirs.iter().map(|dir| root.join(dir).join(word)).find(|path| path.exists())
}

const LOADERS: [&str; 4] = [
    "usr/lib64/ld-linux-x86-64.so.2",
    "lib64/ld-linux-x86-64.so.2",
    "usr/lib/ld-linux-aarch64.so.1",
    "lib/ld-linux-aarch64.so.1",
];
