//! Hosts and the segments that connect them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use crate::address::{Address, Mac, Network};
use crate::directory::Directory;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::{ping, spawn};

/// A host of its own: interfaces, addresses, routes, firewall, IPVS table and sockets are separate from all others';
/// files and processes are shared with the machine.
#[derive(Debug)]
pub struct Host {
    name: String,
    namespace: Arc<Namespace>,
    /// The other end of each interface.
    cables: Mutex<BTreeMap<String, Plug>>,
    directory: Directory,
}

/// An Ethernet segment: a switch that forwards everything, with no address of its own.
#[derive(Debug)]
pub struct Segment {
    namespace: Arc<Namespace>,
    next_port: AtomicU32,
}

#[derive(Debug)]
struct Plug {
    namespace: Arc<Namespace>,
    device: String,
}

impl Segment {
    /// Makes a segment with nothing connected to it.
    #[track_caller]
    #[allow(clippy::new_without_default)] // it makes a kernel object
    pub fn new() -> Segment {
        let namespace = made("segment", Namespace::new());
        must("make the switch of a segment", namespace.add_bridge(BRIDGE));
        Segment { namespace: Arc::new(namespace), next_port: AtomicU32::new(0) }
    }
}

impl Host {
    /// Makes a host that has nothing but `lo`, which is up. IPv6 addresses are usable at once (no duplicate address
    /// detection) and reverse path filters are off, whatever the machine's settings are.
    #[track_caller]
    pub fn new(name: &str) -> Host {
        let namespace = made(name, Namespace::new());
        let directory = must("make a directory for temporary files", Directory::new(name));
        let host =
            Host { name: name.into(), namespace: Arc::new(namespace), cables: Mutex::default(), directory };
        host.sysctls(&[
            ("net.ipv6.conf.all.accept_dad", "0"),
            ("net.ipv6.conf.default.accept_dad", "0"),
            ("net.ipv4.conf.all.rp_filter", "0"),
            ("net.ipv4.conf.default.rp_filter", "0"),
        ]);
        host
    }

    /// The name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A directory for this host's files; removed with the host.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file into [`directory`](Host::directory) and returns its path.
    #[track_caller]
    pub fn write_file(&self, name: &str, content: &str) -> String {
        let path = self.directory().join(name);
        must(&format!("write {}", path.display()), fs::write(&path, content));
        path.to_string_lossy().into_owned()
    }

    /// Plugs a new interface `device` into `segment`, gives it `address` (`"10.5.0.133/21"`) and sets both ends up.
    #[track_caller]
    pub fn connect(&self, segment: &Segment, device: &str, address: &str) {
        let port = format!("p{}", segment.next_port.fetch_add(1, Ordering::Relaxed));
        let made = self.namespace.add_veth(device, &segment.namespace, &port);
        must(&format!("make {device} of {}", self.name), made);
        must("plug a port into the segment", segment.namespace.set_master(&port, BRIDGE));
        must("set a port up", segment.namespace.set_up(&port, true));
        self.remember(device, &segment.namespace, &port);
        self.link_up(device);
        self.add_address(device, address);
    }

    /// Connects `device` here with `other_device` of `other` by a cable; both are up and have no address.
    #[track_caller]
    pub fn link(&self, device: &str, other: &Host, other_device: &str) {
        let made = self.namespace.add_veth(device, &other.namespace, other_device);
        must(&format!("link {} {device} with {} {other_device}", self.name, other.name), made);
        self.remember(device, &other.namespace, other_device);
        other.remember(other_device, &self.namespace, device);
        self.link_up(device);
        other.link_up(other_device);
    }

    fn remember(&self, device: &str, namespace: &Arc<Namespace>, other: &str) {
        let plug = Plug { namespace: Arc::clone(namespace), device: other.into() };
        self.cables.lock().unwrap_or_else(PoisonError::into_inner).insert(device.into(), plug);
    }

    /// Sets an interface up, as `ip link set … up`.
    #[track_caller]
    pub fn link_up(&self, device: &str) {
        must(&format!("set {device} of {} up", self.name), self.namespace.set_up(device, true));
    }

    /// Sets an interface down, as `ip link set … down`: the kernel removes its IPv6 addresses and its routes.
    #[track_caller]
    pub fn link_down(&self, device: &str) {
        must(&format!("set {device} of {} down", self.name), self.namespace.set_up(device, false));
    }

