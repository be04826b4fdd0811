//! The thread that owns everything of the kernel but VRRP's sockets: addresses, links, and the IPVS table.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use lvs_addr::{Kernel, LinkEvent, LinkMonitor};
use lvs_core::address_applier::{OwnedAddresses, keep_addresses};
use lvs_core::applier::{ApplierOptions, ApplierStatus, keep_applied};
use lvs_core::claims::{AddressSet, ClaimEvent};
use lvs_core::{Addresses as _, Table};
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
    /// The interfaces that the instances use.
    pub(crate) interfaces: Vec<String>,
    /// Ends the work: the addresses are released. Also when the sender is dropped.
    pub(crate) stop: oneshot::Receiver<()>,
}

/// The virtual services' half of the thread's work.
pub(crate) struct VirtualServices {
    /// The table that there should be; when its sender is gone, the last value is applied and the work ends.
    pub(crate) desired: watch::Receiver<Table>,
}

/// The thread with its sockets open; it has changed nothing yet.
pub(crate) struct Waiting {
    go: oneshot::Sender<()>,
    running: Running,
}

impl Waiting {
    /// Lets the work begin. Dropping this instead ends the thread without a change.
    pub(crate) fn go(self) -> Running {
        // A thread that is gone shows by `Running::lost`.
        let _ = self.go.send(());
        self.running
    }
}

/// The thread at work.
pub(crate) struct Running {
    /// Whether everything was released; an error if the thread panicked. Nothing once it was received.
    ended: Option<oneshot::Receiver<bool>>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Waits until the thread has ended although nobody asked it to. Safe to cancel.
    pub(crate) async fn lost(&mut self) {
        if let Some(ended) = &mut self.ended {
            let _ = ended.await;
            self.ended = None;
        }
    }

    /// Waits until the thread has ended; whether everything was released.
    pub(crate) async fn end(self) -> bool {
        let complete = match self.ended {
            Some(ended) => ended.await.unwrap_or(false),
            None => false,
        };
        // It has sent its last word, or it panicked: this does not wait.
        let _ = self.thread.join();
        complete
    }
}

/// Starts the thread and opens its sockets. It ends when both halves of its work have ended.
///
/// # Errors
/// The thread cannot be started, or the kernel refuses one of its sockets.
pub(crate) fn start(
    addresses: Option<VirtualAddresses>,
    services: Option<VirtualServices>,
) -> anyhow::Result<Waiting> {
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let (go, begin) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = thread::Builder::new().name("kernel".into()).spawn(move || {
        runtime.block_on(async {
            match Opened::open(addresses.is_some(), services.is_some()) {
                Ok(opened) => {
                    // A receiver that is gone has given up already, and so has the sender of `begin`.
                    let _ = ready.send(Ok(()));
                    if begin.await.is_ok() {
                        let _ = end.send(opened.work(addresses, services).await);
                    }
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
    Ok(Waiting { go, running: Running { ended: Some(ended), thread } })
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

    /// Whether everything was released in the end.
    async fn work(self, addresses: Option<VirtualAddresses>, services: Option<VirtualServices>) -> bool {
        let table = async {
            match (self.ipvs, services) {
                (Some(ipvs), Some(services)) => {
                    let status = watch::Sender::new(ApplierStatus::default());
                    keep_applied(ipvs, services.desired, ApplierOptions::default(), status.clone()).await;
                    let status = status.borrow();
                    status.in_sync || !status.reached
                }
                _ => true,
            }
        };
        let virtual_addresses = async {
            match (self.addresses, addresses) {
                (Some((kernel, monitor)), Some(addresses)) => {
                    keep_virtual_addresses(kernel, monitor, addresses).await
                }
                _ => true,
            }
        };
        let (services_gone, addresses_gone) = tokio::join!(table, virtual_addresses);
        services_gone && addresses_gone
    }
}

/// Owns the addresses and the monitor; ends when it is told to stop. Whether everything was released.
async fn keep_virtual_addresses(mut kernel: Kernel, monitor: LinkMonitor, work: VirtualAddresses) -> bool {
    tell_absent_interfaces(&mut kernel, &work).await;
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
        released = keep_addresses(kernel, owned, Arc::clone(&changed), events, stop) => released.complete,
        // These never end.
        () = forward_links(monitor, &work.vrrp, &changed) => false,
        () = forward_answers(answers, &work.vrrp) => false,
    }
}

/// The monitor speaks of interfaces that exist. Of the others the virtual routers hear here, so that they need not look
/// for them on their own thread.
async fn tell_absent_interfaces(kernel: &mut Kernel, work: &VirtualAddresses) {
    match kernel.observe().await {
        Ok(installed) => {
            let absent = work.interfaces.iter().filter(|name| !installed.interfaces.contains(*name));
            absent.for_each(|name| work.vrrp.remove_link(name));
        }
        // The routers look for themselves as long as nobody tells them.
        Err(error) => warn!("{error}"),
    }
}

/// Tells the virtual routers about interfaces, and the applier that something changed. Never ends.
async fn forward_links(mut monitor: LinkMonitor, vrrp: &Handle, changed: &Notify) {
    let mut complaint: Option<String> = None;
    loop {
        match monitor.next().await {
            Ok(LinkEvent::Changed(link)) => vrrp.set_link(link),
            Ok(LinkEvent::Removed { name, .. }) => vrrp.remove_link(&name),
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
