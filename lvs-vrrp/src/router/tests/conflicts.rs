//! Other masters that are heard while we are master.

use super::*;

fn events(rig: &mut Rig) -> Vec<ConflictEvent> {
    let actions = rig.drain().into_iter();
    actions
        .filter_map(|action| if let Action::Conflict(event) = action { Some(event) } else { None })
        .collect()
}

/// Lets time pass, timers and all, and collects what was told.
fn wait(rig: &mut Rig, time: Duration) -> Vec<(Duration, ConflictEvent)> {
    let (start, end) = (rig.now, rig.now + time);
    let mut told = Vec::new();
    while rig.router.poll_timeout().is_some_and(|at| at <= end) {
        rig.expire();
        told.extend(events(rig).into_iter().map(|event| (rig.now - start, event)));
    }
    rig.now = end;
    told
}

#[test]
fn a_losing_advert_begins_a_conflict_and_silence_ends_it() {
    // VR-252; after a split brain heals an event says who the other was, for how long, and why.
    let mut rig = Rig::master(v3());
    let began = conflict(&rig, LOWER_ADDRESS, 99, Verdict::LowerPriority);
    rig.hear(LOWER_ADDRESS, 99);
    assert_eq!(events(&mut rig), [ConflictEvent::Began(began)]);
    assert_eq!(rig.router.conflicts().collect::<Vec<_>>(), [began]);

    assert_eq!(wait(&mut rig, ms(1200)), []);
    rig.hear(LOWER_ADDRESS, 98);
    let heard = Conflict { priority: priority(98), until: rig.now, adverts: 2, ..began };
    assert_eq!(rig.router.conflicts().collect::<Vec<_>>(), [heard]);
    assert_eq!(heard.duration(), ms(1200));

    let ended = ConflictEvent::Ended(heard, ConflictEnd::Yielded);
    assert_eq!(wait(&mut rig, DOWN), [(DOWN, ended)]);
    assert_eq!(rig.router.conflicts().count(), 0);
    assert_eq!(ended.to_string(), "10.0.0.4 was master too for 1.2 s (2 adverts of priority 98); it yielded");
}

#[test]
fn the_silence_that_ends_a_conflict_is_that_of_the_others_interval_but_not_less_than_a_second() {
    for (interval, silence) in [(20, ms(1000)), (400, ms(12_000) + ns(2_437_500_000))] {
        let mut rig = Rig::master(v3());
        rig.hear_interval(LOWER_ADDRESS, 99, Interval::centis(interval).unwrap());
        rig.drain();
        let told = wait(&mut rig, ms(60_000));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, silence);
    }
}

#[test]
fn equal_priorities_are_told_apart_by_their_addresses() {
    // VR-118, VR-119.
    for (source, verdict) in [(LOWER_ADDRESS, Verdict::LowerAddress), (OWN, Verdict::SameAddress)] {
        let mut rig = Rig::master(v3());
        rig.hear(source, 100);
        let began = conflict(&rig, source, 100, verdict);
        assert_eq!(events(&mut rig), [ConflictEvent::Began(began)]);
    }
}

#[test]
fn two_owners_are_a_conflict_that_the_one_with_the_higher_address_reports() {
    // VR-252, VR-066.
    let mut rig = Rig::master(owner());
    rig.hear(LOWER_ADDRESS, 255);
    let began = conflict(&rig, LOWER_ADDRESS, 255, Verdict::LowerAddress);
    assert_eq!(events(&mut rig), [ConflictEvent::Began(began)]);
}

#[test]
fn a_loser_that_goes_on_for_three_of_our_intervals_does_not_hear_us_and_that_is_told_once() {
    // Reliability (c) 33.
    let mut rig = Rig::master(v3());
    rig.pass(ms(500));
    let mut told = Vec::new();
    for _ in 0..20 {
        rig.hear(HIGHER_ADDRESS, 99);
        told.extend(events(&mut rig));
        wait(&mut rig, ms(1000));
    }
    let [ConflictEvent::Began(began), ConflictEvent::Unheard(unheard)] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((unheard.since, unheard.duration(), unheard.adverts), (began.since, ms(3000), 4));
    let told = wait(&mut rig, DOWN);
    let [(_, ConflictEvent::Ended(ended, ConflictEnd::Silent))] = told[..] else { panic!("{told:?}") };
    assert_eq!((ended.duration(), ended.adverts), (ms(19_000), 20));
}

