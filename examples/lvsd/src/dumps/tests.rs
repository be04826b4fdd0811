//! What the files say, character by character where programs read it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use lvs_core::{Link, LinkAddress, Role};
use lvs_vrrp::{
    Advert, Advertised, Config, Driver, Endpoints, Fact, Interval, MemoryNetwork, Priority, Router,
    TrackedKind, Vrid,
};

use super::*;
use crate::conf;
use crate::plan::Plan;
use crate::trackers::Judge;

const SECRET: &str = "s3cr3t-x";

const CONFIG: &str = "global_defs {\n router_id lb1\n}\n\
    vrrp_script chk {\n script \"/bin/true -v\"\n interval 2\n weight 50\n}\n\
    track_file load {\n file /run/load\n}\n\
    vrrp_track_process web {\n process nginx\n quorum 2\n}\n\
    vrrp_sync_group G {\n group {\n VI_2\n }\n}\n\
    vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 150\n preempt_delay 7\n \
    authentication {\n auth_type PASS\n auth_pass s3cr3t-x\n }\n \
    virtual_ipaddress {\n 10.0.0.100/24\n 10.0.0.101 dev eth1 scope link\n }\n \
    virtual_ipaddress_excluded {\n fd00::1/64\n }\n \
    track_script {\n chk\n }\n track_file {\n load weight 1\n }\n track_process {\n web weight 3\n }\n \
    track_interface {\n eth1\n }\n notify_master \"/bin/true up\"\n}\n\
    vrrp_instance VI_2 {\n interface eth1\n virtual_router_id 52\n priority 100\n version 3\n advert_int 0.5\n nopreempt\n \
    unicast_src_ip 10.1.0.1\n unicast_peer {\n 10.1.0.2\n }\n virtual_ipaddress {\n 10.1.0.100\n }\n}\n";

/// What would run with a configuration, and is not started.
fn source(text: &str) -> Source {
    let mut loaded = conf::parse("a.conf", text.as_bytes());
    let plan = Plan::of(&mut loaded, true, false);
    let plan = plan.unwrap_or_else(|| panic!("{}", conf::render(&loaded.report, conf::Style::Plain)));
    let network = MemoryNetwork::new();
    let (_driver, handle, _events) = Driver::with_transport(plan.routers, network.host([])).unwrap();
    let scripts =
        plan.watched.scripts.iter().map(|(_, script)| (script.name.clone(), script.running.clone()));
    Source {
        config: loaded.config.unwrap(),
        vrrp: Some(handle),
        scripts: scripts.collect(),
        judge: SharedJudge::new(Judge::new(plan.tracked)),
    }
}

/// A second before 2026-11-22 07:20:17.805274.
const WALL: Duration = Duration::new(1_795_332_018, 805_274_000);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The first instance is backup behind 10.0.0.2, the second master beside somebody else.
fn look(source: &Source) -> Picture<'_> {
    let mut picture = source.look();
    picture.now = lvs_core::Instant::from_nanos(5_000_000_000);
    picture.wall = WALL;
    let set_facts = [
        (TrackedKind::Script, "chk", Fact::Up),
        (TrackedKind::File, "load", Fact::Value(-4)),
        (TrackedKind::Process, "web", Fact::Down),
    ];
    for (kind, name, fact) in set_facts {
        picture.facts.insert((kind, name.to_owned()), fact);
    }
    let since = lvs_core::Instant::from_nanos(4_000_000_000);
    let first = &mut picture.instances[0];
    first.explanation = Some("196 = 150 base + 50 script chk - 4 file load".to_owned());
    let status = &mut first.status;
    (status.role, status.since, status.priority) = (Role::Backup, since, Priority::new(196).unwrap());
    status.source = Some(address("10.0.0.1"));
    (status.master, status.master_priority) = (Some(address("10.0.0.2")), Priority::new(200).ok());
    (first.stats.adverts_received, first.stats.resignations_received) = (11, 1);
    let second = &mut picture.instances[1];
    second.is_set = true;
    (second.status.role, second.status.since) = (Role::Master, since);
    second.status.source = Some(address("10.1.0.1"));
    second.status.conflict = Some(conflict(since));
    let stats = &mut second.stats;
    (stats.adverts_sent, stats.became_master, stats.released_master) = (7, 3, 2);
    (stats.interval_differences, stats.address_list_differences, stats.conflicts) = (4, 5, 1);
    picture
}

