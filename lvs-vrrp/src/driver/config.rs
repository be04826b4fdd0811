//! What an instance of a driver is, beside the router's own configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::Family;

use crate::addresses::AddressList;
use crate::config::Config;
use crate::delivery::{Delivery, Peer};
use crate::demux::Listener;
use crate::error::{ConfigError, Error};
use crate::packet::{Advert, is_link_local};
use crate::transport::Channel;
use crate::types::{Advertised, Authentication, ChecksumForm, Version, Vrid};

/// One virtual router on one interface.
///
/// ```
/// use lvs_vrrp::{Config, Delivery, InstanceConfig, Interval, Priority, Unicast, Vrid};
///
/// let router = Config::new(Interval::seconds(1)?, Priority::new(150)?);
/// let mut instance =
///     InstanceConfig::new("VI_1", "eth0", Vrid::new(51)?, vec![[192, 168, 33, 20].into()], router);
/// instance.delivery =
///     Delivery::Unicast(Unicast::to([[192, 168, 33, 11].into(), [192, 168, 33, 12].into()]));
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceConfig {
    /// Its name, unique in the driver and not empty.
    pub name: String,
    /// Name of the interface that adverts go through.
    pub interface: String,
    /// Name of another interface to send through, for a virtual MAC address (VR-006): adverts are still received
    /// on `interface`. Usually none.
    pub send_interface: Option<String>,
    /// Its identifier, unique per interface and group or peer.
    pub vrid: Vrid,
    /// The virtual addresses that adverts list, in this order: 1 to 255, in version 2 also none. All are of
    /// one family, and in IPv6 the first is link-local (RFC 9568 §5.2.9) unless
    /// [`takes_any_first_address`](Self::takes_any_first_address) is set. Of those that do not fit the MTU of the interface
    /// the last ones are not listed, by the count of [`Advert::most_addresses`], which is keepalived's.
    ///
    /// An address that is there twice is listed twice, as by keepalived where it is to be on two interfaces: its peers refuse
    /// adverts with another number of addresses than their own.
    pub addresses: Vec<IpAddr>,
    /// Virtual addresses that adverts do not list (keepalived's `virtual_ipaddress_excluded`), of any family.
    /// The driver needs them only to know that they are not addresses to send from.
    pub excluded_addresses: Vec<IpAddr>,
    /// Whether adverts over IPv6 may begin with an address that is not link-local: those of this instance, and those that
    /// it believes. RFC 9568 §5.2.9 and its erratum 8300 forbid both, which is the default here; keepalived does both
    /// outside of its strict mode, and two routers of which only one does are both masters. Such adverts are counted
    /// ([`Stats::not_link_local_first`](crate::Stats::not_link_local_first)), and warned of if our own list does begin with
    /// a link-local address.
    pub takes_any_first_address: bool,
    /// Names of further interfaces that the instance needs, such as those of its virtual addresses: it is at
    /// fault ([`FaultReason::TrackedLinkMissing`](crate::FaultReason::TrackedLinkMissing),
    /// [`FaultReason::TrackedLinkDown`](crate::FaultReason::TrackedLinkDown)) while one of them is missing, down
    /// or without carrier. [`Handle::set_link`](crate::Handle::set_link) tells about them as about its own.
    /// Its own interface need not be among them. Usually none.
    pub tracked_interfaces: Vec<String>,
    /// Whether the instance goes on while its interface is down or without carrier (`dont_track_primary`).
    pub ignores_link_state: bool,
    /// Whether it is at fault while the source address of its [`Delivery`] is not on its own interface
    /// (`track_src_ip`); it always is while no interface of this host has that address
    /// ([`FaultReason::SourceMissing`](crate::FaultReason::SourceMissing)).
    pub tracks_source: bool,
    /// Whether unicast without peers is a fault of the instance rather than an error of the configuration
    /// (`unicast_fault_no_peer`); with peers that are all addresses of this host, rather than a warning.
    pub is_faulty_without_peers: bool,
    /// How adverts travel.
    pub delivery: Delivery,
    /// Authentication; version 3 has none.
    pub authentication: Authentication,
    /// What the checksum of version 3 covers.
    pub checksum: ChecksumForm,
    /// Interval, and with it the version; priority; preemption; announcements.
    pub router: Config,
    /// The room, in bytes, for a recording of all that the router is told, which
    /// [`Instance::recording`](crate::Instance::recording) gives; `None`: nothing is recorded. At an interval of one
    /// second an hour needs up to 150 kB. When it is full the oldest half goes, and the router's state at the beginning of
    /// the rest stands for it ([`record`](crate::record)).
    pub record: Option<usize>,
}

