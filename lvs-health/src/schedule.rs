//! Decides which check runs when, and when its server goes up or down: all checks of a process on one clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use lvs_core::check::{Failure, Success};
use lvs_core::{Health, Instant};

use crate::policy::Policy;

/// All checks of a process: which one is due, and what the answers mean.
///
/// It does no I/O and knows no clock; the same calls give the same answers. Whoever drives it
/// (feature `tokio`: [`Runner`](crate::Runner)) repeats:
///
/// 1. at [`poll_timeout`](Self::poll_timeout), take every due probe with [`poll_probe`](Self::poll_probe) and ask the server;
/// 2. hand each answer back with [`handle_outcome`](Self::handle_outcome), at the latest at the probe's deadline (as a
///    failure);
/// 3. take the changes with [`poll_event`](Self::poll_event).
///
/// A [`Probe`] is a permit: as long as it is out, its check is not due again, so one slow server delays only itself. Keep
/// the permit where it cannot be lost (not inside the task that asks): a permit that never comes back stops its check.
///
/// ```text
///              poll_probe                      handle_outcome
///  Waiting{due} ─────────► Out{started} ─────► Waiting{end + delay_loop}           success, or down already
///       ▲  ▲                    │     └──────► Waiting{end + delay_before_retry}   failure, retries are left
///       │  └─────────── resume ─┴─ suspend ──► Suspended                           (an answer is ignored then)
///     insert
/// ```
///
/// Events of one check alternate between up and down and start with the one that differs from the policy's initial
/// health. They are state, not history: changes that were not polled and cancel each other out are dropped and counted,
/// so there are never more of them than checks.
///
/// ```
/// use std::time::Duration;
/// use lvs_core::{Instant, check::Failure};
/// use lvs_health::{Change, CheckId, Policy, Scheduler};
///
/// let mut scheduler = Scheduler::new();
/// let policy = Policy::every(Duration::from_secs(10)).expect("not zero").retry(0);
/// scheduler.insert(CheckId::new(1), policy, Duration::ZERO, Instant::ORIGIN);
///
/// let probe = scheduler.poll_probe(Instant::ORIGIN).expect("due at once");
/// assert!(scheduler.poll_probe(Instant::ORIGIN).is_none(), "it is out");
///
/// let now = Instant::ORIGIN + Duration::from_millis(3);
/// scheduler.handle_outcome(now, probe, Err(Failure::new("connection refused")));
/// let event = scheduler.poll_event().expect("it went down");
/// assert_eq!(event.change, Change::Down(Failure::new("connection refused")));
/// assert_eq!(scheduler.poll_timeout(), Some(now + Duration::from_secs(10)));
/// ```
#[derive(Debug, Default)]
pub struct Scheduler {
    checks: BTreeMap<CheckId, Entry>,
    /// What is due when; ties go to the lower id, so the order is reproducible.
    queue: BTreeSet<(Instant, CheckId)>,
    /// Checks whose health may differ from what the last polled event said, each at most once.
    changed: VecDeque<CheckId>,
    next_permit: u64,
    superseded: u64,
}

impl Scheduler {
    /// No checks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check whose first probe is due at `now + offset` ([`scatter`](crate::scatter) computes an offset).
    ///
    /// One with the same id is replaced, its state forgotten; use [`set_policy`](Self::set_policy) to keep it.
    pub fn insert(&mut self, id: CheckId, policy: Policy, offset: Duration, now: Instant) {
        self.remove(id);
        let due = now + offset;
        let health = policy.health_at_first();
        self.checks.insert(
            id,
            Entry {
                policy,
                phase: Phase::Waiting { due },
                health,
                announced: health,
                changed_at: now,
                change: None,
                queued: false,
                proven: false,
                failures: 0,
                successes: 0,
                last: None,
            },
        );
        self.queue.insert((due, id));
    }

    /// Forgets a check; false if there was none. The answer of a probe that is out is ignored.
    pub fn remove(&mut self, id: CheckId) -> bool {
        let Some(entry) = self.checks.remove(&id) else { return false };
        if let Phase::Waiting { due } = entry.phase {
            self.queue.remove(&(due, id));
        }
        if entry.queued {
            self.changed.retain(|changed| *changed != id);
        }
        true
    }

