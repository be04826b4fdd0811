//! Decides what tracked objects do to a priority: how much it rises or falls, or that the instance is at fault.

use std::fmt;
use std::ops::RangeInclusive;

use crate::action::{FaultReason, Gate};
use crate::types::Priority;

/// A priority and what moves it: interfaces, scripts, processes, files and BFD sessions, each with a weight.
///
/// It is a value without clock and threads, meant for the application that knows the facts: it is told them by
/// [`set_fact`](Self::set_fact), and its [`priority`](Self::priority) and [`gate`](Self::gate) go to the
/// instance.
///
/// | weight | up | down | not known yet | file that holds *n* |
/// | --- | --- | --- | --- | --- |
/// | 0 | – | fault | fault | fault, unless *n* is 0 |
/// | 0 reverse | fault | – | fault | fault, if *n* is 0 |
/// | *w* > 0 | + *w* | – | – | + *n* × *w*; fault below −253 |
/// | *w* < 0 | – | − │*w*│ | – | + *n* × *w*; fault below −253 |
/// | *w* > 0 reverse | − *w* | – | – | − *n* × *w*; fault below −253 |
/// | *w* < 0 reverse | – | + │*w*│ | – | − *n* × *w*; fault below −253 |
///
/// The sum is limited to 1 to 254. An owner's priority is 255 whatever happens, and files put it into fault by
/// weight 0 only. All of this is keepalived's, measured on 2.2.7.
///
/// Positive weights count good things, so that the host with most of them is master; negative ones count
/// failures, and do not saturate when there are many objects.
///
/// ```
/// use lvs_vrrp::{Fact, Gate, Priority, Tracked, TrackedKind, Tracker};
///
/// let nginx = Tracked::new(TrackedKind::Script, "chk_nginx", 50, false).expect("in range");
/// let uplink = Tracked::new(TrackedKind::Interface, "eth1", -20, false).expect("in range");
/// let mut tracker = Tracker::new(Priority::new(150)?, [nginx, uplink]);
///
/// tracker.set_fact(0, Fact::Up);
/// assert_eq!(tracker.explain().to_string(), "200 = 150 base + 50 script chk_nginx");
/// tracker.set_fact(1, Fact::Down);
/// assert_eq!(tracker.priority(), Priority::new(180)?);
/// assert_eq!(tracker.explain().to_string(), "180 = 150 base + 50 script chk_nginx - 20 interface eth1");
/// assert_eq!(tracker.gate(), Gate::Open);
/// assert!(tracker.objects().all(|object| !object.reverse()));
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    base: Priority,
    items: Vec<Item>,
}

impl Tracker {
    /// A tracker of these objects, which are known by their place from here on. Nothing is known of them yet.
    #[must_use]
    pub fn new(base: Priority, objects: impl IntoIterator<Item = Tracked>) -> Self {
        let items = objects.into_iter().map(|object| Item { object, fact: Fact::Unknown }).collect();
        Self { base, items }
    }

    /// Takes note of an object's state. Nothing happens if there is no such object.
    pub fn set_fact(&mut self, object: usize, fact: Fact) {
        if let Some(item) = self.items.get_mut(object) {
            item.fact = fact;
        }
    }

    /// What is known of an object; nothing if there is no such object.
    #[must_use]
    pub fn fact(&self, object: usize) -> Fact {
        self.items.get(object).map_or(Fact::Unknown, |item| item.fact)
    }

    /// Changes the priority that the weights are added to.
    pub const fn set_base(&mut self, base: Priority) {
        self.base = base;
    }

    /// The priority that the weights are added to.
    #[must_use]
    pub const fn base(&self) -> Priority {
        self.base
    }

    /// The tracked objects, in their order.
    pub fn objects(&self) -> impl Iterator<Item = &Tracked> {
        self.items.iter().map(|item| &item.object)
    }

    /// The priority to advertise: 1 to 254, or 255 of an owner. Objects that are at fault leave it alone.
    #[must_use]
    pub fn priority(&self) -> Priority {
        if self.base.is_owner() {
            return Priority::OWNER;
        }
        let sum = self.sum().clamp(1, Priority::HIGHEST_BACKUP.get().into());
        u8::try_from(sum).ok().and_then(|number| Priority::new(number).ok()).unwrap_or(self.base)
    }

