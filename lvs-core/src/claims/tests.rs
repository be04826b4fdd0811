use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::addresses::InstalledAddress;
use crate::ownership::Role;

fn vip(last: u8) -> VirtualAddress {
    VirtualAddress::new("eth0", [10, 0, 0, last].into(), 32)
}

fn claims(owner: bool) -> Claims {
    Claims::new(vec![AddressSet {
        instance: "VI_1".into(),
        addresses: vec![vip(1), vip(2)],
        beside: Vec::new(),
        owner,
    }])
}

fn host(addresses: &[VirtualAddress]) -> Installed {
    Installed {
        addresses: addresses.iter().map(|a| (a.key.clone(), InstalledAddress { tagged: false })).collect(),
        interfaces: BTreeSet::from(["eth0".to_owned()]),
        hardware: BTreeMap::from([("eth0".to_owned(), MacAddress::new([2, 0, 0, 0, 0, 1]))]),
    }
}

fn master(announcements: u64) -> Ownership {
    Ownership { epoch: Epoch::NONE.next(), role: Role::Master, announcements }
}

fn backup() -> Ownership {
    Ownership { epoch: Epoch::NONE.next(), role: Role::Backup, announcements: 0 }
}

fn claimed(result: ClaimResult, missing: &[VirtualAddress]) -> ClaimEvent {
    let missing = missing.iter().map(|address| address.key.clone()).collect();
    ClaimEvent::Claimed { instance: "VI_1".into(), epoch: Epoch::NONE.next(), result, missing }
}

#[test]
fn a_backup_removes_a_stale_address_at_start() {
    // VR-151, VR-152: what is not there is not answered for.
    let mut claims = claims(false);
    assert_eq!(claims.changes(&host(&[vip(1)])), [AddressChange::Remove(vip(1).key)]);
}

#[test]
fn a_master_adds_confirms_once_and_announces_when_asked() {
    let mut claims = claims(false);
    claims.set_ownership(0, master(0));
    let before = host(&[]);
    assert_eq!(claims.changes(&before).len(), 2);
    let after = host(&[vip(1), vip(2)]);
    assert_eq!(claims.confirm(&before, &after), [claimed(ClaimResult::Confirmed, &[])]);
    assert_eq!(claims.confirm(&after, &after), []);
    assert_eq!(claims.announcements(&after), []);

    let repeats = |claims: &mut Claims, announcements| -> Vec<u8> {
        claims.set_ownership(0, master(announcements));
        claims.announcements(&after).iter().map(|announcement| announcement.repeat).collect()
    };
    assert_eq!(repeats(&mut claims, 5), [5, 5]);
    assert!(repeats(&mut claims, 5).is_empty());
    assert_eq!(repeats(&mut claims, 8), [3, 3]);
    // A reader that was away for long makes no storm of it.
    assert_eq!(repeats(&mut claims, 100_000), [255, 255]);
    assert_eq!(repeats(&mut claims, 100_001), [1, 1]);
}

#[test]
fn a_new_mastership_counts_its_packets_anew() {
    let mut claims = claims(false);
    let full = host(&[vip(1), vip(2)]);
    claims.set_ownership(0, master(50));
    let _ = claims.confirm(&full, &full);
    assert_eq!(claims.announcements(&full).len(), 2);
    claims.set_ownership(0, backup());
    assert_eq!(claims.announcements(&full), []);
    let second = Epoch::NONE.next().next();
    claims.set_ownership(0, Ownership { epoch: second, role: Role::Master, announcements: 4 });
    let repeats: Vec<u8> = claims.announcements(&full).iter().map(|a| a.repeat).collect();
    assert_eq!(repeats, [4, 4]);
}

#[test]
fn a_claim_that_the_kernel_refuses_is_answered_as_missing_and_later_confirmed() {
    let mut claims = claims(false);
    claims.set_ownership(0, master(0));
    let half = host(&[vip(1)]);
    assert_eq!(claims.confirm(&half, &half), [claimed(ClaimResult::Missing, &[vip(2)])]);
    assert!(!claims.is_settled());
    let full = host(&[vip(1), vip(2)]);
    assert_eq!(claims.confirm(&half, &full), [claimed(ClaimResult::Confirmed, &[])]);
    assert!(claims.is_settled());
}

#[test]
fn an_address_that_somebody_removed_comes_back_and_is_announced_again_alone() {
    let mut claims = claims(false);
    let full = host(&[vip(1), vip(2)]);
    claims.set_ownership(0, master(0));
    let _ = claims.confirm(&host(&[]), &full);
    claims.set_ownership(0, master(5));
    let _ = claims.announcements(&full);

    let less = host(&[vip(2)]);
    assert_eq!(claims.changes(&less), [AddressChange::Add(vip(1))]);
    let restored = ClaimEvent::Restored { instance: "VI_1".into(), addresses: vec![vip(1)] };
    assert_eq!(claims.confirm(&less, &full), [restored]);
    let announcement = |address: &VirtualAddress, repeat| Announcement {
        interface: "eth0".into(),
        address: address.key.address,
        repeat,
    };
    assert_eq!(claims.announcements(&full), [announcement(&vip(1), 5)]);
    assert_eq!(claims.announcements(&full), []);

    // Together with a refresh the more counts.
    let _ = claims.confirm(&less, &full);
    claims.set_ownership(0, master(6));
    assert_eq!(claims.announcements(&full), [announcement(&vip(1), 5), announcement(&vip(2), 1)]);
}

