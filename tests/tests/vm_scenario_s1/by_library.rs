//! The scenario played by a program that uses the library, with Debian's ipvsadm as the reader.

use std::collections::BTreeSet;

use lvs_core::{
    Dataplane as _, Forwarding, Protocol, RealServer, Scope, ServerKey, ServiceKey, ServiceTable, Table,
    VirtualService,
};
use lvs_ipvs::{Client, IpvsDataplane};
use lvs_tests::{Host, http, poll_until};

use crate::network::{LIMIT, LISTED, Network};

/// Runs the library on a host.
fn on<T: Send>(host: &Host, act: impl AsyncFnOnce(IpvsDataplane) -> T + Send) -> T {
    host.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let client = Client::open().expect("a netlink socket");
            act(IpvsDataplane::new(client)).await
        })
    })
}

fn service() -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, "192.168.1.12:80".parse().expect("an address"))
}

/// What S1.2 asks for; the scheduler is left out.
fn desired() -> Table {
    let mut entry = ServiceTable::new(VirtualService::new(service()));
    for address in ["192.168.2.13:80", "192.168.2.14:80"] {
        let key = ServerKey::new(address.parse().expect("an address"));
        entry.insert(RealServer::new(key).with_forwarding(Forwarding::Masquerade));
    }
    Table::from_iter([entry])
}

async fn make(ipvs: &mut IpvsDataplane, desired: &Table) {
    let observed = ipvs.observe(Scope::Everything).await.expect("the kernel's table");
    for result in ipvs.apply(observed.changes_to(desired)).await {
        result.expect("the edit");
    }
}

fn balance(ipv6: bool) {
    let network = Network::new(ipv6);

    // S1.1: an empty table.
    on(&network.balancer, async |mut ipvs| ipvs.client().flush().await).expect("clear");
    assert_eq!(network.saved(), BTreeSet::new());

    // S1.2: the service and its servers as the original tool lists them.
    on(&network.balancer, async |mut ipvs| make(&mut ipvs, &desired()).await);
    assert_eq!(network.listed(), LISTED);

    // S1.3
    network.both_servers_answer_in_turn();
    poll_until(LIMIT, "the counters have seen four connections and bytes in both directions", || {
        let entry = on(&network.balancer, async |mut ipvs| ipvs.client().service(&service()).await);
        let statistics = entry.expect("the service").expect("it is there").statistics;
        let seen =
            statistics.connections == 4 && statistics.incoming_bytes > 0 && statistics.outgoing_bytes > 0;
        if seen { Ok(()) } else { Err(format!("{statistics:?}")) }
    });

    // S1.4: save, clear, restore: the same table.
    let before = network.saved();
    let kept =
        on(&network.balancer, async |mut ipvs| ipvs.observe(Scope::Everything).await).expect("the table");
    on(&network.balancer, async |mut ipvs| ipvs.client().flush().await).expect("clear");
    assert_eq!(network.saved(), BTreeSet::new());
    let refused = http::get(&network.console, "http://192.168.1.12/", LIMIT);
    assert!(refused.is_err(), "nobody serves on the balancer itself: {refused:?}");
    let restored = on(&network.balancer, async |mut ipvs| {
        make(&mut ipvs, &kept).await;
        ipvs.observe(Scope::Everything).await
    });
    assert_eq!(restored.expect("the table"), kept);
    assert_eq!(network.saved(), before);
    network.both_servers_answer_in_turn();
}

#[test]
fn nat_balancer_made_by_hand_serves_from_both_servers_and_is_saved_and_restored() {
    balance(true);
}

#[test]
fn nat_balancer_made_by_hand_works_with_ipv6_disabled() {
    balance(false);
}
