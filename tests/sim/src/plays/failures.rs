//! Hosts that crash, are paused, start again: E2, E8, E13, E19.

use lvs_core::Role;

use super::{Cast, ROUNDING, expect_takeover};
use crate::random::Random;
use crate::world::World;

/// E2: nobody is master before the shortest Down_i after the last advert, and somebody is D + G later.
pub(super) fn silent_crash(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let phase = random.time(world.interval(cast.master) * 2);
    world.run_for(phase);
    let (since, waits) = (cast.last_advert(world), cast.downs(world));
    world.kill(cast.master, true);
    expect_takeover(world, "E2", since, &waits);
    true
}

/// E8: a pause that is over in time changes nothing; otherwise another takes over. Either way at most one advert
/// is sent at the end of the pause, and the router that is to be master is.
pub(super) fn master_is_paused(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let phase = random.time(world.interval(cast.master));
    world.run_for(phase);
    let paused_for = random.time(world.interval(cast.master) * 8);
    let gap = (world.now - cast.last_advert(world)) + paused_for;
    let is_harmless = gap + world.delay_and_lag() < cast.shortest_down(world);
    let before = world.standings();
    world.pause(cast.master, random.happens(500), false);
    world.run_for(paused_for);
    let sent: Vec<u64> = (0..world.segments()).map(|s| world.node(cast.master, s).adverts).collect();
    let rules = *world.rules(cast.master);
    world.resume(cast.master);
    for (segment, sent) in sent.into_iter().enumerate() {
        let node = world.node(cast.master, segment);
        // One that sends a last advert before it yields sends that one. A member of a group may resign after it, if
        // another one finds itself too late.
        let more = node.adverts - sent;
        world.check("E8", more <= 1, |_| format!("{more} adverts after a pause of {paused_for:?}"));
    }
    if is_harmless && !rules.yields_when_late {
        world.check("E8", world.standings() == before, |world| format!("roles changed: {}", world.state()));
    }
    if !is_harmless {
        // Who took over may give no answer to losing adverts: then the old master hears of it at the next advert.
        let answers = world.living().all(|host| world.rules(host).answers_losers());
        let longest = world.living().map(|host| world.interval(host)).max().unwrap_or_default();
        let interval = if answers { world.interval(cast.master) } else { longest };
        let bound = interval + world.delay_and_lag() * 2;
        let all_stay = cast.backups.iter().all(|&host| world.masters(0) != [host]);
        let knows_others = !rules.yields_when_late && all_stay;
        world.run_for(bound);
        if knows_others && !world.options.tie && world.options.instances == 1 {
            let masters = world.masters(0).len();
            world.check("E8", masters <= 1, |world| format!("{masters} masters: {}", world.state()));
        }
    }
    true
}

/// E8b: what waits in the sockets of a backup is read before its timer is believed.
pub(super) fn backup_is_paused(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    let Some(backup) = random.one_of(&cast.backups) else { return false };
    let before = world.standings();
    world.pause(backup, true, false);
    let paused_for = cast.shortest_down(world) + random.time(world.interval(cast.master) * 4);
    world.run_for(paused_for);
    world.resume(backup);
    let after = world.standings();
    world.check("E8b", before == after, |world| format!("roles changed: {}", world.state()));
    world.expect_no_change("E8b", paused_for);
    true
}

/// E13: it starts as a backup without the addresses, and if it is the best it is master again.
pub(super) fn crash_and_restart(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    if world.rules(cast.master).is_owner() {
        return false;
    }
    world.kill(cast.master, false);
    let away = random.time(cast.shortest_down(world) * 2);
    world.run_for(away);
    world.start(cast.master);
    for segment in 0..world.segments() {
        let role = world.node(cast.master, segment).router.role();
        let is_right = role != Role::Master && !world.has_addresses(cast.master, segment);
        world.check("E13", is_right, |world| format!("starts as {role}: {}", world.state()));
    }
    world.expect_peace("E13");
    true
}

/// E19: a group leaves as a whole, and another takes over as a whole when the last of its members may.
pub(super) fn member_of_group_dies(world: &mut World, random: &mut Random, cast: &Cast) -> bool {
    if world.segments() < 2 {
        return false;
    }
    let phase = random.time(world.interval(cast.master));
    world.run_for(phase);
    // Where the link is gone nobody hears of it; on the other segment it resigns.
    let since = world.node(cast.master, 0).advertised_at;
    let longest = cast.downs(world).into_iter().map(|(_, down)| down).max().unwrap_or_default();
    world.set_link(cast.master, 0, false);
    let is_gone = (0..world.segments()).all(|segment| !world.is_master(cast.master, segment));
    world.check("E19", is_gone, |world| format!("the group stays: {}", world.state()));
    world.run_until(since + longest + world.delay_and_lag() + ROUNDING);
    for segment in 0..world.segments() {
        let masters = world.masters(segment);
        world.check("E19", !masters.is_empty(), |world| format!("nobody took over: {}", world.state()));
    }
    true
}
