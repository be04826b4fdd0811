//! Criterion benchmarks of the lvs crates; run them with `cargo bench -p benches`.