/// Another master, as a router finds it.
fn conflict(at: lvs_core::Instant) -> lvs_vrrp::Conflict {
    let interval = Interval::centis(50).unwrap();
    let mut router = Router::new(Config::new(interval, Priority::OWNER), address("10.1.0.1"));
    router.enable(at);
    let vips = [Ipv4Addr::new(10, 1, 0, 100)];
    let endpoints = Endpoints::v4([10, 1, 0, 2].into(), [10, 1, 0, 1].into());
    let advertised = Advertised::Running(Priority::DEFAULT);
    let advert = Advert::new(Vrid::new(52).unwrap(), advertised, interval, &vips).unwrap();
    let mut packet = Vec::new();
    advert.write_to(&endpoints, &mut packet);
    router.handle_advert(at, endpoints.source(), &Advert::parse(&packet, &endpoints).unwrap());
    router.conflicts().next().unwrap()
}

const STATS: &str = "\
VRRP Instance: VI_1
  Advertisements:
    Received: 11
    Sent: 0
  Became master: 0
  Released master: 0
  Packet Errors:
    Length: 0
    TTL: 0
    Invalid Type: 0
    Advertisement Interval: 0
    Address List: 0
  Authentication Errors:
    Invalid Type: 0
    Type Mismatch: 0
    Failure: 0
  Priority Zero:
    Received: 1
    Sent: 0
VRRP Instance: VI_2
  Advertisements:
    Received: 0
    Sent: 7
  Became master: 3
  Released master: 2
  Packet Errors:
    Length: 0
    TTL: 0
    Invalid Type: 0
    Advertisement Interval: 4
    Address List: 5
  Authentication Errors:
    Invalid Type: 0
    Type Mismatch: 0
    Failure: 0
  Priority Zero:
    Received: 0
    Sent: 0
";

#[test]
fn the_counters_are_written_as_keepalived_2_2_7_writes_them() {
    let source = source(CONFIG);
    assert_eq!(stats::text(&look(&source)), STATS);
}

const DATA: &str = "
 VRRP Instance = VI_1
   VRRP Version = 2
   State = BACKUP
   Master router = 10.0.0.2
   Master priority = 200
   Wantstate = BACKUP
   Last transition = 1795332017.805274 (Sun Nov 22 07:20:17.805274 2026 UTC)
   Master down timer = 3234375 usecs
   Interface = eth0
   Using src_ip = 10.0.0.1
   Multicast address = 224.0.0.18
   Gratuitous ARP delay = 5
   Gratuitous ARP repeat = 5
   Gratuitous ARP refresh = 0
   Gratuitous ARP refresh repeat = 1
   Gratuitous ARP lower priority delay = 5
   Gratuitous ARP lower priority repeat = 5
   Down timer adverts = 3
   Send advert after receive lower priority advert = true
   Send advert after receive higher priority advert = false
   Virtual Router ID = 51
   Priority = 150
   Effective priority = 196
   Priority explained = 196 = 150 base + 50 script chk - 4 file load
   Advert interval = 1 sec
   Accept = enabled
   Preempt = enabled
   Preempt delay = 7 secs
   Authentication type = SIMPLE_PASSWORD
   Password = ********
   Conflict = none
   Virtual IP (2):
     10.0.0.100/24 dev eth0 scope global
     10.0.0.101 dev eth1 scope link
   Virtual IP Excluded :
     fd00::1/64 dev eth0 scope global
   Tracked interfaces :
     eth1 weight 0
   Tracked scripts :
     chk weight 50
   Tracked files :
     load, weight 1
   Tracked processes :
     web, weight 3
   Notify scripts :
     notify_master '/bin/true' 'up'
 VRRP Instance = VI_2
   VRRP Version = 3
   Sync group = G
   State = MASTER
   Wantstate = MASTER
   Last transition = 1795332017.805274 (Sun Nov 22 07:20:17.805274 2026 UTC)
   Master down timer = 1804687 usecs
   Interface = eth1
   Using src_ip = 10.1.0.1 (from configuration)
   Unicast TTL = 255
   Check unicast src = no
   Gratuitous ARP delay = 5
   Gratuitous ARP repeat = 5
   Gratuitous ARP refresh = 0
   Gratuitous ARP refresh repeat = 1
   Gratuitous ARP lower priority delay = 5
   Gratuitous ARP lower priority repeat = 5
   Down timer adverts = 3
   Send advert after receive lower priority advert = true
   Send advert after receive higher priority advert = false
   Virtual Router ID = 52
   Priority = 100
   Effective priority = 100
   Advert interval = 500 milli-sec
   Accept = enabled
   Preempt = disabled
   Authentication type = none
   Conflict = 10.1.0.2 is master too, with priority 100: its priority is lower; since 1795332017.805274 (Sun Nov 22 07:20:17.805274 2026 UTC)
   Conflicts = 1
   Virtual IP (1):
     10.1.0.100 dev eth1 scope global set
   Unicast Peer :
     10.1.0.2 min_ttl 0 max_ttl 255
