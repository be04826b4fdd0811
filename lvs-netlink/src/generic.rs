//! Generic netlink: a family is found by its name, and found again after its module was reloaded.

use std::fmt;

use crate::attribute;
use crate::attribute::Attributes;
use crate::channel::{Counters, Options, Protocol};
use crate::error::{Error, KernelError, Malformed};
use crate::message::{Flags, Message, Request};
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

    fn to_request(&self, family: FamilyId) -> Request {
        Request::new(family.0, self.payload.clone()).with_flags(self.flags)
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
}

impl Generic {
    /// Opens a socket for the family of that name with the default [`Options`]. The family need not exist yet.
    pub fn open(name: impl Into<String>) -> Result<Self, Error> {
        Self::open_with(name, &Options::default())
    }

    /// Opens a socket for the family of that name. The family need not exist yet.
    pub fn open_with(name: impl Into<String>, options: &Options) -> Result<Self, Error> {
        Ok(Self { socket: Socket::open_with(Protocol::Generic, options)?, name: name.into(), family: None })
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

    /// Applies many commands and returns the result of each, in order: see [`Socket::batch`].
    ///
    /// # Errors
    /// As [`Socket::batch`], and [`Error::FamilyAbsent`].
    pub async fn batch(&mut self, commands: &[Command]) -> Result<Vec<Result<(), KernelError>>, Error> {
        let family = self.family().await?;
        let requests: Vec<_> = commands.iter().map(|command| command.to_request(family)).collect();
        let mut results = self.socket.batch(&requests).await?;
        let unknown: Vec<_> = results
            .iter()
            .enumerate()
            .filter(|(_, result)| result.as_ref().is_err_and(|error| error.errno() == libc::ENOENT))
            .map(|(index, _)| index)
            .collect();
        if unknown.is_empty() {
            return Ok(results);
        }
        // The family or the object? Only if the family has another number now is it worth another try.
        let now = self.look_up().await?;
        if now == family {
            return Ok(results);
        }
        let again: Vec<_> =
            unknown.iter().filter_map(|&index| commands.get(index)).map(|c| c.to_request(now)).collect();
        for (index, result) in unknown.into_iter().zip(self.socket.batch(&again).await?) {
            if let Some(place) = results.get_mut(index) {
                *place = result;
            }
        }
        Ok(results)
    }

    /// Sends one command and returns what the kernel answered: see [`Socket::request`].
    ///
    /// # Errors
    /// As [`Socket::request`], and [`Error::FamilyAbsent`].
    pub async fn request(&mut self, command: &Command) -> Result<Vec<Message>, Error> {
        let family = self.family().await?;
        match self.socket.request(&command.to_request(family)).await {
            Err(error) if is_unknown(&error) => match self.look_up().await? {
                now if now == family => Err(error),
                now => self.socket.request(&command.to_request(now)).await,
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
        match self.socket.dump_fold(&command.to_request(family), &mut begin, &mut read).await {
            Err(error) if is_unknown(&error) => match self.look_up().await? {
                now if now == family => Err(error),
                now => self.socket.dump_fold(&command.to_request(now), begin, read).await,
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
        let answers = match self.socket.request(&question.to_request(FamilyId(GENL_ID_CTRL))).await {
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
        assert_eq!(control.batch(&[one.clone(), one]).await.unwrap(), [Ok(()), Ok(())]);
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
        let results = control.batch(&[absent]).await.unwrap();
        assert_eq!(results, [Err(KernelError::from_errno(libc::ENOENT))]);
    }
}
