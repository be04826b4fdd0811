//! One router under random operations: what must hold after each of them, whatever came before.
//!
//! The letters are those of the project's list of invariants: A1 legal transitions, A2 the right timers, A3
//! and A4 who speaks and holds addresses, A5 a master that yields is silent, A6 nobody takes over early, A7
//! at most one advert per event and bounded answers, A8 a duplicate changes nothing, A9 what is sent is what
//! is configured, A10 early timeouts do nothing.
#![allow(clippy::unwrap_used)] // A value that cannot be had is a failed test.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lvs_core::{ClaimResult, Epoch, Instant, Role};
use lvs_vrrp::{
    Action, Advert, Advertised, AnnounceSchedule, Config, ConflictEvent, FaultReason, Gate, Interval,
    Preempt, Priority, Router, Start, Vrid, timing,
};
use proptest::prelude::*;

const OWN: [u8; 4] = [10, 0, 0, 5];

#[derive(Clone, Debug)]
enum Operation {
    Enable,
    Disable,
    Gate(Gate),
    Pass(Duration),
    /// To the next timer exactly, and let it expire.
    Expire,
    Timeout,
    Claimed(ClaimResult),
    Priority(Priority),
    Interval(Interval),
    Advert {
        source: [u8; 4],
        octet: u8,
        interval: Interval,
    },
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

fn operation(version_3: bool) -> impl Strategy<Value = Operation> {
    let gate = prop_oneof![
        3 => Just(Gate::Open),
        1 => Just(Gate::Held),
        1 => Just(Gate::Fault(FaultReason::LinkDown)),
    ];
    let source = prop_oneof![Just([10, 0, 0, 4]), Just(OWN), Just([10, 0, 0, 6])];
    let octet = prop_oneof![
        2 => Just(0u8), 1 => Just(1), 1 => Just(99), 3 => Just(100), 1 => Just(101), 1 => Just(255)
    ];
    let claimed = prop_oneof![3 => Just(ClaimResult::Confirmed), 1 => Just(ClaimResult::Missing)];
    prop_oneof![
        2 => Just(Operation::Enable),
        1 => Just(Operation::Disable),
        2 => gate.prop_map(Operation::Gate),
        6 => prop_oneof![Just(0u64), Just(1), Just(9), Just(100), Just(1000), Just(60_000)]
            .prop_map(|ms| Operation::Pass(Duration::from_millis(ms))),
        8 => Just(Operation::Expire),
        3 => Just(Operation::Timeout),
        4 => claimed.prop_map(Operation::Claimed),
        2 => priority().prop_map(Operation::Priority),
        1 => interval(version_3).prop_map(Operation::Interval),
        8 => (source, octet, interval(version_3))
            .prop_map(|(source, octet, interval)| Operation::Advert { source, octet, interval }),
    ]
}

fn scenario() -> impl Strategy<Value = (Config, Vec<Operation>)> {
    let preempt = prop_oneof![
        Just(Preempt::Always),
        Just(Preempt::Never),
        Just(Preempt::After(Duration::from_secs(5)))
    ];
    let start = prop_oneof![Just(Start::Backup), Just(Start::Master)];
    any::<bool>().prop_flat_map(move |version_3| {
        let config = (interval(version_3), priority(), preempt.clone(), start.clone()).prop_map(
            |(interval, priority, preempt, start)| {
                Config::new(interval, priority)
                    .with_preempt(preempt)
                    .with_start(start)
                    .with_announcements(AnnounceSchedule::default().with_refresh(Duration::from_secs(7)))
            },
        );
        (config, proptest::collection::vec(operation(version_3), 1..200))
    })
}

/// The router and what an observer remembers of it.
struct Observed {
    router: Router,
    now: Instant,
    enabled: bool,
    gate: Gate,
    /// The addresses are held under this epoch.
    held: Option<Epoch>,
    /// Not to become master before, by what started or was heard last.
    not_before: Instant,
    last_answer: Option<Instant>,
    /// Packets per address that this mastership asked for.
    announced: u64,
}

impl Observed {
    fn apply(&mut self, operation: &Operation) {
        let before = self.router.role();
        let mut is_answer = false;
        let mut may_take_over = false;
        match *operation {
            Operation::Enable => {
                self.enabled = true;
                self.router.enable(self.now);
            }
            Operation::Disable => {
                self.enabled = false;
                self.router.disable(self.now);
            }
            Operation::Gate(gate) => {
                self.gate = gate;
                may_take_over = gate == Gate::Open;
                self.router.set_gate(self.now, gate);
            }
            Operation::Pass(time) => self.now = self.now + time,
            Operation::Expire => {
                self.now = self.router.poll_timeout().unwrap_or(self.now).max(self.now);
                may_take_over = true;
                self.router.handle_timeout(self.now);
            }
            Operation::Timeout => {
                may_take_over = true;
                self.early_timeouts_do_nothing();
                self.router.handle_timeout(self.now);
            }
            Operation::Claimed(result) => {
                let epoch = self.router.ownership().epoch;
                self.router.handle_claimed(self.now, epoch, result);
            }
            Operation::Priority(priority) => self.router.set_priority(self.now, priority),
            Operation::Interval(interval) => {
                let config = *self.router.config();
                let new = Config::new(interval, config.priority()).with_preempt(config.preempt());
                if before == Role::Backup && interval != config.interval() {
                    // The wait may begin again or go on; both are right, so nothing is demanded of it here.
                    self.not_before = Instant::ORIGIN;
                }
                self.router.reconfigure(self.now, new);
            }
            Operation::Advert { source, octet, interval } => {
                is_answer = true;
                self.remember(source.into(), octet, interval);
                self.hear(source, octet, interval);
            }
        }
        self.check(before, is_answer, may_take_over);
    }

