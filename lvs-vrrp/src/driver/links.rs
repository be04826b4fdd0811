//! What the interfaces of this host are like, asked of the kernel: for applications that have no monitor of
//! their own.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use lvs_core::{Link, LinkAddress, MacAddress};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// All interfaces by name.
pub(crate) fn interfaces() -> io::Result<BTreeMap<String, Link>> {
    let mut links = BTreeMap::new();
    for entry in getifaddrs()? {
        let link = links.entry(entry.interface_name.clone()).or_insert_with(|| Link {
            name: entry.interface_name.clone(),
            index: 0,
            up: entry.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING),
            mac: None,
            addresses: Vec::new(),
        });
        if let Some(hardware) = entry.address.as_ref().and_then(SockaddrStorage::as_link_addr) {
            link.index = u32::try_from(hardware.ifindex()).unwrap_or(0);
            link.mac = hardware.addr().map(MacAddress::new);
        } else if let Some(address) = address(&entry) {
            link.addresses.push(address);
        }
    }
    // Aliases ("eth0:1") have addresses, but no index.
    links.retain(|_, link| link.index != 0);
    Ok(links)
}

fn address(entry: &InterfaceAddress) -> Option<LinkAddress> {
    let address = ip(entry.address.as_ref()?)?;
    let mask = entry.netmask.as_ref().and_then(ip);
    let ones = match mask {
        Some(IpAddr::V4(mask)) => u32::from(mask).count_ones(),
        Some(IpAddr::V6(mask)) => u128::from(mask).count_ones(),
        None => 0,
    };
    Some(LinkAddress { address, prefix_len: u8::try_from(ones).unwrap_or(0), tagged: false })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_linux_host_has_its_loopback_first() {
        let links = interfaces().unwrap();
        assert_eq!(links["lo"].index, 1);
    }
}
