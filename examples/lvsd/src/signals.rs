//! What signals tell the daemon, by the names that keepalived gives them.

use clap::ValueEnum;

/// What a signal asks for. `--signum` tells the signal's number.
///
/// ```
/// use lvsd::cli::SignalName;
///
/// // SIGUSR2
/// assert_eq!(SignalName::Stats.number(), 12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum SignalName {
    /// End.
    #[value(name = "STOP")]
    Stop,
    /// Read the configuration again: this version only warns that it does not.
    #[value(name = "RELOAD")]
    Reload,
    /// Write how everything stands.
    #[value(name = "DATA")]
    Data,
    /// Write the counters of the virtual routers.
    #[value(name = "STATS")]
    Stats,
    /// Write them and begin again at 0.
    #[value(name = "STATS_CLEAR")]
    StatsClear,
    /// Write state and counters of the virtual routers in JSON.
    #[value(name = "JSON")]
    Json,
}

impl SignalName {
    /// The number of the signal, as `kill` takes it.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Stop => libc::SIGTERM,
            Self::Reload => libc::SIGHUP,
            Self::Data => libc::SIGUSR1,
            Self::Stats => libc::SIGUSR2,
            Self::StatsClear => libc::SIGRTMAX() - 1,
            Self::Json => libc::SIGRTMIN() + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_keepalived_2_2_7_prints() {
        let numbers = SignalName::value_variants().iter().map(|name| name.number()).collect::<Vec<_>>();
        assert_eq!(numbers, [15, 1, 10, 12, 63, 36]);
    }
}
