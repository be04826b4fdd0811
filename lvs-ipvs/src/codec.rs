//! The codec by itself, for the benchmarks and the fuzzing of this workspace; no part of the supported interface.

use std::collections::BTreeSet;

use lvs_core::{Change, Family, Table};

use crate::convert;
use crate::observation::Observation;
use crate::raw::Message;

/// The message of an edit, without the netlink header; nothing if it cannot be said.
#[must_use]
pub fn encode(change: &Change) -> Option<Vec<u8>> {
    convert::change_message(change)?.to_bytes()
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
    let messages: Vec<_> = entries.iter().filter_map(|bytes| Message::parse(bytes).ok()).collect();
    let services: Vec<_> = messages.iter().filter_map(|message| message.service.clone()).collect();
    let destinations: Vec<_> = messages.iter().filter_map(|message| message.destination.clone()).collect();
    let mut observation = Observation::default();
    for service in observation.read_services(&services).into_values() {
        observation.read_service_table(service, &destinations);
    }
    let daemons: Vec<_> = messages.iter().filter_map(|message| message.daemon.clone()).collect();
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
