//! Makes the kernel's table equal to a file, or says what that would take.

use std::fs::File;
use std::io::{self, Read, Write};

use lvs_core::{Dataplane, Scope, Table};
use lvs_ipvs::{Client, IpvsDataplane};

use super::{Apply, Diff, Place};
use crate::desired;
use crate::difference::{Difference, Foreign};
use crate::error::Failure;
use crate::program::LARGEST_FILE;
use crate::verbs::Session;

pub(super) async fn diff<W: Write>(session: &mut Session<'_, W>, diff: &Diff) -> Result<u8, Failure> {
    let plan = Plan::new(session, &diff.file, diff.foreign).await?;
    plan.print(session, diff.json);
    Ok(if plan.difference.is_empty() { 0 } else { DIFFERENT })
}

pub(super) async fn apply<W: Write>(session: &mut Session<'_, W>, apply: &Apply) -> Result<u8, Failure> {
    let mut plan = Plan::new(session, &apply.file, apply.foreign).await?;
    check_emptiness(apply, &plan.difference)?;
    if apply.dry_run {
        plan.print(session, apply.json);
        return Ok(0);
    }
    let made = plan.make(session).await;
    if apply.json {
        session.write(&plan.difference.json(&made.faults));
    } else {
        plan.print(session, false);
    }
    Ok(made.status())
}

pub(super) async fn restore<W: Write>(session: &mut Session<'_, W>, apply: &Apply) -> Result<u8, Failure> {
    let mut plan = Plan::new(session, &apply.file, apply.foreign).await?;
    check_emptiness(apply, &plan.difference)?;
    let made = plan.make(session).await;
    let failed = made.faults.iter().flatten().count();
    let (name, edits) = (name(&apply.file), made.faults.len());
    session.write(&format!("{name}: {edits} edits, {failed} of them failed\n"));
    Ok(made.status())
}

/// What a file asks for, and what that takes.
struct Plan<'a, D> {
    dataplane: D,
    file: &'a Place,
    foreign: Foreign,
    desired: Table,
    difference: Difference,
}

/// What became of the edits.
struct Made {
    /// What went wrong with each.
    faults: Vec<Option<String>>,
    /// Whether the table is as the file says, or no edit was needed.
    is_desired: bool,
}

impl Made {
    fn status(&self) -> u8 {
        if self.is_desired { 0 } else { FAILED }
    }
}

impl<'a> Plan<'a, IpvsDataplane> {
    async fn new<W: Write>(
        session: &Session<'_, W>,
        file: &'a Place,
        foreign: Foreign,
    ) -> Result<Self, Failure> {
        // What is wrong with the file is told whether there is IPVS or not.
        let desired = read(session, file)?;
        let mut dataplane = IpvsDataplane::new(Client::open()?);
        let observed = dataplane.observe(Scope::Everything).await.map_err(Failure::Table)?;
        for line in dataplane.unsayable() {
            session.complain(&format_args!("the kernel has what no file can say: {line}"));
        }
        let difference = Difference::between(observed, &desired, foreign);
        Ok(Self { dataplane, file, foreign, desired, difference })
    }
}

impl<D: Dataplane> Plan<'_, D> {
    fn print<W: Write>(&self, session: &mut Session<'_, W>, json: bool) {
        if json {
            session.write(&self.difference.json(&[]));
        } else {
            self.difference.words().for_each(|words| session.write(&format!("{words}\n")));
        }
    }

    /// Makes the edits, and tells what went wrong.
    async fn make<W: Write>(&mut self, session: &Session<'_, W>) -> Made {
        let results = self.dataplane.apply(self.difference.changes().to_vec()).await;
        let faults = results.into_iter().map(|result| {
            let error = result.err()?;
            session.complain(&error);
            Some(error.to_string())
        });
        let faults: Vec<_> = faults.collect();
        let is_desired = if faults.iter().any(Option::is_some) {
            false
        } else {
            let deviation = if faults.is_empty() { None } else { self.deviation().await };
            if let Some(deviation) = &deviation {
                session.complain(&format_args!("{}: all edits are made, but {deviation}", name(self.file)));
            }
            deviation.is_none()
        };
        Made { faults, is_desired }
    }

    /// Why the table may not be as it is to be although no edit failed.
    async fn deviation(&mut self) -> Option<String> {
        let mut deviation = None;
        // A reading while others edit, in other network namespaces too, can pass over a service: two have to agree.
        for _ in 0..2 {
            deviation = match self.dataplane.observe(Scope::Everything).await {
                Ok(observed) => self.words_on(observed),
                Err(error) => Some(format!("what became of them is not known: {error}")),
            };
            if deviation.is_none() {
                break;
            }
        }
        deviation
    }

    fn words_on(&self, observed: Table) -> Option<String> {
        let left = Difference::between(observed, &self.desired, self.foreign);
        let first = left.words().next()?;
        let more = match left.changes().len() {
            1 => String::new(),
            edits => format!(", and {} more", edits - 1),
        };
        Some(format!(
            "the table still differs: {first}{more}; somebody else edits it, too, or the kernel has made something else of it; \
             `diff` shows all of it"
        ))
    }
}

