//! Carries out a change of instances and groups while the others run: all of it in one turn, or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use lvs_core::{Family, Instant, Link, Role};

use super::{Driver, Group, LOOK};
use crate::clock;
use crate::driver::config::InstanceConfig;
use crate::driver::difference::{Difference, Fate};
use crate::driver::handle::EventKind;
use crate::driver::interface::{Interface, needed_channels};
use crate::driver::links;
use crate::driver::member::Member;
use crate::driver::registry::{Plan, Registry};
use crate::driver::send::{News, Whose};
use crate::driver::shared::{Change, Commands};
use crate::driver::timers::Timers;
use crate::error::Error;
use crate::record::Input;
use crate::sync_group::{Standing, SyncGroup};

impl Driver {
    /// Carries out a change and answers whoever asked for it; what came behind it is still to be done.
    pub(super) fn change(&mut self, change: Change) -> BTreeMap<u64, Commands> {
        let Change { plan, later, answer, turn } = change;
        let result = self.follow(plan);
        // That took its time: whoever waits for a master listens once more before it believes its timer.
        self.interfaces.iter_mut().for_each(|interface| interface.is_heard = false);
        drop(turn);
        // Nobody may wait for it any more.
        let _ = answer.send(result);
        later
    }

    fn follow(&mut self, plan: Plan) -> Result<(), Error> {
        let Plan { registry, difference } = plan;
        let mut fresh = self.open_ahead(&registry)?;
        // Both the old ways and those in place of them are open: nothing that came, or comes now, is lost.
        for place in 0..self.interfaces.len() {
            let replaces = |fresh: &Interface| !fresh.ears.is_empty();
            if fresh.get(&self.interfaces[place].name).is_some_and(replaces) {
                self.hear(place);
            }
        }
        self.settle_groups();
        self.retire(&difference);
        let touched = self.touched(&registry, &difference);
        self.install(registry, &difference, &mut fresh);
        self.begin(&difference, touched);
        Ok(())
    }

    /// Opens the ways that the instances of another setup need and that there are not yet, without touching those
    /// that there are. Answers interfaces with nothing but these, among them all that are new.
    fn open_ahead(&mut self, after: &Registry) -> Result<BTreeMap<String, Interface>, Error> {
        let mut needs: BTreeMap<&str, Needs<'_>> = BTreeMap::new();
        for instance in &after.instances {
            let config = &*instance.config;
            for name in config.interfaces() {
                needs.entry(name).or_default();
            }
            for name in [&*config.interface, config.outlet()] {
                needs.entry(name).or_default().ignores_state |= config.ignores_link_state;
            }
            needs.entry(&config.interface).or_default().listeners.push(config);
            needs.entry(config.outlet()).or_default().families.insert(config.family());
        }
        let known: BTreeMap<String, usize> =
            self.interfaces.iter().enumerate().map(|(place, one)| (one.name.clone(), place)).collect();
        let mut looked: Option<BTreeMap<String, Link>> = None;
        let mut fresh = BTreeMap::new();
        for (name, need) in needs {
            let mut ahead = Interface::new(name.to_owned());
            ahead.is_needed_down = need.ignores_state;
            let mut channels = needed_channels(need.listeners.iter().copied());
            let mut families = need.families;
            let mut is_instead = false;
            if let Some(before) = known.get(name).map(|&place| &self.interfaces[place]) {
                channels.retain(|(channel, groups)| !before.ears.iter().any(|ear| ear.is(*channel, groups)));
                is_instead = channels.iter().any(|(channel, _)| before.hears(*channel));
                families.retain(|family| !before.mouths.iter().any(|mouth| mouth.family == *family));
                if channels.is_empty() && families.is_empty() {
                    continue;
                }
                ahead.link.clone_from(&before.link);
            } else if let Some(link) = self.strangers.get(name) {
                (ahead.link, ahead.is_fed) = (Some(link.clone()), true);
            } else {
                ahead.link = looked.get_or_insert_with(look).remove(name);
            }
            ahead.listen_to(channels);
            ahead.speak(&families);
            let mut refused = ahead.open_ways(&mut *self.transport.0);
            // Not every transport can have two receivers at a time: then one is opened after the other.
            refused.retain(|error| !is_instead || error.kind() != io::ErrorKind::AddrInUse);
            if let Some(source) = refused.pop() {
                return Err(Error::Sockets { interface: name.to_owned(), source });
            }
            fresh.insert(name.to_owned(), ahead);
        }
        Ok(fresh)
    }

    /// Ends instances, and groups that are no more. Masters resign, and the application hears of it all.
    fn retire(&mut self, difference: &Difference) {
        for &index in &difference.ended {
            // The rest of its group need not go with it.
            self.members[index].group = None;
            let now = clock::now();
            self.members[index].tell(now, &Input::Disable);
            self.carry_out(index, now);
        }
        for &group in &difference.ended_groups {
            if std::mem::take(&mut self.groups[group].role) != Role::Initialize {
                let (whose, kind) = (Whose::Group(group), EventKind::GroupChanged(Role::Initialize));
                self.space.news.push(News { whose, at: clock::now(), kind });
            }
        }
        self.flush();
        difference.ended.iter().for_each(|&index| self.members[index].finish_record());
    }

