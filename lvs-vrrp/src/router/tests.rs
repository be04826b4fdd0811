use std::net::Ipv4Addr;

use super::*;
use crate::types::Vrid;

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

// Master

#[test]
fn a_master_sends_at_a_steady_period_however_late_it_is_woken() {
    // VR-114, VR-101.
    let mut rig = Rig::master(v3());
    let start = rig.now;
    for period in 1..=50 {
        rig.now = start + ms(1000) * period + ms(u64::from(period % 7) * 30);
        rig.router.handle_timeout(rig.now);
        rig.deeds();
        assert!(rig.router.poll_timeout().unwrap() <= start + ms(1000) * (period + 1));
    }
    assert_eq!(rig.router.poll_timeout(), Some(start + ms(51_000)));
}

#[test]
fn a_master_answers_a_resignation_at_once_and_its_period_begins_again() {
    // VR-115.
    let mut rig = Rig::master(v3());
    rig.pass(ms(700));
    rig.hear(LOWER_ADDRESS, 0);
    assert_eq!(rig.deeds(), [running(100)]);
    assert_eq!(rig.until_timeout(), ms(1000));
}

#[test]
fn a_master_yields_to_a_higher_priority_and_learns_its_interval() {
    // VR-116.
    let mut rig = Rig::master(v3().with_preempt(Preempt::Never));
    let epoch = rig.router.epoch;
    rig.hear_interval(LOWER_ADDRESS, 101, Interval::centis(20).unwrap());
    assert_eq!(rig.router.role(), Role::Backup);
    assert_eq!(rig.until_timeout(), ns(721_875_000));
    let reason = Reason::Outranked { by: LOWER_ADDRESS.into(), priority: priority(101) };
    let transition =
        Transition { from: Role::Master, to: Role::Backup, reason, priority: priority(100), epoch };
    assert_eq!(rig.drain(), [Action::Release { epoch }, Action::Changed(transition)]);
}

#[test]
fn between_equal_priorities_the_higher_address_stays_master() {
    // VR-117, VR-118, VR-131.
    for interval in both_versions() {
        let mut rig = Rig::master(config(interval));
        rig.hear(LOWER_ADDRESS, 100);
        rig.hear(LOWER_ADDRESS_HIGHER_END, 100);
        assert_eq!(rig.router.role(), Role::Master);
        rig.hear(HIGHER_ADDRESS, 100);
        assert_eq!(rig.router.role(), Role::Backup);
        assert_eq!(rig.until_timeout(), DOWN);
    }
}

#[test]
fn of_two_owners_the_higher_address_stays_master() {
    // VR-066 with erratum 8298.
    let mut rig = Rig::master(owner());
    rig.hear(LOWER_ADDRESS, 255);
    assert_eq!(rig.router.role(), Role::Master);
    rig.hear(HIGHER_ADDRESS, 255);
    assert_eq!(rig.router.role(), Role::Backup);
    rig.pass(ms(1000));
    rig.hear(HIGHER_ADDRESS, 255);
    assert_eq!(rig.router.role(), Role::Backup);
}

#[test]
fn a_master_answers_a_losing_advert_at_once_announces_again_and_keeps_its_period() {
    // VR-118, VR-120, in version 2 too; VR-121: the flag is not looked at.
    for interval in both_versions() {
        for (source, octet) in [(HIGHER_ADDRESS, 99), (LOWER_ADDRESS, 100)] {
            let mut rig = Rig::master(config(interval).with_preempt(Preempt::Never));
            let epoch = rig.router.epoch;
            rig.expire();
            rig.drain();
            rig.pass(ms(700));
            rig.hear(source, octet);
            let conflict = Conflict { other: source.into(), priority: priority(octet) };
            let round = Action::Announce { epoch, round: 2 };
            assert_eq!(rig.drain(), [running(100), round, Action::Conflict(conflict)]);
            assert_eq!(rig.until_timeout(), ms(300));
        }
    }
}

#[test]
fn a_flood_of_losing_adverts_is_answered_ten_times_per_interval_and_announced_once_per_second() {
    // A7; reliability (c) 32.
    let mut rig = Rig::master(v3());
    let mut deeds = Vec::new();
    for _ in 0..2000 {
        rig.pass(ms(1));
        rig.hear(LOWER_ADDRESS, 1);
        rig.router.handle_timeout(rig.now);
        deeds.extend(rig.drain());
    }
    let count = |wanted: fn(&Action) -> bool| deeds.iter().filter(|action| wanted(action)).count();
    assert_eq!(count(|action| matches!(action, Action::Advertise(_))), 20 + 2);
    assert_eq!(count(|action| matches!(action, Action::Announce { .. })), 2);
    assert_eq!(count(|action| matches!(action, Action::Conflict(_))), 1);
}

