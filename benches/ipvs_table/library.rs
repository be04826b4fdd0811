//! What the library alone takes, in a program that does nothing else; prints microseconds, as `ipvs_bare` does.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Subcommand;
use lvs_core::{Dataplane as _, Scope, Table, Weight};
use lvs_ipvs::{Client, IpvsDataplane};

use crate::shape::Shape;

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Act {
    /// All services and servers of the table are added.
    Load,
    /// The table is read and compared with what it should be.
    Reconcile,
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
            Act::Reconcile => {
                let table = shape.table();
                // The family's number is not known before.
                dataplane.client().info().await?;
                let start = Instant::now();
                let changes = dataplane.observe(Scope::Everything).await?.changes_to(&table);
                println!("{}", start.elapsed().as_micros());
                ensure!(changes.is_empty(), "{} differences, the first: {}", changes.len(), changes[0]);
            }
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
