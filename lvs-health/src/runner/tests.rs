use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use lvs_core::Health;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::scatter;

const ID: CheckId = CheckId::new(1);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn policy() -> Policy {
    Policy::every(millis(1000))
        .expect("not zero")
        .retry(1)
        .delay_before_retry(millis(100))
        .timeout(millis(300))
}

fn start(builder: RunnerBuilder) -> (JoinHandle<()>, RunnerHandle, HealthEvents) {
    let (runner, handle, events) = builder.build();
    (tokio::spawn(runner.run()), handle, events)
}

/// Plays a script, one letter a probe, the last one for ever: `+` passes, `-` fails, `!` panics, `?` never ends.
struct Script {
    letters: &'static [u8],
    asked: AtomicUsize,
    /// Probes that were begun and not ended or dropped.
    open: Arc<AtomicUsize>,
}

impl Script {
    fn new(letters: &'static str) -> Arc<Self> {
        Arc::new(Self {
            letters: letters.as_bytes(),
            asked: AtomicUsize::new(0),
            open: Arc::new(AtomicUsize::new(0)),
        })
    }
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Check for Script {
    async fn check(&self) -> Result<Success, Failure> {
        self.open.fetch_add(1, Ordering::SeqCst);
        let _open = Open(Arc::clone(&self.open));
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        match self.letters[asked.min(self.letters.len() - 1)] {
            b'+' => Ok(Success::new("yes")),
            b'-' => Err(Failure::new("no")),
            b'!' => panic!("script says so"),
            _ => std::future::pending().await,
        }
    }
}

async fn next(events: &mut HealthEvents) -> (Health, String, u64) {
    let event = events.recv().await.expect("the runner runs");
    let why = match &event.change {
        crate::Change::Up(success) => success.seen().to_owned(),
        crate::Change::Down(failure) => failure.why().to_owned(),
    };
    (event.change.health(), why, event.at.as_nanos() / 1_000_000)
}

// All tests with a paused clock: time jumps to the next timer when every task waits, so durations are exact, but for
// the whole milliseconds that tokio's timers round up to.

#[tokio::test(start_paused = true)]
async fn a_flapping_server_is_followed_at_the_exact_times() {
    let (_task, handle, mut events) = start(Runner::builder());
    handle.insert(ID, policy(), millis(50), Script::new("+--+-+--+")).await.expect("runs");
    // Probes at 50, 1050, 1150 (down), 2150 (up), 3150, 3250 (a retry passed), 4250, 4350 (down), 5350 (up).
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (health, _, at) = next(&mut events).await;
        seen.push((health, at / 50 * 50));
    }
    let (up, down) = (Health::Up, Health::Down);
    assert_eq!(seen, [(down, 1150), (up, 2150), (down, 4350), (up, 5350)]);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_has_failed_and_is_asked_again() {
    let (_task, handle, mut events) = start(Runner::builder());
    handle.insert(ID, policy(), Duration::ZERO, Script::new("!+")).await.expect("runs");
    assert_eq!(next(&mut events).await.1, "the check panicked: script says so");
    let (health, _, at) = next(&mut events).await;
    assert!(health == Health::Up && at >= 1000);
    assert_eq!(handle.stats().await.expect("runs").panicked, 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_never_ends_has_failed_at_its_deadline() {
    let (_task, handle, mut events) = start(Runner::builder());
    let script = Script::new("?+");
    handle.insert(ID, policy(), Duration::ZERO, Arc::clone(&script) as _).await.expect("runs");
    let (health, why, at) = next(&mut events).await;
    assert_eq!((health, why.as_str()), (Health::Down, "the check did not end within 300ms"));
    assert!((400..=402).contains(&at), "300 ms and the grace: {at}");
    assert_eq!(next(&mut events).await.0, Health::Up);
    assert_eq!(script.open.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn removal_and_suspension_drop_the_probe_that_is_out() {
    let (_task, handle, mut events) = start(Runner::builder());
    for remove in [true, false] {
        let script = Script::new("?-");
        handle.insert(ID, policy(), Duration::ZERO, Arc::clone(&script) as _).await.expect("runs");
        while script.open.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        if remove {
            handle.remove(ID).await.expect("runs");
        } else {
            handle.suspend(ID).await.expect("runs");
        }
        while handle.stats().await.expect("runs").out > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(script.open.load(Ordering::SeqCst), 0);
    }
    // Were it not suspended, this hour would contain thousands of failures.
    assert!(tokio::time::timeout(Duration::from_secs(3600), events.recv()).await.is_err());
    handle.resume(ID, Duration::ZERO).await.expect("runs");
    assert_eq!(next(&mut events).await.0, Health::Down);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_check_is_not_ended_by_the_end_of_the_old_one() {
    let (_task, handle, mut events) = start(Runner::builder());
    let (old, new) = (Script::new("?"), Script::new("?-"));
    handle.insert(ID, policy(), Duration::ZERO, Arc::clone(&old) as _).await.expect("runs");
    while old.open.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    handle.insert(ID, policy(), Duration::ZERO, Arc::clone(&new) as _).await.expect("runs");
    assert_eq!(next(&mut events).await.1, "the check did not end within 300ms");
    assert_eq!((old.open.load(Ordering::SeqCst), new.asked.load(Ordering::SeqCst)), (0, 1));
    // The new one can still be cancelled: its task was not forgotten together with the old one's.
    handle.remove(ID).await.expect("runs");
    assert_eq!(handle.stats().await.expect("runs").checks, 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_probes_are_out_than_allowed_and_the_queue_is_visible() {
    struct Gate {
        open: Semaphore,
        entered: AtomicUsize,
    }
    #[async_trait]
    impl Check for Gate {
        async fn check(&self) -> Result<Success, Failure> {
            self.entered.fetch_add(1, Ordering::SeqCst);
            let pass = self.open.acquire().await.map_err(|_| Failure::new("closed"))?;
            pass.forget();
            Ok(Success::new("let through"))
        }
    }
    let gate = Arc::new(Gate { open: Semaphore::new(0), entered: AtomicUsize::new(0) });
    let (_task, handle, _events) =
        start(Runner::builder().concurrency(NonZeroUsize::new(2).expect("not zero")));
    let policy = policy().timeout(Duration::from_secs(3600));
    for id in 0..5 {
        handle.insert(CheckId::new(id), policy, Duration::ZERO, Arc::clone(&gate) as _).await.expect("runs");
    }
    while gate.entered.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.stats().await.expect("runs").checks, 5);
    tokio::time::advance(Duration::from_secs(10)).await;
    let stats = handle.stats().await.expect("runs");
    assert_eq!((stats.checks, stats.out, stats.started), (5, 2, 2));
    assert!(stats.overdue >= Duration::from_secs(10));
    gate.open.add_permits(3);
    while gate.entered.load(Ordering::SeqCst) < 5 {
        tokio::task::yield_now().await;
    }
    let stats = handle.stats().await.expect("runs");
    assert_eq!((stats.out, stats.started), (2, 5));
    assert!(stats.latest_start >= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn silent_servers_do_not_delay_the_others() {
    struct Clocked(Mutex<BTreeMap<u64, Vec<tokio::time::Instant>>>, tokio::time::Instant);
    struct Good(u64, Arc<Clocked>);
    #[async_trait]
    impl Check for Good {
        async fn check(&self) -> Result<Success, Failure> {
            let mut seen = self.1.0.lock().map_err(|_| Failure::new("poisoned"))?;
            seen.entry(self.0).or_default().push(tokio::time::Instant::now());
            Ok(Success::default())
        }
    }
    let (_task, handle, mut events) = start(Runner::builder());
    let clocked = Arc::new(Clocked(Mutex::default(), tokio::time::Instant::now()));
    for id in 0..200 {
        let check: Arc<dyn Check> =
            if id % 4 == 0 { Script::new("?") } else { Arc::new(Good(id, Arc::clone(&clocked))) };
        let id = CheckId::new(id);
        handle.insert(id, policy(), scatter(3, id, millis(1000)), check).await.expect("runs");
    }
    let mut down = BTreeSet::new();
    let until = clocked.1 + Duration::from_secs(20);
    while let Ok(event) = tokio::time::timeout_at(until, events.recv()).await {
        let event = event.expect("the runner runs");
        assert_eq!(event.change.health(), Health::Down);
        assert!(down.insert(event.id.as_u64()));
    }
    assert_eq!(down, (0..200).step_by(4).collect());
    assert!(handle.stats().await.expect("runs").latest_start <= millis(2));
    handle.shutdown().await.expect("runs");
    let seen = clocked.0.lock().expect("not poisoned");
    assert_eq!(seen.len(), 150);
    for times in seen.values() {
        for pair in times.windows(2) {
            let period = pair[1] - pair[0];
            assert!((millis(1000)..millis(1003)).contains(&period), "{period:?}");
        }
        assert!(times.len() >= 19);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_the_last_state_of_every_check() {
    let (_task, handle, mut events) = start(Runner::builder());
    let flapping = policy().retry(0);
    for id in 0..100 {
        let script = Script::new(if id % 2 == 0 { "-+-+-+-+-+-+-" } else { "-+-+-+-+-+-+-+" });
        handle.insert(CheckId::new(id), flapping, Duration::ZERO, script).await.expect("runs");
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut health: BTreeMap<_, _> = (0..100).map(|id| (CheckId::new(id), Health::Up)).collect();
    let mut count = 0;
    while let Ok(event) = tokio::time::timeout(millis(10), events.recv()).await {
        let event = event.expect("the runner runs");
        let before = health.insert(event.id, event.change.health()).expect("known");
        assert_ne!(before, event.change.health(), "events alternate");
        count += 1;
    }
    for report in handle.reports().await.expect("runs") {
        let last = if report.id.as_u64() % 2 == 0 { Health::Down } else { Health::Up };
        assert_eq!((report.health, health.get(&report.id)), (last, Some(&last)));
    }
    assert!(count < 200, "1350 changes were merged: {count}");
    assert!(handle.stats().await.expect("runs").superseded > 1000);
}

#[tokio::test(start_paused = true)]
async fn checks_go_on_when_nobody_reads_events() {
    let (_task, handle, events) = start(Runner::builder());
    drop(events);
    let script = Script::new("-+-+-");
    handle.insert(ID, policy(), Duration::ZERO, Arc::clone(&script) as _).await.expect("runs");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(script.asked.load(Ordering::SeqCst) >= 9);
}

#[tokio::test(start_paused = true)]
async fn shutdown_drops_the_probes_and_ends_the_events() {
    for by_command in [true, false] {
        let (task, handle, mut events) = start(Runner::builder());
        let script = Script::new("?");
        handle.insert(ID, policy(), Duration::ZERO, Arc::clone(&script) as _).await.expect("runs");
        while script.open.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let kept = if by_command {
            handle.shutdown().await.expect("runs");
            Some(handle)
        } else {
            drop(handle);
            None
        };
        task.await.expect("it ends by itself");
        assert_eq!(script.open.load(Ordering::SeqCst), 0);
        assert_eq!(events.recv().await, None);
        if let Some(handle) = kept {
            assert_eq!(handle.remove(ID).await, Err(RunnerStopped));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_callers_clock_decides_what_is_due() {
    let clock = Arc::new(std::sync::atomic::AtomicU64::new(5_000_000_000));
    let read = Arc::clone(&clock);
    let builder = Runner::builder().clock(move || Instant::from_nanos(read.load(Ordering::SeqCst)));
    let (_task, handle, mut events) = start(builder);
    let script = Script::new("-");
    handle.insert(ID, policy(), Duration::from_secs(100), Arc::clone(&script) as _).await.expect("runs");
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(script.asked.load(Ordering::SeqCst), 0, "its clock stood still");
    // The machine was suspended for two minutes.
    clock.fetch_add(120_000_000_000, Ordering::SeqCst);
    let event = tokio::time::timeout(Duration::from_secs(2), events.recv()).await.expect("within a second");
    assert_eq!(event.expect("runs").at, Instant::from_nanos(125_000_000_000));
}
