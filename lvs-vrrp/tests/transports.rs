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
