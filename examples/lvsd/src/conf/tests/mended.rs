//! What keepalived 2.2.7 puts right with a message, and goes on, is put right here, too: the same way, with a warning.

use std::time::Duration;

use lvs_core::AddressScope;

use super::super::model::*;
use super::*;

/// The configuration of a text about which exactly this is said, and all of it in warnings.
#[track_caller]
fn mended(text: &str, expected: &[&str]) -> Config {
    let loaded = read(text);
    assert_eq!(complaints(text), expected, "{}", shown(&loaded));
    let summary = match expected.len() {
        0 => String::new(),
        1 => "0 errors, 1 warning\n".to_owned(),
        several => format!("0 errors, {several} warnings\n"),
    };
    assert!(shown(&loaded).ends_with(&summary), "{}", shown(&loaded));
    loaded.config.expect("nothing but warnings")
}

/// The instance with more statements, from line 7 on.
#[track_caller]
fn with(more: &str, expected: &[&str]) -> VrrpInstance {
    mended(&instance(more), expected).instances.remove(0)
}

/// The same after a block of global definitions with one statement, on line 2.
#[track_caller]
fn under(global: &str, expected: &[&str]) -> Config {
    mended(&(format!("global_defs {{\n {global}\n}}\n") + &instance("")), expected)
}

#[test]
fn no_packets_of_announcements_are_one_and_too_many_are_255() {
    let of = |instance: &VrrpInstance| {
        let Garp { repeat, refresh_repeat, lower_prio_repeat, .. } = instance.garp;
        (repeat.get(), refresh_repeat.get(), lower_prio_repeat)
    };
    let (repeat, refresh, lower) = ("out-of-range 7:21", "out-of-range 7:29", "out-of-range 7:25");
    assert_eq!(of(&with(" garp_master_repeat 0", &[repeat])), (1, 1, 5));
    assert_eq!(of(&with(" garp_master_repeat 256", &[repeat])), (255, 1, 5));
    let refresh_repeat = |packets| format!(" garp_master_refresh_repeat {packets}\n garp_master_refresh 60");
    assert_eq!(of(&with(&refresh_repeat(0), &[refresh])), (5, 1, 5));
    assert_eq!(of(&with(&refresh_repeat(1000), &[refresh])), (5, 255, 5));
    assert_eq!(of(&with(" garp_lower_prio_repeat 2147483647", &[lower])), (5, 1, 255));
    assert_eq!(of(&with(" garp_lower_prio_repeat 0", &[])), (5, 1, 0));
    let all = |text, at| of(&under(text, &[at]).instances[0]);
    assert_eq!(all("vrrp_garp_master_repeat 0", "out-of-range 2:26"), (1, 1, 1));
    assert_eq!(all("vrrp_garp_master_repeat 300", "out-of-range 2:26"), (255, 1, 255));
    assert_eq!(all("vrrp_garp_master_refresh_repeat 0", "out-of-range 2:34"), (5, 1, 5));
    assert_eq!(all("vrrp_garp_lower_prio_repeat 300", "out-of-range 2:30"), (5, 1, 255));
}

#[test]
fn no_time_between_announcements_is_left_out_as_in_the_sample_that_everybody_copies() {
    for keyword in ["vrrp_garp_interval", "vrrp_gna_interval"] {
        let at = format!("out-of-range 2:{}", keyword.len() + 3);
        assert_eq!(under(&format!("{keyword} 0"), &[&at]).global.pacing, Pacing::default());
    }
}

#[test]
fn a_ttl_of_0_is_1() {
    let ttl = |instance: VrrpInstance| match instance.delivery {
        Delivery::Unicast { ttl, .. } => ttl,
        Delivery::Multicast { .. } => panic!("unicast"),
    };
    assert_eq!(ttl(with(" unicast_ttl 0\n unicast_peer {\n 10.0.0.2\n }", &["out-of-range 7:14"])), 1);
    assert_eq!(ttl(with(" unicast_ttl 1\n unicast_peer {\n 10.0.0.2\n }", &[])), 1);
}

#[test]
fn authentication_without_a_password_is_none() {
    for kind in ["PASS", "AH"] {
        let block = format!(" authentication {{\n auth_type {kind}\n }}");
        assert_eq!(with(&block, &["missing-keyword 7:2"]).authentication, None);
        let said = shown(&read(&instance(&block)));
        let message =
            format!("`auth_type {kind}` without a password: the block is left out, as in keepalived");
        assert!(said.contains(&message), "{said}");
    }
}

