//! The picture: a bar for each peer and case, against nginx. Readable on light and on dark.

use std::fmt::Write as _;

use crate::cases::{Case, Shape};
use crate::compare::Outcome;
use crate::report::{ordered, ratio};

/// An SVG of horizontal bars. Colours follow the reader's preference.
pub(crate) fn draw(outcome: &Outcome) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for (case, results) in &outcome.results {
        let bars: Vec<(&str, f64)> = ordered(results)
            .into_iter()
            .filter_map(|name| Some((name, ratio(results, name)?)))
            .filter(|(_, ratio)| ratio.is_finite())
            .collect();
        if bars.is_empty() {
            continue;
        }
        y += draw_case(&mut body, case, &bars, y);
    }
    let one = LEFT + UNIT;
    let bottom = y;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"CPU time per unit of work, nginx is 1\">\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"12\" y=\"24\">CPU time of the proxy per unit of work (memory per \
         idle WebSocket), nginx = 1: shorter is better</text>\n{body}\
         <line class=\"one\" x1=\"{one}\" y1=\"{TOP}\" x2=\"{one}\" y2=\"{bottom}\"/>\n</svg>\n",
        height = y + 12,
    )
}

/// Returns the height that was used.
fn draw_case(body: &mut String, case: &Case, bars: &[(&str, f64)], top: usize) -> usize {
    let _ =
        writeln!(body, "<text class=\"case\" x=\"12\" y=\"{}\">{}</text>", top + 16, case.title);
    let mut y = top + 24;
    for (name, ratio) in bars {
        let class = match *name {
            "sheen" => "sheen",
            "nginx" => "nginx",
            "floor" => "floor",
            _ => "other",
        };
        let most = (WIDTH - LEFT - ROOM) as f64 / UNIT as f64;
        let width = ratio.min(most) * UNIT as f64;
        let cut = if *ratio > most { " \u{2192}" } else { "" };
        let _ = writeln!(
            body,
            "<text class=\"name\" x=\"{}\" y=\"{}\">{name}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"12\" rx=\"2\"/>\
             <text class=\"value\" x=\"{:.1}\" y=\"{}\">{ratio:.2}{cut}</text>",
            LEFT - 8,
            y + 10,
            LEFT as f64 + width + 6.0,
            y + 10,
        );
        y += 16;
    }
    if let Some(target) = case.target.filter(|_| case.kind != Shape::Idle) {
        let x = LEFT as f64 + target * UNIT as f64;
        let _ = writeln!(
            body,
            "<line class=\"target\" x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{}\"/>",
            top + 22,
            top + 38
        );
    }
    y - top + 10
}

const WIDTH: usize = 900;
const LEFT: usize = 110;
const TOP: usize = 40;
/// Pixels of a ratio of one.
const UNIT: usize = 300;
/// For the number behind the longest bar.
const ROOM: usize = 60;
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}.case{font-weight:600}\
.name{text-anchor:end;font-size:12px}.value{font-size:12px}\
.sheen{fill:#1a7f37}.nginx{fill:#57606a}.other{fill:#8c959f}.floor{fill:none;stroke:#8c959f;stroke-dasharray:3 2}\
.one{stroke:#57606a;stroke-dasharray:2 3}.target{stroke:#cf222e;stroke-width:2}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.sheen{fill:#3fb950}.nginx{fill:#9198a1}.other{fill:#656c76}\
.one{stroke:#9198a1}.target{stroke:#ff7b72}}";
