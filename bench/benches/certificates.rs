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

/// What a reload does: read the files, check, build the set, publish it.
fn reload(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reload");
    for names in [1, 100, 10_000] {
        group.throughput(Throughput::Elements(names as u64));
        let certificates = fixtures::Certificates::new(names);
        group.bench_function(BenchmarkId::new("names", names), |b| b.iter(|| certificates.swap()));
    }
    group.finish();
}

/// Another thread reloads all the time: what does a lookup pay?
fn select_while_swapping(criterion: &mut Criterion) {
    let certificates = Arc::new(fixtures::Certificates::new(100));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (certificates, stop) = (certificates.clone(), stop.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                certificates.swap();
            }
        }
    });
    let mut group = criterion.benchmark_group("swap");
    group.throughput(Throughput::Elements(1));
    group.bench_function("select", |b| {
        b.iter(|| {
            hot::select_certificate(
                &certificates.store.current(),
                black_box("site-7.example"),
                fixtures::SCHEMES,
            )
        });
    });
    group.finish();
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer does not panic");
}
