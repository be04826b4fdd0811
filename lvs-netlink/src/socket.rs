//! Requests to the kernel and their answers: batches and single requests; dumps are in `socket/dump.rs`.

mod dump;

use std::time::Duration;

use tokio::time::Instant;

use crate::channel::{Channel, Counters, Failure, Options, Protocol};
use crate::error::{Error, KernelError, Malformed};
use crate::message::{Message, NLM_F_ACK, NLMSG_ERROR, NLMSG_OVERRUN, Request};

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
    outgoing: Vec<u8>,
    late: u64,
}

impl Socket {
    /// Opens a socket with the default [`Options`]. Must be called inside a tokio runtime.
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        Self::open_with(protocol, &Options::default())
    }

    /// Opens a socket. Must be called inside a tokio runtime.
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
            outgoing: Vec::new(),
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
            self.check_length(index, request)?;
        }
        let mut results = vec![Ok(()); requests.len()];
        let mut start = 0;
        while let Some(rest) = requests.get(start..).filter(|rest| !rest.is_empty()) {
            let count = self.fitting(rest);
            let (now, _) = rest.split_at(count);
            let (_, later) = results.split_at_mut(start);
            let (now_results, _) = later.split_at_mut(count);
            self.send_and_collect(now, now_results).await?;
            start += count;
        }
        Ok(results)
    }

    /// Sends one request and returns what the kernel answered before its acknowledgement (often nothing).
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel refuses it.
    pub async fn request(&mut self, request: &Request) -> Result<Vec<Message>, Error> {
        const OPERATION: &str = "request";
        self.check_length(0, request)?;
        let sequence = self.take_sequences(1);
        self.outgoing.clear();
        request.emit(&mut self.outgoing, NLM_F_ACK, sequence, self.channel.port());
        self.send(OPERATION).await?;
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

    async fn send_and_collect(
        &mut self,
        requests: &[Request],
        results: &mut [Result<(), KernelError>],
    ) -> Result<(), Error> {
        const OPERATION: &str = "batch";
        let first = self.take_sequences(requests.len());
        let port = self.channel.port();
        self.outgoing.clear();
        let mut sequence = first;
        for (index, request) in requests.iter().enumerate() {
            let acknowledge = if index + 1 == requests.len() { NLM_F_ACK } else { 0 };
            request.emit(&mut self.outgoing, acknowledge, sequence, port);
            sequence = sequence.wrapping_add(1);
        }
        self.send(OPERATION).await?;
        loop {
            self.receive(OPERATION).await?;
            for frame in self.channel.frames() {
                let frame = frame.map_err(malformed(OPERATION))?;
                if frame.kind == NLMSG_OVERRUN {
                    return Err(Error::Resync { operation: OPERATION });
                }
                let index = usize::try_from(frame.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                let Some(result) = results.get_mut(index) else {
                    self.late = self.late.saturating_add(1);
                    continue;
                };
                if frame.kind == NLMSG_ERROR {
                    *result = frame.answer().map_err(malformed(OPERATION))?;
                    if index + 1 == requests.len() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn send(&mut self, operation: &'static str) -> Result<(), Error> {
        let deadline = Instant::now() + self.timeout;
        let sent = self.channel.send(&self.outgoing, deadline).await;
        sent.map_err(|failure| self.explain(operation, failure))
    }

    async fn receive(&mut self, operation: &'static str) -> Result<(), Error> {
        let deadline = Instant::now() + self.timeout;
        let received = self.channel.receive(Some(deadline)).await;
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

    fn check_length(&self, index: usize, request: &Request) -> Result<(), Error> {
        let (length, limit) = (request.wire_length(), self.send_limit);
        if length > limit { Err(Error::TooLong { index, length, limit }) } else { Ok(()) }
    }

    /// How many of the requests the next send takes: at least one.
    fn fitting(&self, requests: &[Request]) -> usize {
        let mut length = 0_usize;
        let fits = |request: &&Request| {
            length = length.saturating_add(request.wire_length());
            length <= self.send_limit
        };
        requests.iter().take(self.batch).take_while(fits).count().max(1)
    }

    /// The first of `count` sequence numbers that no recent request had.
    fn take_sequences(&mut self, count: usize) -> u32 {
        let first = self.sequence;
        self.sequence = first.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
        first
    }
}

fn malformed(operation: &'static str) -> impl Fn(Malformed) -> Error {
    move |source| Error::Malformed { operation, source }
}

#[cfg(test)]
mod tests;
