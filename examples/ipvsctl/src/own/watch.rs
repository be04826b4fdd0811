//! Shows rates as they are, until it is told to end.

use std::io::Write;
use std::time::Duration;

use lvs_core::Instant;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant as TokioInstant;

use super::Watch;
use super::screen::Screen;
use crate::error::Failure;
use crate::frame::View;
use crate::list::Service;
use crate::rates::Meters;
use crate::verbs::Session;

/// Runs until it is ended, or for as many readings as were asked for. A reading that fails is told, and another one tried; if it
/// is the first that is the end.
pub(super) async fn watch<W: Write>(session: &mut Session<'_, W>, watch: &Watch) -> Result<u8, Failure> {
    let mut reading = Ok(read(session, watch).await?);
    let mut display = Display::open(session, watch)?;
    let start = TokioInstant::now();
    for number in 1_u64.. {
        let elapsed = start.elapsed();
        display.take(session, elapsed, reading);
        display.show(session);
        let ends = watch.count == Some(number) || !session.arrives();
        if ends || display.pause(session, start + next(elapsed, watch.interval)).await == Pause::End {
            break;
        }
        reading = read(session, watch).await;
    }
    Ok(0)
}

async fn read<W: Write>(session: &mut Session<'_, W>, watch: &Watch) -> Result<Vec<Service>, Failure> {
    // Nobody can do anything about what cannot be said while it is looked at; `-L` tells of it.
    if watch.services.is_empty() {
        return session.services(false).await.map(|found| found.services);
    }
    let mut services = Vec::new();
    for key in &watch.services {
        match session.service(key, false).await {
            Ok(found) => services.extend(found.services),
            // It may come.
            Err(Failure::NothingToList(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(services)
}

/// The next of the times that are an interval apart from the first reading on; what was missed is left out.
fn next(elapsed: Duration, interval: Duration) -> Duration {
    let late = elapsed.as_nanos() % interval.as_nanos().max(1);
    let late = Duration::from_nanos(u64::try_from(late).unwrap_or(0));
    elapsed.saturating_sub(late) + interval
}

/// What is shown, and where.
struct Display {
    meters: Meters,
    services: Vec<Service>,
    elapsed: Duration,
    interval: Duration,
    /// What went wrong with the last reading.
    fault: Option<String>,
    terminal: Option<Terminal>,
}

struct Terminal {
    screen: Screen,
    resized: Signal,
    ended: [Signal; 3],
}

#[derive(PartialEq, Eq)]
enum Pause {
    Over,
    End,
}

impl Display {
    fn open<W: Write>(session: &mut Session<'_, W>, watch: &Watch) -> Result<Self, Failure> {
        let terminal = Terminal::open().map_err(|error| Failure::Read("signals", error))?;
        if terminal.is_none() {
            session.write(View::HEADING);
        }
        Ok(Self {
            meters: Meters::default(),
            services: Vec::new(),
            elapsed: Duration::ZERO,
            interval: watch.interval,
            fault: None,
            terminal,
        })
    }

    fn take<W: Write>(
        &mut self,
        session: &Session<'_, W>,
        elapsed: Duration,
        reading: Result<Vec<Service>, Failure>,
    ) {
        self.elapsed = elapsed;
        match reading {
            Ok(services) => {
                self.meters.take(Instant::ORIGIN + elapsed, &services);
                self.services = services;
                self.fault = None;
            }
            Err(failure) => {
                if self.terminal.is_none() {
                    session.complain(&failure);
                }
                self.fault = Some(failure.to_string());
            }
        }
    }

    fn show<W: Write>(&self, session: &mut Session<'_, W>) {
        let view = View { services: &self.services, meters: &self.meters };
        match &self.terminal {
            Some(Terminal { screen, .. }) => {
                let status = self.status();
                session.write(&Screen::drawing(&view.screen(&status, screen.size())));
            }
            None if self.fault.is_none() => session.write(&view.lines(self.elapsed.as_secs_f64())),
            None => {}
        }
        session.flush();
    }

    fn status(&self) -> String {
        if let Some(fault) = &self.fault {
            return fault.clone();
        }
        let servers: usize = self.services.iter().map(|service| service.servers.len()).sum();
        let (services, interval) = (self.services.len(), self.interval.as_secs_f64());
        let seconds = self.elapsed.as_secs();
        format!("IPVS: {services} services, {servers} servers; every {interval} s, for {seconds} s; q ends")
    }

    /// Waits until then, or until somebody ends it.
    async fn pause<W: Write>(&mut self, session: &mut Session<'_, W>, until: TokioInstant) -> Pause {
        loop {
            let Some(Terminal { screen, resized, ended: [interrupted, terminated, hung_up] }) =
                &mut self.terminal
            else {
                tokio::time::sleep_until(until).await;
                return Pause::Over;
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => return Pause::Over,
                () = screen.end_key() => return Pause::End,
                _ = interrupted.recv() => return Pause::End,
                _ = terminated.recv() => return Pause::End,
                _ = hung_up.recv() => return Pause::End,
                _ = resized.recv() => {}
            }
            self.show(session);
        }
    }
}

impl Terminal {
    /// The terminal, if there is one; from then on signals do not end the program.
    fn open() -> std::io::Result<Option<Self>> {
        if !Screen::is_there() {
            // Signals end the program, and there is nothing to put back.
            return Ok(None);
        }
        let ended = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupted, terminated, hung_up] = ended.map(signal);
        let ended = [interrupted?, terminated?, hung_up?];
        let resized = signal(SignalKind::window_change())?;
        Ok(Some(Self { screen: Screen::take(), resized, ended }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_an_interval_apart_however_long_one_takes() {
        let next =
            |milliseconds| next(Duration::from_millis(milliseconds), Duration::from_secs(2)).as_millis();
        assert_eq!([0, 1, 1_999, 2_000, 2_010, 7_000].map(next), [2_000, 2_000, 2_000, 4_000, 4_000, 8_000]);
    }
}
