//! The thread that keeps the kernel's IPVS table as the director wants it.

use anyhow::Context as _;
use lvs_core::Table;
use lvs_core::applier::{ApplierOptions, ApplierStatus, keep_applied};
use lvs_ipvs::{Client, IpvsDataplane, Refusal};
use tokio::sync::watch;

use crate::worker::{self, Waiting};

/// Opens the thread. The latest value of `desired` is kept applied until its sender is gone; then the last value is applied
/// and the thread ends.
///
/// # Errors
/// The thread cannot be started, or this process may not edit services.
pub(crate) fn start(desired: watch::Receiver<Table>) -> anyhow::Result<Waiting> {
    worker::start("ipvs", open, async |ipvs| {
        let status = watch::Sender::new(ApplierStatus::default());
        keep_applied(ipvs, desired, ApplierOptions::default(), status.clone()).await;
        let status = status.borrow();
        status.in_sync || !status.reached
    })
}

/// A kernel without IPVS is no reason not to start: the virtual routers run on, and the table is tried again and again.
async fn open() -> anyhow::Result<IpvsDataplane> {
    let mut client = Client::open()?;
    match client.info().await {
        Err(error) if error.refusal() == Some(Refusal::Forbidden) => {
            Err(error).context("services cannot be edited")
        }
        Ok(_) | Err(_) => Ok(IpvsDataplane::new(client)),
    }
}
