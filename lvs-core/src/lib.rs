//! Values, traits and decisions of a layer-4 load balancer.
//!
//! Facts come in (a server failed its check, a virtual router became master), decisions are values computed from them
//! ([`Director`], [`Pool`], [`Table::changes_to`], [`Installed::changes_to`]), and effects go out through two small
//! traits, [`Dataplane`] and [`Addresses`]. Nothing here reads a clock or touches a socket; the appliers (feature
//! `tokio`) are the loops that keep the outside equal to the desired state.

#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
pub mod address_applier;
pub mod addresses;
#[cfg(feature = "tokio")]
pub mod applier;
pub mod check;
pub mod claims;
pub mod dataplane;
pub mod director;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod link;
pub mod notify;
pub mod ownership;
pub mod pool;
pub mod service;
pub mod table;
pub mod time;

pub use addresses::AddressChange;
pub use addresses::AddressError;
pub use addresses::AddressKey;
pub use addresses::AddressScope;
pub use addresses::Addresses;
pub use addresses::Announcement;
pub use addresses::Installed;
pub use addresses::InstalledAddress;
pub use addresses::VirtualAddress;
pub use check::Check;
pub use dataplane::Dataplane;
pub use dataplane::DataplaneError;
pub use dataplane::DataplaneErrorKind;
pub use dataplane::Scope;
pub use director::Director;
pub use link::Link;
pub use link::LinkAddress;
pub use link::MacAddress;
pub use notify::Notice;
pub use notify::Notify;
pub use ownership::ClaimResult;
pub use ownership::Epoch;
pub use ownership::Ownership;
pub use ownership::Role;
pub use pool::Health;
pub use pool::OnFailure;
pub use pool::Pool;
pub use service::Family;
pub use service::Forwarding;
pub use service::Persistence;
pub use service::Protocol;
pub use service::RealServer;
pub use service::SchedulerFlags;
pub use service::SchedulerName;
pub use service::ServerKey;
pub use service::ServiceKey;
pub use service::VirtualService;
pub use service::Weight;
pub use table::Change;
pub use table::Conflict;
pub use table::ServiceTable;
pub use table::Table;
pub use time::Instant;
