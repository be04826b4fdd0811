//! Writes what the kernel has in ipvsadm's columns. Nothing here asks the kernel: values in, text out.

mod connections;
mod endpoint;
mod numbers;
mod order;
mod services;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use lvs_core::{RealServer, ServerStatistics, Statistics, SyncDaemon, SyncRole, Timeouts, VirtualService};

pub use connections::Connections;
pub(crate) use endpoint::Endpoint;
pub use order::{sort_servers, sort_services};
pub use services::{Heading, services};
pub(crate) use services::{Third, flag_names, netmask, protocol};

/// A service as it is listed: what it is, what it did, and its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What it is.
    pub service: VirtualService,
    /// What it did.
    pub counters: Statistics,
    /// Its servers and what they did.
    pub servers: Vec<(RealServer, ServerStatistics)>,
}

/// The connection timeouts: `-L --timeout`.
///
/// ```
/// let text = ipvsctl::list::timeouts(&lvs_core::Timeouts::default());
/// assert_eq!(text, "Timeout (tcp tcpfin udp): 900 120 300\n");
/// ```
#[must_use]
pub fn timeouts(timeouts: &Timeouts) -> String {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    format!("Timeout (tcp tcpfin udp): {} {} {}\n", tcp.as_secs(), tcp_fin.as_secs(), udp.as_secs())
}

/// The sync daemons, the master first: `-L --daemon`.
///
/// ```
/// use lvs_core::{SyncDaemon, SyncRole};
///
/// let daemon = SyncDaemon::new(SyncRole::Master, "eth0")?.with_max_length(1472)?;
/// assert_eq!(
///     ipvsctl::list::daemons(&[daemon]),
///     "master sync daemon (mcast=eth0, syncid=0, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)\n",
/// );
/// # Ok::<(), lvs_core::InvalidSyncDaemon>(())
/// ```
#[must_use]
pub fn daemons(daemons: &[SyncDaemon]) -> String {
    let mut text = String::new();
    for role in [SyncRole::Master, SyncRole::Backup] {
        for daemon in daemons.iter().filter(|daemon| daemon.role() == role) {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{role} sync daemon (mcast={}, syncid={}, maxlen={}, group={}, port={}, ttl={})",
                daemon.interface(),
                daemon.sync_id(),
                daemon.max_length().unwrap_or(0),
                daemon.group(),
                daemon.port(),
                daemon.ttl(),
            );
        }
    }
    text
}
