//! Decides which virtual addresses this host adds, removes, confirms and announces, from who owns them at the moment.

use crate::addresses::{AddressChange, Announcement, Installed, VirtualAddress};
use crate::ownership::{ClaimResult, Epoch, Ownership};

/// The addresses of one virtual router instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    /// Name of the instance.
    pub instance: String,
    /// Its virtual addresses.
    pub addresses: Vec<VirtualAddress>,
    /// The address owner (priority 255): addresses that were there before stay when mastership ends.
    pub owner: bool,
    /// Packets per address in one announcement round, at least 1.
    pub repeat: u8,
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
        /// Whether the host has all addresses.
        result: ClaimResult,
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
///     owner: false,
///     repeat: 5,
/// }]);
/// claims.set_ownership(0, Ownership::default());
/// assert!(claims.changes(&Installed::default()).is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Claims {
    instances: Vec<Claim>,
}

impl Claims {
    /// Claims of these sets; nothing is owned yet.
    #[must_use]
    pub fn new(sets: Vec<AddressSet>) -> Self {
        let claim = |set| Claim {
            set,
            ownership: Ownership::default(),
            answered: None,
            announced: 0,
            preexisting: Vec::new(),
        };
        Self { instances: sets.into_iter().map(claim).collect() }
    }

    /// The latest word on the instance with that index.
    pub fn set_ownership(&mut self, index: usize, ownership: Ownership) {
        let Some(claim) = self.instances.get_mut(index) else { return };
        if ownership.epoch != claim.ownership.epoch || !ownership.is_master() {
            claim.answered = None;
            claim.announced = 0;
        }
        claim.ownership = ownership;
    }

    /// The edits that the host needs now.
    #[must_use]
    pub fn changes(&mut self, installed: &Installed) -> Vec<AddressChange> {
        let mut wanted = Vec::new();
        let mut released = Vec::new();
        for claim in &mut self.instances {
            if claim.ownership.is_master() {
                if claim.set.owner && claim.answered.is_none() {
                    claim.preexisting = claim.present(installed);
                }
                wanted.extend(claim.set.addresses.iter().cloned());
            } else {
                released.extend(claim.set.addresses.iter().filter(|address| !claim.stays(address)).cloned());
            }
        }
        installed.changes_to(&wanted, &released)
    }

    /// Takes what the host has after the edits; `before` is what it had when the pass began.
    #[must_use]
    pub fn confirm(&mut self, before: &Installed, after: &Installed) -> Vec<ClaimEvent> {
        let mut events = Vec::new();
        for claim in self.instances.iter_mut().filter(|claim| claim.ownership.is_master()) {
            let complete =
                claim.set.addresses.iter().all(|address| after.addresses.contains_key(&address.key));
            let result = if complete { ClaimResult::Confirmed } else { ClaimResult::Missing };
            if claim.answered == Some(ClaimResult::Confirmed) && result == ClaimResult::Confirmed {
                let restored: Vec<VirtualAddress> = claim
                    .set
                    .addresses
                    .iter()
                    .filter(|address| !before.addresses.contains_key(&address.key))
                    .cloned()
                    .collect();
                if !restored.is_empty() {
                    // The neighbours may have learnt another owner meanwhile: announce once more.
                    claim.announced = claim.announced.saturating_sub(1);
                    let instance = claim.set.instance.clone();
                    events.push(ClaimEvent::Restored { instance, addresses: restored });
                }
            }
            if claim.answered != Some(result) {
                if claim.answered.is_some() && complete {
                    // Complete again after a time with gaps: the same holds.
                    claim.announced = claim.announced.saturating_sub(1);
                }
                claim.answered = Some(result);
                events.push(ClaimEvent::Claimed {
                    instance: claim.set.instance.clone(),
                    epoch: claim.ownership.epoch,
                    result,
                });
            }
        }
        events
    }

    /// What to announce now: every confirmed address of each master that asked for a round since the last call.
    #[must_use]
    pub fn announcements(&mut self, installed: &Installed) -> Vec<Announcement> {
        let mut announcements = Vec::new();
        for claim in self.instances.iter_mut().filter(|claim| claim.ownership.is_master()) {
            if claim.announced >= claim.ownership.announcements {
                continue;
            }
            claim.announced = claim.ownership.announcements;
            let confirmed =
                claim.set.addresses.iter().filter(|address| installed.addresses.contains_key(&address.key));
            announcements.extend(confirmed.map(|address| Announcement {
                interface: address.key.interface.clone(),
                address: address.key.address,
                repeat: claim.set.repeat.max(1),
            }));
        }
        announcements
    }

    /// Whether every master has all its addresses, and nobody else has one.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.instances
            .iter()
            .all(|claim| !claim.ownership.is_master() || claim.answered == Some(ClaimResult::Confirmed))
    }
}

#[derive(Clone, Debug)]
struct Claim {
    set: AddressSet,
    ownership: Ownership,
    /// The answer given for this epoch.
    answered: Option<ClaimResult>,
    /// Announcement rounds of this epoch that were handed out.
    announced: u32,
    /// Addresses of an owner that were there before its mastership: not ours to remove.
    preexisting: Vec<VirtualAddress>,
}

impl Claim {
    fn present(&self, installed: &Installed) -> Vec<VirtualAddress> {
        let there = |address: &&VirtualAddress| installed.addresses.contains_key(&address.key);
        self.set.addresses.iter().filter(there).cloned().collect()
    }

    /// Whether the address stays although the mastership is over.
    fn stays(&self, address: &VirtualAddress) -> bool {
        // Before the first mastership nothing is known: an owner's addresses are taken to be its own.
        self.set.owner && (self.ownership.epoch == Epoch::NONE || self.preexisting.contains(address))
    }
}

#[cfg(test)]
mod tests;
