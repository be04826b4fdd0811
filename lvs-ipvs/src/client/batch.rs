//! Many edits in few system calls, and the result of each.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::Change;
use lvs_netlink::KernelError;

use super::Client;
use super::exchange::unsupported;
use super::names::{Absent, Plan, is_absence};
use crate::convert;
use crate::error::{Cause, Error, Operation, Refusal};
use crate::raw::Writer;

impl Client {
    /// Makes many edits in the order given, few system calls for all of them, and returns the result of each.
    ///
    /// A batch is not atomic: edits after a failed one are made all the same. Edits of a service that an earlier
    /// edit failed to add fail with [`Cause::Follows`].
    ///
    /// The kernel looks for a scheduler or persistence engine that it does not have in a module, which takes long, and for
    /// each edit that names it. So the first edit with a name that this client has not yet seen accepted ends its send, and
    /// once the kernel has refused one for want of it, the later ones of the batch that name it are not sent: they fail in
    /// the same way ([`Refusal::SchedulerAbsent`], [`Refusal::SchedulerOrEngineAbsent`]).
    ///
    /// # Errors
    /// If the batch as a whole failed: the kernel has no IPVS, or does not answer. If [`Error::is_state_unknown`],
    /// any of the edits may have been made.
    pub async fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Error>>, Error> {
        let operation = match changes {
            [change] => Operation::Change(change.clone()),
            changes => Operation::Batch { edits: changes.len() },
        };
        let Sent { mut not_made, mut refused } = loop {
            match self.send_all(changes).await {
                Err(error) => self.bring_back(&operation, error).await?,
                Ok(sent) => break sent,
            }
        };
        let mut sent = 0..;
        let accepted = &mut self.accepted;
        let mut missing = BTreeSet::new();
        let results = changes.iter().enumerate().map(|(place, change)| {
            let error = match not_made.remove(&place) {
                Some(error) => error,
                None => match sent.next().and_then(|sent| refused.remove(&sent)) {
                    Some(answer) => {
                        let error = Error::refused(Operation::Change(change.clone()), answer);
                        if let Some(refusal) = error.refusal() {
                            accepted.note_refusal(change, refusal);
                        }
                        error
                    }
                    None => {
                        if let Some(service) = change.service() {
                            missing.remove(&service);
                        }
                        return Ok(());
                    }
                },
            };
            match (change, change.service()) {
                (Change::AddService(_), Some(service)) if error.refusal() != Some(Refusal::ServiceExists) => {
                    missing.insert(service);
                }
                (_, Some(service))
                    if error.refusal() == Some(Refusal::ServiceAbsent) && missing.contains(&service) =>
                {
                    return Err(Error::new(Operation::Change(change.clone()), Cause::Follows));
                }
                _ => {}
            }
            Err(error)
        });
        Ok(results.collect())
    }

    async fn send_all(&mut self, changes: &[Change]) -> Result<Sent, lvs_netlink::Error> {
        let mut batch = self.netlink.batch().await?;
        let mut not_made = BTreeMap::new();
        let mut absent = Absent::default();
        let mut to = Writer::default();
        for (place, change) in changes.iter().enumerate() {
            let Some(bytes) = convert::write_change(change, &mut to).and_then(|()| to.bytes()) else {
                not_made.insert(place, unsupported(change));
                continue;
            };
            match absent.plan(change, &self.accepted) {
                Plan::Send => batch.push(bytes).await?,
                Plan::Refuse(answer) => {
                    not_made.insert(place, Error::refused(Operation::Change(change.clone()), answer));
                }
                Plan::SendLast => {
                    batch.push(bytes).await?;
                    let refused = batch.flush().await?;
                    match refused.get(&(place - not_made.len())) {
                        None => self.accepted.note(change),
                        Some(answer)
                            if Refusal::of_change(change, answer.errno()).is_some_and(is_absence) =>
                        {
                            absent.note(change, &self.accepted, answer);
                        }
                        // The kernel refused it before it looked for them.
                        Some(_) => {}
                    }
                }
            }
        }
        Ok(Sent { not_made, refused: batch.finish().await? })
    }
}

/// What became of edits that were not made.
struct Sent {
    /// Those that were not sent, since they cannot be said or the kernel has refused another one for the same reason, by
    /// their place.
    not_made: BTreeMap<usize, Error>,
    /// The others that the kernel refused, by their place among those that were sent.
    refused: BTreeMap<usize, KernelError>,
}
