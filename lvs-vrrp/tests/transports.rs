//! Drivers on transports of the application's own, and on those that cannot do all that raw sockets can.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic)] // What cannot be had is a failed test.

mod running;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use lvs_core::{Family, Role};
use lvs_vrrp::{
    Arrivals, Delivery, Departures, InstanceConfig, Listen, Receiver, Sender, Transport, UdpTransport,
    Unicast,
};
#[cfg(feature = "ah")]
use lvs_vrrp::{
    AuthPass, Authentication, Config, EventKind, FaultReason, Interval, MemoryNetwork, Priority, Reason,
};

use crate::running::{Running, host, instance, link, until};

/// Its receivers say for ever that there may be more, and give nothing.
#[derive(Clone, Debug, Default)]
struct Tireless {
    sent: Arc<AtomicU64>,
}

impl Transport for Tireless {
    fn receiver(&mut self, _: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        Ok(Box::new(self.clone()))
    }

    fn sender(&mut self, _: &str, _: u32, _: Family) -> io::Result<Box<dyn Sender>> {
        Ok(Box::new(self.clone()))
    }
}

impl Receiver for Tireless {
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn receive(&mut self, _: &mut Arrivals) -> io::Result<bool> {
        Ok(true)
    }
}

impl Sender for Tireless {
    fn send(&mut self, departures: &Departures, _: &mut Vec<(usize, io::Error)>) {
        let count = u64::try_from(departures.len()).unwrap();
        self.sent.fetch_add(count, Ordering::SeqCst);
    }
}

// All in one thread: the driver has to let the test run, too.
#[tokio::test(flavor = "current_thread")]
async fn a_receiver_that_always_says_that_there_may_be_more_keeps_nobody_from_advertising_or_stopping() {
    let transport = Tireless::default();
    let sent = Arc::clone(&transport.sent);
    let config = instance("a", "lan", 1, 150, 1);
    let mut running = Running::start(vec![config], transport, &[link("lan", &[host(1)])]);
    running.wait_for("a", Role::Master).await;
    let before = sent.load(Ordering::SeqCst);
    until("it goes on advertising", || sent.load(Ordering::SeqCst) > before + 5).await;
    running.handle.shutdown();
    // The channel closes when the driver is gone.
    running.events_of("a", |_| false).await;
    assert_eq!(running.role("a"), Role::Initialize);
}

/// Two drivers on the loopback interface, each at an address of its own; the first is better.
fn pair_at(
    addresses: [IpAddr; 2],
    port: u16,
    config: impl Fn([IpAddr; 2], u8) -> InstanceConfig,
) -> [Running; 2] {
    let [one, two] = addresses;
    [([one, two], 150), ([two, one], 100)].map(|(addresses, priority)| {
        let transport = UdpTransport::new(port).at(addresses[0]);
        let lo = link("lo", &[[127, 0, 0, 1].into(), one, two]);
        let lo = lvs_core::Link { index: loopback(), ..lo };
        Running::start(vec![config(addresses, priority)], transport, &[lo])
    })
}

fn loopback() -> u32 {
    std::fs::read_to_string("/sys/class/net/lo/ifindex").unwrap().trim().parse().unwrap()
}

/// The better is master, the other one hears it and nothing that it has to refuse, and takes over.
async fn is_a_pair([better, worse]: [Running; 2], master: IpAddr) {
    better.wait_for("a", Role::Master).await;
    let heard = worse.handle.instance("a").unwrap();
    until("the backup hears its master", || heard.stats().adverts_received > 5).await;
    assert_eq!((heard.status().role, heard.status().master), (Role::Backup, Some(master)));
    assert_eq!(heard.stats().became_master, 0);
    // What a group sends back to its sender is not taken for anybody's.
    for running in [&better, &worse] {
        let stats =
            [running.handle.instance("a").unwrap().stats(), running.handle.interface_stats("lo").unwrap()];
        let refused: Vec<_> = stats.iter().flat_map(|stats| stats.refusals()).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
    better.handle.shutdown();
    worse.wait_for("a", Role::Master).await;
}

#[tokio::test(flavor = "current_thread")]
async fn routers_that_listen_at_one_address_each_hear_the_group() {
    let addresses = [[127, 52, 0, 1].into(), [127, 52, 0, 2].into()];
    let pair = pair_at(addresses, 51_113, |_, priority| instance("a", "lo", 1, priority, 5));
    is_a_pair(pair, addresses[0]).await;
}

#[tokio::test(flavor = "current_thread")]
async fn another_address_of_the_host_is_another_router_to_one_that_listens_at_one_address() {
    let addresses = [[127, 53, 0, 1].into(), [127, 53, 0, 2].into()];
    let pair = pair_at(addresses, 51_114, |all, priority| {
        let mut config = instance("a", "lo", 1, priority, 5);
        config.delivery = Delivery::Unicast(Unicast::to(all));
        config
    });
    is_a_pair(pair, addresses[0]).await;
}

#[cfg(feature = "ah")]
#[tokio::test(flavor = "current_thread")]
async fn authentication_headers_are_refused_by_transports_that_do_not_carry_them() {
    let mut config = instance("a", "lan", 1, 150, 1);
    config.router = Config::new(Interval::seconds(1).unwrap(), Priority::DEFAULT);
    config.authentication = Authentication::Ah(AuthPass::new(b"secret").unwrap());
    let lan = link("lan", &[host(1)]);
    let mut in_memory = Running::start(vec![config.clone()], MemoryNetwork::new().host([host(1)]), &[lan]);
    let lo = link("lo", &[[127, 0, 0, 1].into()]);
    config.interface = "lo".to_owned();
    let mut by_udp = Running::start(vec![config.clone()], UdpTransport::new(51_115), &[lo]);
    for running in [&mut in_memory, &mut by_udp] {
        let reason = running.event(|event| match event.kind {
            EventKind::Changed(change) if change.to == Role::Fault => Some(change.reason),
            _ => None,
        });
        assert_eq!(reason.await, Reason::Fault(FaultReason::Socket));
    }
    // Where it would be added to a driver that runs, it is refused with the reason.
    in_memory.handle.set_link(link("lan2", &[host(1)]));
    (config.name, config.interface) = ("b".to_owned(), "lan2".to_owned());
    let error = in_memory.handle.add(config).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("authentication headers need raw sockets"), "{source}");
}
