//! What can be configured beyond the RFCs.

use super::*;

#[test]
fn the_master_down_interval_is_as_many_intervals_as_configured_and_the_skew() {
    // VR-091, VR-093 with another number than three.
    for interval in both_versions() {
        for adverts in [1, 2, 5, 100] {
            let number = DownTimerAdverts::new(adverts).unwrap();
            let mut rig = Rig::backup(config(interval).with_down_timer_adverts(number));
            let down = ms(1000) * u32::from(adverts) + SKEW;
            assert_eq!(rig.until_timeout(), down);
            rig.pass(ms(500));
            rig.hear(HIGHER_ADDRESS, 150);
            assert_eq!(rig.until_timeout(), down);
            // VR-100: the skew is the same.
            rig.hear(HIGHER_ADDRESS, 0);
            assert_eq!(rig.until_timeout(), SKEW);
            rig.router.set_gate(rig.now, Gate::Fault(FaultReason::LinkDown));
            rig.router.set_gate(rig.now, Gate::Open);
            assert_eq!(rig.until_timeout(), down);
        }
    }
}

#[test]
fn during_the_start_delay_a_router_is_deaf_and_dumb_and_then_it_waits_as_ever() {
    for (config, role) in [(v3(), Role::Backup), (owner(), Role::Master)] {
        let mut rig = Rig::new(config.with_start_delay(ms(5500)));
        rig.router.enable(rig.now);
        assert_eq!((rig.router.role(), rig.until_timeout()), (Role::Initialize, ms(5500)));
        rig.pass(ms(2000));
        rig.hear(HIGHER_ADDRESS, 150);
        rig.hear(HIGHER_ADDRESS, 0);
        rig.router.enable(rig.now);
        rig.pass(ms(3500) - ns(1));
        rig.router.handle_timeout(rig.now);
        assert_eq!(rig.drain(), []);
        assert_eq!(rig.router.role(), Role::Initialize);
        rig.pass(ns(1));
        rig.router.handle_timeout(rig.now);
        assert_eq!(rig.router.role(), role);
        assert_eq!(rig.until_timeout(), if role == Role::Backup { DOWN } else { ms(1000) });
        assert_eq!(rig.reason(), Reason::Enabled);
    }
}

#[test]
fn a_router_disabled_during_its_start_delay_says_nothing_and_begins_anew() {
    let mut rig = Rig::new(v3().with_start_delay(ms(1000)));
    rig.router.enable(rig.now);
    rig.pass(ms(600));
    rig.router.disable(rig.now);
    assert_eq!((rig.drain(), rig.router.poll_timeout()), (vec![], None));
    rig.router.enable(rig.now);
    assert_eq!(rig.until_timeout(), ms(1000));
}

#[test]
fn the_gate_counts_when_the_start_delay_is_over() {
    let fault = Gate::Fault(FaultReason::LinkDown);
    for (before, after, role) in [
        (fault, Gate::Open, Role::Backup),
        (Gate::Open, fault, Role::Fault),
        (fault, Gate::Held, Role::Backup),
    ] {
        let mut rig = Rig::new(v3().with_start_delay(ms(1000)));
        rig.router.set_gate(rig.now, before);
        rig.router.enable(rig.now);
        rig.pass(ms(500));
        rig.router.set_gate(rig.now, after);
        assert_eq!((rig.router.role(), rig.until_timeout()), (Role::Initialize, ms(500)));
        rig.expire();
        assert_eq!(rig.router.role(), role);
    }
}

#[test]
fn a_master_told_to_be_silent_does_not_answer_losing_adverts_but_announces_and_reports() {
    // VR-118, VR-120 as in RFC 3768 and RFC 5798.
    for interval in both_versions() {
        let mut rig = Rig::master(config(interval).with_lower_prio_no_advert(true));
        let epoch = rig.router.epoch;
        rig.expire();
        rig.drain();
        rig.pass(ms(500));
        rig.hear(LOWER_ADDRESS, 99);
        let began = ConflictEvent::Began(conflict(&rig, LOWER_ADDRESS, 99, Verdict::LowerPriority));
        assert_eq!(rig.drain(), [Action::Announce { epoch, packets: 5 }, Action::Conflict(began)]);
        assert_eq!(rig.until_timeout(), ms(500));
        // VR-115: a resignation is answered all the same.
        rig.hear(LOWER_ADDRESS, 0);
        assert_eq!(rig.deeds(), [running(100)]);
    }
}

#[test]
fn a_master_told_to_speak_before_it_yields_sends_one_advert_of_its_own_priority() {
    for (source, octet) in [(LOWER_ADDRESS, 101), (HIGHER_ADDRESS, 100)] {
        let mut rig = Rig::master(v3().with_higher_prio_send_advert(true));
        let epoch = rig.router.epoch;
        rig.hear(source, octet);
        assert_eq!(rig.deeds(), [running(100), Action::Release { epoch }]);
        assert_eq!(rig.until_timeout(), DOWN);
        rig.hear(source, octet);
        assert_eq!(rig.drain(), []);
    }
}

#[test]
fn an_owner_told_to_ignore_adverts_stays_master_whoever_speaks() {
    // VR-066 as published, before erratum 8298.
    let mut rig = Rig::master(owner().with_owner_ignore_adverts(true));
    for octet in [0, 1, 255] {
        rig.hear(HIGHER_ADDRESS, octet);
    }
    assert_eq!(rig.drain(), []);
    assert_eq!(rig.router.role(), Role::Master);
    // Only an owner does.
    let mut rig = Rig::master(v3().with_owner_ignore_adverts(true));
    rig.hear(HIGHER_ADDRESS, 255);
    assert_eq!(rig.router.role(), Role::Backup);
}

#[test]
fn an_owner_does_not_listen_first_even_if_it_is_to_begin_as_backup() {
    // VR-110: the priority decides, not the configured state.
    for start in [Start::Backup, Start::Master] {
        let mut rig = Rig::new(owner().with_start(start));
        rig.router.enable(rig.now);
        assert_eq!(rig.router.role(), Role::Master);
    }
}
