//! The programs that are compared, and the same configuration for each.

use std::fmt;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::ValueEnum;
use lvs_core::ClaimResult;
use lvs_tests::{Host, Process, peers};
use lvs_vrrp::{Config, Driver, InstanceConfig, Interval, Priority, Vrid};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Contender {
    /// Debian's.
    Keepalived,
    /// The daemon, with its addresses and all.
    Lvsd,
    /// The driver alone, in a program that has no other threads and claims addresses by saying so.
    Driver,
}

impl Contender {
    /// Starts it with that many instances, 255 on each of the interfaces `vb0`, `vb1`, ….
    pub(crate) fn start(self, host: &Host, instances: usize, centis: u16, priority: u8) -> Process {
        match self {
            Self::Keepalived => peers::keepalived(host, &configuration(instances, centis, priority)),
            Self::Lvsd => {
                let file = host.write_file("lvsd.conf", &configuration(instances, centis, priority));
                let mut command = host.command(&sibling("lvsd").to_string_lossy());
                command.args(["-n", "-l", "-f", &file]).arg("-p").arg(host.directory().join("lvsd.pid"));
                host.spawn(&mut command)
            }
            Self::Driver => {
                let mut command = host.command(&sibling("vrrp_driver").to_string_lossy());
                command.args(["drive", "--instances", &instances.to_string()]);
                command.args(["--centis", &centis.to_string(), "--priority", &priority.to_string()]);
                host.spawn(&mut command)
            }
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Keepalived => "keepalived",
            Self::Lvsd => "lvsd",
            Self::Driver => "driver",
        })
    }
}

/// The most instances of one interface: as many as there are identifiers.
pub(crate) const PER_INTERFACE: usize = 255;

/// Name of an interface, counted from 0.
pub(crate) fn interface(place: usize) -> String {
    format!("vb{place}")
}

/// An address on an interface: host 0.1 is who is measured, 0.2 the other side, 1.N the virtual address of router N.
pub(crate) fn address(place: usize, high: u8, low: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, u8::try_from(place + 1).expect("fewer than 255 interfaces"), high, low)
}

/// Interface and identifier of each instance.
fn places(instances: usize) -> impl Iterator<Item = (usize, u8)> {
    (0..instances).map(|index| {
        let vrid = u8::try_from(index % PER_INTERFACE + 1).expect("at most 255");
        (index / PER_INTERFACE, vrid)
    })
}

/// The one file that keepalived and lvsd both read.
fn configuration(instances: usize, centis: u16, priority: u8) -> String {
    let mut text = "global_defs {\n    router_id bench\n    vrrp_version 3\n}\n".to_owned();
    for (place, vrid) in places(instances) {
        let interface = interface(place);
        let vip = address(place, 1, vrid);
        let seconds = f64::from(centis) / 100.0;
        write!(
            text,
            "vrrp_instance VI_{place}_{vrid} {{\n    state BACKUP\n    interface {interface}\n    \
             virtual_router_id {vrid}\n    priority {priority}\n    advert_int {seconds}\n    \
             virtual_ipaddress {{\n        {vip}/32 dev {interface}\n    }}\n}}\n"
        )
        .expect("a string takes everything");
    }
    text
}

/// The contender `driver`: does not return unless the driver fails.
pub(crate) fn drive(instances: usize, centis: u16, priority: u8) -> anyhow::Result<()> {
    let router = Config::new(Interval::centis(centis)?, Priority::new(priority)?);
    let mut configs = Vec::new();
    for (place, vrid) in places(instances) {
        let vips = vec![address(place, 1, vrid).into()];
        let name = format!("VI_{place}_{vrid}");
        configs.push(InstanceConfig::new(name, interface(place), Vrid::new(vrid)?, vips, router));
    }
    let (driver, handle, _events) = Driver::new(configs)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for instance in handle.instances() {
            tokio::spawn(async move {
                let mut ownership = instance.ownership();
                while ownership.changed().await.is_ok() {
                    let epoch = ownership.borrow_and_update().epoch;
                    instance.claimed(epoch, ClaimResult::Confirmed);
                }
            });
        }
        driver.run().await
    })?;
    Ok(())
}

/// A program that lies beside this one.
fn sibling(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap_or_else(|error| panic!("the path of this program: {error}"));
    let path = this.with_file_name(name);
    assert!(path.is_file(), "{} does not exist: cargo build --release -p lvsd -p benches", path.display());
    path
}
