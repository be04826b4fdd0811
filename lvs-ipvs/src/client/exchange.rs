//! One question or order to the kernel and its answer; the module is loaded where IPVS is absent.

use lvs_core::Change;
use lvs_netlink::{Command as Request, DumpEntry};

use super::Client;
use crate::convert;
use crate::error::{Cause, Error, Operation};
use crate::raw::{DecodeError, Message};
use crate::reading::Shape;

impl Client {
    pub(super) async fn change(&mut self, change: Change) -> Result<(), Error> {
        let bytes = convert::change_bytes(&change).ok_or_else(|| unsupported(&change))?;
        let request = Request::from_payload(bytes);
        let operation = Operation::Change(change);
        let result = self.send(&operation, &request).await.map(drop);
        if let Operation::Change(change) = &operation {
            match &result {
                Ok(()) => self.accepted.note(change),
                Err(error) => {
                    if let Some(refusal) = error.refusal() {
                        self.accepted.note_refusal(change, refusal);
                    }
                }
            }
        }
        result
    }

    pub(super) async fn tell(&mut self, operation: &Operation, message: &Message) -> Result<(), Error> {
        let request = request(operation, message)?;
        self.send(operation, &request).await.map(drop)
    }

    pub(super) async fn ask(&mut self, operation: &Operation, question: &Message) -> Result<Message, Error> {
        let request = request(operation, question)?;
        let answers = self.send(operation, &request).await?;
        let answer = answers.first().ok_or_else(|| {
            let nothing = DecodeError("there is nothing but an acknowledgement".to_owned());
            unreadable(operation.clone(), nothing)
        })?;
        Message::parse(answer.payload()).map_err(|error| unreadable(operation.clone(), error))
    }

    /// What `read` finds in each of the answers, and in how many pieces they came.
    pub(super) async fn dump<T>(
        &mut self,
        operation: &Operation,
        question: &Message,
        read: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
    ) -> Result<(Vec<T>, Shape), Error> {
        let request = request(operation, question)?;
        loop {
            match self.netlink.dump_fold(&request, Answers::new, |all, entry| all.read(entry, &read)).await {
                Err(error) => self.bring_back(operation, error).await?,
                Ok(answers) => {
                    return match answers.error {
                        Some(error) => Err(unreadable(operation.clone(), error)),
                        None => Ok((answers.found, answers.shape)),
                    };
                }
            }
        }
    }

    async fn send(
        &mut self,
        operation: &Operation,
        request: &Request,
    ) -> Result<Vec<lvs_netlink::Message>, Error> {
        loop {
            match self.netlink.request(request).await {
                Err(error) => self.bring_back(operation, error).await?,
                Ok(answers) => return Ok(answers),
            }
        }
    }

    /// Loads IPVS if it is absent: then try again. Any other error is one. Ends, since the loader pauses.
    pub(super) async fn bring_back(
        &mut self,
        operation: &Operation,
        error: lvs_netlink::Error,
    ) -> Result<(), Error> {
        if !matches!(error, lvs_netlink::Error::FamilyAbsent { .. }) {
            return Err(Error::from_netlink(operation.clone(), error));
        }
        let loaded = self.loader.load().await;
        loaded.map_err(|failure| Error::new(operation.clone(), Cause::NoIpvs(failure)))
    }
}

/// What was found in the answers of a dump so far.
#[derive(Debug)]
struct Answers<T> {
    found: Vec<T>,
    shape: Shape,
    error: Option<DecodeError>,
}

impl<T> Answers<T> {
    fn new() -> Self {
        Self { found: Vec::new(), shape: Shape::default(), error: None }
    }

    fn read(&mut self, entry: DumpEntry<'_>, read: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>) {
        self.shape.note(&entry);
        if self.found.len() == self.found.capacity() {
            // Those of one datagram are about equally long.
            self.found.reserve(entry.datagram_length() / entry.payload().len().max(1));
        }
        match read(entry.payload()) {
            Ok(found) => self.found.extend(found),
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
    }
}

/// Why an edit cannot be sent.
pub(super) fn unsupported(change: &Change) -> Error {
    let reason = "this forwarding method is newer than this version of lvs-ipvs".to_owned();
    Error::new(Operation::Change(change.clone()), Cause::Unsupported(reason))
}

pub(super) fn unreadable(operation: Operation, error: DecodeError) -> Error {
    Error::new(operation, Cause::Unreadable(error.to_string()))
}

fn request(operation: &Operation, message: &Message) -> Result<Request, Error> {
    let bytes = message.to_bytes().ok_or_else(|| {
        Error::new(operation.clone(), Cause::Unsupported("the message is too long".to_owned()))
    })?;
    Ok(Request::from_payload(bytes))
}