#[test]
fn intervals_that_cannot_be_sent_are_rounded_as_keepalived_rounds() {
    // Each measured on the wire.
    for (version, wanted, sent) in [
        (2, "0.4", 1000),
        (2, "1.49", 1000),
        (2, "1.5", 2000),
        (2, "1.6", 2000),
        (2, "2.5", 3000),
        (3, "0.124999", 120),
        (3, "0.125", 130),
        (3, "0.115", 120),
        (3, "0.015", 20),
        (3, "41", 40_950),
        (3, "255", 40_950),
        (3, "40.951", 40_950),
    ] {
        let text = format!(" version {version}\n advert_int {wanted}");
        let instance = with(&text, &["out-of-range 8:2"]);
        assert_eq!(instance.advert_interval, Duration::from_millis(sent), "{version} {wanted}");
    }
    let said = shown(&read(&instance(" version 3\n advert_int 0.125")));
    assert!(
        said.contains("VRRP version 3 counts steps of 0.01 seconds: 0.13 is taken, as in keepalived"),
        "{said}"
    );
}

#[test]
fn a_prefix_length_that_is_none_is_that_of_one_host() {
    for (address, length) in
        [("10.0.0.1/33", 32), ("10.0.0.1/x", 32), ("fe80::1/129", 128), ("fe80::1/", 128)]
    {
        let text = instance("").replace("10.0.0.1", address);
        let vips = mended(&text, &["out-of-range 5:2"]).instances.remove(0).addresses;
        assert_eq!((vips.len(), vips[0].key.prefix_len), (1, length), "{address}");
    }
}

#[test]
fn an_unknown_scope_is_left_out_and_the_address_is_not() {
    let text = instance("").replace("10.0.0.1", "10.0.0.1/24 scope linkk label eth0:1");
    let vips = mended(&text, &["bad-value 5:20"]).instances.remove(0).addresses;
    assert_eq!((vips[0].scope, vips[0].label.as_deref()), (AddressScope::GLOBAL, Some("eth0:1")));
    assert!(shown(&read(&text)).contains("did you mean `link`?"));
}

#[test]
fn what_is_tracked_and_does_not_exist_is_left_out() {
    for kind in ["track_script", "track_file", "track_process"] {
        assert_eq!(with(&format!(" {kind} {{\n nobody\n }}"), &["bad-value 8:2"]).track, []);
    }
    let said = shown(&read(&instance(" track_script {\n nobody\n }")));
    assert!(said.contains("there is no script `nobody`: the entry is left out, as in keepalived"), "{said}");
}

#[test]
fn weights_out_of_range_are_those_that_keepalived_makes_of_them() {
    let weight = |object: &str, entry: &str, expected: &[&str]| {
        let kind = object
            .split(' ')
            .next()
            .expect("a word")
            .trim_start_matches("vrrp_")
            .trim_start_matches("track_");
        let text = format!("{object}\n") + &instance(&format!(" track_{kind} {{\n s {entry}\n }}"));
        let instance = mended(&text, expected).instances.remove(0);
        (instance.track[0].weight, instance.track[0].reverse)
    };
    let script = |weight: &str| format!("vrrp_script s {{\n script /bin/true\n{weight}\n}}");
    // An entry falls back to the object's own weight.
    assert_eq!(weight(&script(" weight 20 reverse"), "weight 300", &["out-of-range 12:11"]), (20, true));
    assert_eq!(weight(&script(""), "weight -254", &["out-of-range 12:11"]), (0, false));
    assert_eq!(weight("track_file s {\n file /f\n}", "weight 255", &["out-of-range 11:11"]), (1, false));
    // 2.2.7 uses that of a script, and a priority ends at 1 and 254.
    assert_eq!(weight(&script(" weight 300"), "", &["out-of-range 3:9"]), (253, false));
    assert_eq!(weight(&script(" weight -99999 reverse"), "", &["out-of-range 3:9"]), (-253, true));
    // And drops those of the others.
    assert_eq!(weight("track_file s {\n file /f\n weight 300\n}", "", &["out-of-range 3:9"]), (1, false));
    let process = "vrrp_track_process s {\n process x\n weight -300\n}";
    assert_eq!(weight(process, "", &["out-of-range 3:9"]), (0, false));
}

#[test]
fn members_that_a_sync_group_cannot_have_are_left_out() {
    let instance = |name: &str, id: u8| {
        instance("")
            .replace("e V", &format!("e {name}"))
            .replace("id 1", &format!("id {id}"))
            .replace(".1\n", &format!(".{id}\n"))
    };
    let all = instance("A", 1) + &instance("B", 2) + &instance("C", 3);
    let members = |groups: &str, expected: &[&str]| {
        let config = mended(&(groups.to_owned() + &all), expected);
        let of =
            |group: &crate::conf::tracking::SyncGroup| format!("{}: {}", group.name, group.members.join(" "));
        config.groups.iter().map(of).collect::<Vec<_>>()
    };
    let unknown = "vrrp_sync_group G {\n group {\n A\n X\n B\n }\n}\n";
    assert_eq!(members(unknown, &["bad-value 4:2"]), ["G: A B"]);
    let twice = "vrrp_sync_group G {\n group {\n A B\n }\n}\nvrrp_sync_group H {\n group {\n B C A\n }\n}\n";
    assert_eq!(members(twice, &["duplicate 8:2", "duplicate 8:6"]), ["G: A B", "H: C"]);
    let nobody = "vrrp_sync_group G {\n group {\n X Y\n }\n}\nvrrp_sync_group H {\n group {\n A B\n }\n}\n";
    assert_eq!(members(nobody, &["missing-keyword 1:17", "bad-value 3:2", "bad-value 3:4"]), ["H: A B"]);
    assert_eq!(members("vrrp_sync_group G {\n}\n", &["missing-keyword 1:17"]), [""; 0]);
}