    /// Gives a check another policy and keeps its health; false if there is none.
    ///
    /// A probe that waits comes at most one new `delay_loop` from now.
    pub fn set_policy(&mut self, id: CheckId, policy: Policy, now: Instant) -> bool {
        let Some(entry) = self.checks.get_mut(&id) else { return false };
        entry.policy = policy;
        if let Phase::Waiting { due } = entry.phase {
            let sooner = due.min(now + policy.period());
            self.queue.remove(&(due, id));
            self.queue.insert((sooner, id));
            entry.phase = Phase::Waiting { due: sooner };
        }
        true
    }

    /// Stops asking and keeps the health (keepalived's `ha_suspend`); false if there is no such check. The answer of a
    /// probe that is out is ignored.
    pub fn suspend(&mut self, id: CheckId) -> bool {
        let Some(entry) = self.checks.get_mut(&id) else { return false };
        if let Phase::Waiting { due } = entry.phase {
            self.queue.remove(&(due, id));
        }
        entry.phase = Phase::Suspended;
        entry.failures = 0;
        entry.successes = 0;
        true
    }

    /// Asks again, the first time at `now + offset`; false if there is no such check or it was not suspended.
    pub fn resume(&mut self, id: CheckId, offset: Duration, now: Instant) -> bool {
        let Some(entry) = self.checks.get_mut(&id) else { return false };
        if !matches!(entry.phase, Phase::Suspended) {
            return false;
        }
        let due = now + offset;
        entry.phase = Phase::Waiting { due };
        self.queue.insert((due, id));
        true
    }

    /// The next probe that is due, the longest overdue first. Call it until it returns `None`, or until as many are
    /// out as the driver allows: the others stay due.
    #[must_use = "a probe whose outcome is never handed back stops its check"]
    pub fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        let (due, id) = *self.queue.first()?;
        if due > now {
            return None;
        }
        self.queue.pop_first();
        let entry = self.checks.get_mut(&id)?;
        let permit = self.next_permit;
        self.next_permit = self.next_permit.wrapping_add(1);
        entry.phase = Phase::Out { permit };
        Some(Probe { id, permit, due, started: now, deadline: now + entry.policy.limit() })
    }

    /// Takes the answer of a probe. That of a check which was removed, replaced or suspended meanwhile is ignored.
    pub fn handle_outcome(&mut self, now: Instant, probe: Probe, outcome: Result<Success, Failure>) {
        let Probe { id, permit, started, .. } = probe;
        let Some(entry) = self.checks.get_mut(&id) else { return };
        match entry.phase {
            Phase::Out { permit: out } if out == permit => {}
            Phase::Out { .. } | Phase::Waiting { .. } | Phase::Suspended => return,
        }
        let (health, wait) = entry.judge(outcome.is_ok());
        if health != entry.health {
            entry.health = health;
            entry.changed_at = now;
            entry.change = Some(match &outcome {
                Ok(success) => Change::Up(success.clone()),
                Err(failure) => Change::Down(failure.clone()),
            });
            if entry.queued {
                self.superseded = self.superseded.saturating_add(1);
            } else {
                entry.queued = true;
                self.changed.push_back(id);
            }
        }
        entry.last = Some(Answer { outcome, at: now, took: now - started });
        let due = now + wait;
        entry.phase = Phase::Waiting { due };
        self.queue.insert((due, id));
    }

    /// When the next probe is due; `None` if nothing waits. It may lie in the past.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// The next change of a server's health; servers come in the order in which they changed.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        while let Some(id) = self.changed.pop_front() {
            let Some(entry) = self.checks.get_mut(&id) else { continue };
            entry.queued = false;
            if entry.health == entry.announced {
                continue;
            }
            entry.announced = entry.health;
            let Some(change) = entry.change.clone() else { continue };
            return Some(Event { id, at: entry.changed_at, change });
        }
        None
    }

    /// Whether [`poll_event`](Self::poll_event) may have something.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Changes of health that were overtaken by the opposite one before they were polled.
    #[must_use]
    pub const fn superseded(&self) -> u64 {
        self.superseded
    }

    /// What is known of a check.
    #[must_use]
    pub fn report(&self, id: CheckId) -> Option<Report> {
        self.checks.get(&id).map(|entry| entry.report(id))
    }

    /// What is known of every check, by id.
    pub fn reports(&self) -> impl Iterator<Item = Report> + '_ {
        self.checks.iter().map(|(id, entry)| entry.report(*id))
    }

    /// How many checks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.checks.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }
}

