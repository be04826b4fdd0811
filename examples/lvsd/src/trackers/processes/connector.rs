//! Hears from the kernel which processes begin, change and end: `linux/cn_proc.h` over netlink.
//!
//! The kernel tells only the initial network, user and process namespaces, and only root.
//!
//! ```text
//!  0        16                  36                         52
//!  ┌────────┬───────────────────┬──────────────────────────┬───────────────────────────┐
//!  │nlmsghdr│cn_msg             │proc_event                │ event_data                │
//!  │        │idx val seq ack len│what cpu timestamp        │ by what happened          │
//!  └────────┴───────────────────┴──────────────────────────┴───────────────────────────┘
//! ```

use std::io;

use netlink_sys::protocols::NETLINK_CONNECTOR;
use netlink_sys::{Socket, SocketAddr};
use tokio::io::unix::AsyncFd;

/// The kernel's notices about processes.
pub(super) struct Connector {
    socket: AsyncFd<Socket>,
    buffer: Vec<u8>,
}

/// What the kernel said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It will tell from now on, or says why it will not: an error number, or 0.
    Answer(u32),
    /// This process is new, has another program or name, or is ending.
    Changed(u32),
    /// Something was lost.
    Lost,
}

impl Connector {
    /// Asks to be told; whether that will happen is the first news.
    ///
    /// # Errors
    /// There is no such thing here.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_CONNECTOR)?;
        socket.bind(&SocketAddr::new(0, CN_IDX_PROC))?;
        socket.set_non_blocking(true)?;
        socket.send_to(&request(), &SocketAddr::new(0, 0), 0)?;
        #[allow(deprecated, reason = "its successor, AsyncFd::register, needs a newer tokio than we ask for")]
        let socket = AsyncFd::new(socket)?;
        Ok(Self { socket, buffer: Vec::with_capacity(LONGEST) })
    }

    /// Waits for news; gives all that there are, up to a bound. Safe to cancel.
    ///
    /// # Errors
    /// The kernel refuses to go on.
    pub(super) async fn next(&mut self) -> io::Result<Vec<News>> {
        let mut news = Vec::new();
        let mut ready = self.socket.readable().await?;
        while news.len() < AT_ONCE {
            self.buffer.clear();
            match ready.get_inner().recv_from(&mut self.buffer, 0) {
                // Only the kernel is believed: its port is 0.
                Ok((_, from)) if from.port_number() == 0 => news.extend(read(&self.buffer)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    break;
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => news.push(News::Lost),
                Err(error) => return Err(error),
            }
        }
        Ok(news)
    }
}

/// `PROC_CN_MCAST_LISTEN` in its envelopes.
fn request() -> Vec<u8> {
    let payload = PROC_CN_MCAST_LISTEN.to_ne_bytes();
    let mut message = Vec::with_capacity(NLMSG_HEADER + CN_MSG + payload.len());
    let length = u32::try_from(NLMSG_HEADER + CN_MSG + payload.len()).unwrap_or(u32::MAX);
    message.extend(length.to_ne_bytes());
    message.extend(NLMSG_DONE.to_ne_bytes());
    // No flags, no number, no port.
    message.extend([0; 10]);
    message.extend(CN_IDX_PROC.to_ne_bytes());
    message.extend(CN_VAL_PROC.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_ne_bytes());
    message.extend([0; 2]);
    message.extend(payload);
    message
}

/// Reads one message; nothing if it is about threads, users or sessions, or none that we know.
fn read(message: &[u8]) -> Option<News> {
    let word = |at: usize| {
        let bytes = message.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*bytes))
    };
    if (word(NLMSG_HEADER)?, word(NLMSG_HEADER + 4)?) != (CN_IDX_PROC, CN_VAL_PROC) {
        return None;
    }
    let what = word(NLMSG_HEADER + CN_MSG)?;
    let data = |place: usize| word(NLMSG_HEADER + CN_MSG + PROC_EVENT + 4 * place);
    // A thread has another number than its process.
    let process = |pid: u32, tgid: u32| (pid == tgid).then_some(pid);
    match what {
        PROC_EVENT_NONE => data(0).map(News::Answer),
        PROC_EVENT_FORK => process(data(2)?, data(3)?).map(News::Changed),
        PROC_EVENT_EXEC | PROC_EVENT_COMM | PROC_EVENT_EXIT => process(data(0)?, data(1)?).map(News::Changed),
        _ => None,
    }
}

/// Sizes of the envelopes (`linux/netlink.h`, `linux/connector.h`), and where the data of an event begins.
const NLMSG_HEADER: usize = 16;
const CN_MSG: usize = 20;
const PROC_EVENT: usize = 16;

const NLMSG_DONE: u16 = 3;
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;
const PROC_EVENT_NONE: u32 = 0;
const PROC_EVENT_FORK: u32 = 1;
const PROC_EVENT_EXEC: u32 = 2;
const PROC_EVENT_COMM: u32 = 0x200;
const PROC_EVENT_EXIT: u32 = 0x8000_0000;

/// Longer than any message.
const LONGEST: usize = 4096;

/// Then other work has its turn.
const AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel sends it: 76 bytes.
    fn message(what: u32, data: [u32; 4]) -> Vec<u8> {
        let mut message = request();
        message.truncate(NLMSG_HEADER + CN_MSG);
        message.extend(what.to_ne_bytes());
        message.extend([0; 12]);
        message.extend(data.into_iter().flat_map(u32::to_ne_bytes));
        message.extend([0; 8]);
        message
    }

    #[test]
    fn processes_are_told_from_threads_and_other_messages() {
        assert_eq!(message(0, [0; 4]).len(), 76);
        assert_eq!(read(&message(0, [1, 0, 0, 0])), Some(News::Answer(1)));
        assert_eq!(read(&message(1, [10, 10, 11, 11])), Some(News::Changed(11)));
        assert_eq!(read(&message(1, [10, 10, 12, 10])), None);
        assert_eq!(read(&message(2, [11, 11, 0, 0])), Some(News::Changed(11)));
        assert_eq!(read(&message(0x200, [12, 10, 0, 0])), None);
        assert_eq!(read(&message(0x8000_0000, [11, 11, 0, 17])), Some(News::Changed(11)));
        assert_eq!(read(&message(4, [11, 11, 0, 0])), None);
        let mut foreign = message(2, [11, 11, 0, 0]);
        foreign[NLMSG_HEADER] = 9;
        assert_eq!(read(&foreign), None);
        for length in 0..message(2, [11; 4]).len() {
            let _ = read(&message(2, [11; 4])[..length]);
        }
    }
}
