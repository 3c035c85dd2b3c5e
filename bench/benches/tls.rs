//! Records: through a session, and what the cipher alone would take.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_128_GCM, LessSafeKey, UnboundKey};
use bench::fixtures::Pair;
use bench::hot;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sheen::buf::Buf;

criterion_group!(benches, encrypt, decrypt);
criterion_main!(benches);

const SIZES: [usize; 3] = [64, 1000, 65_536];

fn encrypt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encrypt");
    let mut pair = Pair::default();
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).expect("a key has 16 bytes");
    let key = LessSafeKey::new(key);
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let plain = vec![b'p'; size];
        let mut out = Buf::new();
        group.bench_function(BenchmarkId::new("session", size), |b| {
            b.iter(|| {
                out.clear();
                hot::encrypt_records(&mut pair.session, black_box(&plain), &mut out)
            });
        });
        let mut data = plain.clone();
        group.bench_function(BenchmarkId::new("bare", size), |b| {
            b.iter(|| hot::seal_bare(&key, black_box(&mut data)));
        });
    }
    group.finish();
}

fn decrypt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decrypt");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let Pair { mut session, client, .. } = Pair::default();
        let mut sender = bench::fixtures::Sender::new(client);
        let (mut plain, mut out) = (Buf::new(), Buf::new());
        group.bench_function(BenchmarkId::new("session", size), |b| {
            b.iter_batched(
                || sender.records(size),
                |mut records| {
                    plain.clear();
                    assert!(hot::decrypt_records(&mut session, &mut records, &mut plain, &mut out));
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}
