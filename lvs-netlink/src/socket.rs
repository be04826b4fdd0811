//! Requests to the kernel and their answers: batches and single requests; dumps are in `socket/dump.rs`.

mod dump;

use std::time::Duration;

use crate::channel::{Channel, Counters, Failure, Options, Protocol};
use crate::error::{Error, KernelError, Malformed};
use crate::message::{Flags, Message, NLM_F_ACK, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, Part, Request};
use crate::outgoing::Outgoing;

pub use dump::DumpEntry;

/// A command socket: one request, batch or dump at a time.
///
/// Every wait ends after the socket's timeout. A call that is cancelled or times out leaves the socket usable:
/// answers that come later are recognised by their sequence number and dropped.
///
/// ```
/// use lvs_netlink::{Protocol, Request, Socket};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut socket = Socket::open(Protocol::Route)?;
/// // Two RTM_DELADDR that name no address: each is refused on its own.
/// let results = socket.batch(&[Request::new(21, vec![0; 8]), Request::new(21, vec![0; 8])]).await?;
/// assert_eq!(results.len(), 2);
/// assert!(results.iter().all(Result::is_err));
/// # Ok::<(), lvs_netlink::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Socket {
    channel: Channel,
    timeout: Duration,
    batch: usize,
    send_limit: usize,
    sequence: u32,
    /// A dump whose end has not been seen; the kernel starts no second one before that.
    dump_in_flight: Option<u32>,
    /// What is sent next.
    outgoing: Outgoing,
    late: u64,
}