#[test]
fn an_address_that_comes_back_only_later_is_announced_when_it_is_there() {
    let mut claims = claims(false);
    let (full, less) = (host(&[vip(1), vip(2)]), host(&[vip(2)]));
    claims.set_ownership(0, master(0));
    let _ = claims.confirm(&host(&[]), &full);
    claims.set_ownership(0, master(5));
    let _ = claims.announcements(&full);

    assert_eq!(claims.confirm(&less, &less), [claimed(ClaimResult::Missing, &[vip(1)])]);
    assert_eq!(claims.announcements(&less), []);
    assert_eq!(claims.confirm(&less, &full), [claimed(ClaimResult::Confirmed, &[])]);
    let again = claims.announcements(&full);
    assert_eq!(again.iter().map(|a| (a.address, a.repeat)).collect::<Vec<_>>(), [(vip(1).key.address, 5)]);
}

#[test]
fn an_owners_own_addresses_stay_and_what_it_added_leaves() {
    let mut claims = claims(true);
    assert!(claims.changes(&host(&[vip(1)])).is_empty());
    claims.set_ownership(0, master(0));
    let before = host(&[vip(1)]);
    assert_eq!(claims.changes(&before), [AddressChange::Add(vip(2))]);
    let full = host(&[vip(1), vip(2)]);
    let _ = claims.confirm(&before, &full);

    claims.set_ownership(0, backup());
    assert_eq!(claims.changes(&full), [AddressChange::Remove(vip(2).key)]);
}

#[test]
fn an_owners_own_address_with_the_prefix_of_its_network_is_never_removed() {
    let mut claims = claims(true);
    let mut own = vip(1);
    own.key.prefix_len = 24;
    claims.set_ownership(0, master(0));
    let before = host(&[own.clone(), vip(2)]);
    assert_eq!(claims.changes(&before), [AddressChange::Add(vip(1))]);
    let full = host(&[own, vip(1), vip(2)]);
    let _ = claims.confirm(&before, &full);

    claims.set_ownership(0, backup());
    assert_eq!(claims.changes(&full), [AddressChange::Remove(vip(1).key)]);
}

#[test]
fn what_an_earlier_run_of_an_owner_left_behind_is_removed_by_its_tag() {
    let mut claims = claims(true);
    let mut left = host(&[vip(1), vip(2)]);
    left.addresses.insert(vip(2).key, InstalledAddress { tagged: true });
    assert_eq!(claims.changes(&left), [AddressChange::Remove(vip(2).key)]);
}

#[test]
fn an_answer_belongs_to_its_epoch() {
    let mut claims = claims(false);
    let full = host(&[vip(1), vip(2)]);
    claims.set_ownership(0, master(0));
    let _ = claims.confirm(&full, &full);
    let second = Epoch::NONE.next().next();
    claims.set_ownership(0, Ownership { epoch: second, role: Role::Master, announcements: 0 });
    let expected = ClaimEvent::Claimed {
        instance: "VI_1".into(),
        epoch: second,
        result: ClaimResult::Confirmed,
        missing: vec![],
    };
    assert_eq!(claims.confirm(&full, &full), [expected]);
}

#[test]
fn a_master_announces_again_what_is_on_an_interface_that_has_another_hardware_address() {
    let mut elsewhere = vip(2);
    elsewhere.key.interface = "eth1".into();
    let vips = [vip(1), elsewhere];
    let set =
        AddressSet { instance: "VI_1".into(), addresses: vips.to_vec(), beside: Vec::new(), owner: false };
    let mac = |last| MacAddress::new([2, 0, 0, 0, 0, last]);
    // What the host says of eth0 and eth1, which may be down.
    let host = |first: Option<u8>, second: Option<u8>| {
        let mut seen = host(&vips);
        seen.interfaces.insert("eth1".into());
        let hardware = [("eth0", first), ("eth1", second)];
        seen.hardware =
            hardware.into_iter().filter_map(|(name, last)| Some((name.into(), mac(last?)))).collect();
        seen
    };
    let pass = |claims: &mut Claims, announcements, seen: &Installed| -> Vec<(String, u8)> {
        claims.set_ownership(0, master(announcements));
        assert_eq!(claims.changes(seen), []);
        let _ = claims.confirm(seen, seen);
        let announced = claims.announcements(seen);
        announced.into_iter().map(|announcement| (announcement.interface, announcement.repeat)).collect()
    };
    let on = |interface: &str, repeat| (interface.to_owned(), repeat);
    let mut claims = Claims::new(vec![set]);
    assert_eq!(pass(&mut claims, 3, &host(Some(1), Some(2))), [on("eth0", 3), on("eth1", 3)]);
    assert_eq!(pass(&mut claims, 3, &host(Some(1), Some(2))), []);
    assert_eq!(pass(&mut claims, 3, &host(Some(9), Some(2))), [on("eth0", 3)]);
    assert_eq!(pass(&mut claims, 3, &host(Some(9), Some(2))), []);
    // A refresh of one packet is one of as many as the first ones there.
    assert_eq!(pass(&mut claims, 4, &host(Some(9), Some(8))), [on("eth0", 1), on("eth1", 3)]);
    // While it is down nobody can be told.
    assert_eq!(pass(&mut claims, 4, &host(None, Some(8))), []);
    assert_eq!(pass(&mut claims, 4, &host(Some(9), Some(8))), []);
    assert_eq!(pass(&mut claims, 4, &host(None, Some(8))), []);
    assert_eq!(pass(&mut claims, 4, &host(Some(7), Some(8))), [on("eth0", 3)]);
    // A backup tells nobody, and a mastership begins with its own announcements.
    claims.set_ownership(0, backup());
    let _ = claims.confirm(&host(Some(6), Some(8)), &host(Some(6), Some(8)));
    assert_eq!(claims.announcements(&host(Some(6), Some(8))), []);
    let next = Ownership { epoch: Epoch::NONE.next().next(), ..master(0) };
    claims.set_ownership(0, next);
    let _ = claims.confirm(&host(Some(6), Some(8)), &host(Some(6), Some(8)));
    assert_eq!(claims.announcements(&host(Some(6), Some(8))), [], "not asked for yet");
}

