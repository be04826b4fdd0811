//! When the neighbours are told, and by how many packets.

use super::*;

/// Collects the rounds of a master from the moment of its confirmation: when, and how many packets.
fn rounds(rig: &mut Rig, count: usize) -> Vec<(Duration, u8)> {
    let confirmed = rig.now;
    let mut rounds = Vec::new();
    while rounds.len() < count {
        rig.expire();
        rounds.extend(packets(rig).map(|packets| (rig.now - confirmed, packets)));
    }
    rounds
}

/// Of the round that was just asked for, if one was.
fn packets(rig: &mut Rig) -> Option<u8> {
    let mut packets = rig.drain().into_iter().filter_map(|action| match action {
        Action::Announce { packets, .. } => Some(packets),
        _ => None,
    });
    let first = packets.next();
    assert_eq!(packets.next(), None, "two rounds at once");
    first
}

fn no_more_rounds(rig: &mut Rig) {
    for _ in 0..100 {
        rig.expire();
        assert_eq!(packets(rig), None);
    }
}

fn number(packets: u8) -> std::num::NonZeroU8 {
    std::num::NonZeroU8::new(packets).unwrap()
}

#[test]
fn the_first_round_follows_the_confirmation_the_second_the_delay_and_the_refreshes_go_on() {
    // VR-158.
    let schedule = AnnounceSchedule::default()
        .with_repeat(number(4))
        .with_delay(ms(2500))
        .with_refresh(ms(7000))
        .with_refresh_repeat(number(2));
    let mut rig = Rig::backup(v3().with_announcements(schedule));
    rig.expire();
    rig.drain();
    rig.pass(ms(100));
    rig.confirm();
    assert_eq!(packets(&mut rig), Some(4));
    assert_eq!(rounds(&mut rig, 3), [(ms(2500), 4), (ms(7000), 2), (ms(14_000), 2)]);
    assert_eq!(rig.router.ownership().announcements, 4 + 4 + 2 + 2);
}

#[test]
fn by_default_there_are_five_packets_twice_five_seconds_apart() {
    // VR-158.
    let mut rig = Rig::backup(v3());
    rig.expire();
    rig.drain();
    rig.confirm();
    assert_eq!(packets(&mut rig), Some(5));
    assert_eq!(rounds(&mut rig, 1), [(ms(5000), 5)]);
    no_more_rounds(&mut rig);
}

#[test]
fn without_delay_and_refresh_there_is_one_round() {
    let mut rig = Rig::backup(v3().with_announcements(once()));
    rig.expire();
    rig.confirm();
    assert_eq!(packets(&mut rig), Some(5));
    no_more_rounds(&mut rig);
}

#[test]
fn a_refresh_that_is_late_by_exactly_one_is_one_round() {
    // VR-103.
    let mut rig = Rig::master(v3().with_announcements(once().with_refresh(ms(1000))));
    rig.pass(ms(2000));
    rig.router.handle_timeout(rig.now);
    assert_eq!(packets(&mut rig), Some(1));
    rig.router.handle_timeout(rig.now);
    assert_eq!(rig.drain(), []);
    assert_eq!(rounds(&mut rig, 1), [(ms(1000), 1)]);
}

#[test]
fn rounds_that_are_due_together_are_one_with_the_most_packets() {
    let schedule = AnnounceSchedule::default().with_delay(ms(3000)).with_refresh(ms(1000));
    let mut rig = Rig::master(v3().with_announcements(schedule));
    let expected = [(ms(1000), 1), (ms(2000), 1), (ms(3000), 5), (ms(4000), 1)];
    assert_eq!(rounds(&mut rig, 4), expected);
}

#[test]
fn a_losing_advert_is_followed_by_a_round_a_second_after_the_last_and_by_a_delayed_one() {
    // VR-118, VR-120; reliability (c) 32.
    let schedule = once().with_lower_prio_repeat(3).with_lower_prio_delay(ms(1700));
    for (heard_after, announced_after) in [(ms(300), ms(1000)), (ms(1700), ms(1700))] {
        let mut rig = Rig::master(v3().with_announcements(schedule));
        let confirmed = rig.now;
        while rig.until_timeout() + (rig.now - confirmed) < heard_after {
            rig.expire();
            rig.drain();
        }
        rig.now = confirmed + heard_after;
        rig.hear(LOWER_ADDRESS, 99);
        let mut rounds: Vec<_> =
            packets(&mut rig).map(|packets| (rig.now - confirmed, packets)).into_iter().collect();
        while rig.now < confirmed + ms(60_000) {
            rig.expire();
            rounds.extend(packets(&mut rig).map(|packets| (rig.now - confirmed, packets)));
        }
        // When the other one has been silent for a master down interval, the neighbours are told once more.
        let healed = (heard_after + DOWN, 5);
        assert_eq!(rounds, [(announced_after, 3), (heard_after + ms(1700), 3), healed]);
    }
}