#[test]
fn lists_that_are_there_twice_are_one_list() {
    let addresses = |list: &[lvs_core::VirtualAddress]| -> Vec<String> {
        list.iter().map(|address| address.key.address.to_string()).collect()
    };
    let more = " virtual_ipaddress {\n 10.0.0.2\n }\n virtual_ipaddress_excluded {\n 10.0.0.3\n }\n \
        virtual_ipaddress_excluded {\n 10.0.0.4\n }\n unicast_peer {\n 10.9.0.2\n }\n unicast_peer {\n 10.9.0.3\n 10.9.0.2\n }";
    let instance = with(more, &["duplicate 21:2"]);
    assert_eq!(addresses(&instance.addresses), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(addresses(&instance.excluded), ["10.0.0.3", "10.0.0.4"]);
    let Delivery::Unicast { peers, .. } = &instance.delivery else { panic!("unicast: {instance:?}") };
    let peers: Vec<String> = peers.iter().map(|peer| peer.address.to_string()).collect();
    assert_eq!(peers, ["10.9.0.2", "10.9.0.3"]);
}

#[test]
fn the_first_of_two_holds_where_keepalived_says_so() {
    for keyword in ["notify_master", "notify_backup", "notify_fault", "notify_stop", "notify"] {
        let instance = with(&format!(" {keyword} /a\n {keyword} /b"), &["duplicate 8:2"]);
        let notify = instance.notify;
        let all = [notify.master, notify.backup, notify.fault, notify.stop, notify.any];
        let commands: Vec<_> = all.into_iter().flatten().map(|script| script.command).collect();
        assert_eq!(commands, [["/a"]], "{keyword}");
    }
    assert_eq!(with(" version 3\n version 2", &["duplicate 8:2"]).version, Version::V3);
    let group = "vrrp_sync_group G {\n group {\n A B\n }\n group {\n C\n }\n notify /a\n notify /b\n}\n";
    let shown = shown(&read(group));
    assert!(shown.contains("`group` is there twice: this one is left out, as in keepalived"), "{shown}");
    assert!(shown.contains("`notify` is there twice: this one is left out, as in keepalived"), "{shown}");
    under("notify_fifo /a\n notify_fifo /b", &["duplicate 3:2"]);
    let file = "track_file f {\n file /a\n file /b\n weight 1\n weight 2\n}\n".to_owned()
        + &instance(" track_file {\n f\n }");
    let config = mended(&file, &["duplicate 3:2", "duplicate 5:2"]);
    assert_eq!(config.files[0].path, std::path::Path::new("/a"));
    assert_eq!(config.instances[0].track[0].weight, 1);
}

#[test]
fn a_prefix_length_of_a_router_s_address_is_left_out() {
    for length in ["/24", "/33", "/x", "/"] {
        let more = format!(
            " unicast_src_ip 10.9.0.1{length}\n unicast_peer {{\n 10.9.0.2{length}\n 10.9.0.3{length} min_ttl 3\n }}"
        );
        let instance = with(&more, &["out-of-range 7:17", "out-of-range 9:2", "out-of-range 10:2"]);
        let Delivery::Unicast { source, peers, .. } = &instance.delivery else {
            panic!("unicast: {instance:?}")
        };
        assert_eq!(*source, Some([10, 9, 0, 1].into()));
        let peers: Vec<String> = peers.iter().map(|peer| peer.address.to_string()).collect();
        assert_eq!(peers, ["10.9.0.2", "10.9.0.3"]);
    }
    let instance = with(" mcast_src_ip 10.9.0.1/24", &["out-of-range 7:15"]);
    let source = Some([10, 9, 0, 1].into());
    assert_eq!(instance.delivery, Delivery::Multicast { group: [224, 0, 0, 18].into(), source });
}

#[test]
fn a_loopback_address_can_be_a_virtual_one() {
    for address in ["127.0.0.5", "::1"] {
        let text = instance("").replace("10.0.0.1", address);
        let loaded = read(&text);
        let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", shown(&loaded)));
        assert_eq!(config.instances[0].addresses[0].key.address.to_string(), address);
        assert!(
            shown(&loaded).contains("is a loopback address: it is added all the same"),
            "{}",
            shown(&loaded)
        );
    }
}
