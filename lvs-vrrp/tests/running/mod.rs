//! A driver that runs in a test, and what it takes to make one.
#![allow(dead_code, unreachable_pub)] // Not every test needs all of it.

use std::net::IpAddr;
use std::time::Duration;

use lvs_core::{ClaimResult, Link, LinkAddress, Ownership, Role};
use lvs_vrrp::{
    Config, Driver, Event, EventKind, Handle, Instance, InstanceConfig, Interval, Priority, Setup, Transport,
    Vrid,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(30);

pub fn host(number: u8) -> IpAddr {
    [10, 0, 0, number].into()
}

pub fn instance(name: &str, interface: &str, vrid: u8, priority: u8, centis: u16) -> InstanceConfig {
    let router = Config::new(Interval::centis(centis).unwrap(), Priority::new(priority).unwrap());
    InstanceConfig::new(name, interface, Vrid::new(vrid).unwrap(), vec![host(100)], router)
}

pub fn link(name: &str, addresses: &[IpAddr]) -> Link {
    let address = |&address: &IpAddr| LinkAddress { address, prefix_len: 24, tagged: false };
    let addresses = addresses.iter().map(address).collect();
    Link { name: name.to_owned(), index: 7, up: true, mac: None, addresses }
}

/// A driver that runs and claims at once whatever it is master of.
pub struct Running {
    pub handle: Handle,
    pub events: mpsc::Receiver<Event>,
}

impl Running {
    pub fn start(setup: impl Into<Setup>, transport: impl Transport + 'static, links: &[Link]) -> Self {
        let (driver, handle, events) = Driver::with_transport(setup, transport).unwrap();
        links.iter().cloned().for_each(|link| handle.set_link(link));
        handle.instances().for_each(claim);
        tokio::spawn(async move { driver.run().await.unwrap() });
        Self { handle, events }
    }

    pub async fn wait_for(&self, instance: &str, role: Role) -> Ownership {
        let mut ownership = self.handle.instance(instance).unwrap().ownership();
        let waited = timeout(LIMIT, ownership.wait_for(|now| now.role == role)).await;
        let seen = self.role(instance);
        *waited.unwrap_or_else(|_| panic!("{instance} is {seen}, not {role}")).unwrap()
    }

    pub fn role(&self, instance: &str) -> Role {
        self.handle.instance(instance).unwrap().ownership().borrow().role
    }

    /// What happens to an instance until this is true of it, or until the driver ends.
    pub async fn events_of(&mut self, instance: &str, is_last: impl Fn(EventKind) -> bool) -> Vec<EventKind> {
        let mut kinds = Vec::new();
        let search = async {
            while let Some(event) = self.events.recv().await {
                kinds.extend((*event.instance == *instance).then_some(event.kind));
                if kinds.last().copied().is_some_and(&is_last) {
                    break;
                }
            }
        };
        timeout(LIMIT, search).await.expect("an event");
        kinds
    }

    /// The next event that this gives something for.
    pub async fn event<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the driver runs");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        timeout(LIMIT, search).await.expect("an event")
    }
}

/// Claims at once whatever an instance is master of.
pub fn claim(instance: Instance) {
    tokio::spawn(async move {
        let mut ownership = instance.ownership();
        while ownership.changed().await.is_ok() {
            let epoch = ownership.borrow_and_update().epoch;
            instance.claimed(epoch, ClaimResult::Confirmed);
        }
    });
}

pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("not within {LIMIT:?}: {what}"));
}
