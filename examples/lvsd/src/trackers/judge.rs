//! Decides from facts what becomes of each instance, and tells the driver and the log when that changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lvs_vrrp::{Fact, Gate, Handle, Priority, TrackedKind, Tracker};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::Object;

/// An instance that tracks something.
#[derive(Debug)]
pub(crate) struct TrackedInstance {
    /// Its name.
    pub(crate) name: String,
    pub(crate) tracker: Tracker,
    /// What the tracker's objects are, in their order.
    pub(crate) objects: Vec<Object>,
}

/// All instances that track something, and what they were told.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    instances: Vec<Judged>,
}

#[derive(Debug)]
struct Judged {
    instance: TrackedInstance,
    told: (Priority, Gate),
}

impl Judge {
    /// Every instance goes by its own priority at first, with an open gate.
    pub(crate) fn new(instances: Vec<TrackedInstance>) -> Self {
        let judged = |instance: TrackedInstance| {
            let told = (instance.tracker.base(), Gate::Open);
            Judged { instance, told }
        };
        Self { instances: instances.into_iter().map(judged).collect() }
    }

    /// Takes note of a fact without telling anybody.
    pub(super) fn set_fact(&mut self, object: Object, fact: Fact) {
        for judged in &mut self.instances {
            let TrackedInstance { tracker, objects, .. } = &mut judged.instance;
            for place in objects.iter().enumerate().filter(|(_, known)| **known == object).map(|(p, _)| p) {
                tracker.set_fact(place, fact);
            }
        }
    }

    /// Tells every instance of which something changed.
    pub(super) fn tell_all(&mut self, vrrp: &Handle) {
        for (name, news, explanation) in self.news() {
            let Some(instance) = vrrp.instance(&name) else { continue };
            match news {
                News::Priority(priority) => {
                    info!("{name}: priority {explanation}");
                    instance.set_priority(priority);
                }
                News::Gate(gate @ Gate::Fault(_)) => {
                    warn!("{name}: {explanation}");
                    instance.set_gate(gate);
                }
                News::Gate(gate) => {
                    info!("{name}: no tracked object is at fault any more; priority {explanation}");
                    instance.set_gate(gate);
                }
            }
        }
    }

    /// What the instances have to be told, once: name, what changed, and why. The gate comes last, so that an
    /// instance which leaves its fault does so with the right priority.
    fn news(&mut self) -> Vec<(String, News, String)> {
        let mut news = Vec::new();
        for judged in &mut self.instances {
            let TrackedInstance { name, tracker, .. } = &judged.instance;
            let now = (tracker.priority(), tracker.gate());
            let before = std::mem::replace(&mut judged.told, now);
            if before.0 != now.0 {
                news.push((name.clone(), News::Priority(now.0), tracker.explain().to_string()));
            }
            if before.1 != now.1 {
                news.push((name.clone(), News::Gate(now.1), tracker.explain().to_string()));
            }
        }
        news
    }
}

/// A judge that several threads ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedJudge(Arc<Mutex<Judge>>);

/// What a judge knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Of tracked objects, by kind and name.
    pub(crate) facts: BTreeMap<(TrackedKind, String), Fact>,
    /// How the priorities of instances come about, by their names.
    pub(crate) explanations: BTreeMap<String, String>,
}

impl SharedJudge {
    pub(crate) fn new(judge: Judge) -> Self {
        Self(Arc::new(Mutex::new(judge)))
    }

    /// What is known now.
    pub(crate) fn known(&self) -> Known {
        let mut known = Known::default();
        for Judged { instance, .. } in &self.lock().instances {
            let tracker = &instance.tracker;
            known.explanations.insert(instance.name.clone(), tracker.explain().to_string());
            for (place, object) in tracker.objects().enumerate() {
                known.facts.insert((object.kind(), object.name().to_owned()), tracker.fact(place));
            }
        }
        known
    }

    /// Until nobody sends facts any more. Safe to cancel between two facts.
    pub(super) async fn keep(self, mut facts: mpsc::Receiver<(Object, Fact)>, vrrp: Handle) {
        while let Some((object, fact)) = facts.recv().await {
            let mut judge = self.lock();
            judge.set_fact(object, fact);
            judge.tell_all(&vrrp);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Judge> {
        // A fact that was taken note of halfway is told with the next one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, PartialEq)]
enum News {
    Priority(Priority),
    Gate(Gate),
}

#[cfg(test)]
mod tests {
    use lvs_vrrp::{FaultReason, Tracked, TrackedKind};

    use super::*;

    #[test]
    fn each_instance_is_told_what_changed_for_it_and_nothing_twice() {
        let script = |weight| Tracked::new(TrackedKind::Script, "chk_nginx", weight, false).unwrap();
        let tracked = |name: &str, weight| TrackedInstance {
            name: name.to_owned(),
            tracker: Tracker::new(Priority::new(150).unwrap(), [script(weight)]),
            objects: vec![Object(7)],
        };
        let judge = SharedJudge::new(Judge::new(vec![tracked("V1", 50), tracked("V2", 0)]));
        let known = || {
            let Known { facts, explanations } = judge.known();
            (facts[&(TrackedKind::Script, "chk_nginx".to_owned())], explanations["V1"].clone())
        };
        assert_eq!(known(), (Fact::Unknown, "150 = 150 base".to_owned()));
        let set_fact = |fact| judge.lock().set_fact(Object(7), fact);
        set_fact(Fact::Up);
        assert_eq!(known(), (Fact::Up, "200 = 150 base + 50 script chk_nginx".to_owned()));
        let mut judge = judge.lock();
        let raised = Priority::new(200).unwrap();
        let explanation = "200 = 150 base + 50 script chk_nginx".to_owned();
        assert_eq!(judge.news(), [("V1".to_owned(), News::Priority(raised), explanation)]);
        judge.set_fact(Object(7), Fact::Up);
        judge.set_fact(Object(8), Fact::Down);
        assert_eq!(judge.news(), []);
        judge.set_fact(Object(7), Fact::Down);
        let base = Priority::new(150).unwrap();
        let fault = Gate::Fault(FaultReason::Tracked);
        let expected = [
            ("V1".to_owned(), News::Priority(base), "150 = 150 base".to_owned()),
            (
                "V2".to_owned(),
                News::Gate(fault),
                "fault: script chk_nginx is down; priority 150 = 150 base".to_owned(),
            ),
        ];
        assert_eq!(judge.news(), expected);
    }
}
