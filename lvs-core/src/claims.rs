//! Decides which virtual addresses this host adds, removes, confirms and announces, from who owns them at the moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::addresses::{AddressChange, AddressKey, Announcement, Installed, VirtualAddress};
use crate::announcements::Announcements;
use crate::link::MacAddress;
use crate::ownership::{ClaimResult, Epoch, Ownership};

/// The addresses of one virtual router instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    /// Name of the instance.
    pub instance: String,
    /// The virtual router's own addresses: its mastership stands and falls with them.
    pub addresses: Vec<VirtualAddress>,
    /// Addresses that come and go with those, but decide nothing: what keepalived calls excluded, of any family. One that
    /// cannot be had is told about ([`ClaimEvent::Lacking`]) and tried again.
    pub beside: Vec<VirtualAddress>,
    /// The address owner (priority 255): when mastership ends, only what this software added is removed.
    pub owner: bool,
}

/// Something that the claims found out. The set is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimEvent {
    /// The answer to the claim of a mastership; given when it is first known, and when it changes.
    Claimed {
        /// Name of the instance.
        instance: String,
        /// The mastership.
        epoch: Epoch,
        /// Whether the host has all addresses that decide.
        result: ClaimResult,
        /// The ones of these that it does not have.
        missing: Vec<AddressKey>,
    },
    /// A master lacks addresses that decide nothing; given when that begins and whenever they change.
    Lacking {
        /// Name of the instance.
        instance: String,
        /// The addresses; empty when it has them all.
        missing: Vec<AddressKey>,
    },
    /// Somebody else had removed addresses of a master; they are back.
    Restored {
        /// Name of the instance.
        instance: String,
        /// The addresses that were missing.
        addresses: Vec<VirtualAddress>,
    },
}

/// All address sets of a process and what is known of them.
///
/// A pass is: [`set_ownership`](Self::set_ownership) with the latest values, observe the host,
/// [`changes`](Self::changes), make the edits, observe again if there were any, [`confirm`](Self::confirm), and send
/// the [`announcements`](Self::announcements).
///
/// ```
/// use lvs_core::{Installed, Ownership, VirtualAddress};
/// use lvs_core::claims::{AddressSet, Claims};
///
/// let vip = VirtualAddress::new("eth0", [10, 0, 0, 100].into(), 32);
/// let mut claims = Claims::new(vec![AddressSet {
///     instance: "VI_1".into(),
///     addresses: vec![vip],
///     beside: Vec::new(),
///     owner: false,
/// }]);
/// claims.set_ownership(0, Ownership::default());
/// assert!(claims.changes(&Installed::default()).is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Claims {
    instances: Vec<Claim>,
    /// Hardware addresses of the interfaces, as they were seen last while they were up.
    hardware: BTreeMap<String, MacAddress>,
}

impl Claims {
    /// Claims of these sets; nothing is owned yet.
    #[must_use]
    pub fn new(sets: Vec<AddressSet>) -> Self {
        Self { instances: sets.into_iter().map(Claim::new).collect(), hardware: BTreeMap::new() }
    }

    /// The latest word on the instance with that index.
    pub fn set_ownership(&mut self, index: usize, ownership: Ownership) {
        let Some(claim) = self.instances.get_mut(index) else { return };
        if ownership.epoch != claim.ownership.epoch || !ownership.is_master() {
            claim.answered = None;
            claim.announced = 0;
            claim.burst = 0;
            claim.held.iter_mut().for_each(|held| (held.was_absent, held.is_lacking) = (false, false));
        }
        claim.ownership = ownership;
    }

    /// The edits that the host needs now.
    #[must_use]
    pub fn changes(&mut self, installed: &Installed) -> Vec<AddressChange> {
        for claim in self.instances.iter_mut().filter(|claim| claim.ownership.is_master()) {
            claim.note_additions(installed);
        }
        let mut wanted: Vec<&VirtualAddress> = Vec::new();
        let mut released = Vec::new();
        let mut own = Vec::new();
        for claim in &self.instances {
            if claim.ownership.is_master() {
                wanted.extend(claim.addresses());
            } else if claim.owner {
                own.extend(claim.own_additions(installed));
            } else {
                released.extend(claim.addresses());
            }
        }
        let wanted_keys: BTreeSet<&AddressKey> = wanted.iter().map(|address| &address.key).collect();
        let mut changes: Vec<AddressChange> =
            own.into_iter().filter(|key| !wanted_keys.contains(key)).map(AddressChange::Remove).collect();
        changes.extend(installed.changes_to(wanted, released));
        changes
    }

