//! A network namespace without a name: it exists as long as this process holds it, so nothing can be left behind.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::{io, thread};

use nix::sched::{CloneFlags, setns, unshare};

use crate::address::{Address, Mac, Network};
use crate::netlink::{Message, Netlink, Request, append};

/// A namespace and a netlink socket in it.
#[derive(Debug)]
pub(crate) struct Namespace {
    handle: File,
    netlink: Netlink,
}

impl Namespace {
    /// Makes a namespace whose only interface, `lo`, is up.
    pub(crate) fn new() -> io::Result<Namespace> {
        // A thread of its own: the caller stays in its namespace.
        let namespace = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let handle = File::open("/proc/thread-self/ns/net")?;
            Ok::<_, io::Error>(Namespace { handle, netlink: Netlink::open()? })
        })
        .join()
        .map_err(|_| io::Error::other("the thread that makes the namespace panicked"))??;
        namespace.set_up("lo", true)?;
        Ok(namespace)
    }

    /// Runs `act` on a thread in this namespace; a panic goes on in the caller.
    pub(crate) fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        let outcome = thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(&self.handle, CloneFlags::CLONE_NEWNET)?;
                    Ok(act())
                })
                .join()
        });
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The descriptor for `setns`.
    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Makes a pair of connected interfaces, `device` here and `other_device` in `other`; both are down.
    pub(crate) fn add_veth(&self, device: &str, other: &Namespace, other_device: &str) -> io::Result<()> {
        let descriptor = u32::try_from(other.handle.as_raw_fd()).map_err(io::Error::other)?;
        let mut peer = LINK_HEADER.to_vec();
        append(&mut peer, libc::IFLA_IFNAME, &text(other_device));
        append(&mut peer, libc::IFLA_NET_NS_FD, &descriptor.to_ne_bytes());
        let mut data = Vec::new();
        append(&mut data, VETH_INFO_PEER, &peer);
        self.add_link(device, "veth", &data)
    }

    /// Makes a bridge that forwards everything at once: no spanning tree, no multicast snooping.
    pub(crate) fn add_bridge(&self, device: &str) -> io::Result<()> {
        let mut data = Vec::new();
        append(&mut data, IFLA_BR_FORWARD_DELAY, &0_u32.to_ne_bytes());
        append(&mut data, IFLA_BR_STP_STATE, &0_u32.to_ne_bytes());
        append(&mut data, IFLA_BR_MCAST_SNOOPING, &[0]);
        self.add_link(device, "bridge", &data)?;
        self.set_up(device, true)
    }

    fn add_link(&self, device: &str, kind: &str, data: &[u8]) -> io::Result<()> {
        let mut info = Vec::new();
        append(&mut info, libc::IFLA_INFO_KIND, kind.as_bytes());
        append(&mut info, libc::IFLA_INFO_DATA, data);
        let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &LINK_HEADER)
            .text(libc::IFLA_IFNAME, device)
            .attribute(libc::IFLA_LINKINFO, &info);
        self.netlink.apply(request)
    }

    /// Removes an interface, and its other end.
    pub(crate) fn delete_link(&self, device: &str) -> io::Result<()> {
        self.netlink.apply(Request::new(libc::RTM_DELLINK, 0, &LINK_HEADER).text(libc::IFLA_IFNAME, device))
    }

    /// Plugs `device` into the bridge `master`.
    pub(crate) fn set_master(&self, device: &str, master: &str) -> io::Result<()> {
        let index = self.index(master)?.to_ne_bytes();
        let request = Request::new(libc::RTM_NEWLINK, 0, &LINK_HEADER);
        self.netlink.apply(request.text(libc::IFLA_IFNAME, device).attribute(libc::IFLA_MASTER, &index))
    }

    /// Sets or clears IFF_UP.
    pub(crate) fn set_up(&self, device: &str, up: bool) -> io::Result<()> {
        let mut header = LINK_HEADER;
        header[8..12].copy_from_slice(&u32::from(up).to_ne_bytes());
        header[12..16].copy_from_slice(&1_u32.to_ne_bytes());
        self.netlink.apply(Request::new(libc::RTM_NEWLINK, 0, &header).text(libc::IFLA_IFNAME, device))
    }

    /// The interface's number.
    pub(crate) fn index(&self, device: &str) -> io::Result<u32> {
        Ok(self.link(device)?.number(4))
    }

    /// The interface's hardware address.
    pub(crate) fn mac(&self, device: &str) -> io::Result<Mac> {
        let link = self.link(device)?;
        let bytes =
            link.attribute(LINK_HEADER.len(), libc::IFLA_ADDRESS).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Mac).ok_or_else(|| io::Error::other("the interface has no Ethernet address"))
    }

    fn link(&self, device: &str) -> io::Result<Message> {
        let request = Request::new(libc::RTM_GETLINK, 0, &LINK_HEADER).text(libc::IFLA_IFNAME, device);
        self.netlink.get(request)?.into_iter().next().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Adds an address; one of IPv6 can be used at once (no duplicate address detection).
    pub(crate) fn add_address(&self, device: &str, network: Network) -> io::Result<()> {
        let request = self.address_request(libc::RTM_NEWADDR, device, network)?;
        self.netlink.apply(request)
    }

    /// Removes an address.
    pub(crate) fn delete_address(&self, device: &str, network: Network) -> io::Result<()> {
        let request = self.address_request(libc::RTM_DELADDR, device, network)?;
        self.netlink.apply(request)
    }

    fn address_request(&self, kind: u16, device: &str, network: Network) -> io::Result<Request> {
        let flags = if network.address.is_ipv6() { IFA_F_NODAD } else { 0 };
        let mut header = vec![family(network.address), network.prefix, flags, 0];
        header.extend(self.index(device)?.to_ne_bytes());
        let create = if kind == libc::RTM_NEWADDR { libc::NLM_F_CREATE | libc::NLM_F_EXCL } else { 0 };
        let bytes = octets(network.address);
        Ok(Request::new(kind, create, &header)
            .attribute(libc::IFA_LOCAL, &bytes)
            .attribute(libc::IFA_ADDRESS, &bytes))
    }

    /// Adds a route to `destination` through `gateway`.
    pub(crate) fn add_route(&self, destination: Network, gateway: IpAddr) -> io::Result<()> {
        let [table, protocol, scope, kind] =
            [libc::RT_TABLE_MAIN, RTPROT_BOOT, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST];
        let mut header = vec![family(gateway), destination.prefix, 0, 0, table, protocol, scope, kind];
        header.extend([0; 4]);
        let mut request = Request::new(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &header)
            .attribute(libc::RTA_GATEWAY, &octets(gateway));
        if destination.prefix > 0 {
            request = request.attribute(libc::RTA_DST, &octets(destination.address));
        }
        self.netlink.apply(request)
    }

    /// The addresses of an interface, in the kernel's order.
    pub(crate) fn addresses(&self, device: &str) -> io::Result<Vec<Address>> {
        let index = self.index(device)?;
        let messages = self.netlink.dump(Request::new(libc::RTM_GETADDR, 0, &[0; ADDRESS_HEADER]))?;
        let of_device = messages.iter().filter(|message| message.number(4) == index);
        Ok(of_device.filter_map(address).collect())
    }

    /// What this namespace's neighbour tables know of `address`.
    pub(crate) fn neighbour(&self, address: IpAddr) -> io::Result<Option<Mac>> {
        let messages = self.netlink.dump(Request::new(libc::RTM_GETNEIGH, 0, &[0; NEIGHBOUR_HEADER]))?;
        let wanted = octets(address);
        let found = messages
            .iter()
            .find(|message| message.attribute(NEIGHBOUR_HEADER, libc::NDA_DST) == Some(wanted.as_slice()));
        let bytes = found.and_then(|message| message.attribute(NEIGHBOUR_HEADER, libc::NDA_LLADDR));
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(Mac))
    }
}