fn read<W>(session: &Session<'_, W>, file: &Place) -> Result<Table, Failure> {
    let fault = |fault: String| Failure::File { file: name(file), fault };
    let mut text = Vec::new();
    let read = match file {
        Place::Standard => io::stdin().lock().take(LARGEST_FILE).read_to_end(&mut text),
        Place::File(path) => File::open(path).and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut text)),
    };
    let read = read.map_err(|error| fault(error.to_string()))?;
    if u64::try_from(read).unwrap_or(u64::MAX) >= LARGEST_FILE {
        return Err(fault(format!("this is larger than {LARGEST_FILE} bytes; is it a saved table?")));
    }
    let text = String::from_utf8(text).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(good);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        fault(format!("line {line}: this is no text (UTF-8); is it a saved table?"))
    })?;
    desired::table(&text, session.names).map_err(|error| fault(error.to_string()))
}

fn check_emptiness(apply: &Apply, difference: &Difference) -> Result<(), Failure> {
    if !difference.removes_all() || apply.allow_empty {
        return Ok(());
    }
    let fault = "it names no service, so all that are there would be removed; if that is what it should do, add \
                 `--allow-empty`";
    Err(Failure::File { file: name(&apply.file), fault: fault.to_owned() })
}

fn name(file: &Place) -> String {
    match file {
        Place::Standard => "standard input".to_owned(),
        Place::File(path) => path.display().to_string(),
    }
}

/// As diff(1).
const DIFFERENT: u8 = 1;
const FAILED: u8 = 1;

#[cfg(test)]
mod tests {
    use lvs_core::DataplaneErrorKind;
    use lvs_core::fakes::FakeDataplane;

    use super::*;
    use crate::names::Numeric;

    const DESIRED: &str = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1\n";

    /// What is told after the edits if somebody does this to the table.
    fn told(foreign: Foreign, meanwhile: impl FnOnce(&FakeDataplane)) -> Option<String> {
        let fake = FakeDataplane::default();
        let desired = desired::table(DESIRED, &Numeric).unwrap();
        let difference = Difference::between(fake.table(), &desired, foreign);
        let mut plan = Plan { dataplane: fake.clone(), file: &Place::Standard, foreign, desired, difference };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert!(plan.dataplane.apply(plan.difference.changes().to_vec()).await.iter().all(Result::is_ok));
            meanwhile(&fake);
            plan.deviation().await
        })
    }

    /// What somebody else writes, in place of what is there.
    fn others(lines: &str) -> impl FnOnce(&FakeDataplane) {
        let lines = desired::table(lines, &Numeric).unwrap();
        move |fake| fake.edit(|table| *table = lines)
    }

    #[test]
    fn who_edits_at_the_same_time_is_told_of() {
        let heavier = DESIRED.replace("-w 1", "-w 5");
        let words = told(Foreign::Remove, others(&heavier)).unwrap();
        assert!(
            words.starts_with(
                "the table still differs: edit destination 10.0.1.2:80 of tcp 10.0.0.1:80: weight from 5 to 1; somebody else"
            ),
            "{words}"
        );
        let words = told(Foreign::Remove, others("")).unwrap();
        assert!(words.contains("add service tcp 10.0.0.1:80: scheduler rr, and 1 more; "), "{words}");
        let words = told(Foreign::Remove, |fake| fake.set_failure(Some(DataplaneErrorKind::Unavailable)));
        assert!(words.unwrap().starts_with("what became of them is not known: "));
    }

    #[test]
    fn nothing_is_told_of_what_is_as_it_is_to_be_or_was_only_passed_over() {
        assert_eq!(told(Foreign::Remove, |_| {}), None);
        let more = format!("{DESIRED}-A -f 7\n");
        assert_eq!(told(Foreign::Keep, others(&more)), None);
        assert!(told(Foreign::Remove, others(&more)).is_some());
        let desired = desired::table(DESIRED, &Numeric).unwrap();
        let key = desired.services().next().unwrap().service().key();
        assert_eq!(told(Foreign::Remove, |fake| fake.skip_once(key, None)), None);
    }
}
