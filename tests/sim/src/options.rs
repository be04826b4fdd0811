//! What a seed stands for: a network of routers, and which faults it suffers.

use std::fmt;
use std::num::NonZeroU8;
use std::time::Duration;

use lvs_core::Family;
use lvs_vrrp::{AnnounceSchedule, Config, DownTimerAdverts, Interval, Preempt, Priority, Start, Version};

use crate::bounds::Given;
use crate::clock::Rate;
use crate::fault::{Fault, Faults};
use crate::random::Random;

/// One network, completely described.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it all comes from.
    pub seed: u64,
    /// The version that all speak.
    pub version: Version,
    /// Of all addresses.
    pub family: Family,
    /// The routers, 2 to 8.
    pub hosts: Vec<HostOptions>,
    /// Instances of each host: one, or two in a sync group.
    pub instances: usize,
    /// Whether the two best have the same priority.
    pub tie: bool,
    /// How long a packet travels at most when nothing is wrong.
    pub delay: Duration,
    /// How late a process that is not paused runs at most what is due.
    pub lag: Duration,
    /// How long the kernel takes for the addresses at most.
    pub claim: Duration,
    /// Virtual addresses, 1 to 3.
    pub addresses: usize,
    /// Whether routers refuse packets from their own address, as the driver has them do.
    pub knows_own_address: bool,
    /// How adverts travel.
    pub delivers: Delivers,
    /// Whether version 2 has a password.
    pub has_password: bool,
    /// Octets in which it is recorded what a router is told, to be replayed now and then; 0 for no recording.
    pub room: usize,
    /// The kinds of faults that are on.
    pub faults: Faults,
    /// How many faults there are between two times of peace.
    pub faults_per_round: u64,
    /// How often there is war and peace.
    pub rounds: u64,
    /// The mean time between two faults.
    pub gap: Duration,
}

/// How adverts travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivers {
    /// To the group.
    ToGroup,
    /// To each of the others by itself.
    ToPeers {
        /// Whether adverts from anybody else are refused.
        refuses_strangers: bool,
    },
}

/// One router of a network.
#[derive(Clone, Copy, Debug)]
pub struct HostOptions {
    /// Its configuration at the start and in peace.
    pub config: Config,
    /// What that was made of.
    pub given: Given,
    /// The rate of its clock.
    pub rate: Rate,
}

