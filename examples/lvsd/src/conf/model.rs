//! A checked configuration: every value is in range, every default filled in.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use lvs_core::{Family, Forwarding, SyncDaemon, Timeouts, VirtualAddress, VirtualService, Weight};

use super::source::Span;
use super::tracking::{SyncGroup, Track, TrackFile, TrackProcess, TrackScript};

/// All of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `global_defs`
    pub global: Global,
    /// The `vrrp_instance` blocks, in their order.
    pub instances: Vec<VrrpInstance>,
    /// The `vrrp_sync_group` blocks, in their order.
    pub groups: Vec<SyncGroup>,
    /// The `vrrp_script` blocks that are used.
    pub scripts: Vec<TrackScript>,
    /// The `vrrp_track_process` blocks that are used.
    pub processes: Vec<TrackProcess>,
    /// The `track_file` blocks that are used.
    pub files: Vec<TrackFile>,
    /// The `virtual_server` blocks, in their order.
    pub virtual_servers: Vec<VirtualServer>,
}

/// What is said once for all; what other blocks inherit is filled in there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Global {
    /// Name of this node; the host name if `None`.
    pub router_id: Option<String>,
    /// Identity of scripts that name none: if `None`, the user `keepalived_script` where it exists, else root.
    pub script_user: Option<ScriptUser>,
    /// Where `script_user` stands, if it does.
    pub script_user_at: Option<Span>,
    /// Refuse scripts that would run as root from a path that others can write to.
    pub enable_script_security: bool,
    /// `vrrp_startup_delay`: how long no instance does anything after the start, up to 4,294 s.
    pub startup_delay: Duration,
    /// `vrrp_delay_after_boot`: the same, counted from the host's boot.
    pub delay_after_boot: Duration,
    /// Log adverts of virtual routers that nobody configured.
    pub log_unknown_vrids: bool,
    /// `vrrp_garp_interval` and `vrrp_gna_interval`
    pub pacing: Pacing,
    /// How the operating system treats the thread that runs VRRP.
    pub scheduling: Scheduling,
    /// Where changes are written, in the order of [`FifoScope`], each scope at most once.
    pub fifos: Vec<NotifyFifo>,
    /// Where state and counters go when a signal asks for them.
    pub dumps: DumpFiles,
    /// What holds for the whole table of services.
    pub lvs: Lvs,
}

/// What holds for the whole table of services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lvs {
    /// `lvs_sync_daemon`: connections are synchronised with another balancer.
    pub synchronisation: Option<Synchronisation>,
    /// `lvs_timeouts`; those that are 0 stay as they are.
    pub timeouts: Option<Timeouts>,
    /// `lvs_flush`: services that are there at the start and not in the file are removed.
    pub flush: bool,
    /// `lvs_flush_on_stop`
    pub flush_on_stop: FlushOnStop,
}

/// A sync daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synchronisation {
    /// Where it stands in the file.
    pub at: Span,
    /// What it is, in whichever role.
    pub daemon: SyncDaemon,
    /// The virtual router whose role it follows: master where that is master, else backup; both at once if `None`.
    pub instance: Option<String>,
}

/// What is removed when the daemon stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlushOnStop {
    /// The services of the file, each with its servers.
    #[default]
    Ours,
    /// All services, whoever made them.
    Everything,
}

/// A FIFO that changes are written to, a line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyFifo {
    /// Which changes.
    pub scope: FifoScope,
    /// Where it stands in the file.
    pub at: Span,
    /// The FIFO, absolute; no other has the same.
    pub path: PathBuf,
    /// Whose it is if it has to be made.
    pub owner: Option<ScriptUser>,
    /// A program that is started to read it, with its place; the path is appended to its arguments.
    pub reader: Option<(Script, Span)>,
}

/// Which changes a FIFO is told of. The set is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FifoScope {
    /// `notify_fifo`: all.
    All,
    /// `vrrp_notify_fifo`: those of virtual routers and sync groups.
    Vrrp,
    /// `lvs_notify_fifo`: those of virtual and real servers.
    Lvs,
}

impl FifoScope {
    /// The keyword.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::All => "notify_fifo",
            Self::Vrrp => "vrrp_notify_fifo",
            Self::Lvs => "lvs_notify_fifo",
        }
    }
}

/// Files that signals ask for. A path that ends with a slash names the directory for a file with the usual name; `None`
/// is the usual file in the usual directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DumpFiles {
    /// `state_dump_file`, absolute
    pub data: Option<PathBuf>,
    /// `stats_dump_file`, absolute
    pub stats: Option<PathBuf>,
    /// `json_dump_file`, absolute
    pub json: Option<PathBuf>,
    /// `json_version`
    pub json_version: JsonVersion,
}

/// What the JSON is at its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JsonVersion {
    /// 1: the list of virtual routers.
    #[default]
    Array,
    /// 2: an object that has this list.
    Object,
}

