//! Starts child processes in a namespace, so that they cannot outlive this process.
//!
//! The only unsafe code of the crate: what runs between fork and exec.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, OnceLock, mpsc};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::namespace::Namespace;

/// A command whose child enters `namespace` and is killed when the thread that starts it ends.
pub(crate) fn command(program: &str, namespace: &Arc<Namespace>) -> Command {
    let namespace = Arc::clone(namespace);
    let mut command = Command::new(program);
    // SAFETY: runs in the child between fork and exec; only two system calls, no allocation, no lock.
    unsafe {
        command.pre_exec(move || {
            setns(namespace.handle().as_fd(), CloneFlags::CLONE_NEWNET)?;
            set_pdeathsig(Signal::SIGKILL)?;
            Ok(())
        });
    }
    command
}

/// Starts `command` from a thread that lives as long as this process: the kernel sends the parent-death signal when
/// the starting thread ends, and a test's thread ends before the process does.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Box<dyn FnOnce() + Send>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        std::thread::spawn(move || receiver.into_iter().for_each(|act| act()));
        sender
    });
    let (sender, result) = mpsc::channel();
    let act = Box::new(move || {
        let child = command.spawn();
        // The command holds this process's copies of the child's pipes.
        drop(command);
        let _ = sender.send(child);
    });
    spawner.send(act).map_err(|_| io::Error::other("the thread that starts processes has ended"))?;
    result.recv().map_err(io::Error::other)?
}
