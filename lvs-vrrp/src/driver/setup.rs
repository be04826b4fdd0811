//! What a driver is made of: instances, and groups of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::driver::config;
use crate::driver::config::InstanceConfig;
use crate::error::{ConfigError, Error};

/// The instances of a [`Driver`](crate::Driver) and their groups. A list of instances is a setup without groups.
/// [`Handle::apply`](crate::Handle::apply) gives a running driver another one.
///
/// ```
/// use lvs_vrrp::{Config, Driver, GroupConfig, InstanceConfig, Interval, Priority, Setup, Vrid};
///
/// let router = Config::new(Interval::seconds(1)?, Priority::new(150)?);
/// let outside = InstanceConfig::new("outside", "eth0", Vrid::new(51)?, vec![[10, 0, 0, 100].into()], router);
/// let inside = InstanceConfig::new("inside", "eth1", Vrid::new(52)?, vec![[10, 1, 0, 100].into()], router);
/// let mut setup = Setup::from(vec![outside, inside]);
/// setup.groups.push(GroupConfig::new("gateway", ["outside", "inside"]));
/// let (_driver, _handle, _events) = Driver::new(setup)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Setup {
    /// The instances.
    pub instances: Vec<InstanceConfig>,
    /// Groups of instances that are master together or not at all.
    pub groups: Vec<GroupConfig>,
    /// Whether adverts of virtual routers that are not among the instances are logged for everybody to see, the first,
    /// second, fourth, … of an interface (keepalived's `log_unknown_vrids`).
    pub logs_unknown_vrids: bool,
}

impl From<Vec<InstanceConfig>> for Setup {
    fn from(instances: Vec<InstanceConfig>) -> Self {
        Self { instances, groups: Vec::new(), logs_unknown_vrids: false }
    }
}

/// Instances that are master together or not at all: see [`SyncGroup`](crate::SyncGroup) (keepalived's
/// `vrrp_sync_group`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupConfig {
    /// Its name, unique among the groups and not empty.
    pub name: String,
    /// Names of its instances, at least one; an instance is in one group at most.
    pub members: Vec<String>,
}

impl GroupConfig {
    /// The group of these instances.
    #[must_use]
    pub fn new(name: impl Into<String>, members: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), members: members.into_iter().map(Into::into).collect() }
    }
}

impl Setup {
    /// The most instances of one driver: 32 interfaces with all identifiers of both families have room.
    pub const MOST_INSTANCES: usize = 16_384;

    /// Refuses what contradicts itself or the protocol; answers the places of the members of each group.
    pub(super) fn check(&self) -> Result<Vec<Vec<usize>>, Error> {
        let (count, most) = (self.instances.len(), Self::MOST_INSTANCES);
        if count > most {
            return Err(Error::TooManyInstances { count, most });
        }
        config::check(&self.instances)?;
        let names = self.instances.iter().enumerate().map(|(place, instance)| (&*instance.name, place));
        let places: BTreeMap<&str, usize> = names.collect();
        let (mut groups, mut taken, mut group_names) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for group in &self.groups {
            let refuse = |source| Error::Group { group: group.name.clone(), source };
            if group.name.is_empty() {
                return Err(refuse(ConfigError::Nameless));
            }
            if !group_names.insert(&*group.name) {
                return Err(refuse(ConfigError::DuplicateGroup));
            }
            if group.members.is_empty() {
                return Err(refuse(ConfigError::EmptyGroup));
            }
            let mut members = Vec::new();
            for name in &group.members {
                let unknown = || refuse(ConfigError::UnknownMember(name.clone()));
                let place = *places.get(&**name).ok_or_else(unknown)?;
                if let Some(other) = taken.insert(place, &group.name) {
                    let (member, other) = (name.clone(), other.clone());
                    return Err(refuse(ConfigError::MemberOfTwoGroups { member, other }));
                }
                members.push(place);
            }
            groups.push(members);
        }
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::types::{Interval, Priority, Vrid};

    fn complaint(groups: &[(&str, &[&str])]) -> String {
        let router = Config::new(Interval::centis(100).unwrap(), Priority::DEFAULT);
        let instance = |(place, name): (u8, &str)| {
            let vip = [10, 0, 0, 100].into();
            InstanceConfig::new(name, "eth0", Vrid::new(place).unwrap(), vec![vip], router)
        };
        let mut setup = Setup::from([(1, "a"), (2, "b")].map(instance).to_vec());
        setup.groups =
            groups.iter().map(|(name, members)| GroupConfig::new(*name, members.iter().copied())).collect();
        setup.check().err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn groups_that_could_not_be_kept_together_are_refused() {
        assert_eq!(complaint(&[("g", &["a", "b"])]), "");
        assert_eq!(complaint(&[("g", &["a"]), ("h", &["b"])]), "");
        assert_eq!(
            complaint(&[("g", &["a"]), ("g", &["b"])]),
            "group g: there is another group of this name"
        );
        assert_eq!(complaint(&[("g", &["a", "c"])]), "group g: there is no instance c");
        assert_eq!(
            complaint(&[("g", &["a"]), ("h", &["b", "a"])]),
            "group h: instance a is in group g already"
        );
        assert_eq!(complaint(&[("g", &["a", "a"])]), "group g: instance a is in group g already");
        assert_eq!(complaint(&[("g", &[])]), "group g: it has no members");
        assert_eq!(complaint(&[("", &["a"])]), "group : it needs a name");
    }
}
