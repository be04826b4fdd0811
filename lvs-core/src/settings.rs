//! What holds for a whole table beside its services: connection timeouts and the synchronisation of connections.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use thiserror::Error;

/// How long an idle connection is kept, one for all services of a network namespace; whole seconds, 0 to 2,678,400 (31
/// days): a table moves others there ([`bounded`](Self::bounded)). 0 in what is desired leaves the timeout as it is.
///
/// ```
/// use std::time::Duration;
/// use lvs_core::Timeouts;
///
/// let timeouts = Timeouts { udp: Duration::from_secs(60), ..Timeouts::default() };
/// assert_eq!(timeouts.tcp, Duration::from_secs(900));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp: Duration,
    /// TCP connections after a FIN.
    pub tcp_fin: Duration,
    /// UDP flows.
    pub udp: Duration,
}

impl Timeouts {
    /// Leaves all timeouts as they are.
    pub const UNCHANGED: Self = Self { tcp: Duration::ZERO, tcp_fin: Duration::ZERO, udp: Duration::ZERO };

    /// The same in whole seconds, at most 2,678,400; what is more is cut off.
    #[must_use]
    pub fn bounded(self) -> Self {
        let bounded = |timeout: Duration| Duration::from_secs(timeout.as_secs().min(2_678_400));
        Self { tcp: bounded(self.tcp), tcp_fin: bounded(self.tcp_fin), udp: bounded(self.udp) }
    }

    /// What results when these are set where `present` holds: every 0 here leaves what is there.
    #[must_use]
    pub fn over(self, present: Self) -> Self {
        let over = |wanted: Duration, present| if wanted.as_secs() == 0 { present } else { wanted };
        Self {
            tcp: over(self.tcp, present.tcp),
            tcp_fin: over(self.tcp_fin, present.tcp_fin),
            udp: over(self.udp, present.udp),
        }
    }
}

impl Default for Timeouts {
    /// What the kernel starts with: 15 minutes, 2 minutes, 5 minutes.
    fn default() -> Self {
        Self {
            tcp: Duration::from_secs(900),
            tcp_fin: Duration::from_secs(120),
            udp: Duration::from_secs(300),
        }
    }
}

impl fmt::Display for Timeouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tcp, tcp_fin, udp) = (self.tcp.as_secs(), self.tcp_fin.as_secs(), self.udp.as_secs());
        write!(f, "tcp {tcp} s, tcpfin {tcp_fin} s, udp {udp} s")
    }
}

/// Which end of the synchronisation of connections a daemon is (`IP_VS_STATE_*`). The set is closed; a host can run
/// one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncRole {
    /// Sends its connections.
    Master,
    /// Receives those of others.
    Backup,
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

/// A daemon of the kernel that synchronises connections with other balancers by multicast (`IPVS_DAEMON_ATTR_*` of
/// `linux/ip_vs.h`). Group, port, time to live and length need Linux 4.3.
///
/// ```
/// use lvs_core::{SyncDaemon, SyncRole};
///
/// let daemon = SyncDaemon::new(SyncRole::Master, "eth0")?.with_sync_id(51);
/// assert_eq!(daemon.to_string(), "sync daemon master on eth0, id 51, group 224.0.0.81 port 8848");
/// # Ok::<(), lvs_core::InvalidSyncDaemon>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncDaemon {
    role: SyncRole,
    interface: Box<str>,
    sync_id: u8,
    max_length: Option<u16>,
    group: IpAddr,
    port: NonZeroU16,
    ttl: NonZeroU8,
}

impl SyncDaemon {
    /// A daemon on that interface with identifier 0 and what the kernel takes where nothing is said: group 224.0.0.81,
    /// port 8848, time to live 1, messages as long as the interface's MTU allows.
    ///
    /// # Errors
    /// The interface's name is not one: 1 to 15 bytes without `/`, white space and control characters.
    pub fn new(role: SyncRole, interface: &str) -> Result<Self, InvalidSyncDaemon> {
        // IFNAMSIZ is 16 with the closing zero; see dev_valid_name() of the kernel.
        let wrong =
            |byte: u8| byte == b'/' || byte == b':' || byte.is_ascii_whitespace() || byte.is_ascii_control();
        if !(1..=15).contains(&interface.len())
            || matches!(interface, "." | "..")
            || interface.bytes().any(wrong)
        {
            return Err(InvalidSyncDaemon::Interface);
        }
        Ok(Self {
            role,
            interface: interface.into(),
            sync_id: 0,
            max_length: None,
            group: DEFAULT_GROUP,
            port: DEFAULT_PORT,
            ttl: NonZeroU8::MIN,
        })
    }

