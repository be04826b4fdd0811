//! What the library alone takes, in a program that does nothing else; prints microseconds, as `ipvs_bare` does.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use lvs_core::applier::{ApplierOptions, ApplierStatus, keep_applied};
use lvs_core::{Dataplane as _, Scope, Table, Weight};
use lvs_ipvs::{Client, IpvsDataplane};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::measure::processor_time;
use crate::shape::Shape;

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Act {
    /// All services and servers of the table are added.
    Load,
    /// The table is read and compared with what it should be, so often.
    Reconcile {
        /// 2: then once more, by a client that knows what was there.
        #[arg(long, default_value_t = 1)]
        times: u32,
    },
    /// The counters of everything are read, and then those of the services alone.
    Scrape,
    /// An applier keeps the table for a minute, in which nothing happens: its processor time. Then the table is flushed:
    /// how long until it is back.
    Keep,
    /// A server gets another weight, again and again; a line for each.
    Weight {
        /// How often.
        #[arg(long, default_value_t = 200)]
        times: u32,
    },
}

pub(crate) fn run(act: Act, shape: Shape) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut dataplane = IpvsDataplane::new(Client::open()?);
        match act {
            Act::Load => {
                let table = shape.table();
                let start = Instant::now();
                let results = dataplane.apply(Table::default().changes_to(&table)).await;
                println!("{}", start.elapsed().as_micros());
                results.into_iter().collect::<Result<Vec<()>, _>>()?;
            }
            Act::Reconcile { times } => {
                let table = shape.table();
                // The family's number is not known before.
                dataplane.client().info().await?;
                for _ in 0..times {
                    let start = Instant::now();
                    let changes = dataplane.observe(Scope::Everything).await?.changes_to(&table);
                    println!("{}", start.elapsed().as_micros());
                    ensure!(changes.is_empty(), "{} differences, the first: {}", changes.len(), changes[0]);
                }
            }
            Act::Scrape => {
                let client = dataplane.client();
                client.statistics(Scope::Services).await?;
                for scope in [Scope::Everything, Scope::Services] {
                    let start = Instant::now();
                    let statistics = client.statistics(scope).await?;
                    println!("{}", start.elapsed().as_micros());
                    ensure!(statistics.services.len() == usize::try_from(shape.services)?);
                }
            }
            Act::Keep => keep(dataplane, shape).await?,
            Act::Weight { times } => {
                let (service, server) = shape.changed();
                let client = dataplane.client();
                client.info().await?;
                let mut took = Vec::new();
                for time in 0..times {
                    let server = server.with_weight(Weight::new(time + 2).unwrap_or_default());
                    let start = Instant::now();
                    client.edit_destination(&service, &server).await?;
                    took.push(start.elapsed().as_micros());
                }
                for took in took {
                    println!("{took}");
                }
                client.edit_destination(&service, &server).await?;
            }
        }
        Ok(())
    })
}

async fn keep(dataplane: IpvsDataplane, shape: Shape) -> Result<()> {
    let (desired, watched) = watch::channel(shape.table());
    let (status, mut reports) = watch::channel(ApplierStatus::default());
    let applier = tokio::spawn(keep_applied(dataplane, watched, ApplierOptions::default(), status));
    let in_sync = |status: &ApplierStatus| status.in_sync;
    timeout(LIMIT, reports.wait_for(in_sync)).await.context("the table is not in sync")??;
    let this = [std::process::id()];
    let before = processor_time(&this);
    tokio::time::sleep(MINUTE).await;
    println!("{}", processor_time(&this).saturating_sub(before).as_micros());

    let start = Instant::now();
    Client::open()?.flush().await?;
    let entries = u64::try_from(shape.total())? + u64::from(shape.services);
    let is_back = |status: &ApplierStatus| status.in_sync && status.repairs >= entries;
    timeout(LIMIT, reports.wait_for(is_back)).await.context("the table does not come back")??;
    println!("{}", start.elapsed().as_micros());
    drop(desired);
    applier.await?;
    Ok(())
}

const MINUTE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(60);
