//! What comes in: adverts to their routers, refusals to the counters and the log.

use std::net::IpAddr;

use super::{Driver, is_worth_a_line};
use crate::clock;
use crate::demux::Refused;
use crate::driver::mismatch::Mismatch;
use crate::endpoints::Datagram;
use crate::refusal::Refusal;

impl Driver {
    /// Hands all adverts that wait on an interface to the routers; bounded, in case they come faster.
    pub(super) fn hear(&mut self, place: usize) {
        let mut errors = 0;
        for _ in 0..MAX_RECEIVED {
            let interface = &mut self.interfaces[place];
            let Some(sockets) = &interface.sockets else { return };
            let length = match sockets.receive(&mut self.buffers.received) {
                Ok(None) => return,
                Ok(Some(length)) => length,
                Err(error) => {
                    // "Network is down" comes once; what stays needs new sockets.
                    tracing::debug!(interface = interface.name, %error, "receive advert");
                    errors += 1;
                    if errors > MAX_RECEIVE_ERRORS {
                        self.settle(place, true);
                        return;
                    }
                    continue;
                }
            };
            let octets = self.buffers.received.get(..length).unwrap_or_default();
            let datagram = match Datagram::from_ipv4(octets) {
                Ok(datagram) => datagram,
                Err(refusal) => {
                    self.refuse_nobodys(place, None, refusal);
                    continue;
                }
            };
            match interface.demux.accept(&datagram) {
                Ok(accepted) => {
                    let now = clock::now();
                    let router = &mut self.members[accepted.id].router;
                    let configured = router.config().interval();
                    let counters = &self.shared.instances[accepted.id].counters;
                    counters.received(&accepted.advert, configured, accepted.same_addresses);
                    router.handle_advert(now, accepted.source, &accepted.advert);
                    let id = accepted.id;
                    self.carry_out(id, now);
                }
                Err(refused) => self.refuse(place, &refused, &datagram),
            }
        }
    }

    /// What was meant for an instance is worth a warning: routers that do not believe each other are all
    /// masters. Other people's virtual routers are not.
    pub(super) fn refuse(&self, place: usize, refused: &Refused, datagram: &Datagram<'_>) {
        let Refused { id: Some(id), source, refusal } = *refused else {
            return self.refuse_nobodys(place, refused.source, refused.refusal);
        };
        let count = self.shared.instances[id].counters.refused(refusal) + 1;
        if is_worth_a_line(count - 1) {
            let (interface, config) = (&self.interfaces[place].name, &self.members[id].config);
            let Mismatch { expected, came } = Mismatch::new(config, refusal, datagram);
            let (instance, source) = (&config.name, source.map(tracing::field::display));
            tracing::warn!(instance, interface, source, %refusal, expected, came, count, "advert refused");
        }
    }

    pub(super) fn refuse_nobodys(&self, place: usize, source: Option<IpAddr>, refusal: Refusal) {
        let interface = &self.interfaces[place].name;
        let count = self.shared.interfaces.get(interface).map_or(0, |counters| counters.refused(refusal)) + 1;
        if is_worth_a_line(count - 1) {
            let source = source.map(tracing::field::display);
            tracing::debug!(interface, source, %refusal, count, "advert refused");
        }
    }
}

/// Datagrams taken from one interface before its timers are looked at: more than the receive buffer can hold,
/// so whatever came before the wake-up is among them.
const MAX_RECEIVED: usize = 4096;

const MAX_RECEIVE_ERRORS: usize = 8;
