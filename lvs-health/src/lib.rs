//! Health checks for load balancers: when to ask a server, and what its answers mean.
//!
//! Three layers, each usable without the ones below it:
//!
//! * [`Scheduler`] and [`Policy`] decide, without I/O and without a clock of their own. They work in any runtime and in
//!   simulations, and build on any platform (`default-features = false`).
//! * The checkers ask: [`TcpCheck`] (feature `tcp`), [`HttpCheck`] (feature `http`), and
//!   whatever implements [`lvs_core::Check`], one method.
//! * [`Runner`] (feature `tokio`) brings them together: it starts what is due and says what changed.
//!
//! Checks are named by a [`CheckId`] that the caller chooses. That a server with several checks is up only when all of
//! them pass, and what its weight is then, is decided by whoever reads the events ([`lvs_core::Pool`] for the weight).
//!
//! The README's example shows an own check beside the built-in ones.

#![forbid(unsafe_code)]

#[cfg(feature = "tcp")]
pub mod error;
#[cfg(feature = "http")]
pub mod http;
pub mod policy;
#[cfg(feature = "tokio")]
pub mod runner;
pub mod schedule;
#[cfg(feature = "http")]
pub mod status;
#[cfg(feature = "tcp")]
pub mod tcp;

#[cfg(feature = "tcp")]
pub use error::ConfigError;
#[cfg(feature = "tcp")]
pub use error::ProbeError;
#[cfg(feature = "tcp")]
pub use error::Stage;
#[cfg(feature = "http")]
pub use http::HttpCheck;
#[cfg(feature = "http")]
pub use http::HttpProtocol;
pub use lvs_core::Health;
pub use policy::{Policy, scatter};
#[cfg(feature = "tokio")]
pub use runner::HealthEvents;
#[cfg(feature = "tokio")]
pub use runner::Runner;
#[cfg(feature = "tokio")]
pub use runner::RunnerBuilder;
#[cfg(feature = "tokio")]
pub use runner::RunnerHandle;
#[cfg(feature = "tokio")]
pub use runner::RunnerStopped;
#[cfg(feature = "tokio")]
pub use runner::Stats;
pub use schedule::{Answer, Change, CheckId, Event, Probe, Report, Scheduler};
#[cfg(feature = "http")]
pub use status::StatusCodes;
#[cfg(feature = "tcp")]
pub use tcp::TcpCheck;

#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../README.md")]
struct Readme;