#[test]
fn a_flood_of_resignations_is_answered_ten_times_per_interval() {
    let mut rig = Rig::master(v3());
    let mut sent = Vec::new();
    for _ in 0..2000 {
        rig.pass(ms(1));
        rig.hear(LOWER_ADDRESS, 0);
        rig.router.handle_timeout(rig.now);
        for action in rig.deeds() {
            assert_eq!(action, running(100));
            sent.push(rig.now);
        }
    }
    assert_eq!(sent.len(), 20);
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= ms(100)));
}

#[test]
fn a_second_resignation_in_quick_succession_is_answered_within_a_tenth_of_the_interval() {
    let mut rig = Rig::master(v3());
    rig.pass(ms(500));
    rig.hear(LOWER_ADDRESS, 0);
    rig.drain();
    rig.pass(ms(10));
    rig.hear(HIGHER_ADDRESS, 0);
    assert_eq!(rig.deeds(), []);
    assert_eq!(rig.until_timeout(), ms(90));
    rig.expire();
    assert_eq!(rig.deeds(), [running(100)]);
    assert_eq!(rig.until_timeout(), ms(1000));
}

#[test]
fn an_equal_advert_from_our_own_address_is_reported_and_nothing_else() {
    // VR-119.
    let mut rig = Rig::master(v3());
    rig.hear(OWN, 100);
    let conflict = Conflict { other: OWN.into(), priority: priority(100) };
    assert_eq!(rig.drain(), [Action::Conflict(conflict)]);
    assert_eq!(rig.router.role(), Role::Master);
}

#[test]
fn silence_never_changes_a_master() {
    // VR-132.
    let mut rig = Rig::master(v3());
    for _ in 0..1000 {
        rig.expire();
    }
    assert_eq!(rig.router.role(), Role::Master);
}

#[test]
fn a_master_advertises_a_new_priority_from_the_next_advert_on() {
    // VR-124.
    let mut rig = Rig::master(v3());
    rig.router.set_priority(rig.now, priority(30));
    assert_eq!(rig.drain(), []);
    assert_eq!(rig.router.role(), Role::Master);
    rig.expire();
    assert_eq!(rig.deeds(), [running(30)]);
}

#[test]
fn a_master_tells_of_a_new_interval_at_once() {
    // E14.
    let mut rig = Rig::master(v3());
    rig.pass(ms(400));
    rig.router.reconfigure(rig.now, config(Interval::centis(1000).unwrap()));
    assert_eq!(rig.deeds(), [running(100)]);
    assert_eq!(rig.router.role(), Role::Master);
    // The second announcement round is due before the second advert.
    assert_eq!(rig.until_timeout(), ms(4600));
}

#[test]
fn a_backup_keeps_the_learnt_interval_of_version_three_and_not_that_of_another_version() {
    let mut rig = Rig::backup(v3());
    rig.hear_interval(HIGHER_ADDRESS, 150, Interval::centis(20).unwrap());
    rig.router.reconfigure(rig.now, config(Interval::centis(500).unwrap()));
    assert_eq!(rig.until_timeout(), ns(721_875_000));
    rig.router.reconfigure(rig.now, config(Interval::seconds(2).unwrap()));
    assert_eq!(rig.until_timeout(), ms(6000) + SKEW);
}

// Being late

#[test]
fn a_master_that_slept_sends_one_advert_and_then_announces() {
    // E8, E8a, VR-103, VR-163.
    let mut rig = Rig::master(v3());
    let epoch = rig.router.epoch;
    rig.pass(ms(3000));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100), Action::Announce { epoch, round: 2 }]);
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.drain(), []);
    assert_eq!(rig.until_timeout(), ms(1000));
}

#[test]
fn a_master_that_was_late_by_less_than_any_backup_waits_does_not_announce() {
    let mut rig = Rig::master(v3());
    rig.pass(ms(2999));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100)]);
}

#[test]
fn a_master_that_slept_and_hears_a_better_one_first_yields_without_a_word() {
    // A5.
    let mut rig = Rig::master(v3());
    let epoch = rig.router.epoch;
    rig.pass(ms(60_000));
    rig.hear(HIGHER_ADDRESS, 150);
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [Action::Release { epoch }]);
}

#[test]
fn a_master_that_slept_and_hears_losing_adverts_first_sends_one_advert_for_all_and_then_announces() {
    // E8.
    let mut rig = Rig::master(v3());
    let epoch = rig.router.epoch;
    rig.pass(ms(60_000));
    for _ in 0..10 {
        rig.hear(HIGHER_ADDRESS, 99);
        rig.hear(HIGHER_ADDRESS, 0);
    }
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100), Action::Announce { epoch, round: 2 }]);
}

