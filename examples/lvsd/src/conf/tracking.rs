//! What is tracked, and who changes state together: the checked half of a configuration that trackers and sync groups
//! are made from.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use lvs_vrrp::TrackedKind;

use super::model::{NotifyScripts, Script};
use super::source::Span;

/// `vrrp_script`: a program whose exit status is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackScript {
    /// Its name, unique.
    pub name: String,
    /// Where it stands in the file.
    pub at: Span,
    /// What runs.
    pub script: Script,
    /// From one start to the next, at least 1 ms.
    pub interval: Duration,
    /// After this it is ended and has failed.
    pub timeout: Duration,
    /// Successes in a row that make it up.
    pub rise: NonZeroU32,
    /// Failures in a row that make it down.
    pub fall: NonZeroU32,
    /// It is down until it has succeeded, instead of unknown.
    pub init_fail: bool,
}

/// `vrrp_track_process`: processes that are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackProcess {
    /// Its name, unique.
    pub name: String,
    /// Where it stands in the file.
    pub at: Span,
    /// The name of the program, and arguments if they count.
    pub command: Vec<String>,
    /// Which arguments are compared; `None`: they do not matter.
    pub arguments: Option<ArgumentMatch>,
    /// Compare the command line's first word instead of the name that the kernel has of the process.
    pub full_command: bool,
    /// It is up when there are so many.
    pub quorum: RangeInclusive<u32>,
    /// How long there have to be so many before it is up, 0 to 1 h.
    pub fork_delay: Duration,
    /// How long there have to be too few or too many before it is down, 0 to 1 h.
    pub terminate_delay: Duration,
}

/// How the arguments of a process are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentMatch {
    /// All, and no more.
    Exact,
    /// The same number, and the last may be longer than it was written.
    Initial,
    /// The first ones; more may follow.
    Partial,
}

/// `track_file`: a file that holds a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFile {
    /// Its name, unique.
    pub name: String,
    /// Where it stands in the file.
    pub at: Span,
    /// The file.
    pub path: PathBuf,
    /// What is written at the start.
    pub init: Option<InitFile>,
}

/// What `init_file` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitFile {
    /// The number.
    pub value: i64,
    /// Also if the file is there already.
    pub overwrite: bool,
}

/// An entry of `track_script` and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// What kind of object.
    pub kind: TrackedKind,
    /// Its name.
    pub name: String,
    /// In the range of the kind; 0 means fault.
    pub weight: i16,
    /// The opposite of what the weight says.
    pub reverse: bool,
}

impl Track {
    /// Whether the object can only cause a fault.
    pub fn is_fault_only(&self) -> bool {
        self.weight == 0
    }
}

/// `vrrp_sync_group`: instances that change state together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncGroup {
    /// Its name, unique.
    pub name: String,
    /// Where it stands in the file.
    pub at: Span,
    /// Names of instances, each in one group only; not empty.
    pub members: Vec<String>,
    /// What moves the priorities of all members.
    pub track: Vec<Track>,
    /// Scripts; `GROUP name STATE 0` is appended to the arguments of `notify`.
    pub notify: NotifyScripts,
    /// Whether FIFOs are told of priorities, too.
    pub notify_priority_changes: bool,
}
