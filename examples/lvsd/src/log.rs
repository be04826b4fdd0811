//! Where log lines go: the console, or the system's log; neither can hold up the daemon for long.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

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

/// Installs the process's log: to the standard error output, or to the system's log where there is one. Starts a thread
/// for the former.
pub(crate) fn install(console: bool, detail: bool) -> io::Result<Flush> {
    let level = if detail { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let syslog = if console { None } else { Syslog::connect().ok() };
    let registry = tracing_subscriber::registry();
    if let Some(syslog) = syslog {
        // A second call in one process (tests) keeps the first log.
        let _ = registry.with(syslog.with_filter(level)).try_init();
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
    lines: SyncSender<Vec<u8>>,
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
        let asked = self.console.take().map(|console| console.lines.try_send(Vec::new()));
        if let (Some(Ok(())), Some(ended)) = (asked, &self.ended) {
            // A console that stands still keeps its lines.
            let _ = ended.recv_timeout(LAST_LINES);
        }
    }
}

impl Console {
    fn start() -> io::Result<(Self, Flush)> {
        let (lines, waiting) = mpsc::sync_channel::<Vec<u8>>(WAITING);
        let (end, ended) = mpsc::sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        thread::Builder::new().name("log".into()).spawn(move || {
            let mut stderr = io::stderr();
            for line in waiting {
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
        let console = Self { lines, lost };
        Ok((console.clone(), Flush { ended: Some(ended), console: Some(console) }))
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
        if !text.is_empty() && self.console.lines.try_send(text).is_err() {
            self.console.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Lines to the system's log by datagrams that are dropped rather than waited for.
struct Syslog {
    socket: UnixDatagram,
}

impl Syslog {
    fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(LOG_SOCKET)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Syslog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = format!("<{}>lvsd[{}]: ", priority(event.metadata()), std::process::id());
        event.record(&mut Text(&mut line));
        // A full or absent log daemon must never hold up the adverts.
        let _ = self.socket.send(line.as_bytes());
    }
}

/// Facility and severity in one number (RFC 5424 §6.2.1).
fn priority(metadata: &Metadata<'_>) -> u8 {
    let severity = match *metadata.level() {
        Level::ERROR => 3,
        Level::WARN => 4,
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
