//! Two VRRP routers in memory, without sockets and on a virtual clock: what happens when the master vanishes.

use std::net::Ipv4Addr;
use std::time::Duration;

use lvs_core::{ClaimResult, Instant};
use lvs_vrrp::{Action, Advert, Config, Interval, OutOfRange, Priority, Router, Vrid};

struct Node(&'static str, Ipv4Addr, Router);

fn main() -> Result<(), OutOfRange> {
    let seconds = |seconds| Instant::ORIGIN + Duration::from_secs(seconds);
    let mut network = vec![start("anna", 1, 150, seconds(0))?, start("bert", 2, 100, seconds(0))?];
    run(&mut network, seconds(0), seconds(10))?;

    println!("   10.000 anna loses its power");
    network.remove(0);
    run(&mut network, seconds(10), seconds(20))?;

    println!("   20.000 anna starts again");
    network.push(start("anna", 1, 150, seconds(20))?);
    run(&mut network, seconds(20), seconds(30))?;

    println!("   30.000 anna is shut down as one should");
    network[1].2.disable(seconds(30));
    run(&mut network, seconds(30), seconds(40))
}

fn start(name: &'static str, host: u8, priority: u8, now: Instant) -> Result<Node, OutOfRange> {
    let address = Ipv4Addr::new(192, 0, 2, host);
    let mut router =
        Router::new(Config::new(Interval::centis(100)?, Priority::new(priority)?), address.into());
    router.enable(now);
    Ok(Node(name, address, router))
}

/// The whole driver: carry out what the routers decided, then go to the moment for which one of them waits.
fn run(network: &mut [Node], mut now: Instant, until: Instant) -> Result<(), OutOfRange> {
    loop {
        while let Some((from, action)) = next_action(network) {
            let Node(name, address, router) = &mut network[from];
            let time = (now - Instant::ORIGIN).as_secs_f64();
            match action {
                Action::Advertise(advertised) => {
                    let (source, interval) = (*address, router.config().interval());
                    let advert = Advert::new(Vrid::new(51)?, advertised, interval, &[VIP])?;
                    let others = network.iter_mut().filter(|node| node.1 != source);
                    others.for_each(|node| node.2.handle_advert(now, source.into(), &advert));
                }
                // Here a real driver puts the address on its interface, and answers when the kernel has it.
                Action::Claim { epoch } => router.handle_claimed(now, epoch, ClaimResult::Confirmed),
                Action::Announce { packets, .. } => {
                    println!("{time:9.3} {name} announces {VIP} by {packets} packets");
                }
                Action::Changed(transition) => println!("{time:9.3} {name} {transition}"),
                Action::Conflict(event) => println!("{time:9.3} {name} {event}"),
                Action::Release { .. } | Action::WantsMaster => {}
            }
        }
        match network.iter().filter_map(|node| node.2.poll_timeout()).min() {
            Some(next) if next < until => now = next,
            _ => return Ok(()),
        }
        network.iter_mut().for_each(|node| node.2.handle_timeout(now));
    }
}

fn next_action(network: &mut [Node]) -> Option<(usize, Action)> {
    network.iter_mut().enumerate().find_map(|(index, node)| Some((index, node.2.poll_action()?)))
}

const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
