//! The only place where the simulation writes packets: by the codec under test, octet for octet.

use std::net::Ipv4Addr;

use lvs_vrrp::{Advert, Advertised, Interval, Ipv4Header, Vrid};

/// The group of every segment.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// What a sender puts into its adverts, apart from the priority.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The address it sends from.
    pub source: Ipv4Addr,
    /// Its virtual router.
    pub vrid: Vrid,
    /// The virtual addresses.
    pub addresses: Vec<Ipv4Addr>,
}

impl Sender {
    /// Writes the advert as it travels into `datagram`; `packet` is space to work in. False if there can be no
    /// such advert.
    pub fn write(
        &self,
        advertised: Advertised,
        interval: Interval,
        packet: &mut Vec<u8>,
        datagram: &mut Vec<u8>,
    ) -> bool {
        let Ok(advert) = Advert::new(self.vrid, advertised, interval, &self.addresses) else { return false };
        advert.write_to(self.source, GROUP, packet);
        Ipv4Header { source: self.source, destination: GROUP, ttl: 255 }.write_to(packet, datagram);
        true
    }
}
