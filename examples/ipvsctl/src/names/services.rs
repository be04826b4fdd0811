//! The table of service names, `/etc/services`.

use std::collections::HashMap;

use lvs_core::Protocol;

/// Ports by name and names by port.
#[derive(Debug, Default)]
pub(super) struct Services {
    ports: HashMap<(String, Protocol), u16>,
    names: HashMap<(u16, Protocol), String>,
}

impl Services {
    /// Reads the form of `services(5)`: `NAME PORT/PROTOCOL ALIAS…`, comments behind `#`. The first entry of a port or
    /// a name counts, as for the C library; lines that are none are passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut services = Self::default();
        for line in text.lines() {
            let entry = line.split_once('#').map_or(line, |(entry, _)| entry);
            let mut words = entry.split_ascii_whitespace();
            let (Some(name), Some(place)) = (words.next(), words.next()) else { continue };
            let Some((port, protocol)) = place.split_once('/') else { continue };
            let Ok(port) = port.parse() else { continue };
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                "sctp" => Protocol::Sctp,
                _ => continue,
            };
            services.names.entry((port, protocol)).or_insert_with(|| name.to_owned());
            for name in std::iter::once(name).chain(words) {
                services.ports.entry((name.to_owned(), protocol)).or_insert(port);
            }
        }
        services
    }

    pub(super) fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.ports.get(&(name.to_owned(), protocol)).copied()
    }

    pub(super) fn name(&self, port: u16, protocol: Protocol) -> Option<&str> {
        self.names.get(&(port, protocol)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_of_a_port_names_it_and_aliases_lead_to_it() {
        let services = Services::parse(
            "# services\nhttp\t80/tcp www # web\nhttp 80/udp\nother 80/tcp\namqp 5672/sctp\nbroken\nx y/tcp\nz 1/dccp\n",
        );
        assert_eq!(services.name(80, Protocol::Tcp), Some("http"));
        assert_eq!(services.name(80, Protocol::Sctp), None);
        assert_eq!(services.port("www", Protocol::Tcp), Some(80));
        assert_eq!(services.port("www", Protocol::Udp), None);
        assert_eq!(services.port("amqp", Protocol::Sctp), Some(5672));
        assert_eq!(services.name(1, Protocol::Tcp), None);
    }
}
