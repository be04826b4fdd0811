use std::net::Ipv4Addr;

use super::*;
use crate::config::{AnnounceSchedule, DownTimerAdverts, Preempt};
use crate::conflict::{ConflictEnd, ConflictEvent, Verdict};
use crate::types::Vrid;

mod announcements;
mod claims;
mod conflicts;
mod knobs;
mod late;
mod master;

const OWN: [u8; 4] = [10, 0, 0, 5];
const LOWER_ADDRESS: [u8; 4] = [10, 0, 0, 4];
const HIGHER_ADDRESS: [u8; 4] = [10, 0, 0, 6];
/// Where the lower address has the higher last octet: addresses are compared as network order integers.
const LOWER_ADDRESS_HIGHER_END: [u8; 4] = [9, 255, 255, 255];

fn priority(number: u8) -> Priority {
    Priority::new(number).unwrap()
}

fn running(number: u8) -> Action {
    Action::Advertise(Advertised::Running(priority(number)))
}

const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn ns(number: u64) -> Duration {
    Duration::from_nanos(number)
}

/// Both versions with one second: all waits are the same.
fn both_versions() -> [Interval; 2] {
    [Interval::seconds(1).unwrap(), Interval::centis(100).unwrap()]
}

/// Waits of priority 100 at one second.
const DOWN: Duration = ns(3_609_375_000);
const SKEW: Duration = ns(609_375_000);

/// A router, its clock, and what came out of it.
struct Rig {
    router: Router,
    now: Instant,
}

impl Rig {
    fn new(config: Config) -> Self {
        // Not the origin, so that a forgotten offset shows.
        let now = Instant::from_nanos(5_000_000_000);
        Self { router: Router::new(config, OWN.into()), now }
    }

    fn backup(config: Config) -> Self {
        let mut rig = Self::new(config);
        rig.router.enable(rig.now);
        let to = if config.priority().is_owner() { Role::Master } else { Role::Backup };
        assert_eq!(rig.router.role(), to);
        rig.drain();
        rig
    }

    /// A master at the moment of its first advert, its addresses confirmed.
    fn master(config: Config) -> Self {
        let mut rig = Self::backup(config);
        if rig.router.role() == Role::Backup {
            rig.expire();
        }
        assert_eq!(rig.router.role(), Role::Master);
        rig.confirm();
        rig.drain();
        rig
    }

    fn drain(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.router.poll_action()).collect()
    }

    /// What the router sends and does, without the reports about it.
    fn deeds(&mut self) -> Vec<Action> {
        let mut actions = self.drain();
        actions.retain(|action| !matches!(action, Action::Changed(_) | Action::Conflict(_)));
        actions
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    fn until_timeout(&self) -> Duration {
        self.router.poll_timeout().expect("a timer runs") - self.now
    }

    fn expire(&mut self) {
        self.now = self.router.poll_timeout().expect("a timer runs");
        self.router.handle_timeout(self.now);
    }

    fn confirm(&mut self) {
        self.router.handle_claimed(self.now, self.router.epoch, ClaimResult::Confirmed);
    }

    fn hear(&mut self, source: [u8; 4], octet: u8) {
        self.hear_interval(source, octet, self.router.config().interval());
    }

    fn hear_interval(&mut self, source: [u8; 4], octet: u8, interval: Interval) {
        let vips = [Ipv4Addr::new(10, 0, 0, 100)];
        let advert =
            Advert::new(Vrid::new(1).unwrap(), Advertised::from_octet(octet), interval, &vips).unwrap();
        self.router.handle_advert(self.now, source.into(), &advert);
    }

    fn reason(&mut self) -> Reason {
        self.drain()
            .into_iter()
            .find_map(|action| match action {
                Action::Changed(transition) => Some(transition.reason),
                _ => None,
            })
            .expect("the role changed")
    }
}

fn config(interval: Interval) -> Config {
    Config::new(interval, priority(100))
}

fn v3() -> Config {
    config(Interval::centis(100).unwrap())
}

/// One round per mastership.
fn once() -> AnnounceSchedule {
    AnnounceSchedule::default().with_delay(Duration::ZERO)
}

/// A conflict of which only one advert came, right now.
fn conflict(rig: &Rig, other: [u8; 4], octet: u8, verdict: Verdict) -> Conflict {
    let (other, priority) = (other.into(), priority(octet));
    Conflict { other, priority, verdict, since: rig.now, until: rig.now, adverts: 1 }
}

fn owner() -> Config {
    v3().with_priority(Priority::OWNER)
}

// Startup

#[test]
fn owner_becomes_master_at_once_and_its_advert_comes_first() {
    // VR-110, VR-009.
    let mut rig = Rig::new(owner());
    rig.router.enable(rig.now);
    let epoch = Epoch::NONE.next();
    let transition = Transition {
        from: Role::Initialize,
        to: Role::Master,
        reason: Reason::Enabled,
        priority: Priority::OWNER,
        epoch,
    };
    assert_eq!(rig.drain(), [running(255), Action::Claim { epoch }, Action::Changed(transition)]);
    assert_eq!(rig.until_timeout(), ms(1000));
}

