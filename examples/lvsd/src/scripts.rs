//! Runs notify scripts as keepalived does, but in order, one at a time per instance, and with a time limit.

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lvs_core::{Notice, Notify, Role};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tracing::{debug, warn};

/// The longest that one script may run before it is ended with SIGTERM.
pub(crate) const SCRIPT_TIMEOUT: Duration = Duration::from_secs(60);

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// A program with its arguments, and who it runs as. No shell is involved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// Program and arguments; never empty.
    pub(crate) command: Vec<String>,
    /// User and group ids; this process's own if none are given.
    pub(crate) identity: Option<(u32, u32)>,
}

/// The scripts of one instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct InstanceScripts {
    pub(crate) master: Option<Script>,
    pub(crate) backup: Option<Script>,
    pub(crate) fault: Option<Script>,
    pub(crate) stop: Option<Script>,
    /// Another master was heard that has to yield.
    pub(crate) master_rx_lower_pri: Option<Script>,
    /// Gets `INSTANCE name STATE priority` as arguments.
    pub(crate) any: Option<Script>,
}

impl InstanceScripts {
    /// All of them.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Script> {
        let Self { master, backup, fault, stop, master_rx_lower_pri, any } = self;
        [master, backup, fault, stop, master_rx_lower_pri, any].into_iter().flatten()
    }
}

/// Runs the scripts of all instances, or of all sync groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptRunner {
    /// Shared, since each instance has a runner of its own.
    instances: Arc<BTreeMap<String, InstanceScripts>>,
    /// What the scripts are told that the name is one of.
    kind: &'static str,
}

impl ScriptRunner {
    pub(crate) fn new(instances: BTreeMap<String, InstanceScripts>) -> Self {
        Self { instances: Arc::new(instances), kind: "INSTANCE" }
    }

    /// The scripts of sync groups.
    pub(crate) fn of_groups(groups: BTreeMap<String, InstanceScripts>) -> Self {
        Self { instances: Arc::new(groups), kind: "GROUP" }
    }

    /// The scripts that a notice calls for, in the order in which they run.
    fn scripts_for(&self, notice: &Notice) -> Vec<Script> {
        let Some(scripts) = self.instances.get(notice.instance()) else { return Vec::new() };
        let (own, state, priority) = match notice {
            Notice::Role { role: Role::Master, priority, .. } => (&scripts.master, "MASTER", priority),
            Notice::Role { role: Role::Backup, priority, .. } => (&scripts.backup, "BACKUP", priority),
            Notice::Role { role: Role::Fault, priority, .. } => (&scripts.fault, "FAULT", priority),
            Notice::Stopped { priority, .. } => (&scripts.stop, "STOP", priority),
            // No change of state, so nothing for the general script.
            Notice::Contested { .. } => return scripts.master_rx_lower_pri.iter().cloned().collect(),
            // An instance that is being initialised has nothing to tell; priorities are for FIFOs alone.
            _ => return Vec::new(),
        };
        let any = scripts.any.clone().map(|mut script| {
            let name = notice.instance().to_owned();
            script.command.extend([self.kind.to_owned(), name, state.to_owned(), priority.to_string()]);
            script
        });
        own.clone().into_iter().chain(any).collect()
    }
}

#[async_trait]
impl Notify for ScriptRunner {
    async fn notify(&mut self, notice: Notice) {
        for script in self.scripts_for(&notice) {
            match run(&script, SCRIPT_TIMEOUT).await {
                Ok(Outcome::Exited(status)) if status.success() => {
                    debug!("script {:?} of {}: done", script.command, notice.instance());
                }
                Ok(Outcome::Exited(status)) => {
                    warn!("script {:?} of {}: {status}", script.command, notice.instance());
                }
                Ok(Outcome::TimedOut) => warn!(
                    "script {:?} of {} ran longer than {SCRIPT_TIMEOUT:?} and was ended",
                    script.command,
                    notice.instance()
                ),
                Err(error) => {
                    warn!("script {:?} of {} cannot run: {error}", script.command, notice.instance());
                }
            }
        }
    }
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Exited(ExitStatus),
    TimedOut,
}