#[test]
fn a_backup_that_slept_and_hears_the_master_first_stays_backup() {
    // E8b.
    let mut rig = Rig::backup(v3());
    rig.pass(ms(60_000));
    rig.hear(HIGHER_ADDRESS, 150);
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.drain(), []);
    assert_eq!(rig.router.role(), Role::Backup);
}

#[test]
fn time_that_stands_still_or_goes_back_does_nothing() {
    // A10.
    let mut rig = Rig::master(v3());
    rig.hear(LOWER_ADDRESS, 1);
    rig.drain();
    for back in [0, 1, 1_000_000_000, 5_000_000_000] {
        let then = rig.now - ns(back);
        rig.router.handle_timeout(then);
        assert_eq!(rig.drain(), [], "{back} ns back");
    }
    rig.router.handle_timeout(Instant::ORIGIN);
    assert_eq!(rig.drain(), []);
}

// Claims and announcements

#[test]
fn the_first_round_follows_the_confirmation_the_second_the_delay_and_then_the_refreshes() {
    let config = v3().with_announce_delay(ms(2500)).with_announce_refresh(ms(7000));
    let mut rig = Rig::backup(config);
    rig.expire();
    let epoch = rig.router.epoch;
    rig.drain();
    rig.pass(ms(100));
    rig.confirm();
    let confirmed = rig.now;
    assert_eq!(rig.drain(), [Action::Announce { epoch, round: 1 }]);
    let mut rounds = Vec::new();
    while rounds.len() < 3 {
        rig.expire();
        for action in rig.deeds() {
            if let Action::Announce { round, .. } = action {
                rounds.push((rig.now - confirmed, round));
            }
        }
    }
    assert_eq!(rounds, [(ms(2500), 2), (ms(9500), 3), (ms(16_500), 4)]);
    assert_eq!(rig.router.ownership().announcements, 4);
}

#[test]
fn without_delay_and_refresh_there_is_one_round() {
    let mut rig = Rig::backup(v3().with_announce_delay(Duration::ZERO));
    rig.expire();
    rig.confirm();
    rig.drain();
    for _ in 0..100 {
        rig.expire();
        assert_eq!(rig.drain(), [running(100)]);
    }
}

#[test]
fn nothing_is_announced_before_the_addresses_are_there() {
    // A3, A4.
    let mut rig = Rig::backup(v3().with_claim_timeout(ms(60_000)));
    rig.expire();
    rig.drain();
    rig.pass(ms(5000));
    rig.router.handle_timeout(rig.now);
    rig.hear(LOWER_ADDRESS, 1);
    assert!(rig.deeds().iter().all(|action| *action == running(100)));
}

#[test]
fn a_claim_that_is_not_confirmed_in_time_is_a_fault_and_tried_again_later_and_later() {
    // Never none: DESIGN, rules of the machines.
    let mut rig = Rig::backup(v3());
    let mut pauses = Vec::new();
    for _ in 0..9 {
        rig.expire();
        assert_eq!(rig.router.role(), Role::Master);
        let since = rig.now;
        while rig.router.role() == Role::Master {
            rig.drain();
            rig.router.handle_claimed(rig.now, rig.router.epoch, ClaimResult::Missing);
            rig.expire();
        }
        assert_eq!(rig.now - since, DOWN);
        assert_eq!(rig.router.role(), Role::Fault);
        let epoch = rig.router.epoch;
        let mut actions = rig.drain();
        let Some(Action::Changed(transition)) = actions.pop() else { panic!("the role changed") };
        assert_eq!(transition.reason, Reason::Fault(FaultReason::ClaimFailed));
        assert_eq!(actions, [Action::Advertise(Advertised::Resigning), Action::Release { epoch }]);
        pauses.push(rig.until_timeout().as_nanos() / DOWN.as_nanos());
        rig.expire();
        assert_eq!(rig.router.role(), Role::Backup);
        assert_eq!(rig.until_timeout(), DOWN);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
}

#[test]
fn addresses_that_go_missing_and_come_back_in_time_are_announced_again() {
    let mut rig = Rig::master(v3());
    let epoch = rig.router.epoch;
    rig.router.handle_claimed(rig.now, epoch, ClaimResult::Missing);
    rig.pass(ms(900));
    rig.router.handle_claimed(rig.now, epoch, ClaimResult::Missing);
    rig.confirm();
    assert_eq!(rig.drain(), [Action::Announce { epoch, round: 2 }]);
    rig.router.handle_claimed(rig.now, epoch, ClaimResult::Missing);
    rig.pass(DOWN);
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.router.role(), Role::Fault);
}

