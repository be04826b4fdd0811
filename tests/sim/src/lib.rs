//! Networks of VRRP routers in one thread, on a clock that is a number, with faults of every kind.
//!
//! A seed becomes [`Options`](options::Options): how many routers, how they are configured, how fast their
//! clocks run, and which faults are on. [`World`](world::World) is the network: it moves octets between the
//! demultiplexers and routers of lvs-vrrp, and asks after every event whether what they did is right:
//! [`Watch`](observer::Watch) knows the invariants A1 to A14 by name and keeps a picture of each router of its
//! own. [`plays`] are the situations E1 to E20 with their bounds. Nothing here reads a clock, or depends on the
//! order of a hash table: the same seed does the same on every machine.
//!
//! `cargo xtask sim` runs it; `cargo xtask sim --seed S` plays one seed and shows what happened.

pub mod bounds;
pub mod chaos;
pub mod clock;
pub mod command;
pub mod coverage;
pub mod decoder;
pub mod fault;
pub mod kernel;
pub mod network;
pub mod node;
pub mod observer;
mod operations;
pub mod options;
pub mod peace;
pub mod plays;
pub mod random;
pub mod run;
mod told;
pub mod totals;
pub mod trace;
pub mod wire;
pub mod world;