#[test]
fn rounds_out_of_turn_leave_the_delayed_one_and_the_refreshes_as_they_were() {
    // Times and packets: a round that comes early must not take the place of a scheduled one.
    let schedule = AnnounceSchedule::default()
        .with_delay(ms(2500))
        .with_refresh(ms(7000))
        .with_lower_prio_repeat(2)
        .with_lower_prio_delay(Duration::ZERO);
    let mut rig = Rig::master(v3().with_announcements(schedule));
    rig.pass(ms(300));
    rig.hear(LOWER_ADDRESS, 99);
    rig.drain();
    rig.now = rig.now - ms(300);
    let healed = (ms(300) + DOWN, 5);
    let expected = [(ms(1000), 2), (ms(2500), 5), healed, (ms(7000), 1), (ms(14_000), 1)];
    assert_eq!(rounds(&mut rig, 5), expected);
}

#[test]
fn a_scheduled_round_serves_for_one_out_of_turn_that_waits_unless_that_has_more_packets() {
    for (waiting, more) in [(5, None), (6, Some(6))] {
        let schedule = AnnounceSchedule::default()
            .with_delay(ms(800))
            .with_lower_prio_repeat(waiting)
            .with_lower_prio_delay(Duration::ZERO);
        let mut rig = Rig::master(v3().with_announcements(schedule));
        rig.pass(ms(300));
        rig.hear(LOWER_ADDRESS, 99);
        rig.drain();
        rig.now = rig.now - ms(300);
        let healed = (ms(300) + DOWN, 5);
        let mut expected = vec![(ms(800), 5)];
        expected.extend(more.map(|packets| (ms(1000), packets)));
        expected.push(healed);
        assert_eq!(rounds(&mut rig, expected.len()), expected);
        no_more_rounds(&mut rig);
    }
}

#[test]
fn the_delayed_round_counts_from_the_last_losing_advert() {
    let schedule = once().with_lower_prio_repeat(1).with_lower_prio_delay(ms(9000));
    let mut rig = Rig::master(v3().with_announcements(schedule));
    rig.expire();
    rig.drain();
    for _ in 0..3 {
        rig.hear(LOWER_ADDRESS, 99);
        assert_eq!(packets(&mut rig), Some(1));
        rig.expire();
        rig.drain();
    }
    assert_eq!(rounds(&mut rig, 2), [(DOWN - ms(1000), 5), (ms(8000), 1)]);
    no_more_rounds(&mut rig);
}

#[test]
fn no_packets_after_losing_adverts_means_none() {
    let strict = once().with_lower_prio_repeat(0).with_lower_prio_delay(ms(5000));
    let mut rig = Rig::master(v3().with_announcements(strict));
    rig.expire();
    rig.drain();
    rig.hear(LOWER_ADDRESS, 99);
    assert_eq!(packets(&mut rig), None);
    // But the one after the conflict, which others do not cause at will.
    assert_eq!(rounds(&mut rig, 1), [(DOWN, 5)]);
    no_more_rounds(&mut rig);
}

#[test]
fn addresses_that_come_back_are_announced_as_after_a_takeover_but_not_twice_in_a_second() {
    let mut rig = Rig::master(v3());
    let epoch = rig.router.epoch;
    rig.pass(ms(200));
    for _ in 0..50 {
        rig.router.handle_claimed(rig.now, epoch, ClaimResult::Missing);
        rig.pass(ms(1));
        rig.confirm();
        assert_eq!(packets(&mut rig), None);
    }
    rig.now = rig.now - ms(250);
    assert_eq!(rounds(&mut rig, 2), [(ms(1000), 5), (ms(6000), 5)]);
    no_more_rounds(&mut rig);
    rig.router.handle_claimed(rig.now, epoch, ClaimResult::Missing);
    rig.confirm();
    assert_eq!(packets(&mut rig), Some(5));
}

#[test]
fn a_new_refresh_counts_from_the_moment_it_is_configured() {
    let refreshed = |every| v3().with_announcements(once().with_refresh(every));
    let mut rig = Rig::master(refreshed(Duration::ZERO));
    rig.pass(ms(500));
    rig.router.reconfigure(rig.now, refreshed(ms(3000)));
    assert_eq!(rounds(&mut rig, 2), [(ms(3000), 1), (ms(6000), 1)]);
    rig.router.reconfigure(rig.now, refreshed(Duration::ZERO));
    no_more_rounds(&mut rig);
}

#[test]
fn a_mastership_begins_to_count_its_packets_anew() {
    let mut rig = Rig::master(v3());
    assert_eq!(rig.router.ownership().announcements, 5);
    rig.hear(HIGHER_ADDRESS, 200);
    assert_eq!(rig.router.ownership().announcements, 0);
    rig.expire();
    assert_eq!(rig.router.ownership().announcements, 0);
    rig.confirm();
    assert_eq!(rig.router.ownership().announcements, 5);
}
