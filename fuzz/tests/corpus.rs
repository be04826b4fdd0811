//! Every input of the corpus, and many near them, on a stable toolchain.
#![allow(clippy::panic)]

use std::fs;

use fuzz::{Mutator, TARGETS, Target, corpus};

/// Mutations of the slowest target; a few seconds for all of them, without optimisation.
const MUTATIONS: usize = 200;

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = corpus(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file of the corpus")).collect()
}

/// Says which input it was, in a form that can be put into a file.
fn try_out(target: Target, input: &[u8]) {
    let result = std::panic::catch_unwind(|| (target.body)(input));
    assert!(result.is_ok(), "{}: {}", target.name, input.escape_ascii());
}

#[test]
fn everything_holds_for_every_input_of_the_corpus() {
    for target in TARGETS {
        let inputs = inputs(target.name);
        assert!(inputs.len() >= 3, "{} has {} inputs", target.name, inputs.len());
        inputs.iter().for_each(|input| try_out(target, input));
    }
}

#[test]
fn everything_holds_for_seeded_mutations_of_the_corpus() {
    let seed = std::env::var("FUZZ_SEED").map_or(1, |seed| seed.parse().expect("FUZZ_SEED is a number"));
    let count =
        std::env::var("FUZZ_COUNT").map_or(MUTATIONS, |it| it.parse().expect("FUZZ_COUNT is a number"));
    println!("FUZZ_SEED={seed} FUZZ_COUNT={count}");
    for target in TARGETS {
        let inputs = inputs(target.name);
        let mut mutator = Mutator::new(seed);
        for _ in 0..count * target.pace {
            try_out(target, &mutator.next(&inputs));
        }
    }
}

#[test]
fn what_was_captured_is_in_the_corpus() {
    for (target, name, input) in fuzz::seeds::seeds() {
        let kept = fs::read(corpus(target).join(&name));
        assert!(kept.is_ok_and(|kept| kept == input), "{target}/{name}: run `cargo run -p fuzz --bin seeds`");
    }
}
