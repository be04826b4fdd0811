//! What comes in: adverts to their routers, refusals to the counters and the log.

use std::net::IpAddr;

use lvs_core::{Instant, Role};

use super::{Driver, is_worth_a_line};
use crate::clock;
use crate::demux::Refused;
use crate::driver::config::InstanceConfig;
use crate::driver::interface::Interface;
use crate::driver::mismatch::Mismatch;
use crate::endpoints::Datagram;
use crate::packet::is_link_local;
use crate::record::Input;
use crate::refusal::Refusal;
use crate::stats::Counters;

impl Driver {
    /// Hands all adverts that wait on an interface to the routers.
    pub(super) fn hear(&mut self, place: usize) {
        self.interfaces[place].is_heard = true;
        let mut ear = 0;
        while ear < self.interfaces[place].ears.len() {
            self.hear_through(place, ear);
            ear += 1;
        }
    }

    /// Takes what waits in one way in; bounded, in case it comes faster.
    fn hear_through(&mut self, place: usize, ear: usize) {
        let (mut errors, mut heard) = (0, 0);
        while heard < MAX_RECEIVED {
            let interface = &mut self.interfaces[place];
            let receiver = interface.ears.get_mut(ear).and_then(|ear| ear.receiver.as_mut());
            let Some(receiver) = receiver else { return };
            self.space.arrivals.clear();
            let result = receiver.receive(&mut self.space.arrivals);
            let now = clock::now();
            for at in 0..self.space.arrivals.len() {
                self.judge_arrival(place, at, now);
            }
            // A receiver may answer for ever that there may be more.
            heard += self.space.arrivals.len().max(1);
            match result {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    // "Network is down" comes once; what stays needs new sockets.
                    tracing::debug!(interface = self.interfaces[place].name, %error, "receive advert");
                    errors += 1;
                    if errors > MAX_RECEIVE_ERRORS {
                        self.settle(place, true);
                        return;
                    }
                }
            }
        }
    }

    fn judge_arrival(&mut self, place: usize, at: usize, now: Instant) {
        let interface = &mut self.interfaces[place];
        let datagram = match self.space.arrivals.get(at) {
            Some(Ok(datagram)) => datagram,
            Some(Err(refusal)) => return self.refuse_nobodys(place, None, refusal, None),
            None => return,
        };
        match interface.demux.accept(&datagram) {
            Ok(accepted) => {
                let id = accepted.id;
                let member = &mut self.members[id];
                let configured = member.router.config().interval();
                let counters = &member.facts.counters;
                counters.received(&accepted.advert, configured, accepted.same_addresses);
                if !accepted.advert.has_link_local_first() {
                    note_first_address(counters, &member.config, &interface.name, accepted.source);
                }
                #[cfg(feature = "ah")]
                if let (Some(ah), Some(sequence)) = (&mut member.ah, accepted.sequence) {
                    ah.heard(sequence);
                }
                member.tell(now, &Input::advert(accepted.source, &accepted.advert));
                let (source, advertised) = (accepted.source, accepted.advert.advertised());
                self.carry_out(id, now);
                // After that: one that has just become backup has the role to keep it.
                let member = &mut self.members[id];
                if member.router.role() == Role::Backup
                    && member.status.hear(source, advertised)
                    && !std::mem::replace(&mut member.has_news, true)
                {
                    self.space.changed.push(id);
                }
            }
            Err(refused) => self.refuse(place, &refused, &datagram),
        }
    }

    /// What was meant for an instance is worth a warning: routers that do not believe each other are all
    /// masters. Other people's virtual routers are not.
    pub(super) fn refuse(&self, place: usize, refused: &Refused, datagram: &Datagram<'_>) {
        let Refused { id: Some(id), source, refusal } = *refused else {
            let vrid = datagram.payload.get(1).copied();
            return self.refuse_nobodys(place, refused.source, refused.refusal, vrid);
        };
        let count = self.members[id].facts.counters.refused(refusal) + 1;
        if is_worth_a_line(count - 1) {
            let (interface, config) = (&self.interfaces[place].name, &self.members[id].config);
            let Mismatch { expected, came } = Mismatch::new(config, refusal, datagram);
            let (instance, source) = (&config.name, source.map(tracing::field::display));
            tracing::warn!(instance, interface, source, %refusal, expected, came, count, "advert refused");
        }
    }

    fn refuse_nobodys(&self, place: usize, source: Option<IpAddr>, refusal: Refusal, vrid: Option<u8>) {
        let Interface { name: interface, counters, .. } = &self.interfaces[place];
        let count = counters.refused(refusal) + 1;
        if is_worth_a_line(count - 1) {
            let source = source.map(tracing::field::display);
            if self.logs_unknown_vrids && refusal == Refusal::UnknownVrid {
                tracing::info!(interface, source, vrid, count, "advert of an unknown virtual router");
            } else {
                tracing::debug!(interface, source, %refusal, count, "advert refused");
            }
        }
    }
}

/// Counts an advert whose first address is not link-local, and warns of it unless it is what our own configuration says,
/// too.
#[cold]
fn note_first_address(counters: &Counters, config: &InstanceConfig, interface: &str, source: IpAddr) {
    let before = counters.not_link_local_first();
    let is_ours = matches!(config.addresses.first(), Some(IpAddr::V6(first)) if !is_link_local(first));
    if is_worth_a_line(before) && !is_ours {
        let (instance, count) = (&config.name, before + 1);
        tracing::warn!(
            instance,
            interface,
            %source,
            count,
            "advert whose first address is not link-local (RFC 9568 §5.2.9) is believed"
        );
    }
}

/// Datagrams taken from one socket, or calls that gave none, before its timers are looked at: more than the receive buffer can hold,
/// so whatever came before the wake-up is among them.
const MAX_RECEIVED: usize = 4096;

const MAX_RECEIVE_ERRORS: usize = 8;
