//! What operators do, and adverts that nobody sent: E3, E4, E5, E14, E15, E18, E20.

use std::net::IpAddr;
use std::time::Duration;

use lvs_core::AddressChange;
use lvs_vrrp::{Advertised, Interval, Preempt, Start, Version};

use super::{Cast, ROUNDING, expect_takeover};
use crate::options::{Delivers, priority};
use crate::random::Random;
use crate::wire;
use crate::world::World;

/// E3: the others wait for their Skew_i only.
pub(super) fn shutdown(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let phase = random.time(world.interval(cast.master) * 2);
    world.run_for(phase);
    let waits = skews(world, cast);
    let since = world.now;
    world.stop(cast.master);
    expect_takeover(world, "E3", since, &waits);
    true
}

/// E3': an advert of priority 0 that is lost is a crash.
pub(super) fn shutdown_unheard(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let phase = random.time(world.interval(cast.master) * 2);
    world.run_for(phase);
    // What is under way arrives; nothing that is sent from here on does.
    let (since, waits) = (cast.last_advert(world), cast.downs(world));
    world.network.links().for_each(|link| link.is_cut = true);
    world.stop(cast.master);
    world.network.repair();
    expect_takeover(world, "E3'", since, &waits);
    true
}

/// E4: it takes over when its own wait is over, and the old master leaves when it hears the first advert.
pub(super) fn better_router_joins(world: &mut World, _: &mut Random, cast: &Cast) -> bool {
    let joins = cast.master;
    let rules = *world.rules(joins);
    if world.best() != [joins] || rules.preempt != Preempt::Always || !world.all_preempt() {
        return false;
    }
    world.stop(joins);
    world.expect_peace("E4");
    let config = *world.node(joins, 0).router.config();
    let wait = match (rules.is_owner(), config.start()) {
        (true, _) => 0,
        (false, Start::Backup) => rules.down(rules.interval),
        (false, Start::Master) => rules.interval + crate::bounds::skew(rules.version, rules.interval, 254),
    };
    let wait = world.true_time(joins, wait + rules.start_delay);
    let joined = world.now;
    world.start(joins);
    if wait > Duration::ZERO {
        world.run_until(joined + wait - ROUNDING);
        let is_early = world.is_master(joins, 0);
        world.check("E4", !is_early, |world| format!("took over too early: {}", world.state()));
    }
    let slack = world.delay_and_lag();
    // A wait and a start delay are two timers.
    world.run_until(joined + wait + world.options.lag * 2 + ROUNDING);
    let is_master = (0..world.segments()).all(|segment| world.is_master(joins, segment));
    world.check("E4", is_master, |world| format!("did not take over: {}", world.state()));
    world.run_for(slack);
    world.expect_one_master("E4");
    true
}

/// E5: while adverts come it stays backup.
pub(super) fn patient_router_joins(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let Some(joins) = random.one_of(&cast.backups) else { return false };
    // With a shorter wait than the master's interval it would be master before it can have heard anything.
    let rules = *world.rules(joins);
    let own_wait = world.true_time(joins, rules.missed(rules.interval));
    let hears_in_time = own_wait > world.interval(cast.master) + world.delay_and_lag();
    if rules.is_owner() || !hears_in_time {
        return false;
    }
    world.kill(joins, true);
    world.configure(joins, |config| {
        let above = priority(config.priority().get().max(254));
        config.with_preempt(Preempt::Never).with_priority(above).with_start(Start::Backup)
    });
    let before = world.node(cast.master, 0).masterships;
    world.start(joins);
    let listens = world.peace_bound() * 5;
    world.run_for(listens);
    let masters = world.masters(0);
    let stays = masters == [cast.master] && world.node(cast.master, 0).masterships == before;
    world.check("E5", stays, |world| format!("{masters:?} instead of {}: {}", cast.master, world.state()));
    true
}

/// E14: whatever the interval becomes, nobody takes over, because the master tells the new one at once.
pub(super) fn interval_changes(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let before = world.standings();
    let Interval::Centis(centis) = world.node(cast.master, 0).router.config().interval() else {
        return false;
    };
    let longer = centis.get().saturating_mul(2 + u16::try_from(random.below(20)).unwrap_or(0));
    let Ok(interval) = Interval::centis(longer.min(4095)) else { return false };
    let phase = random.time(world.interval(cast.master) * 2);
    world.run_for(phase);
    world.configure(cast.master, |config| config.with_interval(interval));
    let settles = world.interval(cast.master) * 3;
    world.run_for(settles);
    world.configure(cast.master, |config| config.with_interval(Interval::Centis(centis)));
    world.run_for(settles);
    let after = world.standings();
    world.check("E14", before == after, |world| format!("roles changed: {}", world.state()));
    true
}

/// E15: the backup that is better now takes over when its wait after the last advert that it accepted is over.
pub(super) fn priority_changes(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let Some(successor) = cast.successor(world) else { return false };
    let theirs = world.rules(successor).priority;
    let is_plain = world.all_preempt() && world.rules(successor).preempt == Preempt::Always;
    if theirs < 2 || !is_plain || world.rules(cast.master).priority == theirs {
        return false;
    }
    let phase = random.time(world.interval(cast.master) * 2);
    world.run_for(phase);
    let down = world.down(successor, world.node(successor, 0).watch.gone_by());
    let since = cast.last_advert(world);
    world.configure(cast.master, |config| config.with_priority(priority(theirs - 1)));
    world.run_until(since + down + world.delay_and_lag() + ROUNDING);
    let is_master = (0..world.segments()).all(|segment| world.is_master(successor, segment));
    world.check("E15", is_master, |world| format!("{successor} did not take over: {}", world.state()));
    let slack = world.delay_and_lag();
    world.run_for(slack);
    world.expect_one_master("E15");
    true
}

