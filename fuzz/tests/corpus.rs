//! Every input of the corpus, and many near them, on a stable toolchain.

use std::fs;

use fuzz::{Mutator, TARGETS, corpus};

/// Mutations per target and seed; a second or two without optimisation.
const MUTATIONS: usize = 20_000;

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = corpus(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file of the corpus")).collect()
}

/// Says which input it was, in a form that can be put into a file.
fn try_out(target: &str, body: fn(&[u8]), input: &[u8]) {
    let result = std::panic::catch_unwind(|| body(input));
    assert!(result.is_ok(), "{target}: {}", input.escape_ascii());
}

#[test]
fn everything_holds_for_every_input_of_the_corpus() {
    for (target, body) in TARGETS {
        let inputs = inputs(target);
        assert!(inputs.len() >= 3, "{target} has {} inputs", inputs.len());
        inputs.iter().for_each(|input| try_out(target, body, input));
    }
}

#[test]
fn everything_holds_for_seeded_mutations_of_the_corpus() {
    let seed = std::env::var("FUZZ_SEED").map_or(1, |seed| seed.parse().expect("FUZZ_SEED is a number"));
    let count =
        std::env::var("FUZZ_COUNT").map_or(MUTATIONS, |it| it.parse().expect("FUZZ_COUNT is a number"));
    println!("FUZZ_SEED={seed} FUZZ_COUNT={count}");
    for (target, body) in TARGETS {
        let inputs = inputs(target);
        let mut mutator = Mutator::new(seed);
        for _ in 0..count {
            try_out(target, body, &mutator.next(&inputs));
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
