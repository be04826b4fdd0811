//! How long a takeover takes over loss and priority, as a table that is kept: a change of it has to be meant.
//!
//! `UPDATE_SNAPSHOT=1 cargo test -p lvs-sim --test takeover` writes `tests/takeover.txt` anew.

use std::fmt::Write as _;
use std::time::Duration;

use lvs_core::{Family, Instant};
use lvs_sim::bounds::Given;
use lvs_sim::clock::Rate;
use lvs_sim::fault::Faults;
use lvs_sim::options::{Delivers, HostOptions, Options, priority};
use lvs_sim::random::Random;
use lvs_sim::world::World;
use lvs_vrrp::{Config, Interval, Version};

const LOSSES: [u64; 5] = [0, 10, 50, 100, 200];
const PRIORITIES: [u8; 5] = [1, 100, 150, 200, 254];
const TRIALS: usize = 50;
/// Time in which false takeovers are counted.
const WATCH: Duration = Duration::from_secs(10_000);

#[test]
fn the_time_of_a_takeover_over_loss_and_priority_is_as_it_was() {
    let table = table();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/takeover.txt");
    if std::env::var_os("UPDATE_SNAPSHOT").is_some() {
        std::fs::write(path, &table).expect("the table can be written");
    }
    let kept = std::fs::read_to_string(path).expect("there is a table");
    assert_eq!(table, kept, "the table changed; if that is meant, set UPDATE_SNAPSHOT=1");
}

fn table() -> String {
    let mut table = format!(
        "Version 3, interval 1 s, packets under way for up to 0.3 ms; a master of priority 255 loses its power, a\n\
         backup takes over. Milliseconds from the crash: median and longest of {TRIALS} trials; after that false\n\
         takeovers in {} s without a crash, of which loss q makes 1/I * q^3 per second or a little less.\n\n\
         {:>6}",
        WATCH.as_secs(),
        "loss"
    );
    for backup in PRIORITIES {
        write!(table, "{:>22}", format!("priority {backup}")).expect("a string takes all");
    }
    for loss in LOSSES {
        write!(table, "\n{:>4} %", loss / 10).expect("a string takes all");
        for backup in PRIORITIES {
            let times = takeovers(loss, backup);
            let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
            let cell = format!("{median:.0} {longest:.0} {}", false_takeovers(loss, backup));
            write!(table, "{cell:>22}").expect("a string takes all");
        }
    }
    table.push('\n');
    table
}

/// From the crash to the takeover, in milliseconds, sorted; 0 if the backup was master already.
fn takeovers(loss: u64, backup: u8) -> Vec<f64> {
    let mut world = network(loss, backup);
    let mut random = Random::new(loss, u64::from(backup));
    let mut times: Vec<f64> = (0..TRIALS)
        .map(|_| {
            settle(&mut world);
            let phase = random.time(Duration::from_secs(20));
            world.run_for(phase);
            let crashed = world.now;
            world.kill(0, true);
            let end = crashed + Duration::from_secs(60);
            assert!(world.run_while(end, |world| !world.is_master(1, 0)), "nobody takes over");
            let took = world.now - crashed;
            world.start(0);
            took.as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    assert_eq!(world.violation, None);
    times
}

fn false_takeovers(loss: u64, backup: u8) -> u64 {
    let mut world = network(loss, backup);
    settle(&mut world);
    let before = world.node(1, 0).masterships;
    world.run_for(WATCH);
    assert_eq!(world.violation, None);
    world.node(1, 0).masterships - before
}

/// The owner is the only master.
fn settle(world: &mut World) {
    let end = world.now + Duration::from_secs(600);
    assert!(world.run_while(end, |world| world.masters(0) != [0]), "the owner is not alone");
}

fn network(loss: u64, backup: u8) -> World {
    let interval = Interval::centis(100).expect("in range");
    let host = |number| HostOptions {
        config: Config::new(interval, priority(number)),
        given: Given::default(),
        rate: Rate::TRUE,
    };
    let options = Options {
        seed: loss * 256 + u64::from(backup),
        version: Version::V3,
        family: Family::Ipv4,
        hosts: vec![host(255), host(backup)],
        instances: 1,
        tie: false,
        delay: Duration::from_micros(300),
        lag: Duration::ZERO,
        claim: Duration::from_millis(1),
        addresses: 1,
        knows_own_address: true,
        delivers: Delivers::ToGroup,
        has_password: false,
        room: 0,
        faults: Faults::NONE,
        faults_per_round: 0,
        rounds: 0,
        gap: Duration::ZERO,
    };
    let mut world = World::new(options, 0);
    world.network.links().for_each(|link| link.loss = loss);
    world.start(0);
    world.start(1);
    assert!(world.now > Instant::ORIGIN);
    world
}
