//! Which schedulers and persistence engines the kernel is known to have, and which it has shown not to.
//!
//! The kernel looks for an unknown one in a module, and runs `modprobe` for that while the thread that sends the edit
//! waits: two thousand edits with a misspelt scheduler would be two thousand programs. So the first edit of a batch with an
//! unknown name is the last of its send, and decides about the others.

use std::collections::BTreeSet;

use lvs_core::{Change, EngineName, SchedulerName, VirtualService};
use lvs_netlink::KernelError;

use crate::error::Refusal;

/// Those that the kernel accepted, as long as it did not refuse them later.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    schedulers: BTreeSet<SchedulerName>,
    engines: BTreeSet<EngineName>,
}

impl Accepted {
    /// The kernel made this edit.
    pub(super) fn note(&mut self, change: &Change) {
        let Some(service) = named(change) else { return };
        if self.schedulers.len() < MOST && !self.schedulers.contains(service.scheduler()) {
            self.schedulers.insert(service.scheduler().clone());
        }
        if let Some(engine) = service.persistence_engine()
            && self.engines.len() < MOST
        {
            self.engines.insert(engine.clone());
        }
    }

    /// The kernel refused this edit: a module may have been unloaded.
    pub(super) fn note_refusal(&mut self, change: &Change, refusal: Refusal) {
        if let (Some(service), true) = (named(change), is_absence(refusal)) {
            self.schedulers.remove(service.scheduler());
            if let Some(engine) = service.persistence_engine() {
                self.engines.remove(engine);
            }
        }
    }

    fn has(&self, service: &VirtualService) -> bool {
        self.schedulers.contains(service.scheduler())
            && service.persistence_engine().is_none_or(|engine| self.engines.contains(engine))
    }
}

/// What one batch found to be absent.
#[derive(Debug, Default)]
pub(super) struct Absent {
    schedulers: BTreeSet<SchedulerName>,
    engines: BTreeSet<EngineName>,
    /// One of the two is absent.
    pairs: BTreeSet<(SchedulerName, EngineName)>,
    /// The kernel's words about the first.
    answer: Option<KernelError>,
}

impl Absent {
    /// How an edit is to be sent.
    pub(super) fn plan(&self, change: &Change, accepted: &Accepted) -> Plan {
        let Some(service) = named(change) else { return Plan::Send };
        let scheduler = service.scheduler();
        let is_absent = self.schedulers.contains(scheduler)
            || service.persistence_engine().is_some_and(|engine| {
                self.engines.contains(engine) || self.pairs.contains(&(scheduler.clone(), engine.clone()))
            });
        match &self.answer {
            Some(answer) if is_absent => Plan::Refuse(answer.clone()),
            _ if accepted.has(service) => Plan::Send,
            _ => Plan::SendLast,
        }
    }

    /// The kernel refused an edit for want of its scheduler or engine.
    pub(super) fn note(&mut self, change: &Change, accepted: &Accepted, answer: &KernelError) {
        let Some(service) = named(change) else { return };
        let scheduler = service.scheduler().clone();
        match service.persistence_engine().cloned() {
            None => {
                self.schedulers.insert(scheduler);
            }
            Some(engine) if accepted.schedulers.contains(&scheduler) => {
                self.engines.insert(engine);
            }
            Some(engine) => {
                self.pairs.insert((scheduler, engine));
            }
        }
        self.answer.get_or_insert_with(|| answer.clone());
    }
}

/// How an edit is to be sent. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// With others.
    Send,
    /// Nothing else behind it: its result decides about others.
    SendLast,
    /// Not at all: the kernel has refused another for this.
    Refuse(KernelError),
}

/// Whether the kernel looked for a scheduler or engine in vain.
pub(super) fn is_absence(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::SchedulerAbsent | Refusal::SchedulerOrEngineAbsent)
}

/// The service of an edit for which the kernel looks for a scheduler.
fn named(change: &Change) -> Option<&VirtualService> {
    match change {
        Change::AddService(service) | Change::EditService(service) => Some(service),
        _ => None,
    }
}

