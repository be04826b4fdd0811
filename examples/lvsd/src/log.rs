//! Where log lines go: the console, or the system's log; neither can hold up the daemon for long.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The socket of the system's log daemon.
const LOG_SOCKET: &str = "/dev/log";

/// The syslog facility `daemon` (RFC 5424 §6.2.1).
const FACILITY_DAEMON: u8 = 3;

/// The syslog severity `warning` (RFC 5424 §6.2.1).
const WARNING: u8 = 4;

/// Where the lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The standard error output.
    Console,
    /// The system's log, as soon as there is one: for a daemon in the background, which has no console.
    System,
    /// The system's log if there is one now, otherwise the standard error output.
    SystemOrConsole,
}

/// Installs the process's log. Starts a thread for the console.
pub(crate) fn install(destination: Destination, detail: bool) -> io::Result<Flush> {
    let level = if detail { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let mut syslog = Syslog::new(LOG_SOCKET);
    let to_system = match destination {
        Destination::Console => false,
        Destination::System => true,
        Destination::SystemOrConsole => syslog.is_there(),
    };
    let registry = tracing_subscriber::registry();
    if to_system {
        let layer = SyslogLayer { syslog: Mutex::new(syslog) };
        // A second call in one process (tests) keeps the first log.
        let _ = registry.with(layer.with_filter(level)).try_init();
        return Ok(Flush { ended: None, console: None });
    }
    let (writer, flush) = Console::start()?;
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    let _ = registry.with(layer.with_filter(level)).try_init();
    Ok(flush)
}

/// Lines that wait for a slow console; beyond that lines are lost and counted.
const WAITING: usize = 4096;

/// How long the end of the process waits for the console to take the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The standard error output, written by a thread of its own: a console that stands still stops nobody.
#[derive(Clone)]
struct Console {
    lines: Sender<Vec<u8>>,
    /// How many lines wait: the channel itself has room for those that do, and not for all that may.
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

/// Writes what waits when it is dropped, as far as the console takes it in time.
pub(crate) struct Flush {
    ended: Option<Receiver<()>>,
    console: Option<Console>,
}

impl Drop for Flush {
    fn drop(&mut self) {
        // An empty line ends the thread.
        let asked = self.console.take().is_some_and(|console| console.hand_over(Vec::new()));
        if let (true, Some(ended)) = (asked, &self.ended) {
            // A console that stands still keeps its lines.
            let _ = ended.recv_timeout(LAST_LINES);
        }
    }
}

impl Console {
    fn start() -> io::Result<(Self, Flush)> {
        let (lines, taken) = mpsc::channel::<Vec<u8>>();
        let (end, ended) = mpsc::sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let waiting = Arc::new(AtomicUsize::new(0));
        let (counter, left) = (Arc::clone(&lost), Arc::clone(&waiting));
        thread::Builder::new().name("log".into()).spawn(move || {
            let mut stderr = io::stderr();
            for line in taken {
                left.fetch_sub(1, Ordering::Relaxed);
                if line.is_empty() {
                    break;
                }
                // A console that is gone takes nothing; nobody could be told.
                let _ = stderr.write_all(&line);
                let missed = counter.swap(0, Ordering::Relaxed);
                if missed > 0 {
                    let _ = writeln!(stderr, "{missed} lines were lost: the console was too slow");
                }
            }
            let _ = end.send(());
        })?;
        let console = Self { lines, waiting, lost };
        Ok((console.clone(), Flush { ended: Some(ended), console: Some(console) }))
    }

    /// Never waits; answers whether the line was taken.
    fn hand_over(&self, line: Vec<u8>) -> bool {
        let has_room = self.waiting.fetch_add(1, Ordering::Relaxed) < WAITING;
        let is_taken = has_room && self.lines.send(line).is_ok();
        if !is_taken {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        is_taken
    }
}

impl<'a> MakeWriter<'a> for Console {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { console: self, text: Vec::with_capacity(128) }
    }
}

/// One line on its way to the console; handed over when it is dropped.
struct Line<'a> {
    console: &'a Console,
    text: Vec<u8>,
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() && !self.console.hand_over(text) {
            self.console.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Lines to the system's log, by datagrams that are dropped and counted rather than waited for.
struct Syslog {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    /// The last attempt to connect.
    tried: Option<Instant>,
    /// Lines that nobody took.
    lost: u64,
}

impl Syslog {
    /// Connects with the first line.
    fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), socket: None, tried: None, lost: 0 }
    }

    /// Whether there is a log daemon now.
    fn is_there(&mut self) -> bool {
        self.connect(Instant::now());
        self.socket.is_some()
    }

    /// Sends a line; the log daemon may have been started, or started anew, since the last one. Never waits.
    fn send(&mut self, priority: u8, text: &str, now: Instant) {
        if self.socket.is_none() {
            self.connect(now);
        }
        if self.send_connected(priority, text) {
            return;
        }
        // The daemon that had the socket is gone; perhaps another one is there already.
        if self.socket.is_none() {
            self.connect(now);
            if self.send_connected(priority, text) {
                return;
            }
        }
        self.lost = self.lost.saturating_add(1);
    }

    /// Whether the log daemon took the line. Leaves the socket if it leads nowhere.
    fn send_connected(&mut self, priority: u8, text: &str) -> bool {
        let Some(socket) = &self.socket else { return false };
        if self.lost > 0 {
            let lost = format!("{} lines were lost: no log daemon took them", self.lost);
            if datagram(socket, FACILITY_DAEMON * 8 + WARNING, &lost).is_ok() {
                self.lost = 0;
            }
        }
        match datagram(socket, priority, text) {
            Ok(()) => true,
            // A full queue is a daemon that is there; any other error is a socket that leads nowhere.
            Err(error) if !is_busy(&error) => {
                self.socket = None;
                false
            }
            Err(_) => false,
        }
    }

    /// At most once per second: a daemon that is not there must not cost every line two system calls more.
    fn connect(&mut self, now: Instant) {
        if self.tried.is_some_and(|tried| now.saturating_duration_since(tried) < RECONNECT_INTERVAL) {
            return;
        }
        self.tried = Some(now);
        let connected = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.connect(&self.path)?;
            Ok(socket)
        });
        self.socket = connected.ok();
    }
}

