//! The state table of RFC 9568 §6.4, cell by cell: every event in every state, in both versions, with and without
//! preemption (VR-110 to VR-128).
//!
//! A cell is written down as the list of the project has it, apart from the router: which role follows, what is
//! sent and done, and what the protocol timer is then. All at priority 100, an interval of one second and the
//! address 10.0.0.5.
#![allow(clippy::unwrap_used)] // A value that cannot be had is a failed test.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lvs_core::{ClaimResult, Epoch, Instant, Role};
use lvs_vrrp::record::Input;
use lvs_vrrp::{
    Action, Advertised, AnnounceSchedule, Config, FaultReason, Gate, Interval, Preempt, Priority, Router,
    Version,
};

/// Where the router is before the event. It entered the state 300 ms ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Initialize,
    Backup,
    /// The wait is over, but the gate is held.
    Waiting,
    Master,
    /// By an interface that is down.
    Fault,
    /// By a claim that failed.
    ClaimFailed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Startup,
    Shutdown,
    /// The protocol timer, at its time: Master_Down_Timer or Adver_Timer.
    Timer,
    /// Priority 0.
    Resignation,
    Lower,
    /// The same priority from a lower, the same, a higher address.
    EqualFromLower,
    EqualFromSame,
    EqualFromHigher,
    Higher,
    /// The gate: an interface goes down or comes back, the group closes or opens the way.
    FaultBegins,
    GateHeld,
    GateOpen,
}

/// What is sent and done, without the reports about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Advert,
    Resign,
    Claim,
    Announce,
    Release,
    Want,
}

/// Role, deeds, and how long the protocol timer still runs.
#[derive(Debug, PartialEq, Eq)]
struct Cell(Role, Vec<Deed>, Option<Duration>);

const STATES: [State; 6] =
    [State::Initialize, State::Backup, State::Waiting, State::Master, State::Fault, State::ClaimFailed];

const EVENTS: [Event; 12] = [
    Event::Startup,
    Event::Shutdown,
    Event::Timer,
    Event::Resignation,
    Event::Lower,
    Event::EqualFromLower,
    Event::EqualFromSame,
    Event::EqualFromHigher,
    Event::Higher,
    Event::FaultBegins,
    Event::GateHeld,
    Event::GateOpen,
];

const AGE: Duration = Duration::from_millis(300);
const INTERVAL: Duration = Duration::from_secs(1);
/// VR-090 to VR-093: of priority 100 at one second, in both versions.
const SKEW: Duration = Duration::from_nanos(609_375_000);
const DOWN: Duration = Duration::from_nanos(3_609_375_000);

