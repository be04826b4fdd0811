//! Notifications from the kernel, and the news that some were lost.

use crate::channel::{Channel, Counters, Failure, Options, Protocol};
use crate::error::Error;
use crate::message::Message;

/// What a [`Monitor`] has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The kernel announced a change.
    Message(Message),
    /// Notifications were lost. Those still waiting were thrown away, since they are older than what is lost:
    /// observe the state now, then apply the notifications that follow.
    Resync,
}

/// A socket that receives notifications and sends nothing.
///
/// Open the monitor first and dump the state afterwards: then no change falls between the two.
///
/// ```
/// use lvs_netlink::{Monitor, Protocol};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// const RTNLGRP_LINK: u32 = 1;
/// let monitor = Monitor::open(Protocol::Route, &[RTNLGRP_LINK])?;
/// assert_eq!(monitor.counters().foreign, 0);
/// # Ok::<(), lvs_netlink::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Monitor {
    channel: Channel,
    /// Bytes of the last datagram that were not handed out yet.
    unread: usize,
}

impl Monitor {
    /// Opens a monitor of these multicast groups (`RTNLGRP_*`) with the default [`Options`].
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a tokio runtime; [`Error::Io`] if the system has no socket for it.
    ///
    /// # Panics
    /// In a tokio runtime that was built without `enable_io`. Without `enable_time` the calls that wait panic.
    pub fn open(protocol: Protocol, groups: &[u32]) -> Result<Self, Error> {
        Self::open_with(protocol, groups, &Options::default())
    }

    /// Opens a monitor. The receive buffer decides how large a burst it survives.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a tokio runtime; [`Error::NamespaceForbidden`] and [`Error::NoNamespace`] in another
    /// network namespace; [`Error::Io`] if the system has no socket for it.
    ///
    /// # Panics
    /// In a tokio runtime that was built without `enable_io`. Without `enable_time` the calls that wait panic.
    pub fn open_with(protocol: Protocol, groups: &[u32], options: &Options) -> Result<Self, Error> {
        let channel = Channel::open(protocol, options)?;
        for &group in groups {
            channel.join(group)?;
        }
        Ok(Self { channel, unread: 0 })
    }

    /// Waits for the next event; for ever, if nothing changes. Safe to cancel: no event is lost.
    ///
    /// # Errors
    /// [`Error::Io`] if the socket itself fails; then it should be opened again.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.take_unread() {
                return Ok(event);
            }
            let received = self.channel.receive(None).await;
            if let Some(event) = self.take_received(received)? {
                return Ok(event);
            }
        }
    }

    /// The next event if it is there already. A burst can be taken in one go with this.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn try_next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.take_unread() {
                return Ok(Some(event));
            }
            let Some(received) = self.channel.receive_pending() else {
                return Ok(None);
            };
            if let Some(event) = self.take_received(received)? {
                return Ok(Some(event));
            }
        }
    }

    /// The next event of the last datagram.
    fn take_unread(&mut self) -> Option<Event> {
        loop {
            let mut frames = self.channel.frames_from_end(self.unread);
            match frames.next() {
                Some(Ok(frame)) => {
                    self.unread = frames.remaining();
                    // Below NLMSG_MIN_TYPE are control messages, which notify of nothing.
                    if frame.kind >= 16 {
                        return Some(Event::Message(frame.to_message()));
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "notification cannot be read");
                    self.unread = 0;
                    return Some(Event::Resync);
                }
                None => {
                    self.unread = 0;
                    return None;
                }
            }
        }
    }

    fn take_received(&mut self, received: Result<(), Failure>) -> Result<Option<Event>, Error> {
        match received {
            Ok(()) => {
                self.unread = self.channel.frames().remaining();
                Ok(None)
            }
            Err(Failure::Overrun | Failure::Truncated | Failure::TimedOut) => {
                self.channel.discard_pending();
                Ok(Some(Event::Resync))
            }
            Err(Failure::Io(source)) => Err(Error::Io { operation: "receive notification", source }),
        }
    }

    /// What was received and not used.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { foreign: self.channel.foreign, ..Counters::default() }
    }
}
