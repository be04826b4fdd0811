//! Small programs that embed the lvs crates; each file in `src/bin` is one, and none needs root.
//!
//! - `cargo run -p embed --bin failover`: two VRRP routers in memory, on a virtual clock.
//! - `cargo run -p embed --bin udp`: two drivers on the loopback interface, with packets in UDP.
//! - `cargo run -p embed --bin balancer`: servers with a check of one's own, and the table that follows from it.
//! - `cargo run -p embed --bin own_loop`: health checks without an async runtime.
//! - `cargo run -p embed --bin json_table -- --dry-run FILE`: a table that is kept equal to a JSON file (without `--dry-run` the
//!   kernel's, as root).

// The program of the README is compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