    /// The same daemon in another role.
    #[must_use]
    pub fn with_role(self, role: SyncRole) -> Self {
        Self { role, ..self }
    }

    /// The same daemon with this identifier: a backup takes the messages of a master with its own; one with 0 takes
    /// all.
    #[must_use]
    pub fn with_sync_id(self, sync_id: u8) -> Self {
        Self { sync_id, ..self }
    }

    /// The same daemon with messages of at most so many bytes, 1 to 65,507; the kernel takes the nearest that it can.
    ///
    /// # Errors
    /// The length is out of range.
    pub fn with_max_length(self, bytes: u16) -> Result<Self, InvalidSyncDaemon> {
        if !(1..=65_507).contains(&bytes) {
            return Err(InvalidSyncDaemon::MaxLength);
        }
        Ok(Self { max_length: Some(bytes), ..self })
    }

    /// The same daemon with another multicast group, of IPv4 or IPv6.
    ///
    /// # Errors
    /// The address is no multicast address.
    pub fn with_group(self, group: IpAddr) -> Result<Self, InvalidSyncDaemon> {
        if !group.is_multicast() {
            return Err(InvalidSyncDaemon::Group);
        }
        Ok(Self { group, ..self })
    }

    /// The same daemon with another UDP port.
    #[must_use]
    pub fn with_port(self, port: NonZeroU16) -> Self {
        Self { port, ..self }
    }

    /// The same daemon with another time to live of its packets.
    #[must_use]
    pub fn with_ttl(self, ttl: NonZeroU8) -> Self {
        Self { ttl, ..self }
    }

    /// Which end it is.
    #[must_use]
    pub const fn role(&self) -> SyncRole {
        self.role
    }

    /// Name of the interface that it sends or receives on.
    #[must_use]
    pub const fn interface(&self) -> &str {
        &self.interface
    }

    /// Its identifier.
    #[must_use]
    pub const fn sync_id(&self) -> u8 {
        self.sync_id
    }

    /// Longest message in bytes; nothing in what is desired leaves it to the kernel.
    #[must_use]
    pub const fn max_length(&self) -> Option<u16> {
        self.max_length
    }

    /// Its multicast group.
    #[must_use]
    pub const fn group(&self) -> IpAddr {
        self.group
    }

    /// Its UDP port.
    #[must_use]
    pub const fn port(&self) -> NonZeroU16 {
        self.port
    }

    /// Time to live of its packets.
    #[must_use]
    pub const fn ttl(&self) -> NonZeroU8 {
        self.ttl
    }

    /// Whether a daemon that was seen running is what this one asks for. The longest message is compared only where
    /// this one names it, and then with what the kernel makes of it (`start_sync_thread` in `ip_vs_sync.c`).
    #[must_use]
    pub fn is_met_by(&self, running: &Self) -> bool {
        let plain = |daemon: &Self| Self { max_length: None, ..daemon.clone() };
        let (least, most) = match (self.role, self.group) {
            (SyncRole::Master, IpAddr::V4(_)) => (1, 65_507),
            (SyncRole::Backup, IpAddr::V4(_)) => (1024, 65_507),
            (SyncRole::Master, IpAddr::V6(_)) => (1, 65_487),
            (SyncRole::Backup, IpAddr::V6(_)) => (1024, 65_487),
        };
        // What was asked for stands for what the kernel made of it until that is read.
        let same = |wanted: u16, running: u16| wanted.clamp(least, most) == running.clamp(least, most);
        let length = self
            .max_length
            .is_none_or(|wanted| running.max_length.is_none_or(|running| same(wanted, running)));
        length && plain(self) == plain(running)
    }
}

