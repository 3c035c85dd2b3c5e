//! Certificates: the lookup of a name, building a set, and lookups while sets are swapped.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bench::{fixtures, hot};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

criterion_group!(benches, select, reload, select_while_swapping);
criterion_main!(benches);

fn select(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("select");
    group.throughput(Throughput::Elements(1));
    for names in [1, 100, 10_000] {
        let set = fixtures::set(names);
        let last = match names {
            1 => fixtures::NAME.to_owned(),
            _ => format!("site-{}.example", names - 1),
        };
        group.bench_function(BenchmarkId::new("known", names), |b| {
            b.iter(|| hot::select_certificate(&set, black_box(&last), fixtures::SCHEMES));
        });
        group.bench_function(BenchmarkId::new("unknown", names), |b| {
            b.iter(|| hot::select_certificate(&set, black_box("x.y.example"), fixtures::SCHEMES));
        });
    }
    group.finish();
}

/// A set is built when the names of the configuration change.
fn reload(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    for names in [1, 100, 10_000] {
        group.throughput(Throughput::Elements(names as u64));
        group.bench_function(BenchmarkId::new("names", names), |b| {
            b.iter(|| fixtures::set(black_box(names)));
        });
    }
    group.finish();
}

/// Another thread publishes new sets all the time: what does a lookup pay?
fn select_while_swapping(criterion: &mut Criterion) {
    let published = Arc::new(arc_swap::ArcSwap::new(fixtures::set(100)));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (published, stop) = (published.clone(), stop.clone());
        let sets = [fixtures::set(100), fixtures::set(100)];
        move || {
            for set in sets.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                published.store(set.clone());
                std::thread::yield_now();
            }
        }
    });
    let mut group = criterion.benchmark_group("swap");
    group.throughput(Throughput::Elements(1));
    group.bench_function("select", |b| {
        b.iter(|| {
            hot::select_certificate(
                &published.load(),
                black_box("site-7.example"),
                fixtures::SCHEMES,
            )
        });
    });
    group.finish();
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer does not panic");
}
