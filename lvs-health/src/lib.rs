//! Health checks for load balancers: when to ask a server, and what its answers mean.

#![forbid(unsafe_code)]

pub mod policy;
pub mod schedule;

pub use policy::Policy;
pub use policy::scatter;
pub use schedule::Answer;
pub use schedule::Change;
pub use schedule::CheckId;
pub use schedule::Event;
pub use schedule::Probe;
pub use schedule::Report;
pub use schedule::Scheduler;
