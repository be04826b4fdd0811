//! Delivers notices to the scripts: in order within an instance, instances side by side, nobody waited for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lvs_core::{Notice, Notify};
use tokio::task::JoinHandle;
use tracing::warn;

/// Notices of one instance that wait while a script runs; beyond that the oldest is dropped, since a newer state
/// supersedes it.
const WAITING: usize = 16;

/// The queues of all instances.
pub(crate) struct Notices {
    queues: BTreeMap<String, Queue>,
}

struct Queue {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    waiting: Mutex<State>,
    arrived: tokio::sync::Notify,
}

#[derive(Default)]
struct State {
    notices: VecDeque<Notice>,
    closed: bool,
}

impl Notices {
    /// A queue and a task for each instance; `notifier` is copied for each.
    pub(crate) fn start<N: Notify + Clone + 'static>(
        instances: impl IntoIterator<Item = String>,
        notifier: &N,
    ) -> Self {
        let queues = instances.into_iter().map(|name| {
            let shared = Arc::new(Shared {
                waiting: Mutex::new(State::default()),
                arrived: tokio::sync::Notify::new(),
            });
            let task = tokio::spawn(deliver(Arc::clone(&shared), notifier.clone()));
            (name, Queue { shared, task })
        });
        Self { queues: queues.collect() }
    }

    /// Puts a notice into its instance's queue; never waits.
    pub(crate) fn push(&self, notice: Notice) {
        let Some(queue) = self.queues.get(notice.instance()) else { return };
        let mut state = queue.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if state.notices.len() >= WAITING
            && let Some(dropped) = state.notices.pop_front()
        {
            warn!("scripts of {} are too slow; dropped {dropped:?}", notice.instance());
        }
        state.notices.push_back(notice);
        drop(state);
        queue.shared.arrived.notify_one();
    }

    /// Waits until everything was delivered, at most `limit`; scripts that still run then are killed.
    pub(crate) async fn finish(self, limit: Duration) {
        let deadline = tokio::time::Instant::now() + limit;
        for queue in self.queues.values() {
            queue.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
            queue.shared.arrived.notify_one();
        }
        for (name, mut queue) in self.queues {
            if tokio::time::timeout_at(deadline, &mut queue.task).await.is_err() {
                warn!("scripts of {name} did not end within {limit:?} and are killed");
                queue.task.abort();
                // Until the script is killed; the task waits for nothing else then.
                let _ = queue.task.await;
            }
        }
    }
}

/// Owns one instance's delivery; ends when the queue is closed and empty. Aborting it kills the running script and what that
/// started.
async fn deliver<N: Notify>(shared: Arc<Shared>, mut notifier: N) {
    loop {
        let (next, closed) = {
            let mut state = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            (state.notices.pop_front(), state.closed)
        };
        match next {
            Some(notice) => notifier.notify(notice).await,
            None if closed => return,
            None => shared.arrived.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use lvs_core::Role;

    use super::*;

    #[derive(Clone, Default)]
    struct Recorder {
        seen: Arc<Mutex<Vec<Notice>>>,
        gate: Arc<tokio::sync::Notify>,
    }

    #[async_trait]
    impl Notify for Recorder {
        async fn notify(&mut self, notice: Notice) {
            self.gate.notified().await;
            self.seen.lock().unwrap().push(notice);
        }
    }

    fn notice(priority: u8) -> Notice {
        Notice::Role { instance: "VI_1".into(), role: Role::Master, priority }
    }

    #[tokio::test(start_paused = true)]
    async fn notices_of_an_instance_arrive_in_order_and_the_oldest_gives_way() {
        let recorder = Recorder::default();
        let notices = Notices::start(["VI_1".to_owned()], &recorder);
        for priority in 0..20 {
            notices.push(notice(priority));
        }
        let opened = tokio::spawn({
            let gate = Arc::clone(&recorder.gate);
            async move {
                loop {
                    gate.notify_one();
                    tokio::task::yield_now().await;
                }
            }
        });
        notices.finish(Duration::from_secs(1)).await;
        opened.abort();
        let expected: Vec<Notice> = (4..20).map(notice).collect();
        assert_eq!(*recorder.seen.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_script_that_never_ends_does_not_hold_up_the_end() {
        let recorder = Recorder::default();
        let notices = Notices::start(["VI_1".to_owned()], &recorder);
        notices.push(notice(1));
        let begin = tokio::time::Instant::now();
        notices.finish(Duration::from_secs(5)).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
    }
}
