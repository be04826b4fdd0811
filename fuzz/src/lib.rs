//! What must hold for any octets that come from outside, one function per parser.
//!
//! A stable toolchain replays the corpus and seeded mutations of it: `cargo test -p fuzz`. With a nightly one,
//! `cargo fuzz run --fuzz-dir fuzz/libfuzzer TARGET fuzz/corpus/TARGET` looks for inputs that nobody thought of;
//! those that showed something are kept in the corpus. `cargo run -p fuzz --bin seeds` writes what was captured.

// To panic is how these say what does not hold.
#![allow(clippy::panic, clippy::missing_panics_doc)]

mod mutate;
pub mod seeds;
mod targets;

use std::path::PathBuf;

pub use mutate::Mutator;
pub use targets::advert::advert;
pub use targets::ah::ah;
pub use targets::configuration::configuration;
pub use targets::connections::connections;
pub use targets::demux::demux;
pub use targets::ipv4_header::ipv4_header;
pub use targets::ipvs_dump::ipvs_dump;
pub use targets::ipvs_message::ipvs_message;
pub use targets::table::table;

/// A parser that is tried out.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Panics if something does not hold for an input.
    pub body: fn(&[u8]),
    /// How many inputs it takes in the time of one of the slowest target.
    pub pace: usize,
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    Target { name: "advert", body: advert, pace: 100 },
    Target { name: "ipv4_header", body: ipv4_header, pace: 100 },
    Target { name: "ah", body: ah, pace: 20 },
    Target { name: "demux", body: demux, pace: 20 },
    Target { name: "configuration", body: configuration, pace: 1 },
    Target { name: "connections", body: connections, pace: 10 },
    Target { name: "table", body: table, pace: 20 },
    Target { name: "ipvs_message", body: ipvs_message, pace: 100 },
    Target { name: "ipvs_dump", body: ipvs_dump, pace: 10 },
];

/// Where the inputs of a target lie that are tried each time.
#[must_use]
pub fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}
