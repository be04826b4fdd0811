//! The codec by itself, for the benchmarks and the fuzzing of this workspace; no part of the supported interface.

use lvs_core::{Change, Family, RealServer};

use crate::convert;
use crate::raw::{Counters, Message};

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

/// The real server in an entry of a dump of a service's destinations, as the data plane reads it.
///
/// # Errors
/// What is wrong with it; also if there is none.
pub fn decode_server(bytes: &[u8], service: Family) -> Result<RealServer, String> {
    let raw = Message::parse_destination(bytes, Counters::Skip).map_err(|error| error.to_string())?;
    let raw = raw.ok_or("there is no destination")?;
    convert::found(&raw, service, convert::server).map_err(|unsayable| unsayable.reason.to_string())
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