/// The table.
fn expected(state: State, event: Event, preempts: bool) -> Cell {
    use Deed::{Advert, Claim, Release, Resign};
    use Event::{
        EqualFromHigher, EqualFromLower, EqualFromSame, FaultBegins, GateHeld, GateOpen, Higher, Lower,
        Resignation, Shutdown, Startup, Timer,
    };
    let runs_on = |total: Duration| Some(total - AGE);
    match (state, event) {
        // VR-111.
        (State::Initialize, Startup) => Cell(Role::Backup, vec![], Some(DOWN)),
        // VR-112, VR-115 to VR-121, VR-125: nothing counts before the start.
        (
            State::Initialize,
            Shutdown | Timer | Resignation | Lower | EqualFromLower | EqualFromSame | EqualFromHigher
            | Higher | FaultBegins | GateHeld | GateOpen,
        ) => Cell(Role::Initialize, vec![], None),

        (State::Backup, Startup | GateHeld | GateOpen) => Cell(Role::Backup, vec![], runs_on(DOWN)),
        // VR-112: without a word.
        (State::Backup | State::Waiting | State::Fault | State::ClaimFailed, Shutdown) => {
            Cell(Role::Initialize, vec![], None)
        }
        // VR-113, VR-009.
        (State::Backup, Timer) => Cell(Role::Master, vec![Advert, Claim], Some(INTERVAL)),
        // VR-115, VR-100: the skew, whole, from now.
        (State::Backup, Resignation) => Cell(Role::Backup, vec![], Some(SKEW)),
        // VR-120: the timer runs on. VR-121: it starts again.
        (State::Backup, Lower) if preempts => Cell(Role::Backup, vec![], runs_on(DOWN)),
        (State::Backup, Lower) => Cell(Role::Backup, vec![], Some(DOWN)),
        // VR-116, VR-117, VR-118, VR-119: addresses are not compared.
        (State::Backup, EqualFromLower | EqualFromSame | EqualFromHigher | Higher) => {
            Cell(Role::Backup, vec![], Some(DOWN))
        }
        // VR-125.
        (State::Backup | State::Waiting, FaultBegins) => Cell(Role::Fault, vec![], None),

        (State::Waiting, Startup | GateHeld | Timer | Resignation) => Cell(Role::Backup, vec![], None),
        // VR-128: the wish stays while the others lose, and ends with an advert that is yielded to.
        (State::Waiting, Lower) if preempts => Cell(Role::Backup, vec![], None),
        (State::Waiting, Lower | EqualFromLower | EqualFromSame | EqualFromHigher | Higher) => {
            Cell(Role::Backup, vec![], Some(DOWN))
        }
        (State::Waiting, GateOpen) => Cell(Role::Master, vec![Advert, Claim], Some(INTERVAL)),

        (State::Master, Startup | GateOpen) => Cell(Role::Master, vec![], runs_on(INTERVAL)),
        // VR-112.
        (State::Master, Shutdown) => Cell(Role::Initialize, vec![Resign, Release], None),
        // VR-114.
        (State::Master, Timer) => Cell(Role::Master, vec![Advert], Some(INTERVAL)),
        // VR-115.
        (State::Master, Resignation) => Cell(Role::Master, vec![Advert], Some(INTERVAL)),
        // VR-118, VR-120 as RFC 9568 has them, in both versions; VR-121: the flag is not looked at. The round
        // for the neighbours waits: the last one was 300 ms ago.
        (State::Master, Lower | EqualFromLower) => Cell(Role::Master, vec![Advert], runs_on(INTERVAL)),
        // VR-119.
        (State::Master, EqualFromSame) => Cell(Role::Master, vec![], runs_on(INTERVAL)),
        // VR-116, VR-117: yields in silence.
        (State::Master, EqualFromHigher | Higher) => Cell(Role::Backup, vec![Release], Some(DOWN)),
        // VR-125.
        (State::Master, FaultBegins) => Cell(Role::Fault, vec![Resign, Release], None),
        // VR-127.
        (State::Master, GateHeld) => Cell(Role::Backup, vec![Resign, Release], Some(DOWN)),

        (
            State::Fault,
            Startup | Timer | Resignation | Lower | EqualFromLower | EqualFromSame | EqualFromHigher | Higher
            | FaultBegins,
        ) => Cell(Role::Fault, vec![], None),
        // VR-126: a whole wait.
        (State::Fault, GateHeld | GateOpen) => Cell(Role::Backup, vec![], Some(DOWN)),

        // Its timer is the pause before the next attempt: a claim timeout, which is the master down interval here.
        (
            State::ClaimFailed,
            Startup | Resignation | Lower | EqualFromLower | EqualFromSame | EqualFromHigher | Higher
            | GateHeld | GateOpen,
        ) => Cell(Role::Fault, vec![], runs_on(DOWN)),
        (State::ClaimFailed, Timer) => Cell(Role::Backup, vec![], Some(DOWN)),
        (State::ClaimFailed, FaultBegins) => Cell(Role::Fault, vec![], None),
    }
}

/// A router in a state, its clock, and the version that it speaks.
struct Bench {
    router: Router,
    now: Instant,
    interval: Interval,
}

