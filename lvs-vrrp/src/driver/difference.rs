//! Decides what becomes of each instance and group when a driver is given another setup.

use std::collections::BTreeMap;

use crate::driver::config::InstanceConfig;
use crate::driver::registry::Registry;
use crate::driver::setup::Setup;
use crate::error::Error;

/// What [`Handle::apply`](crate::Handle::apply) did: names of instances, those that run in the order of the new setup.
///
/// One that was replaced, because something changed that cannot while it runs, is both among the removed and the added.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Changes {
    /// Instances that started.
    pub added: Vec<String>,
    /// Instances that ended.
    pub removed: Vec<String>,
    /// Instances that go on with another configuration.
    pub reconfigured: Vec<String>,
    /// Instances that go on as they were.
    pub kept: Vec<String>,
}

impl Changes {
    pub(crate) fn of(difference: &Difference, before: &Registry, after: &Registry) -> Self {
        let mut changes = Self::default();
        for (instance, fate) in after.instances.iter().zip(&difference.instances) {
            let names = match fate {
                Fate::Added => &mut changes.added,
                Fate::Kept(_) => &mut changes.kept,
                Fate::Changed(_) => &mut changes.reconfigured,
            };
            names.push(instance.config.name.clone());
        }
        let ended = difference.ended.iter().map(|&place| before.instances[place].config.name.clone());
        changes.removed.extend(ended);
        changes
    }
}

/// What leads from the instances and groups of a driver to those of another setup. Old and new ones are known by
/// their places.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Difference {
    /// What the instances of the new setup are, in its order.
    pub(crate) instances: Vec<Fate>,
    /// The old instances that end.
    pub(crate) ended: Vec<usize>,
    /// What the groups of the new setup are, in its order, and their members among the new instances.
    pub(crate) groups: Vec<(Fate, Vec<usize>)>,
    /// The old groups that end.
    pub(crate) ended_groups: Vec<usize>,
}

/// What something in a new setup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Something new.
    Added,
    /// What was in this place, as it was.
    Kept(usize),
    /// What was in this place, with another configuration or other members.
    Changed(usize),
}

impl Fate {
    /// Where it was before.
    pub(crate) const fn before(self) -> Option<usize> {
        match self {
            Self::Added => None,
            Self::Kept(place) | Self::Changed(place) => Some(place),
        }
    }
}

impl Difference {
    /// What leads from here to there.
    ///
    /// # Errors
    /// The setup contradicts itself or the protocol.
    pub(crate) fn between(before: &Registry, after: &Setup) -> Result<Self, Error> {
        let members = after.check()?;
        let places: BTreeMap<&str, usize> =
            before.instances.iter().enumerate().map(|(place, known)| (&*known.config.name, place)).collect();
        let fate = |config: &InstanceConfig| {
            let place = places.get(&*config.name).copied();
            match place.map(|place| (place, &before.instances[place].config)) {
                Some((place, old)) if **old == *config => Fate::Kept(place),
                Some((place, old)) if old.fixed_difference(config).is_none() => Fate::Changed(place),
                Some(_) | None => Fate::Added,
            }
        };
        let instances: Vec<Fate> = after.instances.iter().map(fate).collect();
        let group_places: BTreeMap<&str, usize> =
            before.groups.iter().enumerate().map(|(place, group)| (&*group.name, place)).collect();
        let groups = after.groups.iter().zip(members).map(|(group, members)| {
            let fate = match group_places.get(&*group.name).copied() {
                Some(place) => {
                    let is_new = |&member: &usize| instances[member] == Fate::Added;
                    let is_same =
                        before.groups[place].members == group.members && !members.iter().any(is_new);
                    if is_same { Fate::Kept(place) } else { Fate::Changed(place) }
                }
                None => Fate::Added,
            };
            (fate, members)
        });
        let groups: Vec<_> = groups.collect();
        let ended = rest(before.instances.len(), instances.iter());
        let ended_groups = rest(before.groups.len(), groups.iter().map(|(fate, _)| fate));
        Ok(Self { instances, ended, groups, ended_groups })
    }
}

/// Of that many places those that nothing new was in before.
fn rest<'a>(count: usize, fates: impl Iterator<Item = &'a Fate>) -> Vec<usize> {
    let mut ends = vec![true; count];
    fates.filter_map(|fate| fate.before()).for_each(|place| ends[place] = false);
    (0..count).filter(|&place| ends[place]).collect()
}

#[cfg(test)]
mod tests;
