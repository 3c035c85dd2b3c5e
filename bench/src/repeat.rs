//! Hot functions called again and again, for a profiler to look at.

use std::hint::black_box;

use bench::fixtures::{self, Pair, Planning, PlanningByConf, Sender};
use bench::hot;
use bench::nginx_rules::Rules;
use sheen::buf::Buf;
use sheen::h1::head::{Table, parse_answer, parse_request};
use sheen::limits::Limits;
use sheen::redirect::Redirect;

/// What can be counted: a name, and the function of `hot` whose instructions they are.
pub(crate) const FUNCTIONS: [(&str, &str); 14] = [
    ("parse_head", "parse_head"),
    ("frame_request", "frame_request"),
    ("plan_request", "plan_request"),
    ("plan_redirect", "plan_request"),
    ("plan_by_conf", "plan_by_conf"),
    ("plan_by_conf_rules", "plan_by_conf"),
    ("rewrite_answer", "rewrite_answer"),
    ("translate_answer", "translate_answer"),
    ("redirect_parts", "redirect_parts"),
    ("select_1", "select_certificate"),
    ("select_10000", "select_certificate"),
    ("encrypt_64", "encrypt_records"),
    ("encrypt_16384", "encrypt_records"),
    ("decrypt_64", "decrypt_records"),
];

/// Calls the function `times` times.
pub(crate) fn run(name: &str, times: u64) -> Result<(), String> {
    match name {
        "parse_head" => {
            let limits = Limits::default();
            again(times, || hot::parse_head(fixtures::REQUEST, &limits));
        }
        "frame_request" => {
            let mut table = Table::default();
            let head = parse_request(fixtures::REQUEST, &mut table, &Limits::default());
            let head = head.expect("a request");
            again(times, || hot::frame_request(&head));
        }
        "plan_request" => plan(times, true),
        "plan_redirect" => plan(times, false),
        "plan_by_conf" => plan_by_conf(times, &Rules::none()),
        "plan_by_conf_rules" => plan_by_conf(times, &Rules::many()),
        "rewrite_answer" | "translate_answer" => answer(times, name == "rewrite_answer"),
        "redirect_parts" => {
            let redirect = Redirect::new(443);
            again(times, || hot::redirect_parts(&redirect, black_box(&fixtures::LOCATION)));
        }
        "select_1" => select(times, 1),
        "select_10000" => select(times, 10_000),
        "encrypt_64" => encrypt(times, 64),
        "encrypt_16384" => encrypt(times, 16_384),
        "decrypt_64" => decrypt(times, 64),
        _ => return Err(format!("no function {name:?}")),
    }
    Ok(())
}

fn again<R>(times: u64, mut call: impl FnMut() -> R) {
    (0..times).for_each(|_| drop(black_box(call())));
}

fn plan(times: u64, tls: bool) {
    let snapshot = fixtures::snapshot();
    let context = fixtures::context(&snapshot, tls);
    let mut planning = Planning::default();
    again(times, || assert!(planning.again(&context).is_some()));
}

fn plan_by_conf(times: u64, rules: &Rules) {
    let mut planning = PlanningByConf::new(rules);
    again(times, || assert!(planning.again()));
}

fn answer(times: u64, rewrite_alone: bool) {
    let mut table = Table::default();
    let head = parse_answer(fixtures::ANSWER, &mut table).expect("an answer");
    let (mut buf, mut scratch) = (Buf::new(), Vec::new());
    again(times, || {
        if rewrite_alone {
            scratch.clear();
            hot::rewrite_answer(&mut scratch, &head, fixtures::ANSWER, fixtures::HSTS);
        } else {
            buf.clear();
            buf.extend(fixtures::ANSWER);
            let head = fixtures::ANSWER.len();
            hot::translate_answer(&mut buf, head, fixtures::HSTS, &mut scratch);
        }
    });
}

fn select(times: u64, names: usize) {
    let set = fixtures::set(names);
    // The hash is seeded anew in every process: how many names are looked at on the way is not the
    // same each time.
    again(times, || {
        assert!(hot::select_certificate(&set, fixtures::NAME, fixtures::SCHEMES));
    });
}

fn encrypt(times: u64, bytes: usize) {
    let mut pair = Pair::default();
    let plain = vec![b'p'; bytes];
    let mut out = Buf::new();
    again(times, || {
        out.clear();
        assert!(hot::encrypt_records(&mut pair.session, &plain, &mut out));
    });
}

fn decrypt(times: u64, bytes: usize) {
    let Pair { mut session, client, .. } = Pair::default();
    let mut sender = Sender::new(client);
    let (mut plain, mut out) = (Buf::new(), Buf::new());
    again(times, || {
        let mut records = sender.records(bytes);
        plain.clear();
        assert!(hot::decrypt_records(&mut session, &mut records, &mut plain, &mut out));
    });
}
