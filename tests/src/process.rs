//! A program that runs on a test host.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::poll::poll_until;
use crate::spawn;

/// A running program, made by [`Host::spawn`](crate::Host::spawn) or [`peers`](crate::peers). Dropped, it is killed with
/// all its descendants; if the test is failing, the end of its log is printed first.
pub struct Process {
    label: String,
    child: Mutex<Child>,
    group: Pid,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    pub(crate) fn start(label: String, mut command: Command) -> io::Result<Process> {
        use std::os::unix::process::CommandExt;

        let (mut reader, writer) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
        let child = spawn::spawn(command)?;
        let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&log);
        // Ends when the last holder of the pipe has ended.
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                let mut log = sink.lock().unwrap_or_else(PoisonError::into_inner);
                log.extend_from_slice(&buffer[..length]);
                if log.len() > LONGEST_LOG {
                    log.drain(..LONGEST_LOG / 2);
                }
            }
        });
        Ok(Process { label, child: Mutex::new(child), group, log })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// What it and its children printed so far on standard output and standard error (the last 4 MiB).
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until its log contains `text`.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str, limit: Duration) {
        poll_until(limit, &format!("{} prints {text:?}", self.label), || {
            let log = self.log();
            if log.contains(text) {
                Ok(())
            } else {
                Err(format!("a log of {} bytes:\n{}", log.len(), tail(&log)))
            }
        });
    }

    /// Its exit status, if it has ended.
    #[track_caller]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().unwrap_or_else(|error| panic!("wait for {}: {error}", self.label))
    }

    /// Whether it has not ended yet.
    #[track_caller]
    pub fn is_running(&self) -> bool {
        self.exit_status().is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&self, limit: Duration) -> ExitStatus {
        poll_until(limit, &format!("{} ends", self.label), || {
            self.exit_status().ok_or_else(|| format!("it runs; the end of its log:\n{}", tail(&self.log())))
        })
    }

    /// Asks it to end (SIGTERM to the program alone) and waits up to 20 s.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait(Duration::from_secs(20))
    }

    /// Sends a signal to the program alone; does nothing when it has ended.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        if self.is_running() {
            kill(self.group, signal)
                .unwrap_or_else(|error| panic!("send {signal} to {}: {error}", self.label));
        }
    }

    /// `kill -9` of the program and all its descendants at one moment: none of them sees another one die and does
    /// something about it. All stop first; then a parent that is stopped is not told of its children, and its children
    /// are gone when its end would wake them.
    pub fn crash(&self) {
        self.signal_all(Signal::SIGSTOP);
        if self.exit_status().is_none() {
            for process in descendants(self.group).into_iter().rev() {
                let _ = kill(process, Signal::SIGKILL);
            }
        }
        self.signal_all(Signal::SIGKILL);
    }

    /// Sends a signal to the program and all its descendants: `SIGSTOP` is a freeze of all of it.
    pub fn signal_all(&self, signal: Signal) {
        // Supervisors start again what ends, so they come first.
        let mut all = Vec::new();
        if self.exit_status().is_none() {
            all.push(self.group);
            all.extend(descendants(self.group));
        }
        for process in all {
            let _ = kill(process, signal);
        }
        let _ = killpg(self.group, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("---- the end of the log of {} ----\n{}\n----", self.label, tail(&self.log()));
        }
        self.signal_all(Signal::SIGKILL);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
        // Its children are reaped by process 1; they must be gone before the next test looks.
        let start = Instant::now();
        while killpg(self.group, None).is_ok() && start.elapsed() < GROUP_END_LIMIT {
            let _ = killpg(self.group, Signal::SIGKILL);
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("label", &self.label)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

fn descendants(ancestor: Pid) -> Vec<Pid> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // "id (name) state parent …"; the name may hold anything, also parentheses.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        if let Some(parent) = after_name.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()) {
            parents.push((Pid::from_raw(process), Pid::from_raw(parent)));
        }
    }
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children: Vec<Pid> =
            parents.iter().filter(|(_, its)| *its == parent).map(|(child, _)| *child).collect();
        found.extend(children);
        next += 1;
    }
    found.split_off(1)
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

const LONGEST_LOG: usize = 4 << 20;
const GROUP_END_LIMIT: Duration = Duration::from_secs(5);
