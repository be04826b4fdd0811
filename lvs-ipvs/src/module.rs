//! Loads the module `ip_vs` where the kernel did not do it by itself, and says why that did not work.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

/// Why the module `ip_vs` was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadFailure {
    /// The client was told not to: [`Client::with_module_loading`](crate::Client::with_module_loading).
    #[error("this client does not load modules")]
    Off,
    /// CAP_SYS_MODULE is missing, as in most containers.
    #[error("this process may not load modules (CAP_SYS_MODULE is missing)")]
    NotPermitted,
    /// The host takes no modules: the file that says so.
    #[error("this host loads no modules ({0})")]
    Disabled(&'static str),
    /// The program that loads modules failed, could not be run, or took too long.
    #[error("`{command}` failed: {reason}")]
    Failed {
        /// What was run.
        command: String,
        /// Its own words, its exit status, or why it could not be run.
        reason: String,
    },
    /// The program that loads modules succeeded, and still there is no IPVS.
    #[error("`{command}` did not bring it")]
    WithoutEffect {
        /// What was run.
        command: String,
    },
}

/// Tries to load the module, not more often than every ten seconds.
#[derive(Debug)]
pub(crate) struct Loader {
    is_on: bool,
    last: Option<(Instant, LoadFailure)>,
}

impl Default for Loader {
    fn default() -> Self {
        Self { is_on: true, last: None }
    }
}

impl Loader {
    pub(crate) fn turn(&mut self, on: bool) {
        self.is_on = on;
    }

    /// Tries to load it. After a success the caller looks for IPVS again; if it calls once more, there was none.
    ///
    /// Cancelling ends the program.
    pub(crate) async fn load(&mut self) -> Result<(), LoadFailure> {
        self.load_with(find_program).await
    }

    async fn load_with(
        &mut self,
        find: impl FnOnce() -> Result<String, LoadFailure>,
    ) -> Result<(), LoadFailure> {
        if !self.is_on {
            return Err(LoadFailure::Off);
        }
        if let Some((when, failure)) = &self.last
            && when.elapsed() < PAUSE
        {
            return Err(failure.clone());
        }
        let result = match find() {
            Ok(program) => run(&program).await,
            Err(failure) => Err(failure),
        };
        let (result, failure) = match result {
            Ok(command) => (Ok(()), LoadFailure::WithoutEffect { command }),
            Err(failure) => (Err(failure.clone()), failure),
        };
        self.last = Some((Instant::now(), failure));
        result
    }
}

/// The program that this host loads modules with, if this process may.
fn find_program() -> Result<String, LoadFailure> {
    let read = |path| std::fs::read_to_string(path).ok();
    program(read(STATUS).as_deref(), read(DISABLED).as_deref(), read(PROGRAM).as_deref())
}

/// What these files say: `None` is one that cannot be read.
fn program(
    status: Option<&str>,
    disabled: Option<&str>,
    program: Option<&str>,
) -> Result<String, LoadFailure> {
    if status.and_then(effective_capabilities).is_some_and(|all| all & CAP_SYS_MODULE == 0) {
        return Err(LoadFailure::NotPermitted);
    }
    if disabled.is_some_and(|text| text.trim() == "1") {
        return Err(LoadFailure::Disabled(DISABLED));
    }
    match program.map(str::trim) {
        Some("") => Err(LoadFailure::Disabled(PROGRAM)),
        Some(program) => Ok(program.to_owned()),
        None => Ok(MODPROBE.to_owned()),
    }
}

