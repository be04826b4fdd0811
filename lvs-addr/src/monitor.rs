//! Watches links and addresses: a dump first, then notifications, and a dump again whenever some were lost.

use std::time::Duration;

use lvs_core::Link;
use lvs_netlink::{Event, Message, Monitor, Options, Protocol, Socket};
use tokio::time::{Instant, sleep_until};

use crate::error::Error;
use crate::links::{LinkEvent, Links};
use crate::rtnl;
use crate::rtnl::{
    AddressFact, LinkFact, RTM_DELADDR, RTM_DELLINK, RTM_NEWADDR, RTM_NEWLINK, RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV6_IFADDR, RTNLGRP_LINK,
};

/// Tells of the links and addresses of the network namespace in which it was opened.
///
/// The first events are one `Changed` for every link that is there. A link that goes down or disappears is reported at
/// once; address changes are collected for a moment (10 ms, longer if reading them takes long) and reported together, so
/// that a thousand of them are one event. Everything is looked at again every 60 s and when notifications were lost;
/// in the first case only differences are reported.
///
/// Whoever keeps virtual addresses in place should look at them again (`changed` of `lvs_core`'s applier) at
/// `AddressRemoved`, which is what somebody else's edit looks like, and at `Changed`, which comes for every interface
/// after notifications were lost.
///
/// ```no_run
/// # async fn example() -> Result<(), lvs_addr::Error> {
/// use lvs_addr::{LinkEvent, LinkMonitor};
///
/// let mut monitor = LinkMonitor::open()?;
/// loop {
///     match monitor.next().await? {
///         LinkEvent::Changed(link) => println!("{} is {}", link.name, if link.up { "up" } else { "down" }),
///         LinkEvent::Removed { name, .. } => println!("{name} is gone"),
///         LinkEvent::AddressRemoved { interface, address, .. } => println!("{} left {interface}", address.address),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct LinkMonitor {
    /// `None` after it failed; opened again before the next full look.
    notifications: Option<Monitor>,
    receive_buffer: usize,
    netlink: Socket,
    links: Links,
    /// When to look at everything.
    full_look: Instant,
    last_look: Instant,
    /// When to read the addresses of outdated links; set while there are any.
    read_addresses: Option<Instant>,
    /// How long address changes are collected.
    collect: Duration,
    resyncs: u64,
    /// Whether the next full look is because of lost notifications.
    resync: bool,
}

impl LinkMonitor {
    /// Opens the sockets in the calling thread's network namespace. Must be called inside a tokio runtime.
    pub fn open() -> Result<Self, Error> {
        Self::open_with_receive_buffer(RECEIVE_BUFFER)
    }

    /// As [`Self::open`], with room for that many bytes of notifications instead of 4 MiB. One takes about 800
    /// bytes; if they do not fit, everything is looked at again. Without `CAP_NET_ADMIN` the kernel caps it at
    /// `net.core.rmem_max`.
    pub fn open_with_receive_buffer(receive_buffer: usize) -> Result<Self, Error> {
        Ok(Self {
            notifications: Some(open_notifications(receive_buffer)?),
            receive_buffer,
            netlink: Socket::open(Protocol::Route)
                .map_err(|source| Error::Netlink { operation: "open a socket for links", source })?,
            links: Links::default(),
            full_look: Instant::now(),
            last_look: Instant::now(),
            read_addresses: None,
            collect: COLLECT,
            resyncs: 0,
            resync: false,
        })
    }

    /// Waits for the next event. Safe to cancel: no event is lost.
    ///
    /// # Errors
    /// If the kernel's tables could not be read. Call again: the monitor waits a second and looks at everything.
    pub async fn next(&mut self) -> Result<LinkEvent, Error> {
        loop {
            if let Some(event) = self.links.poll_event() {
                return Ok(event);
            }
            let now = Instant::now();
            if now >= self.full_look {
                let looked = self.look_at_everything().await;
                self.absorb(looked)?;
                continue;
            }
            if self.read_addresses.is_some_and(|due| now >= due) {
                let read = self.read_outdated_addresses().await;
                self.absorb(read)?;
                continue;
            }
            let wake = self.read_addresses.map_or(self.full_look, |due| due.min(self.full_look));
            let Some(notifications) = &mut self.notifications else {
                sleep_until(wake).await;
                continue;
            };
            tokio::select! {
                event = notifications.next() => self.take(event),
                () = sleep_until(wake) => {}
            }
            // The rest of a burst, so that it becomes few events.
            for _ in 0..BURST {
                match self.notifications.as_mut().map(Monitor::try_next) {
                    Some(Ok(Some(event))) => self.take(Ok(event)),
                    Some(Err(error)) => self.take(Err(error)),
                    Some(Ok(None)) | None => break,
                }
            }
        }
    }

