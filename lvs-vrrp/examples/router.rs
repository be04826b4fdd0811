//! Takes part in an election and says what becomes of it, without touching any address.
//!
//! ```text
//! cargo run --example router -- INTERFACE VRID PRIORITY SECONDS|CENTISECONDScs VIP[,VIP…] [pass=PASSWORD] [peer=ADDRESS]…
//! ```
//!
//! Needs `CAP_NET_RAW`. It ends, with an advert of priority 0 if it is master, when its standard input ends.

use std::error::Error;
use std::io::Read;
use std::net::IpAddr;

use lvs_vrrp::{
    AuthPass, Authentication, ClaimResult, Config, Delivery, Driver, InstanceConfig, Interval, Priority,
    Unicast, Vrid,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (driver, handle, mut events) = Driver::new(vec![configuration()?])?;
    let instance = handle.instance("router").ok_or("the instance was configured above")?;
    let mut ownership = instance.ownership();
    tokio::spawn(async move {
        while ownership.changed().await.is_ok() {
            let now = *ownership.borrow_and_update();
            if now.is_master() {
                // Here the addresses would be put on the interface.
                instance.claimed(now.epoch, ClaimResult::Confirmed);
            }
        }
    });
    let start = lvs_vrrp::clock::now();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            println!("{:9.4} {event}", (event.at - start).as_secs_f64());
        }
    });
    let ended = handle.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended.shutdown();
    });
    driver.run().await?;
    tokio::task::yield_now().await;
    if let Some(instance) = handle.instance("router") {
        let stats = instance.stats();
        println!("{} adverts sent, {} accepted", stats.adverts_sent, stats.adverts_received);
        for (reason, count) in stats.refusals() {
            println!("{count} refused: {reason}");
        }
    }
    Ok(())
}

fn configuration() -> Result<InstanceConfig, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what| arguments.next().ok_or(format!("{what} is missing"));
    let interface = next("the interface")?;
    let vrid: Vrid = next("the virtual router identifier")?.parse()?;
    let priority: Priority = next("the priority")?.parse()?;
    let interval = next("the interval")?;
    let interval = match interval.strip_suffix("cs") {
        Some(centis) => Interval::centis(centis.parse()?)?,
        None => Interval::seconds(interval.parse()?)?,
    };
    let vips = next("the virtual addresses")?;
    let vips = vips.split(',').map(str::parse).collect::<Result<Vec<IpAddr>, _>>()?;
    let mut config = InstanceConfig::new("router", interface, vrid, vips, Config::new(interval, priority));
    let mut peers = Vec::new();
    for option in arguments {
        match option.split_once('=') {
            Some(("pass", password)) => {
                config.authentication = Authentication::Password(AuthPass::new(password.as_bytes())?);
            }
            Some(("peer", address)) => peers.push(address.parse()?),
            _ => return Err(format!("{option}: only pass= and peer= are known").into()),
        }
    }
    if !peers.is_empty() {
        config.delivery = Delivery::Unicast(Unicast::to(peers));
    }
    Ok(config)
}
