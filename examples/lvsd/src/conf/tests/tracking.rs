//! Tracked objects and sync groups: what becomes of their words, and what is said about wrong ones.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use lvs_vrrp::TrackedKind;

use super::super::model::Config;
use super::super::tracking::{ArgumentMatch, InitFile, Track};
use super::*;

fn good(text: &str) -> Config {
    let loaded = read(text);
    assert_eq!(shown(&loaded), "");
    loaded.config.expect("no complaints, so there is a configuration")
}

/// Two instances that are all right, with statements inside.
fn two(first: &str, second: &str) -> String {
    let instance = |number: u8, more: &str| {
        format!(
            "vrrp_instance V{number} {{\n interface eth0\n virtual_router_id {number}\n virtual_ipaddress {{\n \
             10.0.0.{number}\n }}\n{more}\n}}\n"
        )
    };
    instance(1, first) + &instance(2, second)
}

fn track(kind: TrackedKind, name: &str, weight: i16, reverse: bool) -> Track {
    Track { kind, name: name.into(), weight, reverse }
}

#[test]
fn script_has_keepalived_s_defaults_and_its_weight_is_that_of_the_entries_that_have_none() {
    let config = good(
        &("vrrp_script a {\n script /bin/a\n weight -5 reverse\n}\n\
           vrrp_script b {\n script \"/bin/b 'x y'\"\n interval 0.5\n timeout 3\n rise 2\n fall 3\n user u g\n \
           init_fail\n}\n"
            .to_owned()
            + &two("track_script {\n a\n b weight 253 noreverse\n }", "track_script {\n b\n }")),
    );
    let [a, b] = &*config.scripts else { panic!("two scripts: {config:?}") };
    let (one, two) = (NonZeroU32::MIN, NonZeroU32::new(2).unwrap());
    let second = Duration::from_secs(1);
    assert_eq!((a.interval, a.timeout, a.rise, a.fall, a.init_fail), (second, second, one, one, false));
    assert_eq!(b.script.command, ["/bin/b", "x y"]);
    assert_eq!((b.interval, b.timeout), (Duration::from_millis(500), Duration::from_secs(3)));
    assert_eq!((b.rise, b.fall.get(), b.init_fail), (two, 3, true));
    assert_eq!(b.script.user.as_ref().map(|user| &*user.user), Some("u"));
    let script = |name, weight, reverse| track(TrackedKind::Script, name, weight, reverse);
    assert_eq!(config.instances[0].track, [script("a", -5, true), script("b", 253, false)]);
    assert_eq!(config.instances[1].track, [script("b", 0, false)]);
}

#[test]
fn processes_and_files_have_keepalived_s_defaults() {
    let config = good(
        &("vrrp_track_process p {\n process haproxy\n}\n\
           vrrp_track_process q {\n process \"/usr/bin/a b\" -x \"y z\"\n full_command\n quorum 2\n quorum_max 4\n \
           delay 2\n fork_delay 0.5\n weight 254\n}\n\
           vrrp_track_process none {\n process bad\n quorum_max 0\n param_match partial\n}\n\
           track_file f {\n file /run/f\n}\n\
           vrrp_track_file g {\n file /run/g\n weight 2 reverse\n init_file 7 overwrite\n}\n\
           track_file h {\n file /run/h\n init_file\n}\n"
            .to_owned()
            + &two("track_process {\n p\n q\n none\n }\n track_file {\n f\n g\n h weight 0\n }", "")),
    );
    let [p, q, none] = &*config.processes else { panic!("three: {config:?}") };
    assert_eq!((p.arguments, p.full_command, p.quorum.clone()), (None, false, 1..=u32::MAX));
    assert_eq!((p.fork_delay, p.terminate_delay), (Duration::ZERO, Duration::ZERO));
    assert_eq!(q.command, ["/usr/bin/a b", "-x", "y z"]);
    assert_eq!((q.arguments, q.quorum.clone()), (Some(ArgumentMatch::Exact), 2..=4));
    assert_eq!((q.fork_delay, q.terminate_delay), (Duration::from_millis(500), Duration::from_secs(2)));
    assert_eq!((none.arguments, none.quorum.clone()), (Some(ArgumentMatch::Partial), 0..=0));
    let inits: Vec<_> = config.files.iter().map(|file| (file.path.clone(), file.init)).collect();
    let expected = [
        ("/run/f", None),
        ("/run/h", Some(InitFile { value: 0, overwrite: false })),
        ("/run/g", Some(InitFile { value: 7, overwrite: true })),
    ];
    assert_eq!(inits, expected.map(|(path, init)| (PathBuf::from(path), init)));
    assert_eq!(
        config.instances[0].track,
        [
            track(TrackedKind::Process, "p", 0, false),
            track(TrackedKind::Process, "q", 254, false),
            track(TrackedKind::Process, "none", 0, false),
            track(TrackedKind::File, "f", 1, false),
            track(TrackedKind::File, "g", 2, true),
            track(TrackedKind::File, "h", 0, false),
        ]
    );
}

