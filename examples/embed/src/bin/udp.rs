//! An election on the loopback interface, without root: `cargo run -p embed --bin udp`.
//!
//! Two drivers speak VRRP in UDP datagrams. The better one becomes master, stops, and the other takes over.

use std::net::IpAddr;
use std::time::Duration;

use lvs_core::{ClaimResult, Role};
use lvs_vrrp::{
    Config, Delivery, Driver, Handle, InstanceConfig, Interval, Priority, UdpTransport, Unicast, Vrid,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let [first, second]: [IpAddr; 2] = [[127, 0, 51, 1].into(), [127, 0, 51, 2].into()];
    let better = start("better", first, second, Priority::new(150)?)?;
    let other = start("other", second, first, Priority::new(100)?)?;
    wait_for(&better, Role::Master).await?;
    wait_for(&other, Role::Backup).await?;

    println!("better: stops");
    better.shutdown();
    wait_for(&other, Role::Master).await
}

/// Starts a driver that sends from one address to the other.
fn start(host: &'static str, own: IpAddr, peer: IpAddr, priority: Priority) -> anyhow::Result<Handle> {
    let router = Config::new(Interval::centis(10)?, priority);
    let vip = [10, 0, 0, 100].into();
    let mut instance = InstanceConfig::new("VI_1", "lo", Vrid::new(51)?, vec![vip], router);
    let mut unicast = Unicast::to([peer]);
    unicast.source = Some(own);
    instance.delivery = Delivery::Unicast(unicast);

    let transport = UdpTransport::new(PORT).at(own);
    let (driver, handle, mut events) = Driver::with_transport(vec![instance], transport)?;
    tokio::spawn(async move {
        if let Err(error) = driver.run().await {
            println!("{host}: {error}");
        }
    });
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            println!("{host}: {}", event.kind);
        }
    });
    for instance in handle.instances() {
        tokio::spawn(async move {
            let mut ownership = instance.ownership();
            while ownership.changed().await.is_ok() {
                let now = *ownership.borrow_and_update();
                // A real one would put the address on an interface first, or take it off.
                instance.claimed(now.epoch, ClaimResult::Confirmed);
            }
        });
    }
    Ok(handle)
}

async fn wait_for(host: &Handle, role: Role) -> anyhow::Result<()> {
    let instance = host.instance("VI_1").expect("it is configured");
    let mut ownership = instance.ownership();
    tokio::time::timeout(LIMIT, ownership.wait_for(|now| now.role == role)).await??;
    Ok(())
}

/// Any that is free.
const PORT: u16 = 11_251;

const LIMIT: Duration = Duration::from_secs(20);