impl fmt::Display for SyncDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, interface, sync_id, group, port, .. } = self;
        write!(f, "sync daemon {role} on {interface}, id {sync_id}, group {group} port {port}")
    }
}

/// What cannot be said of a [`SyncDaemon`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidSyncDaemon {
    /// No name of an interface.
    #[error("an interface name has 1 to 15 bytes without slash, colon, space and control characters")]
    Interface,
    /// A length that no UDP datagram has.
    #[error("the longest message of a sync daemon is 1 to 65507 bytes")]
    MaxLength,
    /// A group that is no group.
    #[error("the group of a sync daemon is a multicast address (224.0.0.0/4 or ff00::/8)")]
    Group,
}

/// `IP_VS_SYNC_GROUP`: e0.00.00.51.
const DEFAULT_GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));
/// `IP_VS_SYNC_PORT`.
const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(8848).expect("not zero");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_needs_an_interface_a_group_and_a_length_that_can_be() {
        for name in ["", "sixteen-letters!", "a/b", "a b", "..", "a:1", "tab\t"] {
            assert_eq!(
                SyncDaemon::new(SyncRole::Backup, name),
                Err(InvalidSyncDaemon::Interface),
                "{name:?}"
            );
        }
        let daemon = SyncDaemon::new(SyncRole::Backup, "eth0").unwrap();
        let unicast = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(daemon.clone().with_group(unicast), Err(InvalidSyncDaemon::Group));
        assert_eq!(daemon.clone().with_max_length(0), Err(InvalidSyncDaemon::MaxLength));
        assert_eq!(daemon.with_max_length(65_508), Err(InvalidSyncDaemon::MaxLength));
    }

    #[test]
    fn a_running_daemon_meets_a_wish_that_leaves_the_length_open() {
        let wish = SyncDaemon::new(SyncRole::Master, "eth0").unwrap();
        let running = wish.clone().with_max_length(1460).unwrap();
        assert!(wish.is_met_by(&running));
        assert!(wish.clone().with_max_length(1460).unwrap().is_met_by(&running));
        assert!(!wish.clone().with_max_length(1000).unwrap().is_met_by(&running));
        assert!(!wish.with_sync_id(1).is_met_by(&running));
    }

    #[test]
    fn a_backup_receives_no_less_than_the_kernel_wants() {
        let wish = SyncDaemon::new(SyncRole::Backup, "eth0").unwrap().with_max_length(500).unwrap();
        assert!(wish.is_met_by(&wish.clone().with_max_length(1024).unwrap()));
        assert!(!wish.is_met_by(&wish.clone().with_max_length(1025).unwrap()));
    }

    #[test]
    fn every_daemon_is_what_it_asks_for() {
        for role in [SyncRole::Master, SyncRole::Backup] {
            for group in ["224.0.0.81", "ff02::1:51"] {
                for length in [1, 500, 1000, 1024, 1460, 65_487, 65_488, 65_507] {
                    let daemon = SyncDaemon::new(role, "eth0").unwrap().with_max_length(length).unwrap();
                    let daemon = daemon.with_group(group.parse().unwrap()).unwrap();
                    assert!(daemon.is_met_by(&daemon), "{daemon} with {length} bytes");
                }
            }
        }
    }

    #[test]
    fn timeouts_are_whole_seconds_up_to_31_days() {
        let odd = Timeouts { tcp: Duration::from_millis(1500), tcp_fin: Duration::MAX, udp: Duration::ZERO };
        let (second, month) = (Duration::from_secs(1), Duration::from_secs(2_678_400));
        assert_eq!(odd.bounded(), Timeouts { tcp: second, tcp_fin: month, udp: Duration::ZERO });
    }

    #[test]
    fn a_timeout_of_zero_leaves_what_is_there() {
        let wanted = Timeouts { udp: Duration::from_secs(30), ..Timeouts::UNCHANGED };
        let result = wanted.over(Timeouts::default());
        assert_eq!(result, Timeouts { udp: Duration::from_secs(30), ..Timeouts::default() });
    }
}
