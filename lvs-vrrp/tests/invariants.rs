//! One router under random operations: what must hold after each of them, whatever came before.
//!
//! The letters are those of the project's list of invariants: A1 legal transitions, A2 the right timers, A3
//! and A4 who speaks and holds addresses, A5 a master that yields is silent, A6 nobody takes over early, A7
//! at most one advert per event and bounded answers, A8 a duplicate changes nothing, A9 what is sent is what
//! is configured, A10 early timeouts do nothing, A13 bounded announcements and events. Every run is recorded,
//! and its replay decides the same.
#![allow(clippy::unwrap_used)] // A value that cannot be had is a failed test.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use lvs_core::{ClaimResult, Epoch, Instant, Role};
use lvs_vrrp::record::{Input, Recording, replay};
use lvs_vrrp::{
    Action, Advertised, AnnounceSchedule, Config, ConflictEvent, DownTimerAdverts, FaultReason, Gate,
    Interval, Preempt, Priority, Reason, Router, Start, Transition, timing,
};
use proptest::prelude::*;

const OWN: [u8; 4] = [10, 0, 0, 5];

#[derive(Clone, Debug)]
enum Operation {
    Pass(Duration),
    /// To the next timer exactly, and let it expire.
    Expire,
    /// About the mastership of the moment.
    Claimed(ClaimResult),
    /// About an earlier one.
    ClaimedLate(ClaimResult),
    Interval(Interval),
    Tell(Input),
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![Just(1), Just(99), Just(100), Just(101), Just(254), Just(255)]
        .prop_map(|number| Priority::new(number).expect("in range"))
}

fn interval(version_3: bool) -> BoxedStrategy<Interval> {
    if version_3 {
        prop_oneof![Just(1u16), Just(10), Just(100), Just(4095)]
            .prop_map(|number| Interval::centis(number).expect("in range"))
            .boxed()
    } else {
        prop_oneof![Just(1u8), Just(2), Just(255)]
            .prop_map(|number| Interval::seconds(number).expect("in range"))
            .boxed()
    }
}

fn schedule() -> impl Strategy<Value = AnnounceSchedule> {
    let packets = || (1u8..=255).prop_map(|packets| NonZeroU8::new(packets).expect("at least 1"));
    let time = || prop_oneof![Just(0u64), Just(700), Just(2500), Just(7000)].prop_map(Duration::from_millis);
    let lower = proptest::option::of((prop_oneof![Just(0u8), Just(1), Just(9)], time()));
    (packets(), time(), time(), packets(), lower).prop_map(
        |(repeat, delay, refresh, refresh_repeat, lower)| {
            let schedule = AnnounceSchedule::default()
                .with_repeat(repeat)
                .with_delay(delay)
                .with_refresh(refresh)
                .with_refresh_repeat(refresh_repeat);
            match lower {
                Some((repeat, delay)) => schedule.with_lower_prio_repeat(repeat).with_lower_prio_delay(delay),
                None => schedule,
            }
        },
    )
}

fn config(version_3: bool) -> BoxedStrategy<Config> {
    let preempt = prop_oneof![
        Just(Preempt::Always),
        Just(Preempt::Never),
        Just(Preempt::After(Duration::from_secs(5)))
    ];
    let start = prop_oneof![Just(Start::Backup), Just(Start::Master)];
    let adverts = prop_oneof![1 => Just(1u8), 3 => Just(3), 1 => Just(100)];
    let start_delay = prop_oneof![3 => Just(0u64), 1 => Just(1500)];
    let rare = || proptest::bool::weighted(0.2);
    (
        (interval(version_3), priority(), preempt, start, adverts, start_delay, schedule()),
        (rare(), rare(), rare(), rare(), proptest::option::weighted(0.2, 1u64..10_000)),
    )
        .prop_map(|((interval, priority, preempt, start, adverts, start_delay, schedule), rare)| {
            let (silent, polite, deaf, modest, claim_timeout) = rare;
            let config = Config::new(interval, priority)
                .with_preempt(preempt)
                .with_start(start)
                .with_start_delay(Duration::from_millis(start_delay))
                .with_down_timer_adverts(DownTimerAdverts::new(adverts).expect("in range"))
                .with_announcements(schedule)
                .with_lower_prio_no_advert(silent)
                .with_higher_prio_send_advert(polite)
                .with_owner_ignore_adverts(deaf)
                .with_yield_when_late(modest);
            match claim_timeout {
                Some(ms) => config.with_claim_timeout(Duration::from_millis(ms)),
                None => config,
            }
        })
        .boxed()
}