/// Least time between two announcements on an interface; zero for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pacing {
    /// Of gratuitous ARP, 1 µs to 4,294.967295 s.
    pub arp: Duration,
    /// Of unsolicited neighbour advertisements, in the same range.
    pub neighbour: Duration,
}

/// What the operating system is asked for the thread that runs VRRP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scheduling {
    /// `vrrp_priority`: niceness, -20 to 19.
    pub niceness: Option<i8>,
    /// `vrrp_rt_priority`: priority in `SCHED_RR`, 1 to 99.
    pub realtime: Option<u8>,
    /// `vrrp_rlimit_rttime`: longest time on the processor without waiting, in real time, at least 2 µs.
    pub realtime_limit: Option<Duration>,
    /// `vrrp_no_swap`
    pub no_swap: bool,
    /// `vrrp_cpu_affinity`: the processors it may run on; all if empty.
    pub processors: Vec<u16>,
}

/// VRRP's protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// RFC 3768
    #[default]
    V2,
    /// RFC 9568
    V3,
}

/// What an instance wants to be at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InitialState {
    /// Becomes master sooner: after one interval and the skew, if it hears nobody.
    Master,
    /// Waits for the whole master-down interval.
    #[default]
    Backup,
}

/// One virtual router.
#[derive(Debug, Clone, PartialEq)]
pub struct VrrpInstance {
    /// Its name, unique.
    pub name: String,
    /// Where it stands in the file.
    pub at: Span,
    /// `state`
    pub state: InitialState,
    /// Name of the interface, 1 to 15 bytes.
    pub interface: String,
    /// Virtual router id, 1 to 255.
    pub virtual_router_id: NonZeroU8,
    /// 1 to 254, or 255 for the owner of the addresses.
    pub priority: NonZeroU8,
    /// Version 2: whole seconds, 1 to 255. Version 3: steps of 10 ms, 0.01 to 40.95 s.
    pub advert_interval: Duration,
    /// `version`
    pub version: Version,
    /// `vrrp_strict`, or `strict_mode` here; what it changes is in the other values already.
    pub strict: bool,
    /// Whether it takes over from a running master of lower priority.
    pub preempt: bool,
    /// How long it waits before that, 0 to 1,000 s.
    pub preempt_delay: Duration,
    /// Adverts of the master that may fail to come, 1 to 100; 3 in the RFCs.
    pub down_timer_adverts: u8,
    /// Become backup after a pause in which another may have taken over (`timer_expired_backup`): the highest priority of the
    /// other routers, 1 to 254.
    pub yield_when_late: Option<NonZeroU8>,
    /// As master, what becomes of adverts of others.
    pub answers: Answers,
    /// `authentication`; version 3 has none.
    pub authentication: Option<Authentication>,
    /// IPv4 or IPv6, as all of its advertised addresses, its source and its peers are.
    pub family: Family,
    /// Whether adverts over IPv6, its own and others', may begin with an address that is not one of the link.
    pub any_first_address: bool,
    /// Multicast or unicast.
    pub delivery: Delivery,
    /// What the checksum of version 3 over IPv4 covers; there is no choice elsewhere.
    pub checksum: Checksum,
    /// Whether a list of addresses in an advert that differs from ours is worth a warning.
    pub check_addresses: bool,
    /// Whether it is at fault while its interface is down (no `dont_track_primary`).
    pub track_interface: bool,
    /// Whether it is at fault while the source address that was given is not there (`track_src_ip`).
    pub track_source: bool,
    /// The addresses that move with it and that adverts list, as many as fit: of one family, at most 255.
    pub addresses: Vec<VirtualAddress>,
    /// The addresses that move with it and that adverts do not list, of any family.
    pub excluded: Vec<VirtualAddress>,
    /// Gratuitous ARP and unsolicited neighbour advertisements.
    pub garp: Garp,
    /// Scripts.
    pub notify: NotifyScripts,
    /// Whether FIFOs are told of its priority, too.
    pub notify_priority_changes: bool,
    /// What moves its priority or puts it into fault, beside its own interface.
    pub track: Vec<Track>,
}

/// What a master does about adverts of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answers {
    /// Leaves losing adverts without an answer.
    pub lower_prio_no_advert: bool,
    /// Sends one advert before it yields to a better one.
    pub higher_prio_send_advert: bool,
    /// Priority 255: takes no notice of them.
    pub owner_ignore_adverts: bool,
}

/// Who may send adverts to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// `auth_type PASS`: who knows the password, which is sent in clear text.
    Pass(Password),
    /// `auth_type AH`: who knows the key.
    Ah(Password),
}

/// What a checksum covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// The message and the addresses of the packet.
    #[default]
    WithAddresses,
    /// The message alone (`v3_checksum_as_v2`).
    MessageAlone,
    /// The message, and addresses as if unicast went to the group (`old_unicast_checksum`).
    OldUnicast,
}

