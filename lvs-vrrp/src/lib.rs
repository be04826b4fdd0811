//! VRRPv2 and VRRPv3.

#![forbid(unsafe_code)]

pub mod ipv4;
pub mod packet;
pub mod refusal;
pub mod timing;
pub mod types;

pub use ipv4::Ipv4Header;
pub use packet::Advert;
pub use packet::AddressList;
pub use refusal::Refusal;
pub use types::*;
pub mod action;
pub mod config;
pub mod router;
pub use action::*;
pub use config::*;
pub use router::Router;
