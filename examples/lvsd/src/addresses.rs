//! The thread that owns the host's virtual addresses and watches its interfaces.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use lvs_addr::{Kernel, LinkEvent, LinkMonitor, Spacing};
use lvs_core::address_applier::{OwnedAddresses, keep_addresses};
use lvs_core::claims::{AddressSet, ClaimEvent};
use lvs_core::{AddressChange, AddressKey, Addresses as _, ClaimResult};
use lvs_vrrp::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::conf::model::Pacing;
use crate::trackers::Links;
use crate::worker::{self, Waiting};

/// What the thread works on.
pub(crate) struct VirtualAddresses {
    /// The instances' addresses, in the order of the instances.
    pub(crate) sets: Vec<AddressSet>,
    /// How far apart they are announced.
    pub(crate) pacing: Pacing,
    /// The driver that owns the instances.
    pub(crate) vrrp: Handle,
    /// The interfaces that the instances use.
    pub(crate) interfaces: BTreeSet<String>,
    /// Hears of all interfaces.
    pub(crate) links: watch::Sender<Links>,
    /// Ends the work: the addresses are released. Also when the sender is dropped.
    pub(crate) stop: oneshot::Receiver<()>,
}

/// Opens the thread. It ends when it is told to stop.
///
/// # Errors
/// The thread cannot be started, or the kernel refuses one of its sockets, or an edit.
pub(crate) fn start(work: VirtualAddresses) -> anyhow::Result<Waiting> {
    worker::start("addresses", open, async |(kernel, monitor)| {
        let spacing = Spacing { arp: work.pacing.arp, neighbour: work.pacing.neighbour };
        keep_virtual_addresses(kernel.with_spacing(spacing), monitor, work).await
    })
}

/// The sockets, all opened before anything is changed.
async fn open() -> anyhow::Result<(Kernel, LinkMonitor)> {
    let (mut kernel, monitor) = (Kernel::open()?, LinkMonitor::open()?);
    may_edit_addresses(&mut kernel).await?;
    Ok((kernel, monitor))
}

/// Asks the kernel for an edit that changes nothing: a node that may not add addresses must not become master.
async fn may_edit_addresses(kernel: &mut Kernel) -> anyhow::Result<()> {
    let nowhere =
        AddressKey { interface: "lo".into(), address: Ipv4Addr::UNSPECIFIED.into(), prefix_len: 32 };
    for result in kernel.apply(vec![AddressChange::Remove(nowhere)]).await {
        result.context("addresses cannot be edited")?;
    }
    Ok(())
}

/// Owns the addresses and the monitor; ends when it is told to stop. Whether everything was released.
async fn keep_virtual_addresses(mut kernel: Kernel, monitor: LinkMonitor, work: VirtualAddresses) -> bool {
    tell_absent_interfaces(&mut kernel, &work).await;
    let VirtualAddresses { sets, vrrp, links, stop, .. } = work;
    // Both are in the order of the configuration.
    let owned: Vec<OwnedAddresses> = sets
        .into_iter()
        .zip(vrrp.instances())
        .map(|(set, instance)| OwnedAddresses { set, ownership: instance.ownership() })
        .collect();
    let changed = Arc::new(Notify::new());
    // Three events of each instance have room, as the applier asks for.
    let (events, answers) = mpsc::channel(3 * owned.len().max(1));
    let stop = async { stop.await.unwrap_or_default() };
    tokio::select! {
        released = keep_addresses(kernel, owned, Arc::clone(&changed), events, stop) => released.complete,
        // These never end.
        () = forward_links(monitor, &vrrp, &links, &changed) => false,
        () = forward_answers(answers, &vrrp) => false,
    }
}

/// The monitor speaks of interfaces that exist. Of the others the virtual routers hear here, so that they need not look
/// for them on their own thread.
async fn tell_absent_interfaces(kernel: &mut Kernel, work: &VirtualAddresses) {
    match kernel.observe().await {
        Ok(installed) => {
            let absent = work.interfaces.iter().filter(|name| !installed.interfaces.contains(*name));
            for name in absent {
                work.vrrp.remove_link(name);
                tell_link(&work.links, name, false);
            }
        }
        // The routers look for themselves as long as nobody tells them.
        Err(error) => warn!("{error}"),
    }
}

/// Tells the virtual routers and the trackers about interfaces, and the applier that something changed. Never ends.
async fn forward_links(
    mut monitor: LinkMonitor,
    vrrp: &Handle,
    links: &watch::Sender<Links>,
    changed: &Notify,
) {
    let mut complaint: Option<String> = None;
    loop {
        match monitor.next().await {
            Ok(LinkEvent::Changed(link)) => {
                tell_link(links, &link.name, link.up);
                vrrp.set_link(link);
            }
            Ok(LinkEvent::Removed { name, .. }) => {
                tell_link(links, &name, false);
                vrrp.remove_link(&name);
            }
            Ok(LinkEvent::AddressRemoved { .. }) => {}
            // The monitor waits a second after an error.
            Err(error) => {
                if complaint.as_deref() != Some(&*error.to_string()) {
                    warn!("{error}; will be tried again");
                }
                complaint = Some(error.to_string());
                continue;
            }
        }
        complaint = None;
        changed.notify_one();
    }
}

/// Interfaces that nobody tracks are not remembered.
fn tell_link(links: &watch::Sender<Links>, name: &str, up: bool) {
    links.send_if_modified(|links| match links.get_mut(name) {
        Some(known) => known.replace(up) != Some(up),
        None => false,
    });
}

/// Hands the applier's answers to the virtual routers. Never ends: the applier, which holds the other side, ends first.
async fn forward_answers(mut answers: mpsc::Receiver<ClaimEvent>, vrrp: &Handle) {
    while let Some(event) = answers.recv().await {
        match event {
            ClaimEvent::Claimed { instance, epoch, result, missing } => {
                match result {
                    ClaimResult::Confirmed => info!("{instance}: the virtual addresses are there"),
                    ClaimResult::Missing => {
                        warn!("{instance}: virtual addresses are missing: {}", listed(&missing));
                    }
                }
                if let Some(instance) = vrrp.instance(&instance) {
                    instance.claimed(epoch, result);
                }
            }
            ClaimEvent::Lacking { instance, missing } if missing.is_empty() => {
                info!("{instance}: the excluded addresses are there");
            }
            ClaimEvent::Lacking { instance, missing } => {
                warn!(
                    "{instance}: serves without excluded addresses, which will be tried again: {}",
                    listed(&missing)
                );
            }
            ClaimEvent::Restored { instance, addresses } => {
                let keys: Vec<AddressKey> = addresses.into_iter().map(|address| address.key).collect();
                warn!("{instance}: somebody removed {}; put back", listed(&keys));
            }
        }
    }
    std::future::pending().await
}

/// The first addresses of a list, and how many there are beside them.
fn listed(keys: &[AddressKey]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = keys.iter().take(SHOWN).map(AddressKey::to_string).collect();
    match keys.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
