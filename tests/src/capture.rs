//! Collects what passes an interface of a test host.

use std::fmt;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame::Frame;
use crate::host::Host;
use crate::poll::poll_until;

/// A running capture; ends when dropped.
///
/// ```
/// use std::time::Duration;
/// use lvs_tests::{Capture, Host, Segment};
///
/// let segment = Segment::new();
/// let [one, two] = ["one", "two"].map(Host::new);
/// one.connect(&segment, "eth0", "10.5.0.133/21");
/// two.connect(&segment, "eth0", "10.5.0.195/21");
/// let questions = Capture::start(&two, "eth0", |frame| frame.arp().is_some_and(|arp| arp.operation == 1));
/// one.ping("10.5.0.195", Duration::from_secs(5)).expect("two answers");
/// let asked = questions.wait_for("one asks for two", Duration::from_secs(5), |frame| !frame.outgoing);
/// assert_eq!(asked.source_mac(), Some(one.mac("eth0")));
/// ```
pub struct Capture {
    what: String,
    frames: Arc<Mutex<Vec<Frame>>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    /// Begins to collect the frames of `device` that `filter` wants; when this returns, no frame is missed any more.
    #[track_caller]
    pub fn start(host: &Host, device: &str, filter: impl Fn(&Frame) -> bool + Send + 'static) -> Capture {
        let what = format!("capture on {device} of {}", host.name());
        let index = usize::try_from(host.index(device)).unwrap_or_default();
        let socket = host.run(open).unwrap_or_else(|error| panic!("{what}: {error}"));
        let frames = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let sink = Arc::clone(&frames);
        let stopped = Arc::clone(&stop);
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, Some(source))) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) else {
                    continue; // nothing within the socket's time limit
                };
                if source.ifindex() != index {
                    continue;
                }
                let frame = Frame {
                    at: Instant::now(),
                    outgoing: source.pkttype() == PACKET_OUTGOING,
                    bytes: buffer.get(..length).unwrap_or(&buffer).to_vec(),
                };
                if filter(&frame) {
                    let mut frames = sink.lock().unwrap_or_else(PoisonError::into_inner);
                    assert!(
                        frames.len() < MOST_FRAMES,
                        "a capture wants more than {MOST_FRAMES} frames: narrow its filter"
                    );
                    frames.push(frame);
                }
            }
        });
        Capture { what, frames, stop, reader: Some(reader) }
    }

    /// What was collected so far, in order.
    #[track_caller]
    pub fn frames(&self) -> Vec<Frame> {
        assert!(
            self.reader.as_ref().is_some_and(|reader| !reader.is_finished()),
            "{} ended by itself",
            self.what
        );
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was collected so far.
    pub fn clear(&self) {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits for the first frame, also among those collected already, for which `wanted` is true.
    #[track_caller]
    pub fn wait_for(&self, what: &str, limit: Duration, wanted: impl Fn(&Frame) -> bool) -> Frame {
        poll_until(limit, &format!("{}: {what}", self.what), || {
            let frames = self.frames();
            let count = frames.len();
            frames.into_iter().find(|frame| wanted(frame)).ok_or_else(|| format!("{count} other frames"))
        })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("what", &self.what).finish_non_exhaustive()
    }
}

/// The socket sees all interfaces of the host; the reader picks one by its number.
fn open() -> std::io::Result<Socket> {
    let socket =
        Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ALL_PROTOCOLS.to_be()))))?;
    socket.set_recv_buffer_size(8 << 20)?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    Ok(socket)
}

/// linux/if_packet.h
const PACKET_OUTGOING: u8 = 4;
/// ETH_P_ALL
const ALL_PROTOCOLS: u16 = 3;
const MOST_FRAMES: usize = 100_000;
