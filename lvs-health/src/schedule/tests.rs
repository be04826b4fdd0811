use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

const ID: CheckId = CheckId::new(1);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(secs: f64) -> Instant {
    Instant::from_nanos(3_600_000_000_000) + Duration::from_secs_f64(secs)
}

fn policy() -> Policy {
    Policy::every(secs(4)).expect("not zero").retry(2).delay_before_retry(secs(1)).timeout(secs(2))
}

fn yes() -> Result<Success, Failure> {
    Ok(Success::new("yes"))
}

fn no() -> Result<Success, Failure> {
    Err(Failure::new("no"))
}

fn one(policy: Policy) -> Scheduler {
    let mut scheduler = Scheduler::new();
    scheduler.insert(ID, policy, Duration::ZERO, at(0.0));
    scheduler
}

/// Takes the probe that must be due exactly at `start` and answers it at `end`.
fn play(scheduler: &mut Scheduler, start: f64, end: f64, outcome: Result<Success, Failure>) {
    assert_eq!(scheduler.poll_timeout(), Some(at(start)));
    let early = at(start) - Duration::from_nanos(1);
    assert!(scheduler.poll_probe(early).is_none(), "a probe came before {start}");
    let probe = scheduler.poll_probe(at(start)).expect("it is due");
    assert_eq!(probe.deadline(), at(start) + secs(2));
    scheduler.handle_outcome(at(end), probe, outcome);
}

fn change(scheduler: &mut Scheduler) -> Option<(Health, Instant)> {
    scheduler.poll_event().map(|event| (event.change.health(), event.at))
}

/// The instants of this test are those at which keepalived 2.2.7 probed a server that took a second to answer, then
/// answered with status 500 (same delay_loop, retry, delay_before_retry).
#[test]
fn delays_count_from_the_end_of_a_probe_and_retries_precede_down() {
    let mut scheduler = one(policy());
    play(&mut scheduler, 0.0, 1.0, yes());
    play(&mut scheduler, 5.0, 6.0, yes());
    play(&mut scheduler, 10.0, 10.0, no());
    play(&mut scheduler, 11.0, 11.0, no());
    assert_eq!(change(&mut scheduler), None, "retries are left");
    play(&mut scheduler, 12.0, 12.0, no());
    assert_eq!(change(&mut scheduler), Some((Health::Down, at(12.0))));
    play(&mut scheduler, 16.0, 16.0, no());
    play(&mut scheduler, 20.0, 20.0, yes());
    assert_eq!(change(&mut scheduler), Some((Health::Up, at(20.0))));
    assert_eq!(scheduler.poll_timeout(), Some(at(24.0)));
}

#[test]
fn unanswered_probes_take_a_server_out_within_the_longest_detection() {
    let mut scheduler = one(policy());
    play(&mut scheduler, 0.0, 0.0, yes());
    // It dies right after it answered.
    play(&mut scheduler, 4.0, 6.0, no());
    play(&mut scheduler, 7.0, 9.0, no());
    play(&mut scheduler, 10.0, 12.0, no());
    assert_eq!(change(&mut scheduler), Some((Health::Down, at(0.0) + policy().longest_detection())));
    // It returns right after a probe began to wait for it.
    play(&mut scheduler, 16.0, 18.0, no());
    play(&mut scheduler, 22.0, 22.0, yes());
    assert_eq!(change(&mut scheduler), Some((Health::Up, at(16.0) + policy().longest_return())));
}

#[test]
fn a_success_between_failures_forgets_them() {
    let mut scheduler = one(policy());
    play(&mut scheduler, 0.0, 0.0, yes());
    play(&mut scheduler, 4.0, 4.0, no());
    play(&mut scheduler, 5.0, 5.0, no());
    play(&mut scheduler, 6.0, 6.0, yes());
    play(&mut scheduler, 10.0, 10.0, no());
    play(&mut scheduler, 11.0, 11.0, no());
    assert_eq!(change(&mut scheduler), None);
    assert_eq!(scheduler.report(ID).map(|report| report.failures), Some(2));
}

#[test]
fn a_server_that_never_passed_goes_down_without_retries() {
    let mut scheduler = one(policy());
    play(&mut scheduler, 0.0, 0.0, no());
    assert_eq!(change(&mut scheduler), Some((Health::Down, at(0.0))));
    assert_eq!(scheduler.poll_timeout(), Some(at(4.0)));
}