/// The claims of an instance that has an address of IPv6 beside its own one of IPv4.
fn with_one_beside() -> (Claims, VirtualAddress) {
    let beside = VirtualAddress::new("eth0", "2001:db8::100".parse().unwrap(), 64);
    let set = AddressSet {
        instance: "VI_1".into(),
        addresses: vec![vip(1)],
        beside: vec![beside.clone()],
        owner: false,
    };
    (Claims::new(vec![set]), beside)
}

fn lacking(missing: &[&VirtualAddress]) -> ClaimEvent {
    let missing = missing.iter().map(|address| address.key.clone()).collect();
    ClaimEvent::Lacking { instance: "VI_1".into(), missing }
}

#[test]
fn an_address_beside_the_routers_own_that_cannot_be_had_is_told_of_and_decides_nothing() {
    let (mut claims, beside) = with_one_beside();
    claims.set_ownership(0, master(5));
    let own = host(&[vip(1)]);
    assert_eq!(claims.confirm(&host(&[]), &own), [claimed(ClaimResult::Confirmed, &[]), lacking(&[&beside])]);
    let announced = |claims: &mut Claims, installed: &Installed| -> Vec<IpAddr> {
        claims.announcements(installed).iter().map(|announcement| announcement.address).collect()
    };
    assert_eq!(announced(&mut claims, &own), [vip(1).key.address]);

    // It is tried again, and told of once.
    assert!(!claims.is_settled());
    assert_eq!(claims.changes(&own), [AddressChange::Add(beside.clone())]);
    assert_eq!(claims.confirm(&own, &own), []);

    // Nobody had removed it: it is not restored, but there at last, and the neighbours hear of it.
    let both = host(&[vip(1), beside.clone()]);
    assert_eq!(claims.confirm(&own, &both), [lacking(&[])]);
    assert!(claims.is_settled());
    assert_eq!(announced(&mut claims, &both), [beside.key.address]);

    claims.set_ownership(0, backup());
    assert_eq!(claims.changes(&both).len(), 2);
}

#[test]
fn an_address_of_the_routers_own_that_cannot_be_had_decides_whatever_is_beside_it() {
    let (mut claims, beside) = with_one_beside();
    claims.set_ownership(0, master(0));
    let half = host(std::slice::from_ref(&beside));
    assert_eq!(claims.confirm(&host(&[]), &half), [claimed(ClaimResult::Missing, &[vip(1)])]);
}

#[test]
fn an_address_beside_the_own_ones_that_somebody_removed_is_put_back() {
    let (mut claims, beside) = with_one_beside();
    claims.set_ownership(0, master(5));
    let (own, both) = (host(&[vip(1)]), host(&[vip(1), beside.clone()]));
    let _ = claims.confirm(&host(&[]), &both);
    let restored = ClaimEvent::Restored { instance: "VI_1".into(), addresses: vec![beside.clone()] };
    assert_eq!(claims.confirm(&own, &both), [restored]);
    // One that cannot be put back is told of again.
    assert_eq!(claims.confirm(&own, &own), [lacking(&[&beside])]);
}

#[test]
fn what_is_lacking_is_told_again_if_it_was_not_heard_and_in_the_next_mastership() {
    let (mut claims, beside) = with_one_beside();
    claims.set_ownership(0, master(0));
    let own = host(&[vip(1)]);
    let _ = claims.confirm(&own, &own);
    claims.forget_answer("VI_1");
    let both = [claimed(ClaimResult::Confirmed, &[]), lacking(&[&beside])];
    assert_eq!(claims.confirm(&own, &own), both);
    claims.set_ownership(0, backup());
    claims.set_ownership(0, master(0));
    assert_eq!(claims.confirm(&own, &own), both);
}
