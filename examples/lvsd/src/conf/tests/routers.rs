//! The keywords of virtual routers: what becomes of them, and what is said about those that do not go together.

use std::time::Duration;

use lvs_core::Family;

use super::super::model::*;
use super::*;

/// The configuration of a text about which exactly this is said.
#[track_caller]
fn accepted(text: &str, expected: &[&str]) -> Config {
    assert_eq!(complaints(text), expected, "{}", shown(&read(text)));
    read(text).config.expect("nothing but warnings")
}

/// The only instance of a text.
#[track_caller]
fn only(text: &str, expected: &[&str]) -> VrrpInstance {
    let mut config = accepted(text, expected);
    assert_eq!(config.instances.len(), 1);
    config.instances.remove(0)
}

/// The instance with more statements, from line 7 on.
#[track_caller]
fn with(more: &str, expected: &[&str]) -> VrrpInstance {
    only(&instance(more), expected)
}

/// The same after a block of global definitions, whose first statement is on line 2; one more line for each `\n` in it.
#[track_caller]
fn under(global: &str, more: &str, expected: &[&str]) -> VrrpInstance {
    only(&(format!("global_defs {{\n {global}\n}}\n") + &instance(more)), expected)
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) -> Loaded {
    assert_eq!(complaints(text), expected, "{}", shown(&read(text)));
    let loaded = read(text);
    assert!(loaded.config.is_none(), "refused");
    loaded
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_defaults_are_keepalived_s() {
    let instance = with("", &[]);
    assert_eq!(instance.family, Family::Ipv4);
    assert_eq!(instance.down_timer_adverts, 3);
    assert_eq!(instance.answers, Answers::default());
    assert!(instance.yield_when_late.is_none() && instance.checksum == Checksum::WithAddresses);
    assert!(instance.check_addresses && instance.track_interface);
    assert_eq!((instance.garp.lower_prio_repeat, instance.garp.lower_prio_delay), (5, seconds(5)));
}

#[test]
fn an_instance_takes_what_it_does_not_say_from_global_defs() {
    let global = "vrrp_down_timer_adverts 7\n vrrp_lower_prio_no_advert\n vrrp_higher_prio_send_advert on\n \
        vrrp_owner_ignore_adverts yes\n vrrp_skip_check_adv_addr\n v3_checksum_as_v2\n vrrp_version 3";
    let inherited = under(global, "", &[]);
    assert_eq!(inherited.down_timer_adverts, 7);
    let all =
        Answers { lower_prio_no_advert: true, higher_prio_send_advert: true, owner_ignore_adverts: true };
    assert_eq!(inherited.answers, all);
    assert_eq!(inherited.checksum, Checksum::MessageAlone);
    assert!(!inherited.check_addresses);
    assert_eq!(inherited.version, Version::V3);
    let own = " down_timer_adverts 2\n lower_prio_no_advert off\n higher_prio_send_advert no\n \
        owner_ignore_adverts false\n skip_check_adv_addr off\n v3_checksum_as_v2 off\n version 2";
    let own = under(global, own, &[]);
    assert_eq!((own.down_timer_adverts, own.answers), (2, Answers::default()));
    assert_eq!(own.checksum, Checksum::WithAddresses);
    assert!(own.check_addresses);
    assert_eq!(own.version, Version::V2);
}

#[test]
fn announcements_are_inherited_as_keepalived_does_it() {
    // Each line measured on 2.2.7: first delay and repeat, then those after a losing advert.
    for (global, own, expected) in [
        ("router_id X", "", (5, 5, 5, 5)),
        ("vrrp_garp_master_repeat 3\n vrrp_garp_master_delay 7", "", (7, 3, 7, 3)),
        ("vrrp_garp_lower_prio_repeat 9", " garp_master_repeat 2\n garp_master_delay 1", (1, 2, 5, 9)),
        ("router_id X", " garp_lower_prio_repeat 0", (5, 5, 5, 0)),
        ("vrrp_min_garp", "", (0, 1, 0, 1)),
        ("vrrp_min_garp", " garp_master_repeat 3\n garp_master_delay 4", (4, 3, 0, 1)),
        ("vrrp_min_garp\n vrrp_garp_master_delay 3\n vrrp_garp_master_repeat 2", "", (3, 2, 3, 2)),
        ("vrrp_garp_master_delay 3\n vrrp_garp_lower_prio_repeat 4\n vrrp_min_garp", "", (3, 1, 3, 4)),
        ("vrrp_min_garp off", " garp_lower_prio_delay 2", (5, 5, 2, 5)),
    ] {
        let garp = under(global, own, &[]).garp;
        let (delay, lower) = (garp.delay.as_secs(), garp.lower_prio_delay.as_secs());
        let seen = (delay, garp.repeat.get(), lower, garp.lower_prio_repeat);
        assert_eq!(seen, expected, "{global}, {own}");
    }
}

/// The instance of IPv6, with more statements from line 8 on.
fn instance_6(more: &str) -> String {
    instance(more).replace(" 10.0.0.1\n", " fe80::5e:1\n 2001:db8::1/64\n")
}

#[test]
fn an_instance_of_ipv6_speaks_version_3_to_its_own_group() {
    let instance = only(&instance_6(""), &[]);
    assert_eq!((instance.family, instance.version), (Family::Ipv6, Version::V3));
    let keys: Vec<String> = instance.addresses.iter().map(|vip| vip.key.to_string()).collect();
    assert_eq!(keys, ["fe80::5e:1/128 on eth0", "2001:db8::1/64 on eth0"]);
    let group = |instance: VrrpInstance| match instance.delivery {
        Delivery::Multicast { group, .. } => group.to_string(),
        Delivery::Unicast { .. } => panic!("multicast"),
    };
    assert_eq!(group(instance), "ff02::12");
    assert_eq!(group(only(&instance_6(" mcast_dst_ip ff12::7"), &[])), "ff12::7");
    let global = "global_defs {\n vrrp_version 2\n vrrp_mcast_group6 ff02::99\n}\n".to_owned();
    let other = only(&(global + &instance_6("")), &[]);
    assert_eq!(other.version, Version::V3, "whatever the default is");
    assert_eq!(group(other), "ff02::99");
    assert_eq!(only(&instance_6(" version 2"), &["conflict 8:2"]).version, Version::V3);
    only(&instance_6(" native_ipv6"), &["no-effect 8:2"]);
    let pass = " authentication {\n auth_type AH\n auth_pass 1\n }";
    let with_password = instance_6(pass).replace("AH", "PASS");
    assert_eq!(only(&with_password, &["conflict 8:2"]).authentication, None);
}

#[test]
fn a_first_address_of_ipv6_that_is_not_one_of_the_link_is_a_warning_that_shows_the_remedy() {
    // VR-027
    let text = instance_6("").replace(" fe80::5e:1\n", "");
    let global = only(&text, &["conflict 5:2"]);
    assert!(global.any_first_address && only(&instance_6(""), &[]).any_first_address);
    let expected = "\
warning[conflict]: the first IPv6 address of an instance should be one of the link (RFC 9568 §5.2.9)
 --> a.conf:5:2
  |
5 |  2001:db8::1/64
  |  ^^^^^^^^^^^^^^ 2001:db8::1 is not in fe80::/10: routers other than keepalived may discard the adverts
  |
  = help: put one in front of it, the same on all routers, such as `fe80::51`

0 errors, 1 warning
";
    assert_eq!(shown(&read(&text)), expected);
    // The order is kept, as in keepalived.
    let later = text.replace("::1/64\n", "::1/64\n fe80::51\n");
    let addresses = only(&later, &["conflict 5:2"]).addresses;
    let order: Vec<String> = addresses.iter().map(|vip| vip.key.address.to_string()).collect();
    assert_eq!(order, ["2001:db8::1", "fe80::51"]);
    let shown = shown(&read(&later));
    assert!(shown.contains("= help: move fe80::51 to the front, on all routers\n"), "{shown}");
}

#[test]
fn in_strict_mode_the_first_address_of_ipv6_is_one_of_the_link() {
    // VR-027; keepalived refuses it, too.
    let strict = |text: String| text.replace("id 1\n", "id 1\n strict_mode\n accept\n");
    let loaded = refused(&strict(instance_6("").replace(" fe80::5e:1\n", "")), &["conflict 7:2"]);
    let expected = "\
error[conflict]: the first IPv6 address of an instance has to be one of the link (RFC 9568 §5.2.9)
 --> a.conf:7:2
  |
7 |  2001:db8::1/64
  |  ^^^^^^^^^^^^^^ 2001:db8::1 is not in fe80::/10
  |
 ::: a.conf:4:2
  |
4 |  strict_mode
  |  ----------- strict mode is asked for here
  |
  = help: put one in front of it, the same on all routers, such as `fe80::51`

1 error, 0 warnings
";
    assert_eq!(shown(&loaded), expected);
    assert!(!only(&strict(instance_6("")), &[]).any_first_address);
}

#[test]
fn more_addresses_of_ipv6_than_the_usual_mtu_holds_are_a_warning() {
    let many = |count: u16| (1..=count).map(|n| format!(" fe80::{n:x}\n")).collect::<String>();
    let text = |count| instance("").replace(" 10.0.0.1\n", &many(count));
    assert_eq!(only(&text(89), &[]).addresses.len(), 89);
    let instance = only(&text(255), &["limit 94:2"]);
    // What fits is known when it runs.
    assert_eq!((instance.addresses.len(), instance.excluded.len()), (255, 0));
    let shown = shown(&read(&text(95)));
    assert!(
        shown.contains("where the MTU is 1,500 an advert lists 89 addresses of IPv6, and there are 95"),
        "{shown}"
    );
    let instance = only(&text(260), &["limit 260:2"]);
    assert_eq!((instance.addresses.len(), instance.excluded.len()), (255, 5));
}

#[test]
fn unicast_of_ipv6_has_its_source_and_its_limits() {
    let more =
        " unicast_src_ip fe80::250\n unicast_ttl 64\n unicast_peer {\n fe80::2 min_ttl 3\n fe80::3\n }";
    let instance = only(&instance_6(more), &[]);
    let Delivery::Unicast { source, peers, ttl, check_source } = instance.delivery else { panic!("unicast") };
    assert_eq!((source, ttl, check_source), (Some("fe80::250".parse().unwrap()), 64, true));
    assert_eq!((peers.len(), peers[0].min_ttl), (2, Some(3)));
}

#[test]
fn what_is_tracked_can_be_chosen() {
    let instance = with(" dont_track_primary\n mcast_src_ip 10.0.0.7\n track_src_ip", &[]);
    assert!(!instance.track_interface && instance.track_source);
    let lonely = with(" unicast_fault_no_peer\n unicast_src_ip 10.0.0.7", &["missing-keyword 7:2"]);
    let Delivery::Unicast { peers, .. } = lonely.delivery else { panic!("unicast") };
    assert!(peers.is_empty());
    let peers = " unicast_fault_no_peer\n unicast_peer {\n 10.0.0.2\n }";
    assert!(matches!(with(peers, &[]).delivery, Delivery::Unicast { .. }));
}

#[test]
fn words_of_ipv4_after_an_address_of_ipv6_are_left_out_or_refused() {
    let with = |word: &str| instance_6("").replace(" 2001:db8::1/64", &format!(" 2001:db8::1/64 {word}"));
    let vip = only(&with("dev eth1 scope link label eth1:1"), &["conflict 6:26", "conflict 6:37"])
        .addresses
        .remove(1);
    assert_eq!(
        (vip.key.interface.as_str(), vip.scope, vip.label),
        ("eth1", lvs_core::AddressScope::GLOBAL, None)
    );
    refused(&with("brd +"), &["conflict 6:17"]);
}

#[test]
fn excluded_addresses_may_be_of_both_families() {
    let instance = with(" virtual_ipaddress_excluded {\n 10.0.0.2/24 dev eth1\n 2001:db8::2\n }", &[]);
    let keys: Vec<String> = instance.excluded.iter().map(|vip| vip.key.to_string()).collect();
    assert_eq!(keys, ["10.0.0.2/24 on eth1", "2001:db8::2/128 on eth0"]);
    assert_eq!(instance.addresses.len(), 1);
}

#[test]
fn more_addresses_than_an_advert_holds_are_moved_to_the_others() {
    let many: String = (0..300).map(|n| format!(" 10.0.{}.{}\n", 1 + n / 250, 1 + n % 250)).collect();
    let text = instance(" virtual_ipaddress_excluded {\n 10.1.0.1\n }").replace(" 10.0.0.1\n", &many);
    let instance = only(&text, &["limit 260:2"]);
    assert_eq!((instance.addresses.len(), instance.excluded.len()), (255, 46));
    // In their order, before those that were excluded anyway.
    let last = |list: &[lvs_core::VirtualAddress]| list.last().map(|vip| vip.key.address.to_string());
    assert_eq!(last(&instance.addresses).as_deref(), Some("10.0.2.5"));
    assert_eq!(instance.excluded[0].key.address.to_string(), "10.0.2.6");
    assert_eq!(last(&instance.excluded).as_deref(), Some("10.1.0.1"));
    let shown = shown(&read(&text));
    assert!(shown.contains("the other 45 are not advertised"), "{shown}");
}

#[test]
fn an_address_that_is_there_twice_is_shown_with_both_places() {
    let twice = instance(" virtual_ipaddress_excluded {\n 10.0.0.1\n }");
    let loaded = refused(&twice, &["duplicate 8:2"]);
    assert!(shown(&loaded).contains("a.conf:5:2"), "{}", shown(&loaded));
    let other = instance(" virtual_ipaddress_excluded {\n 10.0.0.1\n }")
        .replace("e V", "e W")
        .replace(" 10.0.0.1\n }\n virtual", " 10.0.0.9\n }\n virtual")
        .replace("id 1", "id 2");
    let loaded = refused(&(instance("") + &other), &["duplicate 16:2"]);
    assert!(shown(&loaded).contains("the address 10.0.0.1 is in `V` and in `W`"), "{}", shown(&loaded));
}

#[test]
fn an_instance_without_addresses_says_so() {
    let none = instance(" no_virtual_ipaddress").replace(" virtual_ipaddress {\n 10.0.0.1\n }\n", "");
    assert!(only(&none, &[]).addresses.is_empty());
    // VR-023: version 3 lists at least one.
    refused(&none.replace("no_virt", "version 3\n no_virt"), &["conflict 5:2"]);
    let unsaid = none.replace(" no_virtual_ipaddress", " version 3");
    let loaded = refused(&unsaid, &["missing-keyword 1:1"]);
    assert!(shown(&loaded).contains("with `no_virtual_ipaddress` there may be none"), "{}", shown(&loaded));
    // As in keepalived, in version 2 a warning, and in strict mode not.
    let unsaid = none.replace(" no_virtual_ipaddress", "");
    assert!(only(&unsaid, &["missing-keyword 1:1"]).addresses.is_empty());
    let empty = instance("").replace(" 10.0.0.1\n", "");
    assert!(only(&empty, &["missing-keyword 4:2"]).addresses.is_empty());
    let strict = none.replace("no_virtual_ipaddress", "strict_mode\n priority 255");
    refused(&strict, &["missing-keyword 1:1"]);
    let excluded = none.replace("no_virtual_ipaddress", "virtual_ipaddress_excluded {\n 10.0.0.1\n }");
    assert_eq!(only(&excluded, &["missing-keyword 1:1"]).excluded.len(), 1);
    assert_eq!(only(&excluded.replace("id 1\n", "id 1\n no_virtual_ipaddress\n"), &[]).excluded.len(), 1);
}

#[test]
fn what_is_of_the_other_family_is_shown_beside_the_first_address() {
    for (more, complaint) in [
        (" unicast_peer {\n fe80::2\n }", "conflict 8:2"),
        (" unicast_src_ip fe80::2\n unicast_peer {\n 10.0.0.2\n }", "conflict 7:2"),
        (" mcast_src_ip fe80::2", "conflict 7:2"),
        (" mcast_dst_ip ff02::18", "conflict 7:2"),
        (" native_ipv6", "conflict 7:2"),
    ] {
        let loaded = refused(&instance(more), &[complaint]);
        assert!(more.contains("native") || shown(&loaded).contains("a.conf:5:2"), "{}", shown(&loaded));
    }
    let mixed = instance("").replace(" 10.0.0.1\n", " 10.0.0.1\n fe80::1\n");
    let loaded = refused(&mixed, &["conflict 6:2"]);
    assert!(shown(&loaded).contains("move it to `virtual_ipaddress_excluded`"), "{}", shown(&loaded));
}

#[test]
fn groups_are_multicast_and_of_their_family() {
    let to = |instance: VrrpInstance| match instance.delivery {
        Delivery::Multicast { group, .. } => group.to_string(),
        Delivery::Unicast { .. } => panic!("multicast"),
    };
    assert_eq!(to(with(" mcast_dst_ip 224.0.0.20", &[])), "224.0.0.20");
    assert_eq!(to(under("vrrp_mcast_group4 224.0.0.21", "", &[])), "224.0.0.21");
    assert_eq!(to(under("vrrp_mcast_group4 224.0.0.21", " mcast_dst_ip 239.0.0.20", &[])), "239.0.0.20");
    for (line, complaint) in
        [("mcast_dst_ip 10.0.0.3", "bad-value 7:15"), ("mcast_dst_ip x", "bad-value 7:15")]
    {
        refused(&instance(&format!(" {line}")), &[complaint]);
    }
    for line in ["vrrp_mcast_group4 10.0.0.1", "vrrp_mcast_group4 ff02::12", "vrrp_mcast_group6 224.0.0.18"] {
        refused(&(format!("global_defs {{\n {line}\n}}\n") + &instance("")), &["bad-value 2:20"]);
    }
    // One that does not stay on the link is used for the whole file and not for an instance, as in keepalived.
    let wide = "global_defs {\n vrrp_mcast_group6 ff05::1\n}\n".to_owned();
    assert_eq!(to(only(&(wide + &instance_6("")), &["out-of-range 2:20"])), "ff05::1");
    assert_eq!(to(only(&instance_6(" mcast_dst_ip ff05::1"), &["out-of-range 8:15"])), "ff02::12");
    refused(&instance_6(" mcast_dst_ip fe80::9"), &["bad-value 8:15"]);
    let both = with(" mcast_dst_ip 224.0.0.20\n unicast_peer {\n 10.0.0.2\n }", &["conflict 7:2"]);
    assert!(matches!(both.delivery, Delivery::Unicast { .. }));
}

#[test]
fn old_checksums_are_for_unicast() {
    let peer = " unicast_peer {\n 10.0.0.2\n }\n version 3\n";
    let sum = |more: &str| with(&format!("{peer}{more}"), &[]).checksum;
    assert_eq!(sum(" old_unicast_checksum"), Checksum::OldUnicast);
    assert_eq!(sum(" old_unicast_checksum never"), Checksum::WithAddresses);
    assert_eq!(sum(" v3_checksum_as_v2"), Checksum::MessageAlone);
    assert_eq!(with(" old_unicast_checksum", &["conflict 7:2"]).checksum, Checksum::WithAddresses);
    refused(&instance(&format!("{peer} v3_checksum_as_v2\n old_unicast_checksum")), &["conflict 12:2"]);
    refused(&instance(&format!("{peer} old_unicast_checksum always")), &["bad-value 11:23"]);
}

#[test]
fn a_key_of_ah_is_cut_as_a_password_and_version_3_has_neither() {
    let block = " authentication {\n auth_type AH\n auth_pass 123456789\n }";
    let key = Password::new("12345678").map(Authentication::Ah);
    assert_eq!(with(block, &["out-of-range 9:12"]).authentication, key);
    let in_3 = format!("{block}\n version 3").replace("89", "");
    assert_eq!(with(&in_3, &["conflict 7:2"]).authentication, None);
    assert_eq!(only(&instance_6(&block.replace("89", "")), &["conflict 8:2"]).authentication, None);
}

#[test]
fn stepping_down_after_a_pause_needs_nopreempt() {
    let others =
        |more: &str, expected: &[&str]| with(more, expected).yield_when_late.map(std::num::NonZeroU8::get);
    assert_eq!(others(" nopreempt\n timer_expired_backup", &[]), Some(254));
    assert_eq!(others(" nopreempt\n thread_timer_expired 100", &[]), Some(100));
    assert_eq!(others(" timer_expired_backup", &["conflict 7:2"]), None);
    refused(&instance(" nopreempt\n timer_expired_backup 255"), &["out-of-range 8:23"]);
    refused(&instance(" nopreempt\n timer_expired_backup\n thread_timer_expired"), &["duplicate 9:2"]);
}

#[test]
fn values_of_virtual_routers_have_keepalived_s_ranges() {
    for (line, complaint) in [
        ("down_timer_adverts 0", "out-of-range 7:21"),
        ("down_timer_adverts 101", "out-of-range 7:21"),
        ("down_timer_adverts", "missing-parameter 7:2"),
        ("lower_prio_no_advert foo", "bad-value 7:23"),
        ("strict_mode 1", "bad-value 7:14"),
        ("garp_lower_prio_delay 4295", "out-of-range 7:24"),
        ("garp_lower_prio_repeat -1", "out-of-range 7:25"),
        ("debug", "missing-parameter 7:2"),
        ("debug 5", "out-of-range 7:8"),
        ("kernel_rx_buf_size x", "bad-value 7:21"),
        ("notify_master_rx_lower_pri", "missing-parameter 7:2"),
        ("no_accept", "not-supported-yet 7:2"),
        ("use_vmac", "not-supported-yet 7:2"),
        ("promote_secondaries", "not-supported-yet 7:2"),
        ("vrf red", "not-supported-yet 7:2"),
        ("auth_hmac {\n }", "not-supported-yet 7:2"),
    ] {
        refused(&instance(&format!(" {line}")), &[complaint]);
    }
    for (line, complaint) in [
        ("vrrp_down_timer_adverts 0", "out-of-range 2:26"),
        ("vrrp_startup_delay 0", "out-of-range 2:21"),
        ("vrrp_startup_delay 4295", "out-of-range 2:21"),
        ("vrrp_min_garp maybe", "bad-value 2:16"),
        ("dynamic_interfaces yes", "bad-value 2:21"),
        ("checker_priority 20", "out-of-range 2:19"),
        ("vrrp_rx_bufs_policy FOO", "bad-value 2:22"),
        ("vrrp_rx_bufs_multiplier 0", "out-of-range 2:26"),
        ("notify_fifo run/f", "bad-value 2:14"),
        ("vrrp_notify_fifo", "missing-parameter 2:2"),
        ("lvs_notify_fifo_script \"/bin/a 'b\"", "bad-value 2:25"),
        ("startup_script /bin/true", "not-supported-yet 2:2"),
    ] {
        refused(&(format!("global_defs {{\n {line}\n}}\n") + &instance("")), &[complaint]);
    }
}

#[test]
fn what_changes_nothing_in_an_instance_is_a_warning() {
    let alone = "at priority 255, unless another router says 255, too";
    for (line, why) in [
        ("preempt_delay 5", "at priority 255: the owner takes over at once"),
        ("down_timer_adverts 5", alone),
        ("higher_prio_send_advert", alone),
    ] {
        let owner = instance(&format!(" {line}\n priority 255"));
        only(&owner, &["no-effect 7:2"]);
        let keyword = line.split(' ').next().expect("a word");
        let shown = shown(&read(&owner));
        assert!(
            shown.starts_with(&format!("warning[no-effect]: `{keyword}` has no effect {why}\n")),
            "{shown}"
        );
        with(&format!(" {line}\n priority 254"), &[]);
    }
    // What is the default, or off, asks for nothing; strict mode has a warning of its own.
    with(" preempt_delay 0\n down_timer_adverts 3\n higher_prio_send_advert off\n priority 255", &[]);
    let strict =
        " strict_mode\n priority 255\n preempt_delay 5\n down_timer_adverts 5\n higher_prio_send_advert";
    with(strict, &["conflict 9:2", "conflict 10:2", "conflict 11:2"]);

    with(" owner_ignore_adverts", &["no-effect 7:2"]);
    let said = shown(&read(&instance(" owner_ignore_adverts")));
    assert!(said.contains("`owner_ignore_adverts` has no effect below priority 255\n"), "{said}");
    with(" owner_ignore_adverts off", &[]);
    with(" owner_ignore_adverts\n priority 255", &[]);

    with(" garp_master_refresh_repeat 2", &["no-effect 7:2"]);
    let said = shown(&read(&instance(" garp_master_refresh_repeat 2")));
    assert!(
        said.contains("`garp_master_refresh_repeat` has no effect without `garp_master_refresh`\n"),
        "{said}"
    );
    with(" garp_master_refresh_repeat 2\n garp_master_refresh 0", &["no-effect 7:2"]);
    with(" garp_master_refresh_repeat 2\n garp_master_refresh 60", &[]);
    under("vrrp_garp_master_refresh 60", " garp_master_refresh_repeat 2", &[]);
}

#[test]
fn the_check_of_unicast_sources_without_peers_is_a_warning() {
    let text = instance(" check_unicast_src");
    only(&text, &["conflict 7:2"]);
    let shown = shown(&read(&text));
    assert!(shown.contains("no `unicast_peer` is given: adverts go by multicast"), "{shown}");
    with(" check_unicast_src\n unicast_peer {\n 10.0.0.2\n }", &[]);
}

#[test]
fn the_loopback_interface_is_no_place_for_a_virtual_router() {
    let loaded = refused(&instance("").replace("eth0", "lo"), &["bad-value 2:12"]);
    let shown = shown(&loaded);
    assert!(shown.contains("`interface` cannot be the loopback interface `lo`"), "{shown}");
    only(&instance("").replace("eth0", "lo0"), &[]);
}

#[test]
fn delays_of_the_start_are_read_to_the_microsecond() {
    let text =
        "global_defs {\n vrrp_startup_delay 3.5\n vrrp_delay_after_boot 60\n}\n".to_owned() + &instance("");
    let global = accepted(&text, &[]).global;
    assert_eq!(global.startup_delay, Duration::from_millis(3500));
    assert_eq!(global.delay_after_boot, seconds(60));
}

#[test]
fn what_the_operating_system_is_asked_for_is_read() {
    let global = "global_defs {\n vrrp_priority -5\n vrrp_rt_priority 50\n vrrp_rlimit_rttime 1\n vrrp_no_swap\n \
        vrrp_cpu_affinity 0 1\n vrrp_garp_interval 0.01\n vrrp_gna_interval 0.000001\n log_unknown_vrids\n}\n";
    let global = accepted(&(global.to_owned() + &instance("")), &[]).global;
    let expected = Scheduling {
        niceness: Some(-5),
        realtime: Some(50),
        // The kernel takes 1 for no limit, and keepalived makes 2 of it.
        realtime_limit: Some(Duration::from_micros(2)),
        no_swap: true,
        processors: vec![0, 1],
    };
    assert_eq!(global.scheduling, expected);
    assert_eq!(
        (global.pacing.arp, global.pacing.neighbour),
        (Duration::from_millis(10), Duration::from_micros(1))
    );
    assert!(global.log_unknown_vrids);
    for (line, complaint) in [
        ("vrrp_priority 20", "out-of-range 2:16"),
        ("vrrp_priority -21", "out-of-range 2:16"),
        ("vrrp_rt_priority 0", "out-of-range 2:19"),
        ("vrrp_rt_priority 100", "out-of-range 2:19"),
        ("vrrp_rlimit_rttime 0", "out-of-range 2:21"),
        ("vrrp_rlimit_rttime 5\n vrrp_rlimit_rtime 5", "duplicate 3:2"),
        ("vrrp_cpu_affinity", "missing-parameter 2:2"),
        ("vrrp_cpu_affinity 0 x", "bad-value 2:22"),
        ("vrrp_garp_interval -1", "out-of-range 2:21"),
        ("vrrp_gna_interval 4295", "out-of-range 2:20"),
    ] {
        refused(&(format!("global_defs {{\n {line}\n}}\n") + &instance("")), &[complaint]);
    }
}

#[test]
fn announcements_on_further_interfaces_are_for_those_that_nobody_can_have() {
    with(" garp_extra_if 10", &["no-effect 7:2"]);
    with(" vmac_garp_intvl 0", &["no-effect 7:2"]);
    with(" garp_extra_if all 0", &["no-effect 7:2"]);
    refused(&instance(" garp_extra_if all 10"), &["not-supported-yet 7:16"]);
    refused(&instance(" garp_extra_if 10 20"), &["bad-value 7:16"]);
    refused(&instance(" garp_extra_if 86401"), &["out-of-range 7:16"]);
    refused(&instance(" garp_extra_if 1\n vmac_garp_intvl 1"), &["no-effect 7:2", "duplicate 8:2"]);
    under("vrrp_garp_extra_if 10", "", &["no-effect 2:2"]);
    refused(
        &("global_defs {\n vrrp_garp_extra_if 0\n}\n".to_owned() + &instance("")),
        &["out-of-range 2:21"],
    );
}

#[test]
fn scripts_of_rare_occasions_are_read() {
    let scripts = with(" notify_master_rx_lower_pri /bin/a\n notify_deleted \"/bin/b c\" root", &[]).notify;
    assert_eq!(scripts.master_rx_lower_pri.map(|script| script.command), Some(vec!["/bin/a".to_owned()]));
    let deleted = scripts.deleted.expect("a script");
    assert_eq!(
        (deleted.command, deleted.user.map(|user| user.user)),
        (vec!["/bin/b".into(), "c".into()], Some("root".into()))
    );
    assert_eq!(with(" notify_deleted", &[]).notify.deleted, None);
}

#[test]
fn what_only_reports_is_one_warning_for_each_subject() {
    let global = "global_defs {\n notification_email {\n  root@localhost\n  a@example.org\n }\n \
        notification_email_from lb@example.org\n smtp_server 127.0.0.1 25\n smtp_connect_timeout 30\n \
        enable_snmp_vrrp\n enable_traps\n enable_dbus\n vrrp_iptables\n process_names\n}\n";
    let text = global.to_owned() + &instance(" smtp_alert");
    let warnings = ["no-effect 2:2", "no-effect 9:2", "no-effect 11:2", "no-effect 12:2", "no-effect 13:2"];
    accepted(&text, &warnings);
    let shown = shown(&read(&text));
    assert!(
        shown.starts_with(
            "\
warning[no-effect]: `notification_email` has no effect: lvsd sends no mail yet
  --> a.conf:2:2
   |
 2 |  notification_email {
   |  ^^^^^^^^^^^^^^^^^^ read, and otherwise left out
"
        ),
        "{shown}"
    );
    // The others of the subject stand below it, the instance's among them.
    assert!(shown.contains("smtp_server 127.0.0.1 25\n   |  ----------- this, too"), "{shown}");
    assert!(shown.contains(" smtp_alert\n   |  ---------- this, too"), "{shown}");
    assert!(shown.contains("= help: `notify` scripts can tell of changes"), "{shown}");
}

#[test]
fn a_keyword_that_stood_there_and_was_wrong_is_not_missing() {
    for (right, wrong, code) in [
        (" interface eth0", " interface", "missing-parameter 2:2"),
        (" interface eth0", " interface eth0 eth1", "surplus-words 2:17"),
        (" virtual_router_id 1", " virtual_router_id", "missing-parameter 3:2"),
        (" virtual_ipaddress {\n 10.0.0.1\n }", " virtual_ipaddress", "missing-block 4:2"),
        (" virtual_router_id 1", " virtual_router_id 1\n state MASTER\n priority", "missing-parameter 5:2"),
    ] {
        refused(&instance("").replace(right, wrong), &[code]);
    }
}