#[test]
fn alpha_starts_down_without_an_event_and_comes_up_with_one_success() {
    let mut scheduler = one(policy().initially(Health::Down));
    play(&mut scheduler, 0.0, 0.0, no());
    assert_eq!(change(&mut scheduler), None);
    play(&mut scheduler, 4.0, 4.0, yes());
    assert_eq!(change(&mut scheduler), Some((Health::Up, at(4.0))));
}

#[test]
fn rise_counts_successes_in_a_row() {
    let rise = NonZeroU32::new(2).expect("not zero");
    let mut scheduler = one(policy().initially(Health::Down).rise(rise));
    play(&mut scheduler, 0.0, 0.0, yes());
    play(&mut scheduler, 4.0, 4.0, no());
    play(&mut scheduler, 8.0, 8.0, yes());
    assert_eq!(change(&mut scheduler), None);
    play(&mut scheduler, 12.0, 12.0, yes());
    assert_eq!(change(&mut scheduler), Some((Health::Up, at(12.0))));
}

#[test]
fn first_probe_waits_for_its_offset() {
    let mut scheduler = Scheduler::new();
    scheduler.insert(ID, policy(), secs(3), at(10.0));
    assert!(scheduler.poll_probe(at(12.9)).is_none());
    assert!(scheduler.poll_probe(at(13.0)).is_some());
}

#[test]
fn answers_for_removed_replaced_or_suspended_checks_are_ignored() {
    let mut scheduler = one(policy());
    let probe = scheduler.poll_probe(at(0.0)).expect("due");
    assert!(scheduler.remove(ID));
    scheduler.handle_outcome(at(0.0), probe, no());
    assert_eq!(scheduler.poll_event(), None);
    assert_eq!(scheduler.poll_timeout(), None);

    scheduler.insert(ID, policy(), Duration::ZERO, at(1.0));
    let stale = scheduler.poll_probe(at(1.0)).expect("due");
    scheduler.insert(ID, policy(), Duration::ZERO, at(1.0));
    let fresh = scheduler.poll_probe(at(1.0)).expect("due");
    scheduler.handle_outcome(at(1.0), stale, no());
    assert_eq!(scheduler.poll_event(), None);
    assert!(scheduler.poll_probe(at(99.0)).is_none(), "the fresh one is still out");
    scheduler.handle_outcome(at(2.0), fresh, yes());

    let probe = scheduler.poll_probe(at(6.0)).expect("due");
    assert!(scheduler.suspend(ID));
    assert!(scheduler.resume(ID, Duration::ZERO, at(7.0)));
    scheduler.handle_outcome(at(8.0), probe, no());
    assert_eq!(scheduler.poll_timeout(), Some(at(7.0)), "the stale answer moved nothing");
    assert_eq!(scheduler.report(ID).map(|report| report.failures), Some(0));
}

#[test]
fn suspended_checks_are_not_asked_and_keep_their_health() {
    let mut scheduler = one(policy());
    play(&mut scheduler, 0.0, 0.0, no());
    assert!(scheduler.poll_event().is_some());
    assert!(scheduler.suspend(ID));
    assert_eq!(scheduler.poll_timeout(), None);
    assert!(scheduler.poll_probe(at(1000.0)).is_none());
    let report = scheduler.report(ID).expect("it is there");
    assert!(report.suspended && report.health == Health::Down);
    assert!(!scheduler.resume(CheckId::new(2), Duration::ZERO, at(0.0)));
    assert!(scheduler.resume(ID, secs(1), at(1000.0)));
    assert!(!scheduler.resume(ID, secs(1), at(1000.0)), "it runs already");
    play(&mut scheduler, 1001.0, 1001.0, yes());
    assert_eq!(change(&mut scheduler), Some((Health::Up, at(1001.0))));
}

#[test]
fn failures_before_a_suspension_do_not_count_after_it() {
    let mut scheduler = one(policy());
    play(&mut scheduler, 0.0, 0.0, yes());
    play(&mut scheduler, 4.0, 4.0, no());
    play(&mut scheduler, 5.0, 5.0, no());
    assert!(scheduler.suspend(ID) && scheduler.resume(ID, Duration::ZERO, at(100.0)));
    play(&mut scheduler, 100.0, 100.0, no());
    play(&mut scheduler, 101.0, 101.0, no());
    assert_eq!(change(&mut scheduler), None);
    play(&mut scheduler, 102.0, 102.0, no());
    assert_eq!(change(&mut scheduler), Some((Health::Down, at(102.0))));
}

