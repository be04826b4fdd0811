//! When it was not run for a while.

use super::*;

#[test]
fn a_master_that_is_late_by_a_whole_interval_sends_one_advert_and_waits_for_the_next() {
    // VR-103.
    let mut rig = Rig::master(v3());
    rig.pass(ms(2000));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100)]);
    assert_eq!(rig.until_timeout(), ms(1000));
}

#[test]
fn a_master_that_slept_sends_one_advert_and_then_announces() {
    // E8, E8a, VR-103, VR-163.
    let mut rig = Rig::master(v3());
    let epoch = rig.router.epoch;
    rig.pass(ms(3000));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100), Action::Announce { epoch, packets: 5 }]);
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
    assert_eq!(rig.deeds(), [running(100), Action::Announce { epoch, packets: 5 }]);
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

#[test]
fn the_announcement_after_a_pause_does_not_wait_for_the_last_one_to_be_a_second_old() {
    // E8a: at 10 cs three intervals are shorter than that.
    let mut rig = Rig::master(config(Interval::centis(10).unwrap()));
    let epoch = rig.router.epoch;
    rig.pass(ms(300));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100), Action::Announce { epoch, packets: 5 }]);
}

#[test]
fn a_machine_that_is_always_late_does_not_announce_all_the_time() {
    // A13: late by 30 ms at 10 ms, again and again.
    let mut rig = Rig::master(config(Interval::centis(1).unwrap()).with_announcements(once()));
    let mut rounds = 0;
    for _ in 0..100 {
        rig.pass(ms(100));
        rig.router.handle_timeout(rig.now);
        rounds += rig.deeds().iter().filter(|deed| matches!(deed, Action::Announce { .. })).count();
    }
    assert_eq!(rounds, 10);
}

#[test]
fn an_advert_in_time_is_not_late_even_if_no_other_may_fail() {
    let adverts = DownTimerAdverts::new(1).unwrap();
    let config = v3().with_announcements(once()).with_down_timer_adverts(adverts).with_yield_when_late(true);
    let mut rig = Rig::master(config);
    for _ in 0..10 {
        rig.expire();
        assert_eq!(rig.drain(), [running(100)]);
    }
    // The smallest skew of another router.
    rig.pass(ms(1000) + ns(3_906_250));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.router.role(), Role::Backup);
}

#[test]
fn everything_that_was_due_during_a_pause_is_one_round_afterwards() {
    // VR-103: the delayed round, refreshes, and the one after a losing advert.
    let schedule = AnnounceSchedule::default().with_refresh(ms(2000)).with_lower_prio_delay(ms(1500));
    let mut rig = Rig::master(v3().with_announcements(schedule));
    let epoch = rig.router.epoch;
    rig.pass(ms(300));
    rig.hear(LOWER_ADDRESS, 99);
    rig.drain();
    rig.pass(ms(60_000));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100), Action::Announce { epoch, packets: 5 }]);
    for _ in 0..10 {
        rig.router.handle_timeout(rig.now);
    }
    assert_eq!(rig.drain(), []);
    assert_eq!(rig.until_timeout(), ms(1000));
}

#[test]
fn how_long_a_pause_is_too_long_follows_the_number_of_adverts_that_may_fail() {
    // E8, VR-163.
    let adverts = DownTimerAdverts::new(7).unwrap();
    for (pause, announces) in [(ms(6999), false), (ms(7000), true)] {
        let mut rig = Rig::master(v3().with_announcements(once()).with_down_timer_adverts(adverts));
        rig.pass(pause);
        rig.router.handle_timeout(rig.now);
        assert_eq!(rig.deeds().len(), if announces { 2 } else { 1 }, "{pause:?}");
    }
}

#[test]
fn a_new_interval_during_a_pause_does_not_hide_that_there_was_one() {
    // VR-163: what counts is what the backups had been told.
    let mut rig = Rig::master(v3().with_announcements(once()));
    let epoch = rig.router.epoch;
    rig.pass(ms(3000));
    rig.router.reconfigure(rig.now, config(Interval::centis(4000).unwrap()).with_announcements(once()));
    assert_eq!(rig.deeds(), []);
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100), Action::Announce { epoch, packets: 5 }]);
    assert!(rig.until_timeout() <= ms(40_000));
}