#[test]
fn any_other_router_listens_for_a_master_down_interval_first() {
    // VR-111, VR-096.
    for interval in both_versions() {
        let rig = Rig::backup(config(interval));
        assert_eq!(rig.until_timeout(), DOWN);
    }
}

#[test]
fn a_router_configured_as_master_listens_for_one_interval_and_the_smallest_skew() {
    let rig = Rig::backup(v3().with_start(Start::Master));
    assert_eq!(rig.until_timeout(), ns(1_007_812_500));
}

#[test]
fn a_router_configured_as_master_still_yields_to_a_better_one() {
    let mut rig = Rig::backup(v3().with_start(Start::Master));
    rig.pass(ms(900));
    rig.hear(LOWER_ADDRESS, 101);
    assert_eq!(rig.until_timeout(), DOWN);
}

#[test]
fn adverts_and_timeouts_mean_nothing_before_the_start() {
    // VR-115 to VR-121, first column.
    let mut rig = Rig::new(v3());
    for octet in [0, 1, 100, 255] {
        rig.hear(HIGHER_ADDRESS, octet);
    }
    rig.pass(ms(100_000));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.drain(), []);
    assert_eq!(rig.router.poll_timeout(), None);
    assert_eq!(rig.router.role(), Role::Initialize);
}

#[test]
fn enabling_twice_changes_nothing() {
    let mut rig = Rig::backup(v3());
    rig.pass(ms(1000));
    rig.router.enable(rig.now);
    assert_eq!(rig.drain(), []);
    assert_eq!(rig.until_timeout(), DOWN - ms(1000));
}

// Shutdown

#[test]
fn a_backup_that_stops_says_nothing() {
    // VR-112.
    let mut rig = Rig::backup(v3());
    rig.router.disable(rig.now);
    assert_eq!(rig.deeds(), []);
    assert_eq!(rig.router.role(), Role::Initialize);
    assert_eq!(rig.router.poll_timeout(), None);
}

#[test]
fn a_master_that_stops_resigns_once_and_releases_its_addresses() {
    // VR-112.
    let mut rig = Rig::master(v3());
    rig.router.disable(rig.now);
    let epoch = rig.router.epoch;
    assert_eq!(rig.deeds(), [Action::Advertise(Advertised::Resigning), Action::Release { epoch }]);
    rig.router.disable(rig.now);
    rig.pass(ms(10_000));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.drain(), []);
}

// Backup

#[test]
fn backup_takes_over_after_master_down_interval_when_master_vanishes() {
    // VR-113, VR-091, VR-093.
    for interval in both_versions() {
        let mut rig = Rig::backup(config(interval));
        rig.pass(ms(300));
        rig.hear(HIGHER_ADDRESS, 150);
        rig.pass(DOWN - ns(1));
        rig.router.handle_timeout(rig.now);
        assert_eq!(rig.drain(), []);
        rig.pass(ns(1));
        rig.router.handle_timeout(rig.now);
        let epoch = rig.router.epoch;
        assert_eq!(rig.deeds(), [running(100), Action::Claim { epoch }]);
        assert_eq!(rig.until_timeout(), ms(1000));
    }
}

#[test]
fn backup_takes_over_after_its_skew_time_when_master_resigns() {
    // VR-115, VR-100: whole, from now.
    for interval in both_versions() {
        let mut rig = Rig::backup(config(interval));
        rig.hear(HIGHER_ADDRESS, 150);
        rig.pass(ms(999));
        rig.hear(HIGHER_ADDRESS, 0);
        assert_eq!(rig.until_timeout(), SKEW);
        rig.expire();
        assert_eq!(rig.router.role(), Role::Master);
        assert_eq!(rig.reason(), Reason::MasterResigned);
    }
}

#[test]
fn the_skew_after_a_resignation_is_that_of_the_learnt_interval_which_stays() {
    // VR-100.
    let mut rig = Rig::backup(v3());
    let learnt = Interval::centis(10).unwrap();
    rig.hear_interval(HIGHER_ADDRESS, 150, learnt);
    rig.hear_interval(HIGHER_ADDRESS, 0, Interval::centis(400).unwrap());
    assert_eq!(rig.until_timeout(), ns(60_937_500));
    assert_eq!(rig.router.master_interval(), learnt);
}

#[test]
fn backup_learns_interval_skew_and_down_interval_from_every_advert_in_version_three() {
    // VR-097, VR-069, VR-092.
    let mut rig = Rig::backup(v3());
    rig.hear_interval(HIGHER_ADDRESS, 150, Interval::centis(20).unwrap());
    assert_eq!(rig.until_timeout(), ns(721_875_000));
    rig.hear_interval(HIGHER_ADDRESS, 150, Interval::centis(4095).unwrap());
    assert_eq!(rig.until_timeout(), ns(147_803_906_250));
}