#[test]
fn another_policy_keeps_the_health_and_brings_the_next_probe_forward() {
    let mut scheduler = one(policy());
    play(&mut scheduler, 0.0, 0.0, no());
    assert!(scheduler.set_policy(ID, Policy::every(secs(1)).expect("not zero"), at(0.5)));
    assert_eq!(scheduler.poll_timeout(), Some(at(1.5)));
    assert_eq!(scheduler.report(ID).map(|report| report.health), Some(Health::Down));
    assert!(scheduler.set_policy(ID, Policy::every(secs(60)).expect("not zero"), at(0.5)));
    assert_eq!(scheduler.poll_timeout(), Some(at(1.5)), "never later than it was promised");
}

#[test]
fn unpolled_changes_that_cancel_out_vanish_and_are_counted() {
    let mut scheduler = one(policy().retry(0));
    play(&mut scheduler, 0.0, 0.0, no());
    play(&mut scheduler, 4.0, 4.0, yes());
    assert_eq!(scheduler.poll_event(), None);
    assert_eq!(scheduler.superseded(), 1);
    play(&mut scheduler, 8.0, 8.0, no());
    assert_eq!(change(&mut scheduler), Some((Health::Down, at(8.0))));
}

#[test]
fn overdue_probes_come_longest_overdue_first_and_ties_by_id() {
    let mut scheduler = Scheduler::new();
    for (id, offset) in [(5, 2), (3, 1), (4, 2), (9, 0)] {
        scheduler.insert(CheckId::new(id), policy(), secs(offset), at(0.0));
    }
    let order: Vec<u64> =
        std::iter::from_fn(|| scheduler.poll_probe(at(60.0)).map(|probe| probe.id().as_u64())).collect();
    assert_eq!(order, [9, 3, 4, 5]);
}

#[test]
fn a_clock_that_stands_still_or_goes_back_sends_nothing() {
    let mut scheduler = one(policy());
    let probe = scheduler.poll_probe(at(100.0)).expect("due");
    scheduler.handle_outcome(at(50.0), probe, yes());
    assert!(scheduler.poll_probe(at(0.0)).is_none());
    assert!(scheduler.poll_probe(at(50.0)).is_none());
    assert_eq!(scheduler.poll_timeout(), Some(at(54.0)));
}

#[test]
fn ten_thousand_checks_each_run_once_per_period() {
    let mut scheduler = Scheduler::new();
    for id in 0..10_000 {
        let id = CheckId::new(id);
        scheduler.insert(id, policy(), crate::scatter(1, id, secs(4)), at(0.0));
    }
    let mut runs = BTreeMap::new();
    while let Some(now) = scheduler.poll_timeout().filter(|now| *now < at(40.0)) {
        let probe = scheduler.poll_probe(now).expect("it is due");
        *runs.entry(probe.id()).or_insert(0_u32) += 1;
        scheduler.handle_outcome(now, probe, yes());
    }
    assert_eq!(runs.len(), 10_000);
    assert!(runs.values().all(|count| *count == 10));
}

#[derive(Clone, Debug)]
enum Step {
    /// Time passes, and what is due starts.
    Pass(u64),
    /// The nth probe that is out is answered.
    Answer(usize, bool),
    Insert(u64),
    Remove(u64),
    Suspend(u64),
    Resume(u64),
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3000_u64).prop_map(Step::Pass),
        6 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(nth, passed)| Step::Answer(nth.index(1000), passed)),
        1 => (0..4_u64).prop_map(Step::Insert),
        1 => (0..4_u64).prop_map(Step::Remove),
        1 => (0..4_u64).prop_map(Step::Suspend),
        1 => (0..4_u64).prop_map(Step::Resume),
        3 => Just(Step::Poll),
    ]
}