/// `CapEff` of `/proc/self/status`.
fn effective_capabilities(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// Runs the program and returns what was run.
async fn run(program: &str) -> Result<String, LoadFailure> {
    let command = format!("{program} {MODULE}");
    let failed = |reason: String| LoadFailure::Failed { command: command.clone(), reason };
    let mut child = Command::new(program)
        .arg(MODULE)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut words = Vec::new();
    let end = async {
        if let Some(stderr) = child.stderr.take() {
            stderr.take(WORDS).read_to_end(&mut words).await?;
        }
        child.wait().await
    };
    let status = match timeout(PATIENCE, end).await {
        Ok(status) => status.map_err(|error| failed(error.to_string()))?,
        Err(_) => return Err(failed(format!("no end within {PATIENCE:?}"))),
    };
    if status.success() {
        return Ok(command);
    }
    let words = String::from_utf8_lossy(&words);
    match words.trim() {
        "" => Err(failed(status.to_string())),
        words => Err(failed(words.replace('\n', "; "))),
    }
}

const MODULE: &str = "ip_vs";
const STATUS: &str = "/proc/self/status";
/// 1 if the host takes no more modules until it is started again.
const DISABLED: &str = "/proc/sys/kernel/modules_disabled";
/// What the kernel runs to load a module; empty if it shall not.
const PROGRAM: &str = "/proc/sys/kernel/modprobe";
/// What that file says unless somebody changed it.
const MODPROBE: &str = "/sbin/modprobe";
/// include/uapi/linux/capability.h
const CAP_SYS_MODULE: u64 = 1 << 16;
const PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(10);
/// The most of the program's words that is kept, bytes.
const WORDS: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n";

    #[test]
    fn the_kernels_own_program_is_run_where_that_is_allowed() {
        assert_eq!(program(Some(ALL), Some("0\n"), Some("/usr/bin/kmod\n")).as_deref(), Ok("/usr/bin/kmod"));
        assert_eq!(program(None, None, None).as_deref(), Ok(MODPROBE));
    }

    #[test]
    fn nothing_is_run_where_it_could_not_work() {
        let none = "CapEff:\t00000000a80425fb\n";
        assert_eq!(program(Some(none), Some("0"), Some("/sbin/modprobe")), Err(LoadFailure::NotPermitted));
        assert_eq!(program(Some(ALL), Some("1\n"), None), Err(LoadFailure::Disabled(DISABLED)));
        assert_eq!(program(Some(ALL), Some("0\n"), Some("\n")), Err(LoadFailure::Disabled(PROGRAM)));
    }

    #[tokio::test]
    async fn a_program_that_fails_is_quoted() {
        let reason = |result: Result<String, LoadFailure>| result.unwrap_err().to_string();
        assert_eq!(reason(run("/bin/false").await), "`/bin/false ip_vs` failed: exit status: 1");
        let missing = reason(run("/nonexistent/modprobe").await);
        assert!(missing.starts_with("`/nonexistent/modprobe ip_vs` failed: No such file"), "{missing}");
        let words = reason(run("/bin/ls").await);
        assert!(words.contains("ip_vs"), "{words}");
        assert_eq!(run("/bin/true").await.as_deref(), Ok("/bin/true ip_vs"));
    }

    #[tokio::test]
    async fn a_success_without_effect_is_a_failure_of_the_next_call() {
        let mut loader = Loader::default();
        assert_eq!(loader.load_with(|| Ok("/bin/true".to_owned())).await, Ok(()));
        let failure = loader.load_with(|| Ok("/bin/true".to_owned())).await.unwrap_err();
        assert_eq!(failure, LoadFailure::WithoutEffect { command: "/bin/true ip_vs".to_owned() });
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_repeated_for_ten_seconds_before_the_next_attempt() {
        let mut loader = Loader::default();
        assert_eq!(loader.load_with(|| Err(LoadFailure::NotPermitted)).await, Err(LoadFailure::NotPermitted));
        let disabled = || Err(LoadFailure::Disabled(DISABLED));
        assert_eq!(loader.load_with(disabled).await, Err(LoadFailure::NotPermitted));
        tokio::time::advance(PAUSE).await;
        assert_eq!(loader.load_with(disabled).await, Err(LoadFailure::Disabled(DISABLED)));
        loader.turn(false);
        assert_eq!(loader.load().await, Err(LoadFailure::Off));
    }
}