fn datagram(socket: &UnixDatagram, priority: u8, text: &str) -> io::Result<()> {
    let line = format!("<{priority}>lvsd[{}]: {text}", std::process::id());
    socket.send(line.as_bytes()).map(drop)
}

/// Whether the daemon is there and takes nothing at the moment (or not this line: it is too long).
fn is_busy(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR | libc::EMSGSIZE))
}

/// From one attempt to reach the log daemon to the next.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

/// What events become lines of the system's log.
struct SyslogLayer {
    syslog: Mutex<Syslog>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SyslogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = String::new();
        event.record(&mut Text(&mut text));
        let mut syslog = self.syslog.lock().unwrap_or_else(PoisonError::into_inner);
        syslog.send(priority(event.metadata()), &text, Instant::now());
    }
}

/// Facility and severity in one number (RFC 5424 §6.2.1).
fn priority(metadata: &Metadata<'_>) -> u8 {
    let severity = match *metadata.level() {
        Level::ERROR => 3,
        Level::WARN => WARNING,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    };
    FACILITY_DAEMON * 8 + severity
}

/// Writes an event's message and fields as text.
struct Text<'a>(&'a mut String);

impl tracing::field::Visit for Text<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The path of a log daemon's socket; removed with the test.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("lvsd-test-{}-{name}.log", std::process::id())))
        }

        fn daemon(&self) -> UnixDatagram {
            let daemon = UnixDatagram::bind(&self.0).unwrap();
            daemon.set_nonblocking(true).unwrap();
            daemon
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    /// The lines that wait at the daemon, without the part that names the process.
    fn lines(daemon: &UnixDatagram) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = [0; 1024];
        while let Ok(length) = daemon.recv(&mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
            lines.push(line.replace(&format!("lvsd[{}]: ", std::process::id()), ""));
        }
        lines
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn lines_go_on_after_the_log_daemon_was_started_anew() {
        let place = Place::new("anew");
        let now = Instant::now();
        let mut syslog = Syslog::new(&place.0);
        let first = place.daemon();
        syslog.send(30, "a", now);
        assert_eq!(lines(&first), ["<30>a"]);

        drop(first);
        fs::remove_file(&place.0).unwrap();
        syslog.send(30, "b", now + SECOND);
        let second = place.daemon();
        syslog.send(30, "c", now + SECOND + SECOND / 2);
        assert_eq!(lines(&second), Vec::<String>::new(), "it was tried less than a second ago");
        syslog.send(30, "d", now + 2 * SECOND);
        assert_eq!(lines(&second), ["<28>2 lines were lost: no log daemon took them", "<30>d"]);
        syslog.send(30, "e", now + 2 * SECOND);
        assert_eq!(lines(&second), ["<30>e"]);
    }

    #[test]
    fn a_log_daemon_that_was_started_anew_between_two_lines_gets_the_next_one() {
        let place = Place::new("between");
        let now = Instant::now();
        let mut syslog = Syslog::new(&place.0);
        let first = place.daemon();
        syslog.send(30, "a", now);
        drop(first);
        fs::remove_file(&place.0).unwrap();
        let second = place.daemon();
        syslog.send(30, "b", now + SECOND);
        assert_eq!(lines(&second), ["<30>b"]);
    }

    #[test]
    fn a_log_daemon_that_comes_later_than_the_process_gets_lines() {
        let place = Place::new("later");
        let now = Instant::now();
        let mut syslog = Syslog::new(&place.0);
        assert!(!syslog.is_there());
        syslog.send(30, "a", now);
        let daemon = place.daemon();
        syslog.send(30, "b", now + 2 * SECOND);
        assert_eq!(lines(&daemon), ["<28>1 lines were lost: no log daemon took them", "<30>b"]);
    }

    #[test]
    fn a_log_daemon_that_takes_nothing_stops_nobody_and_hears_what_it_missed() {
        let place = Place::new("full");
        let now = Instant::now();
        let mut syslog = Syslog::new(&place.0);
        let daemon = place.daemon();
        for _ in 0..10_000 {
            syslog.send(30, "a", now);
        }
        let lost = syslog.lost;
        assert!(lost > 0);
        assert_eq!(lines(&daemon).len() as u64, 10_000 - lost);
        syslog.send(30, "b", now);
        assert_eq!(
            lines(&daemon),
            [format!("<28>{lost} lines were lost: no log daemon took them"), "<30>b".into()]
        );
    }
}
