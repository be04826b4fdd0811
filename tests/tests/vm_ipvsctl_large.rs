//! A large table by ipvsctl. A target of its own: while the kernel's table is edited, in any network namespace, its dumps pass
//! over services or tell them twice, and ipvsadm believes them.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use lvs_tests::{Host, peers, require_ipvs};

/// 2,277 services with 16 servers each, as `-S` writes them.
fn table() -> String {
    let mut table = String::new();
    for service in 0..2_277 {
        let (high, low) = (service / 256, service % 256);
        table.push_str(&format!("-A -t 10.{high}.{low}.1:80 -s rr\n"));
        for server in 1..=16 {
            let server = format!("10.{}.{low}.{server}", 100 + high);
            table.push_str(&format!("-a -t 10.{high}.{low}.1:80 -r {server}:80 -m -w 1\n"));
        }
    }
    table
}

#[test]
fn a_large_table_is_restored_through_a_pipe_and_read_by_both() {
    require_ipvs();
    let host = Host::new("large");
    let program = peers::built_program("ipvsctl", "ipvsctl").to_string_lossy().into_owned();
    let table = table();
    let mut command = host.command(&program);
    let mut restore =
        command.arg("-R").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ipvsctl runs");
    restore.stdin.take().expect("its input").write_all(table.as_bytes()).expect("the table");
    let restore = restore.wait_with_output().expect("it ends");
    assert_eq!((restore.status.code(), String::from_utf8_lossy(&restore.stderr).as_ref()), (Some(0), ""));
    for reader in ["ipvsadm", &program] {
        let read = host.output(host.command(reader).arg("-Sn")).expect("the table");
        assert!(read == table, "{reader} reads {} lines of {}", read.lines().count(), table.lines().count());
    }

    let file = host.directory().join("saved");
    host.output(host.command(&program).args(["save", &file.to_string_lossy()])).expect("it is saved");
    assert!(fs::read_to_string(file).expect("the file") == table);
}
