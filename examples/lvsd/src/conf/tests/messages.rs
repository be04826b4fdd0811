//! Wrong files: what is said, and where.

use super::*;

#[track_caller]
fn says(text: &str, expected: &str) {
    let loaded = read(text);
    assert!(loaded.config.is_none(), "refused");
    assert_eq!(shown(&loaded), expected, "\n{}", shown(&loaded));
}

/// The complaints about an instance with more statements; line 7 is the first of them.
#[track_caller]
fn in_instance(more: &str, expected: &[&str]) {
    assert_eq!(complaints(&instance(more)), expected, "{more}");
}

#[track_caller]
fn in_service(more: &str, expected: &[&str]) {
    assert_eq!(complaints(&service(more)), expected, "{more}");
}

#[test]
fn priority_300_is_refused_with_place_range_and_remedy() {
    says(
        &instance("    priority 300   # 優先度"),
        "\
error[out-of-range]: `priority` is out of range: `300`
 --> a.conf:7:14
  |
7 |     priority 300   # 優先度
  |              ^^^ must be from 1 to 254
  |
  = help: allowed are 1 to 254, and 255 for the router that owns the addresses itself
  = help: write 254 or less; the highest number wins, such as `priority 200` here and `priority 100` there

1 error, 0 warnings
",
    );
}

#[test]
fn a_misspelt_keyword_gets_the_right_spelling() {
    says(
        "virtual_server 10.0.0.1 80 {\n lb_kind NAT\n protocol TCP\n real_server 10.0.0.2 80 {\n  wieght 1\n }\n}\n",
        "\
error[unknown-keyword]: unknown keyword `wieght` in `real_server`
 --> a.conf:5:3
  |
5 |   wieght 1
  |   ^^^^^^ did you mean `weight`?
  |
  = help: lvsd knows in `real_server`: HTTP_GET, TCP_CHECK, connect_timeout, delay_before_retry, delay_loop, inhibit_on_failure, lvs_method, retry, virtualhost, warmup, weight

1 error, 0 warnings
",
    );
}

