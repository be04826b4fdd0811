//! Asks the operating system to run the thread of the virtual routers as the configuration says.

use std::io;
use std::time::Duration;

use lvs_vrrp::thread;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use tracing::{info, warn};

use crate::conf::model::Scheduling;

/// Applies all of it to the calling thread; what is refused is a warning, as adverts are better late than never.
pub(crate) fn apply(wanted: &Scheduling) {
    let told = |what: String, result: io::Result<()>| match result {
        Ok(()) => info!("the thread of the virtual routers: {what}"),
        Err(error) => warn!("the thread of the virtual routers cannot have {what}: {error}"),
    };
    if !wanted.processors.is_empty() {
        told(format!("processors {:?}", wanted.processors), pin(&wanted.processors));
    }
    if let Some(niceness) = wanted.niceness {
        told(format!("niceness {niceness}"), thread::set_niceness(niceness));
    }
    // Before the priority: a thread of real time is never without it.
    if let Some(limit) = wanted.realtime_limit {
        told(format!("at most {limit:?} of real time without a pause"), limit_realtime(limit));
    }
    if let Some(priority) = wanted.realtime {
        told(format!("real-time priority {priority}"), thread::set_realtime(priority));
    }
    if wanted.no_swap {
        told("its memory locked".to_owned(), lock_memory());
    }
}

fn pin(processors: &[u16]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &processor in processors {
        set.set(processor.into())?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// The limit is the whole process's, but only threads of real time are measured. Whoever is beyond it is ended.
fn limit_realtime(limit: Duration) -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_RTTIME)?;
    let limit = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).min(most);
    Ok(setrlimit(Resource::RLIMIT_RTTIME, limit, most)?)
}

fn lock_memory() -> io::Result<()> {
    Ok(mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?)
}

#[cfg(test)]
mod tests {
    use nix::sched::sched_getaffinity;

    use super::*;

    #[test]
    fn the_calling_thread_alone_runs_where_it_is_told() {
        let own = || sched_getaffinity(Pid::from_raw(0)).expect("a set");
        let before = own();
        let first = (0..CpuSet::count()).find(|cpu| before.is_set(*cpu) == Ok(true)).expect("a processor");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let processors = vec![u16::try_from(first).expect("few processors")];
                apply(&Scheduling { processors, niceness: Some(3), ..Scheduling::default() });
                let now = own();
                assert!((0..CpuSet::count()).all(|cpu| (now.is_set(cpu) == Ok(true)) == (cpu == first)));
            });
        });
        assert_eq!(own(), before);
    }

    #[test]
    fn a_processor_that_does_not_exist_is_refused() {
        assert!(pin(&[1023]).is_err());
    }
}
