//! The picture: a bar for each peer and case, against nginx. Readable on light and on dark.

use std::fmt::Write as _;

use crate::cases::{Case, Shape};
use crate::compare::Outcome;
use crate::report::ordered;
use crate::spread::to_nginx;
use crate::targets::{Target, Wanted};

/// An SVG of horizontal bars. Colours follow the reader's preference.
pub(crate) fn draw(outcome: &Outcome) -> String {
    let mut body = String::new();
    let mut y = TOP;
    // Of two workers, what they gain is in the tables.
    let cases = outcome.results.iter().filter(|(case, _)| case.kind != Shape::Scaling);
    for (case, results) in cases {
        let bars: Vec<(&str, f64)> = ordered(results)
            .into_iter()
            .filter_map(|name| Some((name, to_nginx(results, name)?)))
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
         idle WebSocket), nginx = 1: shorter is better</text>\n\
         <line class=\"target\" x1=\"14\" y1=\"34\" x2=\"14\" y2=\"48\"/>\
         <text class=\"value\" x=\"22\" y=\"45\">what sheen is to reach</text>\n\
         <line class=\"one\" x1=\"{one}\" y1=\"{TOP}\" x2=\"{one}\" y2=\"{bottom}\"/>\n{body}</svg>\n",
        height = y + 12,
    )
}

/// Returns the height that was used.
fn draw_case(body: &mut String, case: &Case, bars: &[(&str, f64)], top: usize) -> usize {
    let _ =
        writeln!(body, "<text class=\"case\" x=\"12\" y=\"{}\">{}</text>", top + 16, case.title);
    let target = Target::of(case.word).find_map(|target| match target.wanted {
        Wanted::ToNginx(most) => Some(LEFT as f64 + most * UNIT as f64),
        _ => None,
    });
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
        let end = LEFT as f64 + width;
        // Beyond the mark, so that neither hides the other.
        let end = if class == "sheen" { target.unwrap_or(end).max(end) } else { end };
        let cut = if *ratio > most { " \u{2192}" } else { "" };
        let _ = writeln!(
            body,
            "<text class=\"name\" x=\"{}\" y=\"{}\">{name}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"12\" rx=\"2\"/>\
             <text class=\"value\" x=\"{:.1}\" y=\"{}\">{ratio:.2}{cut}</text>",
            LEFT - 8,
            y + 10,
            end + 6.0,
            y + 10,
        );
        y += 16;
    }
    // sheen's bar is the first.
    if let Some(x) = target {
        let (from, to) = (top + 22, top + 38);
        let _ = writeln!(
            body,
            "<line class=\"target\" x1=\"{x:.1}\" y1=\"{from}\" x2=\"{x:.1}\" y2=\"{to}\"/>"
        );
    }
    y - top + 10
}

const WIDTH: usize = 900;
const LEFT: usize = 110;
const TOP: usize = 58;
/// Pixels of a ratio of one.
const UNIT: usize = 300;
/// For the number behind the longest bar.
const ROOM: usize = 60;
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#24292f}\
text{paint-order:stroke;stroke:#fff;stroke-width:4px}.title,.case{font-weight:600}\
.name{text-anchor:end;font-size:12px}.value{font-size:12px}\
.sheen{fill:#1a7f37}.nginx{fill:#57606a}.other{fill:#8c959f}.floor{fill:none;stroke:#8c959f;stroke-dasharray:3 2}\
.one{stroke:#57606a;stroke-dasharray:2 3}.target{stroke:#cf222e;stroke-width:2}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3;stroke:#0d1117}.sheen{fill:#3fb950}.nginx{fill:#9198a1}.other{fill:#656c76}\
.one{stroke:#9198a1}.target{stroke:#ff7b72}}";
