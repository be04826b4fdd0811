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

impl AddressSet {
    fn all(&self) -> impl Iterator<Item = &VirtualAddress> {
        self.addresses.iter().chain(&self.beside)
    }
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
        let claim = |set| Claim {
            set,
            ownership: Ownership::default(),
            answered: None,
            lacking: BTreeSet::new(),
            announced: 0,
            burst: 0,
            absent: BTreeSet::new(),
            added: BTreeSet::new(),
        };
        Self { instances: sets.into_iter().map(claim).collect(), hardware: BTreeMap::new() }
    }

    /// The latest word on the instance with that index.
    pub fn set_ownership(&mut self, index: usize, ownership: Ownership) {
        let Some(claim) = self.instances.get_mut(index) else { return };
        if ownership.epoch != claim.ownership.epoch || !ownership.is_master() {
            claim.answered = None;
            claim.lacking.clear();
            claim.announced = 0;
            claim.burst = 0;
            claim.absent.clear();
        }
        claim.ownership = ownership;
    }

    /// The edits that the host needs now.
    #[must_use]
    pub fn changes(&mut self, installed: &Installed) -> Vec<AddressChange> {
        let mut wanted = Vec::new();
        let mut released = Vec::new();
        let mut own = Vec::new();
        for claim in &mut self.instances {
            if claim.ownership.is_master() {
                claim.note_additions(installed);
                wanted.extend(claim.set.all().cloned());
            } else if claim.set.owner {
                own.extend(claim.own_additions(installed));
            } else {
                released.extend(claim.set.all().cloned());
            }
        }
        let wanted_keys: BTreeSet<&AddressKey> = wanted.iter().map(|address| &address.key).collect();
        let mut changes: Vec<AddressChange> =
            own.into_iter().filter(|key| !wanted_keys.contains(key)).map(AddressChange::Remove).collect();
        changes.extend(installed.changes_to(&wanted, &released));
        changes
    }

    /// Takes what the host has after the edits; `before` is what it had when the pass began.
    #[must_use]
    pub fn confirm(&mut self, before: &Installed, after: &Installed) -> Vec<ClaimEvent> {
        let mut events = Vec::new();
        let changed = self.note_hardware(after);
        for claim in self.instances.iter_mut().filter(|claim| claim.ownership.is_master()) {
            let missing = missing(&claim.set.addresses, after);
            let lacking: BTreeSet<AddressKey> = self::missing(&claim.set.beside, after).into_iter().collect();
            claim.note_absent(before);
            claim.note_absent(after);
            claim.note_changed(&changed);
            // The one place that decides whether a master has what it needs.
            let result = if missing.is_empty() { ClaimResult::Confirmed } else { ClaimResult::Missing };
            if claim.answered == Some(ClaimResult::Confirmed) && result == ClaimResult::Confirmed {
                let is_back = |address: &&VirtualAddress| {
                    let key = &address.key;
                    let was_there = before.addresses.contains_key(key) || claim.lacking.contains(key);
                    !was_there && !lacking.contains(key)
                };
                let restored: Vec<VirtualAddress> = claim.set.all().filter(is_back).cloned().collect();
                if !restored.is_empty() {
                    let instance = claim.set.instance.clone();
                    events.push(ClaimEvent::Restored { instance, addresses: restored });
                }
            }
            if claim.answered != Some(result) {
                claim.answered = Some(result);
                events.push(ClaimEvent::Claimed {
                    instance: claim.set.instance.clone(),
                    epoch: claim.ownership.epoch,
                    result,
                    missing,
                });
            }
            if claim.lacking != lacking {
                let missing = lacking.iter().cloned().collect();
                events.push(ClaimEvent::Lacking { instance: claim.set.instance.clone(), missing });
                claim.lacking = lacking;
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
        for claim in self.instances.iter_mut().filter(|claim| claim.set.instance == instance) {
            claim.answered = None;
            claim.lacking.clear();
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
            let Claim { set, absent, burst, .. } = claim;
            let confirmed = set.all().filter(|address| installed.addresses.contains_key(&address.key));
            announcements.extend(confirmed.filter_map(|VirtualAddress { key, .. }| {
                let repeat = if absent.remove(key) { asked.max(*burst) } else { asked };
                let interface = key.interface.clone();
                (repeat > 0).then_some(Announcement { interface, address: key.address, repeat })
            }));
        }
        announcements
    }

    /// Drops the announcements that no longer hold: those of addresses that no master has.
    pub fn retain_held(&self, announcements: &mut Announcements) {
        let masters = self.instances.iter().filter(|claim| claim.ownership.is_master());
        let held: BTreeSet<(&str, IpAddr)> = masters
            .flat_map(|claim| claim.set.all())
            .map(|address| (address.key.interface.as_str(), address.key.address))
            .collect();
        announcements.retain(|waiting| held.contains(&(waiting.interface.as_str(), waiting.address)));
    }

    /// Whether every master has all its addresses, and nobody else has one.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.instances
            .iter()
            .filter(|claim| claim.ownership.is_master())
            .all(|claim| claim.answered == Some(ClaimResult::Confirmed) && claim.lacking.is_empty())
    }
}

#[derive(Clone, Debug)]
struct Claim {
    set: AddressSet,
    ownership: Ownership,
    /// The answer given for this epoch.
    answered: Option<ClaimResult>,
    /// What decides nothing and is not there, as it was told last; at most what is beside the set's own.
    lacking: BTreeSet<AddressKey>,
    /// Packets per address of this epoch that were handed out.
    announced: u64,
    /// The first of them.
    burst: u8,
    /// Addresses that were not there for a while, or whose interface has another hardware address, until they are announced;
    /// at most those of the set.
    absent: BTreeSet<AddressKey>,
    /// Addresses that were not there when this process claimed them; at most those of the set.
    added: BTreeSet<AddressKey>,
}

impl Claim {
    fn note_absent(&mut self, installed: &Installed) {
        self.absent.extend(missing(self.set.all(), installed));
    }

    /// Remembers what the neighbours know the wrong hardware address of.
    fn note_changed(&mut self, interfaces: &BTreeSet<String>) {
        if !interfaces.is_empty() {
            let keys = self.set.all().map(|address| &address.key);
            self.absent.extend(keys.filter(|key| interfaces.contains(&key.interface)).cloned());
        }
    }

    /// Remembers what this process is about to add: kernels before 5.18 do not keep the tag.
    fn note_additions(&mut self, installed: &Installed) {
        self.added.extend(missing(self.set.all(), installed));
    }

    /// What an owner has to give back: the addresses that this software put there, in this run or in an earlier one. Its
    /// own addresses, which nobody tagged, stay.
    fn own_additions(&self, installed: &Installed) -> Vec<AddressKey> {
        let ours = |key: &AddressKey| {
            self.set
                .all()
                .any(|address| address.key.address == key.address && address.key.interface == key.interface)
        };
        installed
            .addresses
            .iter()
            .filter(|(key, seen)| ours(key) && (seen.tagged || self.added.contains(*key)))
            .map(|(key, _)| key.clone())
            .collect()
    }
}

fn missing<'a>(
    addresses: impl IntoIterator<Item = &'a VirtualAddress>,
    installed: &Installed,
) -> Vec<AddressKey> {
    let keys = addresses.into_iter().map(|address| &address.key);
    keys.filter(|key| !installed.addresses.contains_key(key)).cloned().collect()
}

#[cfg(test)]
mod tests;
