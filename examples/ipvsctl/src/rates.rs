//! Computes rates from counters that were read at two times.
//!
//! The kernel adds its processors' counters up every two seconds, and shows the sum of then in between. So a reading may
//! show what the one before it did; the rate is then still the last one, unless the counters have not moved for longer.

use std::collections::BTreeMap;
use std::time::Duration;

use lvs_core::{Instant, ServerKey, ServiceKey, Statistics};

use crate::list::Service;

/// Per second.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Rates {
    /// Connections scheduled.
    pub connections: f64,
    /// Packets from clients.
    pub incoming_packets: f64,
    /// Packets to clients.
    pub outgoing_packets: f64,
    /// Bytes from clients.
    pub incoming_bytes: f64,
    /// Bytes to clients.
    pub outgoing_bytes: f64,
}

impl Rates {
    /// What happened between two readings, by the time between them. A counter that went back was set to zero, and what
    /// it shows came after that: no rate is negative.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ipvsctl::rates::Rates;
    /// use lvs_core::Statistics;
    ///
    /// let counted = |connections| Statistics { connections, ..Default::default() };
    /// let rates = Rates::between(&counted(100), &counted(130), Duration::from_millis(2500));
    /// assert_eq!(rates.connections, 12.0);
    /// assert_eq!(Rates::between(&counted(100), &counted(5), Duration::from_secs(1)).connections, 5.0);
    /// ```
    #[must_use]
    pub fn between(before: &Statistics, after: &Statistics, elapsed: Duration) -> Self {
        let rate = |count: fn(&Statistics) -> u64| per_second(count(before), count(after), elapsed);
        Self {
            connections: rate(|counted| counted.connections),
            incoming_packets: rate(|counted| counted.incoming_packets),
            outgoing_packets: rate(|counted| counted.outgoing_packets),
            incoming_bytes: rate(|counted| counted.incoming_bytes),
            outgoing_bytes: rate(|counted| counted.outgoing_bytes),
        }
    }
}

