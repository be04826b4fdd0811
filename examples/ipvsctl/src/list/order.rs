//! The order of a sorted list, which is ipvsadm's to the last detail.
//!
//! Services are ordered by mark, address family, protocol, address and port, servers by address and port. ipvsadm
//! compares marks and the 32-bit pieces of addresses by the sign of their 32-bit difference: 10.0.0.1 comes behind
//! 192.168.0.1, but before 127.0.0.1, which comes before 192.168.0.1. Such an order has circles, so what comes out depends on
//! the order that the kernel tells and on the steps of the sort, which are those of the C library: halves are sorted and merged.

use std::net::{IpAddr, SocketAddr};

use lvs_core::{Family, Protocol, RealServer, ServerStatistics, ServiceKey};

use super::Service;

/// Puts services, which come in the kernel's order, into ipvsadm's.
pub fn sort_services(services: &mut Vec<Service>) {
    let keys = services.iter().map(|service| ServiceRank::of(&service.service.key())).collect();
    reorder(services, &sorted(keys, ServiceRank::difference));
}

/// Puts the servers of a service, which come in the kernel's order, into ipvsadm's.
pub fn sort_servers(servers: &mut Vec<(RealServer, ServerStatistics)>) {
    let keys = servers.iter().map(|(server, _)| EndpointRank::of(server.key().address())).collect();
    reorder(servers, &sorted(keys, EndpointRank::difference));
}

struct ServiceRank {
    mark: u32,
    family: i32,
    protocol: i32,
    endpoint: EndpointRank,
}

impl ServiceRank {
    fn of(key: &ServiceKey) -> Self {
        let family = match key.family() {
            Family::Ipv4 => 2,
            Family::Ipv6 => 10,
        };
        match *key {
            ServiceKey::Address { protocol, address } => Self {
                mark: 0,
                family,
                protocol: match protocol {
                    Protocol::Tcp => 6,
                    Protocol::Udp => 17,
                    Protocol::Sctp => 132,
                },
                endpoint: EndpointRank::of(address),
            },
            ServiceKey::Fwmark { mark, .. } => {
                let endpoint = EndpointRank { words: [0; 4], port: 0 };
                Self { mark: mark.get(), family, protocol: 0, endpoint }
            }
        }
    }

    fn difference(&self, other: &Self) -> i32 {
        wrapping(self.mark, other.mark)
            .or(self.family - other.family)
            .or(self.protocol - other.protocol)
            .or(self.endpoint.difference(&other.endpoint))
    }
}

struct EndpointRank {
    /// An IPv4 address is in the first.
    words: [u32; 4],
    port: u16,
}

impl EndpointRank {
    fn of(address: SocketAddr) -> Self {
        let words = match address.ip() {
            IpAddr::V4(ip) => [ip.into(), 0, 0, 0],
            IpAddr::V6(ip) => {
                let bits = u128::from(ip);
                // Each is cut to its 32 bits.
                [96, 64, 32, 0]
                    .map(|shift| u32::try_from((bits >> shift) & u128::from(u32::MAX)).unwrap_or(0))
            }
        };
        Self { words, port: address.port() }
    }

    fn difference(&self, other: &Self) -> i32 {
        let words = self.words.iter().zip(other.words).map(|(one, other)| wrapping(*one, other));
        words.fold(0, Or::or).or(i32::from(self.port) - i32::from(other.port))
    }
}

/// The difference as a signed number of 32 bits, which wraps.
fn wrapping(one: u32, other: u32) -> i32 {
    one.wrapping_sub(other).cast_signed()
}

/// The first difference that is one.
trait Or {
    fn or(self, next: Self) -> Self;
}

impl Or for i32 {
    fn or(self, next: Self) -> Self {
        if self == 0 { next } else { self }
    }
}

/// The places of the keys in the order that they come out of the merge sort.
fn sorted<K>(keys: Vec<K>, difference: fn(&K, &K) -> i32) -> Vec<usize> {
    let mut places: Vec<usize> = (0..keys.len()).collect();
    let mut room = Vec::with_capacity(keys.len());
    let less_or_equal = |one: usize, other: usize| match (keys.get(one), keys.get(other)) {
        (Some(one), Some(other)) => difference(one, other) <= 0,
        _ => true,
    };
    merge_sort(&mut places, &mut room, &less_or_equal);
    places
}

fn merge_sort(places: &mut [usize], room: &mut Vec<usize>, less_or_equal: &impl Fn(usize, usize) -> bool) {
    if places.len() < 2 {
        return;
    }
    let (left, right) = places.split_at_mut(places.len() / 2);
    merge_sort(left, room, less_or_equal);
    merge_sort(right, room, less_or_equal);
    room.clear();
    let (mut left, mut right) = (left.iter().copied().peekable(), right.iter().copied().peekable());
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        let from = if less_or_equal(*one, *other) { &mut left } else { &mut right };
        room.extend(from.next());
    }
    room.extend(left.chain(right));
    places.copy_from_slice(room);
}

