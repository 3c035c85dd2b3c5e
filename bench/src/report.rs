//! What came out: on the terminal, as JSON, as Markdown, and in bench/README.md.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cases::{CASES, Case, Shape};
use crate::chart;
use crate::compare::Outcome;
use crate::peers::{Kind, OTHER};
use crate::spread::{Results, Versus, ratios, to_nginx};
use crate::targets::{TARGETS, Target};

pub(crate) fn print_case(case: &Case, results: &Results) {
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
fn rows(case: &Case, results: &Results) -> Vec<Vec<String>> {
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
            to_nginx(results, name).map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
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
        Shape::EchoUnderHandshakes => &[
            ("handshakes_per_s", "handshakes/s"),
            ("p50_quiet_us", "p50 alone"),
            ("p50_us", "p50"),
            ("p99_quiet_us", "p99 alone"),
            ("p99_us", "p99"),
            ("p999_quiet_us", "p99.9 alone"),
            ("p999_us", "p99.9"),
            ("busy_percent", "core busy %"),
            ("failed", "failed"),
        ],
        Shape::Scaling => &[
            ("gain", "gain"),
            ("cost_one", "alone"),
            ("cost_other", "on the other core"),
            ("rate", "per second"),
            ("most_one", "most of 1"),
            ("most_two", "most of 2"),
            ("most_gain", "gain of most"),
            ("failed", "failed"),
        ],
        Shape::Rules => &[
            ("over_plain", "to without rules"),
            ("cost_plain", "without rules"),
            ("rate", "per second"),
            ("failed", "failed"),
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
pub(crate) fn ordered(results: &Results) -> Vec<&str> {
    let rank = |name: &str| match name {
        "sheen" => 0,
        OTHER => 1,
        "nginx" => 2,
        "floor" => 4,
        _ => 3,
    };
    let mut names: Vec<&str> = results.keys().map(String::as_str).collect();
    names.sort_by_key(|name| (rank(name), *name));
    names
}

/// What all cases come to: targets, and one build against the other.
pub(crate) fn print_end(outcome: &Outcome) {
    for (title, table) in [("targets", targets(outcome)), (VERSUS, versus(outcome))] {
        if table.len() > 1 {
            println!("\n{title}");
            table.iter().for_each(|row| println!("  {}", row.join("  ").trim_end()));
        }
    }
}

/// Every target of the cases that were measured, its heading first.
fn targets(outcome: &Outcome) -> Vec<Vec<String>> {
    let heading = ["case", "target", "found (smallest-largest)", "reached", "why not"];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    for target in &TARGETS {
        let case = outcome.results.iter().find(|(case, _)| case.word == target.case);
        let Some(found) = case.and_then(|(_, results)| target.judge(results)) else { continue };
        table.push(vec![
            target.case.to_owned(),
            target.wanted.words(),
            found.value,
            if found.reached { "yes" } else { "NO" }.to_owned(),
            if found.reached { "" } else { target.reason }.to_owned(),
        ]);
    }
    pad(&mut table);
    table
}

/// This build against the other one, its heading first; nothing more where there is no other.
fn versus(outcome: &Outcome) -> Vec<Vec<String>> {
    let heading = ["case", "what", "ratio", "from-to", "sure", "verdict"];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    for (case, results) in &outcome.results {
        let cost = if case.kind == Shape::Idle { "memory" } else { "CPU" };
        for (metric, what) in [("cost", cost), ("p50_us", "p50"), ("p99_us", "p99")] {
            let ratios = ratios(results, Kind::Sheen.word(), OTHER, metric);
            let Some(versus) = Versus::of(&ratios) else { continue };
            table.push(vec![
                case.word.to_owned(),
                what.to_owned(),
                format!("{:.3}", versus.median),
                format!("{:.3}-{:.3}", versus.low, versus.high),
                format!("{:.0} %", versus.confidence * 100.0),
                versus.verdict().words().to_owned(),
            ]);
        }
    }
    pad(&mut table);
    table
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
                "ratio_to_nginx": to_nginx(results, name),
                "tls": rounds.version,
                "complaints": rounds.complaints,
            });
            (name.clone(), value)
        });
        let peers: serde_json::Map<String, Value> = peers.collect();
        let judged: Vec<Value> = Target::of(case.word)
            .filter_map(|target| {
                let found = target.judge(results)?;
                let wanted = target.wanted.words();
                Some(json!({ "wanted": wanted, "found": found.value, "reached": found.reached }))
            })
            .collect();
        let ratios = ratios(results, Kind::Sheen.word(), OTHER, "cost");
        let versus = Versus::of(&ratios).map(|versus| {
            let Versus { median, low, high, confidence } = versus;
            let verdict = versus.verdict().words();
            json!({
                "median": median, "low": low, "high": high, "confidence": confidence,
                "verdict": verdict,
            })
        });
        json!({
            "case": case.word, "title": case.title, "unit": case.unit,
            "targets": judged, "sheen_to_other": versus, "peers": peers,
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

/// One line for each case: CPU time to nginx's, everybody's; then the targets.
fn summary(outcome: &Outcome) -> String {
    let mut heading = vec!["case".to_owned()];
    heading.extend(outcome.peers.iter().map(|(found, _)| match found.kind.remark() {
        "" => found.name.clone(),
        remark => format!("{} ({remark})", found.name),
    }));
    let mut table = vec![heading];
    for (case, results) in &outcome.results {
        let mut row = vec![case.title.to_owned()];
        row.extend(outcome.peers.iter().map(|(found, _)| cell(case, results, &found.name)));
        table.push(row);
    }
    pad(&mut table);
    let mut text = format!(
        "CPU time of the proxy per unit of work, nginx = 1.00; memory in kB; of `scaling`, what two \
         workers do for one.\n\n{}\nTargets:\n\n{}",
        markdown_table(&table),
        markdown_table(&targets(outcome)),
    );
    let versus = versus(outcome);
    if versus.len() > 1 {
        let _ = write!(text, "\n{VERSUS}:\n\n{}", markdown_table(&versus));
    }
    text
}

fn cell(case: &Case, results: &Results, name: &str) -> String {
    let own = |metric| results.get(name).and_then(|rounds| rounds.median(metric));
    let value = match case.kind {
        Shape::Idle => own("cost").map(|value| format!("{value:.2} kB")),
        Shape::Scaling => own("gain").map(|value| format!("{value:.2}")),
        _ => to_nginx(results, name).map(|value| format!("{value:.2}")),
    };
    value.unwrap_or("-".to_owned())
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

const VERSUS: &str = "sheen to sheen-other";
const BEGIN: &str = "<!-- results -->";
const END: &str = "<!-- end of results -->";