impl Bench {
    fn new(state: State, interval: Interval, preempts: bool) -> Self {
        let preempt = if preempts { Preempt::Always } else { Preempt::Never };
        // Without the delayed round, so that the timer of a master is Adver_Timer.
        let schedule = AnnounceSchedule::default().with_delay(Duration::ZERO);
        let config = Config::new(interval, Priority::DEFAULT).with_preempt(preempt);
        let router = Router::new(config.with_announcements(schedule), [10, 0, 0, 5].into());
        let mut bench = Self { router, now: Instant::from_nanos(9_000_000_000), interval };
        match state {
            State::Initialize => {}
            State::Backup => bench.tell(Input::Enable),
            State::Waiting => {
                bench.tell(Input::Gate(Gate::Held));
                bench.tell(Input::Enable);
                bench.expire();
            }
            State::Master => {
                bench.tell(Input::Enable);
                bench.expire();
                let epoch = Epoch::NONE.next();
                bench.tell(Input::Claimed { epoch, result: ClaimResult::Confirmed });
            }
            State::Fault => {
                bench.tell(Input::Gate(Gate::Fault(FaultReason::LinkDown)));
                bench.tell(Input::Enable);
            }
            State::ClaimFailed => {
                bench.tell(Input::Enable);
                bench.expire();
                while bench.router.role() == Role::Master {
                    bench.expire();
                }
            }
        }
        while bench.router.poll_action().is_some() {}
        bench.now = bench.now + AGE;
        bench
    }

    fn tell(&mut self, input: Input) {
        input.tell(&mut self.router, self.now);
    }

    fn expire(&mut self) {
        if let Some(at) = self.router.poll_timeout() {
            self.now = at;
        }
        self.tell(Input::Timeout);
    }

    fn hear(&mut self, last: u8, octet: u8) {
        let (source, interval) = (IpAddr::from([10, 0, 0, last]), self.interval);
        self.tell(Input::Advert { source, advertised: Advertised::from_octet(octet), interval });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Startup => self.tell(Input::Enable),
            Event::Shutdown => self.tell(Input::Disable),
            Event::Timer => self.expire(),
            Event::Resignation => self.hear(6, 0),
            Event::Lower => self.hear(6, 99),
            Event::EqualFromLower => self.hear(4, 100),
            Event::EqualFromSame => self.hear(5, 100),
            Event::EqualFromHigher => self.hear(6, 100),
            Event::Higher => self.hear(4, 101),
            Event::FaultBegins => self.tell(Input::Gate(Gate::Fault(FaultReason::LinkDown))),
            Event::GateHeld => self.tell(Input::Gate(Gate::Held)),
            Event::GateOpen => self.tell(Input::Gate(Gate::Open)),
        }
    }

    fn cell(&mut self) -> Cell {
        let actions = std::iter::from_fn(|| self.router.poll_action());
        let deeds = actions.filter_map(|action| match action {
            Action::Advertise(Advertised::Running(priority)) => {
                assert_eq!(priority, Priority::DEFAULT);
                Some(Deed::Advert)
            }
            Action::Advertise(Advertised::Resigning) => Some(Deed::Resign),
            Action::Claim { .. } => Some(Deed::Claim),
            Action::Announce { .. } => Some(Deed::Announce),
            Action::Release { .. } => Some(Deed::Release),
            Action::WantsMaster => Some(Deed::Want),
            Action::Changed(_) | Action::Conflict(_) => None,
        });
        let deeds = deeds.collect();
        Cell(self.router.role(), deeds, self.router.poll_timeout().map(|at| at - self.now))
    }
}

/// The versions with an interval of a second.
struct Dialect(Interval);

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.version() {
            Version::V2 => f.write_str("v2"),
            Version::V3 => f.write_str("v3"),
        }
    }
}

fn dialects() -> [Dialect; 2] {
    [Dialect(Interval::seconds(1).unwrap()), Dialect(Interval::centis(100).unwrap())]
}

