//! A balancer with a check of its own: a server with too long a queue gets nothing new until it has caught up.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lvs_core::applier::{ApplierStatus, keep_applied};
use lvs_core::check::{Check, Failure, Success};
use lvs_core::fakes::FakeDataplane;
use lvs_core::{Director, Health, OnFailure, Pool, RealServer, ServerKey, ServiceKey, Table, VirtualService};
use lvs_health::{CheckId, Policy, Runner};
use tokio::sync::watch;

/// How many requests wait; here nine tenths of them are done at each look.
struct Queue(AtomicUsize);

#[async_trait::async_trait]
impl Check for Queue {
    async fn check(&self) -> Result<Success, Failure> {
        match self.0.swap(self.0.load(Relaxed) / 10, Relaxed) {
            waiting @ 0..=100 => Ok(Success::new(format!("{waiting} waiting"))),
            waiting => Err(Failure::new(format!("{waiting} waiting"))),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = ServiceKey::address(lvs_core::Protocol::Tcp, "192.0.2.100:80".parse()?);
    let (mut pool, mut servers) = (Pool::new(VirtualService::new(service)), HashMap::new());
    let (runner, checks, mut events) = Runner::new();
    tokio::spawn(runner.run());
    for (id, address, waiting) in [(1, "10.0.0.3:80", 7), (2, "10.0.0.4:80", 5_000)] {
        let (id, server) = (CheckId::new(id), ServerKey::new(address.parse()?));
        pool.insert(RealServer::new(server), OnFailure::Inhibit);
        servers.insert(id, server);
        let policy = Policy::every(Duration::from_millis(20)).ok_or("an interval is not zero")?;
        checks.insert(id, policy, Duration::ZERO, Arc::new(Queue(waiting.into()))).await?;
    }

    // With `lvs_ipvs::IpvsDataplane` in place of the fake this edits the kernel.
    let (dataplane, mut director) = (FakeDataplane::default(), Director::new([pool]));
    let (desired, table) = watch::channel(director.desired());
    let (status, mut applied) = watch::channel(ApplierStatus::default());
    let applier = tokio::spawn(keep_applied(dataplane.clone(), table, Default::default(), status));
    while let Some(event) = events.recv().await {
        println!("{}: {:?}", servers[&event.id], event.change);
        director.set_health(&service, &servers[&event.id], event.change.health());
        desired.send_replace(director.desired());
        applied.wait_for(|_| dataplane.table() == director.desired()).await?;
        if event.change.health() == Health::Up {
            break;
        }
    }

    // The last wish is carried out before the applier ends.
    desired.send_replace(Table::default());
    drop(desired);
    applier.await?;
    dataplane.applied().iter().for_each(|change| println!("{change}"));
    Ok(())
}
