//! One seed from the beginning to the end, and what is printed if something is wrong.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::chaos::Chaos;
use crate::observer::Violation;
use crate::options::{Delivers, Options};
use crate::plays;
use crate::random::Random;
use crate::totals::Totals;
use crate::world::World;

/// What came of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// What was counted.
    pub totals: Totals,
    /// Two runs with the same number did the same.
    pub hash: u64,
}

/// A seed that shows something wrong.
#[derive(Debug)]
pub struct Failure {
    /// The network.
    pub options: Options,
    /// What is wrong.
    pub violation: Violation,
    /// The last events.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, violation, trace } = self;
        write!(f, "{options}\nlast events:\n{trace}")?;
        writeln!(f, "{} is broken: {}", violation.rule, violation.what)?;
        write!(f, "again: cargo xtask sim --seed {}", options.seed)
    }
}

/// How a seed is played.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Whether damaged packets are really sent (A8).
    pub sends_damaged: bool,
    /// How many lines are kept of what happened.
    pub keep: usize,
}

impl Manner {
    /// As fast as possible.
    pub const FAST: Self = Self { sends_damaged: true, keep: 0 };
}

/// Plays a network: cold start, then war and peace and situations by turns.
///
/// # Errors
/// The first rule that is broken, with the last events.
pub fn play(options: &Options, manner: Manner) -> Result<Outcome, Box<Failure>> {
    let mut world = World::new(options.clone(), manner.keep);
    let caught = catch_unwind(AssertUnwindSafe(|| play_in(&mut world, manner)));
    if let Err(panic) = caught {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.fail("A10", || format!("panic: {}", text.unwrap_or_default()));
    }
    let hash = world.trace.hash();
    let World { mut totals, violation, trace, .. } = world;
    if let Some(violation) = violation {
        return Err(Box::new(Failure { options: options.clone(), violation, trace: trace.to_string() }));
    }
    totals.runs = 1;
    totals.unicast = u64::from(options.delivers != Delivers::ToGroup);
    totals.with_password = u64::from(options.has_password);
    totals.recorded = u64::from(options.room > 0);
    if options.is_fast_and_wide() {
        totals.fast_router_time = totals.router_time;
    }
    Ok(Outcome { totals, hash })
}

fn play_in(world: &mut World, manner: Manner) {
    let mut chaos = Chaos::new(world.options.seed);
    chaos.sends_damaged = manner.sends_damaged;
    let mut random = Random::new(world.options.seed, 20);
    plays::cold_start(world, &mut random);
    for _ in 0..world.options.rounds {
        let faults = world.options.faults_per_round;
        chaos.rage(world, faults);
        chaos.cease(world);
        world.expect_peace("E-all");
        let quiet = world.peace_bound() * 3;
        world.expect_no_change("E-all", quiet);
        plays::play_some(world, &mut random);
        for host in 0..world.hosts.len() {
            world.check_recordings(host);
        }
        if world.violation.is_some() {
            return;
        }
    }
}

/// A seed as continuous integration plays it: twice (A11), and if packets were damaged without them (A8).
///
/// # Errors
/// The first rule that is broken, with the last events.
pub fn check(options: &Options) -> Result<Outcome, Box<Failure>> {
    let outcome = play(options, Manner::FAST).or_else(|_| {
        // Once more, to read what happened.
        play(options, Manner { keep: LINES, ..Manner::FAST })
    })?;
    let differs = |rule, what: &str| {
        let what = what.to_owned();
        Box::new(Failure {
            options: options.clone(),
            violation: Violation { rule, what },
            trace: String::new(),
        })
    };
    if play(options, Manner::FAST)?.hash != outcome.hash {
        return Err(differs("A11", "the same seed did something else"));
    }
    if options.faults.contains(crate::fault::Fault::Damaged)
        && options.seed.is_multiple_of(4)
        && play(options, Manner { sends_damaged: false, ..Manner::FAST })?.hash != outcome.hash
    {
        return Err(differs("A8", "without the damaged packets something else happened"));
    }
    Ok(outcome)
}

const LINES: usize = 60;