------< VRRP Sync groups >------
 VRRP Sync Group = G, MASTER
   VRRP member instances :
     VI_2
------< VRRP Scripts >------
 VRRP Script = chk
   Command = '/bin/true' '-v'
   Interval = 2 sec
   Timeout = 2 sec
   Rise = 1
   Fall = 1
   Init state = unknown
   Status = GOOD
   State = idle
   Tracking instances :
     VI_1, weight 50
------< VRRP Track processes >------
 VRRP Track process = web
   Process = nginx
   Min processes = 2
   Have quorum = false
   Terminate delay = 0.000000s
   Fork delay = 0.000000s
   Full command = false
   Tracking instances :
     VI_1, weight 3
------< VRRP Track files >------
 Track file = load
   File = /run/load
   Status = -4
   Tracking instances :
     VI_1, weight 1
------< Interfaces >------
 Name = eth0
 Name = eth1
";

#[test]
fn the_state_is_written_with_keepalived_s_labels_and_what_it_has_none_for() {
    let source = source(CONFIG);
    let text = data::text(&look(&source));
    let (global, topology) = text.split_once("------< VRRP Topology >------").unwrap();
    assert_eq!(topology, DATA);
    let lines: Vec<&str> = global.lines().collect();
    assert_eq!(lines[0], "------< Global definitions >------");
    assert_eq!(
        lines[2..],
        [" Written at = 1795332018.805274 (Sun Nov 22 07:20:18.805274 2026 UTC)", " Router ID = lb1"]
    );
}

#[test]
fn a_script_that_fails_is_bad_and_one_that_has_not_ended_yet_is_at_its_beginning() {
    let source = source(CONFIG);
    let mut picture = look(&source);
    let mut text = |fact| {
        picture.facts.insert((TrackedKind::Script, "chk".to_owned()), fact);
        data::text(&picture)
    };
    assert!(text(Fact::Down).contains("   Init state = unknown\n   Status = BAD\n   State = idle\n"));
    assert!(text(Fact::Unknown).contains("   Init state = INIT\n   Status = BAD\n   State = idle\n"));
}

