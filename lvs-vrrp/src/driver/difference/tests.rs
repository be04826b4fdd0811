use std::collections::BTreeSet;

use lvs_core::Instant;
use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::driver::setup::GroupConfig;
use crate::types::{Interval, Priority, Vrid};

fn instance(name: &str, vrid: u8, priority: u8) -> InstanceConfig {
    let router = Config::new(Interval::centis(100).unwrap(), Priority::new(priority).unwrap());
    InstanceConfig::new(name, "eth0", Vrid::new(vrid).unwrap(), vec![[10, 0, 0, vrid].into()], router)
}

fn setup(instances: &[InstanceConfig], groups: &[(&str, &[&str])]) -> Setup {
    let mut setup = Setup::from(instances.to_vec());
    let group = |(name, members): &(&str, &[&str])| GroupConfig::new(*name, members.iter().copied());
    setup.groups = groups.iter().map(group).collect();
    setup
}

fn registry(setup: Setup) -> Registry {
    let plan = Registry::default().plan(setup, Instant::ORIGIN).unwrap();
    (*plan.registry).clone()
}

#[test]
fn instances_are_known_by_their_names_wherever_they_stand_in_the_list() {
    let [a, b, c] = [("a", 1), ("b", 2), ("c", 3)].map(|(name, vrid)| instance(name, vrid, 100));
    let before = registry(setup(&[a.clone(), b, c.clone()], &[]));
    let after = setup(&[c, instance("d", 4, 100), instance("a", 1, 120)], &[]);
    let difference = Difference::between(&before, &after).unwrap();
    assert_eq!(difference.instances, [Fate::Kept(2), Fate::Added, Fate::Changed(0)]);
    assert_eq!(difference.ended, [1]);
    let changes = Changes::of(&difference, &before, &registry(after));
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!((changes.added, changes.removed), (names(&["d"]), names(&["b"])));
    assert_eq!((changes.reconfigured, changes.kept), (names(&["a"]), names(&["c"])));
}

#[test]
fn what_cannot_change_while_it_runs_makes_another_instance_of_the_same_name() {
    let before = registry(setup(&[instance("a", 1, 100)], &[]));
    let mut elsewhere = instance("a", 1, 100);
    elsewhere.interface = "eth1".into();
    let mut recorded = instance("a", 1, 100);
    recorded.record = Some(4096);
    for new in [instance("a", 2, 100), elsewhere, recorded] {
        let after = setup(&[new], &[]);
        let difference = Difference::between(&before, &after).unwrap();
        assert_eq!((&*difference.instances, &*difference.ended), (&[Fate::Added][..], &[0][..]));
        let changes = Changes::of(&difference, &before, &registry(after));
        assert_eq!((changes.added, changes.removed), (vec!["a".to_owned()], vec!["a".to_owned()]));
    }
}

#[test]
fn a_group_is_kept_only_with_the_same_members_that_are_the_same_instances() {
    let [a, b, c] = [("a", 1), ("b", 2), ("c", 3)].map(|(name, vrid)| instance(name, vrid, 100));
    let all = [a.clone(), b.clone(), c.clone()];
    let before = registry(setup(&all, &[("g", &["a", "b"]), ("h", &["c"])]));
    let groups = |instances: &[InstanceConfig], groups: &[(&str, &[&str])]| {
        let difference = Difference::between(&before, &setup(instances, groups)).unwrap();
        (difference.groups.into_iter().map(|(fate, _)| fate).collect::<Vec<_>>(), difference.ended_groups)
    };
    let lists: [&[&str]; 2] = [&["a", "b"], &["c"]];
    assert_eq!(
        groups(&all, &[("h", lists[1]), ("g", lists[0])]),
        (vec![Fate::Kept(1), Fate::Kept(0)], vec![])
    );
    // A member with another priority is the same member.
    let other_priority = [instance("a", 1, 50), b.clone(), c.clone()];
    assert_eq!(groups(&other_priority, &[("g", lists[0])]), (vec![Fate::Kept(0)], vec![1]));
    // One with another identifier is not.
    let replaced = [instance("a", 9, 100), b, c];
    assert_eq!(groups(&replaced, &[("g", lists[0])]), (vec![Fate::Changed(0)], vec![1]));
    assert_eq!(groups(&all, &[("g", &["a", "b", "c"])]), (vec![Fate::Changed(0)], vec![1]));
    assert_eq!(groups(&all, &[("new", lists[0])]), (vec![Fate::Added], vec![0, 1]));
}

#[test]
fn more_instances_than_a_driver_has_room_for_are_refused_before_anything_else() {
    let too_many = vec![instance("a", 1, 100); Setup::MOST_INSTANCES + 1];
    let refused = Difference::between(&Registry::default(), &setup(&too_many, &[])).unwrap_err();
    assert_eq!(refused.to_string(), "16385 instances are too many, allowed are 16384");
}

/// For each of eight names: not there, or with this identifier and priority.
fn instances() -> impl Strategy<Value = Vec<InstanceConfig>> {
    let one = proptest::option::of((0u8..2, 100u8..103));
    (proptest::collection::vec(one, 8), any::<proptest::sample::Index>()).prop_map(|(all, turn)| {
        let name = |place: u8| format!("VI_{place}");
        let mut list: Vec<InstanceConfig> = (0u8..)
            .zip(all)
            .filter_map(|(place, one)| {
                let (vrid, priority) = one?;
                Some(instance(&name(place), 2 * place + vrid + 1, priority))
            })
            .collect();
        let turn = turn.index(list.len() + 1);
        list.rotate_left(turn);
        list
    })
}

proptest! {
    #[test]
    fn every_instance_has_one_fate_and_what_is_applied_twice_changes_nothing_the_second_time(
        old in instances(),
        new in instances(),
    ) {
        let before = registry(setup(&old, &[]));
        let after = setup(&new, &[]);
        let difference = Difference::between(&before, &after).unwrap();
        prop_assert_eq!(difference.instances.len(), new.len());
        let mut seen = BTreeSet::new();
        for (config, fate) in new.iter().zip(&difference.instances) {
            match *fate {
                Fate::Added => {
                    let known = old.iter().find(|known| known.name == config.name);
                    prop_assert!(known.is_none_or(|known| known.vrid != config.vrid));
                }
                Fate::Kept(place) => {
                    prop_assert_eq!(&old[place], config);
                    prop_assert!(seen.insert(place));
                }
                Fate::Changed(place) => {
                    prop_assert_eq!(
                        (&old[place].name, old[place].vrid, old[place] == *config),
                        (&config.name, config.vrid, false)
                    );
                    prop_assert!(seen.insert(place));
                }
            }
        }
        // The rest ends, in order and once each.
        let rest: Vec<usize> = (0..old.len()).filter(|place| !seen.contains(place)).collect();
        prop_assert_eq!(difference.ended, rest);
        let again = Difference::between(&registry(after.clone()), &after).unwrap();
        prop_assert!(again.instances.iter().enumerate().all(|(place, fate)| *fate == Fate::Kept(place)));
        prop_assert_eq!(again.ended, Vec::<usize>::new());
    }
}