fn per_second(before: u64, after: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    let count = after.checked_sub(before).unwrap_or(after);
    // Above 2^53 the last digits are lost, which nobody sees in a rate.
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// What is known of all services and servers from the readings so far.
#[derive(Debug, Default)]
pub struct Meters {
    meters: BTreeMap<Metered, Meter>,
}

/// A service, or a server of one.
type Metered = (ServiceKey, Option<ServerKey>);

#[derive(Debug)]
struct Meter {
    /// When the counters were seen to have moved last, and what they showed.
    moved_at: Instant,
    counted: Statistics,
    rates: Option<Rates>,
}

impl Meters {
    /// Takes a reading of all that there is; what it does not have is forgotten.
    pub fn take(&mut self, now: Instant, services: &[Service]) {
        let mut before = std::mem::take(&mut self.meters);
        for service in services {
            let key = service.service.key();
            let servers =
                service.servers.iter().map(|(server, counted)| (Some(server.key()), &counted.counters));
            for (server, counted) in std::iter::once((None, &service.counters)).chain(servers) {
                let metered = (key, server);
                let meter = before.remove(&metered);
                self.meters.insert(metered, Meter::after(meter, now, counted));
            }
        }
    }

    /// The rates of a service, or of a server of it; nothing until it was read twice.
    #[must_use]
    pub fn rates(&self, service: &ServiceKey, server: Option<&ServerKey>) -> Option<Rates> {
        self.meters.get(&(*service, server.copied()))?.rates
    }
}

impl Meter {
    fn after(before: Option<Self>, now: Instant, counted: &Statistics) -> Self {
        let Some(before) = before else { return Self { moved_at: now, counted: *counted, rates: None } };
        let elapsed = now.saturating_duration_since(before.moved_at);
        // What the kernel added up at once is what happened in its period, however soon after the last look that was.
        let moved = Rates::between(&before.counted, counted, elapsed.max(PERIOD));
        let rests = before.rates.is_some_and(|rates| rates != Rates::default()) && elapsed <= LULL;
        if moved == Rates::default() && rests {
            before
        } else {
            // Where nothing moves, from here on: what comes after a pause is not spread over it.
            Self { moved_at: now, counted: *counted, rates: Some(moved) }
        }
    }
}

/// How often the kernel adds up (`estimation_timer` in `ip_vs_est.c`).
const PERIOD: Duration = Duration::from_secs(2);
/// For so long counters may rest although there is traffic: the period, and what the kernel's timer is late.
const LULL: Duration = Duration::from_millis(2_200);

#[cfg(test)]
mod tests {
    use lvs_core::{RealServer, ServerStatistics, VirtualService};

    use super::*;

    fn key(last: u8) -> ServiceKey {
        ServiceKey::address(lvs_core::Protocol::Tcp, ([10, 0, 0, last], 80).into())
    }

    fn server() -> RealServer {
        RealServer::new(ServerKey::new(([10, 0, 1, 2], 80).into()))
    }

    /// A service that counted so many connections, with a server that counted as many.
    fn service(last: u8, connections: u64) -> Service {
        let counters = Statistics { connections, ..Statistics::default() };
        let servers = vec![(server(), ServerStatistics { counters, ..ServerStatistics::default() })];
        Service { service: VirtualService::new(key(last)), counters, servers }
    }

    fn at(milliseconds: u64) -> Instant {
        Instant::ORIGIN + Duration::from_millis(milliseconds)
    }

    /// Rates of connections of the service and of the server after each reading.
    fn readings(readings: &[(u64, u64)]) -> Vec<Option<f64>> {
        let mut meters = Meters::default();
        let rates = readings.iter().map(|&(time, count)| {
            meters.take(at(time), &[service(1, count)]);
            let of_service = meters.rates(&key(1), None).map(|rates| rates.connections);
            let of_server = meters.rates(&key(1), Some(&server().key())).map(|rates| rates.connections);
            assert_eq!(of_service, of_server);
            of_service
        });
        rates.collect()
    }

    #[test]
    fn a_rate_is_what_was_counted_by_the_time_between_two_readings() {
        assert_eq!(
            readings(&[(0, 1_000), (2_000, 1_100), (6_000, 1_100 + 8)]),
            [None, Some(50.0), Some(2.0)]
        );
    }

    #[test]
    fn counters_that_the_kernel_did_not_bring_up_to_date_yet_leave_the_rate_as_it_was() {
        let seen = readings(&[
            (0, 0),
            (1_000, 0),
            (2_000, 100),
            (3_000, 100),
            (4_000, 200),
            (5_000, 200),
            (7_300, 200),
        ]);
        assert_eq!(seen, [None, Some(0.0), Some(50.0), Some(50.0), Some(50.0), Some(50.0), Some(0.0)]);
    }

    #[test]
    fn what_comes_after_a_pause_is_not_spread_over_it() {
        assert_eq!(
            readings(&[(0, 5), (60_000, 5), (62_000, 25), (64_000, 25), (66_300, 25), (68_300, 45)]),
            [None, Some(0.0), Some(10.0), Some(10.0), Some(0.0), Some(10.0)]
        );
    }

    #[test]
    fn counters_that_were_set_to_zero_give_no_negative_rate() {
        assert_eq!(readings(&[(0, 1_000), (2_000, 6)]), [None, Some(3.0)]);
        let zero = Rates::between(&Statistics::default(), &Statistics::default(), Duration::ZERO);
        assert_eq!(zero, Rates::default());
        let most = Statistics { connections: u64::MAX, ..Statistics::default() };
        assert!(
            Rates::between(&Statistics::default(), &most, Duration::from_nanos(1)).connections.is_finite()
        );
    }

    #[test]
    fn a_service_that_came_back_begins_anew() {
        let mut meters = Meters::default();
        meters.take(at(0), &[service(1, 10), service(2, 0)]);
        meters.take(at(2_000), &[service(2, 2)]);
        assert_eq!(meters.rates(&key(1), None), None);
        assert_eq!(meters.rates(&key(2), None).map(|rates| rates.connections), Some(1.0));
        meters.take(at(4_000), &[service(1, 1_000), service(2, 2)]);
        assert_eq!(meters.rates(&key(1), None), None);
    }
}
