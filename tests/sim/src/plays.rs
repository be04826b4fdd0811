//! The situations E1 to E20, each with its bound.

use std::time::Duration;

use crate::random::Random;
use crate::world::World;

/// E1: all start within a time, and after the longest wait of the best and one interval there is one master.
pub fn cold_start(world: &mut World, random: &mut Random) {
    world.totals.plays[1] += 1;
    let within = random.time(world.options.gap);
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
pub fn play_some(_world: &mut World, _random: &mut Random) {}
