//! Adverts between drivers of one process, without sockets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lvs_core::Family;

use crate::endpoints::{Datagram, Endpoints};
use crate::transport::{Arrivals, Channel, Departures, Listen, Receiver, Sender, Transport};

/// A network in memory: drivers that are given its hosts hear each other, interface by interface of the same name.
///
/// For tests of applications and for simulations; clones are the same network. Whether an interface is there and
/// which addresses it has tells [`Handle::set_link`](crate::Handle::set_link). Authentication headers do not travel
/// here: an instance that wants them is at fault.
///
/// ```
/// use lvs_vrrp::{Link, LinkAddress, Role};
/// use lvs_vrrp::{Config, Driver, InstanceConfig, Interval, MemoryNetwork, Priority, Vrid};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = MemoryNetwork::new();
/// let mut running = Vec::new();
/// for (number, priority) in [(1, 150), (2, 100)] {
///     let router = Config::new(Interval::centis(1)?, Priority::new(priority)?);
///     let vip = [10, 0, 0, 100].into();
///     let instance = InstanceConfig::new("VI_1", "lan", Vrid::new(51)?, vec![vip], router);
///     let address = [10, 0, 0, number].into();
///     let (driver, handle, _events) = Driver::with_transport(vec![instance], network.host([address]))?;
///     let address = LinkAddress { address, prefix_len: 24, tagged: false };
///     handle.set_link(Link { name: "lan".into(), index: 1, up: true, mac: None, addresses: vec![address] });
///     tokio::spawn(driver.run());
///     running.push(handle.instance("VI_1").expect("it was configured"));
/// }
/// let mut first = running[0].ownership();
/// first.wait_for(|ownership| ownership.role == Role::Master).await?;
/// assert_eq!(running[1].ownership().borrow().role, Role::Backup);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork(Arc<Mutex<Network>>);

impl MemoryNetwork {
    /// Without hosts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A host with these addresses, on every interface.
    #[must_use]
    pub fn host(&self, addresses: impl IntoIterator<Item = IpAddr>) -> MemoryTransport {
        let mut network = self.lock();
        network.hosts += 1;
        let addresses = addresses.into_iter().collect();
        MemoryTransport { network: self.clone(), host: network.hosts, addresses }
    }

    /// Whether datagrams of a host that has `from` reach the one that has `to`; they do unless told otherwise.
    pub fn connect(&self, from: IpAddr, to: IpAddr, is_connected: bool) {
        let mut network = self.lock();
        if is_connected {
            network.cuts.remove(&(from, to));
        } else {
            network.cuts.insert((from, to));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Network> {
        // Nothing is done under the lock that could leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host of a [`MemoryNetwork`].
#[derive(Debug)]
pub struct MemoryTransport {
    network: MemoryNetwork,
    host: u64,
    addresses: BTreeSet<IpAddr>,
}

impl Transport for MemoryTransport {
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        listen.channel.check_is_plain()?;
        let mut network = self.network.lock();
        network.receivers += 1;
        let key = network.receivers;
        let queue = Queue {
            host: self.host,
            interface: listen.interface.to_owned(),
            channel: listen.channel,
            groups: listen.groups.clone(),
            addresses: self.addresses.clone(),
            datagrams: VecDeque::new(),
            waker: None,
        };
        network.queues.insert(key, queue);
        Ok(Box::new(MemoryReceiver { network: self.network.clone(), key }))
    }

    fn sender(&mut self, interface: &str, _index: u32, _family: Family) -> io::Result<Box<dyn Sender>> {
        let (network, host) = (self.network.clone(), self.host);
        Ok(Box::new(MemorySender { network, host, interface: interface.to_owned() }))
    }
}

#[derive(Debug, Default)]
struct Network {
    hosts: u64,
    receivers: u64,
    queues: BTreeMap<u64, Queue>,
    cuts: BTreeSet<(IpAddr, IpAddr)>,
}

#[derive(Debug)]
struct Queue {
    host: u64,
    interface: String,
    channel: Channel,
    groups: BTreeSet<IpAddr>,
    addresses: BTreeSet<IpAddr>,
    datagrams: VecDeque<(Endpoints, u8, Vec<u8>)>,
    waker: Option<Waker>,
}

impl Queue {
    fn hears(&self, host: u64, interface: &str, endpoints: &Endpoints) -> bool {
        let destination = endpoints.destination();
        let is_for_us = self.groups.contains(&destination) || self.addresses.contains(&destination);
        self.host != host
            && self.interface == interface
            && self.channel == Channel::of(endpoints.family())
            && is_for_us
    }
}

#[derive(Debug)]
struct MemoryReceiver {
    network: MemoryNetwork,
    key: u64,
}

impl Receiver for MemoryReceiver {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.network.lock().queues.get_mut(&self.key) {
            Some(queue) if queue.datagrams.is_empty() => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(_) | None => Poll::Ready(Ok(())),
        }
    }

    fn receive(&mut self, arrivals: &mut Arrivals) -> io::Result<bool> {
        let mut network = self.network.lock();
        let Some(queue) = network.queues.get_mut(&self.key) else { return Ok(false) };
        while !arrivals.is_full() {
            let Some((endpoints, ttl, octets)) = queue.datagrams.pop_front() else { return Ok(false) };
            arrivals.push(&Datagram::new(endpoints, ttl, &octets));
        }
        Ok(true)
    }
}

impl Drop for MemoryReceiver {
    fn drop(&mut self) {
        self.network.lock().queues.remove(&self.key);
    }
}

#[derive(Debug)]
struct MemorySender {
    network: MemoryNetwork,
    host: u64,
    interface: String,
}

impl Sender for MemorySender {
    fn send(&mut self, departures: &Departures, _failed: &mut Vec<(usize, io::Error)>) {
        let mut network = self.network.lock();
        let Network { queues, cuts, .. } = &mut *network;
        for Datagram { endpoints, ttl, payload, .. } in departures.iter() {
            for queue in
                queues.values_mut().filter(|queue| queue.hears(self.host, &self.interface, &endpoints))
            {
                let is_cut = |to: &IpAddr| cuts.contains(&(endpoints.source(), *to));
                // As a socket whose buffer is full.
                if queue.datagrams.len() < MOST_WAITING && !queue.addresses.iter().any(is_cut) {
                    queue.datagrams.push_back((endpoints, ttl, payload.to_vec()));
                    queue.waker.take().into_iter().for_each(Waker::wake);
                }
            }
        }
    }
}

const MOST_WAITING: usize = 1024;
