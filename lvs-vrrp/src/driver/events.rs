//! Tells the application what happened, without waiting for it.

use std::sync::Arc;

use lvs_core::Instant;
use tokio::sync::mpsc;

use crate::driver::handle::{Event, EventKind};

#[derive(Debug)]
pub(super) struct Events {
    pub(super) sender: mpsc::Sender<Event>,
    pub(super) missed: u64,
}

impl Events {
    pub(super) fn push(&mut self, instance: &Arc<str>, at: Instant, kind: EventKind) {
        let event = Event { instance: Arc::clone(instance), at, kind, missed: self.missed };
        match self.sender.try_send(event) {
            Ok(()) => self.missed = 0,
            Err(_) => self.missed = self.missed.saturating_add(1),
        }
    }
}