    /// Pulls the cable: the interface stays up and loses its carrier.
    #[track_caller]
    pub fn unplug(&self, device: &str) {
        self.set_carrier(device, false);
    }

    /// Puts the cable back after [`unplug`](Host::unplug).
    #[track_caller]
    pub fn plug(&self, device: &str) {
        self.set_carrier(device, true);
    }

    /// Makes a one-way link of the interface's cable to its segment: what comes to a multicast group does not arrive any
    /// more, and what it sends does.
    #[track_caller]
    pub fn deafen(&self, device: &str) {
        self.set_multicast(device, "off");
    }

    /// Lets multicast arrive again after [`deafen`](Host::deafen).
    #[track_caller]
    pub fn undeafen(&self, device: &str) {
        self.set_multicast(device, "on");
    }

    #[track_caller]
    fn set_multicast(&self, device: &str, value: &str) {
        let cables = self.cables.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(plug) = cables.get(device) else { panic!("{} has no interface {device}", self.name) };
        let mut command = self.command_in("bridge", &plug.namespace);
        command.args(["link", "set", "dev", &plug.device, "mcast_flood", value]);
        self.output(&mut command).unwrap_or_else(|error| panic!("{error}"));
    }

    #[track_caller]
    fn set_carrier(&self, device: &str, on: bool) {
        let cables = self.cables.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(plug) = cables.get(device) else { panic!("{} has no interface {device}", self.name) };
        must("change the other end of a cable", plug.namespace.set_up(&plug.device, on));
    }

    /// Removes an interface and the other end of its cable.
    #[track_caller]
    pub fn delete_link(&self, device: &str) {
        must(&format!("remove {device} of {}", self.name), self.namespace.delete_link(device));
        self.cables.lock().unwrap_or_else(PoisonError::into_inner).remove(device);
    }

    /// Adds an address (`"10.5.0.133/21"`; without a length a /32 or /128).
    #[track_caller]
    pub fn add_address(&self, device: &str, address: &str) {
        let added = self.namespace.add_address(device, network(address));
        must(&format!("add {address} to {device} of {}", self.name), added);
    }

    /// Removes an address.
    #[track_caller]
    pub fn delete_address(&self, device: &str, address: &str) {
        let removed = self.namespace.delete_address(device, network(address));
        must(&format!("remove {address} from {device} of {}", self.name), removed);
    }

    /// Adds a route; `destination` may be `"0.0.0.0/0"` or `"::/0"`.
    #[track_caller]
    pub fn add_route(&self, destination: &str, gateway: &str) {
        let added = self.namespace.add_route(network(destination), network(gateway).address);
        must(&format!("add a route to {destination} through {gateway} on {}", self.name), added);
    }

    /// Adds the default route.
    #[track_caller]
    pub fn default_route(&self, gateway: &str) {
        self.add_route(if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" }, gateway);
    }

    /// Lets this host take packets for `address` without answering ARP for it, as a real server of direct routing does:
    /// the address on `lo`, `arp_ignore` 1, `arp_announce` 2. IPv4.
    #[track_caller]
    pub fn accept_address(&self, address: &str) {
        self.sysctls(&[("net.ipv4.conf.all.arp_ignore", "1"), ("net.ipv4.conf.all.arp_announce", "2")]);
        self.add_address("lo", address);
    }

    /// Writes a sysctl of this host: `sysctl("net.ipv4.ip_forward", "1")`. A name with `/` is taken as it is (for
    /// interfaces with a dot in their name).
    #[track_caller]
    pub fn sysctl(&self, name: &str, value: &str) {
        self.sysctls(&[(name, value)]);
    }

    #[track_caller]
    fn sysctls(&self, settings: &[(&str, &str)]) {
        let results: Vec<_> = self.run(|| {
            let write = |(name, value): &(&str, &str)| fs::write(sysctl_path(name), value);
            settings.iter().map(write).collect()
        });
        for ((name, value), result) in settings.iter().zip(results) {
            must(&format!("set {name} to {value} on {}", self.name), result);
        }
    }

    /// Reads a sysctl of this host, without the newline.
    #[track_caller]
    pub fn read_sysctl(&self, name: &str) -> String {
        let text = self.run(|| fs::read_to_string(sysctl_path(name)));
        must(&format!("read {name} on {}", self.name), text).trim_end().to_owned()
    }

    /// The addresses of an interface, in the kernel's order. Cheap enough to be called every few milliseconds.
    #[track_caller]
    pub fn addresses(&self, device: &str) -> Vec<Address> {
        must(&format!("read the addresses of {device} of {}", self.name), self.namespace.addresses(device))
    }

    /// Whether the interface has this address, whatever the length of its prefix.
    #[track_caller]
    pub fn has_address(&self, device: &str, address: &str) -> bool {
        let wanted = network(address).address;
        self.addresses(device).iter().any(|present| present.network.address == wanted)
    }

    /// The hardware address of an interface.
    #[track_caller]
    pub fn mac(&self, device: &str) -> Mac {
        must(&format!("read the hardware address of {device} of {}", self.name), self.namespace.mac(device))
    }

    /// The hardware address that this host's neighbour table (ARP, ND) has for `address`.
    #[track_caller]
    pub fn neighbour(&self, address: &str) -> Option<Mac> {
        let wanted = network(address).address;
        must(&format!("read the neighbours of {}", self.name), self.namespace.neighbour(wanted))
    }

    /// The number of an interface.
    #[track_caller]
    pub fn index(&self, device: &str) -> u32 {
        must(&format!("find {device} of {}", self.name), self.namespace.index(device))
    }

    /// Runs a closure on a thread of its own inside the host and returns its value; its panic goes on here. Sockets
    /// that it opens belong to the host for ever, also when it returns them. Beware of `/proc/net`, which is the first
    /// thread's: the host's is `/proc/thread-self/net`.
    #[track_caller]
    pub fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        must(&format!("enter {}", self.name), self.namespace.run(act))
    }

