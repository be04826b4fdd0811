//! What links and clocks do: E6, E7, E9, E10, E11, E12.

use std::time::Duration;

use lvs_vrrp::Advertised;

use super::{Cast, ROUNDING};
use crate::clock::Rate;
use crate::peace::has_one_interval;
use crate::random::Random;
use crate::world::{World, nanos};

/// E6: of two masters one leaves within the shorter interval, if losing adverts are answered at once.
pub(super) fn partition_heals(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    if world.options.tie && world.segments() > 1 {
        return false;
    }
    let sides = random.number() | 1 << cast.master;
    let is_here = |host: usize| sides >> host & 1 != 0;
    if cast.backups.iter().all(|&host| is_here(host)) {
        return false;
    }
    for segment in 0..world.segments() {
        for (from, to) in pairs(world.hosts.len()) {
            if is_here(from) != is_here(to)
                && let Some(link) = world.network.link(segment, from, to)
            {
                link.is_cut = true;
            }
        }
    }
    // The masters of both sides, after as much time as they need to become it.
    let bound = world.peace_bound() * 2;
    world.run_for(bound);
    let masters = world.masters(0);
    world.check("E6", masters.len() == 2, |world| format!("{masters:?} of two sides: {}", world.state()));
    world.network.repair();
    heal(world, "E6", &masters);
    true
}

/// E7: who does not hear the master is master too; after the repair as E6.
pub(super) fn one_way(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let Some(deaf) = random.one_of(&cast.backups) else { return false };
    let rank = |host: usize| (world.rules(host).priority, world.source(host, 0));
    if rank(deaf) > rank(cast.master) || !has_one_interval(&world.options) {
        return false;
    }
    for segment in 0..world.segments() {
        if let Some(link) = world.network.link(segment, cast.master, deaf) {
            link.is_cut = true;
        }
    }
    let bound = world.down(deaf, world.node(deaf, 0).watch.gone_by()) + world.delay_and_lag() * 2 + ROUNDING;
    world.run_for(bound);
    let masters = world.masters(0);
    let are_both = masters.len() == 2 && masters.contains(&cast.master) && masters.contains(&deaf);
    world.check("E7", are_both, |world| {
        format!("{masters:?} instead of the master and {deaf}: {}", world.state())
    });
    let stays = world.peace_bound();
    world.expect_no_change("E7", stays);
    world.network.repair();
    heal(world, "E7", &masters);
    true
}

/// E9: one less than the number of adverts that may fail to come never makes anybody take over.
pub(super) fn lost_adverts(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let interval = world.interval(cast.master);
    let misses = u32::try_from(world.rules(cast.master).misses).unwrap_or(3);
    // The next one comes that long after the last that was heard.
    if interval * misses + world.delay_and_lag() * 2 >= cast.shortest_down(world) || misses < 2 {
        return false;
    }
    let before = world.standings();
    for segment in 0..world.segments() {
        for _ in 0..3 {
            let sent = world.node(cast.master, segment).adverts;
            let end = world.now + interval * 3;
            world.run_while(end, |world| world.node(cast.master, segment).adverts == sent);
            // It has arrived; those after it get lost.
            let pause = world.options.delay + random.time(interval / 4);
            world.run_for(pause);
            let until = world.node(cast.master, segment).adverts + u64::from(misses) - 1;
            cut_all(world, segment);
            let end = world.now + interval * (misses + 1);
            world.run_while(end, |world| world.node(cast.master, segment).adverts < until);
            world.network.repair();
            world.run_for(interval * 2);
        }
    }
    let after = world.standings();
    world.check("E9", before == after, |world| format!("roles changed: {}", world.state()));
    true
}

/// E10: a delay that all packets have, however long, is harmless if its beginning is.
pub(super) fn constant_delay(world: &mut World, _: &mut Random, cast: &Cast) -> bool {
    let interval = world.interval(cast.master);
    let Some(spare) = cast.shortest_down(world).checked_sub(interval + world.delay_and_lag() * 2) else {
        return false;
    };
    let before = world.standings();
    for step in 1..=6 {
        // Each step delays one advert by less than what a backup can spare.
        world.network.links().for_each(|link| link.delay = spare / 2 * step);
        world.run_for(interval * 4 + spare * step);
    }
    world.network.repair();
    world.run_for(interval * 8);
    let after = world.standings();
    world.check("E10", before == after, |world| format!("roles changed: {}", world.state()));
    true
}

