//! FRR's vrrpd with a zebra of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::host::Host;
use crate::peers::unique;
use crate::poll::poll_until;
use crate::process::Process;

/// One virtual router of FRR. Its IPv4 and its IPv6 addresses are two routers with one number.
#[derive(Clone, Copy, Debug)]
pub struct FrrRouter<'a> {
    /// The interface that it speaks on.
    pub device: &'a str,
    /// Its number, 1 to 255.
    pub vrid: u8,
    /// 2 or 3.
    pub version: u8,
    /// 1 to 254.
    pub priority: u8,
    /// What it waits between two adverts, in centiseconds; version 2 knows whole seconds only.
    pub centis: u16,
    /// Whether it takes over from a worse one.
    pub preempt: bool,
    /// The virtual addresses; the first of IPv6 is link-local.
    pub addresses: &'a [IpAddr],
}

/// A running pair of zebra and vrrpd. Its `log` is vrrpd's, with every packet.
#[derive(Debug)]
pub struct Frr<'a> {
    host: &'a Host,
    zebra: Process,
    vrrpd: Process,
    home: PathBuf,
}

/// Starts zebra and vrrpd, and waits until vrrpd takes part in the election. The interfaces with the virtual MAC
/// addresses, which FRR wants to find, are made; those of an earlier start are used again.
#[track_caller]
pub fn frr<'a>(host: &'a Host, router: &FrrRouter<'_>) -> Frr<'a> {
    let name = unique("frr");
    let home = host.directory().join(&name);
    fs::create_dir_all(&home).unwrap_or_else(|error| panic!("create {}: {error}", home.display()));
    for (family, ours) in [(4, router.addresses(IpAddr::is_ipv4)), (6, router.addresses(IpAddr::is_ipv6))] {
        if !ours.is_empty() {
            add_macvlan(host, router, family, &ours);
        }
    }
    host.write_file(&format!("{name}/group"), GROUP);
    host.write_file(&format!("{name}/zebra.conf"), "log stdout\n");
    host.write_file(&format!("{name}/vrrpd.conf"), &router.config());
    let zebra = start(host, &home, "zebra");
    poll_until(LIMIT, "zebra listens", || home.join("zserv.api").exists());
    let vrrpd = start(host, &home, "vrrpd");
    let frr = Frr { host, zebra, vrrpd, home };
    poll_until(LIMIT, &format!("vrrpd on {} takes part", host.name()), || {
        let state = frr.vtysh(&[&format!("show vrrp {}", router.vrid)])?;
        let wanted = router
            .addresses
            .iter()
            .map(|address| if address.is_ipv4() { "Status (v4)" } else { "Status (v6)" });
        for wanted in wanted {
            let line = state.lines().find(|line| line.contains(wanted));
            if !line.is_some_and(|line| line.contains("Master") || line.contains("Backup")) {
                return Err(format!("{state}\n{}", frr.log()));
            }
        }
        Ok(())
    });
    frr
}

impl FrrRouter<'_> {
    fn addresses(&self, wanted: fn(&IpAddr) -> bool) -> Vec<IpAddr> {
        self.addresses.iter().copied().filter(wanted).collect()
    }

    /// What stands in vrrpd's configuration for it.
    pub fn config(&self) -> String {
        let Self { device, vrid, version, priority, preempt, .. } = self;
        let milliseconds = u32::from(self.centis) * 10;
        let preempt = if *preempt { "" } else { "no " };
        let mut text = format!(
            "log stdout\ndebug vrrp\ninterface {device}\n vrrp {vrid} version {version}\n \
             vrrp {vrid} priority {priority}\n vrrp {vrid} advertisement-interval {milliseconds}\n \
             {preempt}vrrp {vrid} preempt\n"
        );
        for address in self.addresses {
            let word = if address.is_ipv4() { "ip" } else { "ipv6" };
            let _ = writeln!(text, " vrrp {vrid} {word} {address}");
        }
        text
    }
}

impl Frr<'_> {
    /// What vrrpd printed.
    pub fn log(&self) -> String {
        self.vrrpd.log()
    }

    /// The process of vrrpd.
    pub fn vrrpd(&self) -> &Process {
        &self.vrrpd
    }

    /// Runs commands of FRR's shell; returns what they printed.
    pub fn vtysh(&self, commands: &[&str]) -> Result<String, String> {
        let mut shell = self.host.command("vtysh");
        shell.arg("--vty_socket").arg(&self.home).args(["-d", "vrrpd"]);
        for command in commands {
            shell.args(["-c", command]);
        }
        self.host.output(&mut shell)
    }

    /// Asks vrrpd, then zebra, to end: an orderly shutdown, with priority 0.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        let status = self.vrrpd.terminate();
        self.zebra.terminate();
        status
    }
}

/// The link that carries the virtual MAC address (RFC 9568 §7.3). FRR sets it up and down.
#[track_caller]
fn add_macvlan(host: &Host, router: &FrrRouter<'_>, family: u8, addresses: &[IpAddr]) {
    let FrrRouter { device, vrid, .. } = router;
    let link = format!("vrrp{family}-{vrid}");
    let exists = host.sh(&format!("ip link show {link}")).is_ok();
    let mac =
        if family == 4 { format!("00:00:5e:00:01:{vrid:02x}") } else { format!("00:00:5e:00:02:{vrid:02x}") };
    let mut script = format!("ip link add {link} link {device} type macvlan mode bridge && ");
    // No address of its own from the virtual MAC address (RFC 9568 §7.4).
    let _ = write!(script, "ip link set {link} address {mac} addrgenmode none");
    if family == 6 {
        // What it speaks from; not the virtual link-local address, which another may hold.
        let [.., a, b, c] = host.mac(device).0;
        let _ = write!(script, " && ip address add fe80::5e00:{a:x}:{b:02x}{c:02x}/64 dev {link}");
    }
    let is_link_local = |address: &IpAddr| matches!(address, IpAddr::V6(six) if six.is_unicast_link_local());
    for address in addresses.iter().filter(|address| !is_link_local(address)) {
        let length = if address.is_ipv4() { 24 } else { 64 };
        let _ = write!(script, " && ip address add {address}/{length} dev {link}");
    }
    let _ = write!(script, " && ip link set {link} up");
    if !exists {
        host.sh(&script).unwrap_or_else(|error| panic!("make {link}: {error}"));
    }
}

/// Starts one daemon with all its files in `home`, as root: FRR wants its user to be a member of a group that only
/// Debian's user has, so it sees another list of groups.
#[track_caller]
fn start(host: &Host, home: &Path, program: &str) -> Process {
    let script = "mount --bind \"$0\" /etc/group && exec \"$@\"";
    let mut command = host.command("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(home.join("group")).arg(format!("{FRR}/{program}"));
    command.args(["--user", "root", "--group", "root", "--vty_port", "0"]);
    command.arg("--config_file").arg(home.join(format!("{program}.conf")));
    command.arg("--pid_file").arg(home.join(format!("{program}.pid")));
    command.arg("--socket").arg(home.join("zserv.api")).arg("--vty_socket").arg(home);
    host.spawn(&mut command)
}

const FRR: &str = "/usr/lib/frr";
/// The group that FRR's shell belongs to, with the only group of a user namespace.
const GROUP: &str = "root:x:0:\nfrrvty:x:0:root\n";
const LIMIT: Duration = Duration::from_secs(30);
