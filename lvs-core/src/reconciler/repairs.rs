//! What was put back after somebody else had changed it.

use std::fmt;
use std::ops::AddAssign;

use crate::table::Change;

/// Edits that were made although nothing new was desired, by what they did.
///
/// ```
/// let mut repairs = lvs_core::reconciler::Repairs::default();
/// repairs.services_added = 1;
/// repairs.servers_edited = 2;
/// assert_eq!(repairs.to_string(), "1 service added, 2 servers edited");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repairs {
    /// Services that had been removed.
    pub services_added: u64,
    /// Services that had another scheduler, persistence or flags.
    pub services_edited: u64,
    /// Services that should not be there.
    pub services_removed: u64,
    /// Servers that had been removed.
    pub servers_added: u64,
    /// Servers that had another weight, forwarding or thresholds.
    pub servers_edited: u64,
    /// Servers that somebody had added to our services.
    pub servers_removed: u64,
    /// Connection timeouts, and sync daemons started and stopped.
    pub settings: u64,
}

impl Repairs {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let services = self.services_added + self.services_edited + self.services_removed;
        services + self.servers_added + self.servers_edited + self.servers_removed + self.settings
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total() == 0
    }

    pub(super) fn count(&mut self, change: &Change) {
        let number = match change {
            Change::AddService(_) => &mut self.services_added,
            Change::EditService(_) => &mut self.services_edited,
            Change::RemoveService(_) => &mut self.services_removed,
            Change::AddServer(..) => &mut self.servers_added,
            Change::EditServer(..) => &mut self.servers_edited,
            Change::RemoveServer(..) => &mut self.servers_removed,
            Change::SetTimeouts(_) | Change::StartDaemon(_) | Change::StopDaemon(_) => &mut self.settings,
        };
        *number += 1;
    }
}

impl AddAssign for Repairs {
    fn add_assign(&mut self, other: Self) {
        self.services_added += other.services_added;
        self.services_edited += other.services_edited;
        self.services_removed += other.services_removed;
        self.servers_added += other.servers_added;
        self.servers_edited += other.servers_edited;
        self.servers_removed += other.servers_removed;
        self.settings += other.settings;
    }
}

impl fmt::Display for Repairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.services_added, "service", "added"),
            (self.services_edited, "service", "edited"),
            (self.services_removed, "service", "removed"),
            (self.servers_added, "server", "added"),
            (self.servers_edited, "server", "edited"),
            (self.servers_removed, "server", "removed"),
            (self.settings, "setting", "changed"),
        ];
        let mut separator = "";
        for (number, what, done) in parts.into_iter().filter(|(number, ..)| *number > 0) {
            let plural = if number == 1 { "" } else { "s" };
            write!(f, "{separator}{number} {what}{plural} {done}")?;
            separator = ", ";
        }
        Ok(())
    }
}
