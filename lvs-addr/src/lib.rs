//! Virtual addresses on Linux: put on and taken off interfaces in batches, announced to the neighbours, watched.
//!
//! - [`Kernel`] implements [`lvs_core::Addresses`]: it observes what is installed, applies edits in batches over route
//!   netlink, and sends gratuitous ARP and unsolicited neighbour advertisements.
//! - [`LinkMonitor`] tells of interfaces and their addresses: what is there, then what changes, and it looks at
//!   everything again when the kernel says that notifications were lost.
//!
//! ```no_run
//! use lvs_addr::Kernel;
//! use lvs_core::{AddressChange, Addresses, Announcement, Announcements, VirtualAddress};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let vip = VirtualAddress::new("eth0", "192.0.2.100".parse()?, 32);
//! let mut kernel = Kernel::open()?;
//! for result in kernel.apply(vec![AddressChange::Add(vip.clone())]).await {
//!     result?;
//! }
//! assert!(kernel.observe().await?.addresses[&vip.key].tagged);
//! let announcement = Announcement { interface: "eth0".into(), address: vip.key.address, repeat: 5 };
//! for failure in kernel.announce(&mut Announcements::from_iter([announcement])).await {
//!     eprintln!("{failure}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Whose address is it
//!
//! Every address that this crate adds carries the owner tag [`OWNER_TAG`] (`IFA_PROTO`, Linux 5.18 and later), so
//! that what a crashed process left behind is recognised after a restart. Older kernels ignore the tag; there every
//! address is seen as untagged.
//!
//! # Privileges
//!
//! Editing addresses needs `CAP_NET_ADMIN`, announcing `CAP_NET_RAW`, watching nothing.

#![deny(unsafe_code)]

mod announce;
mod error;
mod kernel;
mod links;
mod monitor;
mod packet;
mod rtnl;
mod socket;

pub use announce::Spacing;
pub use error::Error;
pub use kernel::Kernel;
pub use links::LinkEvent;
pub use monitor::LinkMonitor;

/// The `IFA_PROTO` that marks an address as put there by this software.
///
/// The kernel itself uses 1 to 3 and keepalived 18; nobody else is known to use this one.
pub const OWNER_TAG: u8 = 76;

/// The examples of the README are compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