    /// The links as they were last reported, by index.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.reported()
    }

    /// How often notifications were lost and everything was looked at again.
    #[must_use]
    pub fn resyncs(&self) -> u64 {
        self.resyncs
    }

    fn take(&mut self, event: Result<Event, lvs_netlink::Error>) {
        match event {
            Ok(Event::Message(message)) => self.take_message(&message),
            Ok(Event::Resync) => {
                self.resyncs = self.resyncs.saturating_add(1);
                self.resync = true;
                self.full_look = Instant::now().max(self.last_look + LOOK_SPACING);
            }
            Err(error) => {
                tracing::warn!(%error, "notifications of link changes failed, opening them again");
                self.notifications = None;
                self.resync = true;
                self.full_look = Instant::now().max(self.last_look + LOOK_SPACING);
            }
        }
    }

    fn take_message(&mut self, message: &Message) {
        match message.kind() {
            RTM_NEWLINK => {
                if let Some(fact) = LinkFact::parse(message) {
                    self.links.handle_link(fact);
                }
            }
            RTM_DELLINK => {
                if let Some(fact) = LinkFact::parse(message) {
                    self.links.handle_link_removed(fact.index);
                }
            }
            RTM_NEWADDR => {
                if let Some(fact) = AddressFact::parse(message) {
                    self.links.handle_address(fact);
                }
            }
            RTM_DELADDR => {
                if let Some(fact) = AddressFact::parse(message) {
                    self.links.handle_address_removed(fact);
                }
            }
            _ => {}
        }
        if self.links.outdated().is_empty() {
            self.read_addresses = None;
        } else if self.read_addresses.is_none() {
            self.read_addresses = Some(Instant::now() + self.collect);
        }
    }

    /// Nothing is changed before all of it was read.
    async fn look_at_everything(&mut self) -> Result<(), Error> {
        if self.notifications.is_none() {
            self.notifications = Some(open_notifications(self.receive_buffer)?);
        }
        let links = self.dump("list links", rtnl::dump_links(), LinkFact::parse).await?;
        let addresses = self.dump("list addresses", rtnl::dump_addresses(None), AddressFact::parse).await?;
        self.links.handle_dump(links, &addresses);
        if std::mem::take(&mut self.resync) {
            self.links.handle_resync();
        }
        self.read_addresses = None;
        self.last_look = Instant::now();
        self.full_look = self.last_look + FULL_LOOK;
        Ok(())
    }

    async fn read_outdated_addresses(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        let outdated = self.links.outdated();
        let only = outdated.first().copied().filter(|_| outdated.len() == 1);
        let read = self.dump("list addresses", rtnl::dump_addresses(only), AddressFact::parse);
        let addresses = match read.await {
            // The link is gone; its RTM_DELLINK is on the way.
            Err(error) if is_no_device(&error) => Vec::new(),
            other => other?,
        };
        self.links.handle_addresses(&addresses);
        self.read_addresses = None;
        // Reading takes at most a fifth of the time.
        self.collect = (started.elapsed() * 4).clamp(COLLECT, COLLECT_MAX);
        Ok(())
    }

    async fn dump<T>(
        &mut self,
        operation: &'static str,
        request: lvs_netlink::Request,
        parse: fn(&Message) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        self.netlink
            .dump_as(&request, |entry| parse(&entry))
            .await
            .map_err(|source| Error::Netlink { operation, source })
    }

    /// After a failure: everything again, a little later.
    fn absorb(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Ok(()) => Ok(()),
            Err(Error::Netlink { source: lvs_netlink::Error::Interrupted { .. }, .. }) => {
                tracing::debug!("links or addresses change too fast to be read, trying again");
                self.full_look = Instant::now() + COLLECT_MAX / 10;
                self.read_addresses = None;
                Ok(())
            }
            Err(error) => {
                self.full_look = Instant::now() + PAUSE_AFTER_FAILURE;
                self.read_addresses = None;
                Err(error)
            }
        }
    }
}

fn open_notifications(receive_buffer: usize) -> Result<Monitor, Error> {
    let options = Options::default().with_receive_buffer(receive_buffer);
    let groups = [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR];
    Monitor::open_with(Protocol::Route, &groups, &options)
        .map_err(|source| Error::Netlink { operation: "subscribe to link changes", source })
}

fn is_no_device(error: &Error) -> bool {
    match error {
        Error::Netlink { source, .. } => {
            source.kernel().is_some_and(|refusal| refusal.errno() == libc::ENODEV)
        }
        Error::Io { .. } => false,
    }
}

/// Bytes of notifications that may wait.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// Everything is looked at again after this time.
const FULL_LOOK: Duration = Duration::from_secs(60);
/// Least time between two of these, however often notifications are lost.
const LOOK_SPACING: Duration = Duration::from_millis(200);
/// Shortest and longest time for which address changes are collected.
const COLLECT: Duration = Duration::from_millis(10);
const COLLECT_MAX: Duration = Duration::from_secs(1);
/// Pause after a failure to read.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Most notifications that are taken before events are handed out.
const BURST: u32 = 4096;

#[cfg(test)]
mod tests {
    use lvs_core::{AddressChange, Addresses, VirtualAddress};
    use nix::sched::{CloneFlags, unshare};

    use super::*;
    use crate::Kernel;

    #[test]
    fn a_change_without_a_notification_is_found_within_a_minute() {
        let test = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root (a new network namespace)");
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
            runtime.block_on(async {
                let mut monitor = LinkMonitor::open().unwrap();
                // Subscribed to nothing: as if every notification was lost, and no overrun was seen.
                monitor.notifications = Some(Monitor::open(Protocol::Route, &[]).unwrap());
                assert!(
                    matches!(monitor.next().await.unwrap(), LinkEvent::Changed(link) if link.name == "lo")
                );
                let began = Instant::now();
                let vip = VirtualAddress::new("lo", [10, 0, 0, 1].into(), 32);
                let mut kernel = Kernel::open().unwrap();
                assert!(kernel.apply(vec![AddressChange::Add(vip)]).await.iter().all(Result::is_ok));
                match monitor.next().await.unwrap() {
                    LinkEvent::Changed(lo) => assert_eq!(lo.addresses.len(), 1),
                    other => panic!("{other:?}"),
                }
                let waited = began.elapsed();
                assert!(waited <= FULL_LOOK && waited > FULL_LOOK - Duration::from_secs(6), "{waited:?}");
                assert_eq!(monitor.resyncs(), 0);
            });
        };
        if let Err(panic) = std::thread::spawn(test).join() {
            std::panic::resume_unwind(panic);
        }
    }
}
