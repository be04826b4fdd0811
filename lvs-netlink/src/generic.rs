//! Generic netlink: a family is found by its name, and found again after its module was reloaded.

use std::collections::BTreeMap;
use std::fmt;

use crate::attribute;
use crate::attribute::Attributes;
use crate::channel::{Counters, Options, Protocol};
use crate::error::{Error, KernelError, Malformed};
use crate::message::{Flags, Message, Part};
use crate::outgoing::Outgoing;
use crate::socket::{DumpEntry, Socket};

/// The number under which a generic netlink family is registered right now. It changes when its module is
/// reloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FamilyId(u16);

impl FamilyId {
    /// The number, as it goes into `nlmsg_type`.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// One command of a generic netlink family: `struct genlmsghdr` and attributes, to be sent to whatever number the
/// family has.
///
/// ```text
/// +---------------+---------------+-------------------------------+
/// |      cmd      |    version    |           reserved            |
/// +---------------+---------------+-------------------------------+
/// |                          attributes                           |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    flags: Flags,
    payload: Vec<u8>,
}

impl Command {
    /// A command with already encoded attributes.
    #[must_use]
    pub fn new(number: u8, version: u8, attributes: &[u8]) -> Self {
        let payload = [&[number, version, 0, 0], attributes].concat();
        Self { flags: Flags::NONE, payload }
    }

    /// A command whose payload already begins with the `genlmsghdr`.
    #[must_use]
    pub fn from_payload(payload: Vec<u8>) -> Self {
        Self { flags: Flags::NONE, payload }
    }

    /// The same command with these flags instead of its own.
    #[must_use]
    pub fn with_flags(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    fn to(&self, family: FamilyId) -> Part<'_> {
        Part { kind: family.0, flags: self.flags, payload: &self.payload }
    }
}

/// A command socket for one generic netlink family.
///
/// The family is looked up at the first use, and again when the kernel no longer knows its number; what that
/// refused is then sent once more. While the family is absent every call fails with [`Error::FamilyAbsent`], and the
/// next call looks again.
///
/// ```
/// use lvs_netlink::{Command, Error, Generic};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// // "nlctrl" is always there: CTRL_CMD_GETFAMILY lists all families.
/// let mut control = Generic::open("nlctrl")?;
/// assert!(!control.dump(&Command::new(3, 1, &[])).await?.is_empty());
///
/// let mut missing = Generic::open("no such family")?;
/// assert!(matches!(missing.family().await, Err(Error::FamilyAbsent { .. })));
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
pub struct Generic {
    socket: Socket,
    name: String,
    family: Option<FamilyId>,
    /// The memory of batches.
    commands: Outgoing,
}

impl Generic {
    /// Opens a socket for the family of that name with the default [`Options`]. The family need not exist yet.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a tokio runtime; [`Error::Io`] if the system has no socket for it.
    ///
    /// # Panics
    /// In a tokio runtime that was built without `enable_io`. Without `enable_time` the calls that wait panic.
    pub fn open(name: impl Into<String>) -> Result<Self, Error> {
        Self::open_with(name, &Options::default())
    }

    /// Opens a socket for the family of that name. The family need not exist yet.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a tokio runtime; [`Error::NamespaceForbidden`] and [`Error::NoNamespace`] in another
    /// network namespace; [`Error::Io`] if the system has no socket for it.
    ///
    /// # Panics
    /// In a tokio runtime that was built without `enable_io`. Without `enable_time` the calls that wait panic.
    pub fn open_with(name: impl Into<String>, options: &Options) -> Result<Self, Error> {
        let socket = Socket::open_with(Protocol::Generic, options)?;
        Ok(Self { socket, name: name.into(), family: None, commands: Outgoing::default() })
    }

    /// The family's number, looked up if it is not known.
    ///
    /// # Errors
    /// [`Error::FamilyAbsent`] if the kernel knows no such family.
    pub async fn family(&mut self) -> Result<FamilyId, Error> {
        match self.family {
            Some(family) => Ok(family),
            None => self.look_up().await,
        }
    }

