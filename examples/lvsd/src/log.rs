//! Where log lines go: the console, or the system's log; neither can hold up the daemon for long.

use std::fmt::Write as _;
use std::io;
use std::os::unix::net::UnixDatagram;

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

/// Installs the process's log: to the standard error output, or to the system's log where there is one.
pub(crate) fn install(console: bool, detail: bool) {
    let level = if detail { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let syslog = if console { None } else { Syslog::connect().ok() };
    let registry = tracing_subscriber::registry();
    // A second call in one process (tests) keeps the first log.
    let _ = match syslog {
        Some(syslog) => registry.with(syslog.with_filter(level)).try_init(),
        None => {
            let console = tracing_subscriber::fmt::layer()
                .with_writer(Stderr)
                .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
                .with_target(false);
            registry.with(console.with_filter(level)).try_init()
        }
    };
}

/// The standard error output; what cannot be written is lost, and nothing fails for it.
struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = io::LineWriter<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        io::LineWriter::new(io::stderr())
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