    fn hear(&mut self, source: [u8; 4], octet: u8, interval: Interval) {
        let vips = [Ipv4Addr::new(10, 0, 0, 100)];
        let advertised = Advertised::from_octet(octet);
        let advert =
            Advert::new(Vrid::new(1).expect("in range"), advertised, interval, &vips).expect("in range");
        self.router.handle_advert(self.now, source.into(), &advert);
    }

    /// A6, computed apart from the router: until when an advert keeps a backup from taking over.
    fn remember(&mut self, source: IpAddr, octet: u8, interval: Interval) {
        let config = *self.router.config();
        let heard = match config.interval() {
            Interval::Centis(_) => interval,
            Interval::Seconds(_) => config.interval(),
        };
        let own = config.priority();
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
            let wait_again = self.now + timing::master_down_interval(heard, own);
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

    fn check(&mut self, before: Role, is_answer: bool, may_take_over: bool) {
        let mut adverts = 0;
        let mut role = before;
        let mut silent = false;
        while let Some(action) = self.router.poll_action() {
            assert!(!silent, "A3: {action:?} after priority 0, release and change");
            match action {
                Action::Advertise(advertised) => {
                    adverts += 1;
                    match advertised {
                        Advertised::Running(priority) => {
                            assert_eq!(priority, self.router.config().priority(), "A9");
                            assert_eq!(self.router.role(), Role::Master, "A3, A5");
                        }
                        Advertised::Resigning => {
                            assert_eq!(before, Role::Master, "A3");
                            assert_ne!(self.router.role(), Role::Master, "A3");
                        }
                    }
                }
                Action::Claim { epoch } => {
                    assert_eq!(adverts, 1, "VR-009: the advert comes before the addresses");
                    assert_eq!(self.held.replace(epoch), None, "A4");
                    self.announced = 0;
                }
                Action::Release { epoch } => assert_eq!(self.held.take(), Some(epoch), "A4"),
                Action::Announce { epoch, packets } => {
                    assert_eq!(self.held, Some(epoch), "A3");
                    self.announced += u64::from(packets);
                    assert_eq!(self.announced, self.router.ownership().announcements);
                }
                Action::Changed(transition) => {
                    assert_eq!(transition.from, role, "A1");
                    role = transition.to;
                    silent = before == Role::Master;
                }
                Action::WantsMaster => {
                    assert_eq!((self.gate, self.router.role()), (Gate::Held, Role::Backup));
                }
                Action::Conflict(ConflictEvent::Began(_) | ConflictEvent::Unheard(_)) => {
                    assert_eq!(self.router.role(), Role::Master);
                }
                Action::Conflict(ConflictEvent::Ended(..)) => assert_eq!(before, Role::Master),
            }
        }
        assert_eq!(role, self.router.role(), "A1: every change is told");
        assert!(adverts <= 1, "A7");
        assert_eq!(self.held.is_some(), role == Role::Master, "A4");
        self.check_role(role);
        if adverts == 1 && is_answer {
            if let Some(last) = self.last_answer {
                let gap = timing::answer_gap(self.router.config().interval());
                assert!(self.now - last >= gap.min(Duration::from_millis(1)), "A7");
            }
            self.last_answer = Some(self.now);
        }
        if before == Role::Backup && role == Role::Master {
            assert!(may_take_over, "A1");
            assert!(self.now >= self.not_before, "A6");
        }
        if before != role {
            self.last_answer = None;
        }
        if before != Role::Backup && role == Role::Backup && !is_answer {
            let config = self.router.config();
            let wait = match (config.start(), before) {
                // It waits for its gate only.
                _ if config.priority().is_owner() && before != Role::Master => Duration::ZERO,
                (Start::Master, Role::Initialize) => timing::initial_master_wait(config.interval()),
                (Start::Master | Start::Backup, _) => {
                    timing::master_down_interval(config.interval(), config.priority())
                }
            };
            self.not_before = self.now + wait;
        }
    }

    fn check_role(&self, role: Role) {
        let timer = self.router.poll_timeout();
        match role {
            Role::Initialize => {
                assert!(!self.enabled, "A1");
                assert_eq!(timer, None, "A2");
            }
            // With the gate not at fault it is a failed claim, which is tried again.
            Role::Fault => assert_eq!(matches!(self.gate, Gate::Fault(_)), timer.is_none(), "A2"),
            Role::Backup => {
                assert!(self.enabled && !matches!(self.gate, Gate::Fault(_)), "A1");
                assert!(timer.is_some() || self.gate == Gate::Held, "A2");
            }
            Role::Master => {
                assert!(self.enabled && self.gate == Gate::Open, "A1");
                assert!(timer.is_some(), "A2");
            }
        }
    }

    /// A8: the same advert once more at the same instant.
    fn duplicate_changes_nothing(&self, source: [u8; 4], octet: u8, interval: Interval) {
        let mut copy =
            Observed { router: self.router.clone(), held: self.held, ..Observed::new(*self.router.config()) };
        copy.now = self.now;
        copy.hear(source, octet, interval);
        while let Some(action) = copy.router.poll_action() {
            // Rounds, conflicts and answers have their own limits.
            assert!(matches!(action, Action::Announce { .. }), "A8: {action:?}");
        }
        assert_eq!(copy.router.role(), self.router.role(), "A8");
        if self.router.role() == Role::Backup && octet != 0 {
            assert_eq!(copy.router.poll_timeout(), self.router.poll_timeout(), "A8");
        }
    }

    fn new(config: Config) -> Self {
        Self {
            router: Router::new(config, OWN.into()),
            now: Instant::from_nanos(1_000_000_000_000),
            enabled: false,
            gate: Gate::Open,
            held: None,
            not_before: Instant::ORIGIN,
            last_answer: None,
            announced: 0,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_breaks_an_invariant((config, operations) in scenario()) {
        let mut observed = Observed::new(config);
        for operation in &operations {
            observed.apply(operation);
            if let Operation::Advert { source, octet, interval } = *operation {
                observed.duplicate_changes_nothing(source, octet, interval);
            }
        }
    }
}
