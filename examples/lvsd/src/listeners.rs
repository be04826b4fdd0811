//! Tells scripts and FIFOs what happens, each thing once, by what they heard of last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lvs_core::{Health, Notice, Role, ServerKey, ServiceKey};

use crate::fifos::{Fifos, News};
use crate::notices::Notices;
use crate::scripts::ScriptRunner;

/// How long scripts may still run when the daemon stops.
const LAST_SCRIPTS: Duration = Duration::from_secs(5);

/// How long FIFOs may still be read then, the end of their readers included.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Whoever is told.
pub(crate) struct Listeners {
    pub(crate) instances: Notices<ScriptRunner>,
    pub(crate) groups: Notices<ScriptRunner>,
    pub(crate) fifos: Option<Fifos>,
    /// Role and priority of each virtual router that they heard of last.
    told: BTreeMap<Arc<str>, (Role, u8)>,
    /// The members of each sync group, and its role that they heard of last.
    told_groups: BTreeMap<String, (Vec<String>, Role)>,
}

impl Listeners {
    /// Nobody has heard of anything; `members` are those of each group.
    pub(crate) fn new(
        instances: Notices<ScriptRunner>,
        groups: Notices<ScriptRunner>,
        fifos: Option<Fifos>,
        members: impl IntoIterator<Item = (String, Vec<String>)>,
    ) -> Self {
        let told_groups =
            members.into_iter().map(|(group, members)| (group, (members, Role::Initialize))).collect();
        Self { instances, groups, fifos, told: BTreeMap::new(), told_groups }
    }

    /// The role of a virtual router changed.
    pub(crate) fn role(&mut self, instance: Arc<str>, role: Role, priority: u8) {
        let notice = Notice::Role { instance: instance.to_string(), role, priority };
        self.told.insert(instance, (role, priority));
        self.instance(notice);
    }

    /// The effective priority of a virtual router changed.
    pub(crate) fn priority(&mut self, instance: &str, priority: u8) {
        // Its first role comes with the priority that it has then.
        let Some((role, told)) = self.told.get_mut(instance) else { return };
        let role = *role;
        if std::mem::replace(told, priority) != priority {
            self.instance(Notice::Priority { instance: instance.to_owned(), role, priority });
        }
    }

    /// A virtual router is master and hears another one, which has to yield.
    pub(crate) fn contested(&mut self, instance: &str) {
        let Some((_, priority)) = self.told.get(instance) else { return };
        self.instance(Notice::Contested { instance: instance.to_owned(), priority: *priority });
    }

    /// The role of a group changed.
    pub(crate) fn group(&mut self, group: &str, role: Role) {
        let Some((_, told)) = self.told_groups.get_mut(group) else { return };
        if std::mem::replace(told, role) != role {
            // As with keepalived: a group has no priority.
            self.of_group(Notice::Role { instance: group.to_owned(), role, priority: 0 });
        }
    }

    /// Events were missed: the roles and priorities now, for what led to them.
    pub(crate) fn catch_up(&mut self, now: impl IntoIterator<Item = (Arc<str>, Role, u8)>) {
        for (instance, role, priority) in now {
            match self.told.get(&instance) {
                Some((told, _)) if *told != role => self.role(instance, role, priority),
                Some(_) => self.priority(&instance, priority),
                None => {}
            }
        }
        let role_of = |member: &String| self.told.get(&**member).map_or(Role::Initialize, |(role, _)| *role);
        let roles = self.told_groups.iter().filter_map(|(name, (members, _))| {
            let first = members.first().map(role_of)?;
            // On its way it has no role of its own; its next event is still to come.
            members.iter().map(role_of).all(|role| role == first).then(|| (name.clone(), first))
        });
        for (group, role) in roles.collect::<Vec<_>>() {
            self.group(&group, role);
        }
    }

    /// A server changed its health.
    pub(crate) fn server(&self, service: ServiceKey, server: ServerKey, health: Health) {
        self.fifos(&News::Server(service, server, health));
    }

    /// A service got its first server that serves, or lost its last one.
    pub(crate) fn service(&self, service: ServiceKey, health: Health) {
        self.fifos(&News::Service(service, health));
    }

    /// Every virtual router of which anything was told stops, and so do their groups.
    pub(crate) fn stopped(&mut self) {
        for (instance, (_, priority)) in std::mem::take(&mut self.told) {
            self.instance(Notice::Stopped { instance: instance.to_string(), priority });
        }
        for (instance, (_, role)) in std::mem::take(&mut self.told_groups) {
            if role != Role::Initialize {
                self.of_group(Notice::Stopped { instance, priority: 0 });
            }
        }
    }

    /// Waits until everybody has heard everything, for a limited time.
    pub(crate) async fn finish(self) {
        let read = async {
            if let Some(fifos) = self.fifos {
                fifos.finish(LAST_LINES).await;
            }
        };
        tokio::join!(self.instances.finish(LAST_SCRIPTS), self.groups.finish(LAST_SCRIPTS), read);
    }

    fn instance(&mut self, notice: Notice) {
        self.fifos(&News::Instance(notice.clone()));
        self.instances.push(notice);
    }

    fn of_group(&mut self, notice: Notice) {
        self.fifos(&News::Group(notice.clone()));
        self.groups.push(notice);
    }

    fn fifos(&self, news: &News) {
        if let Some(fifos) = &self.fifos {
            fifos.tell(news);
        }
    }
}