#[test]
fn one_with_our_own_address_may_hear_us_well() {
    // VR-119.
    let mut rig = Rig::master(v3());
    for _ in 0..20 {
        rig.hear(OWN, 100);
        wait(&mut rig, ms(1000));
    }
    rig.hear(OWN, 100);
    assert_eq!(events(&mut rig), []);
}

#[test]
fn a_loser_that_resigns_is_said_to_have_resigned() {
    let mut rig = Rig::master(v3());
    rig.hear(LOWER_ADDRESS, 99);
    rig.hear(LOWER_ADDRESS, 0);
    // Of one that was not heard before there is nothing to say.
    rig.hear(HIGHER_ADDRESS, 0);
    rig.drain();
    let told = wait(&mut rig, ms(10_000));
    assert!(matches!(told[..], [(_, ConflictEvent::Ended(_, ConflictEnd::Resigned))]), "{told:?}");
    // Unless it begins again.
    rig.hear(LOWER_ADDRESS, 99);
    rig.hear(LOWER_ADDRESS, 0);
    rig.hear(LOWER_ADDRESS, 99);
    rig.drain();
    let told = wait(&mut rig, ms(10_000));
    assert!(matches!(told[..], [(_, ConflictEvent::Ended(_, ConflictEnd::Yielded))]), "{told:?}");
}

#[test]
fn whoever_yields_is_master_no_longer_and_so_are_its_conflicts_over() {
    let fault = Gate::Fault(FaultReason::LinkDown);
    let ends: [fn(&mut Rig, Gate); 4] = [
        |rig, _| rig.hear(HIGHER_ADDRESS, 200),
        |rig, _| rig.router.disable(rig.now),
        |rig, _| rig.router.set_gate(rig.now, Gate::Held),
        |rig, fault| rig.router.set_gate(rig.now, fault),
    ];
    for end in ends {
        let mut rig = Rig::master(v3());
        rig.hear(LOWER_ADDRESS, 99);
        rig.hear(LOWER_ADDRESS_HIGHER_END, 98);
        rig.drain();
        end(&mut rig, fault);
        let told = events(&mut rig);
        let is_end = |event: &ConflictEvent| matches!(event, ConflictEvent::Ended(_, ConflictEnd::WeYielded));
        assert!(told.len() == 2 && told.iter().all(is_end), "{told:?}");
        assert_eq!(rig.router.conflicts().count(), 0);
    }
}

#[test]
fn a_loser_that_becomes_the_better_one_wins() {
    // VR-116.
    let mut rig = Rig::master(v3());
    rig.hear(LOWER_ADDRESS, 99);
    rig.hear(LOWER_ADDRESS, 101);
    assert_eq!(rig.router.role(), Role::Backup);
    let told = events(&mut rig);
    assert!(matches!(told[..], [_, ConflictEvent::Ended(_, ConflictEnd::WeYielded)]), "{told:?}");
}

#[test]
fn no_more_than_four_others_are_kept_and_no_flood_makes_more_than_twelve_events_a_second() {
    // A13: at the shortest interval, every second advert a resignation, from 250 sources.
    let mut rig = Rig::master(config(Interval::centis(1).unwrap()));
    let mut events_told = 0;
    for step in 0..40_000u64 {
        rig.pass(ns(250_000));
        let source = [10, 0, 0, u8::try_from(step % 250).unwrap()];
        rig.hear(source, if step % 2 == 0 { 1 } else { 0 });
        rig.router.handle_timeout(rig.now);
        events_told += events(&mut rig).len();
        assert!(rig.router.conflicts().count() <= 4);
    }
    assert!((8..=120).contains(&events_told), "{events_told} in 10 s");
}

#[test]
fn the_survivor_of_a_split_brain_announces_again_when_it_is_over() {
    let schedule = once().with_lower_prio_repeat(0);
    let mut rig = Rig::master(v3().with_announcements(schedule));
    let epoch = rig.router.epoch;
    for _ in 0..10 {
        rig.hear(LOWER_ADDRESS, 99);
        wait(&mut rig, ms(1000));
    }
    rig.now = rig.now + DOWN - ms(1000);
    rig.router.handle_timeout(rig.now);
    assert!(rig.deeds().contains(&Action::Announce { epoch, packets: 5 }));
}
