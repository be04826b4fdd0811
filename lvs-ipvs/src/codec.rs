//! The codec by itself, for the benchmarks and the fuzzing of this workspace; no part of the supported interface.

use std::collections::BTreeSet;

use lvs_core::{Change, Family, RealServer, Table};

use crate::convert;
use crate::observation::Observation;
use crate::raw::{Counters, Destination, Message};

/// The message of an edit, without the netlink header; nothing if it cannot be said.
#[must_use]
pub fn encode(change: &Change) -> Option<Vec<u8>> {
    convert::change_bytes(change)
}

/// Reads a message as the client does.
///
/// # Errors
/// What is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<(), String> {
    let message = Message::parse(bytes).map_err(|error| error.to_string())?;
    if let Some(service) = &message.service {
        convert::service_entry(service).map_err(|error| error.to_string())?;
    }
    if let Some(destination) = &message.destination {
        convert::server_entry(destination, Family::Ipv4).map_err(|error| error.to_string())?;
    }
    convert::info(message.info).ok();
    convert::timeouts(message.timeouts);
    Ok(())
}

/// The real server in an entry of a dump of a service's destinations, as the data plane reads it.
///
/// # Errors
/// What is wrong with it; also if there is none.
pub fn decode_server(bytes: &[u8], service: Family) -> Result<RealServer, String> {
    let octets = Message::destination(bytes).map_err(|error| error.to_string())?;
    let octets = octets.ok_or("there is no destination")?;
    let raw = Destination::parse(octets, Counters::Skip).map_err(|error| error.to_string())?;
    convert::found(&raw, service, convert::server).map_err(|unsayable| unsayable.reason.to_string())
}

/// Reads a message and writes it again.
///
/// # Errors
/// What is wrong with it.
pub fn recode(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let message = Message::parse(bytes).map_err(|error| error.to_string())?;
    message.to_bytes().ok_or_else(|| "longer than attributes can be".to_owned())
}

/// What an applier sees of these services and daemons, each service with these destinations, and how many entries no
/// table can say.
#[must_use]
pub fn observe(entries: &[&[u8]]) -> (Table, usize) {
    let readable = |bytes: &&&[u8]| Message::parse(bytes).is_ok();
    let entries: Vec<_> = entries.iter().filter(readable).collect();
    let service = |bytes: &&&[u8]| Message::parse_service(bytes, Counters::Skip).ok().flatten();
    let services: Vec<_> = entries.iter().filter_map(service).collect();
    let destination =
        |bytes: &&&[u8]| Destination::parse(Message::destination(bytes).ok()??, Counters::Skip).ok();
    let destinations: Vec<_> = entries.iter().filter_map(destination).collect();
    let daemon = |bytes: &&&[u8]| Message::parse(bytes).ok().and_then(|message| message.daemon);
    let daemons: Vec<_> = entries.iter().filter_map(daemon).collect();
    let mut observation = Observation::default();
    for service in observation.read_services(&services).into_values() {
        let family = service.key().family();
        let found = destinations.iter().map(|raw| convert::found(raw, family, convert::server));
        observation.read_service_table(service, found.collect());
    }
    let daemons = observation.read_daemons(&daemons);
    let unsaid = observation.unsaid.values().map(BTreeSet::len).sum();
    (observation.table.with_daemons(daemons), unsaid)
}

#[cfg(test)]
mod tests {
    use lvs_core::{Protocol, ServiceKey, VirtualService};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_encoded_edit_is_decoded() {
        let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap());
        let bytes = encode(&Change::AddService(VirtualService::new(key))).unwrap();
        assert_eq!(decode(&bytes), Ok(()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(command in 0..20u8, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&[&[command, 1, 0, 0], &bytes[..]].concat());
        }
    }
}
