//! Delivers notices to the scripts: in order within an instance, instances side by side, nobody waited for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lvs_core::{Notice, Notify};
use tokio::task::JoinHandle;
use tracing::warn;

/// Notices of one instance that wait while a script runs; beyond that the oldest is dropped, since a newer state
/// supersedes it.
const WAITING: usize = 16;

/// The queues of all instances. One that has nothing to deliver has no task.
pub(crate) struct Notices<N> {
    queues: BTreeMap<String, Queue>,
    notifier: N,
}

#[derive(Default)]
struct Queue {
    state: Arc<Mutex<State>>,
    /// That of the last delivery.
    task: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    notices: VecDeque<Notice>,
    /// A task takes them out.
    delivering: bool,
}

impl<N: Notify + Clone + 'static> Notices<N> {
    /// A queue for each of these instances; nobody hears of others. `notifier` is copied for each delivery.
    pub(crate) fn new(instances: impl IntoIterator<Item = String>, notifier: N) -> Self {
        Self { queues: instances.into_iter().map(|name| (name, Queue::default())).collect(), notifier }
    }

    /// Puts a notice into its instance's queue; never waits. Must be called inside of a tokio runtime.
    pub(crate) fn push(&mut self, notice: Notice) {
        let Some(queue) = self.queues.get_mut(notice.instance()) else { return };
        let mut state = lock(&queue.state);
        if state.notices.len() >= WAITING
            && let Some(dropped) = state.notices.pop_front()
        {
            warn!("scripts of {} are too slow; dropped {dropped:?}", notice.instance());
        }
        state.notices.push_back(notice);
        if !std::mem::replace(&mut state.delivering, true) {
            queue.task = Some(tokio::spawn(deliver(Arc::clone(&queue.state), self.notifier.clone())));
        }
    }

    /// Waits until everything was delivered, at most `limit`; scripts that still run then are killed.
    pub(crate) async fn finish(self, limit: Duration) {
        let deadline = tokio::time::Instant::now() + limit;
        for (name, Queue { task, .. }) in self.queues {
            let Some(mut task) = task else { continue };
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                warn!("scripts of {name} did not end within {limit:?} and are killed");
                task.abort();
                // Until the script is killed; the task waits for nothing else then.
                let _ = task.await;
            }
        }
    }
}

/// Owns one instance's delivery; ends when the queue is empty. Aborting it kills the running script and what that started.
async fn deliver<N: Notify>(state: Arc<Mutex<State>>, mut notifier: N) {
    while let Some(notice) = next(&state) {
        notifier.notify(notice).await;
    }
}

/// What is to be delivered next; if there is nothing, the next notice needs another task.
fn next(state: &Mutex<State>) -> Option<Notice> {
    let mut state = lock(state);
    let next = state.notices.pop_front();
    state.delivering = next.is_some();
    next
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing is done under this lock that could leave it half done.
    state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut notices = Notices::new(["VI_1".to_owned()], recorder.clone());
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
        let mut notices = Notices::new(["VI_1".to_owned()], recorder.clone());
        notices.push(notice(1));
        let begin = tokio::time::Instant::now();
        notices.finish(Duration::from_secs(5)).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_notice_after_all_others_were_delivered_is_delivered_too() {
        let recorder = Recorder::default();
        let mut notices = Notices::new(["VI_1".to_owned()], recorder.clone());
        for priority in [1, 2] {
            notices.push(notice(priority));
            recorder.gate.notify_one();
            while recorder.seen.lock().unwrap().len() < priority.into() {
                tokio::task::yield_now().await;
            }
        }
        notices.finish(Duration::from_secs(1)).await;
        assert_eq!(*recorder.seen.lock().unwrap(), [notice(1), notice(2)]);
    }
}
