//! The list of mutants that cannot be noticed, each with the reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::Verdict;
use super::places::Mutant;

/// Names of mutants, and why each of them changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Equivalents(BTreeMap<String, String>);

impl Equivalents {
    /// Reads the list: a name at the beginning of a line, the reason indented below it, `#` before remarks.
    pub(crate) fn read(path: &Path, mutants: &[Mutant]) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let list = Self::parse(&text)?;
        for name in list.0.keys() {
            ensure!(mutants.iter().any(|mutant| mutant.name == *name), "there is no mutant {name:?}");
        }
        Ok(list)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut list = BTreeMap::new();
        let mut current: Option<(String, Vec<&str>)> = None;
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            match (&mut current, line.starts_with(' ')) {
                (Some((_, reason)), true) => reason.push(line.trim()),
                (None, true) => bail!("a reason without a mutant: {line:?}"),
                (_, false) => {
                    Self::finish(&mut list, current.take())?;
                    current = Some((line.trim_end().to_owned(), Vec::new()));
                }
            }
        }
        Self::finish(&mut list, current)?;
        Ok(Self(list))
    }

    fn finish(list: &mut BTreeMap<String, String>, entry: Option<(String, Vec<&str>)>) -> Result<()> {
        let Some((name, reason)) = entry else { return Ok(()) };
        ensure!(!reason.is_empty(), "{name:?} is listed without a reason");
        ensure!(list.insert(name.clone(), reason.join(" ")).is_none(), "{name:?} is listed twice");
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What the verdict on a mutant is in the light of the list.
    pub(crate) fn apply(&self, mutant: &Mutant, verdict: Verdict) -> Verdict {
        match (self.0.get(&mutant.name), verdict) {
            (None, verdict) => verdict,
            (Some(reason), Verdict::Survived) => Verdict::Equivalent(reason.clone()),
            (Some(_), verdict) => Verdict::Stale(verdict.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_mutant_that_is_noticed_is_an_error_and_a_reason_is_a_must() {
        let list = Equivalents::parse("# why\nrouter.rs hear: a >= b [>= -> >]\n  they are\n  never equal\n")
            .unwrap();
        let named = |name: &str| Mutant { number: 1, line: 1, name: name.to_owned() };
        let listed = named("router.rs hear: a >= b [>= -> >]");
        let reason = "they are never equal".to_owned();
        assert_eq!(list.apply(&listed, Verdict::Survived), Verdict::Equivalent(reason));
        let seen = list.apply(&listed, Verdict::Seed("A7, seed 3".to_owned()));
        assert_eq!(seen, Verdict::Stale("killed by a seed: A7, seed 3".to_owned()));
        assert_eq!(list.apply(&named("other"), Verdict::Survived), Verdict::Survived);
        for wrong in ["router.rs", "  reason\n", "a\n b\na\n b\n"] {
            assert!(Equivalents::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
