//! VRRPv2 and VRRPv3.

#![forbid(unsafe_code)]

pub mod ipv4;
pub mod timing;

mod action;
#[cfg(feature = "tokio")]
pub mod clock;
mod config;
mod demux;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(feature = "tokio")]
mod error;
mod packet;
mod refusal;
mod router;
#[cfg(feature = "tokio")]
mod socket;
#[cfg(feature = "tokio")]
mod stats;
mod transport;
mod types;

pub use action::Action;
pub use action::Conflict;
pub use action::FaultReason;
pub use action::Gate;
pub use action::Reason;
pub use action::Transition;
pub use config::Config;
pub use config::Preempt;
pub use config::Start;
pub use demux::Accepted;
pub use demux::Demux;
pub use demux::Listener;
pub use demux::Refused;
#[cfg(feature = "tokio")]
pub use driver::Driver;
#[cfg(feature = "tokio")]
pub use driver::config::InstanceConfig;
#[cfg(feature = "tokio")]
pub use driver::handle::Event;
#[cfg(feature = "tokio")]
pub use driver::handle::EventKind;
#[cfg(feature = "tokio")]
pub use driver::handle::Handle;
#[cfg(feature = "tokio")]
pub use driver::handle::Instance;
#[cfg(feature = "tokio")]
pub use driver::handle::Pulse;
#[cfg(feature = "tokio")]
pub use error::ConfigError;
#[cfg(feature = "tokio")]
pub use error::Error;
pub use ipv4::Ipv4Header;
pub use packet::AddressIter;
pub use packet::AddressList;
pub use packet::Advert;
pub use refusal::Refusal;
pub use router::Router;
#[cfg(feature = "tokio")]
pub use stats::Stats;
pub use transport::Multicast;
pub use transport::Peer;
pub use transport::Transport;
pub use transport::Unicast;
pub use types::Advertised;
pub use types::AuthPass;
pub use types::Authentication;
pub use types::Centis;
pub use types::ChecksumForm;
pub use types::Interval;
pub use types::OutOfRange;
pub use types::Priority;
pub use types::Version;
pub use types::Vrid;