#[test]
fn a_master_sends_at_its_own_interval_and_forgets_the_learnt_one() {
    // VR-098, VR-099.
    let mut rig = Rig::backup(v3());
    rig.hear_interval(HIGHER_ADDRESS, 150, Interval::centis(20).unwrap());
    rig.expire();
    assert_eq!(rig.until_timeout(), ms(1000));
    assert_eq!(rig.router.master_interval(), Interval::centis(100).unwrap());
}

#[test]
fn backup_yields_to_equal_priority_whatever_the_address() {
    // VR-117, VR-118, VR-119.
    for source in [LOWER_ADDRESS, OWN, HIGHER_ADDRESS] {
        let mut rig = Rig::backup(v3());
        rig.pass(ms(3000));
        rig.hear(source, 100);
        assert_eq!(rig.until_timeout(), DOWN, "{source:?}");
        assert_eq!(rig.drain(), []);
    }
}

#[test]
fn preempting_backup_ignores_a_lower_master_and_takes_over() {
    // VR-120.
    let mut rig = Rig::backup(v3());
    rig.pass(ms(3000));
    rig.hear(HIGHER_ADDRESS, 99);
    assert_eq!(rig.until_timeout(), DOWN - ms(3000));
    rig.expire();
    let reason = Reason::Preempted { master: HIGHER_ADDRESS.into(), priority: priority(99) };
    assert_eq!(rig.reason(), reason);
}

#[test]
fn backup_that_does_not_preempt_yields_to_a_lower_master() {
    // VR-121.
    let mut rig = Rig::backup(v3().with_preempt(Preempt::Never));
    rig.pass(ms(3000));
    rig.hear(HIGHER_ADDRESS, 1);
    assert_eq!(rig.until_timeout(), DOWN);
}

#[test]
fn backup_that_does_not_preempt_takes_over_from_a_master_that_resigns() {
    let mut rig = Rig::backup(v3().with_preempt(Preempt::Never));
    rig.hear(HIGHER_ADDRESS, 1);
    rig.hear(HIGHER_ADDRESS, 0);
    assert_eq!(rig.until_timeout(), SKEW);
}

#[test]
fn an_owner_that_became_one_while_backup_preempts_whatever_the_flag_says() {
    // VR-123, VR-130.
    for preempt in [Preempt::Never, Preempt::After(ms(60_000))] {
        let mut rig = Rig::backup(v3().with_preempt(preempt));
        rig.router.set_priority(rig.now, Priority::OWNER);
        rig.pass(ms(3000));
        rig.hear(HIGHER_ADDRESS, 254);
        assert_eq!(rig.until_timeout(), DOWN - ms(3000));
    }
}

#[test]
fn preempt_delay_counts_from_the_start_and_ends_with_the_wait_for_the_last_advert_yielded_to() {
    // VR-129.
    let mut rig = Rig::backup(v3().with_preempt(Preempt::After(ms(10_000))));
    for _ in 0..9 {
        rig.pass(ms(1000));
        rig.hear(HIGHER_ADDRESS, 50);
        assert_eq!(rig.until_timeout(), DOWN);
    }
    rig.pass(ms(1000));
    rig.hear(HIGHER_ADDRESS, 50);
    assert_eq!(rig.until_timeout(), DOWN - ms(1000));
}

#[test]
fn preempt_delay_begins_again_after_a_better_master() {
    // VR-129.
    let mut rig = Rig::backup(v3().with_preempt(Preempt::After(ms(2000))));
    rig.pass(ms(1999));
    rig.hear(HIGHER_ADDRESS, 100);
    rig.pass(ms(1000));
    rig.hear(LOWER_ADDRESS, 50);
    rig.pass(ms(1999));
    rig.hear(LOWER_ADDRESS, 50);
    assert_eq!(rig.until_timeout(), DOWN);
    rig.pass(ms(1));
    rig.hear(LOWER_ADDRESS, 50);
    assert_eq!(rig.until_timeout(), DOWN - ms(1));
}

#[test]
fn preempt_delay_does_not_hold_back_when_there_is_no_master() {
    let rig = Rig::backup(v3().with_preempt(Preempt::After(ms(60_000))));
    assert_eq!(rig.until_timeout(), DOWN);
}

#[test]
fn new_priority_counts_for_the_next_comparison_and_the_next_wait() {
    // VR-124, VR-094.
    let mut rig = Rig::backup(v3());
    rig.router.set_priority(rig.now, priority(1));
    assert_eq!(rig.until_timeout(), DOWN);
    rig.hear(HIGHER_ADDRESS, 2);
    assert_eq!(rig.until_timeout(), ns(3_996_093_750));
}
