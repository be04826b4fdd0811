//! Many edits in few system calls, and the result of each.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::Change;
use lvs_netlink::KernelError;

use super::Client;
use super::exchange::change_bytes;
use crate::error::{Cause, Error, Operation, Refusal};

impl Client {
    /// Makes many edits in the order given, few system calls for all of them, and returns the result of each.
    ///
    /// A batch is not atomic: edits after a failed one are made all the same. Edits of a service that an earlier
    /// edit failed to add fail with [`Cause::Follows`].
    ///
    /// # Errors
    /// If the batch as a whole failed: the kernel has no IPVS, or does not answer. If [`Error::is_state_unknown`],
    /// any of the edits may have been made.
    pub async fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Error>>, Error> {
        let operation = match changes {
            [change] => Operation::Change(change.clone()),
            changes => Operation::Batch { edits: changes.len() },
        };
        let Sent { mut not_sent, mut refused } = loop {
            match self.send_all(changes).await {
                Err(error) => self.bring_back(&operation, error).await?,
                Ok(sent) => break sent,
            }
        };
        let mut sent = 0..;
        let mut missing = BTreeSet::new();
        let results = changes.iter().enumerate().map(|(place, change)| {
            let error = match not_sent.remove(&place) {
                Some(error) => error,
                None => match sent.next().and_then(|sent| refused.remove(&sent)) {
                    Some(answer) => Error::refused(Operation::Change(change.clone()), answer),
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
        let mut not_sent = BTreeMap::new();
        for (place, change) in changes.iter().enumerate() {
            match change_bytes(change) {
                Ok(bytes) => batch.push(&bytes).await?,
                Err(error) => {
                    not_sent.insert(place, error);
                }
            }
        }
        Ok(Sent { not_sent, refused: batch.finish().await? })
    }
}

/// What became of edits that were not made.
struct Sent {
    /// Those that cannot be said, by their place.
    not_sent: BTreeMap<usize, Error>,
    /// The others that the kernel refused, by their place among those that were sent.
    refused: BTreeMap<usize, KernelError>,
}