/// The name of a check, chosen by the caller, unique within a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(u64);

impl CheckId {
    /// Any number.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The permit to ask a server once; [`Scheduler::handle_outcome`] takes it back with the answer.
///
/// It cannot be copied, so a check never has two probes out that count.
///
/// ```compile_fail
/// fn twice(scheduler: &mut lvs_health::Scheduler, now: lvs_core::Instant, probe: lvs_health::Probe) {
///     scheduler.handle_outcome(now, probe, Ok(Default::default()));
///     scheduler.handle_outcome(now, probe, Ok(Default::default())); // moved
/// }
/// ```
#[derive(Debug)]
#[must_use = "a probe whose outcome is never handed back stops its check"]
pub struct Probe {
    id: CheckId,
    permit: u64,
    due: Instant,
    started: Instant,
    deadline: Instant,
}

impl Probe {
    /// Which check.
    #[must_use]
    pub const fn id(&self) -> CheckId {
        self.id
    }

    /// When it was due; [`started`](Self::started) minus this is how late the driver was.
    #[must_use]
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// When it was taken.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// When it has to be over (the policy's timeout after its start); then it counts as failed.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }
}

/// A server's health changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Which check.
    pub id: CheckId,
    /// When the answer that decided it was handed in.
    pub at: Instant,
    /// To what, and why.
    pub change: Change,
}

/// What a server's health changed to, and the answer that decided it. This set is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It serves.
    Up(Success),
    /// It does not; the last failure.
    Down(Failure),
}

impl Change {
    /// The health without the reason.
    #[must_use]
    pub const fn health(&self) -> Health {
        match self {
            Self::Up(_) => Health::Up,
            Self::Down(_) => Health::Down,
        }
    }
}

/// What is known of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Which check.
    pub id: CheckId,
    /// What its server counts as.
    pub health: Health,
    /// Since when.
    pub since: Instant,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Failures in a row up to now.
    pub failures: u32,
    /// The last answer, if there was one.
    pub last: Option<Answer>,
}

/// The answer of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// What the check said.
    pub outcome: Result<Success, Failure>,
    /// When it was handed in.
    pub at: Instant,
    /// How long the probe took.
    pub took: Duration,
}

#[derive(Debug)]
struct Entry {
    policy: Policy,
    phase: Phase,
    health: Health,
    /// What the last polled event said.
    announced: Health,
    changed_at: Instant,
    /// The answer that decided `health`; `None` while that is the initial one.
    change: Option<Change>,
    /// Whether the id is in `changed`.
    queued: bool,
    /// Whether it ever passed; before that a failure is not retried.
    proven: bool,
    failures: u32,
    successes: u32,
    last: Option<Answer>,
}

#[derive(Debug)]
enum Phase {
    Waiting { due: Instant },
    Out { permit: u64 },
    Suspended,
}

impl Entry {
    /// The health after one more answer, and the pause until the next probe.
    fn judge(&mut self, passed: bool) -> (Health, Duration) {
        let period = self.policy.period();
        if passed {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            self.proven = true;
            let up = self.health == Health::Up || self.successes >= self.policy.successes_needed();
            return (if up { Health::Up } else { Health::Down }, period);
        }
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        let retried = self.proven && self.health == Health::Up && self.failures <= self.policy.retries();
        if retried { (Health::Up, self.policy.pause()) } else { (Health::Down, period) }
    }

    fn report(&self, id: CheckId) -> Report {
        Report {
            id,
            health: self.health,
            since: self.changed_at,
            suspended: matches!(self.phase, Phase::Suspended),
            failures: self.failures,
            last: self.last.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
