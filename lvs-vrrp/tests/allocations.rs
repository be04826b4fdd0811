//! Adverts that are sent and heard while nothing changes take no memory, and an instance takes little.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used)] // A value that cannot be had is a failed test.

use std::net::IpAddr;
use std::time::Duration;

use lvs_core::ClaimResult;
use lvs_vrrp::{
    Config, Delivery, Driver, Instance, InstanceConfig, Interval, Priority, UdpTransport, Unicast, Vrid,
};

#[test]
fn a_driver_allocates_nothing_while_it_sends_and_hears() {
    // Fault 24.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let [better, worse] = [(1, 2, 150), (2, 1, 100)].map(|(own, other, priority)| {
        let [own, other] = [own, other].map(|number| IpAddr::from([127, 51, 1, number]));
        let router = Config::new(Interval::centis(1).unwrap(), Priority::new(priority).unwrap());
        let config = move |vrid| {
            let vips = vec![[10, 0, 0, vrid].into()];
            let mut config =
                InstanceConfig::new(format!("{vrid}"), "lo", Vrid::new(vrid).unwrap(), vips, router);
            let mut unicast = Unicast::to([other]);
            unicast.source = Some(own);
            config.delivery = Delivery::Unicast(unicast);
            config
        };
        let transport = UdpTransport::new(51_113).at(own);
        let (driver, handle, events) =
            Driver::with_transport((1..=20).map(config).collect::<Vec<_>>(), transport).unwrap();
        // Asking for interfaces, once per second, does take memory: here somebody tells.
        let lo = lvs_core::Link { name: "lo".into(), index: 1, up: true, mac: None, addresses: Vec::new() };
        handle.set_link(lo);
        runtime.spawn(driver.run());
        // Those that came while it ran, and those that were there before, in other places.
        let changes = runtime.block_on(handle.apply((6..=25).rev().map(config).collect::<Vec<_>>())).unwrap();
        assert_eq!((changes.added.len(), changes.kept.len()), (5, 15));
        (handle.instances().collect::<Vec<Instance>>(), events)
    });
    let pass = |time| runtime.block_on(async move { tokio::time::sleep(time).await });
    // Until both have their roles, which are told once.
    while better.0.iter().any(|instance| instance.stats().became_master == 0)
        || worse.0.iter().any(|instance| instance.stats().adverts_received < 20)
    {
        for instance in &better.0 {
            let epoch = instance.ownership().borrow().epoch;
            instance.claimed(epoch, ClaimResult::Confirmed);
        }
        pass(Duration::from_millis(20));
    }
    let sent = || better.0.iter().map(|instance| instance.stats().adverts_sent).sum::<u64>();
    let heard = || worse.0.iter().map(|instance| instance.stats().adverts_received).sum::<u64>();
    // A machine that is busy may make the backup take over, which is told: then it is tried again.
    for _ in 0..20 {
        let before = (sent(), heard());
        let changes = || better.0.iter().chain(&worse.0).map(|instance| instance.stats().became_master).sum();
        let changes_before: u64 = changes();
        let taken = allocation_counter::measure(|| pass(Duration::from_millis(200)));
        let after = (sent(), heard());
        if changes_before == changes() && after.0 > before.0 + 100 && after.1 > before.1 + 100 {
            assert_eq!(taken.count_total, 0, "{taken:?} for {before:?} to {after:?}");
            return;
        }
    }
    unreachable!("no 200 ms without a change of roles");
}

#[test]
fn an_instance_takes_less_than_two_and_a_half_kibibytes() {
    let taken_by = |count: u8| {
        let router = Config::new(Interval::centis(100).unwrap(), Priority::DEFAULT);
        let mut kept = None;
        let taken = allocation_counter::measure(|| {
            let configs = (1..=count).map(|vrid| {
                let vips = vec![[10, 0, 0, vrid].into()];
                InstanceConfig::new(format!("VI_{vrid}"), "lo", Vrid::new(vrid).unwrap(), vips, router)
            });
            kept = Some(Driver::new(configs.collect::<Vec<_>>()).unwrap());
        });
        drop(kept);
        taken.bytes_current
    };
    let each = (taken_by(250) - taken_by(50)) / 200;
    // Beside these: its place in the tables of sockets and timers while the driver runs.
    assert!(each < 2_560, "{each}");
    assert!(each > 500, "{each} bytes cannot be all");
}