#[test]
fn words_about_an_earlier_mastership_are_ignored() {
    let mut rig = Rig::master(v3());
    let old = rig.router.epoch;
    rig.hear(HIGHER_ADDRESS, 200);
    rig.expire();
    rig.drain();
    assert_ne!(rig.router.epoch, old);
    rig.router.handle_claimed(rig.now, old, ClaimResult::Confirmed);
    assert_eq!(rig.drain(), []);
}

// Gates

#[test]
fn a_fault_ends_a_mastership_with_priority_zero_and_a_backup_without_a_word() {
    // VR-125.
    let fault = Gate::Fault(FaultReason::LinkDown);
    let mut rig = Rig::master(v3());
    let epoch = rig.router.epoch;
    rig.router.set_gate(rig.now, fault);
    assert_eq!(rig.deeds(), [Action::Advertise(Advertised::Resigning), Action::Release { epoch }]);
    assert_eq!((rig.router.role(), rig.router.poll_timeout()), (Role::Fault, None));

    let mut rig = Rig::backup(v3());
    rig.router.set_gate(rig.now, fault);
    assert_eq!(rig.deeds(), []);
    assert_eq!((rig.router.role(), rig.router.poll_timeout()), (Role::Fault, None));
}

#[test]
fn after_a_fault_a_router_listens_for_a_whole_master_down_interval_of_its_own() {
    // VR-126: also one that is configured to begin as master.
    let mut rig = Rig::backup(v3().with_start(Start::Master));
    rig.hear_interval(HIGHER_ADDRESS, 150, Interval::centis(5).unwrap());
    rig.router.set_gate(rig.now, Gate::Fault(FaultReason::LinkDown));
    rig.pass(ms(100_000));
    rig.hear(HIGHER_ADDRESS, 150);
    rig.router.set_gate(rig.now, Gate::Open);
    assert_eq!(rig.router.role(), Role::Backup);
    assert_eq!(rig.until_timeout(), DOWN);
}

#[test]
fn a_router_enabled_at_fault_waits_in_fault() {
    let mut rig = Rig::new(v3());
    rig.router.set_gate(rig.now, Gate::Fault(FaultReason::NoAddress));
    rig.router.enable(rig.now);
    assert_eq!(rig.router.role(), Role::Fault);
    assert_eq!(rig.reason(), Reason::Fault(FaultReason::NoAddress));
    rig.router.disable(rig.now);
    assert_eq!(rig.router.role(), Role::Initialize);
}

#[test]
fn a_held_backup_says_that_it_wants_to_be_master_and_is_when_the_gate_opens() {
    // VR-128.
    let mut rig = Rig::new(v3());
    rig.router.set_gate(rig.now, Gate::Held);
    rig.router.enable(rig.now);
    rig.drain();
    rig.expire();
    assert_eq!(rig.drain(), [Action::WantsMaster]);
    assert_eq!((rig.router.role(), rig.router.poll_timeout()), (Role::Backup, None));
    rig.pass(ms(50));
    rig.router.set_gate(rig.now, Gate::Open);
    assert_eq!(rig.router.role(), Role::Master);
    assert_eq!(rig.until_timeout(), ms(1000));
}

#[test]
fn the_wish_of_a_held_backup_ends_with_an_advert_that_it_yields_to() {
    // VR-128.
    let mut rig = Rig::new(v3());
    rig.router.set_gate(rig.now, Gate::Held);
    rig.router.enable(rig.now);
    rig.expire();
    rig.drain();
    rig.hear(HIGHER_ADDRESS, 99);
    assert_eq!(rig.router.poll_timeout(), None);
    rig.hear(HIGHER_ADDRESS, 100);
    assert_eq!(rig.until_timeout(), DOWN);
    rig.router.set_gate(rig.now, Gate::Open);
    assert_eq!(rig.router.role(), Role::Backup);
}

#[test]
fn a_master_that_is_held_resigns_and_listens() {
    // VR-127.
    let mut rig = Rig::master(v3());
    let epoch = rig.router.epoch;
    rig.router.set_gate(rig.now, Gate::Held);
    assert_eq!(rig.deeds(), [Action::Advertise(Advertised::Resigning), Action::Release { epoch }]);
    assert_eq!(rig.router.role(), Role::Backup);
    assert_eq!(rig.until_timeout(), DOWN);
}

#[test]
fn a_held_owner_waits_for_the_gate() {
    let mut rig = Rig::new(owner());
    rig.router.set_gate(rig.now, Gate::Held);
    rig.router.enable(rig.now);
    assert_eq!(rig.router.role(), Role::Backup);
    assert_eq!(rig.deeds(), [Action::WantsMaster]);
    rig.router.set_gate(rig.now, Gate::Open);
    assert_eq!(rig.router.role(), Role::Master);
}
