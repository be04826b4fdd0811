//! Writes what `watch` shows: lines that are appended, or a screen that is drawn anew.

use lvs_core::{Family, Protocol, ServiceKey};

use crate::list::Service;
use crate::rates::{Meters, Rates};

/// What is known after one reading.
#[derive(Debug)]
pub struct View<'a> {
    /// In the order in which they are shown.
    pub services: &'a [Service],
    /// Their rates.
    pub meters: &'a Meters,
}

/// Columns and rows of a terminal, each at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

impl View<'_> {
    /// What stands above appended lines.
    pub const HEADING: &'static str = "# seconds protocol service server weight active inactive \
                               connections/s packets-in/s packets-out/s bytes-in/s bytes-out/s\n";

    /// The lines that are appended, so many seconds after the first reading.
    ///
    /// ```
    /// use ipvsctl::{frame::View, list::Service, rates::Meters};
    /// use lvs_core::{Protocol, ServiceKey, VirtualService};
    ///
    /// let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?);
    /// let service = Service { service: VirtualService::new(key), counters: Default::default(), servers: Vec::new() };
    /// let view = View { services: &[service], meters: &Meters::default() };
    /// assert_eq!(view.lines(2.0), "2.0 tcp 10.0.0.1:80 - - 0 0 - - - - -\n");
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn lines(&self, seconds: f64) -> String {
        let mut text = String::new();
        for Row { protocol, service, server, weight, active, inactive, rates } in self.rows() {
            let server = server.as_deref().unwrap_or("-");
            let weight = weight.map_or("-".to_owned(), |weight| weight.to_string());
            let rates = columns(rates).map(|rate| rate.map_or("-".to_owned(), |rate| format!("{rate:.1}")));
            let rates = rates.join(" ");
            text +=
                &format!("{seconds:.1} {protocol} {service} {server} {weight} {active} {inactive} {rates}\n");
        }
        text
    }

    /// The lines of a screen of that size, at most as many and each at most as long; `status` stands on top.
    #[must_use]
    pub fn screen(&self, status: &str, size: Size) -> Vec<String> {
        let rows: Vec<_> = self.rows().collect();
        let names = rows.iter().map(Row::name);
        let longest = names.map(|name| name.len()).max().unwrap_or(0).clamp(NAME, LONGEST_NAME);
        let heading = ["conn/s", "pkts in/s", "pkts out/s", "bytes in/s", "bytes out/s"];
        let mut lines = vec![
            status.to_owned(),
            String::new(),
            line("service, servers", longest, "weight", "active", "inactive", heading),
        ];
        let room = size.rows.saturating_sub(lines.len());
        // The last line says how many are left out.
        let shown = if rows.len() > room { room.saturating_sub(1) } else { rows.len() };
        for row in rows.iter().take(shown) {
            let weight = row.weight.map_or(String::new(), |weight| weight.to_string());
            let rates = columns(row.rates).map(|rate| rate.map_or("-".to_owned(), short));
            let (active, inactive) = (row.active.to_string(), row.inactive.to_string());
            lines.push(line(
                &row.name(),
                longest,
                &weight,
                &active,
                &inactive,
                rates.each_ref().map(String::as_str),
            ));
        }
        if shown < rows.len() {
            lines.push(format!(
                "and {} more; a larger terminal, or naming services, shows them",
                rows.len() - shown
            ));
        }
        lines.truncate(size.rows);
        lines.into_iter().map(|line| line.chars().take(size.columns).collect()).collect()
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        let meters = self.meters;
        self.services.iter().flat_map(move |service| {
            let key = service.service.key();
            let (protocol, name) = words(&key);
            let of_service = Row {
                protocol,
                service: name.clone(),
                server: None,
                weight: None,
                active: service
                    .servers
                    .iter()
                    .map(|(_, counted)| u64::from(counted.active_connections))
                    .sum(),
                inactive: service
                    .servers
                    .iter()
                    .map(|(_, counted)| u64::from(counted.inactive_connections))
                    .sum(),
                rates: meters.rates(&key, None),
            };
            let servers = service.servers.iter().map(move |(server, counted)| Row {
                protocol,
                service: name.clone(),
                server: Some(server.key().to_string()),
                weight: Some(server.weight().value()),
                active: counted.active_connections.into(),
                inactive: counted.inactive_connections.into(),
                rates: meters.rates(&key, Some(&server.key())),
            });
            std::iter::once(of_service).chain(servers)
        })
    }
}

/// A service, or a server of one.
struct Row {
    protocol: &'static str,
    service: String,
    server: Option<String>,
    weight: Option<u32>,
    active: u64,
    inactive: u64,
    rates: Option<Rates>,
}

impl Row {
    fn name(&self) -> String {
        match &self.server {
            Some(server) => format!("  -> {server}"),
            None => format!("{} {}", self.protocol, self.service),
        }
    }
}

/// Protocol and name in one word each.
fn words(key: &ServiceKey) -> (&'static str, String) {
    match *key {
        ServiceKey::Address { protocol, address } => {
            let protocol = match protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
                Protocol::Sctp => "sctp",
            };
            (protocol, address.to_string())
        }
        ServiceKey::Fwmark { family: Family::Ipv4, mark } => ("fwmark", mark.to_string()),
        ServiceKey::Fwmark { family: Family::Ipv6, mark } => ("fwmark6", mark.to_string()),
    }
}

