//! Runs notify scripts as keepalived does, but in order, one at a time per instance, and with a time limit.

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
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

/// The search path of every script, as keepalived sets it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    /// Gets `INSTANCE name STATE priority` as arguments.
    pub(crate) any: Option<Script>,
}

/// Runs the scripts of all instances.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptRunner {
    instances: BTreeMap<String, InstanceScripts>,
}

impl ScriptRunner {
    pub(crate) fn new(instances: BTreeMap<String, InstanceScripts>) -> Self {
        Self { instances }
    }

    /// The scripts that a notice calls for, in the order in which they run.
    fn scripts_for(&self, notice: &Notice) -> Vec<Script> {
        let Some(scripts) = self.instances.get(notice.instance()) else { return Vec::new() };
        let (own, state, priority) = match notice {
            Notice::Role { role: Role::Master, priority, .. } => (&scripts.master, "MASTER", priority),
            Notice::Role { role: Role::Backup, priority, .. } => (&scripts.backup, "BACKUP", priority),
            Notice::Role { role: Role::Fault, priority, .. } => (&scripts.fault, "FAULT", priority),
            Notice::Stopped { priority, .. } => (&scripts.stop, "STOP", priority),
            // An instance that is being initialised has nothing to tell.
            _ => return Vec::new(),
        };
        let any = scripts.any.clone().map(|mut script| {
            let name = notice.instance().to_owned();
            script.command.extend(["INSTANCE".to_owned(), name, state.to_owned(), priority.to_string()]);
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
enum Outcome {
    Exited(ExitStatus),
    TimedOut,
}

/// Runs a script in a process group of its own, without input and output, in a clean environment.
async fn run(script: &Script, timeout: Duration) -> io::Result<Outcome> {
    let (program, arguments) = script
        .command
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    if let Some((user, group)) = script.identity {
        // Setting the user also clears the supplementary groups.
        command.gid(group).uid(user);
    }
    let mut child = command.spawn()?;
    match tokio::time::timeout(timeout, child.wait()).await {
        Ok(status) => status.map(Outcome::Exited),
        Err(_) => {
            end(&mut child).await?;
            Ok(Outcome::TimedOut)
        }
    }
}

/// SIGTERM to the whole group, SIGKILL after the grace; the script is reaped.
async fn end(child: &mut Child) -> io::Result<()> {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    signal(group, Signal::SIGTERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        signal(group, Signal::SIGKILL);
        child.wait().await?;
    }
    // What the script itself started and left behind.
    signal(group, Signal::SIGKILL);
    Ok(())
}

fn signal(group: Option<Pid>, signal: Signal) {
    // A group that is gone already is what was wanted.
    let _ = group.map(|group| killpg(group, signal));
}

#[cfg(test)]
mod tests {
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

    #[tokio::test]
    async fn a_script_that_hangs_is_ended_with_everything_it_started() {
        let begin = Instant::now();
        let outcome = run(&script(&["sh", "-c", "sleep 1000 & wait"]), Duration::from_millis(50)).await;
        assert!(matches!(outcome, Ok(Outcome::TimedOut)), "{outcome:?}");
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_script_sees_a_clean_environment_and_reports_its_exit() {
        let outcome = run(&script(&["sh", "-c", "test -z \"$HOME\" && exit 3"]), SCRIPT_TIMEOUT).await;
        assert!(matches!(outcome, Ok(Outcome::Exited(status)) if status.code() == Some(3)), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_script_that_does_not_exist_is_an_error_and_not_a_panic() {
        assert!(run(&script(&["/no/such/program"]), SCRIPT_TIMEOUT).await.is_err());
        assert!(run(&Script { command: vec![], identity: None }, SCRIPT_TIMEOUT).await.is_err());
    }
}
