//! Heads: parse, framing, plan, rewrite, redirect.

use std::hint::black_box;

use bench::{fixtures, hot};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sheen::buf::Buf;
use sheen::h1::head::{Table, parse_answer, parse_request};
use sheen::limits::Limits;
use sheen::redirect::Redirect;

criterion_group!(benches, request, answer, redirect);
criterion_main!(benches);

fn request(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    group.throughput(Throughput::Bytes(fixtures::REQUEST.len() as u64));
    let limits = Limits::default();
    group.bench_function("parse", |b| {
        b.iter(|| hot::parse_head(black_box(fixtures::REQUEST), &limits));
    });
    let mut table = Table::default();
    let head = parse_request(fixtures::REQUEST, &mut table, &limits).expect("a request");
    group.bench_function("framing", |b| b.iter(|| hot::frame_request(black_box(&head))));
    let snapshot = fixtures::snapshot();
    for (name, tls) in [("plan", true), ("plan-redirect", false)] {
        let context = fixtures::context(&snapshot, tls);
        let mut planning = fixtures::Planning::default();
        group.bench_function(name, |b| b.iter(|| planning.again(&context)));
    }
    group.finish();
}

fn answer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer");
    group.throughput(Throughput::Bytes(fixtures::ANSWER.len() as u64));
    let mut table = Table::default();
    let head = parse_answer(fixtures::ANSWER, &mut table).expect("an answer");
    let mut out = Vec::new();
    group.bench_function("rewrite", |b| {
        b.iter(|| {
            out.clear();
            hot::rewrite_answer(&mut out, &head, black_box(fixtures::ANSWER), fixtures::HSTS);
        });
    });
    let (mut buf, mut scratch) = (Buf::new(), Vec::new());
    group.bench_function("translate", |b| {
        b.iter(|| {
            buf.clear();
            buf.extend(fixtures::ANSWER);
            let head = fixtures::ANSWER.len();
            hot::translate_answer(&mut buf, head, fixtures::HSTS, &mut scratch);
        });
    });
    group.finish();
}

fn redirect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("redirect");
    group.throughput(Throughput::Elements(1));
    let redirect = Redirect::new(443);
    group.bench_function("parts", |b| {
        b.iter(|| hot::redirect_parts(&redirect, black_box(&fixtures::LOCATION)));
    });
    group.finish();
}