impl InstanceConfig {
    /// An instance that sends to the usual group of its addresses' family, without authentication.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        interface: impl Into<String>,
        vrid: Vrid,
        addresses: Vec<IpAddr>,
        router: Config,
    ) -> Self {
        let family = addresses.first().map_or(Family::Ipv4, Family::of);
        Self {
            name: name.into(),
            interface: interface.into(),
            send_interface: None,
            vrid,
            addresses,
            excluded_addresses: Vec::new(),
            takes_any_first_address: false,
            tracked_interfaces: Vec::new(),
            ignores_link_state: false,
            tracks_source: false,
            is_faulty_without_peers: false,
            delivery: Delivery::to_group(family),
            authentication: Authentication::None,
            checksum: ChecksumForm::default(),
            router,
            record: None,
        }
    }

    /// The family of its addresses and adverts; without addresses it is IPv4, as only version 2 can do without.
    #[must_use]
    pub fn family(&self) -> Family {
        self.addresses.first().map_or(Family::Ipv4, Family::of)
    }

    /// The same, whose adverts may begin with any address: see
    /// [`takes_any_first_address`](Self::takes_any_first_address).
    ///
    /// ```
    /// use lvs_vrrp::{Config, Driver, InstanceConfig, Interval, Priority, Vrid};
    ///
    /// let router = Config::new(Interval::centis(100)?, Priority::new(150)?);
    /// let vip = "2001:db8::1".parse()?;
    /// let instance = InstanceConfig::new("VI_1", "eth0", Vrid::new(51)?, vec![vip], router);
    /// assert!(Driver::new(vec![instance.clone()]).is_err());
    /// assert!(Driver::new(vec![instance.with_any_first_address()]).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_any_first_address(mut self) -> Self {
        self.takes_any_first_address = true;
        self
    }

    /// A listener to adverts of this virtual router, which lists this many of its addresses.
    pub(crate) fn listener(&self, own_address: IpAddr, listed: usize) -> Listener {
        let mut listener = Listener::new(self.vrid, self.router.interval(), self.delivery.clone())
            .with_authentication(self.authentication)
            .with_own_address(own_address);
        if self.takes_any_first_address {
            listener = listener.with_any_first_address();
        }
        match AddressList::of(self.first(listed)) {
            Some(addresses) => listener.with_addresses(addresses),
            None => listener,
        }
    }

    /// How many of its addresses fit an advert that is sent through an interface of this MTU.
    pub(crate) fn fitting(&self, mtu: Option<u32>) -> usize {
        let Some(mtu) = mtu else { return self.addresses.len() };
        let version = self.router.interval().version();
        let most = Advert::most_addresses(mtu, version, self.family(), self.authentication);
        // Version 3 lists at least one, and the kernel has no interface on which it would not fit.
        self.addresses.len().min(most.max(1).into())
    }

    fn first(&self, listed: usize) -> &[IpAddr] {
        self.addresses.get(..listed).unwrap_or(&self.addresses)
    }

    /// The advert that this instance sends, with this many of its addresses; `None` only where [`check`] would have
    /// refused the configuration.
    pub(crate) fn advert(&self, advertised: Advertised, listed: usize) -> Option<Advert<'_>> {
        let addresses = AddressList::of(self.first(listed))?;
        let advert = Advert::new(self.vrid, advertised, self.router.interval(), addresses).ok()?;
        Some(advert.with_authentication(self.authentication).with_checksum(self.checksum))
    }

    /// What its adverts come in.
    pub(crate) fn channel(&self) -> Channel {
        match self.authentication {
            Authentication::Ah(_) => Channel::Authenticated,
            Authentication::None | Authentication::Password(_) => Channel::of(self.family()),
        }
    }

    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address) || self.excluded_addresses.contains(&address)
    }

    /// All addresses in its adverts and in front of them.
    fn used_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let (group, peers) = match &self.delivery {
            Delivery::Multicast(multicast) => (Some(multicast.group), [].as_slice()),
            Delivery::Unicast(unicast) => (None, unicast.peers.as_slice()),
        };
        let destinations = group.into_iter().chain(peers.iter().map(|peer| peer.address));
        self.addresses.iter().copied().chain(destinations).chain(self.delivery.source())
    }

    /// The names of the interfaces that it needs, its own first.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = &str> {
        let tracked = self.tracked_interfaces.iter().map(|name| &**name);
        [&*self.interface].into_iter().chain(self.send_interface.as_deref()).chain(tracked)
    }

    /// The group that it listens to.
    pub(crate) fn group(&self) -> Option<IpAddr> {
        match &self.delivery {
            Delivery::Multicast(multicast) => Some(multicast.group),
            Delivery::Unicast(_) => None,
        }
    }

    /// The name of the interface that it sends through.
    pub(crate) fn outlet(&self) -> &str {
        self.send_interface.as_deref().unwrap_or(&self.interface)
    }

    /// What differs in another configuration that cannot change while an instance runs.
    pub(crate) fn fixed_difference(&self, other: &Self) -> Option<&'static str> {
        let fixed = [
            ("name", self.name == other.name),
            ("interface", self.interface == other.interface && self.send_interface == other.send_interface),
            ("virtual router identifier", self.vrid == other.vrid),
            ("address family", self.family() == other.family()),
            ("room of the recording", self.record == other.record),
        ];
        fixed.into_iter().find(|(_, is_same)| !is_same).map(|(what, _)| what)
    }

    fn refuse(&self, source: ConfigError) -> Error {
        Error::Config { instance: self.name.clone(), source }
    }

    fn check_beside<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> Result<(), Error> {
        match others.into_iter().find(|other| other.overlaps(self)) {
            Some(other) => Err(self.refuse(ConfigError::DuplicateRouter {
                other: other.name.clone(),
                vrid: self.vrid,
                interface: self.interface.clone(),
            })),
            None => Ok(()),
        }
    }

    fn check_alone(&self) -> Result<(), ConfigError> {
        if self.name.is_empty() {
            return Err(ConfigError::Nameless);
        }
        let names = [&self.interface].into_iter().chain(&self.send_interface).chain(&self.tracked_interfaces);
        if let Some(name) = names.into_iter().find(|name| !may_be_interface(name)) {
            return Err(ConfigError::NotAnInterface(name.clone()));
        }
        let family = self.family();
        if let Some(other) = self.used_addresses().find(|address| Family::of(address) != family) {
            return Err(ConfigError::MixedFamilies { family, other });
        }
        check_hosts(self.addresses.iter().chain(&self.excluded_addresses).copied())?;
        if let Some(IpAddr::V6(first)) = self.addresses.first() {
            match self.router.interval().version() {
                Version::V2 => return Err(ConfigError::Ipv6InVersion2),
                Version::V3 if !self.takes_any_first_address && !is_link_local(first) => {
                    return Err(ConfigError::NotLinkLocal(*first));
                }
                Version::V3 => {}
            }
        }
        if let Some(addresses) = AddressList::of(&self.addresses) {
            Advert::new(self.vrid, Advertised::Resigning, self.router.interval(), addresses)?;
        }
        match (self.router.interval().version(), self.authentication) {
            (Version::V3, Authentication::Password(_) | Authentication::Ah(_)) => {
                return Err(ConfigError::AuthenticationInVersion3);
            }
            (Version::V2, Authentication::Ah(_)) if !cfg!(feature = "ah") => {
                return Err(ConfigError::NoAuthenticationHeaders);
            }
            (Version::V2, Authentication::Password(_) | Authentication::Ah(_) | Authentication::None)
            | (Version::V3, Authentication::None) => {}
        }
        match &self.delivery {
            Delivery::Multicast(multicast) => {
                if !multicast.group.is_multicast() {
                    return Err(ConfigError::NotAGroup(multicast.group));
                }
            }
            Delivery::Unicast(unicast) => {
                if unicast.peers.is_empty() && !self.is_faulty_without_peers {
                    return Err(ConfigError::NoPeers);
                }
                check_hosts(unicast.peers.iter().map(|peer| peer.address))?;
                check_peers(&unicast.peers)?;
            }
        }
        check_hosts(self.delivery.source())
    }

    /// Whether a packet could be meant for either.
    fn overlaps(&self, other: &Self) -> bool {
        let same_destination = match (&self.delivery, &other.delivery) {
            (Delivery::Multicast(one), Delivery::Multicast(two)) => one.group == two.group,
            (Delivery::Unicast(one), Delivery::Unicast(two)) => {
                one.peers.iter().any(|peer| two.peers.iter().any(|other| peer.address == other.address))
            }
            (Delivery::Multicast(_), Delivery::Unicast(_))
            | (Delivery::Unicast(_), Delivery::Multicast(_)) => false,
        };
        // Two groups or peers of different families are not equal.
        same_destination && self.vrid == other.vrid && self.interface == other.interface
    }
}