    /// Whether the instance may take part: [`FaultReason::Tracked`] while any object says that it must not.
    #[must_use]
    pub fn gate(&self) -> Gate {
        match self.culprit() {
            Some(_) => Gate::Fault(FaultReason::Tracked),
            None => Gate::Open,
        }
    }

    /// Why the priority and the gate are what they are, as one line for people.
    #[must_use]
    pub const fn explain(&self) -> Explanation<'_> {
        Explanation { tracker: self }
    }

    fn culprit(&self) -> Option<&Item> {
        self.items.iter().find(|item| self.effect_of(item) == Effect::Fault)
    }

    fn sum(&self) -> i64 {
        self.items.iter().fold(self.base.get().into(), |sum, item| match self.effect_of(item) {
            Effect::Points(points) => sum.saturating_add(points),
            Effect::Fault => sum,
        })
    }

    fn effect_of(&self, item: &Item) -> Effect {
        let is_weighted = item.object.weight != 0;
        if self.base.is_owner() && is_weighted { Effect::Points(0) } else { item.effect() }
    }
}

/// What is known of a tracked object. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fact {
    /// Nothing yet: a script that has not come back for the first time.
    #[default]
    Unknown,
    /// It is as it should be.
    Up,
    /// It is not.
    Down,
    /// A file holds this number.
    Value(i64),
}

/// Something that a [`Tracker`] looks at, and what it does to the priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    kind: TrackedKind,
    name: Box<str>,
    weight: i16,
    reverse: bool,
}

impl Tracked {
    /// An object of this kind and name. Weight 0 means fault instead of a change of the priority; `reverse` turns
    /// what the weight does into its opposite.
    ///
    /// `None` if the weight is not in the [range of the kind](TrackedKind::weights).
    #[must_use]
    pub fn new(kind: TrackedKind, name: &str, weight: i16, reverse: bool) -> Option<Self> {
        kind.weights().contains(&weight).then(|| Self { kind, name: name.into(), weight, reverse })
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> TrackedKind {
        self.kind
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// Its weight; 0 means fault.
    #[must_use]
    pub const fn weight(&self) -> i16 {
        self.weight
    }

    /// Whether what the weight does is turned into its opposite.
    #[must_use]
    pub const fn reverse(&self) -> bool {
        self.reverse
    }
}

impl fmt::Display for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// What can be tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TrackedKind {
    /// A network interface: up and with carrier.
    Interface,
    /// A program that is run again and again: exit status 0.
    Script,
    /// Running processes: neither too few nor too many.
    Process,
    /// A number in a file.
    File,
    /// A session of bidirectional forwarding detection.
    Bfd,
}

impl TrackedKind {
    /// The weights that keepalived allows for it: up to 254 for processes and files, up to 253 for the others.
    #[must_use]
    pub const fn weights(self) -> RangeInclusive<i16> {
        match self {
            Self::Interface | Self::Script | Self::Bfd => -253..=253,
            Self::Process | Self::File => -254..=254,
        }
    }
}

impl fmt::Display for TrackedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interface => "interface",
            Self::Script => "script",
            Self::Process => "process",
            Self::File => "file",
            Self::Bfd => "BFD session",
        })
    }
}