impl Options {
    /// The network of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let version = if random.happens(400) { Version::V2 } else { Version::V3 };
        let family = if version == Version::V3 && random.happens(400) { Family::Ipv6 } else { Family::Ipv4 };
        let count = match random.below(8) {
            0 => 2,
            _ => 3 + random.place(6),
        };
        let interval = Self::interval(&mut random, version);
        let longest_down = interval.duration() * 4;
        let is_short = interval.duration() < Duration::from_secs(1);
        let is_mixed = version == Version::V3 && random.happens(120);
        let tie = random.happens(300);
        let mut priorities: Vec<u8> = vec![1, 2, 50, 99, 100, 101, 149, 150, 151, 200, 253, 254, 255];
        let mut chosen: Vec<u8> =
            (0..count).map(|_| priorities.remove(random.place(priorities.len()))).collect();
        if tie {
            chosen.sort_unstable();
            let best = chosen.len() - 1;
            if chosen.get(best) == Some(&255) && random.happens(600) {
                chosen[best] = 252;
            }
            chosen[best - 1] = chosen[best];
            for place in 0..best {
                chosen.swap(place, place + random.place(best + 1 - place));
            }
        }
        let common_preempt = match random.below(5) {
            0 | 1 => Some(Preempt::Always),
            2 => Some(Preempt::Never),
            _ => None,
        };
        let common_start = random.one_of(&[Some(Start::Backup), Some(Start::Backup), None]).flatten();
        let drift = random.one_of(&[0, 50, 2_000, 20_000, 150_000]).unwrap_or(0);
        let delay = random.one_of(&[0, 50, 300, 2_000]).unwrap_or(0);
        let lag = random.one_of(&[0, 0, 20, 500]).unwrap_or(0);
        // If no advert may fail to come, there is nothing but the skew for whatever is late.
        let is_exact = drift <= 50 && delay <= 50 && lag <= 20 && interval.duration() >= TENTH && !is_mixed;
        let misses = if is_exact { random.one_of(&[3, 1]) } else { random.one_of(&[3, 3, 3, 3, 2, 5]) };
        let misses = misses.and_then(|misses| DownTimerAdverts::new(misses).ok());
        let hosts = chosen
            .into_iter()
            .map(|priority| {
                let interval = if is_mixed && random.happens(500) {
                    Self::near(&mut random, interval)
                } else {
                    interval
                };
                let preempt = common_preempt.unwrap_or_else(|| match random.below(3) {
                    0 => Preempt::Always,
                    1 => Preempt::Never,
                    _ => Preempt::After(random.time(longest_down * 3)),
                });
                let start = common_start.unwrap_or_else(|| match random.below(2) {
                    0 => Start::Backup,
                    _ => Start::Master,
                });
                let mut config =
                    Config::new(interval, self::priority(priority)).with_preempt(preempt).with_start(start);
                let mut given = Given::default();
                if random.happens(300) {
                    given = announcements(&mut random);
                    config = config.with_announcements(schedule(&given));
                }
                if random.happens(150) {
                    config = config.with_start_delay(random.time(longest_down));
                }
                if let Some(misses) = misses {
                    config = config.with_down_timer_adverts(misses);
                }
                config = config
                    .with_lower_prio_no_advert(random.happens(100))
                    .with_higher_prio_send_advert(random.happens(100))
                    .with_yield_when_late(random.happens(100))
                    // Two owners that hear nothing would both be master for ever.
                    .with_owner_ignore_adverts(!(tie && priority == 255) && random.happens(300));
                // At short intervals three seconds, the least otherwise, are very many adverts.
                if is_short || random.happens(200) {
                    let least = if is_short { CLAIM * 10 } else { Duration::from_secs(1) };
                    given.claim_timeout = Some(longest_down.max(least));
                    config = config.with_claim_timeout(longest_down.max(least));
                }
                let ppm = i32::try_from(random.below(2 * drift + 1)).unwrap_or(0)
                    - i32::try_from(drift).unwrap_or(0);
                HostOptions { config, given, rate: Rate::ppm(ppm) }
            })
            .collect();
        let longest_claim = if is_short { CLAIM } else { CLAIM * 15 };
        let shortest = interval.duration();
        let mut faults = Faults::NONE;
        let share = 200 + random.below(700);
        for fault in Fault::ALL {
            if random.happens(share) {
                faults = faults.with(fault);
            }
        }
        let instances = if random.happens(200) { 2 } else { 1 };
        // Members of a group have to agree on who wins, and with equal priorities the addresses decide.
        if tie && instances > 1 {
            faults = faults.without(Fault::Address);
        }
        let delivers = if random.happens(200) {
            Delivers::ToPeers { refuses_strangers: random.happens(500) }
        } else {
            Delivers::ToGroup
        };
        // Who is addressed by itself cannot change its address alone.
        if delivers != Delivers::ToGroup {
            faults = faults.without(Fault::Address);
        }
        let has_password = version == Version::V2 && random.happens(600);
        // In few networks there is one; there it is always changed.
        faults = if has_password { faults.with(Fault::Password) } else { faults.without(Fault::Password) };
        // Faults of clocks outlast the war, and would be false takeovers in peace.
        if misses.is_some_and(|misses| misses.get() == 1) {
            faults = faults.without(Fault::ClockRate);
        }
        // An interval costs the same however long it is: most of them where the time is to be lived.
        let patience = match shortest.cmp(&Duration::from_secs(1)) {
            std::cmp::Ordering::Less => 2,
            std::cmp::Ordering::Equal => 20,
            std::cmp::Ordering::Greater => 1,
        };
        Self {
            seed,
            version,
            family,
            hosts,
            instances,
            tie,
            delay: Duration::from_micros(delay),
            lag: Duration::from_micros(lag),
            claim: random.one_of(&[Duration::ZERO, CLAIM / 20, CLAIM, longest_claim]).unwrap_or(CLAIM),
            addresses: 1 + random.place(3),
            knows_own_address: random.happens(400),
            delivers,
            has_password,
            // So little that most recordings begin in the middle of a router's life.
            room: if random.happens(150) { random.one_of(&[1, 2_000, 10_000]).unwrap_or(1) } else { 0 },
            faults,
            faults_per_round: 5 + random.below(40),
            rounds: 4,
            gap: shortest * u32::try_from(1 + random.below(4)).unwrap_or(1) * patience,
        }
    }

    /// Mostly a second.
    fn interval(random: &mut Random, version: Version) -> Interval {
        let interval = match version {
            Version::V2 => Interval::seconds(random.one_of(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 5]).unwrap_or(1)),
            Version::V3 => Interval::centis(
                random
                    .one_of(&[1, 2, 5, 10, 37, 100, 100, 100, 100, 100, 100, 100, 100, 250, 4095])
                    .unwrap_or(1),
            ),
        };
        interval.unwrap_or(match version {
            Version::V2 => Interval::Seconds(NonZeroU8::MIN),
            Version::V3 => Interval::Centis(lvs_vrrp::Centis::SECOND),
        })
    }

    /// Another interval of version 3, from a fourth of this one to its fourfold.
    fn near(random: &mut Random, interval: Interval) -> Interval {
        let Interval::Centis(centis) = interval else { return interval };
        let quarter = u64::from(centis.get()).div_ceil(4);
        let centis = quarter + random.below(quarter * 15);
        u16::try_from(centis).ok().and_then(|centis| Interval::centis(centis).ok()).unwrap_or(interval)
    }

    /// The shortest interval of all routers.
    #[must_use]
    pub fn shortest_interval(&self) -> Duration {
        let intervals = self.hosts.iter().map(|host| host.config.interval().duration());
        intervals.min().unwrap_or_default()
    }

    /// Whether it counts as one of the networks that matter most: intervals of at most a second, and at least
    /// three routers.
    #[must_use]
    pub fn is_fast_and_wide(&self) -> bool {
        let is_fast = |host: &HostOptions| host.config.interval().duration() <= Duration::from_secs(1);
        self.hosts.len() >= 3 && self.hosts.iter().all(is_fast)
    }
}

