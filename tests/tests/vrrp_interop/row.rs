//! A row of the matrix: who plays against whom, with which protocol, and what the formulas say about it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use crate::lan::{OURS, THEIRS};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Keepalived,
    Frr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    Open,
    Password,
    /// An authentication header (VR-202).
    Header,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) peer: Peer,
    pub(crate) version: u8,
    pub(crate) family: Family,
    pub(crate) unicast: bool,
    pub(crate) auth: Auth,
    /// In IPv6, whether the list begins with a link-local address (VR-027).
    pub(crate) link_local_first: bool,
}

impl Row {
    pub(crate) fn name(&self) -> String {
        let Self { peer, version, family, unicast, auth, link_local_first } = self;
        let delivery = if *unicast { "unicast" } else { "multicast" };
        let list = if *link_local_first { "" } else { " global only" };
        format!("{peer:?} v{version} {family:?} {delivery} {auth:?}{list}")
    }

    /// The virtual addresses, in the order of the adverts. Those of version 3 are more than one.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let texts: &[&str] = match (self.family, self.version) {
            (Family::V4, 2) => &["10.9.0.100"],
            (Family::V4, _) => &["10.9.0.100", "10.9.0.101", "10.9.0.102"],
            (Family::V6, _) if self.link_local_first => &["fe80::9:100", "fd00:9::100"],
            (Family::V6, _) => &["fd00:9::100"],
        };
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    /// The configuration of keepalived or lvsd on one of the two hosts.
    pub(crate) fn config(&self, is_ours: bool, priority: u8, centis: u16) -> String {
        let seconds = f64::from(centis) / 100.0;
        let (name, own, other) = if is_ours { ("ours", OURS, THEIRS) } else { ("theirs", THEIRS, OURS) };
        let mut text = format!(
            "vrrp_instance {name} {{\n state BACKUP\n interface eth0\n virtual_router_id {VRID}\n version {}\n \
             priority {priority}\n advert_int {seconds}\n",
            self.version
        );
        let authentication = match self.auth {
            Auth::Open => None,
            Auth::Password => Some("PASS"),
            Auth::Header => Some("AH"),
        };
        if let Some(kind) = authentication {
            let _ = writeln!(text, " authentication {{\n auth_type {kind}\n auth_pass {PASSWORD}\n }}");
        }
        if self.unicast {
            let at = |host: crate::lan::Place| match self.family {
                Family::V4 => host.v4,
                Family::V6 => host.v6,
            };
            let _ = writeln!(text, " unicast_src_ip {}\n unicast_peer {{\n {}\n }}", at(own), at(other));
        }
        let _ = writeln!(text, " virtual_ipaddress {{");
        for address in self.addresses() {
            let _ = writeln!(text, " {address}");
        }
        text.push_str(" }\n}\n");
        text
    }

    /// Skew_Time: a part of a second in version 2 (VR-090), of the master's interval in version 3 (VR-092).
    pub(crate) fn skew(&self, priority: u8, centis: u16) -> Duration {
        let interval = if self.version == 2 { Duration::from_secs(1) } else { interval(centis) };
        interval * (256 - u32::from(priority)) / 256
    }

    /// Master_Down_Interval (VR-091, VR-093).
    pub(crate) fn down(&self, priority: u8, centis: u16) -> Duration {
        3 * interval(centis) + self.skew(priority, centis)
    }
}

pub(crate) fn interval(centis: u16) -> Duration {
    Duration::from_millis(u64::from(centis) * 10)
}

pub(crate) const VRID: u8 = 51;
pub(crate) const PASSWORD: &str = "1111";