    /// Begins to send many commands, whose payloads begin with the `genlmsghdr`.
    ///
    /// # Errors
    /// [`Error::FamilyAbsent`], or what else keeps the family's number from being known.
    pub async fn batch(&mut self) -> Result<Batch<'_>, Error> {
        self.family().await?;
        let mut outgoing = std::mem::take(&mut self.commands);
        outgoing.clear();
        Ok(Batch { generic: self, outgoing, sent: 0, refused: BTreeMap::new() })
    }

    /// Sends one command and returns what the kernel answered: see [`Socket::request`].
    ///
    /// # Errors
    /// As [`Socket::request`], and [`Error::FamilyAbsent`].
    pub async fn request(&mut self, command: &Command) -> Result<Vec<Message>, Error> {
        let family = self.family().await?;
        match self.socket.ask(command.to(family)).await {
            Err(error) if is_unknown(&error) => match self.look_up().await? {
                now if now == family => Err(error),
                now => self.socket.ask(command.to(now)).await,
            },
            other => other,
        }
    }

    /// Asks for a whole table and returns its entries: see [`Socket::dump`].
    ///
    /// # Errors
    /// As [`Socket::dump`], and [`Error::FamilyAbsent`].
    pub async fn dump(&mut self, command: &Command) -> Result<Vec<Message>, Error> {
        let read = |entries: &mut Vec<Message>, entry: DumpEntry<'_>| entries.push(entry.to_message());
        self.dump_fold(command, Vec::new, read).await
    }

    /// As [`dump`](Self::dump), but hands each entry to `read` where it was received: see [`Socket::dump_fold`].
    ///
    /// # Errors
    /// As [`dump`](Self::dump).
    pub async fn dump_fold<T>(
        &mut self,
        command: &Command,
        mut begin: impl FnMut() -> T,
        mut read: impl FnMut(&mut T, DumpEntry<'_>),
    ) -> Result<T, Error> {
        let family = self.family().await?;
        match self.socket.dump_part(command.to(family), &mut begin, &mut read).await {
            Err(error) if is_unknown(&error) => match self.look_up().await? {
                now if now == family => Err(error),
                now => self.socket.dump_part(command.to(now), begin, read).await,
            },
            other => other,
        }
    }

    /// What was received and not used.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.socket.counters()
    }

    /// Asks the controller for the family's number. Loading its module is left to the kernel, which tries.
    async fn look_up(&mut self) -> Result<FamilyId, Error> {
        self.family = None;
        let absent = || Error::FamilyAbsent { name: self.name.clone() };
        let mut attributes = Vec::new();
        let name = [self.name.as_bytes(), &[0]].concat();
        attribute::push(&mut attributes, CTRL_ATTR_FAMILY_NAME, &name).ok_or_else(absent)?;
        let question = Command::new(CTRL_CMD_GETFAMILY, CTRL_VERSION, &attributes);
        let answers = match self.socket.ask(question.to(FamilyId(GENL_ID_CTRL))).await {
            Ok(answers) => answers,
            // ERANGE or EINVAL: a name that no family can have.
            Err(Error::Kernel { source, .. })
                if matches!(source.errno(), libc::ENOENT | libc::ERANGE | libc::EINVAL) =>
            {
                return Err(absent());
            }
            Err(error) => return Err(error),
        };
        let number = answers.iter().find_map(|answer| {
            let attributes = answer.payload().get(GENL_HEADER..)?;
            let (_, value) = Attributes::new(attributes).find(|&(kind, _)| kind == CTRL_ATTR_FAMILY_ID)?;
            Some(u16::from_ne_bytes(*value.first_chunk()?))
        });
        let source = Malformed::Missing { what: "CTRL_ATTR_FAMILY_ID" };
        let family = number
            .map(FamilyId)
            .ok_or(Error::Malformed { operation: "look up generic netlink family", source })?;
        self.family = Some(family);
        Ok(family)
    }
}

impl fmt::Debug for Generic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generic")
            .field("name", &self.name)
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