    /// The interfaces with instances that end, start or change, and which of the addresses on them were those of
    /// virtual routers.
    fn touched(&self, after: &Registry, difference: &Difference) -> BTreeMap<String, BTreeSet<IpAddr>> {
        let old = difference.ended.iter().map(|&index| &self.members[index].config);
        let new = after.instances.iter().zip(&difference.instances);
        let new =
            new.filter(|(_, fate)| !matches!(fate, Fate::Kept(_))).map(|(instance, _)| &instance.config);
        let names: BTreeSet<&str> =
            old.chain(new).flat_map(|config| [&*config.interface, config.outlet()]).collect();
        let places = self.interfaces.iter().enumerate();
        let known: BTreeMap<&str, usize> = places.map(|(place, one)| (&*one.name, place)).collect();
        let virtual_addresses =
            |name: &str| known.get(name).map(|&place| self.virtual_addresses(place)).unwrap_or_default();
        names.into_iter().map(|name| (name.to_owned(), virtual_addresses(name))).collect()
    }

    /// Puts instances, interfaces, timers and groups into the places of a setup. What goes on is moved as it is; what
    /// is needed no more is dropped, and with it its sockets are closed.
    pub(super) fn install(
        &mut self,
        registry: Arc<Registry>,
        difference: &Difference,
        fresh: &mut BTreeMap<String, Interface>,
    ) {
        let mut moved = vec![None; self.members.len()];
        for (index, fate) in difference.instances.iter().enumerate() {
            fate.before().into_iter().for_each(|before| moved[before] = Some(index));
        }
        let moved_places = self.install_interfaces(&registry, &moved, fresh);
        self.install_members(&registry, difference, &moved_places);
        self.install_groups(&registry, difference);
        let look = self.timers.get(LOOK);
        self.timers = Timers::new(self.members.len() + 1);
        self.timers.set(LOOK, look);
        for (index, member) in self.members.iter().enumerate() {
            self.timers.set(index + 1, member.router.poll_timeout());
        }
        self.indices =
            self.members.iter().enumerate().map(|(index, member)| (member.facts.id, index)).collect();
        self.logs_unknown_vrids = registry.logs_unknown_vrids;
        self.shared.set_registry(registry);
    }

    /// Answers where each of the old interfaces is now.
    fn install_interfaces(
        &mut self,
        registry: &Registry,
        moved: &[Option<usize>],
        fresh: &mut BTreeMap<String, Interface>,
    ) -> Vec<Option<usize>> {
        let names = || registry.instances.iter().flat_map(|instance| instance.config.interfaces());
        let needed: BTreeSet<&str> = names().collect();
        let mut moved_places = Vec::new();
        for mut interface in std::mem::take(&mut self.interfaces) {
            let is_needed = needed.contains(&*interface.name);
            moved_places.push(is_needed.then_some(self.interfaces.len()));
            if is_needed {
                interface.renumber(moved);
                if let Some(ahead) = fresh.remove(&interface.name) {
                    interface.adopt(ahead);
                }
                self.interfaces.push(interface);
            } else if let (Some(link), true) = (interface.link, interface.is_fed) {
                // Somebody tells about it, and may not tell again before it is needed again.
                self.strangers.insert(interface.name, link);
            }
        }
        let mut known: BTreeSet<String> =
            self.interfaces.iter().map(|interface| interface.name.clone()).collect();
        for name in names() {
            if known.insert(name.to_owned()) {
                self.strangers.remove(name);
                let interface = fresh.remove(name).unwrap_or_else(|| Interface::new(name.to_owned()));
                self.interfaces.push(interface);
            }
        }
        for interface in &mut self.interfaces {
            if let Some(counters) = registry.interfaces.get(&interface.name) {
                interface.counters = Arc::clone(counters);
            }
        }
        moved_places
    }