#[test]
fn every_event_in_every_state_leads_where_the_table_says() {
    // VR-111 to VR-121, VR-125 to VR-128.
    let mut cells = 0;
    for dialect in dialects() {
        for preempts in [true, false] {
            for state in STATES {
                for event in EVENTS {
                    let mut bench = Bench::new(state, dialect.0, preempts);
                    bench.happen(event);
                    let place = format!("{event:?} in {state:?}, {dialect}, preempts {preempts}");
                    assert_eq!(bench.cell(), expected(state, event, preempts), "{place}");
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, 2 * 2 * 6 * 12);
}

#[test]
fn an_owner_needs_no_wait_from_initialize_and_from_fault_and_listens_in_backup_like_the_others() {
    // VR-110, VR-123, VR-066 with erratum 8298: whatever the flag says.
    for dialect in dialects() {
        for preempts in [true, false] {
            for (state, event) in [
                (State::Initialize, Event::Startup),
                (State::Fault, Event::GateOpen),
                (State::ClaimFailed, Event::Timer),
            ] {
                let mut bench = Bench::new(state, dialect.0, preempts);
                bench.tell(Input::Priority(Priority::OWNER));
                bench.happen(event);
                assert_eq!(bench.router.role(), Role::Master, "{event:?} in {state:?}, {dialect}");
            }
            // No other than an owner is yielded to.
            let mut bench = Bench::new(State::Backup, dialect.0, preempts);
            bench.tell(Input::Priority(Priority::OWNER));
            for octet in [1, 100, 254] {
                bench.hear(6, octet);
            }
            assert_eq!(bench.cell(), Cell(Role::Backup, vec![], Some(DOWN - AGE)));
            bench.hear(4, 255);
            let down = bench.router.config().master_down_interval(dialect.0);
            assert_eq!(bench.cell(), Cell(Role::Backup, vec![], Some(down)));
        }
    }
}

#[test]
fn an_interval_that_differs_is_learnt_in_version_three_only() {
    // VR-069, VR-097, VR-116 in both columns.
    for state in [State::Backup, State::Master] {
        let mut bench = Bench::new(state, Interval::centis(100).unwrap(), true);
        bench.interval = Interval::centis(20).unwrap();
        bench.happen(Event::Higher);
        assert_eq!(bench.router.poll_timeout().unwrap() - bench.now, Duration::from_nanos(721_875_000));
        // In version 2 such an advert is refused before it comes here (VR-068); if it does, it changes nothing.
        let mut bench = Bench::new(state, Interval::seconds(1).unwrap(), true);
        bench.interval = Interval::seconds(9).unwrap();
        bench.happen(Event::Higher);
        assert_eq!(bench.router.poll_timeout().unwrap() - bench.now, DOWN);
    }
}

#[test]
fn a_lowered_priority_counts_for_the_next_comparison_the_next_wait_and_the_next_advert() {
    // VR-124, VR-094.
    for dialect in dialects() {
        let mut bench = Bench::new(State::Backup, dialect.0, true);
        bench.tell(Input::Priority(Priority::new(50).unwrap()));
        assert_eq!(bench.cell(), Cell(Role::Backup, vec![], Some(DOWN - AGE)));
        bench.hear(6, 99);
        assert_eq!(bench.cell().2, Some(Duration::from_nanos(3_804_687_500)));

        let mut bench = Bench::new(State::Master, dialect.0, true);
        bench.tell(Input::Priority(Priority::new(50).unwrap()));
        assert_eq!(bench.cell(), Cell(Role::Master, vec![], Some(INTERVAL - AGE)));
        bench.expire();
        let advert = Action::Advertise(Advertised::Running(Priority::new(50).unwrap()));
        assert_eq!(bench.router.poll_action(), Some(advert));
        bench.hear(6, 99);
        assert_eq!(bench.router.role(), Role::Backup);
    }
}
