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
pub mod announcements;
#[cfg(feature = "tokio")]
pub mod applier;
pub mod check;
pub mod claims;
#[cfg(feature = "tokio")]
mod complaint;
pub mod dataplane;
pub mod director;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod forwarding;
pub mod link;
pub mod names;
pub mod notify;
pub mod ownership;
pub mod pool;
pub mod reconciler;
#[cfg(feature = "serde")]
pub mod serialized;
pub mod service;
pub mod settings;
pub mod statistics;
pub mod table;
pub mod time;

pub use addresses::{
    AddressChange, AddressError, AddressKey, AddressScope, Addresses, Announcement, Installed,
    InstalledAddress, VirtualAddress,
};
pub use announcements::Announcements;
pub use check::Check;
pub use dataplane::{Dataplane, DataplaneError, DataplaneErrorKind, Scope};
pub use director::Director;
pub use forwarding::{Forwarding, Tunnel, TunnelChecksum};
pub use link::{Link, LinkAddress, MacAddress};
pub use names::{EngineName, InvalidName, SchedulerName};
pub use notify::{Notice, Notify};
pub use ownership::{ClaimResult, Epoch, Ownership, Role};
pub use pool::{Health, OnFailure, Pool};
pub use reconciler::Reconciler;
pub use service::{
    Family, Persistence, Protocol, RealServer, SchedulerFlags, ServerKey, ServiceKey, VirtualService, Weight,
};
pub use settings::{InvalidSyncDaemon, SyncDaemon, SyncRole, Timeouts};
pub use statistics::{ServerStatistics, ServiceStatistics, Statistics, TableStatistics};
pub use table::{Change, Conflict, ServiceTable, Table};
pub use time::Instant;

// The README's example is run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
