//! The counters of the virtual routers as keepalived writes them: programs read it by these names and indents.

use std::fmt::Write as _;

use lvs_vrrp::{Refusal, Stats};

use super::picture::Picture;

/// keepalived's counters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) became_master: u64,
    pub(super) released_master: u64,
    pub(super) length: u64,
    pub(super) ttl: u64,
    pub(super) invalid_type: u64,
    pub(super) interval: u64,
    pub(super) address_list: u64,
    pub(super) invalid_auth_type: u64,
    pub(super) auth_type_mismatch: u64,
    pub(super) auth_failure: u64,
    pub(super) priority_zero_received: u64,
    pub(super) priority_zero_sent: u64,
}

impl Counts {
    pub(super) fn of(stats: &Stats) -> Self {
        Self {
            received: stats.adverts_received,
            sent: stats.adverts_sent,
            became_master: stats.became_master,
            released_master: stats.released_master,
            length: stats.refused(Refusal::Length),
            ttl: stats.refused(Refusal::Ttl),
            invalid_type: stats.refused(Refusal::Type),
            interval: stats
                .interval_differences
                .saturating_add(stats.refused(Refusal::IntervalMismatch))
                .saturating_add(stats.refused(Refusal::IntervalZero)),
            address_list: stats.address_list_differences,
            // A type that is none is another type than ours.
            invalid_auth_type: 0,
            auth_type_mismatch: stats.refused(Refusal::AuthType),
            auth_failure: stats
                .refused(Refusal::AuthData)
                .saturating_add(stats.refused(Refusal::AhHeader))
                .saturating_add(stats.refused(Refusal::Replay)),
            priority_zero_received: stats.resignations_received,
            priority_zero_sent: stats.resignations_sent,
        }
    }
}

/// The text of the file.
pub(super) fn text(picture: &Picture<'_>) -> String {
    let mut text = String::new();
    for instance in &picture.instances {
        let counts = Counts::of(&instance.stats);
        // It is written into memory, which does not fail.
        let _ = write!(
            text,
            "VRRP Instance: {name}
  Advertisements:
    Received: {received}
    Sent: {sent}
  Became master: {became}
  Released master: {released}
  Packet Errors:
    Length: {length}
    TTL: {ttl}
    Invalid Type: {kind}
    Advertisement Interval: {interval}
    Address List: {addresses}
  Authentication Errors:
    Invalid Type: {auth_kind}
    Type Mismatch: {mismatch}
    Failure: {failure}
  Priority Zero:
    Received: {zero_received}
    Sent: {zero_sent}
",
            name = instance.config.name,
            received = counts.received,
            sent = counts.sent,
            became = counts.became_master,
            released = counts.released_master,
            length = counts.length,
            ttl = counts.ttl,
            kind = counts.invalid_type,
            interval = counts.interval,
            addresses = counts.address_list,
            auth_kind = counts.invalid_auth_type,
            mismatch = counts.auth_type_mismatch,
            failure = counts.auth_failure,
            zero_received = counts.priority_zero_received,
            zero_sent = counts.priority_zero_sent,
        );
    }
    text
}
