//! Takes a server out when its connections have ended.

use std::io::Write;
use std::time::Duration;

use lvs_core::reconciler::DrainProgress;
use lvs_core::{Instant, RealServer, ServerStatistics, Weight};

use super::Drain;
use crate::drain::{self, Raised};
use crate::error::Failure;
use crate::verbs::Session;

/// Runs until the server is out, or is not to go any more. Ended early it leaves the server with weight 0.
pub(super) async fn drain<W: Write>(session: &mut Session<'_, W>, drain: &Drain) -> Result<u8, Failure> {
    let Drain { service, server, deadline } = *drain;
    let start = tokio::time::Instant::now();
    let since_start = || Instant::ORIGIN + start.elapsed();
    let Some((present, _)) = look(session, drain).await? else {
        return Err(Failure::NoSuchServer { service, server });
    };
    if present.weight() != Weight::ZERO {
        session.client()?.edit_destination(&service, &present.with_weight(Weight::ZERO)).await?;
        session
            .write(&format!("destination {server} of {service}: weight from {} to 0\n", present.weight()))?;
    }
    let decision = drain::Drain { service, ends_at: deadline.map(|deadline| Instant::ORIGIN + deadline) };
    let mut told = None;
    loop {
        let found = look(session, drain).await?;
        let found = found.as_ref().map(|(server, counted)| (server, counted));
        let progress = match decision.judge(since_start(), found) {
            Ok(progress) => progress,
            Err(Raised(weight)) => {
                let what = format!("somebody gave it weight {weight}; it stays");
                session.complain(&format_args!("destination {server} of {service}: {what}"));
                return Ok(NOT_REMOVED);
            }
        };
        let how = match progress {
            DrainProgress::Absent => {
                session.write(&format!("destination {server} of {service}: somebody else removed it\n"))?;
                return Ok(0);
            }
            DrainProgress::Idle => Some("no connection is left".to_owned()),
            DrainProgress::Expired(lost) => {
                Some(format!("its time is up, with {} active", connections(lost)))
            }
            // It is told when it changes.
            waiting if told == Some(waiting) => None,
            waiting => {
                told = Some(waiting);
                if let DrainProgress::Waiting(active) = waiting {
                    session.write(&format!("{} active\n", connections(active)))?;
                    session.finish()?;
                }
                None
            }
        };
        if let Some(how) = how {
            session.client()?.remove_destination(&service, &server).await?;
            session.write(&format!("destination {server} of {service}: removed, {how}\n"))?;
            return Ok(0);
        }
        let left = deadline.map_or(PAUSE, |deadline| deadline.saturating_sub(start.elapsed()).min(PAUSE));
        tokio::time::sleep(left).await;
    }
}

async fn look<W: Write>(
    session: &mut Session<'_, W>,
    drain: &Drain,
) -> Result<Option<(RealServer, ServerStatistics)>, Failure> {
    match session.client()?.destination(&drain.service, &drain.server).await {
        Ok(entry) => Ok(entry.map(|entry| (entry.server, entry.statistics))),
        Err(error) if error.refusal() == Some(lvs_ipvs::Refusal::ServiceAbsent) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn connections(number: Option<u32>) -> String {
    let number = number.unwrap_or(0);
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} connection{plural}")
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
const NOT_REMOVED: u8 = 1;
