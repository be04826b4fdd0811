//! Makes of what becomes of instances what becomes of their sync groups, for scripts and the log.

use std::collections::BTreeMap;

use lvs_core::Role;

/// A sync group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedGroup {
    pub(crate) name: String,
    /// Names of instances.
    pub(crate) members: Vec<String>,
}

/// What is known of all groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    name: String,
    members: BTreeMap<String, Role>,
    told: Role,
}

impl Groups {
    pub(crate) fn new(planned: Vec<PlannedGroup>) -> Self {
        let group = |planned: PlannedGroup| Group {
            name: planned.name,
            members: planned.members.into_iter().map(|member| (member, Role::Initialize)).collect(),
            told: Role::Initialize,
        };
        Self { groups: planned.into_iter().map(group).collect() }
    }

    /// Takes note of an instance's role; its group and the role of that, if that is new.
    pub(crate) fn set_role(&mut self, instance: &str, role: Role) -> Option<(String, Role)> {
        let group = self.groups.iter_mut().find(|group| group.members.contains_key(instance))?;
        *group.members.get_mut(instance)? = role;
        let now = group.role();
        (std::mem::replace(&mut group.told, now) != now).then(|| (group.name.clone(), now))
    }

    /// The groups that have been in a state that somebody could be told of.
    pub(crate) fn started(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().filter(|group| group.told != Role::Initialize).map(|group| &*group.name)
    }
}

impl Group {
    /// Master if all members are, at fault if one is. Members change one after the other: a group that is on its way is
    /// backup.
    fn role(&self) -> Role {
        let is = |role| move |member: &Role| *member == role;
        if self.members.values().any(is(Role::Fault)) {
            Role::Fault
        } else if self.members.values().any(is(Role::Initialize)) {
            Role::Initialize
        } else if self.members.values().all(is(Role::Master)) {
            Role::Master
        } else {
            Role::Backup
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_is_told_once_for_each_state_that_all_its_members_make() {
        let members = vec!["V1".to_owned(), "V2".to_owned()];
        let mut groups = Groups::new(vec![PlannedGroup { name: "G".to_owned(), members }]);
        let steps = [
            ("V1", Role::Backup, None),
            ("V2", Role::Backup, Some(Role::Backup)),
            ("V2", Role::Master, None),
            ("V1", Role::Master, Some(Role::Master)),
            ("V1", Role::Fault, Some(Role::Fault)),
            ("V2", Role::Fault, None),
            ("V1", Role::Backup, None),
            ("V2", Role::Backup, Some(Role::Backup)),
            ("V3", Role::Master, None),
        ];
        assert_eq!(groups.started().count(), 0);
        for (instance, role, expected) in steps {
            assert_eq!(
                groups.set_role(instance, role),
                expected.map(|role| ("G".to_owned(), role)),
                "{instance}"
            );
        }
        assert_eq!(groups.started().collect::<Vec<_>>(), ["G"]);
    }
}