impl Socket {
    /// Opens a socket with the default [`Options`].
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a tokio runtime; [`Error::Io`] if the system has no socket for it.
    ///
    /// # Panics
    /// In a tokio runtime that was built without `enable_io`. Without `enable_time` the calls that wait panic.
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        Self::open_with(protocol, &Options::default())
    }

    /// Opens a socket.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a tokio runtime; [`Error::NamespaceForbidden`] and [`Error::NoNamespace`] in another
    /// network namespace; [`Error::Io`] if the system has no socket for it.
    ///
    /// # Panics
    /// In a tokio runtime that was built without `enable_io`. Without `enable_time` the calls that wait panic.
    pub fn open_with(protocol: Protocol, options: &Options) -> Result<Self, Error> {
        Ok(Self::on(Channel::open(protocol, options)?, options))
    }

    pub(crate) fn on(channel: Channel, options: &Options) -> Self {
        Self {
            timeout: options.timeout,
            batch: options.batch.min(channel.answer_limit()),
            send_limit: channel.send_limit(),
            channel,
            sequence: 1,
            dump_in_flight: None,
            outgoing: Outgoing::default(),
            late: 0,
        }
    }

    /// Changes the longest wait for the next answer.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// What was received and not used.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { foreign: self.channel.foreign, late: self.late }
    }

    /// Applies many changes and returns the result of each, in order.
    ///
    /// A batch is not atomic: requests after a failing one are applied. The messages go out in few sends of at
    /// most [`Options::with_batch`] requests; the timeout holds for each.
    ///
    /// # Errors
    /// If [`Error::is_state_unknown`], any part of the batch may have been applied. [`Error::TooLong`]: nothing
    /// was sent. Otherwise the requests from some send on were not applied.
    pub async fn batch(&mut self, requests: &[Request]) -> Result<Vec<Result<(), KernelError>>, Error> {
        for (index, request) in requests.iter().enumerate() {
            self.check_length(index, request.part())?;
        }
        let mut outgoing = std::mem::take(&mut self.outgoing);
        outgoing.clear();
        let mut results = vec![Ok(()); requests.len()];
        let mut sent = 0;
        for (index, request) in requests.iter().map(Request::part).enumerate() {
            if !self.fits(&outgoing, request) {
                self.send_and_collect(&mut outgoing, |place, error| {
                    refuse(&mut results, sent + place, error)
                })
                .await?;
                outgoing.clear();
                sent = index;
            }
            outgoing.push(request);
        }
        if outgoing.count() > 0 {
            self.send_and_collect(&mut outgoing, |place, error| refuse(&mut results, sent + place, error))
                .await?;
        }
        self.outgoing = outgoing;
        Ok(results)
    }

    /// Sends one request and returns what the kernel answered before its acknowledgement (often nothing).
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel refuses it.
    pub async fn request(&mut self, request: &Request) -> Result<Vec<Message>, Error> {
        self.ask(request.part()).await
    }

    pub(crate) async fn ask(&mut self, request: Part<'_>) -> Result<Vec<Message>, Error> {
        const OPERATION: &str = "request";
        let sequence = self.send_one(OPERATION, request, NLM_F_ACK).await?;
        let mut answers = Vec::new();
        loop {
            self.receive(OPERATION).await?;
            for frame in self.channel.frames() {
                let frame = frame.map_err(malformed(OPERATION))?;
                if frame.sequence != sequence {
                    self.late = self.late.saturating_add(1);
                    continue;
                }
                match frame.kind {
                    NLMSG_ERROR => {
                        let answer = frame.answer().map_err(malformed(OPERATION))?;
                        return answer
                            .map(|()| answers)
                            .map_err(|source| Error::Kernel { operation: OPERATION, source });
                    }
                    NLMSG_OVERRUN => return Err(Error::Resync { operation: OPERATION }),
                    _ => answers.push(frame.to_message()),
                }
            }
        }
    }

    /// Whether the request can leave in one send with those that are there already. The first always can.
    pub(crate) fn fits(&self, outgoing: &Outgoing, request: Part<'_>) -> bool {
        let length = outgoing.bytes().len().saturating_add(request.wire_length());
        outgoing.count() == 0 || (outgoing.count() < self.batch && length <= self.send_limit)
    }

    /// Sends all of them at once and waits for the end; hands out what the kernel refused, by its place.
    ///
    /// The end is the acknowledgement of a message of its own, since not every request has one: the kernel says nothing
    /// to one that was interrupted (EINTR in `netlink_rcv_skb`), such as stopping a thread that has not run yet.
    pub(crate) async fn send_and_collect(
        &mut self,
        outgoing: &mut Outgoing,
        mut refuse: impl FnMut(usize, KernelError),
    ) -> Result<(), Error> {
        const OPERATION: &str = "batch";
        let count = outgoing.count();
        let first = self.take_sequences(count.saturating_add(1));
        let sent = {
            outgoing.push(Part { kind: NLMSG_NOOP, flags: Flags::NONE, payload: &[] });
            outgoing.number(first, self.channel.port());
            outgoing.flag_last(NLM_F_ACK);
            let sent = self.channel.send(outgoing.bytes(), self.timeout).await;
            outgoing.pop();
            sent
        };
        sent.map_err(|failure| self.explain(OPERATION, failure))?;
        loop {
            self.receive(OPERATION).await?;
            for frame in self.channel.frames() {
                let frame = frame.map_err(malformed(OPERATION))?;
                if frame.kind == NLMSG_OVERRUN {
                    return Err(Error::Resync { operation: OPERATION });
                }
                let index = usize::try_from(frame.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                if index > count {
                    self.late = self.late.saturating_add(1);
                    continue;
                }
                if frame.kind == NLMSG_ERROR {
                    let answer = frame.answer().map_err(malformed(OPERATION))?;
                    if index == count {
                        return Ok(());
                    }
                    if let Err(error) = answer {
                        refuse(index, error);
                    }
                }
            }
        }
    }

    /// Sends one request; its sequence number.
    async fn send_one(
        &mut self,
        operation: &'static str,
        request: Part<'_>,
        flags: u16,
    ) -> Result<u32, Error> {
        self.check_length(0, request)?;
        let sequence = self.take_sequences(1);
        self.outgoing.clear();
        self.outgoing.push(request);
        self.outgoing.number(sequence, self.channel.port());
        self.outgoing.flag_last(flags);
        let sent = self.channel.send(self.outgoing.bytes(), self.timeout).await;
        sent.map_err(|failure| self.explain(operation, failure))?;
        Ok(sequence)
    }

    async fn receive(&mut self, operation: &'static str) -> Result<(), Error> {
        let received = self.channel.receive(Some(self.timeout)).await;
        received.map_err(|failure| self.explain(operation, failure))
    }

    fn explain(&mut self, operation: &'static str, failure: Failure) -> Error {
        match failure {
            Failure::Io(source) => Error::Io { operation, source },
            Failure::TimedOut => Error::Timeout { operation, after: self.timeout },
            Failure::Overrun => {
                // The kernel drops every further answer, without saying so again, until the buffer is empty.
                self.channel.discard_pending();
                Error::Resync { operation }
            }
            Failure::Truncated => Error::Resync { operation },
        }
    }

    /// # Errors
    /// [`Error::TooLong`] with that position, if no send takes the request.
    pub(crate) fn check_length(&self, index: usize, request: Part<'_>) -> Result<(), Error> {
        let (length, limit) = (request.wire_length(), self.send_limit);
        if length > limit { Err(Error::TooLong { index, length, limit }) } else { Ok(()) }
    }

    /// The first of `count` sequence numbers that no recent request had.
    fn take_sequences(&mut self, count: usize) -> u32 {
        let first = self.sequence;
        self.sequence = first.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
        first
    }
}

fn refuse(results: &mut [Result<(), KernelError>], place: usize, error: KernelError) {
    if let Some(result) = results.get_mut(place) {
        *result = Err(error);
    }
}

fn malformed(operation: &'static str) -> impl Fn(Malformed) -> Error {
    move |source| Error::Malformed { operation, source }
}

#[cfg(test)]
mod tests;