/// Refuses configurations that contradict themselves, each other or the protocol.
pub(crate) fn check(configs: &[InstanceConfig]) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    let mut neighbours: BTreeMap<(&str, Vrid), Vec<&InstanceConfig>> = BTreeMap::new();
    for config in configs {
        config.check_alone().map_err(|source| config.refuse(source))?;
        if !names.insert(&*config.name) {
            return Err(config.refuse(ConfigError::DuplicateName));
        }
        let neighbours = neighbours.entry((&config.interface, config.vrid)).or_default();
        config.check_beside(neighbours.iter().copied())?;
        neighbours.push(config);
    }
    Ok(())
}

/// Refuses a change of a running instance that contradicts itself, the others or the protocol, or that a running
/// instance cannot make.
pub(crate) fn check_change<'a>(
    old: &InstanceConfig,
    others: impl IntoIterator<Item = &'a InstanceConfig>,
    new: &InstanceConfig,
) -> Result<(), Error> {
    match old.fixed_difference(new) {
        Some(what) => Err(new.refuse(ConfigError::Fixed(what))),
        None => {
            new.check_alone().map_err(|source| new.refuse(source))?;
            new.check_beside(others)
        }
    }
}

/// Whether the kernel could name an interface so (`dev_valid_name` in net/core/dev.c).
fn may_be_interface(name: &str) -> bool {
    let is_odd = |octet: u8| matches!(octet, b'/' | b':' | 0 | b' ' | b'\t'..=b'\r' | 0xa0);
    (1..=LONGEST_NAME).contains(&name.len()) && name != "." && name != ".." && !name.bytes().any(is_odd)
}