#[test]
fn json_has_keepalived_s_names_and_types_and_more_under_a_name_of_ours() {
    let source = source(CONFIG);
    let picture = look(&source);
    let parse = |version| -> serde_json::Value {
        serde_json::from_slice(&json::text(&picture, version).unwrap()).unwrap()
    };
    let (first, second) = (parse(JsonVersion::Array), parse(JsonVersion::Object));
    // As keepalived 2.2.7 wrote it of the same; what it has not configured it leaves out.
    let expected = serde_json::json!({
        "iname": "VI_1", "dont_track_primary": 0, "skip_check_adv_addr": 0, "strict_mode": 0, "vmac_ifname": "",
        "ifp_ifname": "eth0", "master_priority": 200, "last_transition": 1_795_332_017.805_274, "garp_delay": 5,
        "garp_refresh": 0, "garp_rep": 5, "garp_refresh_rep": 1, "garp_lower_prio_delay": 5,
        "garp_lower_prio_rep": 5, "lower_prio_no_advert": 0, "higher_prio_send_advert": 0, "vrid": 51,
        "base_priority": 150, "effective_priority": 196, "vipset": false, "promote_secondaries": false,
        "adver_int": 1, "master_adver_int": 1, "accept": 1, "nopreempt": false, "preempt_delay": 7, "state": 1,
        "wantstate": 1, "version": 2, "smtp_alert": false, "notify_deleted": false,
        "script_master": "'/bin/true' 'up'",
        "vips": ["10.0.0.100/24 dev eth0 scope global", "10.0.0.101 dev eth1 scope link"],
        "evips": ["fd00::1/64 dev eth0 scope global"], "track_ifp": ["eth1"],
        "track_script": ["'/bin/true' '-v'"], "track_process": ["web"], "auth_type": 1, "auth_data": "********",
    });
    assert_eq!(first[0]["data"], expected);
    assert_eq!((&first[1]["data"]["adver_int"], &first[1]["data"]["auth_type"]), (&0.5.into(), &0.into()));
    assert_eq!((&first[1]["data"]["nopreempt"], &first[1]["data"]["state"]), (&true.into(), &2.into()));
    let expected = serde_json::json!({
        "advert_rcvd": 0, "advert_sent": 7, "become_master": 3, "release_master": 2, "packet_len_err": 0,
        "advert_interval_err": 4, "ip_ttl_err": 0, "invalid_type_rcvd": 0, "addr_list_err": 5,
        "invalid_authtype": 0, "authtype_mismatch": 0, "auth_failure": 0, "pri_zero_rcvd": 0, "pri_zero_sent": 0,
    });
    assert_eq!(first[1]["stats"], expected);
    let more = &first[1]["lvsd"];
    assert_eq!((&more["status"]["role"], &more["stats"]["conflicts"]), (&"MASTER".into(), &1.into()));
    assert_eq!(
        (&more["status"]["conflict"]["other"], &more["sync_group"]),
        (&"10.1.0.2".into(), &"G".into())
    );
    assert_eq!((&more["explanation"], &more["tracked"]), (&"100 = 100 base".into(), &serde_json::json!([])));
    let tracked = serde_json::json!([
        { "kind": "interface", "name": "eth1", "weight": 0, "reverse": false, "up": null, "value": null },
        { "kind": "script", "name": "chk", "weight": 50, "reverse": false, "up": true, "value": null },
        { "kind": "file", "name": "load", "weight": 1, "reverse": false, "up": null, "value": -4 },
        { "kind": "process", "name": "web", "weight": 3, "reverse": false, "up": false, "value": null },
    ]);
    assert_eq!(first[0]["lvsd"]["tracked"], tracked);

    // Version 2: an object, and more about processes.
    let process = serde_json::json!([{
        "process": "web", "param_match": "none", "min_processes": 2, "have_quorum": false, "weight": 3,
        "terminate_delay": 0, "fork_delay": 0, "full_command": false,
    }]);
    assert_eq!(second["vrrp"][0]["data"]["track_process"], process);
    assert_eq!(second["vrrp"][1], first[1]);
}