fn operation(version_3: bool) -> BoxedStrategy<Operation> {
    let gate = prop_oneof![
        3 => Just(Gate::Open),
        1 => Just(Gate::Held),
        1 => Just(Gate::Fault(FaultReason::LinkDown)),
    ];
    let source = prop_oneof![3 => Just(4), 1 => Just(5), 3 => Just(6), 1 => 7u8..=14]
        .prop_map(|last| IpAddr::from([10, 0, 0, last]));
    let octet = prop_oneof![
        2 => Just(0u8), 1 => Just(1), 1 => Just(99), 3 => Just(100), 1 => Just(101), 1 => Just(255)
    ]
    .prop_map(Advertised::from_octet);
    let claimed = || prop_oneof![3 => Just(ClaimResult::Confirmed), 1 => Just(ClaimResult::Missing)];
    let tell = prop_oneof![
        4 => Just(Input::Enable),
        2 => Just(Input::Disable),
        4 => gate.prop_map(Input::Gate),
        6 => Just(Input::Timeout),
        4 => priority().prop_map(Input::Priority),
        1 => (4u8..=6).prop_map(|last| Input::Address([10, 0, 0, last].into())),
        1 => any::<bool>().prop_flat_map(config).prop_map(Input::Config),
        16 => (source, octet, interval(version_3))
            .prop_map(|(source, advertised, interval)| Input::Advert { source, advertised, interval }),
    ];
    prop_oneof![
        6 => prop_oneof![Just(0u64), Just(1), Just(9), Just(100), Just(1000), Just(60_000)]
            .prop_map(|ms| Operation::Pass(Duration::from_millis(ms))),
        8 => Just(Operation::Expire),
        4 => claimed().prop_map(Operation::Claimed),
        1 => claimed().prop_map(Operation::ClaimedLate),
        1 => interval(version_3).prop_map(Operation::Interval),
        18 => tell.boxed().prop_map(Operation::Tell),
    ]
    .boxed()
}

fn scenario() -> impl Strategy<Value = (Config, Vec<Operation>)> {
    any::<bool>().prop_flat_map(|version_3| {
        (config(version_3), proptest::collection::vec(operation(version_3), 1..200))
    })
}

/// The router and what an observer remembers of it.
struct Observed {
    router: Router,
    now: Instant,
    recording: Recording,
    /// Another one, which has no room for all.
    latest: Recording,
    decided: Vec<Action>,
    enabled: bool,
    /// Until the end of the start delay.
    starting_until: Option<Instant>,
    /// The addresses are held under this epoch.
    held: Option<Epoch>,
    /// Not to become master before, by what started or was heard last.
    not_before: Instant,
    /// Answers are not allowed before.
    no_answer_before: Instant,
    last_advert: Instant,
    last_round: Option<Instant>,
    /// A round by the schedule is due.
    is_round_due: bool,
    /// Packets per address that this mastership asked for.
    announced: u64,
    /// Conflicts that began and did not end, and since when.
    conflicts: BTreeMap<IpAddr, Instant>,
}

impl Observed {
    fn new(config: Config) -> Self {
        let now = Instant::from_nanos(1_000_000_000_000);
        Self {
            router: Router::new(config, OWN.into()),
            now,
            recording: Recording::new(now, &config, OWN.into(), 1 << 20),
            latest: Recording::new(now, &config, OWN.into(), 2000),
            decided: Vec::new(),
            enabled: false,
            starting_until: None,
            held: None,
            not_before: Instant::ORIGIN,
            no_answer_before: Instant::ORIGIN,
            last_advert: Instant::ORIGIN,
            last_round: None,
            is_round_due: false,
            announced: 0,
            conflicts: BTreeMap::new(),
        }
    }