/// The most names that are kept of each kind; Linux has 14 schedulers and one engine.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use lvs_core::{Protocol, ServiceKey};

    use super::*;

    const ENOENT: i32 = 2;

    fn add(scheduler: &str, engine: Option<&str>) -> Change {
        let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap());
        let engine = engine.map(|name| name.parse().unwrap());
        let service = VirtualService::new(key).with_scheduler(scheduler.parse().unwrap());
        Change::AddService(service.with_persistence_engine(engine))
    }

    /// Plays a batch against a kernel that has these; how many programs it runs to load modules.
    fn modprobes(edits: &[Change], accepted: &mut Accepted, schedulers: &[&str], engines: &[&str]) -> usize {
        let (mut absent, mut programs) = (Absent::default(), 0);
        for edit in edits {
            let service = named(edit).unwrap();
            let has = schedulers.contains(&service.scheduler().as_str())
                && service.persistence_engine().is_none_or(|engine| engines.contains(&engine.as_str()));
            match absent.plan(edit, accepted) {
                Plan::Refuse(answer) => assert!(!has && answer.errno() == ENOENT, "{edit}"),
                Plan::Send => assert!(has, "{edit}"),
                Plan::SendLast if has => accepted.note(edit),
                Plan::SendLast => {
                    programs += 1;
                    absent.note(edit, accepted, &KernelError::from_errno(ENOENT));
                }
            }
        }
        programs
    }

    #[test]
    fn one_program_is_run_for_each_absent_name_of_a_batch() {
        let edits: Vec<_> = (0..200).map(|number| add(["zzz", "rr", "yyy"][number % 3], None)).collect();
        let mut accepted = Accepted::default();
        assert_eq!(modprobes(&edits, &mut accepted, &["rr"], &[]), 2);
        // The next batch tries again: somebody may have loaded it.
        assert_eq!(modprobes(&edits, &mut accepted, &["rr", "zzz"], &[]), 1);
    }

    #[test]
    fn an_absent_engine_is_tried_once_and_no_other_service_is_refused_for_it() {
        let edits = [
            add("rr", Some("foo")),
            add("rr", Some("foo")),
            add("rr", None),
            add("wlc", None),
            add("wlc", Some("sip")),
            add("zzz", None),
            add("zzz", Some("sip")),
        ];
        assert_eq!(modprobes(&edits, &mut Accepted::default(), &["rr", "wlc"], &["sip"]), 2);
        let edits = [add("rr", None), add("wlc", None), add("rr", Some("foo")), add("wlc", Some("foo"))];
        assert_eq!(modprobes(&edits, &mut Accepted::default(), &["rr", "wlc"], &[]), 1);
    }

    #[test]
    fn only_the_first_edit_with_a_name_leaves_alone() {
        let (absent, mut accepted) = (Absent::default(), Accepted::default());
        assert_eq!(absent.plan(&add("rr", None), &accepted), Plan::SendLast);
        accepted.note(&add("rr", None));
        assert_eq!(absent.plan(&add("rr", None), &accepted), Plan::Send);
        assert_eq!(absent.plan(&add("rr", Some("sip")), &accepted), Plan::SendLast);
        accepted.note_refusal(&add("rr", None), Refusal::ServiceExists);
        assert_eq!(absent.plan(&add("rr", None), &accepted), Plan::Send);
        accepted.note_refusal(&add("rr", None), Refusal::SchedulerAbsent);
        assert_eq!(absent.plan(&add("rr", None), &accepted), Plan::SendLast);
    }

    #[test]
    fn no_more_names_are_kept_than_a_kernel_can_have() {
        let mut accepted = Accepted::default();
        for number in 0..1000 {
            let name = format!("n{number}");
            accepted.note(&add(&name, Some(&name)));
        }
        assert_eq!((accepted.schedulers.len(), accepted.engines.len()), (MOST, MOST));
    }
}
