//! Asks for whole tables: reads a dump to its end, and repeats it when the kernel says that it changed meanwhile.

use std::time::Duration;

use super::{Socket, malformed};
use crate::channel::Failure;
use crate::error::{Error, KernelError, Malformed};
use crate::message::{Frame, Message, NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, Part, Request};

/// One entry of a dump, where it was received.
///
/// The kernel fills each datagram of a dump in one go, and many tables are locked only for so long: entries of one
/// datagram are of one moment, those of different datagrams need not be.
#[derive(Clone, Copy, Debug)]
pub struct DumpEntry<'a> {
    frame: Frame<'a>,
    datagram: u32,
    datagram_length: usize,
}

impl<'a> DumpEntry<'a> {
    /// Type of the message (`nlmsg_type`).
    #[must_use]
    pub fn kind(&self) -> u16 {
        self.frame.kind
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.frame.payload
    }

    /// The entry by itself, for keeping.
    #[must_use]
    pub fn to_message(&self) -> Message {
        self.frame.to_message()
    }

    /// Which of the datagrams that hold entries this one is in, from 0.
    #[must_use]
    pub fn datagram(&self) -> u32 {
        self.datagram
    }

    /// Bytes of that datagram, headers included.
    #[must_use]
    pub fn datagram_length(&self) -> usize {
        self.datagram_length
    }
}

impl Socket {
    /// Asks for a whole table and returns its entries.
    ///
    /// The kernel marks a dump during which the table changed; such a dump is repeated (up to 5 times). Not
    /// every table is watched: see the kernel's `NLM_F_DUMP_INTR`.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel refuses it, [`Error::Interrupted`] if the table never held still.
    pub async fn dump(&mut self, request: &Request) -> Result<Vec<Message>, Error> {
        self.dump_as(request, Some).await
    }

    /// As [`dump`](Self::dump), but keeps of each entry only what `read` makes of it: a table may have a million.
    ///
    /// `read` is called again for all entries when the dump is repeated.
    ///
    /// # Errors
    /// As [`dump`](Self::dump).
    pub async fn dump_as<T>(
        &mut self,
        request: &Request,
        mut read: impl FnMut(Message) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let read = |entries: &mut Vec<T>, entry: DumpEntry<'_>| entries.extend(read(entry.to_message()));
        self.dump_fold(request, Vec::new, read).await
    }

    /// As [`dump`](Self::dump), but hands each entry to `read` where it was received, together with what was made of
    /// those before it; `begin` makes the first value, and another one when the dump is repeated.
    ///
    /// # Errors
    /// As [`dump`](Self::dump).
    pub async fn dump_fold<T>(
        &mut self,
        request: &Request,
        begin: impl FnMut() -> T,
        read: impl FnMut(&mut T, DumpEntry<'_>),
    ) -> Result<T, Error> {
        self.dump_part(request.part(), begin, read).await
    }

    pub(crate) async fn dump_part<T>(
        &mut self,
        request: Part<'_>,
        mut begin: impl FnMut() -> T,
        mut read: impl FnMut(&mut T, DumpEntry<'_>),
    ) -> Result<T, Error> {
        for attempt in 1..=DUMP_ATTEMPTS {
            self.finish_dump().await?;
            match self.dump_once(request, begin(), &mut read).await {
                Ok(Some(read)) => return Ok(read),
                Ok(None) => tracing::debug!(attempt, kind = request.kind, "dump interrupted"),
                Err(Error::Kernel { source, .. })
                    if source.errno() == libc::EBUSY && attempt < DUMP_ATTEMPTS =>
                {
                    tracing::debug!(attempt, kind = request.kind, "dump refused as busy");
                    tokio::time::sleep(BUSY_PAUSE * attempt).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Interrupted { attempts: DUMP_ATTEMPTS })
    }

    /// One attempt; `None` if what was received is not one consistent table.
    async fn dump_once<T>(
        &mut self,
        request: Part<'_>,
        mut value: T,
        read: &mut impl FnMut(&mut T, DumpEntry<'_>),
    ) -> Result<Option<T>, Error> {
        let sequence = self.send_one(DUMP, request, NLM_F_DUMP).await?;
        // Only now: what was not sent has no end to wait for.
        self.dump_in_flight = Some(sequence);
        let mut consistent = true;
        let mut datagrams = 0_u32;
        loop {
            match self.channel.receive(Some(self.timeout)).await {
                Ok(()) => {}
                // Read on to the end of the dump; only then can it be repeated.
                Err(Failure::Truncated) => {
                    consistent = false;
                    continue;
                }
                // Throws away what waits, and reading it makes the kernel produce the rest: the dump is over.
                Err(Failure::Overrun) => {
                    self.channel.discard_pending();
                    self.dump_in_flight = None;
                    return Ok(None);
                }
                Err(failure) => return Err(self.explain(DUMP, failure)),
            }
            let frames = self.channel.frames();
            let datagram_length = frames.remaining();
            let mut has_entries = false;
            for frame in frames {
                let frame = frame.map_err(malformed(DUMP))?;
                if frame.sequence != sequence {
                    self.late = self.late.saturating_add(1);
                    continue;
                }
                consistent &= frame.flags & NLM_F_DUMP_INTR == 0;
                match dump_end(&frame).map_err(malformed(DUMP))? {
                    Some(end) => {
                        self.dump_in_flight = None;
                        end.map_err(|source| Error::Kernel { operation: DUMP, source })?;
                        return Ok(consistent.then_some(value));
                    }
                    None => {
                        has_entries = true;
                        read(&mut value, DumpEntry { frame, datagram: datagrams, datagram_length });
                    }
                }
            }
            datagrams = datagrams.saturating_add(has_entries.into());
        }
    }

    /// Reads away the rest of a dump that an earlier caller gave up.
    async fn finish_dump(&mut self) -> Result<(), Error> {
        let Some(sequence) = self.dump_in_flight else {
            return Ok(());
        };
        // If this is cancelled, it is still to be done.
        let finished = self.read_to_end_of_dump(sequence).await;
        self.dump_in_flight = None;
        finished
    }

    async fn read_to_end_of_dump(&mut self, sequence: u32) -> Result<(), Error> {
        loop {
            match self.receive("finish an earlier dump").await {
                // Its end may have been lost: if not, the next dump is refused as busy.
                Err(Error::Resync { .. } | Error::Timeout { .. }) => return Ok(()),
                other => other?,
            }
            for frame in self.channel.frames() {
                let frame = frame.map_err(malformed(DUMP))?;
                if frame.sequence == sequence && matches!(frame.kind, NLMSG_DONE | NLMSG_ERROR) {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether the message ends a dump, and how.
fn dump_end(frame: &Frame<'_>) -> Result<Option<Result<(), KernelError>>, Malformed> {
    match frame.kind {
        NLMSG_DONE => Ok(Some(frame.done())),
        NLMSG_ERROR => frame.answer().map(Some),
        _ => Ok(None),
    }
}

const DUMP: &str = "dump";
/// How often a dump is tried before [`Error::Interrupted`].
const DUMP_ATTEMPTS: u32 = 5;
/// Pause before a dump that was refused as busy is tried again, times the attempts so far.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