    fn apply(&mut self, operation: &Operation) {
        let epoch = self.router.ownership().epoch;
        match *operation {
            Operation::Pass(time) => self.now = self.now + time,
            Operation::Expire => {
                self.now = self.router.poll_timeout().unwrap_or(self.now).max(self.now);
                self.tell(Input::Timeout);
            }
            Operation::Claimed(result) => self.tell(Input::Claimed { epoch, result }),
            Operation::ClaimedLate(result) => {
                let before = self.router.clone();
                let epoch = Epoch::from_value(epoch.value().wrapping_sub(1));
                self.tell(Input::Claimed { epoch, result });
                assert_eq!(self.router, before, "words about an earlier mastership");
            }
            Operation::Interval(interval) => {
                let config = self.router.config().with_interval(interval);
                self.tell(Input::Config(config));
            }
            Operation::Tell(input) => self.tell(input),
        }
    }

    fn tell(&mut self, input: Input) {
        let before = self.router.role();
        match input {
            Input::Enable => {
                if !self.enabled && !self.router.config().start_delay().is_zero() {
                    self.starting_until = Some(self.now + self.router.config().start_delay());
                }
                self.enabled = true;
            }
            Input::Disable => {
                self.enabled = false;
                self.starting_until = None;
            }
            Input::Timeout => self.early_timeouts_do_nothing(),
            Input::Config(config) => {
                if before == Role::Backup && config.interval() != self.router.config().interval() {
                    // The wait may begin again or go on; both are right, so nothing is demanded of it here.
                    self.not_before = Instant::ORIGIN;
                }
            }
            Input::Advert { source, advertised, interval } => self.remember(source, advertised, interval),
            Input::Gate(_) | Input::Claimed { .. } | Input::Priority(_) | Input::Address(_) => {}
        }
        if matches!(input, Input::Timeout) && self.starting_until.is_some_and(|until| self.now >= until) {
            self.starting_until = None;
        }
        let mut late = self.router.clone();
        late.handle_timeout(self.now);
        self.is_round_due = std::iter::from_fn(|| late.poll_action()).any(is_round);
        self.recording.note(self.now, &input, &self.router);
        self.latest.note(self.now, &input, &self.router);
        input.tell(&mut self.router, self.now);
        self.check(before, &input);
        if let Input::Advert { advertised, .. } = input {
            self.duplicate_changes_nothing(&input, advertised);
        }
    }

    /// A6, computed apart from the router: until when an advert keeps a backup from taking over.
    fn remember(&mut self, source: IpAddr, advertised: Advertised, interval: Interval) {
        let config = *self.router.config();
        let own = config.priority();
        if own.is_owner() && config.owner_ignore_adverts() {
            return;
        }
        let heard = match (config.interval(), interval) {
            (Interval::Centis(_), Interval::Centis(_)) => interval,
            (own, _) => own,
        };
        let octet = advertised.octet();
        let outranks = (octet, source) > (own.get(), self.router.address());
        let yields = match self.router.role() {
            Role::Backup => octet >= own.get() || (config.preempt() == Preempt::Never && !own.is_owner()),
            Role::Master => outranks,
            Role::Initialize | Role::Fault => false,
        };
        if octet == 0 && self.router.role() == Role::Backup {
            let skew = timing::skew_time(self.router.master_interval(), own);
            self.not_before = if self.router.poll_timeout().is_some() { self.now + skew } else { self.now };
        } else if octet != 0 {
            let wait_again = self.now + config.master_down_interval(heard);
            if yields {
                self.not_before = wait_again;
            } else if matches!(config.preempt(), Preempt::After(_)) {
                // Yielded to or not, depending on the delay: the less is demanded.
                self.not_before = self.not_before.min(wait_again);
            }
        }
    }

    fn early_timeouts_do_nothing(&self) {
        // A10: the clock stands still or goes back, nothing is due.
        if self.router.poll_timeout().is_none_or(|at| at > self.now) {
            for now in [self.now, self.now - Duration::from_secs(1), Instant::ORIGIN] {
                let mut copy = self.router.clone();
                copy.handle_timeout(now);
                assert_eq!(copy, self.router, "A10");
            }
        }
    }

