//! As master.

use super::*;

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
            let verdict = if octet == 100 { Verdict::LowerAddress } else { Verdict::LowerPriority };
            let began = ConflictEvent::Began(conflict(&rig, source, octet, verdict));
            let round = Action::Announce { epoch, packets: 5 };
            assert_eq!(rig.drain(), [running(100), round, Action::Conflict(began)]);
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
fn a_resignation_that_the_next_advert_answers_at_the_end_of_the_pause_makes_the_pause_no_longer() {
    let mut rig = Rig::master(v3());
    rig.pass(ms(900));
    rig.hear(LOWER_ADDRESS, 99);
    assert!(rig.deeds().contains(&running(100)));
    rig.pass(ms(50));
    // The pause after the answer and the period end together.
    rig.hear(LOWER_ADDRESS, 0);
    assert_eq!(rig.deeds(), []);
    assert_eq!(rig.until_timeout(), ms(50));
    rig.expire();
    assert!(rig.deeds().contains(&running(100)));
    rig.pass(ms(1));
    rig.hear(LOWER_ADDRESS, 99);
    assert!(rig.deeds().contains(&running(100)));
}

#[test]
fn answers_are_allowed_again_at_the_very_end_of_their_pause() {
    for octet in [0, 99] {
        let mut rig = Rig::master(v3());
        rig.pass(ms(100));
        rig.hear(LOWER_ADDRESS, octet);
        rig.drain();
        rig.pass(ms(100));
        rig.hear(LOWER_ADDRESS, octet);
        assert!(rig.deeds().contains(&running(100)), "priority {octet}");
    }
}

#[test]
fn an_advert_that_is_due_at_this_very_moment_is_the_answer() {
    for octet in [0, 99] {
        let mut rig = Rig::master(v3());
        rig.pass(ms(1000));
        rig.hear(LOWER_ADDRESS, octet);
        assert!(!rig.deeds().contains(&running(100)), "priority {octet}");
        rig.router.handle_timeout(rig.now);
        assert!(rig.deeds().contains(&running(100)), "priority {octet}");
    }
}

#[test]
fn an_equal_advert_from_our_own_address_is_reported_and_nothing_else() {
    // VR-119.
    let mut rig = Rig::master(v3());
    rig.hear(OWN, 100);
    let began = ConflictEvent::Began(conflict(&rig, OWN, 100, Verdict::SameAddress));
    assert_eq!(rig.drain(), [Action::Conflict(began)]);
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

#[test]
fn a_flood_of_losing_adverts_causes_no_storm_however_short_the_delays_are() {
    // A13: found by the simulation.
    let schedule = AnnounceSchedule::default().with_delay(ms(1));
    for schedule in [schedule, AnnounceSchedule::default().with_lower_prio_delay(ms(1))] {
        let mut rig = Rig::master(v3().with_announcements(schedule));
        rig.drain();
        let end = rig.now + Duration::from_secs(10);
        let mut rounds = 0;
        while rig.now < end {
            rig.hear(LOWER_ADDRESS, 50);
            rig.pass(ms(20));
            rig.router.handle_timeout(rig.now);
            rounds += rig.drain().iter().filter(|action| matches!(action, Action::Announce { .. })).count();
        }
        assert!(rounds <= 22, "{rounds} rounds in ten seconds");
    }
}