/// Commands on their way to the kernel, made by [`Generic::batch`]: they leave in few sends, as soon as one is full.
///
/// A batch is not atomic: commands after a refused one are carried out. See [`Socket::batch`] for how many are sent at
/// once. What was pushed and not sent when the batch is dropped stays unsent.
///
/// ```
/// use lvs_netlink::Generic;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut control = Generic::open("nlctrl")?;
/// let mut batch = control.batch().await?;
/// // CTRL_CMD_GETFAMILY without a name is refused; there is no command 200 at all.
/// batch.push(&[3, 1, 0, 0]).await?;
/// batch.push(&[200, 1, 0, 0]).await?;
/// let refused = batch.finish().await?;
/// assert_eq!(refused.keys().collect::<Vec<_>>(), [&0, &1]);
/// # Ok::<(), lvs_netlink::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "what was pushed last is sent by `finish`"]
#[derive(Debug)]
pub struct Batch<'a> {
    generic: &'a mut Generic,
    /// Those that were not sent yet.
    outgoing: Outgoing,
    /// How many were sent before them.
    sent: usize,
    refused: BTreeMap<usize, KernelError>,
}

impl Batch<'_> {
    /// Adds a command; `payload` is the `genlmsghdr` and the attributes. Others may be sent first.
    ///
    /// # Errors
    /// [`Error::TooLong`]: this command was not added, and the batch can go on. After any other error, those commands
    /// from some send on were not carried out; if [`Error::is_state_unknown`], any of them may have been.
    pub async fn push(&mut self, payload: &[u8]) -> Result<(), Error> {
        let family = self.generic.family().await?;
        let command = Part { kind: family.0, flags: Flags::NONE, payload };
        self.generic.socket.check_length(self.sent + self.outgoing.count(), command)?;
        if !self.generic.socket.fits(&self.outgoing, command) {
            self.send().await?;
        }
        self.outgoing.push(command);
        Ok(())
    }

    /// Sends those that were not sent yet, and returns what [`finish`](Self::finish) would if no more came. Costs a send:
    /// for a command whose result decides about others, or that takes the kernel long.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn flush(&mut self) -> Result<&BTreeMap<usize, KernelError>, Error> {
        self.send().await?;
        Ok(&self.refused)
    }

    /// Sends the rest, and returns the commands that the kernel refused by their place among those that were pushed,
    /// from 0.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn finish(mut self) -> Result<BTreeMap<usize, KernelError>, Error> {
        self.send().await?;
        self.generic.commands = self.outgoing;
        Ok(self.refused)
    }

    async fn send(&mut self) -> Result<(), Error> {
        if self.outgoing.count() == 0 {
            return Ok(());
        }
        // Taken out, so that nothing is sent twice, whatever comes.
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let family = self.generic.family;
        let mut unknown = Vec::new();
        let (sent, refused) = (self.sent, &mut self.refused);
        let refuse = |place, error: KernelError| {
            if error.errno() == libc::ENOENT {
                unknown.push(place);
            }
            refused.insert(sent + place, error);
        };
        self.generic.socket.send_and_collect(&mut outgoing, refuse).await?;
        // The family or the object? Only if the family has another number now is it worth another try.
        if !unknown.is_empty() && family != Some(self.generic.look_up().await?) {
            self.send_again(&outgoing, &unknown).await?;
        }
        self.sent += outgoing.count();
        outgoing.clear();
        self.outgoing = outgoing;
        Ok(())
    }

    /// Sends those of the last send that are at these places to the family as it is now.
    async fn send_again(&mut self, last: &Outgoing, places: &[usize]) -> Result<(), Error> {
        let family = self.generic.family().await?;
        let mut again = Outgoing::default();
        for payload in places.iter().filter_map(|&place| last.payload(place)) {
            again.push(Part { kind: family.0, flags: Flags::NONE, payload });
        }
        let places: Vec<_> = places.iter().map(|place| self.sent + place).collect();
        for place in &places {
            self.refused.remove(place);
        }
        let refused = &mut self.refused;
        let refuse = |place: usize, error| refused.extend(places.get(place).map(|&place| (place, error)));
        self.generic.socket.send_and_collect(&mut again, refuse).await
    }
}

fn is_unknown(error: &Error) -> bool {
    error.kernel().is_some_and(|refusal| refusal.errno() == libc::ENOENT)
}

