//! Telling the outside world that something changed: scripts, a FIFO, an application's own hook.

use async_trait::async_trait;

use crate::ownership::Role;

/// Something that an operator wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A virtual router changed its role.
    Role {
        /// Name of the instance.
        instance: String,
        /// The role that it has now.
        role: Role,
        /// Its effective priority, 1 to 255.
        priority: u8,
    },
    /// The effective priority of a virtual router changed; its role did not.
    Priority {
        /// Name of the instance.
        instance: String,
        /// The role that it has.
        role: Role,
        /// Its effective priority now, 1 to 255.
        priority: u8,
    },
    /// A virtual router is master and hears another master, which has to yield to it. Once for each such conflict.
    Contested {
        /// Name of the instance.
        instance: String,
        /// Its effective priority, 1 to 255.
        priority: u8,
    },
    /// A virtual router stops because the process ends.
    Stopped {
        /// Name of the instance.
        instance: String,
        /// Its effective priority, 1 to 255.
        priority: u8,
    },
}

impl Notice {
    /// The instance that it is about; notices of one instance are delivered in order.
    #[must_use]
    pub fn instance(&self) -> &str {
        match self {
            Self::Role { instance, .. }
            | Self::Priority { instance, .. }
            | Self::Contested { instance, .. }
            | Self::Stopped { instance, .. } => instance,
        }
    }
}

/// Delivers notices.
///
/// Called once for each notice, in order; the next one waits until the call returned, so an implementation bounds its
/// own time. A failure is the implementation's to report: nothing is repeated.
#[async_trait]
pub trait Notify: Send {
    /// Delivers one notice.
    async fn notify(&mut self, notice: Notice);
}