proptest! {
    #[test]
    fn permits_are_single_never_early_and_events_alternate(
        steps in prop::collection::vec(step(), 1..300),
        retry in 0..4_u32,
        rise in 1..3_u32,
        alpha in any::<bool>(),
    ) {
        let initially = if alpha { Health::Down } else { Health::Up };
        let policy = policy().retry(retry).rise(NonZeroU32::new(rise).expect("not zero")).initially(initially);
        let mut scheduler = Scheduler::new();
        let mut now = Instant::ORIGIN;
        let mut out: Vec<Probe> = Vec::new();
        // What this test knows by itself: which permits still count, and what was last said of each check.
        let mut counts: BTreeMap<CheckId, u64> = BTreeMap::new();
        let mut said: BTreeMap<CheckId, Health> = BTreeMap::new();
        let mut suspended = BTreeSet::new();
        for step in steps {
            match step {
                Step::Pass(millis) => {
                    now = now + Duration::from_millis(millis);
                    while let Some(probe) = scheduler.poll_probe(now) {
                        prop_assert!(probe.due() <= now);
                        prop_assert!(!suspended.contains(&probe.id()));
                        prop_assert!(counts.insert(probe.id(), probe.permit).is_none(), "two permits of one check");
                        out.push(probe);
                    }
                    prop_assert!(scheduler.poll_timeout().is_none_or(|due| due > now));
                }
                Step::Answer(nth, passed) if !out.is_empty() => {
                    let probe = out.swap_remove(nth % out.len());
                    if counts.get(&probe.id()) == Some(&probe.permit) {
                        counts.remove(&probe.id());
                    }
                    scheduler.handle_outcome(now, probe, if passed { yes() } else { no() });
                }
                Step::Answer(..) => {}
                Step::Insert(id) => {
                    let id = CheckId::new(id);
                    scheduler.insert(id, policy, Duration::ZERO, now);
                    counts.remove(&id);
                    suspended.remove(&id);
                    said.insert(id, initially);
                }
                Step::Remove(id) => {
                    let id = CheckId::new(id);
                    prop_assert_eq!(scheduler.remove(id), said.remove(&id).is_some());
                    counts.remove(&id);
                    suspended.remove(&id);
                }
                Step::Suspend(id) => {
                    let id = CheckId::new(id);
                    if scheduler.suspend(id) {
                        counts.remove(&id);
                        suspended.insert(id);
                    }
                }
                Step::Resume(id) => {
                    let id = CheckId::new(id);
                    prop_assert_eq!(scheduler.resume(id, Duration::ZERO, now), suspended.remove(&id));
                }
                Step::Poll => {
                    while let Some(event) = scheduler.poll_event() {
                        let health = event.change.health();
                        prop_assert!(said.insert(event.id, health).is_some_and(|before| before != health));
                    }
                    for report in scheduler.reports() {
                        prop_assert_eq!(said.get(&report.id), Some(&report.health), "nothing stays unsaid");
                    }
                }
            }
            prop_assert!(scheduler.changed.len() <= scheduler.len());
        }
    }

    #[test]
    fn detection_and_return_keep_their_bounds(
        period in 10..20_000_u64,
        pause in 0..5000_u64,
        timeout in 1..6000_u64,
        retry in 0..5_u32,
        offset in 0..20_000_u64,
        dies in 0..50_000_u64,
        dead_for in 0..50_000_u64,
        // How long each probe takes, in thousandths of the timeout.
        speeds in prop::collection::vec(0..=1000_u64, 1..50),
    ) {
        let millis = Duration::from_millis;
        let policy = Policy::every(millis(period))
            .expect("not zero")
            .retry(retry)
            .delay_before_retry(millis(pause))
            .timeout(millis(timeout));
        let dies = Instant::ORIGIN + millis(offset + timeout + dies);
        let returns = dies + policy.longest_detection() + millis(dead_for);
        let mut scheduler = Scheduler::new();
        scheduler.insert(ID, policy, millis(offset), Instant::ORIGIN);
        let (mut went_down, mut came_up) = (None, None);
        for speed in speeds.iter().cycle().take(1_000_000) {
            let start = scheduler.poll_timeout().expect("it waits");
            let probe = scheduler.poll_probe(start).expect("it is due");
            let took = Duration::from_micros(timeout * speed);
            // A probe passes if the server lives from its start to its end; one that began while it was dead
            // waits until the deadline, which is the worst that can happen.
            let end = start + took;
            let alive = end < dies || start >= returns;
            let end = if alive { end } else { probe.deadline() };
            scheduler.handle_outcome(end, probe, if alive { yes() } else { no() });
            match scheduler.poll_event().map(|event| event.change.health()) {
                Some(Health::Down) => prop_assert!(went_down.replace(end).is_none() && end >= dies),
                Some(Health::Up) => prop_assert!(came_up.replace(end).is_none() && start >= returns),
                None => {}
            }
            if came_up.is_some() {
                break;
            }
        }
        let detection = went_down.expect("it was noticed") - dies;
        prop_assert!(detection <= policy.longest_detection(), "{detection:?} > {:?}", policy.longest_detection());
        // The probe that succeeds takes its own time on top.
        let recovery = came_up.expect("it was noticed") - returns;
        prop_assert!(recovery <= policy.longest_return() + millis(timeout), "{recovery:?}");
    }
}
