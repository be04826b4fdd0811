//! How much later than the formula a backup takes over from a master that fell silent.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;
use std::time::{Duration, Instant};

use lvs_tests::{Host, Process};
use lvs_vrrp::{Advert, Advertised, Endpoints, Interval, Ipv4Header, Priority, Vrid, timing};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::contender::{Contender, address, interface};
use crate::tap::Tap;

/// Lets them take over in turns and prints a table.
pub(crate) fn compare(contenders: &[Contender], count: usize, centis: u16) -> anyhow::Result<()> {
    let mut duels = Vec::new();
    for &contender in contenders {
        duels.push(Duel::new(contender, centis)?);
    }
    for _ in 0..count {
        for duel in &mut duels {
            duel.play()?;
        }
    }
    println!("| who | takeovers | median | p95 | worst |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for mut duel in duels {
        duel.overheads.sort_unstable_by(f64::total_cmp);
        let at =
            |percent: usize| duel.overheads.get((count - 1) * percent / 100).copied().unwrap_or(f64::NAN);
        let who = duel.contender;
        println!("| {who} | {count} | {:.3} ms | {:.3} ms | {:.3} ms |", at(50), at(95), at(100));
    }
    Ok(())
}

/// A backup, and a master of ours that keeps falling silent.
struct Duel {
    contender: Contender,
    interval: Interval,
    master: Socket,
    datagram: Vec<u8>,
    tap: Tap,
    /// In milliseconds.
    overheads: Vec<f64>,
    /// Held as long as it is to run.
    _backup: Process,
    _hosts: [Host; 2],
}

impl Duel {
    fn new(contender: Contender, centis: u16) -> anyhow::Result<Self> {
        let hosts = ["measured", "wire"].map(Host::new);
        let [host, wire] = &hosts;
        let device = interface(0);
        host.link(&device, wire, &device);
        host.add_address(&device, &format!("{}/16", address(0, 0, 1)));
        wire.add_address(&device, &format!("{SOURCE}/16"));
        let master = wire.run(|| -> std::io::Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IPPROTO_RAW)))?;
            socket.bind_device(Some(device.as_bytes()))?;
            socket.set_header_included_v4(true)?;
            Ok(socket)
        })?;
        let tap = Tap::open(wire, true)?;
        let interval = Interval::centis(centis)?;
        let (mut packet, mut datagram) = (Vec::new(), Vec::new());
        let vips = [address(0, 1, 1)];
        let running = Advertised::Running(Priority::new(200)?);
        Advert::new(Vrid::new(1)?, running, interval, &vips)?
            .write_to(&Endpoints::v4(SOURCE, GROUP), &mut packet);
        Ipv4Header { source: SOURCE, destination: GROUP, ttl: 255 }.write_to(&packet, &mut datagram);
        let backup = contender.start(host, 1, centis, PRIORITY);
        let overheads = Vec::new();
        Ok(Self { contender, interval, master, datagram, tap, overheads, _backup: backup, _hosts: hosts })
    }

    /// One takeover: some adverts of the master, then none until the backup advertises.
    fn play(&mut self) -> anyhow::Result<()> {
        // It may be master, or not up yet: first it has to be heard.
        self.wait_for_backup(0)?;
        for _ in 0..ADVERTS {
            let group = SockAddr::from(SocketAddrV4::new(GROUP, 0));
            self.master.send_to(&self.datagram, &group)?;
            thread::sleep(self.interval.duration());
        }
        let (silent, taken) = self.wait_for_backup(ADVERTS)?;
        let formula = timing::master_down_interval(self.interval, Priority::new(PRIORITY)?);
        let overhead = taken.as_secs_f64() - silent.as_secs_f64() - formula.as_secs_f64();
        self.overheads.push(overhead * 1e3);
        Ok(())
    }

    /// When the last of the master's adverts was seen, and when the backup's first after it.
    fn wait_for_backup(&mut self, mut adverts: usize) -> anyhow::Result<(Duration, Duration)> {
        let (mut silent, start) = (Duration::ZERO, Instant::now());
        while start.elapsed() < LIMIT {
            let Some(advert) = self.tap.next() else { continue };
            if advert.outgoing {
                silent = advert.at;
                adverts = adverts.saturating_sub(1);
            } else if adverts == 0 && advert.priority == PRIORITY {
                return Ok((silent, advert.at));
            }
        }
        anyhow::bail!("{} did not take over within {LIMIT:?}", self.contender)
    }
}

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const IPPROTO_RAW: i32 = 255;
const PRIORITY: u8 = 100;
/// Enough to make anybody a backup that goes by this interval.
const ADVERTS: usize = 3;
const LIMIT: Duration = Duration::from_secs(30);
