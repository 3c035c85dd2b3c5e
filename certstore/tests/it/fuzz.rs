//! The loader over damaged input: a small corpus and mutations of valid files

use crate::files;
use crate::pki::Authority;

#[test]
fn the_corpus_does_not_panic() {
    for seed in corpus() {
        certstore::fuzz_load(&seed);
        for end in (0..seed.len()).step_by(7) {
            certstore::fuzz_load(&seed[..end]);
        }
    }
}

#[test]
fn mutations_of_valid_files_do_not_panic() {
    let seeds = corpus();
    let mut random = Random(0x5eed);
    for round in 0..2000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &mut random);
        }
        certstore::fuzz_load(&bytes);
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len().max(1));
    match random.below(5) {
        0 => bytes.truncate(at),
        1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        2 if at < bytes.len() => bytes[at] = random.below(256) as u8,
        3 => bytes.insert(at.min(bytes.len()), random.below(256) as u8),
        _ => {
            let end = (at + random.below(64)).min(bytes.len());
            let piece = bytes[at.min(end)..end].to_vec();
            bytes.splice(at.min(end)..at.min(end), piece);
        }
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let pair = Authority::new().issue(&["a.example", "*.b.example", "192.0.2.1", "::1"]);
    let texts = [
        files::EC,
        files::EC_KEY,
        files::EC_PKCS8,
        files::EC_ENCRYPTED,
        files::RSA,
        files::RSA_KEY,
        files::RSA_ENCRYPTED,
        files::ED25519_KEY,
        files::REQUEST,
        files::BUNDLE,
    ];
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    seeds.extend([files::EC, files::RSA, files::EC_PKCS8, files::REQUEST].map(files::der));
    seeds.push([files::EC, files::EC_KEY].concat().into_bytes());
    seeds.push((pair.fullchain() + &pair.key).into_bytes());
    seeds.push(pair.der().to_vec());
    seeds.push(files::STORE_P12.to_vec());
    seeds
}

/// xorshift: the same bytes in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
