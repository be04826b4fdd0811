//! The command line, as keepalived has it, and what the exit status means.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{ArgAction, Parser};

use crate::conf;
use crate::plan::Plan;
pub use crate::signals::SignalName;

/// A load balancer daemon that reads keepalived.conf.
///
/// ```
/// use clap::Parser as _;
/// let cli = lvsd::cli::Cli::try_parse_from(["lvsd", "-n", "-l", "-f", "a.conf"])?;
/// assert!(cli.dont_fork && cli.log_console && cli.config_to_test().is_none());
/// # Ok::<(), clap::Error>(())
/// ```
#[derive(Debug, Clone, Parser)]
#[command(name = "lvsd", version, about = ABOUT, long_about = None)]
#[command(disable_version_flag = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// Configuration file
    #[arg(short = 'f', long = "use-file", value_name = "FILE", default_value = DEFAULT_FILE)]
    pub use_file: PathBuf,

    /// Stay in the foreground
    #[arg(short = 'n', long)]
    pub dont_fork: bool,

    /// Log to standard error
    #[arg(short = 'l', long)]
    pub log_console: bool,

    /// More log
    #[arg(short = 'D', long, action = ArgAction::Count)]
    pub log_detail: u8,

    /// Only VRRP
    #[arg(short = 'P', long)]
    pub vrrp: bool,

    /// Only virtual servers and health checks
    #[arg(short = 'C', long)]
    pub check: bool,

    /// Check the configuration, say what is wrong on standard error (or append it to FILE), and end
    // `Option<Option<_>>` is clap's way to say: may be absent, may be alone, may have a value.
    #[arg(short = 't', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option)]
    config_test: Option<Option<PathBuf>>,

    /// PID file
    #[arg(short = 'p', long, value_name = "FILE")]
    pub pid: Option<PathBuf>,

    /// Record what each virtual router is told (the latest megabyte of it) into NAME.vrrp in DIR: when it ceases to be
    /// master, when another master is heard, and at the end. The file of the run before becomes NAME.vrrp.old
    // keepalived has nothing of the kind.
    #[arg(long, value_name = "DIR")]
    pub vrrp_record: Option<PathBuf>,

    /// Print the number of the signal that asks for NAME: kill -$(lvsd --signum=STATS) $(cat /run/lvsd.pid)
    #[arg(long, value_name = "NAME", ignore_case = true)]
    pub signum: Option<SignalName>,

    /// Print the version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
}

impl Cli {
    /// The file to check if this is a mere check (`-t`).
    pub fn config_to_test(&self) -> Option<&Path> {
        self.config_test.as_ref().map(|_| self.use_file.as_path())
    }

    /// Whether virtual routers run, and whether virtual servers do.
    ///
    /// keepalived's `-P` and `-C`: naming one half leaves out the other; naming both, or none, runs both.
    pub(crate) fn halves(&self) -> (bool, bool) {
        (self.vrrp || !self.check, self.check || !self.vrrp)
    }

    /// Checks the configuration as `-t` asks for; gives the exit status.
    pub fn test_config(&self) -> u8 {
        let output = self.config_test.as_ref().and_then(Option::as_deref);
        let mut loaded = conf::load(&self.use_file);
        let (vrrp, servers) = self.halves();
        // For what it has to say: a run with the same options says the same.
        let _ = Plan::of(&mut loaded, vrrp, servers);
        let status = status_of(&loaded);
        let written = match output {
            None => {
                let stderr = std::io::stderr();
                let style = conf::Style::for_output(stderr.is_terminal());
                stderr.lock().write_all(conf::render(&loaded.report, style).as_bytes())
            }
            Some(path) => {
                std::fs::File::options().create(true).append(true).open(path).and_then(|mut file| {
                    file.write_all(conf::render(&loaded.report, conf::Style::Plain).as_bytes())
                })
            }
        };
        match (written, output) {
            (Err(e), Some(path)) => {
                // Standard error is all that is left to say it; if that fails too, the status remains.
                let _ = writeln!(std::io::stderr(), "lvsd: cannot write {}: {e}", path.display());
                CANNOT_RUN
            }
            (Err(_), None) | (Ok(()), _) => status,
        }
    }
}

/// The exit status that a loaded configuration calls for.
pub fn status_of(loaded: &conf::Loaded) -> u8 {
    match loaded.config {
        Some(_) => 0,
        None if loaded.is_unreadable() => CANNOT_RUN,
        None => BAD_CONFIG,
    }
}

/// The configuration file if `-f` is not given.
pub const DEFAULT_FILE: &str = "/etc/keepalived/keepalived.conf";
/// Exit status: something outside of the configuration is missing or refused, such as the file itself.
pub const CANNOT_RUN: u8 = 4;
/// Exit status: the configuration has errors; nothing was changed anywhere.
pub const BAD_CONFIG: u8 = 5;

const ABOUT: &str = "A load balancer daemon that reads keepalived.conf";

const AFTER_HELP: &str = "\
Signals (--signum tells their numbers):
  TERM, INT    STOP         end: masters resign, addresses and services are removed
  USR1         DATA         write how the virtual routers stand to /tmp/keepalived.data
  USR2         STATS        write their counters to /tmp/keepalived.stats
  RTMAX-1      STATS_CLEAR  the same, and begin again at 0
  RTMIN+2      JSON         write both in JSON to /tmp/keepalived.json
The files are for their owner alone (mode 0600); state_dump_file, stats_dump_file and json_dump_file in
global_defs name other places, and so does the environment variable TMPDIR.

Exit status:
  0  all is well (with -t: perhaps warnings)
  1  a failure while running
  2  wrong options
  4  the configuration cannot be read or the program cannot run here
  5  the configuration has errors (nothing was changed)";