fn line(name: &str, longest: usize, weight: &str, active: &str, inactive: &str, rates: [&str; 5]) -> String {
    let [a, b, c, d, e] = rates;
    format!("{name:<longest$} {weight:>6} {active:>8} {inactive:>8} {a:>9} {b:>9} {c:>10} {d:>10} {e:>11}")
}

fn columns(rates: Option<Rates>) -> [Option<f64>; 5] {
    let column = |rate: fn(Rates) -> f64| rates.map(rate);
    [
        column(|rates| rates.connections),
        column(|rates| rates.incoming_packets),
        column(|rates| rates.outgoing_packets),
        column(|rates| rates.incoming_bytes),
        column(|rates| rates.outgoing_bytes),
    ]
}

/// A rate in at most seven characters: `0`, `3.5`, `999`, `1.0k`, `12.3M`.
fn short(rate: f64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut rate = rate;
    let mut units = UNITS.iter().peekable();
    // What would be rounded up to 1000 has the next unit already.
    while rate >= 999.5 && units.len() > 1 {
        rate /= 1000.0;
        units.next();
    }
    match units.next() {
        Some(&"") | None if rate == 0.0 => "0".to_owned(),
        Some(&"") | None if rate >= 9.95 => format!("{rate:.0}"),
        unit => format!("{rate:.1}{}", unit.copied().unwrap_or_default()),
    }
}

/// Least and most characters of the first column: IPv4 with a port, and the longest IPv6.
const NAME: usize = 26;
const LONGEST_NAME: usize = 55;

#[cfg(test)]
mod tests {
    use lvs_core::{Instant, Statistics};
    use std::time::Duration;

    use super::*;
    use crate::desired;
    use crate::names::Numeric;

    fn services(connections: u64) -> Vec<Service> {
        let lines = "-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 5\n\
                     -a -t 10.0.0.1:80 -r 10.0.1.3:80 -m -w 0\n-A -f 7 -6\n";
        let table = desired::table(lines, &Numeric).unwrap();
        let counters =
            Statistics { connections, incoming_bytes: connections * 2_000, ..Statistics::default() };
        let services = table.services().map(|service| Service {
            service: service.service().clone(),
            counters,
            servers: service
                .servers()
                .map(|server| {
                    (
                        *server,
                        lvs_core::ServerStatistics { active_connections: 3, counters, ..Default::default() },
                    )
                })
                .collect(),
        });
        services.collect()
    }

    fn read_twice() -> Meters {
        let mut meters = Meters::default();
        meters.take(Instant::ORIGIN, &services(0));
        meters.take(Instant::ORIGIN + Duration::from_secs(2), &services(7));
        meters
    }

    #[test]
    fn appended_lines_have_twelve_words_each() {
        let view = View { services: &services(7), meters: &read_twice() };
        assert_eq!(
            view.lines(2.04),
            "2.0 tcp 10.0.0.1:80 - - 6 0 3.5 0.0 0.0 7000.0 0.0\n\
             2.0 tcp 10.0.0.1:80 10.0.1.2:80 5 3 0 3.5 0.0 0.0 7000.0 0.0\n\
             2.0 tcp 10.0.0.1:80 10.0.1.3:80 0 3 0 3.5 0.0 0.0 7000.0 0.0\n\
             2.0 fwmark6 7 - - 0 0 3.5 0.0 0.0 7000.0 0.0\n"
        );
        let first = View { services: &services(7), meters: &Meters::default() };
        for line in first.lines(0.0).lines().chain(View::HEADING.trim_start_matches("# ").lines()) {
            assert_eq!(line.split(' ').count(), 12, "{line}");
        }
    }

    #[test]
    fn a_screen_has_a_row_for_each_service_and_server() {
        let view = View { services: &services(7), meters: &read_twice() };
        let screen = view.screen("every 2 s", Size { columns: 200, rows: 50 });
        let wanted = "\
every 2 s

service, servers           weight   active inactive    conn/s pkts in/s pkts out/s bytes in/s bytes out/s
tcp 10.0.0.1:80                          6        0       3.5         0          0       7.0k           0
  -> 10.0.1.2:80                5        3        0       3.5         0          0       7.0k           0
  -> 10.0.1.3:80                0        3        0       3.5         0          0       7.0k           0
fwmark6 7                                0        0       3.5         0          0       7.0k           0";
        assert_eq!(screen.join("\n"), wanted);
    }

    #[test]
    fn nothing_is_wider_or_higher_than_the_terminal() {
        let view = View { services: &services(7), meters: &read_twice() };
        let screen = view.screen("every 2 s", Size { columns: 40, rows: 6 });
        assert_eq!(screen.len(), 6);
        assert_eq!(screen[4], "  -> 10.0.1.2:80                5       ");
        assert_eq!(screen[5], "and 2 more; a larger terminal, or naming");
        for rows in 1..9 {
            for columns in [1, 7, 80] {
                let screen = view.screen("every 2 s", Size { columns, rows });
                assert!(
                    screen.len() <= rows && screen.iter().all(|line| line.len() <= columns),
                    "{screen:?}"
                );
            }
        }
    }

    #[test]
    fn a_rate_is_short_however_large_it_is() {
        for (rate, shown) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (0.5, "0.5"),
            (9.94, "9.9"),
            (9.96, "10"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (12_345.0, "12.3k"),
            (999_960.0, "1.0M"),
            (1.25e9, "1.2G"),
            (3.2e20, "320.0E"),
        ] {
            assert_eq!(short(rate), shown, "{rate}");
        }
    }
}
