//! lvsd against keepalived and FRR: every protocol that they have in common, in both roles, with tshark and scapy as
//! judges of all that lvsd sends.

mod lan;
mod play;
mod row;

use std::thread;

use crate::row::{Auth, Family, Peer, Row};

/// What keepalived 2.2.7 and lvsd can both do.
const KEEPALIVED: [Row; 10] = [
    row(Peer::Keepalived, 2, Family::V4, false, Auth::Open),
    row(Peer::Keepalived, 2, Family::V4, false, Auth::Password),
    row(Peer::Keepalived, 2, Family::V4, true, Auth::Open),
    row(Peer::Keepalived, 2, Family::V4, true, Auth::Password),
    row(Peer::Keepalived, 2, Family::V4, false, Auth::Header),
    row(Peer::Keepalived, 2, Family::V4, true, Auth::Header),
    row(Peer::Keepalived, 3, Family::V4, false, Auth::Open),
    row(Peer::Keepalived, 3, Family::V4, true, Auth::Open),
    row(Peer::Keepalived, 3, Family::V6, false, Auth::Open),
    row(Peer::Keepalived, 3, Family::V6, true, Auth::Open),
];

/// What keepalived takes, and most files of the field have: one global address of IPv6, and none that is link-local.
const GLOBAL_ONLY: [Row; 2] = [
    Row { link_local_first: false, ..row(Peer::Keepalived, 3, Family::V6, false, Auth::Open) },
    Row { link_local_first: false, ..row(Peer::Keepalived, 3, Family::V6, true, Auth::Open) },
];

/// What FRR 8.4 and lvsd can both do: FRR has no unicast (VR-227) and no authentication.
const FRR: [Row; 3] = [
    row(Peer::Frr, 2, Family::V4, false, Auth::Open),
    row(Peer::Frr, 3, Family::V4, false, Auth::Open),
    row(Peer::Frr, 3, Family::V6, false, Auth::Open),
];

const fn row(peer: Peer, version: u8, family: Family, unicast: bool, auth: Auth) -> Row {
    Row { peer, version, family, unicast, auth, link_local_first: true }
}

/// Plays all rows at the same time, and names those that fail.
fn play_all(rows: &[Row], play: fn(Row)) {
    let running: Vec<_> = rows
        .iter()
        .map(|&row| {
            let thread = thread::Builder::new().name(row.name()).spawn(move || play(row));
            (row.name(), thread.expect("a thread"))
        })
        .collect();
    let failed: Vec<String> =
        running.into_iter().filter_map(|(name, thread)| thread.join().is_err().then_some(name)).collect();
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

// VR-001 to VR-004, VR-010, VR-060 to VR-064, VR-067, VR-090 to VR-097, VR-100, VR-111 to VR-116, VR-120, VR-220, VR-223; E1 to E4.

// VR-220.
#[test]
fn lvsd_is_backup_to_a_better_keepalived_and_takes_over_when_it_goes_or_dies() {
    play_all(&KEEPALIVED, play::as_backup);
}

// VR-001 to VR-004, VR-010, VR-220, VR-223.
#[test]
fn lvsd_takes_over_from_a_worse_keepalived_which_follows_when_lvsd_goes_or_dies() {
    play_all(&KEEPALIVED, play::as_master);
}

// VR-027, VR-072: as keepalived does, against RFC 9568 §5.2.9.
#[test]
fn lvsd_is_backup_to_a_better_keepalived_with_global_addresses_of_ipv6_alone() {
    play_all(&GLOBAL_ONLY, play::as_backup);
}

// VR-027, VR-072.
#[test]
fn lvsd_takes_over_from_a_worse_keepalived_with_global_addresses_of_ipv6_alone() {
    play_all(&GLOBAL_ONLY, play::as_master);
}

// VR-227: by multicast alone.
#[test]
fn lvsd_is_backup_to_a_better_frr_and_takes_over_when_it_goes_or_dies() {
    play_all(&FRR, play::as_backup);
}

#[test]
fn lvsd_takes_over_from_a_worse_frr_which_follows_when_lvsd_goes_or_dies() {
    play_all(&FRR, play::as_master);
}

// VR-069, VR-097 to VR-099, E14.

#[test]
fn lvsd_learns_the_interval_of_a_better_master_also_when_it_changes() {
    let rows: Vec<Row> =
        [KEEPALIVED.as_slice(), &FRR].concat().into_iter().filter(|row| row.version == 3).collect();
    play_all(&rows, play::learn_from_them);
}

#[test]
fn a_worse_peer_learns_the_interval_of_lvsd() {
    let rows: Vec<Row> =
        [KEEPALIVED.as_slice(), &FRR].concat().into_iter().filter(|row| row.version == 3).collect();
    play_all(&rows, play::teach_them);
}

// VR-068, E18: the RFC has it so in version 2, and the log says it.

#[test]
fn a_pair_of_version_2_with_different_intervals_is_two_masters_for_ever_and_lvsd_says_why() {
    play_all(&KEEPALIVED[..1], play::with_another_interval);
}
