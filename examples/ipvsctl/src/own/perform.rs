//! Carries out the verbs that ipvsadm does not have.

use std::io::Write;

use super::{OwnCommand, Place, Save, apply, drain, watch};
use crate::error::Failure;
use crate::names::Numeric;
use crate::store::{self, Stored};
use crate::verbs::{Found, Session};
use crate::{json, save};

/// Carries it out and returns the exit status.
pub(crate) async fn perform<W: Write>(
    session: &mut Session<'_, W>,
    command: OwnCommand,
) -> Result<u8, Failure> {
    let done = match command {
        OwnCommand::Diff(diff) => apply::diff(session, &diff).await,
        OwnCommand::Apply(apply) => apply::apply(session, &apply).await,
        OwnCommand::Restore(apply) => apply::restore(session, &apply).await,
        OwnCommand::Save(save) => self::save(session, &save).await,
        OwnCommand::Watch(watch) => watch::watch(session, &watch).await,
        OwnCommand::Drain(drain) => drain::drain(session, &drain).await,
        OwnCommand::Help(verb) => session.write(verb.help()).map(|()| 0),
    };
    match done {
        // What stands behind a pipe had enough.
        Err(failure @ Failure::Write(_)) => Err(failure),
        Err(failure) => {
            session.finish()?;
            session.complain(&failure);
            Ok(TROUBLE)
        }
        done => done,
    }
}

async fn save<W: Write>(session: &mut Session<'_, W>, save: &Save) -> Result<u8, Failure> {
    // In an order that stays, so that two files can be compared.
    let Found { mut services, unsayable } = session.services(true).await?;
    if let Some(one) = unsayable.into_iter().next() {
        return Err(Failure::NotSaved(one));
    }
    services.sort_by_key(|service| service.service.key());
    for service in &mut services {
        service.servers.sort_by_key(|(server, _)| server.key());
    }
    let text = if save.json {
        let client = session.client()?;
        let (timeouts, daemons) = (client.timeouts().await?, client.daemons().await?);
        json::text(&json::table(&services, Some(timeouts), Some(daemons)))
    } else {
        save::table(&services, &Numeric)
    };
    let Place::File(file) = &save.file else { return session.write(&text).map(|()| 0) };
    let servers: usize = services.iter().map(|service| service.servers.len()).sum();
    let services = services.len();
    let what = match store::store(file, &text)? {
        Stored::Written => "saved",
        Stored::Unchanged => "nothing to save: it says the same already",
    };
    session.write(&format!("{}: {what} ({services} services, {servers} servers)\n", file.display()))?;
    Ok(0)
}

/// Nothing was done.
const TROUBLE: u8 = 2;