#[test]
fn passwords_and_keys_are_nowhere() {
    for kind in ["PASS", "AH"] {
        let source = source(&CONFIG.replace("auth_type PASS", &format!("auth_type {kind}")));
        let picture = look(&source);
        let json = |version| String::from_utf8(json::text(&picture, version).unwrap()).unwrap();
        let texts = [
            data::text(&picture),
            stats::text(&picture),
            json(JsonVersion::Array),
            json(JsonVersion::Object),
        ];
        for text in &texts {
            assert!(!text.contains(SECRET), "{text}");
        }
        assert!(texts[0].contains("Password = ********"));
        assert!(texts[2].contains(r#""auth_data":"********""#));
    }
}

#[test]
fn nothing_that_runs_is_no_mistake() {
    let mut source = source(CONFIG);
    source.vrrp = None;
    let picture = source.look();
    assert_eq!(stats::text(&picture), "");
    assert!(data::text(&picture).lines().count() == 4);
    assert_eq!(json::text(&picture, JsonVersion::Array).unwrap(), b"[]\n");
    assert_eq!(json::text(&picture, JsonVersion::Object).unwrap(), b"{\"vrrp\":[]}\n");
}

#[test]
fn what_is_asked_for_twice_before_it_begins_is_done_once() {
    let requests = Requests(Arc::default());
    for dump in [Dump::Stats, Dump::Data, Dump::Stats, Dump::StatsClear] {
        requests.want(dump);
    }
    let wanted = Wanted { data: true, stats: true, clear: true, ..Wanted::default() };
    assert_eq!(requests.next(), Some(wanted));
    requests.want(Dump::Json);
    requests.end();
    // What was asked for before the end is still done.
    assert_eq!(requests.next(), Some(Wanted { json: true, is_over: true, ..Wanted::default() }));
    assert_eq!(requests.next(), None);
    assert_eq!(requests.next(), None);
}

#[test]
fn paths_name_files_or_with_a_slash_directories() {
    let dumps = |text: &str| {
        let text = format!("global_defs {{\n{text}\n}}\n{CONFIG}");
        conf::parse("a.conf", text.as_bytes()).config.unwrap().global.dumps
    };
    let default = Path::new("/tmp");
    let files = Files::of(&dumps(""), default);
    let expected =
        ["/tmp/keepalived.data", "/tmp/keepalived.stats", "/tmp/keepalived.json"].map(PathBuf::from);
    assert_eq!([files.data, files.stats, files.json], expected);
    assert_eq!(files.json_version, JsonVersion::Array);
    let text = "state_dump_file /run/lvsd/\nstats_dump_file /run/a.stats\njson_dump_file /\njson_version 2";
    let files = Files::of(&dumps(text), default);
    let expected = ["/run/lvsd/keepalived.data", "/run/a.stats", "/keepalived.json"].map(PathBuf::from);
    assert_eq!([files.data, files.stats, files.json], expected);
    assert_eq!(files.json_version, JsonVersion::Object);
}

#[tokio::test(flavor = "current_thread")]
async fn counters_begin_again_once_they_are_written_and_not_before() {
    let text = "vrrp_instance VI_1 {\n interface lan\n virtual_router_id 51\n priority 255\n virtual_ipaddress {\n \
        10.0.0.100/24\n }\n}\n";
    let mut loaded = conf::parse("a.conf", text.as_bytes());
    let routers = Plan::of(&mut loaded, true, false).unwrap().routers;
    let vip = address("10.0.0.100");
    let (driver, handle, mut events) =
        Driver::with_transport(routers, MemoryNetwork::new().host([vip])).unwrap();
    let addresses = vec![LinkAddress { address: vip, prefix_len: 24, tagged: false }];
    handle.set_link(Link { name: "lan".into(), index: 1, up: true, mac: None, addresses });
    let driver = tokio::spawn(driver.run());
    let event = events.recv().await.unwrap();
    assert_eq!(&*event.instance, "VI_1");
    let source = Source {
        config: loaded.config.unwrap(),
        vrrp: Some(handle.clone()),
        scripts: BTreeMap::new(),
        judge: SharedJudge::default(),
    };
    let became_master = || handle.instance("VI_1").unwrap().stats().became_master;
    let directory = std::env::temp_dir().join(format!("lvsd-{}-dumps-clear", std::process::id()));
    let files = Files::of(&model::DumpFiles::default(), &directory);
    // The directory is not there.
    source.write(&files, Wanted { clear: true, ..Wanted::default() });
    assert_eq!(became_master(), 1);
    fs::create_dir_all(&directory).unwrap();
    source.write(&files, Wanted { stats: true, ..Wanted::default() });
    assert_eq!(became_master(), 1);
    source.write(&files, Wanted { clear: true, ..Wanted::default() });
    assert_eq!(became_master(), 0);
    assert!(fs::read_to_string(&files.stats).unwrap().contains("  Became master: 1\n"));
    fs::remove_dir_all(&directory).unwrap();
    handle.shutdown();
    driver.await.unwrap().unwrap();
}
