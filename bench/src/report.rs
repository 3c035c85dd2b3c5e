//! What came out: on the terminal, as JSON, as Markdown, and in bench/README.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cases::{CASES, Case, Shape};
use crate::chart;
use crate::compare::{Outcome, Rounds, is_baseline};

/// Several rounds of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Rounds {
    pub(crate) fn spread(&self, metric: &str) -> Option<Spread> {
        let mut values: Vec<f64> =
            self.samples.iter().filter_map(|sample| sample.get(metric).copied()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Spread { median, min, max })
    }

    fn median(&self, metric: &str) -> Option<f64> {
        self.spread(metric).map(|spread| spread.median)
    }
}

/// The median of ratios within each round: what disturbs a round disturbs both.
pub(crate) fn ratio(results: &BTreeMap<String, Rounds>, name: &str) -> Option<f64> {
    let base = results.iter().find(|(name, _)| is_baseline(name))?.1;
    let own = results.get(name)?;
    if own.samples.len() != base.samples.len() {
        return Some(own.median("cost")? / base.median("cost")?);
    }
    let pairs = own.samples.iter().zip(&base.samples);
    let ratios = pairs.filter_map(|(own, base)| {
        let ratio = own.get("cost")? / base.get("cost")?;
        Some([("ratio", ratio)].into_iter().collect())
    });
    let rounds = Rounds { samples: ratios.collect(), ..Rounds::default() };
    rounds.median("ratio")
}

pub(crate) fn print_case(case: &Case, results: &BTreeMap<String, Rounds>) {
    println!("\n{} ({})", case.title, case.word);
    for row in rows(case, results) {
        println!("  {}", row.join("  "));
    }
    for (name, rounds) in results {
        for complaint in distinct(&rounds.complaints) {
            println!("  {name}: {complaint}");
        }
    }
}

fn distinct(complaints: &[String]) -> std::collections::BTreeSet<&str> {
    complaints.iter().map(String::as_str).collect()
}

/// The table of one case, its heading first, padded.
fn rows(case: &Case, results: &BTreeMap<String, Rounds>) -> Vec<Vec<String>> {
    let cost = match case.kind {
        Shape::Idle => "kB each".to_owned(),
        _ => format!("CPU us/{}", case.unit),
    };
    let mut heading = vec!["peer".to_owned(), cost, "min-max".to_owned(), "to nginx".to_owned()];
    let columns = columns(case.kind);
    heading.extend(columns.iter().map(|(_, title)| (*title).to_owned()));
    let mut table = vec![heading];
    for name in ordered(results) {
        let rounds = &results[name];
        let Some(cost) = rounds.spread("cost") else { continue };
        let mut row = vec![
            name.to_owned(),
            short(cost.median),
            format!("{}-{}", short(cost.min), short(cost.max)),
            ratio(results, name).map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
        ];
        let values = columns.iter().map(|(metric, _)| rounds.median(metric));
        row.extend(values.map(|value| value.map_or("-".to_owned(), short)));
        table.push(row);
    }
    pad(&mut table);
    table
}

fn columns(shape: Shape) -> &'static [(&'static str, &'static str)] {
    match shape {
        Shape::Idle => &[
            ("connections", "WebSockets"),
            ("pss_mb", "MB in all"),
            ("idle_cpu_ms_per_s", "CPU ms/s"),
            ("closed", "closed"),
        ],
        Shape::Swap | Shape::Reload => &[
            ("failed", "failed"),
            ("closed", "closed"),
            ("p99_before_us", "p99 before"),
            ("p99_during_us", "p99 during"),
            ("p99_after_us", "p99 after"),
            ("pss_before_mb", "MB before"),
            ("pss_during_mb", "MB after"),
        ],
        _ => &[
            ("rate", "per second"),
            ("p50_us", "p50 us"),
            ("p99_us", "p99 us"),
            ("p999_us", "p99.9 us"),
            ("busy_percent", "core busy %"),
            ("failed", "failed"),
            ("closed", "closed"),
        ],
    }
}

fn pad(table: &mut [Vec<String>]) {
    for column in 0..table.first().map_or(0, Vec::len) {
        let width = table.iter().map(|row| row[column].len()).max().unwrap_or(0);
        for row in table.iter_mut() {
            let cell = &row[column];
            row[column] =
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
        }
    }
}

