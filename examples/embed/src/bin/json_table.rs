//! Keeps the kernel's IPVS table equal to a JSON file: `json_table FILE`, as root. With `--dry-run` it keeps a table in
//! memory, and logs the same edits.
//!
//! `lvs_core::serialized` describes the file. One that is wrong, half written or gone is reported, with line and column, and
//! the table stays as it is. What somebody else changes in the kernel is changed back within a second.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result};
use lvs_core::applier::{ApplierOptions, ApplierStatus, Foreign, keep_applied};
use lvs_core::fakes::FakeDataplane;
use lvs_core::{Dataplane, Table};
use lvs_ipvs::{Client, IpvsDataplane};
use tokio::sync::watch;
use tracing::{info, warn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments: Vec<_> = env::args_os().skip(1).collect();
    let dry_run = arguments.first().is_some_and(|first| first == "--dry-run");
    let file = arguments.pop().filter(|_| arguments.len() == usize::from(dry_run));
    let file = Source { path: file.context("usage: json_table [--dry-run] FILE")?.into(), seen: None };
    tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false).init();
    match dry_run {
        true => keep(FakeDataplane::default(), file).await,
        false => keep(IpvsDataplane::new(Client::open()?), file).await,
    }
}

/// Runs until the process is ended. The kernel's table stays behind, and the next run takes it over.
async fn keep(dataplane: impl Dataplane, mut file: Source) -> Result<()> {
    // Nothing is touched before the file was right once.
    let (desired, table) = watch::channel(file.next().await);
    let (status, mut reports) = watch::channel(ApplierStatus::default());
    let mut options = ApplierOptions::default();
    options.foreign = Foreign::Remove;
    options.drift_interval = Duration::from_secs(1);
    tokio::select! {
        _ = keep_applied(dataplane, table, options, status) => {}
        () = async { loop { desired.send_replace(file.next().await); } } => {}
        () = async {
            let mut edits = None;
            while let Ok(report) = reports.wait_for(|report| report.in_sync && edits != Some(report.edits)).await {
                info!("in sync after {} edits, {} of them repairs", report.edits, report.repairs);
                edits = Some(report.edits);
            }
        } => {}
    }
    Ok(())
}

struct Source {
    path: PathBuf,
    /// What was read last.
    seen: Option<Result<String, String>>,
}

impl Source {
    /// Waits until the file says something new that is right. What is wrong with it is told once.
    async fn next(&mut self) -> Table {
        loop {
            let read = fs::read_to_string(&self.path).map_err(|error| error.to_string());
            if self.seen.as_ref() != Some(&read) {
                let text = self.seen.insert(read).as_deref().map_err(|error| error.clone());
                match text.and_then(|text| serde_json::from_str(text).map_err(|error| error.to_string())) {
                    Ok(table) => return table,
                    Err(error) => warn!("{}: {error}; the table stays as it is", self.path.display()),
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Between two looks at the file.
const LOOK: Duration = Duration::from_millis(200);