/// The smallest skew of this interval is 390 microseconds.
const TENTH: Duration = Duration::from_millis(100);

/// What a kernel that is not quick takes for the addresses.
const CLAIM: Duration = Duration::from_millis(20);

/// Any announcements, from none too many to very many.
fn announcements(random: &mut Random) -> Given {
    let packets = |random: &mut Random| random.one_of(&[1, 2, 5, 255]).unwrap_or(1);
    // Of rounds that are due at the same time the larger counts; a whole number of seconds makes them so.
    let is_even = random.happens(500);
    let time = |random: &mut Random, longest: u64| {
        if is_even {
            Duration::from_secs(random.below(longest + 1))
        } else {
            random.time(Duration::from_secs(longest))
        }
    };
    let mut given = Given {
        repeat: packets(random),
        delay: time(random, 10),
        refresh_repeat: packets(random),
        ..Given::default()
    };
    if random.happens(500) {
        let longest = random.one_of(&[1, 10, 100]).unwrap_or(1);
        given.refresh = time(random, longest);
    }
    if random.happens(500) {
        let longest = random.one_of(&[0, 1, 10]).unwrap_or(0);
        given.losing_repeat = random.one_of(&[0, 1, 5]);
        given.losing_delay = Some(time(random, longest));
    }
    given
}

/// The same for the router.
fn schedule(given: &Given) -> AnnounceSchedule {
    let packets = |packets| NonZeroU8::new(packets).unwrap_or(NonZeroU8::MIN);
    let mut schedule = AnnounceSchedule::default()
        .with_repeat(packets(given.repeat))
        .with_delay(given.delay)
        .with_refresh(given.refresh)
        .with_refresh_repeat(packets(given.refresh_repeat));
    if let Some(packets) = given.losing_repeat {
        schedule = schedule.with_lower_prio_repeat(packets);
    }
    if let Some(delay) = given.losing_delay {
        schedule = schedule.with_lower_prio_delay(delay);
    }
    schedule
}

/// The priority with this number; 0, which is none, gives the default.
#[must_use]
pub fn priority(number: u8) -> Priority {
    Priority::new(number).unwrap_or_default()
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: version {}, {:?}, {} routers of {} instances",
            self.seed,
            self.version,
            self.family,
            self.hosts.len(),
            self.instances
        )?;
        writeln!(
            f,
            "delay {:?}, lag {:?}, claim {:?}, {} addresses, refuses own address: {}",
            self.delay, self.lag, self.claim, self.addresses, self.knows_own_address
        )?;
        writeln!(f, "adverts {:?}, password: {}", self.delivers, self.has_password)?;
        for (place, host) in self.hosts.iter().enumerate() {
            writeln!(
                f,
                "router {place}: interval {:?}, clock {:?}, {:?}",
                host.config.interval().duration(),
                host.rate,
                host.config
            )?;
        }
        let Self { rounds, faults_per_round, gap, faults, .. } = self;
        write!(f, "{rounds} rounds of {faults_per_round} faults {gap:?} apart: {faults}")
    }
}
