//! Two hosts on a network, their daemons, and what they say.

use std::net::IpAddr;
use std::time::Duration;

use lvs_tests::{Capture, Frame, Host, Process, Segment, peers};

pub(crate) const VIP: &str = "10.9.0.100";
pub(crate) const VIP_6: &str = "fe80::5e:100";
pub(crate) const LIMIT: Duration = Duration::from_secs(40);
/// What a machine with several busy threads per core may add to a timer.
pub(crate) const LATE: Duration = Duration::from_millis(1500);

/// 10.9.0.1 and 10.9.0.2, with addresses of the link, too.
pub(crate) struct Lan {
    pub(crate) hosts: [Host; 2],
    segment: Segment,
}

impl Lan {
    pub(crate) fn new() -> Self {
        let segment = Segment::new();
        let hosts = ["10.9.0.1", "10.9.0.2"].map(|address| {
            let host = Host::new(address);
            host.connect(&segment, "eth0", &format!("{address}/24"));
            host
        });
        Self { hosts, segment }
    }

    /// A host that runs no daemon.
    pub(crate) fn neighbour(&self, address: &str) -> Host {
        let host = Host::new(address);
        host.connect(&self.segment, "eth0", &format!("{address}/24"));
        host
    }

    /// What passes the first host's interface and is VRRP.
    pub(crate) fn adverts(&self) -> Capture {
        Capture::start(&self.hosts[0], "eth0", is_advert)
    }

    pub(crate) fn lvsd(&self, host: usize, config: &str) -> Process {
        peers::lvsd(&self.hosts[host], config, &[])
    }

    pub(crate) fn keepalived(&self, host: usize, config: &str) -> Process {
        peers::keepalived(&self.hosts[host], config)
    }

    pub(crate) fn has(&self, host: usize, address: &str) -> bool {
        self.hosts[host].has_address("eth0", address)
    }

    /// A script on a host that appends a word to the host's file `said`.
    pub(crate) fn script(&self, host: usize, word: &str) -> String {
        let host = &self.hosts[host];
        let said = host.directory().join("said");
        let path = host
            .write_file(&format!("{word}.sh"), &format!("#!/bin/sh\necho {word} >> {}\n", said.display()));
        host.sh(&format!("chmod +x {path}")).expect("chmod works");
        path
    }

    /// The words that its scripts wrote.
    pub(crate) fn said(&self, host: usize) -> Vec<String> {
        let text = std::fs::read_to_string(self.hosts[host].directory().join("said")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// An instance of version 3 over IPv4 at a tenth of a second, with more statements.
pub(crate) fn instance(priority: u8, more: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n version 3\n advert_int 0.1\n \
         priority {priority}\n virtual_ipaddress {{\n {VIP}/24\n }}\n {more}\n}}\n"
    )
}

/// The same over IPv6.
pub(crate) fn instance_6(priority: u8, more: &str) -> String {
    instance(priority, more).replace(&format!("{VIP}/24"), &format!("{VIP_6}/64\n 2001:db8::100/64"))
}

pub(crate) fn is_advert(frame: &Frame) -> bool {
    frame.ip().is_some_and(|ip| ip.protocol == 112)
}

/// The priority in an advert: its third octet (RFC 9568 §5.2.4).
pub(crate) fn priority(frame: &Frame) -> Option<u8> {
    frame.ip().and_then(|ip| ip.payload.get(2).copied())
}

pub(crate) fn source(frame: &Frame) -> Option<IpAddr> {
    frame.ip().map(|ip| ip.source)
}

/// Whether an advert of that priority leaves the host on which it was seen.
pub(crate) fn leaves_with(wanted: u8) -> impl Fn(&Frame) -> bool {
    move |frame| frame.outgoing && priority(frame) == Some(wanted)
}