fn check_hosts(addresses: impl IntoIterator<Item = IpAddr>) -> Result<(), ConfigError> {
    for address in addresses {
        let is_broadcast = match address {
            IpAddr::V4(address) => address.is_broadcast(),
            IpAddr::V6(_) => false,
        };
        if address.is_multicast() || is_broadcast || address.is_unspecified() {
            return Err(ConfigError::NotAHost(address));
        }
    }
    Ok(())
}

fn check_peers(peers: &[Peer]) -> Result<(), ConfigError> {
    let mut known = BTreeSet::new();
    for &Peer { address, min_ttl, max_ttl } in peers {
        if let (Some(min), Some(max)) = (min_ttl, max_ttl)
            && min > max
        {
            return Err(ConfigError::NoTtl { peer: address, min, max });
        }
        if !known.insert(address) {
            return Err(ConfigError::DuplicatePeer(address));
        }
    }
    Ok(())
}

/// `IFNAMSIZ` less the terminating zero (include/uapi/linux/if.h).
const LONGEST_NAME: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Multicast, Unicast};
    use crate::types::{AuthPass, Interval, Priority};

    fn instance(name: &str, vrid: u8) -> InstanceConfig {
        let router = Config::new(Interval::centis(100).unwrap(), Priority::DEFAULT);
        InstanceConfig::new(name, "eth0", Vrid::new(vrid).unwrap(), vec![[10, 0, 0, 100].into()], router)
    }

    fn complaint(configs: &[InstanceConfig]) -> String {
        check(configs).unwrap_err().to_string()
    }

    #[test]
    fn instances_that_could_not_be_told_apart_are_refused() {
        assert!(check(&[instance("a", 1), instance("b", 2)]).is_ok());
        assert_eq!(
            complaint(&[instance("a", 1), instance("a", 2)]),
            "instance a: there is another instance of this name"
        );
        assert_eq!(
            complaint(&[instance("a", 1), instance("b", 1)]),
            "instance b: instance a has virtual router identifier 1 on eth0 too, with the same group or peer"
        );
        let mut elsewhere = instance("b", 1);
        elsewhere.interface = "eth1".into();
        assert!(check(&[instance("a", 1), elsewhere]).is_ok());
        let mut unicast = instance("b", 1);
        unicast.delivery = Delivery::Unicast(Unicast::to([[10, 0, 0, 2].into()]));
        assert!(check(&[instance("a", 1), unicast.clone()]).is_ok());
        let mut other = unicast.clone();
        other.name = "c".into();
        assert!(check(&[unicast, other]).is_err());
    }

    #[test]
    fn what_the_protocol_cannot_carry_is_refused() {
        // VR-204, VR-023, VR-225.
        let mut config = instance("a", 1);
        config.authentication = Authentication::Password(AuthPass::new(b"1111").unwrap());
        assert!(complaint(std::slice::from_ref(&config)).contains("version 3 has no authentication"));
        config.router = Config::new(Interval::seconds(1).unwrap(), Priority::DEFAULT);
        assert!(check(std::slice::from_ref(&config)).is_ok());
        config.addresses = vec![[10, 0, 0, 1].into(); 256];
        assert!(complaint(std::slice::from_ref(&config)).contains("allowed is 0 to 255"));
        let mut config = instance("a", 1);
        config.delivery = Delivery::Unicast(Unicast::to([]));
        assert!(complaint(std::slice::from_ref(&config)).contains("at least one peer"));
        let group = [10, 0, 0, 18].into();
        config.delivery = Delivery::Multicast(Multicast { group, source: None });
        assert!(complaint(std::slice::from_ref(&config)).contains("10.0.0.18 is not a multicast group"));
        config.delivery = Delivery::Unicast(Unicast::to([[224, 0, 0, 18].into()]));
        assert!(complaint(&[config]).contains("224.0.0.18 is not the address of a host"));
    }

    #[test]
    fn instances_without_a_name_and_addresses_that_no_host_can_have_are_refused() {
        assert_eq!(complaint(&[instance("", 1)]), "instance : it needs a name");
        let fields: [fn(&mut InstanceConfig) -> &mut Vec<IpAddr>; 2] =
            [|config| &mut config.addresses, |config| &mut config.excluded_addresses];
        for bad in ["0.0.0.0", "224.0.0.18", "255.255.255.255", "::", "ff02::12"] {
            let bad: IpAddr = bad.parse().unwrap();
            for field in fields {
                let mut config = instance("a", 1);
                if bad.is_ipv6() {
                    config.addresses = vec!["fe80::1".parse().unwrap()];
                    config.delivery = Delivery::to_group(Family::Ipv6);
                }
                assert!(check(std::slice::from_ref(&config)).is_ok());
                field(&mut config).push(bad);
                assert_eq!(complaint(&[config]), format!("instance a: {bad} is not the address of a host"));
            }
        }
        // On two interfaces, say.
        let mut twice = instance("a", 1);
        twice.addresses = vec![[10, 0, 0, 100].into(); 2];
        assert!(check(&[twice]).is_ok());
    }

    #[test]
    fn peers_that_are_there_twice_or_that_no_advert_could_come_from_are_refused() {
        let unicast = |limits: &[(u8, Option<u8>, Option<u8>)]| {
            let mut unicast = Unicast::to([]);
            unicast.peers.extend(limits.iter().map(|&(last, min_ttl, max_ttl)| {
                let mut peer = Peer::new([10, 0, 0, last].into());
                (peer.min_ttl, peer.max_ttl) = (min_ttl, max_ttl);
                peer
            }));
            let mut config = instance("a", 1);
            config.delivery = Delivery::Unicast(unicast);
            config
        };
        assert!(check(&[unicast(&[(2, Some(254), Some(254)), (3, Some(9), None)])]).is_ok());
        assert_eq!(
            complaint(&[unicast(&[(2, None, None), (3, Some(200), Some(100))])]),
            "instance a: no TTL is at least 200 and at most 100, which peer 10.0.0.3 is limited to"
        );
        assert_eq!(
            complaint(&[unicast(&[(2, None, None), (3, None, None), (2, Some(1), None)])]),
            "instance a: peer 10.0.0.2 is there twice"
        );
    }

    #[test]
    fn families_that_are_mixed_and_ipv6_that_nobody_would_believe_are_refused() {
        // VR-027, VR-028, VR-029.
        let v6 = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let router = Config::new(Interval::centis(100).unwrap(), Priority::DEFAULT);
            InstanceConfig::new("six", "eth0", Vrid::new(1).unwrap(), addresses, router)
        };
        let good = v6(&["fe80::1", "2001:db8::1"]);
        // The same identifier of the other family is another virtual router.
        assert!(check(&[instance("four", 1), good.clone()]).is_ok());
        assert_eq!(
            complaint(&[v6(&["2001:db8::1", "fe80::1"])]),
            "instance six: the first of the IPv6 addresses must be link-local (fe80::/10), 2001:db8::1 is not"
        );
        assert_eq!(
            complaint(&[v6(&["fe80::1", "10.0.0.1"])]),
            "instance six: 10.0.0.1 is not IPv6, as the first virtual address is"
        );
        let mut other_group = good.clone();
        other_group.delivery = Delivery::to_group(Family::Ipv4);
        assert!(complaint(&[other_group]).contains("224.0.0.18 is not IPv6"));
        let peers = ["fe80::2", "10.0.0.2"].map(|peer| peer.parse().unwrap());
        let mut other_peer = good.clone();
        other_peer.delivery = Delivery::Unicast(Unicast::to(peers));
        assert!(complaint(&[other_peer]).contains("10.0.0.2 is not IPv6"));
        let mut other_source = instance("four", 1);
        let mut multicast = Multicast::to([224, 0, 0, 18].into());
        multicast.source = Some("fe80::1".parse().unwrap());
        other_source.delivery = Delivery::Multicast(multicast);
        assert!(complaint(&[other_source]).contains("fe80::1 is not IPv4"));
        let mut global = v6(&["2001:db8::1", "fe80::1"]);
        assert!(check(&[global.clone().with_any_first_address()]).is_ok());
        global.takes_any_first_address = true;
        global.router = Config::new(Interval::seconds(1).unwrap(), Priority::DEFAULT);
        assert!(complaint(&[global]).contains("version 2 has no IPv6"));
        let mut version_2 = good;
        version_2.router = Config::new(Interval::seconds(1).unwrap(), Priority::DEFAULT);
        assert!(complaint(&[version_2]).contains("version 2 has no IPv6"));
    }

    #[test]
    fn names_that_no_interface_can_have_are_refused_wherever_they_stand() {
        let long = "x".repeat(16);
        for bad in ["", ".", "..", "a/b", "eth 0", "eth0:1", "a\tb", "a\u{b}b", "a\0b", &long] {
            let places: [fn(&mut InstanceConfig, &str); 3] = [
                |config, name| config.interface = name.to_owned(),
                |config, name| config.send_interface = Some(name.to_owned()),
                |config, name| config.tracked_interfaces = vec!["eth1".to_owned(), name.to_owned()],
            ];
            for place in places {
                let mut config = instance("a", 1);
                place(&mut config, bad);
                let error = config.check_alone().unwrap_err();
                assert_eq!(error, ConfigError::NotAnInterface(bad.to_owned()), "{bad:?}");
            }
        }
        for good in ["e", "...", "vrrp.51", "wlan-ü", &long[..15]] {
            let mut config = instance("a", 1);
            config.interface = good.to_owned();
            assert!(check(&[config]).is_ok(), "{good:?}");
        }
        let mut nameless = instance("a", 1);
        nameless.interface = String::new();
        assert!(complaint(&[nameless]).contains("no interface can have the name \"\""));
    }
}
