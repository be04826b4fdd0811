//! Health checks for load balancers: when to ask a server, and what its answers mean.

#![forbid(unsafe_code)]

#[cfg(feature = "tcp")]
pub mod error;
#[cfg(feature = "http")]
pub mod http;
pub mod policy;
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
pub use policy::Policy;
pub use policy::scatter;
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
