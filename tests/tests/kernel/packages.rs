//! Debian's kernels: fetched by apt with a state directory of its own, so that the machine's
//! sources stay as they are, and kept in the target directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kernel and the modules that the scenarios need, in the order in which they load.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) image: PathBuf,
    pub(crate) modules: Vec<(String, Vec<u8>)>,
}

/// The kernel of a suite; the error says why it can't be had.
pub(crate) fn kernel(suite: &str, cache: &Path) -> Result<Kernel, String> {
    let root = cache.join(suite).join("root");
    if !root.join("complete").exists() {
        fetch(suite, &cache.join(suite), &root)?;
        fs::write(root.join("complete"), "").unwrap();
    }
    let files = files(&root);
    let image = files.iter().find(|path| name(path).starts_with("vmlinuz"));
    let image = image.ok_or("no vmlinuz in the kernel's packages")?.clone();
    Ok(Kernel { image, modules: modules(&files) })
}

fn fetch(suite: &str, dir: &Path, root: &Path) -> Result<(), String> {
    let apt = Apt::new(suite, dir)?;
    apt.run("apt-get", &["update", "-qq"])?;
    let mut wanted = vec![META.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(package) = wanted.pop() {
        let depends = apt.run("apt-cache", &["depends", "--no-recommends", &package])?;
        for line in depends.lines() {
            let Some((_, other)) = line.split_once("Depends: ") else { continue };
            let kernel = ["linux-image-", "linux-modules-", "linux-binary-"];
            let ours = kernel.iter().any(|prefix| other.starts_with(prefix));
            if ours && seen.insert(other.to_owned()) {
                wanted.push(other.to_owned());
            }
        }
    }
    for package in &seen {
        apt.run("apt-get", &["download", "-qq", package])?;
    }
    for file in files(dir).iter().filter(|path| name(path).ends_with(".deb")) {
        let (file, root) = (file.to_str().unwrap(), root.to_str().unwrap());
        output(Command::new("dpkg").args(["-x", file, root]))?;
        fs::remove_file(file).unwrap();
    }
    Ok(())
}

/// apt with sources and state of its own.
struct Apt {
    dir: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(suite: &str, dir: &Path) -> Result<Self, String> {
        for folder in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        fs::write(dir.join("status"), "").unwrap();
        let sources = dir.join("sources.list");
        let line = format!("deb [signed-by={KEYRING}] {} {suite} main\n", mirror()?);
        fs::write(&sources, line).unwrap();
        let dir = fs::canonicalize(dir).unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        let options = [
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".into()),
            ("Dir::State", at("")),
            ("Dir::State::lists", at("lists")),
            ("Dir::State::status", at("status")),
            ("Dir::Cache", at("")),
            ("Dir::Cache::archives", at("archives")),
            ("Dir::Cache::pkgcache", String::new()),
            ("Dir::Cache::srcpkgcache", String::new()),
            ("Acquire::Languages", "none".into()),
            ("APT::Sandbox::User", String::new()),
        ];
        let options =
            options.iter().flat_map(|(key, value)| ["-o".to_owned(), format!("{key}={value}")]);
        Ok(Self { options: options.collect(), dir })
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        output(Command::new(program).current_dir(&self.dir).args(&self.options).args(arguments))
    }
}

/// Where this machine gets Debian from.
fn mirror() -> Result<String, String> {
    let format = "$(REPO_URI) $(ORIGIN)";
    let arguments = ["indextargets", "--format", format, "Created-By: Packages"];
    let sources = output(Command::new("apt-get").args(arguments))?;
    let debian = sources.lines().find_map(|line| {
        let (uri, origin) = line.split_once(' ')?;
        (origin == "Debian" && !uri.contains("security")).then(|| uri.to_owned())
    });
    debian.ok_or_else(|| "this machine has no source of Debian packages".to_owned())
}

fn modules(files: &[PathBuf]) -> Vec<(String, Vec<u8>)> {
    let mut by_name = BTreeMap::new();
    for file in files {
        if let Some((module, _)) = name(file).split_once(".ko") {
            by_name.insert(module.replace('-', "_"), file);
        }
    }
    let mut loaded = Vec::new();
    for module in MODULES {
        load(module, &by_name, &mut loaded);
    }
    loaded
}

/// Adds a module after those it depends on. What a kernel has built in is no file.
fn load(module: &str, by_name: &BTreeMap<String, &PathBuf>, loaded: &mut Vec<(String, Vec<u8>)>) {
    let Some(file) = by_name.get(module) else { return };
    if loaded.iter().any(|(name, _)| name == module) {
        return;
    }
    let content = if name(file).ends_with(".xz") {
        let xz = Command::new("xz").arg("-dc").arg(file).output().unwrap();
        assert!(xz.status.success(), "xz: {}", String::from_utf8_lossy(&xz.stderr));
        xz.stdout
    } else {
        fs::read(file).unwrap()
    };
    let depends = content.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(b"depends="));
    for other in String::from_utf8_lossy(depends.unwrap_or_default()).split(',') {
        load(other, by_name, loaded);
    }
    loaded.push((module.to_owned(), content));
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The newest small kernel of a suite.
const META: &str = "linux-image-cloud-amd64";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MODULES: [&str; 12] = [
    "tls",
    "aesni_intel",
    "gcm",
    "ctr",
    "ghash_clmulni_intel",
    "ghash_generic",
    "chacha",
    "chacha_generic",
    "poly1305_generic",
    "poly1305_x86_64",
    "chacha20poly1305",
    "chacha_x86_64",
];