    fn install_members(
        &mut self,
        registry: &Registry,
        difference: &Difference,
        moved_places: &[Option<usize>],
    ) {
        let places = self.interfaces.iter().enumerate();
        let places: BTreeMap<String, usize> = places.map(|(place, one)| (one.name.clone(), place)).collect();
        let now = clock::now();
        let mut before: Vec<Option<Member>> =
            std::mem::take(&mut self.members).into_iter().map(Some).collect();
        self.members.reserve_exact(registry.instances.len());
        for (index, (instance, fate)) in registry.instances.iter().zip(&difference.instances).enumerate() {
            let config = &instance.config;
            let (interface, outlet) = (places[&config.interface], places[config.outlet()]);
            let known = fate.before().and_then(|place| before[place].take());
            let mut member = known.unwrap_or_else(|| {
                let (config, facts) = (Arc::clone(config), Arc::clone(&instance.facts));
                Member::new(config, facts, interface, outlet, now)
            });
            member.set_config(Arc::clone(config));
            (member.interface, member.outlet) = (interface, outlet);
            let tracked = config.tracked_interfaces.iter().map(|name| places[name]);
            member.tracked = tracked.filter(|&place| place != interface && place != outlet).collect();
            let moved = |(place, reason): (usize, _)| Some((moved_places[place]?, reason));
            member.tracked_fault = member.tracked_fault.and_then(moved);
            self.interfaces[interface].listeners.insert(index);
            self.interfaces[outlet].speakers.insert(index);
            for &place in &member.tracked {
                self.interfaces[place].trackers.insert(index);
            }
            self.members.push(member);
        }
    }

    fn install_groups(&mut self, registry: &Registry, difference: &Difference) {
        let mut before: Vec<Option<Group>> = std::mem::take(&mut self.groups).into_iter().map(Some).collect();
        // The gates of those that leave a group, or join one, will change.
        let mut had_group = vec![false; self.members.len()];
        for (index, member) in self.members.iter_mut().enumerate() {
            had_group[index] = member.group.take().is_some();
        }
        for (config, (fate, members)) in registry.groups.iter().zip(&difference.groups) {
            let known = fate.before().and_then(|place| before[place].take());
            let is_kept = matches!(fate, Fate::Kept(_));
            let mut group = known.unwrap_or_else(|| Group {
                name: config.name.as_str().into(),
                members: Vec::new(),
                machine: SyncGroup::new([]),
                role: Role::Initialize,
                is_unsettled: false,
            });
            if !is_kept {
                // Whoever is new has no fault yet: that is found out when its interface is looked at.
                let standing = |&index: &usize| match difference.instances[index] {
                    Fate::Added => Standing::Waits,
                    Fate::Kept(_) | Fate::Changed(_) => {
                        Standing::of(&self.members[index].router, self.members[index].own_gate())
                    }
                };
                group.machine = SyncGroup::new(members.iter().map(standing));
            }
            group.members.clone_from(members);
            for (place, &index) in members.iter().enumerate() {
                self.members[index].group = Some((self.groups.len(), place));
                self.members[index].is_regrouped = !is_kept;
                had_group[index] = false;
            }
            self.groups.push(group);
        }
        for (member, had_group) in self.members.iter_mut().zip(had_group) {
            member.is_regrouped |= had_group;
        }
    }

    /// Starts what is new and changes what goes on otherwise.
    fn begin(&mut self, difference: &Difference, touched: BTreeMap<String, BTreeSet<IpAddr>>) {
        self.find_sources();
        for place in 0..self.interfaces.len() {
            if let Some(virtual_before) = touched.get(&self.interfaces[place].name) {
                let virtual_now = self.virtual_addresses(place);
                let leaving = virtual_before.difference(&virtual_now).copied();
                self.interfaces[place].leave(leaving);
                self.settle(place, false);
            }
        }
        for index in 0..self.members.len() {
            let is_regrouped = std::mem::take(&mut self.members[index].is_regrouped);
            let inputs = match difference.instances[index] {
                Fate::Kept(_) if is_regrouped => {
                    self.apply_gate(index);
                    None
                }
                Fate::Kept(_) => None,
                Fate::Added => self.is_started.then_some(Input::Enable),
                Fate::Changed(_) => Some(Input::Config(self.members[index].config.router)),
            };
            if !matches!(difference.instances[index], Fate::Kept(_)) {
                self.judge_tracked(index);
            }
            if let Some(input) = inputs {
                let now = clock::now();
                self.members[index].tell(now, &input);
                self.carry_out(index, now);
            }
        }
        for (group, (fate, _)) in difference.groups.iter().enumerate() {
            if !matches!(fate, Fate::Kept(_)) {
                self.mark_group(group);
            }
        }
        self.look_soon(clock::now());
        self.settle_groups();
        self.flush();
    }

    /// Has interfaces looked at that nobody tells about.
    pub(super) fn look_soon(&mut self, now: Instant) {
        let is_needed = self.must_look() || self.interfaces.iter().any(Interface::lacks_ways);
        if is_needed && !self.timers.is_set(LOOK) {
            self.timers.set(LOOK, Some(now));
        }
    }
}

/// What the instances of a setup need of an interface.
#[derive(Default)]
struct Needs<'a> {
    listeners: Vec<&'a InstanceConfig>,
    families: BTreeSet<Family>,
    ignores_state: bool,
}

fn look() -> BTreeMap<String, Link> {
    links::interfaces().unwrap_or_else(|error| {
        tracing::debug!(%error, "list interfaces");
        BTreeMap::new()
    })
}

#[cfg(test)]
mod tests;
