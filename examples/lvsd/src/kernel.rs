//! The thread that owns everything of the kernel but VRRP's sockets: addresses, links, and the IPVS table.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use lvs_addr::{Kernel, LinkEvent, LinkMonitor};
use lvs_core::Table;
use lvs_core::address_applier::{OwnedAddresses, keep_addresses};
use lvs_core::applier::{ApplierOptions, ApplierStatus, keep_applied};
use lvs_core::claims::{AddressSet, ClaimEvent};
use lvs_ipvs::{Client, IpvsDataplane};
use lvs_vrrp::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::{info, warn};

/// The virtual routers' half of the thread's work.
pub(crate) struct VirtualAddresses {
    /// The instances' addresses.
    pub(crate) sets: Vec<AddressSet>,
    /// The driver that owns the instances.
    pub(crate) vrrp: Handle,
    /// Ends the work: the addresses are released. Also when the sender is dropped.
    pub(crate) stop: oneshot::Receiver<()>,
}

/// The virtual services' half of the thread's work.
pub(crate) struct VirtualServices {
    /// The table that there should be; when its sender is gone, the last value is applied and the work ends.
    pub(crate) desired: watch::Receiver<Table>,
}

/// Starts the thread. It ends when both halves have ended.
///
/// # Errors
/// The thread cannot be started, or the kernel refuses one of its sockets.
pub(crate) fn start(
    addresses: Option<VirtualAddresses>,
    services: Option<VirtualServices>,
) -> anyhow::Result<JoinHandle<()>> {
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("kernel".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                // A receiver that is gone has given up already.
                let _ = ready.send(Err(error.into()));
                return;
            }
        };
        runtime.block_on(async {
            match Opened::open(addresses.is_some(), services.is_some()) {
                Ok(opened) => {
                    let _ = ready.send(Ok(()));
                    opened.work(addresses, services).await;
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        });
    })?;
    started
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the kernel thread ended at its start").into()))?;
    Ok(thread)
}

/// The sockets, all opened before anything is changed.
struct Opened {
    addresses: Option<(Kernel, LinkMonitor)>,
    ipvs: Option<IpvsDataplane>,
}

impl Opened {
    fn open(addresses: bool, services: bool) -> anyhow::Result<Self> {
        Ok(Self {
            addresses: if addresses { Some((Kernel::open()?, LinkMonitor::open()?)) } else { None },
            ipvs: if services { Some(IpvsDataplane::new(Client::open()?)) } else { None },
        })
    }

    async fn work(self, addresses: Option<VirtualAddresses>, services: Option<VirtualServices>) {
        let table = async {
            if let (Some(ipvs), Some(services)) = (self.ipvs, services) {
                let status = watch::Sender::new(ApplierStatus::default());
                keep_applied(ipvs, services.desired, ApplierOptions::default(), status).await;
            }
        };
        let virtual_addresses = async {
            if let (Some((kernel, monitor)), Some(addresses)) = (self.addresses, addresses) {
                keep_virtual_addresses(kernel, monitor, addresses).await;
            }
        };
        tokio::join!(table, virtual_addresses);
    }
}

/// Owns the addresses and the monitor; ends when it is told to stop and everything is released.
async fn keep_virtual_addresses(kernel: Kernel, monitor: LinkMonitor, work: VirtualAddresses) {
    let owned: Vec<OwnedAddresses> = work
        .vrrp
        .instances()
        .filter_map(|instance| {
            let set = work.sets.iter().find(|set| set.instance == instance.name())?.clone();
            Some(OwnedAddresses { set, ownership: instance.ownership() })
        })
        .collect();
    let changed = Arc::new(Notify::new());
    // Two answers of each instance have room, as the applier asks for.
    let (events, answers) = mpsc::channel(2 * owned.len().max(1));
    let stop = async { work.stop.await.unwrap_or_default() };
    tokio::select! {
        _ = keep_addresses(kernel, owned, Arc::clone(&changed), events, stop) => {}
        () = forward_links(monitor, &work.vrrp, &changed) => {}
        () = forward_answers(answers, &work.vrrp) => {}
    }
}

/// Tells the virtual routers about interfaces, and the applier that something changed. Never ends.
async fn forward_links(mut monitor: LinkMonitor, vrrp: &Handle, changed: &Notify) {
    loop {
        match monitor.next().await {
            Ok(LinkEvent::Changed(link)) => vrrp.set_link(link),
            Ok(LinkEvent::Removed { name, .. }) => vrrp.remove_link(&name),
            Ok(LinkEvent::AddressRemoved { .. }) => {}
            Err(error) => warn!("{error}; will be tried again"),
        }
        changed.notify_one();
    }
}

/// Hands the applier's answers to the virtual routers. Never ends: the applier, which holds the other side, ends first.
async fn forward_answers(mut answers: mpsc::Receiver<ClaimEvent>, vrrp: &Handle) {
    while let Some(event) = answers.recv().await {
        match event {
            ClaimEvent::Claimed { instance, epoch, result } => {
                info!("{instance}: virtual addresses {result:?} (mastership {epoch})");
                if let Some(instance) = vrrp.instance(&instance) {
                    instance.claimed(epoch, result);
                }
            }
            ClaimEvent::Restored { instance, addresses } => {
                let list: Vec<String> = addresses.iter().map(|address| address.key.to_string()).collect();
                warn!("{instance}: somebody removed {}; put back", list.join(", "));
            }
        }
    }
    std::future::pending().await
}