/// One line that says how a [`Tracker`] comes to its priority, and what is at fault if something is:
/// `200 = 150 base + 50 script chk_nginx`.
#[derive(Clone, Copy, Debug)]
pub struct Explanation<'a> {
    tracker: &'a Tracker,
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tracker = self.tracker;
        if let Some(Item { object, fact }) = tracker.culprit() {
            write!(f, "fault: {object} ")?;
            match fact {
                Fact::Unknown => f.write_str("has no result yet")?,
                Fact::Up => f.write_str("is up")?,
                Fact::Down => f.write_str("is down")?,
                Fact::Value(value) => write!(f, "holds {value}")?,
            }
            f.write_str("; priority ")?;
        }
        let (priority, sum) = (tracker.priority(), tracker.sum());
        write!(f, "{priority}")?;
        if i64::from(priority.get()) != sum {
            write!(f, " (limited from {sum})")?;
        }
        write!(f, " = {} base", tracker.base)?;
        for item in &tracker.items {
            match tracker.effect_of(item) {
                Effect::Points(0) | Effect::Fault => {}
                Effect::Points(points) => {
                    let sign = if points < 0 { '-' } else { '+' };
                    write!(f, " {sign} {} {}", points.unsigned_abs(), item.object)?;
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    object: Tracked,
    fact: Fact,
}

impl Item {
    fn effect(&self) -> Effect {
        let weight = i64::from(self.object.weight);
        let points = if self.object.reverse { -weight } else { weight };
        match self.fact {
            Fact::Unknown if weight == 0 => Effect::Fault,
            Fact::Up if weight == 0 => Effect::fault_if(self.object.reverse),
            Fact::Down if weight == 0 => Effect::fault_if(!self.object.reverse),
            Fact::Value(value) if weight == 0 => Effect::fault_if((value != 0) != self.object.reverse),
            Fact::Value(value) => match value.saturating_mul(points) {
                result if result < -LIMIT => Effect::Fault,
                result => Effect::Points(result.min(LIMIT)),
            },
            Fact::Up if weight > 0 => Effect::Points(points),
            Fact::Down if weight < 0 => Effect::Points(points),
            Fact::Unknown | Fact::Up | Fact::Down => Effect::Points(0),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Points(i64),
    Fault,
}

impl Effect {
    const fn fault_if(is_fault: bool) -> Self {
        if is_fault { Self::Fault } else { Self::Points(0) }
    }
}

/// What a file can add at most, and take away at most without a fault.
const LIMIT: i64 = 253;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tracker(base: u8, objects: &[(TrackedKind, i16, bool)]) -> Tracker {
        let tracked = objects.iter().enumerate().map(|(index, &(kind, weight, reverse))| {
            Tracked::new(kind, &format!("n{index}"), weight, reverse).unwrap()
        });
        Tracker::new(Priority::new(base).unwrap(), tracked)
    }

    /// Base 100; `None` is a fault.
    fn outcome(base: u8, kind: TrackedKind, weight: i16, reverse: bool, fact: Fact) -> Option<u8> {
        let mut tracker = tracker(base, &[(kind, weight, reverse)]);
        tracker.set_fact(0, fact);
        match tracker.gate() {
            Gate::Open => Some(tracker.priority().get()),
            Gate::Held | Gate::Fault(_) => None,
        }
    }

    #[test]
    fn weights_do_what_keepalived_2_2_7_was_seen_to_do() {
        use Fact::{Down, Unknown, Up, Value};
        use TrackedKind::{File, Interface, Script};
        let seen = [
            (Script, 50, false, Up, Some(150)),
            (Script, 50, true, Up, Some(50)),
            (Script, -50, false, Up, Some(100)),
            (Script, -50, true, Up, Some(100)),
            (Script, 50, false, Down, Some(100)),
            (Script, 50, true, Down, Some(100)),
            (Script, -50, false, Down, Some(50)),
            (Script, -50, true, Down, Some(150)),
            (Script, 0, false, Down, None),
            (Script, 0, true, Up, None),
            (Script, 0, true, Down, Some(100)),
            (Script, 50, false, Unknown, Some(100)),
            (Script, -50, false, Unknown, Some(100)),
            (Script, 0, false, Unknown, None),
            (Interface, -50, false, Down, Some(50)),
            (Interface, -50, true, Down, Some(150)),
            (Interface, 0, true, Down, Some(100)),
            (File, 2, false, Value(5), Some(110)),
            (File, 2, true, Value(5), Some(90)),
            (File, 0, false, Value(5), None),
            (File, 0, true, Value(5), Some(100)),
            (File, 0, true, Value(0), None),
            (File, 0, false, Value(0), Some(100)),
            (File, 60, false, Value(5), Some(254)),
            (File, -60, false, Value(5), None),
            (File, 1, false, Value(-5), Some(95)),
            (File, 254, false, Value(-5), None),
        ];
        for (kind, weight, reverse, fact, expected) in seen {
            let outcome = outcome(100, kind, weight, reverse, fact);
            assert_eq!(outcome, expected, "{kind} weight {weight} reverse {reverse}: {fact:?}");
        }
    }

    #[test]
    fn owner_keeps_its_priority_and_can_be_at_fault_by_weight_0_only() {
        for (weight, fact, expected) in [
            (30, Fact::Up, Some(255)),
            (-30, Fact::Down, Some(255)),
            (0, Fact::Down, None),
            (-254, Fact::Value(99), Some(255)),
        ] {
            assert_eq!(outcome(255, TrackedKind::File, weight, false, fact), expected, "weight {weight}");
        }
    }

    #[test]
    fn priority_stays_within_what_a_router_that_owns_nothing_may_have() {
        let mut tracker =
            tracker(100, &[(TrackedKind::Script, 253, false), (TrackedKind::Script, -253, false)]);
        tracker.set_fact(0, Fact::Up);
        tracker.set_fact(1, Fact::Up);
        assert_eq!(tracker.explain().to_string(), "254 (limited from 353) = 100 base + 253 script n0");
        tracker.set_fact(0, Fact::Down);
        tracker.set_fact(1, Fact::Down);
        assert_eq!(tracker.explain().to_string(), "1 (limited from -153) = 100 base - 253 script n1");
    }

    #[test]
    fn explanation_names_what_is_at_fault() {
        let mut tracker =
            tracker(100, &[(TrackedKind::Process, -10, false), (TrackedKind::Script, 0, false)]);
        tracker.set_fact(0, Fact::Down);
        let first = "fault: script n1 has no result yet; priority 90 = 100 base - 10 process n0";
        assert_eq!(tracker.explain().to_string(), first);
        tracker.set_fact(1, Fact::Down);
        let second = "fault: script n1 is down; priority 90 = 100 base - 10 process n0";
        assert_eq!(tracker.explain().to_string(), second);
    }

    #[test]
    fn weights_out_of_range_are_refused() {
        assert!(Tracked::new(TrackedKind::Script, "s", 254, false).is_none());
        assert!(Tracked::new(TrackedKind::File, "f", 254, false).is_some());
        assert!(Tracked::new(TrackedKind::File, "f", -255, false).is_none());
    }

    fn kind() -> impl Strategy<Value = TrackedKind> {
        use TrackedKind::{Bfd, File, Interface, Process, Script};
        prop_oneof![Just(Interface), Just(Script), Just(Process), Just(File), Just(Bfd)]
    }

    fn object() -> impl Strategy<Value = (TrackedKind, i16, bool)> {
        (kind(), prop_oneof![2 => Just(0i16), 5 => -253i16..=253], any::<bool>())
    }

    fn fact() -> impl Strategy<Value = Fact> {
        let value = prop_oneof![any::<i64>(), -300i64..300];
        prop_oneof![Just(Fact::Unknown), Just(Fact::Up), Just(Fact::Down), value.prop_map(Fact::Value)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn explanation_adds_up_to_the_priority_whatever_happens(
            base in 1u8..=255,
            objects in proptest::collection::vec((object(), fact()), 0..12),
        ) {
            let mut tracker = tracker(base, &objects.iter().map(|(object, _)| *object).collect::<Vec<_>>());
            for (place, (_, fact)) in objects.iter().enumerate() {
                tracker.set_fact(place, *fact);
            }
            let priority = tracker.priority().get();
            prop_assert_eq!(priority == 255, base == 255);
            let text = tracker.explain().to_string();
            prop_assert_eq!(text.starts_with("fault: "), tracker.gate() != Gate::Open);
            let (said, terms) = text.rsplit_once("; priority ").map_or(text.as_str(), |(_, rest)| rest)
                .split_once(" = ").unwrap();
            let mut sum = 0i64;
            let mut sign = 1;
            for word in terms.split(' ') {
                match word {
                    "+" => sign = 1,
                    "-" => sign = -1,
                    _ => sum += sign * word.parse::<i64>().unwrap_or(0),
                }
            }
            prop_assert_eq!(sum.clamp(1, if base == 255 { 255 } else { 254 }), i64::from(priority));
            prop_assert_eq!(said.split(' ').next().unwrap(), priority.to_string());
        }

        #[test]
        fn what_comes_up_never_does_harm_unless_reversed(
            base in 1u8..=254,
            objects in proptest::collection::vec((object(), fact()), 1..8),
        ) {
            let mut before = tracker(base, &objects.iter().map(|(object, _)| *object).collect::<Vec<_>>());
            for (place, (_, fact)) in objects.iter().enumerate().skip(1) {
                before.set_fact(place, *fact);
            }
            let reverse = objects[0].0.2;
            before.set_fact(0, Fact::Down);
            let mut after = before.clone();
            after.set_fact(0, Fact::Up);
            let (low, high) = if reverse { (&after, &before) } else { (&before, &after) };
            prop_assert!(low.priority() <= high.priority());
            prop_assert!(low.gate() != Gate::Open || high.gate() == Gate::Open);
        }
    }
}