#[test]
fn sync_group_has_its_members_trackers_and_scripts() {
    let config = good(
        &("vrrp_script s {\n script /bin/s\n weight 10\n}\n\
           vrrp_sync_group G {\n group {\n V1\n V2\n }\n track_script {\n s\n }\n track_interface {\n eth1\n }\n \
           notify_master /m\n notify \"/n x\"\n}\n"
            .to_owned()
            + &two("track_script {\n s weight 0\n }", "")),
    );
    let [group] = &*config.groups else { panic!("one group: {config:?}") };
    assert_eq!(group.members, ["V1", "V2"]);
    let script = track(TrackedKind::Script, "s", 10, false);
    assert_eq!(group.track, [script, track(TrackedKind::Interface, "eth1", 0, false)]);
    assert_eq!(group.notify.master.as_ref().map(|script| &*script.command[0]), Some("/m"));
    // A fault is no weight.
    assert_eq!(config.instances[0].track, [track(TrackedKind::Script, "s", 0, false)]);
}

/// As keepalived 2.2.7 does it, by experiment.
#[test]
fn weights_of_members_are_what_keepalived_makes_of_them_unless_the_group_tracks_weights() {
    let text = |more: &str, tracked: &str| {
        let objects = "vrrp_script s {\n script /bin/s\n weight 5\n}\ntrack_file f {\n file /f\n weight 1\n}\n\
             vrrp_track_process p {\n process p\n weight 5\n}\n";
        // The second member has all of them in use.
        let used = "track_script {\n s weight 0\n }\n track_file {\n f weight 0\n }\n track_process {\n p weight 0\n }";
        format!("{objects}vrrp_sync_group G {{\n group {{\n V1\n V2\n }}\n{more}\n}}\n") + &two(tracked, used)
    };
    for (tracked, weight, said) in [
        ("track_interface {\n eth1 weight -60\n }", Some(-60), Some("counts")),
        ("track_interface {\n eth1\n }", Some(0), None),
        ("track_process {\n p weight -8\n }", Some(-8), None),
        ("track_process {\n p\n }", Some(5), None),
        ("track_file {\n f\n }", Some(0), Some("is taken as 0")),
        ("track_file {\n f weight 2\n }", None, Some("is left out")),
        ("track_script {\n s\n }", None, Some("is left out")),
        ("track_script {\n s weight 7\n }", None, Some("is left out")),
    ] {
        let loaded = read(&text("", tracked));
        let config = loaded.config.as_ref().expect("warnings only");
        let weights: Vec<_> = config.instances[0].track.iter().map(|track| track.weight).collect();
        assert_eq!(weights, weight.into_iter().collect::<Vec<_>>(), "{tracked}");
        let shown = shown(&loaded);
        match said {
            Some(words) => assert!(shown.contains(&format!("` {words}")), "{tracked}: {shown}"),
            None => assert_eq!(shown, "", "{tracked}"),
        }
        let config = good(&text("sync_group_tracking_weight", tracked));
        assert_eq!(config.instances[0].track.len(), 1, "{tracked}");
    }
    let deprecated = text("global_tracking", "track_script {\n s\n }");
    assert_eq!(complaints(&deprecated), ["conflict 18:1"]);
}

#[test]
fn script_that_nobody_tracks_is_a_warning_and_is_left_out() {
    let text = "vrrp_script idle {\n script /bin/s\n}\n".to_owned() + &two("", "");
    assert_eq!(complaints(&text), ["unused 1:13"]);
    assert_eq!(read(&text).config.expect("a warning only").scripts, []);
}

