//! `lvsd -t` as a user meets it: exit status, standard error, files that include files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A directory of one test, removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}", std::process::id()));
        fs::create_dir_all(&path).expect("the target directory can be written to");
        Self(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it is in the directory")).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left behind stays in the target directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lvsd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lvsd")).args(arguments).output().expect("lvsd can be started")
}

/// Exit status and standard error of `lvsd -t -f FILE`.
fn check(file: &Path) -> (Option<i32>, String) {
    let output = lvsd(&["-t", "-f", file.to_str().expect("UTF-8")]);
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

const SERVICE: &str =
    "virtual_server 10.0.0.1 80 {\n lb_kind NAT\n protocol TCP\n real_server 10.0.0.2 80 {\n }\n}\n";

#[test]
fn the_files_of_the_scenarios_pass_in_silence() {
    let dir = Directory::new("scenarios");
    for name in ["s2.conf", "s2-database.conf", "s3.conf"] {
        let text = fs::read_to_string(fixture(name)).expect("the fixture");
        // Programs that are there.
        let text = text.replace("/tmp/master.sh", "/bin/true").replace("/tmp/backup.sh", "/bin/true");
        assert_eq!(check(&dir.write(name, text)), (Some(0), String::new()), "{name}");
    }
}

#[test]
fn an_error_gives_5_and_shows_the_line() {
    let dir = Directory::new("priority");
    let text = fs::read_to_string(fixture("s2.conf")).expect("the fixture").replace("200  ", "300  ");
    let file = dir.write("a.conf", text);
    let (status, said) = check(&file);
    assert_eq!(status, Some(5));
    assert!(said.contains(&format!("--> {}:6:14\n", file.display())), "{said}");
    assert!(said.contains("priority 300              # 大きいほうが主になる"), "{said}");
    assert!(!said.contains('\x1b'), "no colours outside of a terminal: {said}");
}

#[test]
fn a_warning_gives_0() {
    let dir = Directory::new("warning");
    let (status, said) = check(&dir.write("a.conf", SERVICE.replace(" lb_kind NAT\n", "")));
    assert_eq!(status, Some(0));
    assert!(said.ends_with("0 errors, 1 warning\n"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_gives_4() {
    let dir = Directory::new("unreadable");
    for path in [dir.0.join("missing.conf"), dir.0.clone()] {
        let (status, said) = check(&path);
        assert_eq!(status, Some(4), "{said}");
        assert!(said.starts_with("error[unreadable]: cannot read `"), "{said}");
    }
}

#[test]
fn what_is_not_a_regular_file_gives_4_at_once() {
    let dir = Directory::new("irregular");
    let fifo = dir.0.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    for path in [&*fifo, Path::new("/dev/zero")] {
        let (status, said) = check(path);
        assert_eq!(status, Some(4), "{said}");
        assert!(said.contains(": it is not a regular file\n"), "{said}");
        let (path, pid) = (path.to_str().expect("UTF-8"), dir.0.join("pid"));
        let run = lvsd(&["-n", "-l", "-p", pid.to_str().expect("UTF-8"), "-f", path]);
        assert_eq!((run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned()), (Some(4), said));
    }
}

#[test]
fn the_help_is_for_users() {
    for option in ["-h", "--help"] {
        let output = lvsd(&[option]);
        let help = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(
            help.starts_with("A load balancer daemon that reads keepalived.conf\n\nUsage: lvsd"),
            "{help}"
        );
        assert!(!help.contains("clap"), "{help}");
    }
}

#[test]
fn a_user_who_does_not_exist_is_an_error_of_the_check_as_of_the_run() {
    let dir = Directory::new("user");
    let instance =
        "\nvrrp_instance V {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.1\n }\n";
    for (script, says) in [
        ("notify_master /bin/true nosuchuser-", "notify_master: there is no user \"nosuchuser-\""),
        ("notify \"/bin/true\" root nosuchgroup-", "notify: there is no group \"nosuchgroup-\""),
    ] {
        let file = dir.write("a.conf", format!("{instance} {script}\n}}\n{SERVICE}"));
        let (status, said) = check(&file);
        assert_eq!(status, Some(5), "{said}");
        assert!(said.starts_with(&format!("error[bad-value]: vrrp_instance V: {says}")), "{said}");
        assert!(said.contains(&format!("--> {}:2:1\n", file.display())), "{said}");
        let (pid, file) = (dir.0.join("pid"), file.to_str().expect("UTF-8"));
        let run = lvsd(&["-n", "-l", "-p", pid.to_str().expect("UTF-8"), "-f", file]);
        assert_eq!((run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned()), (Some(5), said));
        // The half with the script does not run.
        assert_eq!(lvsd(&["-t", "-C", "-f", file]).status.code(), Some(0));
    }
}

#[test]
fn a_general_script_user_who_does_not_exist_is_an_error_even_if_no_script_runs() {
    let dir = Directory::new("script-user");
    for (user, says) in [
        ("nosuchuser-", "there is no user \"nosuchuser-\""),
        ("root nosuchgroup-", "there is no group \"nosuchgroup-\""),
    ] {
        let text = format!("global_defs {{\n script_user {user}\n}}\n{SERVICE}");
        let (status, said) = check(&dir.write("a.conf", text));
        assert_eq!(status, Some(5), "{said}");
        assert!(said.starts_with(&format!("error[bad-value]: script_user: {says}; create it")), "{said}");
        assert!(said.contains("a.conf:2:2\n"), "{said}");
    }
}

#[test]
fn a_program_that_cannot_run_is_a_warning_of_the_check() {
    let dir = Directory::new("program");
    let plain = dir.write("plain", "");
    let plain = plain.to_str().expect("UTF-8");
    let missing = format!("{plain}/nothing");
    let track = |program: &str, notify: &str| {
        format!(
            "vrrp_script chk {{\n script \"{program} -x\"\n}}\nvrrp_instance V {{\n interface eth0\n \
             virtual_router_id 1\n virtual_ipaddress {{\n 10.0.0.1\n }}\n track_script {{\n chk\n }}\n \
             notify_fault {notify}\n}}\n"
        )
    };
    for (program, says) in
        [(plain, "is not executable"), (&*missing, "does not exist"), ("/", "is not a file")]
    {
        let (status, said) = check(&dir.write("a.conf", track(program, program)));
        assert_eq!(status, Some(0), "{said}");
        let script = format!(
            "warning[bad-value]: vrrp_script chk: script: {program:?} {says}: the script counts as failed\n --> {}:1:1\n",
            dir.0.join("a.conf").display()
        );
        assert!(said.starts_with(&script), "{script} in {said}");
        let notify = format!("vrrp_instance V: notify_fault: {program:?} {says}: the script will not run\n");
        assert!(said.contains(&notify), "{notify} in {said}");
        assert!(
            said.contains("= help: install the program and make it executable, or correct its path"),
            "{said}"
        );
        assert!(said.ends_with("0 errors, 2 warnings\n"), "{said}");
    }
    // One that is looked for when it runs may be anywhere.
    assert_eq!(check(&dir.write("a.conf", track("/bin/true", "nosuchprogram-"))), (Some(0), String::new()));
}

#[test]
fn a_signal_that_comes_during_the_start_does_not_end_the_process_on_the_spot() {
    let dir = Directory::new("signal");
    // Long enough to be read for a while; the start ends at the pid file, which is none.
    let file = dir.write("a.conf", "# a comment\n".repeat(2_000_000) + SERVICE);
    let pid = dir.write("pid", "no number");
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_lvsd"))
        .args(["-n", "-l", "-p", pid.to_str().expect("UTF-8"), "-f", file.to_str().expect("UTF-8")])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("lvsd can be started");
    let blocks_sigterm = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("its status");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).expect("its mask").trim();
        u64::from_str_radix(mask, 16).expect("hexadecimal") & 1 << (libc::SIGTERM - 1) != 0
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while !blocks_sigterm() {
        assert!(Instant::now() < deadline, "SIGTERM is never blocked");
        std::thread::yield_now();
    }
    let number = i32::try_from(daemon.id()).expect("a process number");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(number), nix::sys::signal::Signal::SIGTERM)
        .expect("it runs");
    assert_eq!(daemon.wait().expect("it ends").code(), Some(4));
}

#[test]
fn wrong_options_give_2() {
    assert_eq!(lvsd(&["--no-such-option"]).status.code(), Some(2));
}

#[test]
fn the_report_can_go_to_a_file() {
    let dir = Directory::new("report");
    let file = dir.write("a.conf", "zzz\n");
    let report = dir.0.join("report");
    let option = format!("-t={}", report.display());
    let output = lvsd(&[&option, "-f", file.to_str().expect("UTF-8")]);
    assert_eq!((output.status.code(), output.stderr), (Some(5), Vec::new()));
    let said = fs::read_to_string(&report).expect("the report");
    assert!(said.contains("unknown keyword `zzz`"), "{said}");
    let option = format!("--config-test={}", dir.0.join("no/such/directory").display());
    assert_eq!(lvsd(&[&option, "-f", file.to_str().expect("UTF-8")]).status.code(), Some(4));
}

#[test]
fn includes_start_at_the_including_file() {
    let dir = Directory::new("include");
    let main = dir.write(
        "main.conf",
        "include conf.d/*.conf\nvrrp_instance V {\n include parts/instance\n virtual_router_id 1\n}\n",
    );
    dir.write("conf.d/b.conf", "include ../parts/service\n");
    dir.write("conf.d/a.conf", "global_defs {\n router_id A\n}\n");
    dir.write("conf.d/ignored.txt", "zzz\n");
    dir.write("parts/service", SERVICE);
    dir.write("parts/instance", "interface eth0\nvirtual_ipaddress {\n 10.0.0.1\n}\n");
    assert_eq!(check(&main), (Some(0), String::new()));

    let wrong = dir.write("conf.d/c.conf", "\n  zzz\n");
    let (status, said) = check(&main);
    assert_eq!(status, Some(5));
    let place = format!("--> {}:2:3\n", wrong.display());
    assert!(said.contains(&place), "{place} in {said}");
}

#[test]
fn a_missing_include_is_an_error_and_an_empty_pattern_is_not() {
    let dir = Directory::new("missing");
    let (status, said) = check(&dir.write("a.conf", format!("include nothing/*.conf\n{SERVICE}")));
    assert_eq!((status, &*said), (Some(0), ""));
    for line in ["include nothing.conf", "includea nothing/*.conf", "include .", "include", "include a b"] {
        let (status, said) = check(&dir.write("a.conf", format!("{line}\n{SERVICE}")));
        assert_eq!(status, Some(5), "{line}: {said}");
        assert!(said.contains("a.conf:1:"), "{said}");
    }
}

#[test]
fn files_that_include_each_other_end_with_an_error() {
    let dir = Directory::new("cycle");
    dir.write("b.conf", "include ./a.conf\n");
    let (status, said) = check(&dir.write("a.conf", format!("include b.conf\n{SERVICE}")));
    assert_eq!(status, Some(5));
    assert!(said.contains("includes itself"), "{said}");
    for i in 0..20 {
        dir.write(&format!("{i}"), format!("include {}\n", i + 1));
    }
    dir.write("20", SERVICE);
    let (status, said) = check(&dir.0.join("0"));
    assert_eq!(status, Some(5));
    assert!(said.contains("deeper than 16 levels"), "{said}");
}

#[test]
fn a_block_ends_in_the_file_in_which_it_starts() {
    let dir = Directory::new("balance");
    dir.write("open", "virtual_server 10.0.0.1 80 {\n");
    dir.write("close", "}\n");
    let (status, said) = check(&dir.write("a.conf", "include open\nlb_kind NAT\ninclude close\n"));
    assert_eq!(status, Some(5));
    assert!(said.contains("the block of `virtual_server` is not closed"), "{said}");
    assert!(said.contains("a closing brace too many"), "{said}");
}