#[test]
fn a_keyword_of_keepalived_is_never_ignored() {
    says(
        &instance(" track_bfd {\n  chk\n }"),
        "\
error[not-supported-yet]: `track_bfd` is a keyword of keepalived that lvsd does not support yet
 --> a.conf:7:2
  |
7 |  track_bfd {
  |  ^^^^^^^^^ not supported yet
  |
  = help: docs/PARITY.md lists what is; nothing is ignored silently

1 error, 0 warnings
",
    );
}

#[test]
fn a_missing_brace_is_shown_where_it_was_opened() {
    says(
        "vrrp_instance V {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        10.0.0.1\n    }\n",
        "\
error[unbalanced-brace]: the block of `vrrp_instance` is not closed
 --> a.conf:1:17
  |
1 | vrrp_instance V {
  |                 ^ this brace has no closing `}` before the end of the file

1 error, 0 warnings
",
    );
}

#[test]
fn a_missing_brace_is_found_by_what_cannot_be_inside() {
    says(
        "vrrp_instance V {\n    interface eth0\n    virtual_router_id 1\n    virtual_ipaddress {\n        10.0.0.1\n    authentication {\n        auth_type PASS\n        auth_pass 1234\n    }\n}\n",
        "\
error[unbalanced-brace]: the block of `virtual_ipaddress` is not closed
 --> a.conf:4:23
  |
4 |     virtual_ipaddress {
  |                       ^ this brace has no closing `}`
  |
 ::: a.conf:6:5
  |
6 |     authentication {
  |     -------------- `authentication` cannot be inside of it

1 error, 0 warnings
",
    );
}

#[test]
fn indentation_tells_which_block_lacks_its_brace() {
    let text = service("").replace(" }\n", " HTTP_GET {\n  url {\n   path /\n  }\n }\n");
    let loaded = read(&text);
    assert!(shown(&loaded).contains("the block of `virtual_server` is not closed"), "{}", shown(&loaded));
    let text = "virtual_server 10.0.0.1 80 {\n  real_server 10.0.0.2 80 {\n    TCP_CHECK {\n  }\n}\n";
    let loaded = read(text);
    assert!(shown(&loaded).contains("perhaps it is `TCP_CHECK` that lacks its brace"), "{}", shown(&loaded));
}

#[test]
fn a_brace_too_many_is_shown() {
    assert_eq!(complaints(&(instance("") + "}\n")), ["unbalanced-brace 9:1"]);
}

#[test]
fn a_password_is_hidden_in_the_line_that_is_shown() {
    says(
        &instance(" authentication {\n  auth_type PASS auth_pass geheim\n }"),
        "\
error[surplus-words]: `auth_type` takes one value
 --> a.conf:8:18
  |
8 |   auth_type PASS auth_pass ********
  |                  ^^^^^^^^^^^^^^^^^^ this does not belong here
  |
  = help: `auth_pass` starts a statement of its own: put it on the next line

1 error, 0 warnings
",
    );
    says(
        &instance(" auth_pas geheim # auth_pass geheim"),
        "\
error[unknown-keyword]: unknown keyword `auth_pas` in `vrrp_instance`
 --> a.conf:7:2
  |
7 |  auth_pas ********
  |  ^^^^^^^^ did you mean `auth_pass`? It belongs in `authentication`
  |
  = help: docs/PARITY.md lists what lvsd knows in `vrrp_instance`

1 error, 0 warnings
",
    );
}

#[test]
fn duplicates_show_both_places() {
    says(
        &instance(" priority 100\n priority 200"),
        "\
error[duplicate]: `priority` is there twice
 --> a.conf:8:2
  |
8 |  priority 200
  |  ^^^^^^^^ the second time
  |
 ::: a.conf:7:2
  |
7 |  priority 100
  |  -------- the first time
  |
  = help: remove one of them; keepalived would silently use the last

1 error, 0 warnings
",
    );
    in_service(" lb_algo rr\n lvs_sched wlc", &["duplicate 7:2"]);
    in_service(" lb_kind NAT", &["duplicate 6:2"]);
    in_instance(" preempt\n nopreempt", &["duplicate 8:2"]);
    in_service(" real_server 10.0.0.2 80 {\n }", &["duplicate 6:14"]);
    let second = instance("").replace("10.0.0.1", "10.0.0.2").replace("id 1", "id 2");
    assert_eq!(complaints(&(instance("") + &second)), ["duplicate 9:15"], "name");
    let second = instance("").replace("10.0.0.1", "10.0.0.2").replace("e V", "e W");
    assert_eq!(complaints(&(instance("") + &second)), ["duplicate 11:2"], "VRID");
    let second = instance("").replace("id 1", "id 2").replace("e V", "e W");
    assert_eq!(complaints(&(instance("") + &second)), ["duplicate 13:2"], "VIP");
    assert_eq!(complaints(&(service("") + &service(""))), ["duplicate 8:16"], "service");
    let other = service("").replace("TCP", "UDP");
    assert_eq!(complaints(&(service("") + &other)), [""; 0], "another protocol is another service");
    let other = instance("").replace("e V", "e W").replace("10.0.0.1", "10.0.0.2").replace("eth0", "eth1");
    assert_eq!(complaints(&(instance("") + &other)), [""; 0], "another link, another virtual router");
    let unicast = |name: &str, vip: &str, peer: &str| {
        instance(&format!(" unicast_peer {{\n 10.9.0.1\n {peer}\n }}"))
            .replace("e V", name)
            .replace("10.0.0.1", vip)
    };
    let apart = unicast("e V", "10.0.0.1", "10.9.0.2")
        + &instance("").replace("e V", "e W").replace("10.0.0.1", "10.0.0.2");
    assert_eq!(complaints(&apart), [""; 0], "unicast and multicast do not meet");
    let meet = unicast("e V", "10.0.0.1", "10.9.0.2") + &unicast("e W", "10.0.0.2", "10.9.0.3");
    assert_eq!(complaints(&meet), ["duplicate 14:2"], "one peer in both");
    let twice = instance("").replace(" 10.0.0.1\n", " 10.0.0.1\n 10.0.0.1\n");
    assert_eq!(complaints(&twice), ["duplicate 6:2"]);
}

#[test]
fn wrong_values_are_shown_at_the_value() {
    for (more, code) in [
        ("priority x", "bad-value 7:11"),
        ("priority 0", "out-of-range 7:11"),
        ("priority 256", "out-of-range 7:11"),
        ("priority -1", "out-of-range 7:11"),
        ("priority 1.5", "bad-value 7:11"),
        ("priority 99999999999999999999999999999999999999999", "out-of-range 7:11"),
        ("state master", "bad-value 7:8"),
        ("version 4", "bad-value 7:10"),
        ("advert_int 0", "out-of-range 7:13"),
        ("advert_int 256", "out-of-range 7:13"),
        ("advert_int 1s", "bad-value 7:13"),
        ("advert_int 0.5", "out-of-range 7:2"),
        ("preempt_delay 1000.1", "out-of-range 7:16"),
        ("unicast_src_ip 10.0.0.300", "bad-value 7:17"),
        ("mcast_src_ip 224.0.0.1", "bad-value 7:15"),
        ("unicast_ttl 256", "out-of-range 7:14"),
        ("garp_master_delay 1.5", "bad-value 7:20"),
        ("garp_master_repeat 0", "out-of-range 7:21"),
        ("garp_master_repeat 2147483648", "out-of-range 7:21"),
        ("notify \"/bin/x 'a\"", "bad-value 7:9"),
        ("notify \"\"", "bad-value 7:9"),
        ("notify /x user :group", "not-supported-yet 7:17"),
        ("debug 5", "out-of-range 7:8"),
        ("use_vmac", "not-supported-yet 7:2"),
        ("nopreempt 1", "surplus-words 7:12"),
        ("priority", "missing-parameter 7:2"),
        ("priority 1 2 3", "surplus-words 7:13"),
        ("priority 1 {\n }", "unexpected-block 7:13"),
        ("authentication", "missing-block 7:2"),
        ("authentication {\n auth_type PASS\n }", "missing-keyword 7:2"),
        ("authentication {\n auth_type AH\n }", "missing-keyword 7:2"),
        ("authentication {\n auth_type pass\n auth_pass 1\n }", "bad-value 8:12"),
        ("unicast_peer {\n 10.0.0.2 10.0.0.3\n }", "unknown-keyword 8:11"),
        ("unicast_peer {\n 10.0.0.2 min_ttl\n }", "missing-parameter 8:11"),
        ("unicast_peer {\n 10.0.0.2 min_ttl 9 max_ttl 3\n }", "conflict 8:2"),
        ("real_server 10.0.0.1 80 {\n }", "unknown-keyword 7:2"),
        ("router_id x", "unknown-keyword 7:2"),
        ("zzzzzzzz x", "unknown-keyword 7:2"),
        ("notify ${SCRIPT}", "not-supported-yet 7:9"),
        ("@main priority 3", "not-supported-yet 7:2"),
        ("~SEQ(A,1,2) priority ${A}", "not-supported-yet 7:2"),
        ("$X=\\\n 1\\\n 2", "not-supported-yet 7:2"),
        ("include \"no such file\"", "unreadable 7:10"),
        ("include {a,b}.conf", "not-supported-yet 7:10"),
        ("priority\u{3000}100", "bad-text 7:10"),
        ("notify \"/bin/x", "bad-text 7:9"),
        ("{\n }", "unbalanced-brace 7:2"),
    ] {
        in_instance(&format!(" {more}"), &[code]);
    }
    in_instance(" notify_stop \"/bin/x\\0\" root", &["bad-text 7:14", "bad-value 7:14"]);
    assert_eq!(complaints(&instance("").replace("e V ", "e \"\" ")), ["bad-value 1:15"]);
    let group = "vrrp_sync_group \"\" {\n group {\n V W\n }\n}\n";
    let other = instance("").replace("e V", "e W").replace("10.0.0.1", "10.0.0.2").replace("id 1", "id 2");
    assert_eq!(complaints(&(instance("") + &other + group)), ["bad-value 17:17"]);
    in_instance(" version 3\n advert_int 41", &["out-of-range 8:2"]);
    in_instance(" version 3\n advert_int 0.015", &["out-of-range 8:2"]);
}

#[test]
fn wrong_addresses_are_shown_at_the_word() {
    for (line, code) in [
        ("10.0.0.1/33", "out-of-range 5:1"),
        ("10.0.0.1 10.0.0.2", "surplus-words 5:10"),
        ("10.0.0.1 dve eth0", "unknown-keyword 5:10"),
        ("10.0.0.1 dev", "missing-parameter 5:10"),
        ("10.0.0.1 dev a/b", "bad-value 5:14"),
        ("10.0.0.1 dev eth0 dev eth1", "duplicate 5:19"),
        ("10.0.0.1 no_track", "not-supported-yet 5:10"),
        ("10.0.0.1 scope foo", "bad-value 5:16"),
        ("10.0.0.1 scope 256", "out-of-range 5:16"),
        ("10.0.0.1 label abcdefghijklmnop", "bad-value 5:16"),
        ("10.0.0.1 brd +", "bad-value 5:14"),
        ("2001:db8::1", "conflict 5:1"),
        ("fe80::1/129", "out-of-range 5:1"),
        ("fe80::1 label eth0:1", "conflict 5:9"),
        ("fe80::1 brd -", "conflict 5:9"),
        ("ff02::5", "bad-value 5:1"),
        ("::", "bad-value 5:1"),
        ("224.0.0.5", "bad-value 5:1"),
        ("priority 100", "bad-value 5:1"),
        ("10.0.0.1 {\n}", "unexpected-block 5:10"),
    ] {
        assert_eq!(complaints(&instance("").replace(" 10.0.0.1\n", &format!("{line}\n"))), [code], "{line}");
    }
}

#[test]
fn what_a_block_must_say_is_missed() {
    assert_eq!(
        complaints("vrrp_instance V {\n}\n"),
        ["missing-keyword 1:1", "missing-keyword 1:1", "missing-keyword 1:1"]
    );
    assert_eq!(complaints(&instance("").replace(" 10.0.0.1\n", "")), ["missing-keyword 4:2"]);
    assert_eq!(complaints("vrrp_instance {\n}\n"), ["missing-parameter 1:1"]);
    assert_eq!(
        complaints("virtual_server 10.0.0.1 {\n lb_kind NAT\n}\n"),
        ["missing-keyword 1:1", "missing-parameter 1:1"]
    );
    for empty in ["", "! nothing\n", "global_defs {\n}\n"] {
        assert_eq!(complaints(empty), ["missing-keyword"], "{empty:?}");
    }
}

#[test]
fn wrong_services_are_shown_at_the_word() {
    for (more, code) in [
        ("lb_algo rrr", "bad-value 6:10"),
        ("persistence_timeout 0", "out-of-range 6:22"),
        ("delay_loop 0", "out-of-range 6:13"),
        ("retry 0", "out-of-range 6:8"),
        ("weight 0", "out-of-range 6:9"),
        ("sorry_server 10.0.0.3 80", "not-supported-yet 6:2"),
        ("quorum 2", "not-supported-yet 6:2"),
        ("real_server 10.0.0.3 65536 {\n }", "out-of-range 6:23"),
        ("real_server fe80::3 80 {\n }", "conflict 6:14"),
        ("real_server 0.0.0.0 80 {\n }", "bad-value 6:14"),
        ("real_server 10.0.0.3 80 {\n SSL_GET {\n }\n }", "not-supported-yet 7:2"),
        ("real_server 10.0.0.3 80 {\n HTTP_GET {\n }\n }", "missing-keyword 7:2"),
        ("real_server 10.0.0.3 80 {\n HTTP_GET {\n url {\n }\n }\n }", "missing-keyword 8:2"),
        ("real_server 10.0.0.3 80 {\n HTTP_GET {\n url {\n path x\n }\n }\n }", "bad-value 9:7"),
        (
            "real_server 10.0.0.3 80 {\n HTTP_GET {\n url {\n path /\n status_code 200-99\n }\n }\n }",
            "bad-value 10:14",
        ),
        ("real_server 10.0.0.3 80 {\n TCP_CHECK {\n connect_port 0\n }\n }", "out-of-range 8:15"),
        ("real_server 10.0.0.3 80 {\n TCP_CHECK {\n bindto fe80::1\n }\n }", "conflict 8:9"),
    ] {
        in_service(&format!(" {more}"), &[code]);
    }
    assert_eq!(complaints(&service("").replace("NAT", "dr")), ["bad-value 2:10"]);
    assert_eq!(complaints(&service("").replace("r 10.0.0.1 80", "r group G")), ["not-supported-yet 1:16"]);
    assert_eq!(complaints(&service("").replace("r 10.0.0.1 80", "r 10.0.0.1 0")), ["missing-parameter 1:1"]);
}

#[test]
fn everything_wrong_is_said_in_one_run_up_to_a_bound() {
    let many = " zzz\n".repeat(250);
    let loaded = read(&instance(&many));
    assert_eq!(loaded.report.diagnostics.errors(), 250);
    assert_eq!(loaded.report.diagnostics.iter().count(), 100);
    assert!(shown(&loaded).ends_with("250 errors, 0 warnings (150 of them not shown)\n"));
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_place() {
    let mut text = instance("").into_bytes();
    text.extend(b"# \xc5\xec\n");
    let loaded = parse("a.conf", &text);
    assert!(has_code(&loaded, Code::BadText));
    assert!(shown(&loaded).contains("the byte 0xc5 is not UTF-8"), "{}", shown(&loaded));
    assert!(shown(&loaded).contains("a.conf:9:3"), "{}", shown(&loaded));
}

#[test]
fn a_port_that_is_too_high_is_named_as_the_port_of_its_block() {
    let loaded = read(&service("").replace("10.0.0.1 80", "10.0.0.1 65536"));
    let said = "error[out-of-range]: the port of `virtual_server` is out of range: `65536`";
    assert!(shown(&loaded).starts_with(said), "{}", shown(&loaded));
}

#[test]
fn the_source_of_adverts_is_no_virtual_address_unless_this_router_owns_it() {
    let peers = "\n unicast_peer {\n 10.0.0.2\n }";
    in_instance(" mcast_src_ip 10.0.0.1", &["conflict 5:2"]);
    in_instance(&format!(" unicast_src_ip 10.0.0.1{peers}"), &["conflict 5:2"]);
    in_instance(&format!(" priority 255\n unicast_src_ip 10.0.0.1{peers}"), &[]);
    in_instance(&format!(" unicast_src_ip 10.0.0.3{peers}"), &[]);
    let loaded = read(&instance(" mcast_src_ip 10.0.0.1"));
    assert!(loaded.config.is_none(), "{}", shown(&loaded));
}
