//! The situations E1 to E20, each with its bound, played in peace.

mod failures;
mod handovers;
mod links;

use std::time::Duration;

use lvs_core::Instant;

use crate::random::Random;
use crate::world::World;

/// E1: all start within a time, and after the longest wait of the best and one interval there is one master.
pub fn cold_start(world: &mut World, random: &mut Random) {
    let within = random.time(world.options.gap);
    start_all(world, random, 1, within);
}

fn start_all(world: &mut World, random: &mut Random, number: usize, within: Duration) {
    world.totals.plays[number] += 1;
    let mut order: Vec<(Duration, usize)> =
        (0..world.hosts.len()).map(|host| (random.time(within), host)).collect();
    order.sort_unstable();
    let begin = world.now;
    for (after, host) in order {
        world.run_until(begin + after);
        world.start(host);
    }
    world.expect_peace("E1");
}

/// Some of the situations, one after the other.
pub fn play_some(world: &mut World, random: &mut Random) {
    for _ in 0..4 {
        let Some(&(number, play)) = PLAYS.get(random.place(PLAYS.len())) else { return };
        let Some(cast) = Cast::of(world) else { return };
        let now = world.now;
        world.trace.remark(now, || format!("situation E{number}"));
        if play(world, random, &cast) {
            world.totals.plays[number] += 1;
            restore(world);
            world.expect_peace("E-all");
        }
        if world.violation.is_some() {
            return;
        }
    }
}

/// Answers whether the situation could be played in this network.
type Play = fn(&mut World, &mut Random, &Cast) -> bool;

const PLAYS: [(usize, Play); 21] = [
    (1, cold_start_again),
    (2, failures::silent_crash),
    (3, handovers::shutdown),
    (3, handovers::shutdown_unheard),
    (4, handovers::better_router_joins),
    (5, handovers::patient_router_joins),
    (6, links::partition_heals),
    (7, links::one_way),
    (8, failures::master_is_paused),
    (8, failures::backup_is_paused),
    (9, links::lost_adverts),
    (10, links::constant_delay),
    (11, links::old_resignation),
    (12, links::clocks_differ),
    (13, failures::crash_and_restart),
    (14, handovers::interval_changes),
    (15, handovers::priority_changes),
    (16, handovers::addresses_change),
    (18, handovers::intervals_differ),
    (19, failures::member_of_group_dies),
    (20, handovers::hostile_advert),
];

/// E1, and E17 where the two best have the same priority: all begin at the same time.
fn cold_start_again(world: &mut World, random: &mut Random, _: &Cast) -> bool {
    for host in 0..world.hosts.len() {
        world.kill(host, true);
    }
    let within = if world.options.tie { Duration::ZERO } else { random.time(world.options.gap) };
    start_all(world, random, if world.options.tie { 17 } else { 1 }, within);
    true
}

/// Who plays which part: a network with one master that all hear.
struct Cast {
    master: usize,
    /// All others.
    backups: Vec<usize>,
}

impl Cast {
    fn of(world: &World) -> Option<Self> {
        let &[master] = world.masters(0).as_slice() else { return None };
        let backups = world.living().filter(|host| *host != master).collect();
        Some(Self { master, backups })
    }

    /// When the master sent its last advert; of a group, the later one.
    fn last_advert(&self, world: &World) -> Instant {
        let sent = (0..world.segments()).map(|segment| world.node(self.master, segment).advertised_at);
        sent.max().unwrap_or(world.now)
    }

    /// The Down_i of all backups.
    fn downs(&self, world: &World) -> Vec<(usize, Duration)> {
        self.backups
            .iter()
            .map(|&host| (host, world.down(host, world.node(host, 0).watch.gone_by())))
            .collect()
    }

    /// The shortest Down_i of all backups.
    fn shortest_down(&self, world: &World) -> Duration {
        self.downs(world).into_iter().map(|(_, down)| down).min().unwrap_or_default()
    }

    /// The backup that has to win, if there is exactly one.
    fn successor(&self, world: &World) -> Option<usize> {
        let priority = |host: &usize| world.rules(*host).priority;
        let highest = self.backups.iter().map(priority).max()?;
        let mut best = self.backups.iter().filter(|host| priority(host) == highest);
        let first = best.next().copied();
        if best.next().is_some() { None } else { first }
    }
}

/// Somebody takes over when the shortest of these waits is over that began at `since`, or up to the delay of a
/// packet later; and when that of the best is over, and all others know of it, it is the only master.
fn expect_takeover(world: &mut World, rule: &'static str, since: Instant, waits: &[(usize, Duration)]) {
    let Some(first) = waits.iter().map(|(_, wait)| *wait).min() else { return };
    let slack = world.delay_and_lag();
    let earliest = since + first;
    if earliest > world.now {
        world.run_until(earliest - ROUNDING);
    }
    for segment in 0..world.segments() {
        let masters = world.masters(segment);
        world.check(rule, masters.is_empty(), |world| {
            format!("{masters:?} took over before {earliest:?}: {}", world.state())
        });
    }
    world.run_until(earliest + slack + ROUNDING);
    for segment in 0..world.segments() {
        let masters = world.masters(segment);
        world.check(rule, !masters.is_empty(), |world| {
            format!("nobody took over until {:?}: {}", world.now, world.state())
        });
    }
    // The right one.
    let patience = world.living().any(|host| world.patience(host) > Duration::ZERO);
    let best = world.best();
    let last = waits.iter().filter(|(host, _)| best.contains(host)).map(|(_, wait)| *wait).max();
    let Some(last) = last else { return };
    // A member of a group that was first and yields resigns on the other segments, and who was about to take over
    // there waits for its Skew_i once more.
    // A resignation that arrives after the first advert of who took over makes one false master more (E11).
    let is_overtaken = first <= world.options.delay;
    if patience || best.len() > 1 || world.segments() > 1 || is_overtaken {
        let bound = world.peace_bound();
        world.run_for(bound);
    }
    world.run_until(since + last + slack * 2 + ROUNDING);
    world.expect_one_master(rule);
}

/// Clocks of different rates round a time differently.
const ROUNDING: Duration = Duration::from_nanos(3);

/// Everything as it was configured.
fn restore(world: &mut World) {
    world.network.repair();
    for host in 0..world.hosts.len() {
        world.resume(host);
        for segment in 0..world.segments() {
            if !world.node(host, segment).link_is_up {
                world.set_link(host, segment, true);
            }
        }
        let config = world.options.hosts[host].config;
        if *world.node(host, 0).router.config() != config {
            world.configure(host, |_| config);
        }
        world.start(host);
        world.enable(host);
    }
}
