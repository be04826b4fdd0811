//! Decides when a server that gets no new connections is taken out.
//!
//! An applier of lvs-core drains too ([`lvs_core::ServiceTable::drain`]), but holds the whole service as it was when the drain
//! began. Here only the one server is the command's business: what others do to its service meanwhile is theirs.

use lvs_core::reconciler::DrainProgress;
use lvs_core::{Instant, RealServer, ServerStatistics, ServiceKey, Weight};

/// A server that was given weight 0, until it is taken out.
///
/// ```
/// use ipvsctl::drain::Drain;
/// use lvs_core::reconciler::DrainProgress;
/// use lvs_core::{Instant, Protocol, RealServer, ServerKey, ServerStatistics, ServiceKey, Weight};
///
/// let service = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?);
/// let drain = Drain { service, ends_at: None };
/// let server = RealServer::new(ServerKey::new("10.0.1.2:80".parse()?)).with_weight(Weight::ZERO);
/// let busy = ServerStatistics { active_connections: 2, ..Default::default() };
/// assert_eq!(drain.judge(Instant::ORIGIN, Some((&server, &busy))), Ok(DrainProgress::Waiting(Some(2))));
/// assert_eq!(drain.judge(Instant::ORIGIN, Some((&server, &Default::default()))), Ok(DrainProgress::Idle));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Whose server it is.
    pub service: ServiceKey,
    /// When it is taken out in any case.
    pub ends_at: Option<Instant>,
}

/// Somebody gave the server this weight: it does not drain any more, and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised(pub Weight);

impl Drain {
    /// How far the server is, as it is now. One that is [`DrainProgress::Idle`] or [`DrainProgress::Expired`] is to be taken out.
    ///
    /// # Errors
    /// The server has weight again.
    pub fn judge(
        &self,
        now: Instant,
        found: Option<(&RealServer, &ServerStatistics)>,
    ) -> Result<DrainProgress, Raised> {
        let Some((server, counted)) = found else { return Ok(DrainProgress::Absent) };
        let active = counted.open_connections(&self.service);
        if server.weight() != Weight::ZERO {
            Err(Raised(server.weight()))
        } else if active == 0 {
            Ok(DrainProgress::Idle)
        } else if self.ends_at.is_some_and(|ends_at| now >= ends_at) {
            Ok(DrainProgress::Expired(Some(active)))
        } else {
            Ok(DrainProgress::Waiting(Some(active)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lvs_core::{Protocol, ServerKey};

    use super::*;

    fn within(protocol: Protocol, ends_at: Option<Instant>) -> Drain {
        Drain { service: ServiceKey::address(protocol, "10.0.0.1:80".parse().unwrap()), ends_at }
    }

    fn step(drain: Drain, now: Instant, weight: u32, active: u32) -> Result<DrainProgress, Raised> {
        let key = ServerKey::new("10.0.1.2:80".parse().unwrap());
        let server = RealServer::new(key).with_weight(Weight::new(weight).unwrap());
        let counted = ServerStatistics { active_connections: active, ..Default::default() };
        drain.judge(now, Some((&server, &counted)))
    }

    #[test]
    fn a_server_leaves_without_connections_or_when_its_time_is_up() {
        let limit = Instant::ORIGIN + Duration::from_secs(10);
        let before = Instant::ORIGIN + Duration::from_millis(9_999);
        let drain = within(Protocol::Tcp, Some(limit));
        assert_eq!(step(drain, before, 0, 3), Ok(DrainProgress::Waiting(Some(3))));
        assert_eq!(step(drain, limit, 0, 3), Ok(DrainProgress::Expired(Some(3))));
        assert_eq!(step(drain, before, 0, 0), Ok(DrainProgress::Idle));
        assert_eq!(step(within(Protocol::Tcp, None), limit, 0, 1), Ok(DrainProgress::Waiting(Some(1))));
    }

    #[test]
    fn a_flow_of_udp_counts_although_the_kernel_calls_none_active() {
        let server =
            RealServer::new(ServerKey::new("10.0.1.2:53".parse().unwrap())).with_weight(Weight::ZERO);
        let counted = ServerStatistics { inactive_connections: 1, ..Default::default() };
        let judge = |protocol| within(protocol, None).judge(Instant::ORIGIN, Some((&server, &counted)));
        assert_eq!(judge(Protocol::Udp), Ok(DrainProgress::Waiting(Some(1))));
        assert_eq!(judge(Protocol::Tcp), Ok(DrainProgress::Idle));
    }

    #[test]
    fn a_server_that_somebody_else_decided_about_is_left_to_them() {
        let drain = within(Protocol::Tcp, Some(Instant::ORIGIN));
        assert_eq!(step(drain, Instant::ORIGIN, 5, 0), Err(Raised(Weight::new(5).unwrap())));
        assert_eq!(drain.judge(Instant::ORIGIN, None), Ok(DrainProgress::Absent));
    }
}
