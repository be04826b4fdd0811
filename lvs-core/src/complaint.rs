//! Says what is wrong once, not with every attempt.

use tracing::{info, warn};

/// What was complained about last.
#[derive(Debug, Default)]
pub(crate) struct Complaint(Option<String>);

impl Complaint {
    /// Logs an error that was not the last one, and `fine` when there is none any more.
    pub(crate) fn update(&mut self, error: Option<&str>, fine: &str) {
        if self.0.as_deref() == error {
            return;
        }
        match error {
            Some(error) => warn!("{error}; will be tried again"),
            None => info!("{fine}"),
        }
        self.0 = error.map(str::to_owned);
    }
}
