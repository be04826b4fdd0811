//! Claims and gates.

use super::*;

#[test]
fn nothing_is_announced_before_the_addresses_are_there() {
    // A3, A4, VR-159.
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
fn an_owner_without_addresses_pauses_however_short_its_claim_timeout_is() {
    // A3, A4.
    let owner = v3().with_priority(Priority::OWNER).with_claim_timeout(Duration::ZERO);
    let mut router = Router::new(owner, [10, 0, 0, 5].into());
    let mut now = Instant::ORIGIN;
    router.enable(now);
    let (mut adverts, mut pauses) = (0, Vec::new());
    while pauses.len() < 9 {
        let decided = std::iter::from_fn(|| router.poll_action());
        adverts += decided.filter(|action| matches!(action, Action::Advertise(_))).count();
        let at = router.poll_timeout().expect("it tries again");
        assert!(at > now, "it goes on with no time between");
        if router.role() == Role::Fault {
            pauses.push((at - now).as_millis() / 100);
        }
        now = at;
        router.handle_timeout(now);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    // Each time one of a master, and one of a master that resigns.
    assert_eq!(adverts, 18);
}

#[test]
fn addresses_that_are_missing_for_too_long_are_a_fault() {
    let mut rig = Rig::master(v3());
    let epoch = rig.router.epoch;
    rig.router.handle_claimed(rig.now, epoch, ClaimResult::Missing);
    rig.pass(ms(900));
    rig.router.handle_claimed(rig.now, epoch, ClaimResult::Missing);
    rig.confirm();
    rig.router.handle_claimed(rig.now, epoch, ClaimResult::Missing);
    let missing_since = rig.now;
    while rig.router.role() == Role::Master {
        rig.expire();
    }
    assert_eq!((rig.router.role(), rig.now - missing_since), (Role::Fault, DOWN));
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
