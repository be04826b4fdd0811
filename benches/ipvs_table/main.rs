//! A large IPVS table, loaded, read, changed and removed by each program that can, side by side in one run.
//!
//! `cargo xtask bench-ipvs` builds what takes part and runs `ipvs_table compare` in the test VM; on a machine whose kernel
//! has IPVS, root can run it there. `ipvs_table library` is the contender of that name.

// A program for developers: what it cannot do ends it, with a reason.
#![allow(clippy::panic)]

mod compare;
mod library;
mod measure;
mod shape;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::shape::Shape;

/// Compares how programs handle a large IPVS table.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Subcommand)]
enum Command {
    /// Runs all of them in turn, each in a network namespace of its own, and prints a table.
    Compare {
        /// How often each is run.
        #[arg(long, default_value_t = 5)]
        repetitions: usize,
        /// Only these contenders; may be repeated.
        #[arg(long = "contender", value_enum)]
        contenders: Vec<compare::Contender>,
        /// Where lvsd and ipvsctl lie; beside this program if it is not given.
        #[arg(long)]
        programs: Option<PathBuf>,
    },
    /// One act of the library.
    Library {
        #[command(subcommand)]
        act: library::Act,
    },
}

fn main() -> anyhow::Result<()> {
    let Arguments { command, shape } = Arguments::parse();
    match command {
        Command::Compare { repetitions, contenders, programs } => {
            compare::run(shape, repetitions, &contenders, programs)
        }
        Command::Library { act } => library::run(act, shape),
    }
}