/// Names in the order of the peers: sheen, nginx, the others, the floor.
pub(crate) fn ordered(results: &BTreeMap<String, Rounds>) -> Vec<&str> {
    let rank = |name: &str| match name {
        "sheen" => 0,
        "sheen-other" => 1,
        "nginx" => 2,
        "floor" => 4,
        _ => 3,
    };
    let mut names: Vec<&str> = results.keys().map(String::as_str).collect();
    names.sort_by_key(|name| (rank(name), *name));
    names
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// report.md, results.json and chart.svg.
pub(crate) fn write(outcome: &Outcome, dir: &Path) -> Result<(), String> {
    let files = [
        ("results.json", format!("{:#}\n", to_json(outcome))),
        ("chart.svg", chart::draw(outcome)),
        ("report.md", to_markdown(outcome)),
    ];
    for (name, text) in files {
        let file = dir.join(name);
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn to_json(outcome: &Outcome) -> Value {
    let cases = outcome.results.iter().map(|(case, results)| {
        let peers = results.iter().map(|(name, rounds)| {
            let value = json!({
                "rounds": rounds.samples,
                "median_cost": rounds.median("cost"),
                "ratio_to_nginx": ratio(results, name),
                "tls": rounds.version,
                "complaints": rounds.complaints,
            });
            (name.clone(), value)
        });
        let peers: serde_json::Map<String, Value> = peers.collect();
        json!({
            "case": case.word, "title": case.title, "unit": case.unit,
            "target": case.target, "peers": peers,
        })
    });
    let peers = outcome.peers.iter().map(|(found, config)| {
        let (text, error) = (config.as_ref().ok(), config.as_ref().err());
        json!({ "name": found.name, "version": found.version, "config": text, "error": error })
    });
    json!({
        "machine": outcome.machine, "rounds": outcome.rounds, "seconds": outcome.seconds,
        "certificate": outcome.cert, "notes": outcome.notes,
        "peers": peers.collect::<Vec<_>>(), "cases": cases.collect::<Vec<_>>(),
    })
}

fn to_markdown(outcome: &Outcome) -> String {
    let mut text = format!(
        "# Side by side\n\n{}\n\n![CPU time against nginx](chart.svg)\n\n{}",
        conditions(outcome),
        summary(outcome)
    );
    for (case, results) in &outcome.results {
        let _ = writeln!(text, "\n## {} (`{}`)\n", case.title, case.word);
        text.push_str(&markdown_table(&rows(case, results)));
        for (name, rounds) in results {
            let tls = rounds.version.filter(|version| *version != "TLS 1.3");
            if let Some(version) = tls {
                let _ = writeln!(text, "\n{name} speaks {version} here.");
            }
            for complaint in distinct(&rounds.complaints) {
                let _ = writeln!(text, "\n{name}: {complaint}");
            }
        }
    }
    text.push_str("\n## Peers\n");
    for (found, config) in &outcome.peers {
        let remark = found.kind.remark();
        let remark = if remark.is_empty() { String::new() } else { format!(" ({remark})") };
        let config = config.as_ref().map_or_else(|error| format!("{error}\n"), Clone::clone);
        let _ = write!(
            text,
            "\n### {}: {}{remark}\n\n```text\n{config}```\n",
            found.name, found.version
        );
    }
    text
}

fn conditions(outcome: &Outcome) -> String {
    let mut text = format!(
        "{}. {} rounds of {} s for each case and peer, in turn; one worker each, on a core of its own. \
         Certificate: {}. Medians.",
        outcome.machine, outcome.rounds, outcome.seconds, outcome.cert
    );
    if !outcome.missing.is_empty() {
        let _ = write!(text, " Not installed: {}.", outcome.missing.join(", "));
    }
    for note in &outcome.notes {
        let _ = write!(text, " {note}.");
    }
    text
}

/// One line for each case: CPU time to nginx's, everybody's, and whether sheen's target is reached.
fn summary(outcome: &Outcome) -> String {
    let names: Vec<&str> = outcome.peers.iter().map(|(found, _)| found.name.as_str()).collect();
    let mut heading = vec!["case".to_owned(), "target".to_owned(), "reached".to_owned()];
    heading.extend(outcome.peers.iter().map(|(found, _)| match found.kind.remark() {
        "" => found.name.clone(),
        remark => format!("{} ({remark})", found.name),
    }));
    let mut table = vec![heading];
    for (case, results) in &outcome.results {
        let value = |name: &str| match case.kind {
            Shape::Idle => results.get(name)?.median("cost"),
            _ => ratio(results, name),
        };
        let reached = case.target.zip(value("sheen")).map(|(target, value)| value <= target);
        let unit = if case.kind == Shape::Idle { " kB" } else { "" };
        let mut row = vec![
            case.title.to_owned(),
            case.target.map_or("-".to_owned(), |target| format!("{target:.2}{unit}")),
            reached.map_or("-", |reached| if reached { "yes" } else { "no" }).to_owned(),
        ];
        row.extend(
            names.iter().map(|name| {
                value(name).map_or("-".to_owned(), |value| format!("{value:.2}{unit}"))
            }),
        );
        table.push(row);
    }
    pad(&mut table);
    let intro = "CPU time of the proxy per unit of work, nginx = 1.00; memory in kB.\n\n";
    intro.to_owned() + &markdown_table(&table)
}

fn markdown_table(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if number == 0 {
            let rule = row.iter().enumerate().map(|(at, cell)| {
                let dashes = "-".repeat(cell.len().max(3) - usize::from(at > 0));
                if at == 0 { dashes } else { format!("{dashes}:") }
            });
            let _ = writeln!(text, "| {} |", rule.collect::<Vec<_>>().join(" | "));
        }
    }
    text
}

/// Puts the summary between the markers of bench/README.md.
pub(crate) fn write_readme(outcome: &Outcome) -> Result<(), String> {
    if outcome.results.len() < CASES.len() {
        return Err("--write-readme wants all cases: leave out --case".to_owned());
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = dir.join("README.md");
    let say = |error: std::io::Error| format!("{}: {error}", file.display());
    let text = fs::read_to_string(&file).map_err(say)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or("bench/README.md has lost its markers")?;
    let versions: Vec<String> = outcome
        .peers
        .iter()
        .map(|(found, _)| format!("{}: {}", found.name, found.version))
        .collect();
    let table = format!(
        "{}\n\n{}\n\n![CPU time against nginx](chart.svg)\n\n{}",
        conditions(outcome),
        versions.join("; "),
        summary(outcome)
    );
    fs::write(dir.join("chart.svg"), chart::draw(outcome)).map_err(say)?;
    fs::write(&file, format!("{before}{BEGIN}\n{table}{END}{after}")).map_err(say)
}

const BEGIN: &str = "<!-- results -->";
const END: &str = "<!-- end of results -->";