/// E11: an old advert of priority 0 makes at most one false master, and that leaves when it hears the true one;
/// packets that arrive twice or out of order change nothing.
pub(super) fn old_resignation(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let interval = world.interval(cast.master);
    let before = world.standings();
    world.network.links().for_each(|link| (link.doubled, link.reorders) = (1000, true));
    world.run_for(interval * 5);
    let after = world.standings();
    world.check("E11", before == after, |world| format!("roles changed: {}", world.state()));
    world.network.repair();
    let phase = random.time(interval);
    world.run_for(phase);
    for segment in 0..world.segments() {
        let own = world.node(cast.master, segment).router.config().interval();
        let source = world.source(cast.master, segment);
        for &host in &cast.backups {
            let octets = world.forge(host, segment, source, Advertised::Resigning, own);
            world.deliver(world.now, host, segment, &octets);
        }
    }
    let skew = |host: &usize| world.skew(*host, world.node(*host, 0).watch.gone_by());
    let longest = cast.backups.iter().map(skew).max().unwrap_or_default();
    // A false master may be the better one where nobody preempts.
    let bound = longest + world.peace_bound();
    world.run_for(bound);
    world.expect_one_master("E11");
    true
}

/// E12: clocks that differ by a third are harmless as long as nothing is lost.
pub(super) fn clocks_differ(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let rates: Vec<Rate> = world.hosts.iter().map(|host| host.clock.rate()).collect();
    world.set_rate(cast.master, Rate::ppm(-200_000));
    for &host in &cast.backups {
        let ppm = i32::try_from(random.below(200_000)).unwrap_or(0);
        world.set_rate(host, Rate::ppm(ppm));
    }
    let is_harmless = world.interval(cast.master) + world.delay_and_lag() * 2 < cast.shortest_down(world);
    let before = world.standings();
    let time = world.interval(cast.master) * 20;
    world.run_for(time);
    let after = world.standings();
    world.check("E12", before == after || !is_harmless, |world| format!("roles changed: {}", world.state()));
    for (host, rate) in rates.into_iter().enumerate() {
        world.set_rate(host, rate);
    }
    true
}

/// One of these masters leaves within the bound of E6: min(I) + 2D + G with answers, I of the better without.
fn heal(world: &mut World, rule: &'static str, masters: &[usize]) {
    let rank = |host: &usize| (world.rules(*host).priority, world.source(*host, 0));
    let Some(better) = masters.iter().copied().max_by_key(rank) else { return };
    let intervals = masters.iter().map(|&host| world.interval(host));
    let interval = if !world.rules(better).answers_losers() {
        world.interval(better)
    } else {
        intervals.min().unwrap_or_default()
    };
    let bound = interval + world.options.delay * 2 + world.options.lag + ROUNDING;
    // Where members of a group do not agree for a moment, the interval passes once for each.
    let members = u32::try_from(world.segments()).unwrap_or(1);
    // An answer that was given just before is given again after a tenth.
    let gap = Duration::from_nanos(nanos(world.interval(better)) / 10);
    world.run_for((bound + gap) * members);
    // Who learnt the shorter interval of one of them may be master before it hears the other one's next advert.
    if !has_one_interval(&world.options) {
        let bound = world.peace_bound();
        world.run_for(bound);
    }
    let left = world.masters(0);
    world.check(rule, left == [better], |world| {
        format!("{left:?} instead of {better} are left of {masters:?}: {}", world.state())
    });
}

fn cut_all(world: &mut World, segment: usize) {
    for (from, to) in pairs(world.hosts.len()) {
        if let Some(link) = world.network.link(segment, from, to) {
            link.is_cut = true;
        }
    }
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |from| (0..count).map(move |to| (from, to)))
}
