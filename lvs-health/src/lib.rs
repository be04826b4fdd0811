//! Health checks for load balancers: when to ask a server, and what its answers mean.

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
pub use policy::Policy;
pub use policy::scatter;
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
pub use schedule::Answer;
pub use schedule::Change;
pub use schedule::CheckId;
pub use schedule::Event;
pub use schedule::Probe;
pub use schedule::Report;
pub use schedule::Scheduler;
#[cfg(feature = "http")]
pub use status::StatusCodes;
#[cfg(feature = "tcp")]
pub use tcp::TcpCheck;