#[test]
fn wrong_entries_are_refused_with_their_place() {
    let cases = [
        ("track_script {\n nobody\n }", "bad-value 13:2"),
        ("track_script {\n s weight 254\n }", "out-of-range 13:11"),
        ("track_file {\n f weight -255\n }", "out-of-range 13:11"),
        ("track_script {\n s weight x\n }", "bad-value 13:11"),
        ("track_script {\n s weight\n }", "missing-parameter 13:4"),
        ("track_script {\n s wieght 4\n }", "bad-value 13:4"),
        ("track_script {\n s weight 4 revers\n }", "bad-value 13:13"),
        ("track_script {\n s weight 4 reverse more\n }", "surplus-words 13:21"),
        ("track_script {\n s\n s\n }", "duplicate 14:2"),
        ("track_interface {\n a_name_too_long_for_it\n }", "bad-value 13:2"),
        ("track_interface {\n eth0 weight 5\n }", "conflict 13:2"),
        ("track_process {\n s\n }", "bad-value 13:2"),
        ("track_bfd {\n x\n }", "not-supported-yet 12:1"),
    ];
    let head = "vrrp_script s {\n script /s\n}\ntrack_file f {\n file /f\n}\n\
                vrrp_instance V {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.1 }\n";
    // The rest of it uses both.
    let tail = "}\nvrrp_instance W {\n interface eth0\n virtual_router_id 2\n virtual_ipaddress {\n 10.0.0.2\n }\n \
                track_script {\n s\n }\n track_file {\n f\n }\n}\n";
    for (statement, expected) in cases {
        let text = format!("{head}{statement}\n{tail}");
        assert_eq!(complaints(&text), [expected], "{statement}\n{}", shown(&read(&text)));
    }
}

#[test]
fn wrong_objects_are_refused_with_their_place() {
    let cases = [
        ("vrrp_script s {\n interval 1\n}", "missing-keyword 1:1"),
        ("vrrp_script s {\n script /s\n interval 0\n}", "out-of-range 3:11"),
        ("vrrp_script s {\n script /s\n rise 0\n}", "out-of-range 3:7"),
        ("vrrp_script s {\n script /s\n weight 300\n}", "out-of-range 3:9"),
        ("vrrp_script s {\n script /s x\n}", "surplus-words 2:12"),
        ("vrrp_script s {\n script /s\n}\nvrrp_script s {\n script /t\n}", "duplicate 4:13"),
        ("vrrp_track_process s {\n quorum 1\n}", "missing-keyword 1:1"),
        ("vrrp_track_process s {\n process x\n quorum 3\n quorum_max 2\n}", "conflict 4:2"),
        ("vrrp_track_process s {\n process sixteen_letters_\n}", "out-of-range 2:10"),
        ("vrrp_track_process s {\n process x\n delay 3601\n}", "out-of-range 3:8"),
        ("track_file s {\n weight 1\n}", "missing-keyword 1:1"),
        ("track_file s {\n file relative\n}", "bad-value 2:7"),
        ("track_file s {\n file /f\n init_file 1 over\n}", "bad-value 3:14"),
    ];
    for (object, expected) in cases {
        let kind = match object.split('_').next() {
            Some("track") => "track_file",
            _ if object.contains("track_process") => "track_process",
            _ => "track_script",
        };
        let text = format!("{object}\n{}", two(&format!("{kind} {{\n s\n }}"), ""));
        assert_eq!(complaints(&text), [expected], "{object}\n{}", shown(&read(&text)));
    }
}

#[test]
fn wrong_groups_are_refused_with_their_place() {
    let cases = [
        ("vrrp_sync_group G {\n}", "missing-keyword 1:17"),
        ("vrrp_sync_group G {\n group {\n V1\n }\n}", "conflict 3:2"),
        ("vrrp_sync_group G {\n group {\n V1\n V3\n }\n}", "bad-value 4:2"),
        ("vrrp_sync_group G {\n group {\n V1\n V2\n V1\n }\n}", "duplicate 5:2"),
        (
            "vrrp_sync_group G {\n group {\n V1 V2\n }\n}\nvrrp_sync_group G {\n group {\n V1 V2\n }\n}",
            "duplicate 6:17,missing-keyword 6:17,duplicate 8:2,duplicate 8:5",
        ),
        ("vrrp_sync_group G {\n group {\n V1 V2\n }\n track_bfd {\n b\n }\n}", "not-supported-yet 5:2"),
    ];
    for (group, expected) in cases {
        let text = format!("{group}\n{}", two("", ""));
        assert_eq!(complaints(&text).join(","), expected, "{group}\n{}", shown(&read(&text)));
    }
}

#[test]
fn member_that_does_not_exist_gets_the_nearest_name() {
    let text = "vrrp_sync_group G {\n group {\n V1\n V22\n }\n}\n".to_owned() + &two("", "");
    let expected = "\
warning[bad-value]: there is no instance `V22`: it is left out, as in keepalived
 --> a.conf:4:2
  |
4 |  V22
  |  ^^^ did you mean `V2`?

0 errors, 1 warning
";
    assert_eq!(shown(&read(&text)), expected, "\n{}", shown(&read(&text)));
}