/// Runs a script for at most `timeout`; see [`run_until`].
pub(crate) async fn run(script: &Script, timeout: Duration) -> io::Result<Outcome> {
    run_until(script, tokio::time::sleep(timeout)).await
}

/// Runs a script in a process group of its own, without input and output. As with keepalived it has this
/// process's environment, directory and umask ([`crate::daemon`] sets the latter).
///
/// A script that has not ended by itself when `limit` comes, or when this is cancelled, is ended with everything that it
/// started. One that ends by itself may leave processes behind: they stay, as with keepalived.
async fn run_until(script: &Script, limit: impl Future<Output = ()>) -> io::Result<Outcome> {
    let mut running = spawn(script)?;
    tokio::select! {
        // A script that has ended is never taken for one that hangs.
        biased;
        status = running.wait() => return status.map(Outcome::Exited),
        () = limit => {}
    }
    running.end().await?;
    Ok(Outcome::TimedOut)
}

/// Starts a script as [`run`] does.
pub(crate) fn spawn(script: &Script) -> io::Result<Running> {
    let (program, arguments) = script
        .command
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    if let Some((user, group)) = script.identity {
        // Setting the user also clears the supplementary groups.
        command.gid(group).uid(user);
    }
    Ok(Running { child: command.spawn()?, being_ended: false })
}

/// A script that runs. Dropping it before it ended kills its process group: nothing outlives a cancelled script.
pub(crate) struct Running {
    child: Child,
    /// Whether it is this process that ends the script.
    being_ended: bool,
}

impl Running {
    /// Waits until it ends by itself. Safe to cancel.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// SIGTERM to the whole group, SIGKILL after the grace; the script is reaped.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        self.being_ended = true;
        let group = self.group();
        signal(group, Signal::SIGTERM);
        if tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
            signal(group, Signal::SIGKILL);
            self.child.wait().await?;
        }
        // What the script itself started and left behind.
        signal(group, Signal::SIGKILL);
        Ok(())
    }

    /// The group, which has the script's number; nothing once the script is reaped.
    fn group(&self) -> Option<Pid> {
        self.child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = self.group();
        // It may have ended by itself in the moment of the cancellation: then what it left behind may stay.
        let ended_by_itself = !self.being_ended && matches!(self.child.try_wait(), Ok(Some(_)));
        if !ended_by_itself {
            signal(group, Signal::SIGKILL);
        }
    }
}