    /// Takes what the host has after the edits; `before` is what it had when the pass began.
    #[must_use]
    pub fn confirm(&mut self, before: &Installed, after: &Installed) -> Vec<ClaimEvent> {
        let mut events = Vec::new();
        let changed = self.note_hardware(after);
        for claim in self.instances.iter_mut().filter(|claim| claim.ownership.is_master()) {
            claim.note_absent(before);
            claim.note_absent(after);
            claim.note_changed(&changed);
            // The one place that decides whether a master has what it needs.
            let missing = claim.missing(after, |held| !held.is_beside);
            let result = if missing.is_empty() { ClaimResult::Confirmed } else { ClaimResult::Missing };
            if claim.answered == Some(ClaimResult::Confirmed) && result == ClaimResult::Confirmed {
                let has = |seen: &Installed, held: &Held| seen.addresses.contains_key(&held.address.key);
                let is_back = |held: &&Held| has(after, held) && !has(before, held) && !held.is_lacking;
                let restored = claim.held.iter().filter(is_back);
                let restored: Vec<VirtualAddress> = restored.map(|held| held.address.clone()).collect();
                if !restored.is_empty() {
                    let instance = claim.instance.clone();
                    events.push(ClaimEvent::Restored { instance, addresses: restored });
                }
            }
            if claim.answered != Some(result) {
                claim.answered = Some(result);
                events.push(ClaimEvent::Claimed {
                    instance: claim.instance.clone(),
                    epoch: claim.ownership.epoch,
                    result,
                    missing,
                });
            }
            if claim.note_lacking(after) {
                let (instance, missing) =
                    (claim.instance.clone(), claim.missing(after, |held| held.is_beside));
                events.push(ClaimEvent::Lacking { instance, missing });
            }
        }
        events
    }

    /// The interfaces that have another hardware address than before.
    fn note_hardware(&mut self, after: &Installed) -> BTreeSet<String> {
        // An interface that is down keeps what was seen when it was up: the neighbours do, too.
        self.hardware.retain(|name, _| after.interfaces.contains(name));
        let news = after.hardware.iter().filter(|(name, mac)| self.hardware.get(*name) != Some(mac));
        let news: Vec<(String, MacAddress)> = news.map(|(name, mac)| (name.clone(), *mac)).collect();
        let mut changed = BTreeSet::new();
        for (name, mac) in news {
            if self.hardware.insert(name.clone(), mac).is_some() {
                changed.insert(name);
            }
        }
        changed
    }

    /// What was found out about an instance did not reach its reader: it is told again by the next pass.
    pub fn forget_answer(&mut self, instance: &str) {
        for claim in self.instances.iter_mut().filter(|claim| claim.instance == instance) {
            claim.answered = None;
            claim.held.iter_mut().for_each(|held| held.is_lacking = false);
        }
    }

    /// What to announce now: every confirmed address of each master that asked for packets since the last call, by that
    /// many, and at most 255. An address that came back since, or whose interface has another hardware address since, gets at
    /// least as many as the first ones of the mastership were: the neighbours may have learnt another owner meanwhile, or
    /// know a hardware address that is nobody's.
    #[must_use]
    pub fn announcements(&mut self, installed: &Installed) -> Vec<Announcement> {
        let mut announcements = Vec::new();
        for claim in self.instances.iter_mut().filter(|claim| claim.ownership.is_master()) {
            let asked = claim.ownership.announcements.saturating_sub(claim.announced);
            let asked = u8::try_from(asked).unwrap_or(u8::MAX);
            if claim.announced == 0 {
                claim.burst = asked;
            }
            claim.announced = claim.ownership.announcements;
            if claim.announced == 0 {
                continue;
            }
            let Claim { held, burst, .. } = claim;
            let confirmed =
                held.iter_mut().filter(|held| installed.addresses.contains_key(&held.address.key));
            announcements.extend(confirmed.filter_map(|Held { address, was_absent, .. }| {
                let repeat = if std::mem::take(was_absent) { asked.max(*burst) } else { asked };
                let AddressKey { interface, address, .. } = &address.key;
                let announcement =
                    || Announcement { interface: interface.clone(), address: *address, repeat };
                (repeat > 0).then(announcement)
            }));
        }
        announcements
    }