    /// Sends ICMP echo requests to `address` until it answers; fails with `TimedOut` after `limit`, or with the kernel's
    /// error (no route, say) at once.
    pub fn ping(&self, address: &str, limit: Duration) -> io::Result<()> {
        let address = network(address).address;
        self.run(|| ping::ping(address, limit))
    }

    /// A command whose process runs inside the host. It is killed when the thread that starts it ends; use
    /// [`spawn`](Host::spawn) for programs that stay.
    pub fn command(&self, program: &str) -> Command {
        self.command_in(program, &self.namespace)
    }

    fn command_in(&self, program: &str, namespace: &Arc<Namespace>) -> Command {
        let mut command = spawn::command(program, namespace);
        if !std::env::var_os("PATH").is_some_and(|path| path.to_string_lossy().contains("/sbin")) {
            // An ordinary user's path lacks the places of ip, nginx and keepalived.
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"));
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts a program that stays. `command` comes from [`Host::command`] and is used up.
    #[track_caller]
    pub fn spawn(&self, command: &mut Command) -> Process {
        let command = std::mem::replace(command, Command::new(""));
        let program = command.get_program().to_string_lossy().into_owned();
        let program = program.rsplit('/').next().unwrap_or_default();
        let label = format!("{program} on {}", self.name);
        must(&format!("start {label}"), Process::start(label.clone(), command))
    }

    /// Runs a shell command to its end; returns its output, or a text with its status and what it printed.
    pub fn sh(&self, script: &str) -> Result<String, String> {
        self.output(self.command("sh").args(["-c", script]))
    }

    /// Runs a command to its end; returns its output, or a text with its status and what it printed.
    pub fn output(&self, command: &mut Command) -> Result<String, String> {
        let what = format!("{command:?} on {}", self.name);
        let output = command.output().map_err(|error| format!("{what}: {error}"))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        Err(format!("{what}: {}\n{}{stdout}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}

/// Panics when the running kernel has no IPVS, and says what to do about it. Tests never skip themselves.
#[track_caller]
pub fn require_ipvs() {
    assert!(
        Path::new("/proc/net/ip_vs").exists(),
        "this test needs a kernel with IPVS and the running one has none (no /proc/net/ip_vs): \
         `cargo xtask test` runs it in a virtual machine, or `modprobe ip_vs` here"
    );
}

fn sysctl_path(name: &str) -> String {
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    format!("/proc/sys/{path}")
}

#[track_caller]
fn network(text: &str) -> Network {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn must<T>(what: &str, result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("cannot {what}: {error}"))
}

#[track_caller]
fn made(name: &str, namespace: io::Result<Namespace>) -> Namespace {
    namespace.unwrap_or_else(|error| {
        panic!(
            "cannot make a network namespace for {name}: {error}. This needs root, or a user namespace: \
             `unshare --user --map-root-user --net cargo test …`, which is what `cargo xtask test` does"
        )
    })
}

const BRIDGE: &str = "br0";