fn signal(group: Option<Pid>, signal: Signal) {
    // A group that is gone already is what was wanted.
    let _ = group.map(|group| killpg(group, signal));
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Instant;

    use super::*;

    fn script(command: &[&str]) -> Script {
        Script { command: command.iter().map(|&word| word.to_owned()).collect(), identity: None }
    }

    fn notice(role: Role) -> Notice {
        Notice::Role { instance: "VI_1".into(), role, priority: 100 }
    }

    #[test]
    fn the_scripts_own_state_comes_before_the_general_one_with_its_arguments() {
        let scripts = InstanceScripts {
            master: Some(script(&["/m"])),
            any: Some(script(&["/any", "x"])),
            ..InstanceScripts::default()
        };
        let runner = ScriptRunner::new(BTreeMap::from([("VI_1".to_owned(), scripts)]));
        let expected = vec![script(&["/m"]), script(&["/any", "x", "INSTANCE", "VI_1", "MASTER", "100"])];
        assert_eq!(runner.scripts_for(&notice(Role::Master)), expected);
        assert_eq!(runner.scripts_for(&notice(Role::Initialize)), vec![]);
    }

    #[test]
    fn a_losing_master_calls_for_its_own_script_alone() {
        let scripts = InstanceScripts {
            master_rx_lower_pri: Some(script(&["/lower", "x"])),
            any: Some(script(&["/any"])),
            ..InstanceScripts::default()
        };
        let runner = ScriptRunner::new(BTreeMap::from([("VI_1".to_owned(), scripts)]));
        let contested = Notice::Contested { instance: "VI_1".to_owned(), priority: 100 };
        assert_eq!(runner.scripts_for(&contested), [script(&["/lower", "x"])]);
    }

    /// A file that a script writes; removed with the test.
    struct Note(PathBuf);

    impl Note {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("lvsd-test-{}-{name}", std::process::id())))
        }

        /// Waits for the process number that a script writes.
        async fn pid(&self) -> i32 {
            let written =
                poll(|| std::fs::read_to_string(&self.0).ok()?.strip_suffix('\n')?.parse().ok()).await;
            written.expect("the script wrote its process number in time")
        }
    }

    impl Drop for Note {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// Asks until there is an answer, at most 30 s.
    async fn poll<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match ask() {
                None if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(5)).await,
                answer => return answer,
            }
        }
    }

    /// Waits until the process has ended; it may be a zombie that nobody has reaped yet.
    async fn is_gone(pid: i32) -> bool {
        let ended = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.rsplit(") ").next().filter(|rest| rest.starts_with(['Z', 'X'])).map(drop),
            Err(_) => Some(()),
        };
        poll(ended).await.is_some()
    }

    /// A script whose child writes its process number to `note`, ignores SIGTERM, and does not end.
    fn stubborn(note: &Note) -> Script {
        let child = format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", note.0.display());
        script(&["sh", "-c", "sh -c \"$0\" & wait", &child])
    }

    #[tokio::test]
    async fn a_script_that_hangs_is_ended_with_everything_it_started() {
        let note = Note::new("hangs");
        let outcome = run_until(&stubborn(&note), async { _ = note.pid().await }).await;
        assert!(matches!(outcome, Ok(Outcome::TimedOut)), "{outcome:?}");
        assert!(is_gone(note.pid().await).await);
    }

    #[tokio::test]
    async fn a_script_that_is_cancelled_is_killed_with_everything_it_started() {
        let note = Note::new("cancelled");
        let stubborn = stubborn(&note);
        tokio::select! {
            outcome = run(&stubborn, SCRIPT_TIMEOUT) => panic!("it does not end: {outcome:?}"),
            _ = note.pid() => {}
        }
        assert!(is_gone(note.pid().await).await);
    }

    #[tokio::test]
    async fn a_script_that_is_cancelled_while_it_is_ended_leaves_nothing_either() {
        let note = Note::new("cancelled-late");
        let mut running = spawn(&stubborn(&note)).unwrap();
        let child = note.pid().await;
        let leader = running.group().unwrap().as_raw();
        tokio::select! {
            biased;
            _ = running.end() => {}
            // SIGTERM is out.
            () = std::future::ready(()) => {}
        }
        assert!(is_gone(leader).await);
        drop(running);
        assert!(is_gone(child).await);
    }

    #[tokio::test]
    async fn what_a_script_leaves_behind_when_it_ends_by_itself_goes_on() {
        let go = Note::new("go");
        let done = Note::new("done");
        let (go_file, done_file) = (go.0.display(), done.0.display());
        let daemon = format!("until test -e {go_file}; do sleep 0.02; done; echo $$ > {done_file}");
        let outcome = run(&script(&["sh", "-c", "sh -c \"$0\" &", &daemon]), SCRIPT_TIMEOUT).await;
        assert!(matches!(outcome, Ok(Outcome::Exited(status)) if status.success()), "{outcome:?}");
        std::fs::write(&go.0, "").unwrap();
        done.pid().await;
    }

    #[tokio::test]
    async fn a_script_inherits_the_environment_and_reports_its_exit() {
        // Whatever this process was started with, and a shell does not set by itself.
        let (name, value) = std::env::vars()
            .find(|(name, value)| {
                let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                is_plain(name) && is_plain(value) && !value.is_empty() && name != "PWD" && name != "_"
            })
            .expect("a variable is set");
        let test = format!("test \"${name}\" = {value} && exit 3");
        let outcome = run(&script(&["sh", "-c", &test]), SCRIPT_TIMEOUT).await;
        assert!(
            matches!(outcome, Ok(Outcome::Exited(status)) if status.code() == Some(3)),
            "{name}: {outcome:?}"
        );
    }

    #[tokio::test]
    async fn a_script_that_does_not_exist_is_an_error_and_not_a_panic() {
        assert!(run(&script(&["/no/such/program"]), SCRIPT_TIMEOUT).await.is_err());
        assert!(run(&Script { command: vec![], identity: None }, SCRIPT_TIMEOUT).await.is_err());
    }
}
