//! What must hold for any octets that come from outside, one function per parser.
//!
//! A stable toolchain replays the corpus and seeded mutations of it: `cargo test -p fuzz`. With a nightly one,
//! `cargo fuzz run --fuzz-dir fuzz/libfuzzer TARGET fuzz/corpus/TARGET` looks for inputs that nobody thought of;
//! those that showed something are kept in the corpus. `cargo run -p fuzz --bin seeds` writes what was captured.

mod mutate;
pub mod seeds;
mod targets;

use std::path::PathBuf;

pub use mutate::Mutator;
pub use targets::advert::advert;
pub use targets::ah::ah;
pub use targets::configuration::configuration;
pub use targets::demux::demux;
pub use targets::ipv4_header::ipv4_header;

/// A name, and a function that panics if something does not hold.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 5] = [
    ("advert", advert),
    ("ipv4_header", ipv4_header),
    ("ah", ah),
    ("demux", demux),
    ("configuration", configuration),
];

/// Where the inputs of a target lie that are tried each time.
#[must_use]
pub fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}
