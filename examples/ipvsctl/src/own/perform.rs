//! Carries out the verbs that ipvsadm does not have.

use std::io::Write;

use super::{OwnCommand, Place, Save, apply, drain, watch};
use crate::error::Failure;
use crate::names::Numeric;
use crate::store::{Claim, Stored};
use crate::verbs::{Found, Session};
use crate::{desired, json, save};

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
        OwnCommand::Help(verb) => {
            session.write(verb.help());
            Ok(0)
        }
    };
    Ok(done.unwrap_or_else(|failure| {
        session.flush();
        session.complain(&failure);
        TROUBLE
    }))
}

async fn save<W: Write>(session: &mut Session<'_, W>, save: &Save) -> Result<u8, Failure> {
    // Claimed before the table is read: of two calls at once, the later file is that of the later table.
    let claim = match &save.file {
        Place::File(file) => Some(Claim::of(file)?),
        Place::Standard => None,
    };
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
        let table = json::table(&services, Some(timeouts), Some(daemons));
        let text = json::text(&table);
        desired::says(&text, &table).map_err(|fault| Failure::NotReadable { fault, remedy: REPAIR })?;
        text
    } else {
        let table = json::table(&services, None, None);
        let text = save::table(&services, &Numeric);
        desired::says(&text, &table).map_err(|fault| {
            let json_says = desired::says(&json::text(&table), &table).is_ok();
            Failure::NotReadable { fault, remedy: if json_says { AS_JSON } else { REPAIR } }
        })?;
        text
    };
    let Some(claim) = claim else {
        session.write(&text);
        return Ok(0);
    };
    let servers: usize = services.iter().map(|service| service.servers.len()).sum();
    let services = services.len();
    let what = match claim.store(&text)? {
        Stored::Written => "saved",
        Stored::Unchanged => "nothing to save: it says the same already",
    };
    let file = claim.file().display();
    session.write(&format!("{file}: {what} ({services} services, {servers} servers)\n"));
    Ok(0)
}

const AS_JSON: &str = "`save --json` can say it";
const REPAIR: &str = "whoever made it has to change it";
/// Nothing was done.
const TROUBLE: u8 = 2;
