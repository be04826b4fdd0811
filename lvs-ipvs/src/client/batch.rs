//! Many edits in few system calls, and the result of each.

use std::collections::BTreeSet;

use lvs_core::Change;

use super::Client;
use super::exchange::{change_request, unreadable};
use crate::error::{Cause, Error, Operation, Refusal};
use crate::raw::DecodeError;

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
        let requests: Vec<_> = changes.iter().map(change_request).collect();
        // What cannot be sent keeps its place in the results.
        let (mut sent, mut results) = (Vec::new(), Vec::with_capacity(changes.len()));
        for request in requests {
            results.push(match request {
                Ok(request) => {
                    sent.push(request);
                    None
                }
                Err(error) => Some(error),
            });
        }
        let answers = loop {
            match self.netlink.batch(&sent).await {
                Err(error) => self.bring_back(&Operation::Batch { edits: changes.len() }, error).await?,
                Ok(answers) => break answers,
            }
        };
        let mut answers = answers.into_iter();
        let mut missing = BTreeSet::new();
        let results = changes.iter().zip(results).map(|(change, not_sent)| {
            let error = match not_sent {
                Some(error) => error,
                None => match answers.next() {
                    Some(Ok(())) => {
                        if let Some(service) = change.service() {
                            missing.remove(&service);
                        }
                        return Ok(());
                    }
                    Some(Err(answer)) => Error::refused(Operation::Change(change.clone()), answer),
                    None => unreadable(
                        Operation::Change(change.clone()),
                        DecodeError("there is no result for this edit".to_owned()),
                    ),
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
}