    /// Drops the announcements that no longer hold: those of addresses that no master has.
    pub fn retain_held(&self, announcements: &mut Announcements) {
        let masters = self.instances.iter().filter(|claim| claim.ownership.is_master());
        let held: BTreeSet<(&str, IpAddr)> = masters
            .flat_map(Claim::addresses)
            .map(|address| (address.key.interface.as_str(), address.key.address))
            .collect();
        announcements.retain(|waiting| held.contains(&(waiting.interface.as_str(), waiting.address)));
    }

    /// Whether every master has all its addresses, and nobody else has one.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.instances.iter().filter(|claim| claim.ownership.is_master()).all(|claim| {
            claim.answered == Some(ClaimResult::Confirmed) && !claim.held.iter().any(|held| held.is_lacking)
        })
    }
}

#[derive(Clone, Debug)]
struct Claim {
    instance: String,
    owner: bool,
    held: Box<[Held]>,
    ownership: Ownership,
    /// The answer given for this epoch.
    answered: Option<ClaimResult>,
    /// Packets per address of this epoch that were handed out.
    announced: u64,
    /// The first of them.
    burst: u8,
}

/// An address of a claim, and what became of it.
#[derive(Clone, Debug)]
struct Held {
    address: VirtualAddress,
    /// It decides nothing.
    is_beside: bool,
    /// It decides nothing and is not there, as it was told last.
    is_lacking: bool,
    /// It was not there for a while, or its interface has another hardware address, and it was not announced since.
    was_absent: bool,
    /// It was not there when this process claimed it.
    is_added: bool,
}

impl Claim {
    fn new(set: AddressSet) -> Self {
        let AddressSet { instance, addresses, beside, owner } = set;
        let held = |is_beside| {
            move |address| Held { address, is_beside, is_lacking: false, was_absent: false, is_added: false }
        };
        Self {
            instance,
            owner,
            held: addresses.into_iter().map(held(false)).chain(beside.into_iter().map(held(true))).collect(),
            ownership: Ownership::default(),
            answered: None,
            announced: 0,
            burst: 0,
        }
    }

    fn addresses(&self) -> impl Iterator<Item = &VirtualAddress> {
        self.held.iter().map(|held| &held.address)
    }

    fn missing(&self, installed: &Installed, counts: impl Fn(&Held) -> bool) -> Vec<AddressKey> {
        let keys = self.held.iter().filter(|held| counts(held)).map(|held| &held.address.key);
        keys.filter(|key| !installed.addresses.contains_key(key)).cloned().collect()
    }

    fn note_absent(&mut self, installed: &Installed) {
        for held in &mut self.held {
            held.was_absent |= !installed.addresses.contains_key(&held.address.key);
        }
    }

    /// Remembers which of the addresses that decide nothing are not there; answers whether they are others than before.
    fn note_lacking(&mut self, installed: &Installed) -> bool {
        let mut has_changed = false;
        for held in self.held.iter_mut().filter(|held| held.is_beside) {
            let is_lacking = !installed.addresses.contains_key(&held.address.key);
            has_changed |= std::mem::replace(&mut held.is_lacking, is_lacking) != is_lacking;
        }
        has_changed
    }

    /// Remembers what the neighbours know the wrong hardware address of.
    fn note_changed(&mut self, interfaces: &BTreeSet<String>) {
        for held in &mut self.held {
            held.was_absent |= interfaces.contains(&held.address.key.interface);
        }
    }

    /// Remembers what this process is about to add: kernels before 5.18 do not keep the tag.
    fn note_additions(&mut self, installed: &Installed) {
        for held in &mut self.held {
            held.is_added |= !installed.addresses.contains_key(&held.address.key);
        }
    }

    /// What an owner has to give back: the addresses that this software put there, in this run or in an earlier one. Its
    /// own addresses, which nobody tagged, stay.
    fn own_additions(&self, installed: &Installed) -> Vec<AddressKey> {
        let ours = |key: &AddressKey| {
            self.addresses()
                .any(|address| address.key.address == key.address && address.key.interface == key.interface)
        };
        let added = |key: &AddressKey| self.held.iter().any(|held| held.is_added && held.address.key == *key);
        installed
            .addresses
            .iter()
            .filter(|(key, seen)| ours(key) && (seen.tagged || added(key)))
            .map(|(key, _)| key.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
