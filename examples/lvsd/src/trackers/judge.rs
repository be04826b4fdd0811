//! Decides from facts what becomes of each instance, and tells the driver and the log when that changes.

use lvs_vrrp::{Fact, Gate, Handle, Priority, Tracker};
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

    /// Until nobody sends facts any more. Safe to cancel between two facts.
    pub(super) async fn keep(mut self, mut facts: mpsc::Receiver<(Object, Fact)>, vrrp: Handle) {
        while let Some((object, fact)) = facts.recv().await {
            self.set_fact(object, fact);
            self.tell_all(&vrrp);
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
        let mut judge = Judge::new(vec![tracked("V1", 50), tracked("V2", 0)]);
        judge.set_fact(Object(7), Fact::Up);
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
