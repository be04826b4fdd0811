//! A few networks, so that `cargo test` alone shows what is badly wrong. `cargo xtask sim` plays thousands.

use lvs_sim::options::Options;
use lvs_sim::run;

#[test]
fn networks_suffer_faults_of_every_kind_and_break_no_rule() {
    // A1 to A14, E1 to E20; each seed is played twice and has to do the same (A11).
    for seed in 0..12 {
        let outcome = run::check(&Options::of(seed)).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(outcome.totals.all_faults() > 0 && outcome.totals.takeovers > 0, "seed {seed}");
    }
}

#[test]
fn another_seed_is_another_network() {
    let [one, other] = [1, 2].map(|seed| run::check(&Options::of(seed)).expect("no rule is broken").hash);
    assert_ne!(one, other);
}
