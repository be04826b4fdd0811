//! Makes the kernel's table equal to a file, or says what that would take.

use std::fs::File;
use std::io::{self, Read, Write};

use lvs_core::{Dataplane as _, Scope, Table};
use lvs_ipvs::{Client, IpvsDataplane};

use super::{Apply, Diff, Place};
use crate::desired;
use crate::difference::{Difference, Foreign};
use crate::error::Failure;
use crate::verbs::Session;

pub(super) async fn diff<W: Write>(session: &mut Session<'_, W>, diff: &Diff) -> Result<u8, Failure> {
    let mut dataplane = IpvsDataplane::new(Client::open()?);
    let difference = difference(session, &mut dataplane, &diff.file, diff.foreign).await?;
    print(session, &difference, diff.json)?;
    Ok(if difference.is_empty() { 0 } else { DIFFERENT })
}

pub(super) async fn apply<W: Write>(session: &mut Session<'_, W>, apply: &Apply) -> Result<u8, Failure> {
    let mut dataplane = IpvsDataplane::new(Client::open()?);
    let difference = difference(session, &mut dataplane, &apply.file, apply.foreign).await?;
    check_emptiness(apply, &difference)?;
    if apply.dry_run {
        print(session, &difference, apply.json)?;
        return Ok(0);
    }
    if !apply.json {
        print(session, &difference, false)?;
        // What follows can take a while.
        session.finish()?;
    }
    let faults = make(session, &mut dataplane, &difference).await;
    if apply.json {
        session.write(&difference.json(&faults))?;
    }
    Ok(status(&faults))
}

pub(super) async fn restore<W: Write>(session: &mut Session<'_, W>, apply: &Apply) -> Result<u8, Failure> {
    let mut dataplane = IpvsDataplane::new(Client::open()?);
    let difference = difference(session, &mut dataplane, &apply.file, apply.foreign).await?;
    check_emptiness(apply, &difference)?;
    let faults = make(session, &mut dataplane, &difference).await;
    let failed = faults.iter().flatten().count();
    let (name, edits) = (name(&apply.file), faults.len());
    session.write(&format!("{name}: {edits} edits, {failed} of them failed\n"))?;
    Ok(status(&faults))
}

async fn difference<W: Write>(
    session: &Session<'_, W>,
    dataplane: &mut IpvsDataplane,
    file: &Place,
    foreign: Foreign,
) -> Result<Difference, Failure> {
    // What is wrong with the file is told whether there is IPVS or not.
    let desired = read(session, file)?;
    let observed = dataplane.observe(Scope::Everything).await.map_err(Failure::Table)?;
    for line in dataplane.unsayable() {
        session.complain(&format_args!("the kernel has what no file can say: {line}"));
    }
    Ok(Difference::between(observed, &desired, foreign))
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

fn print<W: Write>(session: &mut Session<'_, W>, difference: &Difference, json: bool) -> Result<(), Failure> {
    if json {
        return session.write(&difference.json(&[]));
    }
    difference.words().try_for_each(|words| session.write(&format!("{words}\n")))
}

/// Makes the edits, and returns what went wrong with each.
async fn make<W: Write>(
    session: &Session<'_, W>,
    dataplane: &mut IpvsDataplane,
    difference: &Difference,
) -> Vec<Option<String>> {
    let results = dataplane.apply(difference.changes().to_vec()).await;
    let faults = results.into_iter().map(|result| {
        let error = result.err()?;
        session.complain(&error);
        Some(error.to_string())
    });
    faults.collect()
}

fn status(faults: &[Option<String>]) -> u8 {
    if faults.iter().any(Option::is_some) { FAILED } else { 0 }
}

fn name(file: &Place) -> String {
    match file {
        Place::Standard => "standard input".to_owned(),
        Place::File(path) => path.display().to_string(),
    }
}

/// A table of 100,000 servers has a tenth of it.
const LARGEST_FILE: u64 = 256 * 1024 * 1024;
/// As diff(1).
const DIFFERENT: u8 = 1;
const FAILED: u8 = 1;
