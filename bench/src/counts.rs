//! Instruction counts: free of the noise of shared machines, so that a regression of a few percent
//! can be refused.
//!
//! Each function runs under callgrind a few times and then a few times more; the difference,
//! divided, is one call.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::repeat::FUNCTIONS;
use crate::whole;

/// Count the instructions of hot functions with valgrind
#[derive(Debug, clap::Args)]
pub(crate) struct CountsArgs {
    /// Compare with bench/counts.toml instead of writing it; fail on more than 3 % over
    #[arg(long)]
    check: bool,
}

type Counts = BTreeMap<String, u64>;

pub(crate) fn run(args: &CountsArgs) -> Result<(), String> {
    let valgrind = version_of("valgrind")
        .ok_or("instruction counts need valgrind: apt-get install valgrind")?;
    if !is_reference_cpu() {
        // On another CPU memchr, httparse and the cryptography take other paths.
        println!("SKIPPED: bench/counts.toml is for x86-64 with AVX2, which this machine is not");
        return Ok(());
    }
    let tools = format!("{}, {valgrind}", version_of("rustc").unwrap_or("no rustc".to_owned()));
    let dir = std::env::temp_dir().join(format!("sheen-counts-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let counted = count_all(&dir);
    // What stays behind is small, and in the folder for such things.
    let _ = fs::remove_dir_all(&dir);
    let (counts, file) = (counted?, table());
    let say = |error| format!("{}: {error}", file.display());
    let text = fs::read_to_string(&file).map_err(say)?;
    if args.check {
        return check(&from_toml(&text)?, &counts).map_err(|error| match tools_of(&text) {
            Some(then) if then != tools => {
                format!("{error}\nnote: the table was made with {then}; this is {tools}")
            }
            _ => error,
        });
    }
    let counts = steadied(counts, &from_toml(&text)?);
    fs::write(&file, to_toml(&counts, &tools)).map_err(say)?;
    println!("written: {}", file.display());
    Ok(())
}

/// True where the counts are those of the table's machine. valgrind shows every program the same
/// CPU, whatever the real one is: one of two, with AVX2 and without (and never AVX-512).
fn is_reference_cpu() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// "valgrind-3.19.0", "rustc 1.88.0 (...)"; `None` when there is no such program.
fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Numbers that have hardly moved stay as they were, so that the table changes where the code did.
fn steadied(mut counts: Counts, before: &Counts) -> Counts {
    for (name, count) in &mut counts {
        let near = |before: &&u64| (*count as f64 / **before as f64 - 1.0).abs() <= STEADY_MAX;
        *count = before.get(name).filter(near).copied().unwrap_or(*count);
    }
    counts
}

fn count_all(dir: &Path) -> Result<Counts, String> {
    let mut counts = Counts::new();
    for (name, function) in FUNCTIONS {
        let own = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
        let once = |times: u64| {
            let out = dir.join("function.out");
            let mut command = callgrind(&out, Some(&format!("*hot*{function}*")));
            command.arg(&own).args(["repeat", name]).arg(times.to_string());
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
            match status {
                Ok(status) if status.success() => total(&out),
                other => Err(format!("{name}: valgrind: {other:?}")),
            }
        };
        let (few, many) = (once(FEW)?, once(MANY)?);
        let count = many.saturating_sub(few) / (MANY - FEW);
        if count == 0 {
            return Err(format!("{name}: callgrind finds no function like *hot*{function}*"));
        }
        println!("{name:<24} {count:>9}");
        counts.insert(name.to_owned(), count);
    }
    for (name, count) in whole::count(dir)? {
        println!("{name:<24} {count:>9}");
        counts.insert(name.to_owned(), count);
    }
    Ok(counts)
}

/// `toggle`: only what happens inside functions of that name counts.
pub(crate) fn callgrind(out: &Path, toggle: Option<&str>) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]);
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.args(toggle.map(|pattern| format!("--toggle-collect={pattern}")));
    command
}

/// The instructions that callgrind counted.
pub(crate) fn total(out: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("totals:"));
    let total = lines.filter_map(|total| total.trim().parse::<u64>().ok()).sum();
    Ok(total)
}

fn check(expected: &Counts, counts: &Counts) -> Result<(), String> {
    let gone = expected.keys().filter(|name| !counts.contains_key(*name));
    let mut problems: Vec<String> =
        gone.map(|name| format!("{name}: in bench/counts.toml, but not counted")).collect();
    for (name, count) in counts {
        let Some(before) = expected.get(name) else {
            problems.push(format!("{name}: not in bench/counts.toml"));
            continue;
        };
        let change = *count as f64 / *before as f64 - 1.0;
        if change > REGRESSION_MAX {
            problems.push(format!("{name}: {before} -> {count} ({:+.1} %)", change * 100.0));
        } else if change < -REGRESSION_MAX {
            println!("{name}: {before} -> {count} ({:+.1} %): better", change * 100.0);
        }
    }
    if problems.is_empty() {
        println!("instruction counts are within {:.0} %", REGRESSION_MAX * 100.0);
        return Ok(());
    }
    let hint = "if it is meant, run `cargo run --release -p bench -- counts`, commit \
        bench/counts.toml with the change, and say in its message why it costs more";
    Err(format!("instruction counts:\n  {}\nhint: {hint}", problems.join("\n  ")))
}

fn table() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.toml")
}

fn to_toml(counts: &Counts, tools: &str) -> String {
    let mut text = format!(
        "# Instructions of one call, by `cargo run --release -p bench -- counts`, on x86-64 with AVX2.\n\
         {TOOLS}{tools}\n"
    );
    for (name, count) in counts {
        let _ = writeln!(text, "{name} = {count}");
    }
    text
}

/// What the table was made with.
fn tools_of(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix(TOOLS))
}

fn from_toml(text: &str) -> Result<Counts, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let pair = line.split_once('=').and_then(|(name, count)| {
                Some((name.trim().to_owned(), count.trim().parse().ok()?))
            });
            pair.ok_or_else(|| format!("counts.toml: {line:?} is not `name = number`"))
        })
        .collect()
}

const FEW: u64 = 50;
const MANY: u64 = 250;
const REGRESSION_MAX: f64 = 0.03;
const STEADY_MAX: f64 = 0.005;
const TOOLS: &str = "# Made with ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_three_percent_over_is_refused() {
        let counts = |n| Counts::from([("f".to_owned(), n)]);
        assert!(check(&counts(1000), &counts(1029)).is_ok());
        assert!(check(&counts(1000), &counts(1031)).is_err());
        assert!(check(&counts(1000), &counts(500)).is_ok());
        assert!(check(&Counts::new(), &counts(1)).is_err());
        assert!(check(&counts(1000), &Counts::new()).is_err());
    }

    #[test]
    fn the_table_is_read_as_it_was_written() {
        let counts = |n| Counts::from([("f".to_owned(), n)]);
        let text = to_toml(&counts(7), "rustc 1");
        assert_eq!(from_toml(&text), Ok(counts(7)));
        assert_eq!(tools_of(&text), Some("rustc 1"));
        assert!(from_toml("f: 7").is_err());
        assert_eq!(steadied(counts(1004), &counts(1000)), counts(1000));
        assert_eq!(steadied(counts(1006), &counts(1000)), counts(1006));
        assert_eq!(steadied(counts(5), &Counts::new()), counts(5));
    }
}
