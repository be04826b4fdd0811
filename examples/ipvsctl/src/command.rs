//! What a command line asks for.

use lvs_core::{Change, ServiceKey};

/// What one command line asks for. The set grows with the verbs.
///
/// ```
/// use ipvsctl::{Command, cli, names::Numeric};
///
/// let command = cli::parse(["-A", "-t", "10.0.0.1:80", "-s", "rr"], &Numeric)?;
/// let Command::Edit(change) = command else { unreachable!("-A is an edit") };
/// assert_eq!(change.to_string(), "add service tcp 10.0.0.1:80");
/// # Ok::<(), ipvsctl::error::UsageError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// One edit of the table, of the timeouts or of a sync daemon: `-A -E -D -a -e -d --set --start-daemon
    /// --stop-daemon`.
    Edit(Change),
    /// `-C`: remove all services.
    Clear,
    /// `-Z`: set the counters of one service or of all to zero.
    Zero(Option<ServiceKey>),
    /// `-L`, `-l`, or nothing at all.
    List(Listing),
    /// `-S`: write the table in the form that `-R` reads.
    Save {
        /// Addresses and ports as numbers.
        numeric: bool,
    },
    /// `-R`: read command lines from standard input.
    Restore,
    /// `-h`.
    Help,
    /// `-v`.
    Version,
}

/// What to list, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Listing {
    /// What is listed.
    pub subject: Subject,
    /// Addresses and ports as numbers.
    pub numeric: bool,
    /// Counters and rates in full.
    pub exact: bool,
    /// The kernel's order instead of ipvsadm's.
    pub unsorted: bool,
    /// As JSON, with all there is to say and numbers instead of names; ipvsadm does not have this.
    pub json: bool,
}

/// What is listed. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Services and their servers; one service if it is named.
    Services(Option<ServiceKey>, Columns),
    /// The connections.
    Connections {
        /// With the name of the persistence engine and its data.
        engine_data: bool,
    },
    /// The connection timeouts.
    Timeouts,
    /// The sync daemons.
    Daemons,
}

impl Default for Subject {
    fn default() -> Self {
        Self::Services(None, Columns::default())
    }
}

/// What is said of each service and server. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Columns {
    /// Scheduler and flags; forwarding, weight and connections.
    #[default]
    Forwarding,
    /// The same with the tunnel of each server: `--tun-info`.
    Tunnels,
    /// Connection thresholds: `--thresholds`.
    Thresholds,
    /// Weight and persistent connections: `--persistent-conn`.
    Persistent,
    /// Counters: `--stats`.
    Counters,
    /// Rates: `--rate`.
    Rates,
}
