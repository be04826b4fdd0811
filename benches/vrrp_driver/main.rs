//! The driver of lvs-vrrp and `lvsd` beside Debian's keepalived, in the same run on the same machine.
//!
//! ```text
//! cargo build --release -p lvsd -p benches
//! target/release/vrrp_driver cpu                   # 14 minutes: CPU and memory of masters
//! target/release/vrrp_driver takeover              # 5 minutes: how late a backup takes over
//! target/release/vrrp_driver cpu --seconds 5 --case 255@100
//! ```
//!
//! Needs root, or `unshare --user --map-root-user --net`, and keepalived. Figures for keeps need a machine that
//! does nothing else.

// A program for developers: what it cannot do ends it, with a reason.
#![allow(clippy::panic)]

mod contender;
mod cpu;
mod takeover;
mod tap;

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::contender::Contender;
use crate::cpu::Case;

/// Compares the VRRP of this workspace with keepalived's.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Share of a CPU and resident memory of masters.
    Cpu {
        /// How long each is watched, in seconds.
        #[arg(long, default_value_t = 120)]
        seconds: u64,
        /// How long each settles after the last instance became master, in seconds.
        #[arg(long, default_value_t = 12)]
        settle: u64,
        /// Instances at an interval in centiseconds, such as 255@100; may be repeated.
        #[arg(long = "case", default_values = ["255@100", "1020@100", "2550@100", "255@1"])]
        cases: Vec<Case>,
        /// Who takes part; may be repeated.
        #[arg(long = "contender", value_enum, default_values = ["keepalived", "lvsd", "driver"])]
        contenders: Vec<Contender>,
    },
    /// Takes over from a master that falls silent, and says how much later than the formula.
    Takeover {
        /// Takeovers of each.
        #[arg(long, default_value_t = 200)]
        count: usize,
        /// The interval in centiseconds.
        #[arg(long, default_value_t = 10)]
        centis: u16,
        /// Who takes part; may be repeated.
        #[arg(long = "contender", value_enum, default_values = ["keepalived", "lvsd", "driver"])]
        contenders: Vec<Contender>,
    },
    /// The driver alone: what the two above start as the contender `driver`.
    #[command(hide = true)]
    Drive {
        /// Instances, 255 on an interface.
        #[arg(long)]
        instances: usize,
        /// The interval in centiseconds.
        #[arg(long)]
        centis: u16,
        /// The priority.
        #[arg(long)]
        priority: u8,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Cpu { seconds, settle, cases, contenders } => {
            cpu::compare(&cases, &contenders, Duration::from_secs(seconds), Duration::from_secs(settle));
            Ok(())
        }
        Command::Takeover { count, centis, contenders } => takeover::compare(&contenders, count, centis),
        Command::Drive { instances, centis, priority } => contender::drive(instances, centis, priority),
    }
}
