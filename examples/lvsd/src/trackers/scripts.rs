//! Runs a tracked script again and again, and decides from its results whether it is up.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lvs_vrrp::Fact;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::Object;
use crate::scripts::{Outcome, Script, run};

/// A script, when it runs, and how many results count.
#[derive(Clone, Debug)]
pub(crate) struct WatchedScript {
    /// Its name in the configuration.
    pub(crate) name: String,
    pub(crate) script: Script,
    /// From one start to the next; not zero. A start is left out while it still runs.
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) rise: NonZeroU32,
    pub(crate) fall: NonZeroU32,
    /// It is down until it has succeeded.
    pub(crate) init_fail: bool,
    /// Whether it runs at the moment.
    pub(crate) running: Running,
}

/// Whether something runs at the moment, for whoever wants to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Arc<AtomicBool>);

impl Running {
    pub(crate) fn is_running(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, is_running: bool) {
        self.0.store(is_running, Ordering::Relaxed);
    }
}

impl WatchedScript {
    /// What holds before it came back for the first time.
    pub(super) fn fact_at_first(&self) -> Fact {
        if self.init_fail { Fact::Down } else { Fact::Unknown }
    }

    /// Runs it for ever. Cancelling kills it with everything that it started.
    pub(super) async fn keep_running(self, object: Object, facts: mpsc::Sender<(Object, Fact)>) {
        let mut results = Results::new(self.fact_at_first(), self.rise, self.fall);
        let mut starts = tokio::time::interval(self.interval);
        starts.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            starts.tick().await;
            self.running.set(true);
            let outcome = run(&self.script, self.timeout).await;
            self.running.set(false);
            let failure = match outcome {
                Ok(Outcome::Exited(status)) if status.success() => None,
                Ok(Outcome::Exited(status)) => Some(status.to_string()),
                Ok(Outcome::TimedOut) => Some(format!("it ran longer than {:?} and was ended", self.timeout)),
                Err(error) => Some(format!("it cannot run: {error}")),
            };
            let Some(fact) = results.count(failure.is_none()) else { continue };
            match failure {
                None => info!("script {}: up", self.name),
                Some(failure) => warn!("script {}: down: {failure}", self.name),
            }
            if facts.send((object, fact)).await.is_err() {
                return;
            }
        }
    }
}

/// Counts successes and failures in a row.
#[derive(Debug)]
struct Results {
    fact: Fact,
    rise: NonZeroU32,
    fall: NonZeroU32,
    /// Results in a row that speak against the fact.
    against: u32,
}

impl Results {
    fn new(fact: Fact, rise: NonZeroU32, fall: NonZeroU32) -> Self {
        Self { fact, rise, fall, against: 0 }
    }

    /// Takes a result; the fact, if it changed. The first result decides alone.
    fn count(&mut self, success: bool) -> Option<Fact> {
        let needed = match (self.fact, success) {
            (Fact::Up, true) | (Fact::Down, false) => {
                self.against = 0;
                return None;
            }
            (Fact::Up, false) => self.fall.get(),
            (Fact::Down, true) => self.rise.get(),
            (Fact::Unknown | Fact::Value(_), _) => 1,
        };
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.fact = if success { Fact::Up } else { Fact::Down };
        Some(self.fact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(mut results: Results, successes: &str) -> String {
        let mut fact = |c| match results.count(c == '+') {
            Some(Fact::Up) => 'U',
            Some(_) => 'D',
            None => '.',
        };
        successes.chars().map(&mut fact).collect()
    }

    fn results(first: Fact) -> Results {
        Results::new(first, NonZeroU32::new(2).unwrap(), NonZeroU32::new(3).unwrap())
    }

    #[test]
    fn first_result_decides_alone_and_later_ones_need_rise_or_fall_in_a_row() {
        assert_eq!(facts(results(Fact::Unknown), "++--+---+-++"), "U......D...U");
        assert_eq!(facts(results(Fact::Unknown), "-+++"), "D.U.");
    }

    #[test]
    fn script_that_is_down_at_first_has_to_rise() {
        assert_eq!(facts(results(Fact::Down), "-+-++"), "....U");
    }

    fn watched(command: &str, interval: u64, timeout: u64) -> WatchedScript {
        WatchedScript {
            name: "s".to_owned(),
            script: Script { command: ["sh", "-c", command].map(str::to_owned).to_vec(), identity: None },
            interval: Duration::from_millis(interval),
            timeout: Duration::from_millis(timeout),
            rise: NonZeroU32::MIN,
            fall: NonZeroU32::MIN,
            init_fail: false,
            running: Running::default(),
        }
    }

    #[tokio::test]
    async fn script_that_hangs_is_down_after_its_timeout() {
        let (facts, mut news) = mpsc::channel(1);
        let hanging = watched("sleep 60", 1, 20).keep_running(Object(3), facts);
        tokio::select! {
            () = hanging => panic!("it runs for ever"),
            fact = news.recv() => assert_eq!(fact, Some((Object(3), Fact::Down))),
        }
    }

    #[tokio::test]
    async fn script_that_recovers_is_up_again() {
        let directory = std::env::temp_dir().join(format!("lvsd-test-{}-recovers", std::process::id()));
        let (facts, mut news) = mpsc::channel(1);
        let command = format!("test -e {}", directory.display());
        let task = tokio::spawn(watched(&command, 5, 5_000).keep_running(Object(0), facts));
        assert_eq!(news.recv().await, Some((Object(0), Fact::Down)));
        std::fs::write(&directory, "").unwrap();
        assert_eq!(news.recv().await, Some((Object(0), Fact::Up)));
        std::fs::remove_file(&directory).unwrap();
        assert_eq!(news.recv().await, Some((Object(0), Fact::Down)));
        task.abort();
    }
}