#[test]
fn a_confirmation_that_waited_during_a_pause_is_announced_after_the_advert() {
    // VR-009, E8.
    let mut rig = Rig::backup(v3());
    rig.expire();
    let epoch = rig.router.epoch;
    rig.drain();
    rig.pass(ms(60_000));
    rig.confirm();
    assert_eq!(rig.deeds(), []);
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100), Action::Announce { epoch, packets: 5 }]);
}

#[test]
fn a_claim_is_not_given_up_because_nobody_was_run() {
    // Whoever claims stood still too.
    let mut rig = Rig::backup(v3());
    rig.expire();
    rig.drain();
    rig.pass(ms(60_000));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100)]);
    assert_eq!(rig.router.role(), Role::Master);
    rig.confirm();
    assert_eq!(rig.router.role(), Role::Master);
}

#[test]
fn a_backup_that_slept_through_several_expiries_takes_over_once() {
    // VR-103.
    let mut rig = Rig::backup(v3());
    rig.pass(ms(600_000));
    rig.router.handle_timeout(rig.now);
    let epoch = rig.router.epoch;
    assert_eq!(rig.deeds(), [running(100), Action::Claim { epoch }]);
    assert_eq!(rig.until_timeout(), ms(1000));
}

#[test]
fn a_master_told_to_yield_when_late_becomes_backup_without_a_word() {
    let late = v3().with_preempt(Preempt::Never).with_yield_when_late(true);
    let mut rig = Rig::master(late);
    let epoch = rig.router.epoch;
    rig.pass(ms(2999));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.deeds(), [running(100)]);
    rig.pass(ms(3000));
    rig.router.handle_timeout(rig.now);
    let mut actions = rig.drain();
    let Some(Action::Changed(transition)) = actions.pop() else { panic!("the role changed") };
    assert_eq!(transition.reason, Reason::Late);
    assert_eq!(actions, [Action::Release { epoch }]);
    assert_eq!(rig.until_timeout(), DOWN);
}

#[test]
fn a_master_told_to_yield_when_late_leaves_it_to_the_lower_one_that_took_over() {
    let late = v3().with_preempt(Preempt::Never).with_yield_when_late(true);
    let mut rig = Rig::master(late);
    let epoch = rig.router.epoch;
    rig.pass(ms(5000));
    rig.hear_interval(HIGHER_ADDRESS, 50, Interval::centis(20).unwrap());
    assert_eq!(rig.deeds(), [Action::Release { epoch }]);
    assert_eq!(rig.router.role(), Role::Backup);
    assert_eq!(rig.until_timeout(), ns(721_875_000));
    // Without a pause it does not yield.
    let mut rig = Rig::master(late);
    rig.hear(HIGHER_ADDRESS, 50);
    assert_eq!(rig.router.role(), Role::Master);
}

#[test]
fn a_late_master_told_to_yield_leaves_it_to_the_lower_one_from_the_very_moment_it_may_be_overtaken() {
    let late = v3().with_preempt(Preempt::Never).with_yield_when_late(true);
    for (pause, role) in [(ms(3000) - ns(1), Role::Master), (ms(3000), Role::Backup)] {
        let mut rig = Rig::master(late);
        rig.pass(pause);
        rig.hear(HIGHER_ADDRESS, 50);
        assert_eq!(rig.router.role(), role, "{pause:?}");
    }
}

#[test]
fn a_master_is_late_only_when_the_best_of_the_others_may_have_taken_over() {
    // The skew of priority 64: (256 - 64) / 256 of a second.
    let other = Priority::new(64).unwrap();
    let late =
        v3().with_preempt(Preempt::Never).with_yield_when_late(true).with_highest_other_priority(other);
    for (pause, role) in [(ms(3750) - ns(1), Role::Master), (ms(3750), Role::Backup)] {
        let mut rig = Rig::master(late);
        rig.pass(pause);
        rig.router.handle_timeout(rig.now);
        assert_eq!(rig.router.role(), role, "{pause:?}");
    }
    // Of one missed advert, too.
    let one = late.with_down_timer_adverts(DownTimerAdverts::new(1).unwrap());
    assert_eq!(one.overtaken_after(one.interval()), ms(1750));
}
