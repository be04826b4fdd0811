//! What a load balancer serves: virtual services, their real servers, and the keys that name them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use crate::forwarding::Forwarding;
use crate::names::{EngineName, SchedulerName};

/// Transport protocol of a virtual service.
///
/// The set is closed: the kernel's IPVS serves these three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// Stream Control Transmission Protocol.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// Address family. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Internet Protocol version 4.
    Ipv4,
    /// Internet Protocol version 6.
    Ipv6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

/// What tells one virtual service from another: protocol, address and port, or a firewall mark.
///
/// ```
/// use lvs_core::{Protocol, ServiceKey};
///
/// let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?);
/// assert_eq!(key.to_string(), "tcp 10.0.0.1:80");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// Packets to this address and port. Port 0 means every port and needs persistence.
    Address {
        /// The transport protocol.
        protocol: Protocol,
        /// Virtual address and port.
        address: SocketAddr,
    },
    /// Packets that the firewall gave this mark.
    Fwmark {
        /// Whether IPv4 or IPv6 packets are served.
        family: Family,
        /// The mark, 1 to 4,294,967,295.
        mark: NonZeroU32,
    },
}

impl ServiceKey {
    /// The key of a service at an address and port. An IPv6 address loses its flow information and zone: no packet
    /// carries them.
    #[must_use]
    pub const fn address(protocol: Protocol, address: SocketAddr) -> Self {
        Self::Address { protocol, address: plain(address) }
    }

    /// The address family of the packets that the service takes.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { address: SocketAddr::V4(_), .. } => Family::Ipv4,
            Self::Address { address: SocketAddr::V6(_), .. } => Family::Ipv6,
            Self::Fwmark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address } => write!(f, "{protocol} {address}"),
            Self::Fwmark { family: Family::Ipv4, mark } => write!(f, "fwmark {mark}"),
            Self::Fwmark { family: Family::Ipv6, mark } => write!(f, "fwmark {mark} IPv6"),
        }
    }
}

/// What tells one real server of a service from another: its address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerKey(SocketAddr);

impl ServerKey {
    /// The key of the server at that address and port; an IPv6 address loses its flow information and zone.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self(plain(address))
    }

    /// Address and port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Share of new connections that a real server gets, 0 to 2,147,483,647; 0 lets existing connections finish