    fn check(&mut self, before: Role, input: &Input) {
        let mut adverts = 0;
        let mut role = before;
        let mut is_over = false;
        let mut became_silent = false;
        while let Some(action) = self.router.poll_action() {
            self.decided.push(action);
            assert!(!is_over, "A3: {action:?} after a change from master");
            match action {
                Action::Advertise(Advertised::Running(priority)) => {
                    adverts += 1;
                    assert_eq!(priority, self.router.config().priority(), "A9");
                    assert!(!became_silent, "A5");
                    // A3, A5: or it is the last word before it yields.
                    let last_word = self.router.config().higher_prio_send_advert() && before == Role::Master;
                    assert!(self.router.role() == Role::Master || last_word, "A3, A5");
                    self.check_answer(input);
                    self.last_advert = self.now;
                }
                Action::Advertise(Advertised::Resigning) => {
                    adverts += 1;
                    assert_eq!(before, Role::Master, "A3");
                    assert_ne!(self.router.role(), Role::Master, "A3");
                }
                Action::Claim { epoch } => {
                    assert_eq!(adverts, 1, "VR-009: the advert comes before the addresses");
                    assert_eq!(self.held.replace(epoch), None, "A4");
                    (self.announced, self.last_round) = (0, None);
                }
                Action::Release { epoch } => {
                    assert_eq!(self.held.take(), Some(epoch), "A4");
                    became_silent = true;
                }
                Action::Announce { epoch, packets } => {
                    assert_eq!(self.held, Some(epoch), "A3");
                    self.check_round(packets, input);
                }
                Action::Changed(transition) => {
                    assert_eq!(transition.from, role, "A1");
                    self.check_transition(&transition, input);
                    role = transition.to;
                    is_over = before == Role::Master;
                }
                Action::WantsMaster => {
                    assert!(self.router.wants_master());
                    assert_eq!((self.router.gate(), self.router.role()), (Gate::Held, Role::Backup));
                }
                Action::Conflict(event) => self.check_conflict(&event, before),
            }
        }
        assert_eq!(role, self.router.role(), "A1: every change is told");
        assert!(adverts <= 1, "A7");
        assert_eq!(self.held.is_some(), role == Role::Master, "A4");
        let known: Vec<IpAddr> = self.conflicts.keys().copied().collect();
        let mut conflicts: Vec<IpAddr> = self.router.conflicts().map(|conflict| conflict.other).collect();
        conflicts.sort_unstable();
        assert_eq!(conflicts, known, "every beginning and end is told");
        self.check_role(role);
        if before == Role::Backup && role == Role::Master {
            assert!(self.now >= self.not_before, "A6");
        }
        if before != role {
            self.no_answer_before = Instant::ORIGIN;
        }
        self.remember_wait(before, role, input);
    }

    /// What a router that begins to listen has to wait for.
    fn remember_wait(&mut self, before: Role, role: Role, input: &Input) {
        if before == Role::Backup || role != Role::Backup || matches!(input, Input::Advert { .. }) {
            return;
        }
        let config = self.router.config();
        let wait = match (config.start(), before) {
            // It waits for its gate only.
            _ if config.priority().is_owner() && before != Role::Master => Duration::ZERO,
            (Start::Master, Role::Initialize) => timing::initial_master_wait(config.interval()),
            (Start::Master | Start::Backup, _) => config.master_down_interval(config.interval()),
        };
        self.not_before = self.now + wait;
    }

    /// A7: out of turn at most once per tenth of the interval.
    fn check_answer(&mut self, input: &Input) {
        let Input::Advert { .. } = input else { return };
        if self.router.role() == Role::Master {
            assert!(self.now >= self.no_answer_before, "A7");
            assert!(self.now < self.last_advert + self.router.config().interval().duration(), "A7: overdue");
            self.no_answer_before = self.now + timing::answer_gap(self.router.config().interval());
        }
    }

    /// A13: what others cause is announced at most once per second.
    fn check_round(&mut self, packets: u8, input: &Input) {
        assert!(packets > 0);
        if matches!(input, Input::Timeout) {
            assert_ne!(self.last_round, Some(self.now), "A13: one round serves for all");
        } else {
            assert!(matches!(input, Input::Advert { .. } | Input::Claimed { .. }), "{input:?}");
            let is_early = self.last_round.is_some_and(|last| self.now - last < Duration::from_secs(1));
            assert!(!is_early || self.is_round_due, "A13");
        }
        self.last_round = Some(self.now);
        self.announced += u64::from(packets);
        assert_eq!(self.announced, self.router.ownership().announcements);
    }

