//! The machine in QEMU: what is packed for it, how it is started, and what it says.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use sheen_tests::{sheen, wait};

use crate::archive::Archive;
use crate::packages::{self, Kernel};

/// One machine at a time: each emulates two processors.
static TURN: Mutex<()> = Mutex::new(());

/// Boots the kernel of `suite` and runs the scenarios in it whose names hold one of `words`; none: all.
pub(crate) fn run(suite: &str, words: &[&str]) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let dir = target().join("kernels");
    let kernel = match tools().and_then(|()| packages::kernel(suite, &dir)) {
        Ok(kernel) => kernel,
        Err(why) => return skip(suite, &why),
    };
    let dir = dir.join(suite);
    let early = dir.join("early.cpio");
    fs::write(&early, pack(&kernel, &dir)).unwrap();
    let said = boot(&kernel.image, &early, &dir.join("console.txt"), words);
    let results: Vec<_> = said.lines().filter(|line| line.contains("test result:")).collect();
    assert!(
        said.contains("scenarios: all passed") && results.iter().any(|line| line.contains("ok.")),
        "the scenarios failed on the kernel of {suite}:\n{said}"
    );
}

/// Not by the macros: what a passing test prints with them is not shown.
fn skip(suite: &str, why: &str) {
    let line = "*".repeat(80);
    let words = format!("{line}\nSKIPPED: kernel TLS on the kernel of {suite}: {why}\n{line}\n");
    std::io::stderr().write_all(words.as_bytes()).unwrap();
}

fn tools() -> Result<(), String> {
    if std::env::consts::ARCH != "x86_64" {
        return Err("the machine is made for x86-64".to_owned());
    }
    for (program, package) in TOOLS {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&paths).any(|dir| dir.join(program).exists()) {
            return Err(format!("no {program}: tests/run installs {package}"));
        }
    }
    Ok(())
}

/// Kernel modules, this binary, sheen, and the libraries of both.
fn pack(kernel: &Kernel, dir: &Path) -> Vec<u8> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "modules", "proc", "sys", "tmp"] {
        archive.folder(folder);
    }
    archive.file("init", INIT.as_bytes());
    archive.file("bin/busybox", &fs::read(which("busybox")).unwrap());
    let mut order = String::new();
    for (name, content) in &kernel.modules {
        archive.file(&format!("modules/{name}"), content);
        order += &format!("{name}\n");
    }
    archive.file("modules/order", order.as_bytes());
    let scenarios = std::env::current_exe().unwrap();
    let programs = [("sheen", sheen::binary().to_owned()), ("scenarios", scenarios)];
    let strace = [("strace", which("strace"))].into_iter().filter(|(_, path)| path.exists());
    let mut libraries = Vec::new();
    for (name, path) in programs.into_iter().chain(strace) {
        libraries.extend(libraries_of(&path));
        let stripped = dir.join(name);
        let strip = Command::new("strip").arg("-o").arg(&stripped).arg(&path).status().unwrap();
        assert!(strip.success(), "strip {}", path.display());
        archive.file(&format!("bin/{name}"), &fs::read(stripped).unwrap());
    }
    libraries.sort();
    libraries.dedup();
    libraries.iter().for_each(|library| archive.copy(library));
    archive.finish()
}

fn libraries_of(program: &Path) -> Vec<PathBuf> {
    let ldd = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&ldd.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Runs the machine until it powers off; what its console said.
fn boot(image: &Path, early: &Path, console: &Path, words: &[&str]) -> String {
    // Commas stand for the spaces of the kernel's command line.
    let only = std::env::var("SHEEN_KERNEL_SCENARIO").unwrap_or_else(|_| words.join(","));
    let mut machine = Command::new("qemu-system-x86_64")
        // Emulated, cmpxchg16b once left its operand in the flags, and the kernel's allocator, which
        // lives on it, brought the machine down. Without it the kernel takes another way.
        .args(["-accel", "tcg,thread=multi", "-cpu", "max,cx16=off", "-smp", "2", "-m", "1536"])
        .args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(early)
        .arg("-append")
        .arg(format!("console=ttyS0 quiet panic=-1 scenario={only}"))
        .stdin(Stdio::null())
        .stdout(File::create(console).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut ended = None;
    for _ in 0..PATIENCE {
        if wait::holds_within(wait::DEADLINE, || {
            ended = machine.try_wait().unwrap();
            ended.is_some()
        }) {
            break;
        }
    }
    if ended.is_none() {
        machine.kill().unwrap();
        machine.wait().unwrap();
    }
    let said = String::from_utf8_lossy(&fs::read(console).unwrap()).into_owned();
    assert!(ended.is_some(), "the machine did not end:\n{said}");
    said
}

fn which(program: &str) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|dir| dir.join(program));
    found.into_iter().find(|path| path.exists()).unwrap_or_default()
}

/// The target directory this binary was built in: TARGET/PROFILE/deps/BINARY.
fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

const TOOLS: [(&str, &str); 7] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("apt-get", "apt"),
    ("dpkg", "dpkg"),
    ("xz", "xz-utils"),
    ("strip", "binutils"),
    ("ldd", "libc-bin"),
];

/// In units of [`wait::DEADLINE`].
const PATIENCE: usize = 15;

const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
ip link set lo up
while read module; do
    insmod "/modules/$module" || echo "insmod $module failed"
done < /modules/order
uname -r
export SHEEN_BIN=/bin/sheen HOME=/tmp PATH=/bin
ulimit -n 8192
# So small a machine has room for a few dozen busy connections; the scenarios have 400.
echo 200000 260000 300000 > /proc/sys/net/ipv4/tcp_mem
only=$(sed -n 's/.*scenario=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' ')
if scenarios --ignored --test-threads=1 $only; then
    echo "scenarios: all passed"
fi
poweroff -f
"#;
