//! What an instance of a driver is, beside the router's own configuration.

use std::net::Ipv4Addr;

use crate::config::Config;
use crate::demux::Listener;
use crate::error::{ConfigError, Error};
use crate::packet::Advert;
use crate::transport::Transport;
use crate::types::{Advertised, Authentication, ChecksumForm, Version, Vrid};

/// One virtual router on one interface.
///
/// ```
/// use lvs_vrrp::{Config, InstanceConfig, Interval, Priority, Transport, Unicast, Vrid};
///
/// let router = Config::new(Interval::seconds(1)?, Priority::new(150)?);
/// let mut instance =
///     InstanceConfig::new("VI_1", "eth0", Vrid::new(51)?, vec![[192, 168, 33, 20].into()], router);
/// instance.transport =
///     Transport::Unicast(Unicast::to([[192, 168, 33, 11].into(), [192, 168, 33, 12].into()]));
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceConfig {
    /// Its name, unique in the driver.
    pub name: String,
    /// Name of the interface that adverts go through.
    pub interface: String,
    /// Its identifier, unique per interface and group or peer.
    pub vrid: Vrid,
    /// The virtual addresses that adverts list, in this order: 1 to 255, in version 2 also none.
    pub addresses: Vec<Ipv4Addr>,
    /// Virtual addresses that adverts do not list (keepalived's `virtual_ipaddress_excluded`). The driver
    /// needs them only to know that they are not addresses to send from.
    pub excluded_addresses: Vec<Ipv4Addr>,
    /// Names of further interfaces that the instance needs, such as those of its virtual addresses: it is at
    /// fault ([`FaultReason::TrackedLinkMissing`](crate::FaultReason::TrackedLinkMissing),
    /// [`FaultReason::TrackedLinkDown`](crate::FaultReason::TrackedLinkDown)) while one of them is missing, down
    /// or without carrier. [`Handle::set_link`](crate::Handle::set_link) tells about them as about its own.
    /// Its own interface need not be among them. Usually none.
    pub tracked_interfaces: Vec<String>,
    /// How adverts travel.
    pub transport: Transport,
    /// Authentication; version 3 has none.
    pub authentication: Authentication,
    /// What the checksum of version 3 covers.
    pub checksum: ChecksumForm,
    /// Interval, and with it the version; priority; preemption; announcements.
    pub router: Config,
}

impl InstanceConfig {
    /// An instance that sends to the usual group, without authentication.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        interface: impl Into<String>,
        vrid: Vrid,
        addresses: Vec<Ipv4Addr>,
        router: Config,
    ) -> Self {
        Self {
            name: name.into(),
            interface: interface.into(),
            vrid,
            addresses,
            excluded_addresses: Vec::new(),
            tracked_interfaces: Vec::new(),
            transport: Transport::default(),
            authentication: Authentication::None,
            checksum: ChecksumForm::default(),
            router,
        }
    }

    pub(crate) fn listener(&self, own_address: Ipv4Addr) -> Listener {
        Listener::new(self.vrid, self.router.interval(), self.transport.clone())
            .with_authentication(self.authentication)
            .with_addresses(self.addresses.clone())
            .with_own_address(own_address)
    }

    /// The advert that this instance sends; `None` only where [`check`] would have refused the configuration.
    pub(crate) fn advert(&self, advertised: Advertised) -> Option<Advert<'_>> {
        let advert = Advert::new(self.vrid, advertised, self.router.interval(), &self.addresses).ok()?;
        Some(advert.with_authentication(self.authentication).with_checksum(self.checksum))
    }

    pub(crate) fn owns(&self, address: Ipv4Addr) -> bool {
        self.addresses.contains(&address) || self.excluded_addresses.contains(&address)
    }

    fn check_alone(&self) -> Result<(), ConfigError> {
        Advert::new(self.vrid, Advertised::Resigning, self.router.interval(), &self.addresses)?;
        match (self.router.interval().version(), self.authentication) {
            (Version::V3, Authentication::Password(_)) => return Err(ConfigError::AuthenticationInVersion3),
            (Version::V2, Authentication::Password(_) | Authentication::None)
            | (Version::V3, Authentication::None) => {}
        }
        match &self.transport {
            Transport::Multicast(multicast) => {
                if !multicast.group.is_multicast() {
                    return Err(ConfigError::NotAGroup(multicast.group));
                }
            }
            Transport::Unicast(unicast) => {
                if unicast.peers.is_empty() {
                    return Err(ConfigError::NoPeers);
                }
                check_hosts(unicast.peers.iter().map(|peer| peer.address))?;
            }
        }
        check_hosts(self.transport.source())
    }

    /// Whether a packet could be meant for either.
    fn overlaps(&self, other: &Self) -> bool {
        let same_destination = match (&self.transport, &other.transport) {
            (Transport::Multicast(one), Transport::Multicast(two)) => one.group == two.group,
            (Transport::Unicast(one), Transport::Unicast(two)) => {
                one.peers.iter().any(|peer| two.peers.iter().any(|other| peer.address == other.address))
            }
            (Transport::Multicast(_), Transport::Unicast(_))
            | (Transport::Unicast(_), Transport::Multicast(_)) => false,
        };
        same_destination && self.vrid == other.vrid && self.interface == other.interface
    }
}

/// Refuses configurations that contradict themselves, each other or the protocol.
pub(crate) fn check(configs: &[InstanceConfig]) -> Result<(), Error> {
    for (place, config) in configs.iter().enumerate() {
        let refuse = |source| Error::Config { instance: config.name.clone(), source };
        config.check_alone().map_err(refuse)?;
        for other in configs.iter().take(place) {
            if other.name == config.name {
                return Err(refuse(ConfigError::DuplicateName));
            }
            if other.overlaps(config) {
                return Err(refuse(ConfigError::DuplicateRouter {
                    other: other.name.clone(),
                    vrid: config.vrid,
                    interface: config.interface.clone(),
                }));
            }
        }
    }
    Ok(())
}

fn check_hosts(addresses: impl IntoIterator<Item = Ipv4Addr>) -> Result<(), ConfigError> {
    for address in addresses {
        if address.is_multicast() || address.is_broadcast() || address.is_unspecified() {
            return Err(ConfigError::NotAHost(address));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Multicast, Unicast};
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
        unicast.transport = Transport::Unicast(Unicast::to([[10, 0, 0, 2].into()]));
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
        config.transport = Transport::Unicast(Unicast::to([]));
        assert!(complaint(std::slice::from_ref(&config)).contains("at least one peer"));
        let group = [10, 0, 0, 18].into();
        config.transport = Transport::Multicast(Multicast { group, source: None });
        assert!(complaint(std::slice::from_ref(&config)).contains("10.0.0.18 is not a multicast group"));
        config.transport = Transport::Unicast(Unicast::to([[224, 0, 0, 18].into()]));
        assert!(complaint(&[config]).contains("224.0.0.18 is not the address of a host"));
    }
}