fn address(message: &Message) -> Option<Address> {
    let attribute = |kind| message.attribute(ADDRESS_HEADER, kind);
    // IFA_LOCAL is the address where the two differ; IPv6 has IFA_ADDRESS only.
    let bytes = attribute(libc::IFA_LOCAL).or_else(|| attribute(libc::IFA_ADDRESS))?;
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    let flags = attribute(libc::IFA_FLAGS)
        .and_then(|bytes| bytes.first_chunk())
        .map(|bytes| u32::from_ne_bytes(*bytes));
    let flags = flags.unwrap_or_else(|| u32::from(message.byte(2)));
    let valid = attribute(libc::IFA_CACHEINFO).and_then(|bytes| bytes.get(4..)?.first_chunk());
    Some(Address {
        network: Network { address, prefix: message.byte(1) },
        scope: message.byte(3),
        permanent: flags & libc::IFA_F_PERMANENT != 0,
        valid_seconds: valid.map(|bytes| u32::from_ne_bytes(*bytes)).filter(|&seconds| seconds != u32::MAX),
        protocol: attribute(IFA_PROTO).and_then(|bytes| bytes.first().copied()),
    })
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).unwrap_or_default()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn text(value: &str) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// struct ifinfomsg: family, type, index, flags, change.
const LINK_HEADER: [u8; 16] = [0; 16];
/// struct ifaddrmsg: family, prefix length, flags, scope, index.
const ADDRESS_HEADER: usize = 8;
/// struct ndmsg
const NEIGHBOUR_HEADER: usize = 12;
/// linux/veth.h
const VETH_INFO_PEER: u16 = 1;
/// linux/if_link.h
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
/// linux/if_addr.h
const IFA_F_NODAD: u8 = 0x02;
const IFA_PROTO: u16 = 11;
/// linux/rtnetlink.h
const RTPROT_BOOT: u8 = 3;