// include/uapi/linux/genetlink.h
const GENL_ID_CTRL: u16 = 16;
const GENL_HEADER: usize = 4;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_VERSION: u8 = 1;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_family_whose_number_changed_is_found_again() {
        let list = Command::new(CTRL_CMD_GETFAMILY, CTRL_VERSION, &[]);
        let mut name = Vec::new();
        attribute::push(&mut name, CTRL_ATTR_FAMILY_NAME, b"nlctrl\0").unwrap();
        let one = Command::new(CTRL_CMD_GETFAMILY, CTRL_VERSION, &name);
        // Numbers up to 0x3ff are given out; this one never is.
        let stale = Some(FamilyId(0x7ff0));
        let mut control = Generic::open("nlctrl").unwrap();
        control.family = stale;
        assert!(!control.dump(&list).await.unwrap().is_empty());
        control.family = stale;
        assert_eq!(control.request(&one).await.unwrap().len(), 1);
        control.family = stale;
        let mut batch = control.batch().await.unwrap();
        batch.push(&one.payload).await.unwrap();
        batch.push(&one.payload).await.unwrap();
        assert_eq!(batch.finish().await.unwrap(), BTreeMap::new());
        assert_eq!(control.family, Some(FamilyId(GENL_ID_CTRL)));
    }

    #[tokio::test]
    async fn an_object_that_is_not_found_stays_not_found() {
        let mut name = Vec::new();
        attribute::push(&mut name, CTRL_ATTR_FAMILY_NAME, b"lvs-none\0").unwrap();
        let absent = Command::new(CTRL_CMD_GETFAMILY, CTRL_VERSION, &name);
        let mut control = Generic::open("nlctrl").unwrap();
        let error = control.request(&absent).await.unwrap_err();
        assert_eq!(error.kernel().map(KernelError::errno), Some(libc::ENOENT));
        let mut batch = control.batch().await.unwrap();
        batch.push(&absent.payload).await.unwrap();
        let refused = batch.finish().await.unwrap();
        assert_eq!(refused, BTreeMap::from([(0, KernelError::from_errno(libc::ENOENT))]));
    }

    #[tokio::test]
    async fn a_batch_leaves_in_several_sends_and_each_refusal_keeps_its_place() {
        let mut name = Vec::new();
        attribute::push(&mut name, CTRL_ATTR_FAMILY_NAME, b"nlctrl\0").unwrap();
        let known = Command::new(CTRL_CMD_GETFAMILY, CTRL_VERSION, &name).payload;
        let unknown = [200, CTRL_VERSION, 0, 0];
        let mut control = Generic::open_with("nlctrl", &Options::default().with_batch(2)).unwrap();
        let mut batch = control.batch().await.unwrap();
        for place in 0..7 {
            batch.push(if place % 3 == 1 { &unknown } else { &known }).await.unwrap();
        }
        let refused = batch.finish().await.unwrap();
        let expected = [1, 4].map(|place| (place, KernelError::from_errno(libc::EOPNOTSUPP)));
        assert_eq!(refused, BTreeMap::from(expected));
    }

    #[tokio::test]
    async fn what_was_flushed_has_its_results_before_the_rest_is_pushed() {
        let mut control = Generic::open("nlctrl").unwrap();
        let mut batch = control.batch().await.unwrap();
        batch.push(&[200, CTRL_VERSION, 0, 0]).await.unwrap();
        assert_eq!(batch.flush().await.unwrap().keys().collect::<Vec<_>>(), [&0]);
        assert_eq!(batch.flush().await.unwrap().len(), 1, "nothing is sent twice");
        batch.push(&[201, CTRL_VERSION, 0, 0]).await.unwrap();
        assert_eq!(batch.finish().await.unwrap().into_keys().collect::<Vec<_>>(), [0, 1]);
    }

    #[tokio::test]
    async fn a_command_that_is_too_long_is_refused_alone() {
        let mut control = Generic::open("nlctrl").unwrap();
        let mut batch = control.batch().await.unwrap();
        batch.push(&[200, CTRL_VERSION, 0, 0]).await.unwrap();
        let error = batch.push(&vec![0; 1 << 20]).await.unwrap_err();
        assert!(matches!(error, Error::TooLong { index: 1, .. }), "{error}");
        batch.push(&[201, CTRL_VERSION, 0, 0]).await.unwrap();
        assert_eq!(batch.finish().await.unwrap().into_keys().collect::<Vec<_>>(), [0, 1]);
    }

    #[tokio::test]
    async fn a_batch_without_commands_is_no_send() {
        let mut control = Generic::open("nlctrl").unwrap();
        assert!(control.batch().await.unwrap().finish().await.unwrap().is_empty());
    }
}
