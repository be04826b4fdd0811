//! Takes down what a router is told, without waiting for whoever reads it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use lvs_core::Instant;

use crate::record::{Input, Recording};
use crate::router::Router;

/// A recording that the driver writes and handles read.
pub(crate) type SharedRecording = Arc<Mutex<Recording>>;

/// The driver's side of a recording.
#[derive(Debug)]
pub(super) struct Recorder {
    recording: SharedRecording,
    /// What was told while somebody read.
    waiting: Vec<(Instant, Input)>,
}

impl Recorder {
    pub(super) fn new(recording: SharedRecording) -> Self {
        Self { recording, waiting: Vec::new() }
    }

    /// Takes down an input, now or with one of the next.
    pub(super) fn note(&mut self, now: Instant, input: &Input, router: &Router) {
        let mut recording = match self.recording.try_lock() {
            Ok(recording) => recording,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // A reader copies some megabytes at most: whoever makes it slower than this is waited for.
            Err(TryLockError::WouldBlock) if self.waiting.len() >= MOST_WAITING => lock(&self.recording),
            Err(TryLockError::WouldBlock) => {
                self.waiting.push((now, *input));
                return;
            }
        };
        if self.waiting.is_empty() {
            recording.note(now, input, router);
        } else {
            catch_up(&mut self.waiting, recording).append(now, input);
        }
    }

    /// Waits for readers: nothing is told any more.
    pub(super) fn finish(&mut self) {
        drop(catch_up(&mut self.waiting, lock(&self.recording)));
    }
}

fn catch_up<'a>(
    waiting: &mut Vec<(Instant, Input)>,
    mut recording: MutexGuard<'a, Recording>,
) -> MutexGuard<'a, Recording> {
    for (at, input) in waiting.drain(..) {
        recording.append(at, &input);
    }
    recording
}

fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    // Each input is taken down whole or not at all.
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Inputs that may wait for a reader: seconds of a flood of adverts, about 200 octets each.
const MOST_WAITING: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::types::{Interval, Priority};

    #[test]
    fn what_is_told_while_somebody_reads_is_taken_down_afterwards_in_order() {
        let config = Config::new(Interval::seconds(1).unwrap(), Priority::DEFAULT);
        let recording = Recording::new(Instant::ORIGIN, &config, [10, 0, 0, 1].into(), 1000);
        let shared: SharedRecording = Arc::new(Mutex::new(recording));
        let router = Router::new(config, [10, 0, 0, 1].into());
        let mut recorder = Recorder::new(Arc::clone(&shared));
        let at = Instant::from_nanos;
        recorder.note(at(1), &Input::Enable, &router);
        let reader = lock(&shared);
        recorder.note(at(2), &Input::Timeout, &router);
        recorder.note(at(3), &Input::Disable, &router);
        assert!(reader.text().ends_with("+1 enable\n"));
        drop(reader);
        recorder.note(at(4), &Input::Enable, &router);
        let all = "+1 enable\n+2 timeout\n+3 disable\n+4 enable\n";
        assert!(lock(&shared).text().ends_with(all));

        let reader = lock(&shared);
        recorder.note(at(5), &Input::Timeout, &router);
        drop(reader);
        recorder.finish();
        assert!(lock(&shared).text().ends_with("+4 enable\n+5 timeout\n"));
    }
}