/// How adverts travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// To everybody on the link.
    Multicast {
        /// `mcast_dst_ip`, `vrrp_mcast_group4` or `vrrp_mcast_group6`
        group: IpAddr,
        /// `mcast_src_ip`; the interface's first address if `None`.
        source: Option<IpAddr>,
    },
    /// To a list of routers.
    Unicast {
        /// `unicast_src_ip`; the interface's first address if `None`.
        source: Option<IpAddr>,
        /// Each address once; the node's own may be among them. Empty (`unicast_fault_no_peer`): the instance is at fault
        /// for as long as it runs.
        peers: Vec<Peer>,
        /// TTL of sent adverts.
        ttl: u8,
        /// Drop adverts of hosts that are not in the list.
        check_source: bool,
    },
}

/// A router that adverts are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Smallest TTL accepted from it.
    pub min_ttl: Option<u8>,
    /// Largest TTL accepted from it.
    pub max_ttl: Option<u8>,
}

/// When and how often the neighbours are told about addresses: gratuitous ARP, unsolicited neighbour advertisements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garp {
    /// From becoming master to the second burst; zero means no second burst.
    pub delay: Duration,
    /// Packets per address and burst, 1 to 255.
    pub repeat: NonZeroU8,
    /// Between two refreshes while master; `None` means no refresh.
    pub refresh: Option<Duration>,
    /// Packets per address and refresh, 1 to 255.
    pub refresh_repeat: NonZeroU8,
    /// Packets per address after a losing advert was heard, 0 to 255; twice, with `lower_prio_delay` between.
    pub lower_prio_repeat: u8,
    /// From the first of these bursts to the second; zero means no second burst.
    pub lower_prio_delay: Duration,
}

/// A simple text password as RFC 2338 has it: 1 to 8 bytes. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password([u8; 8]);

impl Password {
    /// The first eight bytes of a text; `None` if it is empty.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        (!text.is_empty()).then_some(Self(bytes))
    }

    /// As it stands in the packet, padded with zeros.
    pub fn bytes(&self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// Programs run when an instance changes its state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotifyScripts {
    /// It became master.
    pub master: Option<Script>,
    /// It became backup.
    pub backup: Option<Script>,
    /// It became faulty.
    pub fault: Option<Script>,
    /// The daemon stops.
    pub stop: Option<Script>,
    /// As master it heard a losing advert.
    pub master_rx_lower_pri: Option<Script>,
    /// It is taken out of the configuration.
    pub deleted: Option<Script>,
    /// Any change of state; `INSTANCE name STATE priority` is appended to its arguments.
    pub any: Option<Script>,
}

impl NotifyScripts {
    /// All of them with their keywords.
    pub(crate) fn each(&self) -> [(&'static str, &Option<Script>); 7] {
        let Self { master, backup, fault, stop, master_rx_lower_pri, deleted, any } = self;
        [
            ("notify_master", master),
            ("notify_backup", backup),
            ("notify_fault", fault),
            ("notify_stop", stop),
            ("notify_master_rx_lower_pri", master_rx_lower_pri),
            ("notify_deleted", deleted),
            ("notify", any),
        ]
    }
}

/// A program with its arguments; no shell is involved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Program and arguments, not empty.
    pub command: Vec<String>,
    /// Who it runs as; [`Global::script_user`] if `None`.
    pub user: Option<ScriptUser>,
}

/// The identity of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptUser {
    /// User name.
    pub user: String,
    /// Group name; the user's own group if `None`.
    pub group: Option<String>,
}

/// One balanced service.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualServer {
    /// Where it stands in the file.
    pub at: Span,
    /// Address or mark, scheduler, persistence, flags. Port 0 means all ports and only comes with persistence.
    pub service: VirtualService,
    /// Not empty.
    pub real_servers: Vec<RealServer>,
}

/// One server of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct RealServer {
    /// Where it stands in the file.
    pub at: Span,
    /// Address and port.
    pub address: SocketAddr,
    /// Weight while it is up.
    pub weight: Weight,
    /// `lvs_method`, or that of the service.
    pub forwarding: Forwarding,
    /// When down, stay in the table with weight 0.
    pub inhibit_on_failure: bool,
    /// Up if all of them succeed; always up if there are none.
    pub checks: Vec<Check>,
}

/// One health check.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Where it stands in the file.
    pub at: Span,
    /// What is asked.
    pub probe: Probe,
    /// What is connected to.
    pub target: SocketAddr,
    /// Local address of the connection.
    pub bind_to: Option<IpAddr>,
    /// Time for a probe.
    pub timeout: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Failures that are tolerated before the server counts as down.
    pub retries: u32,
    /// Time between a failure and the retry.
    pub delay_before_retry: Duration,
    /// The first probe comes after a random part of it.
    pub warmup: Duration,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A TCP connection.
    Tcp,
    /// HTTP requests, one after the other; not empty.
    Http(Vec<HttpRequest>),
}

/// One HTTP GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Path, beginning with a slash.
    pub path: String,
    /// `Host` header; the server's address if `None`.
    pub host: Option<String>,
    /// Accepted status codes, from 100 to 599; not empty.
    pub status_codes: Vec<RangeInclusive<u16>>,
}
