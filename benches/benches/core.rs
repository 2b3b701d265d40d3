//! The core natively: one verification beside the usual crates, and reader and writer on other people's documents.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use countersign_bench_guest::{DEPOSIT, Work};
use countersign_core::canonical;
use countersign_core::json::{self, ReadLimits, Tape};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Parse, canonicalise and verify the source's deposit event.
fn verify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    type Verify = fn(&mut Work, &[u8]) -> bool;
    let rows: [(&str, Verify); 4] = [
        ("library", Work::library),
        ("library, payload hashed", Work::library_hashed),
        ("core", Work::core),
        ("countersign, payload hashed", Work::countersign),
    ];
    for (name, verify) in rows {
        let mut work = Work::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert!(verify(&mut work, black_box(DEPOSIT.as_bytes()))));
        });
    }
    group.finish();
}

/// Parse and canonicalise the event, and the documents of `nativejson-benchmark`.
fn canonicalise(criterion: &mut Criterion) {
    let mut documents = vec![("deposit".to_owned(), DEPOSIT.as_bytes().to_vec())];
    documents.extend(third_party());
    for (name, document) in documents {
        let mut group = criterion.benchmark_group(format!("canonicalise {name}"));
        group.throughput(Throughput::Bytes(document.len() as u64));
        group.bench_function("library", |bencher| {
            bencher.iter(|| {
                let value: serde_json::Value = serde_json::from_slice(black_box(&document)).unwrap();
                serde_json_canonicalizer::to_vec(&value).unwrap()
            });
        });
        let (mut tape, mut output) = (Tape::default(), Vec::new());
        group.bench_function("countersign", |bencher| {
            bencher.iter(|| {
                output.clear();
                let document = json::read(black_box(&document), &mut tape, ReadLimits::UNBOUNDED).unwrap();
                canonical::write(&document, None, &mut output);
            });
        });
        group.finish();
    }
}

/// The documents that the core accepts; the others are named with the reason.
fn third_party() -> Vec<(String, Vec<u8>)> {
    let root = std::env::var_os("COUNTERSIGN_THIRD_PARTY")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let mut documents = Vec::new();
    for name in ["twitter", "citm_catalog", "canada"] {
        let path = root.join("nativejson-benchmark").join(name).with_extension("json");
        let Ok(document) = std::fs::read(&path) else {
            println!("skipped: no {}: set COUNTERSIGN_THIRD_PARTY", path.display());
            continue;
        };
        match json::read(&document, &mut Tape::default(), ReadLimits::UNBOUNDED) {
            Ok(_) => documents.push((name.to_owned(), document)),
            Err(refused) => println!(
                "skipped: {name}.json is refused at byte {}: {}",
                refused.offset,
                refused.problem.as_str()
            ),
        }
    }
    documents
}

criterion_group!(benches, verify, canonicalise);
criterion_main!(benches);