/// Puts items into the order of their places.
fn reorder<T>(items: &mut Vec<T>, places: &[usize]) {
    let mut from: Vec<Option<T>> = std::mem::take(items).into_iter().map(Some).collect();
    items.extend(places.iter().filter_map(|place| from.get_mut(*place)?.take()));
}

#[cfg(test)]
mod tests {
    use lvs_core::{ServerKey, Statistics, VirtualService};

    use super::*;

    fn sorted_services(keys: &[ServiceKey]) -> Vec<String> {
        let mut services: Vec<_> = keys
            .iter()
            .map(|key| Service {
                service: VirtualService::new(*key),
                counters: Statistics::default(),
                servers: Vec::new(),
            })
            .collect();
        sort_services(&mut services);
        services.iter().map(|service| service.service.key().to_string()).collect()
    }

    fn at(protocol: Protocol, address: &str) -> ServiceKey {
        ServiceKey::address(protocol, address.parse().unwrap())
    }

    fn mark(family: Family, mark: u32) -> ServiceKey {
        ServiceKey::Fwmark { family, mark: mark.try_into().unwrap() }
    }

    #[test]
    fn services_come_by_mark_family_protocol_address_and_port() {
        assert_eq!(
            sorted_services(&[
                mark(Family::Ipv6, 1),
                mark(Family::Ipv4, 1),
                at(Protocol::Tcp, "[2001:db8::1]:80"),
                at(Protocol::Udp, "10.0.0.1:53"),
                at(Protocol::Sctp, "10.0.0.1:1"),
                at(Protocol::Tcp, "10.0.0.2:80"),
                at(Protocol::Tcp, "10.0.0.1:443"),
                at(Protocol::Tcp, "10.0.0.1:80"),
            ]),
            [
                "tcp 10.0.0.1:80",
                "tcp 10.0.0.1:443",
                "tcp 10.0.0.2:80",
                "udp 10.0.0.1:53",
                "sctp 10.0.0.1:1",
                "tcp [2001:db8::1]:80",
                "fwmark 1",
                "fwmark 1 IPv6",
            ]
        );
    }

    #[test]
    fn addresses_compare_by_the_sign_of_their_difference() {
        let tcp = |address| at(Protocol::Tcp, address);
        assert_eq!(
            sorted_services(&[tcp("10.0.0.1:80"), tcp("192.168.0.1:80")]),
            ["tcp 192.168.0.1:80", "tcp 10.0.0.1:80"]
        );
        assert_eq!(
            sorted_services(&[mark(Family::Ipv4, 5), mark(Family::Ipv4, u32::MAX), tcp("10.0.0.1:80")]),
            ["fwmark 4294967295", "tcp 10.0.0.1:80", "fwmark 5"]
        );
    }

    #[test]
    fn three_addresses_can_be_a_circle_and_come_as_the_merging_leaves_them() {
        let tcp = |address| at(Protocol::Tcp, address);
        assert_eq!(
            sorted_services(&[tcp("192.168.0.1:80"), tcp("127.0.0.1:80"), tcp("10.0.0.1:80")]),
            ["tcp 192.168.0.1:80", "tcp 10.0.0.1:80", "tcp 127.0.0.1:80"]
        );
        assert_eq!(
            sorted_services(&[tcp("10.0.0.1:80"), tcp("127.0.0.1:80"), tcp("192.168.0.1:80")]),
            ["tcp 10.0.0.1:80", "tcp 127.0.0.1:80", "tcp 192.168.0.1:80"]
        );
    }

    #[test]
    fn a_circle_is_not_a_panic_and_loses_nothing() {
        let keys: Vec<_> =
            (0..=255_u8).rev().map(|first| at(Protocol::Tcp, &format!("{first}.0.0.1:80"))).collect();
        let sorted = sorted_services(&keys);
        assert_eq!(sorted.len(), 256);
        assert_eq!(sorted.iter().collect::<std::collections::BTreeSet<_>>().len(), 256);
    }

    #[test]
    fn servers_of_both_families_are_compared_by_their_first_words() {
        let mut servers: Vec<_> =
            ["127.0.0.1:80", "[2001:db8::7]:80", "10.0.0.3:99", "[2001:db8::5]:80", "10.0.0.3:0"]
                .map(|address| {
                    (RealServer::new(ServerKey::new(address.parse().unwrap())), ServerStatistics::default())
                })
                .into();
        sort_servers(&mut servers);
        let servers: Vec<_> = servers.iter().map(|(server, _)| server.key().to_string()).collect();
        assert_eq!(
            servers,
            ["10.0.0.3:0", "10.0.0.3:99", "[2001:db8::5]:80", "[2001:db8::7]:80", "127.0.0.1:80"]
        );
    }
}
