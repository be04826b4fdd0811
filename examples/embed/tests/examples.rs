//! Runs every example and compares what it prints.

use std::process::Command;

#[test]
fn failover_takes_the_times_that_the_rfc_gives() {
    // The master down interval is 3 s and a skew of (256 - priority) / 256 s; after a resignation it is the skew alone.
    let expected = [
        "    0.000 anna INIT -> BACKUP: enabled",
        "    0.000 bert INIT -> BACKUP: enabled",
        "    3.414 anna BACKUP -> MASTER: no advert from a master in time",
        "    3.414 anna announces 192.0.2.100 by 5 packets",
        "    8.414 anna announces 192.0.2.100 by 5 packets",
        "   10.000 anna loses its power",
        "   13.023 bert BACKUP -> MASTER: no advert from a master in time",
        "   13.023 bert announces 192.0.2.100 by 5 packets",
        "   18.023 bert announces 192.0.2.100 by 5 packets",
        "   20.000 anna starts again",
        "   20.000 anna INIT -> BACKUP: enabled",
        "   23.414 bert MASTER -> BACKUP: 192.0.2.1 is master with priority 150",
        "   23.414 anna BACKUP -> MASTER: the master 192.0.2.2 has the lower priority 100",
        "   23.414 anna announces 192.0.2.100 by 5 packets",
        "   28.414 anna announces 192.0.2.100 by 5 packets",
        "   30.000 anna is shut down as one should",
        "   30.000 anna MASTER -> INIT: disabled",
        "   30.609 bert BACKUP -> MASTER: the master resigned",
        "   30.609 bert announces 192.0.2.100 by 5 packets",
        "   35.609 bert announces 192.0.2.100 by 5 packets",
    ];
    assert_eq!(output(env!("CARGO_BIN_EXE_failover")), expected);
}

#[test]
fn of_two_drivers_on_the_loopback_interface_the_other_takes_over_when_the_better_stops() {
    // The two write as they like: in order is only what each says.
    let lines = output(env!("CARGO_BIN_EXE_udp"));
    let of = |host: &str| lines.iter().filter_map(|line| line.strip_prefix(host)).collect::<Vec<_>>();
    let (better, other) = (of("better: "), of("other: "));
    let took = "BACKUP -> MASTER: no advert from a master in time";
    assert!(better.contains(&took) && better.contains(&"stops"), "{lines:?}");
    assert_eq!(other.last(), Some(&"BACKUP -> MASTER: the master resigned"), "{lines:?}");
}

#[test]
fn balancer_inhibits_the_server_with_the_long_queue_until_it_has_caught_up() {
    let expected = [
        r#"10.0.0.4:80: Down(Failure { why: "5000 waiting" })"#,
        r#"10.0.0.4:80: Up(Success { seen: "50 waiting" })"#,
        "add service tcp 192.0.2.100:80",
        "add destination 10.0.0.3:80 (weight 1) to tcp 192.0.2.100:80",
        "add destination 10.0.0.4:80 (weight 1) to tcp 192.0.2.100:80",
        "edit destination 10.0.0.4:80 (weight 0) of tcp 192.0.2.100:80",
        "edit destination 10.0.0.4:80 (weight 1) of tcp 192.0.2.100:80",
        "remove service tcp 192.0.2.100:80",
    ];
    assert_eq!(output(env!("CARGO_BIN_EXE_balancer")), expected);
}

#[test]
fn own_loop_sees_the_server_go_and_return() {
    let expected = [
        r#"Up(Success { seen: "connected" })"#,
        r#"Down(Failure { why: "connection refused" })"#,
        r#"Up(Success { seen: "connected" })"#,
    ];
    assert_eq!(output(env!("CARGO_BIN_EXE_own_loop")), expected);
}

/// The lines that an example prints.
fn output(program: &str) -> Vec<String> {
    let output = Command::new(program).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