/// E16: the list of addresses changes on one router after the other. No role changes (VR-073), only the master has
/// addresses, and there only the difference is added and removed.
pub(super) fn addresses_change(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let before = world.standings();
    for is_back in [false, true] {
        for segment in 0..world.segments() {
            let old = world.node(cast.master, segment).sender.addresses.clone();
            let new = if is_back {
                world.configured_addresses(segment)
            } else {
                // The first of version 6 has to be link-local (VR-027).
                let mut new = old.clone();
                if new.len() > 1 {
                    new.remove(1 + random.place(new.len() - 1));
                }
                let more = (0..=random.place(2))
                    .map(|place| wire::virtual_address(world.options.family, segment, 30 + place));
                new.extend(more);
                new
            };
            let mut wanted: Vec<(IpAddr, bool)> = Vec::new();
            wanted
                .extend(old.iter().filter(|address| !new.contains(address)).map(|address| (*address, false)));
            wanted
                .extend(new.iter().filter(|address| !old.contains(address)).map(|address| (*address, true)));
            wanted.sort_unstable();
            let (count, first) = (world.hosts.len(), random.place(world.hosts.len()));
            for host in (0..count).map(|place| (first + place) % count) {
                let mut edits: Vec<(IpAddr, bool)> =
                    world.change_addresses(host, segment, &new).iter().map(edit).collect();
                edits.sort_unstable();
                let is_right = if host == cast.master { edits == wanted } else { edits.is_empty() };
                world.check("E16", is_right, |_| {
                    format!("{old:?} became {new:?} on {host} by {edits:?}, master {}", cast.master)
                });
                // Lists differ for a while.
                let meanwhile = random.time(world.interval(cast.master) * 2);
                world.run_for(meanwhile);
            }
        }
    }
    let after = world.standings();
    world.check("E16", before == after, |world| format!("roles changed: {}", world.state()));
    true
}

/// Which address, and whether it is added.
fn edit(change: &AddressChange) -> (IpAddr, bool) {
    match change {
        AddressChange::Add(address) => (address.key.address, true),
        AddressChange::Remove(key) => (key.address, false),
    }
}

/// E18: routers of version 2 with different intervals do not believe each other, and say so.
pub(super) fn intervals_differ(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let Some(other) = random.one_of(&cast.backups) else { return false };
    let Interval::Seconds(seconds) = world.node(other, 0).router.config().interval() else { return false };
    let Ok(interval) = Interval::seconds(seconds.get().saturating_add(1)) else { return false };
    let refused = world.totals.refused;
    world.configure(other, |config| config.with_interval(interval));
    let bound = world.down(other, world.rules(other).interval) + world.delay_and_lag() + ROUNDING;
    world.run_for(bound);
    for _ in 0..3 {
        for segment in 0..world.segments() {
            let masters = world.masters(segment);
            let are_both = masters.len() == 2 && masters.contains(&cast.master) && masters.contains(&other);
            world.check("E18", are_both, |world| format!("{masters:?} are masters: {}", world.state()));
        }
        world.run_for(bound * 3);
    }
    let more = world.totals.refused - refused;
    world.check("E18", more > 0, |_| "nothing was refused".to_owned());
    true
}

/// E20: the master leaves, and comes back when its wait after the last such packet is over.
pub(super) fn hostile_advert(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    if world.rules(cast.master).is_owner() || world.living().any(|host| world.rules(host).is_owner()) {
        return false;
    }
    let refuses_strangers = world.options.delivers == Delivers::ToPeers { refuses_strangers: true };
    let before = world.standings();
    let phase = random.time(world.interval(cast.master) * 2);
    world.run_for(phase);
    let interval = world.node(cast.master, 0).router.config().interval();
    if world.options.version == Version::V2 && !crate::peace::has_one_interval(&world.options) {
        return false;
    }
    // What is under way arrives first.
    let slack = world.options.delay;
    let since = world.now + slack;
    for segment in 0..world.segments() {
        let source = wire::address(world.options.family, segment, 250);
        for host in 0..world.hosts.len() {
            let octets = world.forge(host, segment, source, Advertised::Running(priority(255)), interval);
            world.deliver(since, host, segment, &octets);
        }
    }
    world.run_until(since);
    if refuses_strangers {
        // VR-222: nothing comes of it.
        let after = world.standings();
        world.check("E20", before == after, |world| format!("strangers are believed: {}", world.state()));
        return true;
    }
    let masters = world.masters(0);
    world.check("E20", masters.is_empty(), |world| format!("{masters:?} stay: {}", world.state()));
    let gone_by = world.rules(cast.master).interval;
    let waits: Vec<_> = world.living().map(|host| (host, world.down(host, gone_by))).collect();
    expect_takeover(world, "E20", since, &waits);
    true
}

fn skews(world: &World, cast: &Cast) -> Vec<(usize, Duration)> {
    let skew = |host: usize| world.skew(host, world.node(host, 0).watch.gone_by());
    cast.backups.iter().map(|&host| (host, skew(host))).collect()
}
