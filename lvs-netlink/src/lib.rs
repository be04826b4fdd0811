//! A small netlink transport: batches with one acknowledgement, the kernel's own error text, a timeout on
//! every wait, and an explicit "observe again" when answers or notifications were lost.
//!
//! The crate moves bytes. It writes and reads the netlink header and the kernel's error messages; what is in a
//! message is the business of the crate above it (any codec will do). None of the types here come from another
//! netlink crate.
//!
//! - [`Socket`] sends commands: [`Socket::batch`] for many changes, [`Socket::request`] for one question,
//!   [`Socket::dump`] for a whole table, [`Socket::dump_fold`] for one that is read where it was received.
//! - [`Monitor`] is a separate socket that only receives notifications.
//! - [`Generic`] is a [`Socket`] for one generic netlink family, found by name and found again after its module
//!   was reloaded.
//!
//! ```
//! use lvs_netlink::{Protocol, Request, Socket};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let mut socket = Socket::open(Protocol::Route)?;
//! // RTM_GETLINK with an empty `struct ifinfomsg`: every link of this network namespace.
//! let links = socket.dump(&Request::new(18, vec![0; 16])).await?;
//! assert!(!links.is_empty(), "there is always lo");
//! # Ok::<(), lvs_netlink::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Many changes in one send
//!
//! The kernel runs the messages of one `sendmsg` in order and goes on after a failing one. Only the last message
//! of each send, which asks for nothing else (`NLMSG_NOOP`), asks for an acknowledgement; the kernel answers a failing
//! message in any case, with that message's own sequence number. So every request gets its own result for a half to a
//! quarter of the cost of one round trip each.
//!
//! # What can get lost
//!
//! A netlink socket that is read too slowly loses messages, and the kernel says so once (`ENOBUFS`). On a
//! command socket that means an answer may be missing: [`Error::Resync`]. On a monitor it means a change may
//! have been missed: [`Event::Resync`]. In both cases the only safe reaction is to observe the kernel's state again.
//!
//! # Runtime
//!
//! Sockets belong to the tokio runtime in which they were opened. Outside of one, opening is an error
//! ([`Error::NoRuntime`]); in one without an I/O driver (`enable_io`) tokio panics, and without a time driver
//! (`enable_time`) it panics when something is waited for.
//!
//! The kernel handles a request inside `send`, on the calling thread: 200 address changes take about 10 ms, and a request
//! for which the kernel loads a module takes as long as that. No timeout ends it. Run such requests, and large batches, on
//! a thread where that does not matter.

#![forbid(unsafe_code)]

mod attribute;
mod channel;
mod error;
mod generic;
mod message;
mod monitor;
mod outgoing;
mod socket;

pub use attribute::Attributes;
pub use channel::{Counters, Options, Protocol};
pub use error::{Error, KernelError, Malformed};
pub use generic::{Batch, Command, FamilyId, Generic};
pub use message::{Flags, Message, Request};
pub use monitor::{Event, Monitor};
pub use socket::{DumpEntry, Socket};

/// The examples of the README are compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