/// and gives it no new ones.
///
/// The upper bound is the kernel's: it keeps the weight as a signed 32-bit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Weight {
    /// No new connections.
    pub const ZERO: Self = Self(0);
    /// The usual weight.
    pub const ONE: Self = Self(1);
    /// The largest weight.
    pub const MAX: Self = Self(0x7fff_ffff);

    /// The weight, or nothing if it is above [`Weight::MAX`].
    #[must_use]
    pub const fn new(weight: u32) -> Option<Self> {
        if weight <= Self::MAX.0 { Some(Self(weight)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Clients stay with the server they were given first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Persistence {
    timeout: Duration,
    clients: Clients,
}

/// Which clients are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Clients {
    /// Those whose addresses are the same in this mask, which may be no prefix.
    Ipv4(Ipv4Addr),
    /// Those whose addresses begin with the same bits, so many.
    Ipv6(u8),
}

impl Persistence {
    /// Persistence of a single client address.
    ///
    /// `timeout` is kept in whole seconds, at least 1 and at most 2,678,400 (31 days, the bound of
    /// ipvsadm and keepalived); values outside are moved to the bound.
    #[must_use]
    pub fn new(family: Family, timeout: Duration) -> Self {
        let clients = match family {
            Family::Ipv4 => Clients::Ipv4(Ipv4Addr::BROADCAST),
            Family::Ipv6 => Clients::Ipv6(128),
        };
        let timeout = Duration::from_secs(timeout.as_secs().clamp(1, 2_678_400));
        Self { timeout, clients }
    }

    /// The same persistence for all clients of a network with this prefix length: 0 to 32, or 1 to 128 for IPv6, whose
    /// 0 the kernel refuses; values outside are moved to the bound. With 0 all clients are one.
    #[must_use]
    pub fn with_prefix_len(self, prefix_len: u8) -> Self {
        let clients = match self.clients {
            Clients::Ipv4(_) => {
                let rest = 32_u32.saturating_sub(prefix_len.into());
                Clients::Ipv4(u32::MAX.checked_shl(rest).unwrap_or(0).into())
            }
            Clients::Ipv6(_) => Clients::Ipv6(prefix_len.clamp(1, 128)),
        };
        Self { clients, ..self }
    }

    /// The same persistence for all clients whose addresses are the same in these bits, which need not be a prefix: the
    /// kernel takes 255.0.255.0, too. With IPv6 it stays as it is.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use std::time::Duration;
    /// use lvs_core::{Family, Persistence};
    ///
    /// let single = Persistence::new(Family::Ipv4, Duration::from_secs(300));
    /// let network = single.with_netmask(Ipv4Addr::new(255, 255, 255, 0));
    /// assert_eq!(network, single.with_prefix_len(24));
    /// assert_eq!(single.with_netmask(Ipv4Addr::new(255, 0, 255, 0)).prefix_len(), None);
    /// ```
    #[must_use]
    pub const fn with_netmask(mut self, mask: Ipv4Addr) -> Self {
        if let Clients::Ipv4(_) = self.clients {
            self.clients = Clients::Ipv4(mask);
        }
        self
    }

    /// Of that family; a mask of the other one means nothing there.
    fn of(self, family: Family) -> Self {
        match (self.clients, family) {
            (Clients::Ipv4(_), Family::Ipv4) | (Clients::Ipv6(_), Family::Ipv6) => self,
            (Clients::Ipv4(_), Family::Ipv6) | (Clients::Ipv6(_), Family::Ipv4) => {
                Self::new(family, self.timeout)
            }
        }
    }

    /// How long a client without connections is remembered; whole seconds.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Length in bits of the prefix that clients of one group share; nothing if their mask is no prefix.
    #[must_use]
    pub fn prefix_len(&self) -> Option<u8> {
        match self.clients {
            Clients::Ipv4(mask) => {
                let ones = u32::from(mask).leading_ones();
                u8::try_from(ones).ok().filter(|_| ones == u32::from(mask).count_ones())
            }
            Clients::Ipv6(length) => Some(length),
        }
    }

    /// The bits of their addresses that clients of one group share; nothing with IPv6, which has a prefix only.
    #[must_use]
    pub const fn netmask(&self) -> Option<Ipv4Addr> {
        match self.clients {
            Clients::Ipv4(mask) => Some(mask),
            Clients::Ipv6(_) => None,
        }
    }
}

/// A virtual service without its servers.
///
/// ```
/// use lvs_core::{Protocol, ServiceKey, VirtualService};
///
/// let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?);
/// let service = VirtualService::new(key).with_scheduler("rr".parse()?);
/// assert_eq!(service.scheduler().as_str(), "rr");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualService {
    key: ServiceKey,
    scheduler: SchedulerName,
    persistence: Option<Persistence>,
    persistence_engine: Option<EngineName>,
    scheduler_flags: SchedulerFlags,
    one_packet: bool,
}

impl VirtualService {
    /// A service with the default scheduler, without persistence and flags.
    #[must_use]
    pub fn new(key: ServiceKey) -> Self {
        let key = match key {
            ServiceKey::Address { protocol, address } => ServiceKey::address(protocol, address),
            ServiceKey::Fwmark { .. } => key,
        };
        Self {
            key,
            scheduler: SchedulerName::default(),
            persistence: None,
            persistence_engine: None,
            scheduler_flags: SchedulerFlags::default(),
            one_packet: false,
        }
    }

    /// The same service with another scheduler.
    #[must_use]
    pub fn with_scheduler(mut self, scheduler: SchedulerName) -> Self {
        self.scheduler = scheduler;
        self
    }

    /// The same service with persistence, or without. What was made for the other address family becomes persistence of single
    /// clients.
    #[must_use]
    pub fn with_persistence(mut self, persistence: Option<Persistence>) -> Self {
        self.persistence = persistence.map(|persistence| persistence.of(self.key.family()));
        self
    }

    /// The same service with a persistence engine, or without. The kernel asks it only where there is persistence too.
    #[must_use]
    pub fn with_persistence_engine(mut self, engine: Option<EngineName>) -> Self {
        self.persistence_engine = engine;
        self
    }

    /// The same service with these scheduler flags.
    #[must_use]
    pub const fn with_scheduler_flags(mut self, flags: SchedulerFlags) -> Self {
        self.scheduler_flags = flags;
        self
    }

    /// The same service, every UDP packet scheduled on its own.
    #[must_use]
    pub const fn with_one_packet(mut self, one_packet: bool) -> Self {
        self.one_packet = one_packet;
        self
    }

    /// What names the service.
    #[must_use]
    pub const fn key(&self) -> ServiceKey {
        self.key
    }

    /// The scheduler's name.
    #[must_use]
    pub const fn scheduler(&self) -> &SchedulerName {
        &self.scheduler
    }

    /// Whether and how clients stay with their server.
    #[must_use]
    pub const fn persistence(&self) -> Option<Persistence> {
        self.persistence
    }

    /// What tells the clients of this service apart in place of their addresses, such as `sip`.
    #[must_use]
    pub const fn persistence_engine(&self) -> Option<&EngineName> {
        self.persistence_engine.as_ref()
    }

    /// The flags handed to the scheduler.
    #[must_use]
    pub const fn scheduler_flags(&self) -> SchedulerFlags {
        self.scheduler_flags
    }

    /// Whether every UDP packet is scheduled on its own.
    #[must_use]
    pub const fn one_packet(&self) -> bool {
        self.one_packet
    }
}

/// The three flags that the kernel hands to a scheduler (`IP_VS_SVC_F_SCHED1..3`); `sh` reads the first as fallback
/// and the second as port, and so does `mh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SchedulerFlags {
    /// `flag-1`, `sh-fallback`, `mh-fallback`.
    pub first: bool,
    /// `flag-2`, `sh-port`, `mh-port`.
    pub second: bool,
    /// `flag-3`.
    pub third: bool,
}

