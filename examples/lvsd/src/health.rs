//! The thread that runs the health checks.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lvs_core::{ServerKey, ServiceKey};
use lvs_health::{CheckId, HealthEvents, Runner, RunnerHandle, scatter};
use tracing::error;

use crate::plan::PlannedCheck;

/// How long an overloaded runner is waited for when it is told to end.
const LONGEST_STOP: Duration = Duration::from_secs(1);

/// The running checks.
pub(crate) struct Checks {
    /// What changed.
    pub(crate) events: HealthEvents,
    /// Whose check it is.
    pub(crate) owners: BTreeMap<CheckId, (ServiceKey, ServerKey)>,
    handle: RunnerHandle,
}

impl Checks {
    /// Starts the thread with these checks. Each first probe comes after a random part of the check's warm-up.
    pub(crate) fn start(checks: Vec<PlannedCheck>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (runner, handle, events) = Runner::builder().clock(lvs_vrrp::clock::now).build();
        let numbered: Vec<(CheckId, PlannedCheck)> = (0u64..).map(CheckId::new).zip(checks).collect();
        let owners = numbered.iter().map(|(id, check)| (*id, (check.service, check.server))).collect();
        let inserter = handle.clone();
        thread::Builder::new().name("health".into()).spawn(move || {
            runtime.block_on(async {
                let running = tokio::spawn(runner.run());
                let seed = seed();
                for (id, planned) in numbered {
                    let offset = scatter(seed, id, planned.warmup);
                    if inserter.insert(id, planned.policy, offset, planned.check).await.is_err() {
                        break;
                    }
                }
                if let Err(stopped) = running.await {
                    error!("the health checks ended: {stopped}");
                }
            });
        })?;
        Ok(Self { events, owners, handle })
    }

    /// Tells the checks to end. What they still do then is of no interest, and ends with the process.
    pub(crate) async fn stop(&self) {
        // A runner that has stopped already is as good.
        let _ = tokio::time::timeout(LONGEST_STOP, self.handle.shutdown()).await;
    }
}

/// Differs from start to start and from host to host, so that balancers do not probe in step.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs() ^ (u64::from(now.subsec_nanos()) << 32) ^ u64::from(std::process::id())
}