    fn check_conflict(&mut self, event: &ConflictEvent, before: Role) {
        let conflict = event.conflict();
        match event {
            ConflictEvent::Began(_) => {
                assert_eq!(self.router.role(), Role::Master);
                assert_eq!(self.conflicts.insert(conflict.other, conflict.since), None);
                assert!(self.conflicts.len() <= 4, "A13");
            }
            ConflictEvent::Unheard(_) => assert!(self.conflicts.contains_key(&conflict.other)),
            ConflictEvent::Ended(..) => {
                assert_eq!(before, Role::Master);
                assert_eq!(self.conflicts.remove(&conflict.other), Some(conflict.since));
            }
        }
        assert!(conflict.since <= conflict.until && conflict.until <= self.now && conflict.adverts > 0);
    }

    /// A1: who may become what by what (VR-110 to VR-128).
    fn check_transition(&self, transition: &Transition, input: &Input) {
        use Role::{Backup, Fault, Initialize, Master};
        let is_late = transition.reason == Reason::Late;
        assert!(!is_late || self.router.config().yield_when_late(), "A1");
        let is_legal = match (transition.from, transition.to) {
            (Initialize, Backup | Master | Fault) => matches!(input, Input::Enable | Input::Timeout),
            (Backup | Master | Fault, Initialize) => matches!(input, Input::Disable),
            (Backup, Master) => matches!(input, Input::Timeout | Input::Gate(Gate::Open)),
            (Backup, Fault) => matches!(input, Input::Gate(Gate::Fault(_))),
            (Master, Backup) if is_late => matches!(input, Input::Timeout | Input::Advert { .. }),
            (Master, Backup) => matches!(input, Input::Advert { .. } | Input::Gate(Gate::Held)),
            (Master, Fault) => matches!(input, Input::Gate(Gate::Fault(_)) | Input::Timeout),
            (Fault, Backup | Master) => {
                matches!(input, Input::Gate(Gate::Open | Gate::Held) | Input::Timeout)
            }
            // An owner whose gate is held wants to be master as soon as it is backup; that is no other change.
            (Initialize, Initialize) | (Backup, Backup) | (Master, Master) | (Fault, Fault) => false,
        };
        assert!(is_legal, "A1: {transition} by {input:?}");
    }

    fn check_role(&self, role: Role) {
        let timer = self.router.poll_timeout();
        let gate = self.router.gate();
        if role == Role::Initialize {
            assert_eq!(self.enabled, self.starting_until.is_some(), "A1");
            assert_eq!(timer, self.starting_until, "A2");
            return;
        }
        assert!(self.enabled && self.starting_until.is_none(), "A1");
        assert_eq!(self.router.wants_master(), role == Role::Backup && timer.is_none());
        match role {
            Role::Initialize => {}
            // With the gate not at fault it is a failed claim, which is tried again.
            Role::Fault => assert_eq!(matches!(gate, Gate::Fault(_)), timer.is_none(), "A2"),
            Role::Backup => {
                assert!(!matches!(gate, Gate::Fault(_)), "A1");
                assert!(timer.is_some() || gate == Gate::Held, "A2");
            }
            Role::Master => {
                assert_eq!(gate, Gate::Open, "A1");
                // A2, VR-114: a master is never silent for longer than its interval.
                let due = self.last_advert + self.router.config().interval().duration();
                assert!(timer.is_some_and(|timer| timer <= due.max(self.now)), "A2");
            }
        }
    }

    /// A8: the same advert once more at the same instant.
    fn duplicate_changes_nothing(&self, input: &Input, advertised: Advertised) {
        let mut copy = self.router.clone();
        input.tell(&mut copy, self.now);
        assert_eq!(copy.poll_action(), None, "A8");
        assert_eq!(copy.role(), self.router.role(), "A8");
        if self.router.role() == Role::Backup && advertised != Advertised::Resigning {
            assert_eq!(copy.poll_timeout(), self.router.poll_timeout(), "A8");
        }
    }
}

fn is_round(action: Action) -> bool {
    matches!(action, Action::Announce { .. })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_events_breaks_an_invariant((config, operations) in scenario()) {
        let mut observed = Observed::new(config);
        for operation in &operations {
            observed.apply(operation);
        }
        // A11 for one router: the same inputs, the same decisions.
        let replayed = replay(&observed.recording.text()).unwrap();
        prop_assert_eq!(&replayed.actions().collect::<Vec<_>>(), &observed.decided);
        prop_assert_eq!(replayed.router(), &observed.router);
        let latest = replay(&observed.latest.text()).unwrap();
        prop_assert!(observed.decided.ends_with(&latest.actions().collect::<Vec<_>>()));
        prop_assert_eq!(latest.router(), &observed.router);
    }
}