/// A real server of one service.
///
/// ```
/// use lvs_core::{Forwarding, RealServer, ServerKey, Weight};
///
/// let server = RealServer::new(ServerKey::new("10.0.0.3:80".parse()?))
///     .with_weight(Weight::ZERO)
///     .with_forwarding(Forwarding::DirectRoute);
/// assert_eq!(server.key().to_string(), "10.0.0.3:80");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RealServer {
    key: ServerKey,
    weight: Weight,
    forwarding: Forwarding,
    upper_threshold: u32,
    lower_threshold: u32,
}

impl RealServer {
    /// A server with weight 1, reached by [`Forwarding::Masquerade`], without thresholds.
    #[must_use]
    pub fn new(key: ServerKey) -> Self {
        Self {
            key,
            weight: Weight::ONE,
            forwarding: Forwarding::default(),
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }

    /// The same server with another weight.
    #[must_use]
    pub const fn with_weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// The same server, reached in another way.
    #[must_use]
    pub const fn with_forwarding(mut self, forwarding: Forwarding) -> Self {
        self.forwarding = forwarding;
        self
    }

    /// The same server with connection thresholds: no new connections above `upper` until there are fewer than
    /// `lower`; 0 is no threshold.
    #[must_use]
    pub const fn with_thresholds(mut self, upper: u32, lower: u32) -> Self {
        self.upper_threshold = upper;
        self.lower_threshold = lower;
        self
    }

    /// What names the server.
    #[must_use]
    pub const fn key(&self) -> ServerKey {
        self.key
    }

    /// Its share of new connections.
    #[must_use]
    pub const fn weight(&self) -> Weight {
        self.weight
    }

    /// How packets reach it.
    #[must_use]
    pub const fn forwarding(&self) -> Forwarding {
        self.forwarding
    }

    /// Connections above which it gets no new ones; 0 is no limit.
    #[must_use]
    pub const fn upper_threshold(&self) -> u32 {
        self.upper_threshold
    }

    /// Connections below which it gets new ones again after the upper threshold was reached.
    #[must_use]
    pub const fn lower_threshold(&self) -> u32 {
        self.lower_threshold
    }
}

/// The address and port alone, as a data plane tells them back.
const fn plain(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => SocketAddr::new(IpAddr::V6(*v6.ip()), v6.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_the_kernel_cannot_keep_is_refused() {
        assert_eq!(Weight::new(0x7fff_ffff), Some(Weight::MAX));
        assert_eq!(Weight::new(0x8000_0000), None);
    }

    #[test]
    fn persistence_stays_within_a_second_and_a_month() {
        assert_eq!(Persistence::new(Family::Ipv4, Duration::ZERO).timeout(), Duration::from_secs(1));
        assert_eq!(Persistence::new(Family::Ipv6, Duration::MAX).timeout(), Duration::from_secs(2_678_400));
    }

    #[test]
    fn keys_that_differ_only_in_the_zone_are_the_same() {
        let zoned: SocketAddr = "[fe80::1%3]:80".parse().unwrap();
        let plain: SocketAddr = "[fe80::1]:80".parse().unwrap();
        assert_eq!(ServerKey::new(zoned), ServerKey::new(plain));
        assert_eq!(ServiceKey::address(Protocol::Tcp, zoned), ServiceKey::address(Protocol::Tcp, plain));
        let key = ServiceKey::Address { protocol: Protocol::Tcp, address: zoned };
        assert_eq!(VirtualService::new(key).key(), ServiceKey::address(Protocol::Tcp, plain));
    }

    #[test]
    fn persistence_of_the_other_family_is_that_of_single_clients() {
        let day = Duration::from_secs(86_400);
        let (four, six) = (Persistence::new(Family::Ipv4, day), Persistence::new(Family::Ipv6, day));
        let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap());
        let service = VirtualService::new(key).with_persistence(Some(six.with_prefix_len(64)));
        assert_eq!(service.persistence(), Some(four));
        let key = ServiceKey::address(Protocol::Tcp, "[2001:db8::1]:80".parse().unwrap());
        let service = VirtualService::new(key).with_persistence(Some(four.with_prefix_len(0)));
        assert_eq!(service.persistence(), Some(six));
    }

    #[test]
    fn the_prefix_of_persistence_fits_the_family() {
        let four = Persistence::new(Family::Ipv4, Duration::from_secs(1));
        assert_eq!(four.with_prefix_len(64).prefix_len(), Some(32));
        assert_eq!(four.with_prefix_len(0).prefix_len(), Some(0));
        assert_eq!(four.with_prefix_len(20).netmask(), Some(Ipv4Addr::new(255, 255, 240, 0)));
        let six = Persistence::new(Family::Ipv6, Duration::from_secs(1));
        assert_eq!(six.with_prefix_len(64).prefix_len(), Some(64));
        assert_eq!(six.with_netmask(Ipv4Addr::UNSPECIFIED), six);
        assert_eq!(six.with_prefix_len(0).prefix_len(), Some(1));
    }
}
