//! Drivers with authentication headers, in memory (VR-202).
#![cfg(all(feature = "tokio", feature = "ah"))]

use std::time::Duration;

use lvs_core::{Link, LinkAddress, Role};
use lvs_vrrp::{
    AuthPass, Authentication, Config, Driver, Handle, Instance, InstanceConfig, Interval, MemoryNetwork,
    Priority, Refusal, Vrid,
};
use tokio::task::JoinHandle;

struct Router {
    handle: Handle,
    instance: Instance,
    running: JoinHandle<Result<(), lvs_vrrp::Error>>,
}

/// A router of the pair; `number` is the last octet of its address.
fn start(network: &MemoryNetwork, number: u8, priority: u8, key: &[u8]) -> Router {
    let interval = Interval::seconds(1).expect("in range");
    let router = Config::new(interval, Priority::new(priority).expect("in range"));
    let (vrid, vip) = (Vrid::new(51).expect("in range"), [10, 0, 0, 100].into());
    let mut config = InstanceConfig::new("VI_1", "lan", vrid, vec![vip], router);
    config.authentication = Authentication::Ah(AuthPass::new(key).expect("1 to 8 octets"));
    let address = [10, 0, 0, number].into();
    let (driver, handle, _events) =
        Driver::with_transport(vec![config], network.host([address])).expect("a good configuration");
    let address = LinkAddress { address, prefix_len: 24, tagged: false };
    handle.set_link(Link { name: "lan".into(), index: 1, up: true, mac: None, addresses: vec![address] });
    let instance = handle.instance("VI_1").expect("it was configured");
    Router { handle, instance, running: tokio::spawn(driver.run()) }
}

impl Router {
    async fn becomes(&self, role: Role) {
        let mut ownership = self.instance.ownership();
        let change = ownership.wait_for(|ownership| ownership.role == role);
        let change = tokio::time::timeout(Duration::from_secs(30), change).await;
        assert!(change.is_ok_and(|change| change.is_ok()), "it did not become {role}");
    }

    /// Until it has heard that many adverts more.
    async fn hears(&self, more: u64) {
        let aim = self.instance.stats().adverts_received + more;
        let heard = async {
            while self.instance.stats().adverts_received < aim {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(30), heard).await;
        assert!(heard.is_ok(), "it heard nothing: {:?}", self.instance.stats());
    }
}

#[tokio::test]
async fn a_pair_with_one_key_hands_over_and_back_and_a_third_with_another_key_is_refused() {
    let network = MemoryNetwork::new();
    let better = start(&network, 1, 200, b"1234");
    let worse = start(&network, 2, 100, b"1234");
    better.becomes(Role::Master).await;
    worse.hears(2).await;
    better.handle.shutdown();
    // The resignation is behind a header too.
    worse.becomes(Role::Master).await;
    better.running.await.expect("it does not panic").expect("it ends well");

    // Started anew it numbers from 1, hears what the other has reached, and goes on from there.
    let better = start(&network, 1, 200, b"1234");
    better.becomes(Role::Master).await;
    worse.becomes(Role::Backup).await;
    worse.hears(1).await;
    assert_eq!(worse.instance.stats().refusals().count(), 0, "{:?}", worse.instance.stats());

    let stranger = start(&network, 3, 254, b"4321");
    stranger.becomes(Role::Master).await;
    worse.hears(1).await;
    assert!(worse.instance.stats().refused(Refusal::AuthData) > 0);
    assert!(stranger.instance.stats().refused(Refusal::AuthData) > 0);
    assert_eq!(better.instance.ownership().borrow().role, Role::Master);
}
