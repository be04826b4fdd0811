//! Criterion benchmarks of the lvs crates: `cargo bench -p benches`, about two minutes on two cores.
//!
//! - `table`: the difference between tables of 10,000 services with 10 servers each.
//! - `vrrp`: adverts from octets and to octets, and what a router does with them.
//! - `ipvs`: messages of the kernel's IPVS, encoded and decoded.
//!
//! One file: `cargo bench -p benches --bench vrrp`; one group: add part of its name.
//!
//! Beside keepalived, in namespaces: `cargo build --release -p lvsd -p benches`, then `target/release/vrrp_driver cpu`
//! and `target/release/vrrp_driver takeover`.
