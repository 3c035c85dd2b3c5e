//! Every scenario, request by request.

use std::fmt::Write as _;

use sheen_tests::nginx;

use crate::differences::DIFFERENCES;
use crate::pair::Pair;
use crate::scenario::Scenario;
use crate::seen::{Message, Seen};

/// Runs a scenario on both sides. What differs must be explained by the table, and the rows of the
/// table that say so must show.
fn compare(scenario: &Scenario) {
    if !nginx::is_installed() {
        eprintln!("skipped: there is no nginx on this machine");
        return;
    }
    let pair = Pair::start(scenario.conf);
    let mut shown = [false; DIFFERENCES.len()];
    let mut wrong = String::new();
    for request in &scenario.requests {
        let (mut theirs, mut ours) = pair.ask(request);
        for (difference, shown) in DIFFERENCES.iter().zip(&mut shown) {
            let before = (theirs.clone(), ours.clone());
            (difference.even)(request, &mut theirs, &mut ours);
            *shown |= before != (theirs.clone(), ours.clone());
        }
        if theirs != ours {
            let _ = writeln!(wrong, "---- {}\n{}", request.text, difference(&theirs, &ours));
        }
    }
    for (difference, shown) in DIFFERENCES.iter().zip(shown) {
        if difference.shows_in == scenario.name && !shown {
            let _ = writeln!(wrong, "---- this is not different any more: {}", difference.why);
        }
    }
    // Ended first: the log of all requests would hide the differences.
    drop(pair);
    assert!(wrong.is_empty(), "{}: nginx left, sheen right\n{wrong}", scenario.name);
}

fn difference(theirs: &Seen, ours: &Seen) -> String {
    let mut text = String::new();
    for (what, theirs, ours) in
        [("client", &theirs.answers, &ours.answers), ("app", &theirs.asked, &ours.asked)]
    {
        for at in 0..theirs.len().max(ours.len()) {
            let none = Message { line: "nothing".into(), ..Message::default() };
            let (a, b) = (theirs.get(at).unwrap_or(&none), ours.get(at).unwrap_or(&none));
            if a.line != b.line {
                let _ = writeln!(text, "  {what}: {:?} | {:?}", a.line, b.line);
            }
            let only = |a: &Message, b: &Message| -> Vec<String> {
                let fields = a.fields.iter().filter(|field| !b.fields.contains(field));
                fields.map(|(name, value)| format!("{name}: {value}")).collect()
            };
            let (left, right) = (only(a, b), only(b, a));
            if !left.is_empty() || !right.is_empty() {
                let _ = writeln!(text, "  {what}: {left:?} | {right:?}");
            } else if a.fields != b.fields {
                let _ = writeln!(text, "  {what}: {:?} | {:?}", a.fields, b.fields);
            }
            if a.body != b.body || a.trailers != b.trailers {
                let (a, b) = ((&a.body, &a.trailers), (&b.body, &b.trailers));
                let _ = writeln!(text, "  {what}: {a:?} | {b:?}");
            }
        }
    }
    text
}

#[test]
fn the_app_is_asked_for_what_nginx_would_ask_for() {
    compare(&Scenario::new("proxy_pass", include_str!("scenarios/proxy_pass.txt")));
}

#[test]
fn names_lead_to_the_servers_that_nginx_chooses() {
    compare(&Scenario::new("names", include_str!("scenarios/names.txt")));
}

#[test]
fn paths_lead_to_the_locations_that_nginx_chooses() {
    compare(&Scenario::new("locations", include_str!("scenarios/locations.txt")));
}

#[test]
fn rewrites_lead_where_those_of_nginx_lead() {
    compare(&Scenario::new("rewrite", include_str!("scenarios/rewrite.txt")));
}

#[test]
fn fields_are_set_added_and_inherited_as_in_nginx() {
    compare(&Scenario::new("fields", include_str!("scenarios/fields.txt")));
}

#[test]
fn what_is_inherited_is_what_nginx_inherits() {
    compare(&Scenario::new("inheritance", include_str!("scenarios/inheritance.txt")));
}

#[test]
fn answers_of_apps_arrive_as_from_nginx() {
    compare(&Scenario::new("answers", include_str!("scenarios/answers.txt")));
}

#[test]
fn errors_have_the_pages_that_nginx_would_show() {
    compare(&Scenario::new("errors", include_str!("scenarios/errors.txt")));
}

#[test]
fn bodies_and_connections_are_treated_as_by_nginx() {
    compare(&Scenario::new("bodies", include_str!("scenarios/bodies.txt")));
}

#[test]
fn variables_hold_what_they_hold_in_nginx() {
    compare(&Scenario::new("variables", include_str!("scenarios/variables.txt")));
}

#[test]
fn websockets_open_where_they_open_behind_nginx() {
    compare(&Scenario::new("websocket", include_str!("scenarios/websocket.txt")));
}

#[test]
fn addresses_and_methods_are_kept_out_as_by_nginx() {
    compare(&Scenario::new("access", include_str!("scenarios/access.txt")));
}
