//! Tables saved by one program and restored by the other; files with faults.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use lvs_tests::{Host, poll_until, require_ipvs};

use super::side_by_side::{Pair, ipvsctl, run};

const LIMIT: Duration = Duration::from_secs(60);

const TABLE: &str = "\
-A -t 10.0.0.1:80 -s wrr -b flag-1,flag-2
-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 3
-a -t 10.0.0.1:80 -r 10.0.1.2:80 -g -w 0
-a -t 10.0.0.1:80 -r 10.0.1.3:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-A -t 10.0.0.2:443 -s sh -b sh-fallback,sh-port -p 30 -M 255.255.255.0
-A -u 10.0.0.1:5060 -s mh -p 60 -M 255.255.255.0 --pe sip -o -b mh-port
-A -u 10.0.0.1:5061 -s mh -p 60 --pe sip -b mh-port
-A -u 10.0.0.1:5062 -s wlc -o -b flag-3
-A -u 10.0.0.1:5063 -s wlc --pe sip -b flag-3
-A --sctp-service 10.0.0.1:80 -s rr
-A -t [2001:db8::1]:80 -s wlc -p 200 -M 64
-a -t [2001:db8::1]:80 -r [2001:db8::5]:80 -m -w 1
-A -f 7 -s rr
-a -f 7 -r 10.0.1.1:0 -g -w 1
-A -f 7 -6 -s rr
";

#[test]
fn a_table_saved_by_one_program_is_restored_by_the_other() {
    require_ipvs();
    let host = Host::new("saved");
    let program = ipvsctl().to_string_lossy().into_owned();
    for (saver, restorer) in [("ipvsadm", &*program), (&program, "ipvsadm"), (&program, &program)] {
        for words in ["-Sn", "-S"] {
            run(&host, "ipvsadm", "-C", "");
            assert_eq!(run(&host, "ipvsadm", "-R", TABLE).complaints, "");
            let before = run(&host, "ipvsadm", "-Sn", "");
            let file = run(&host, saver, words, "");
            assert_eq!((file.status, file.complaints.as_str()), (Some(0), ""));
            assert_eq!(run(&host, restorer, "-C", "").status, Some(0));
            assert_eq!(run(&host, "ipvsadm", "-Sn", "").output, "");
            let restored = run(&host, restorer, "-R", &file.output);
            assert_eq!((restored.status, restored.complaints.as_str()), (Some(0), ""));
            assert_eq!(run(&host, "ipvsadm", "-Sn", ""), before, "saved by {saver} {words}");
        }
    }
}

#[test]
fn links_with_the_names_of_ipvsadms_scripts_save_and_restore() {
    let pair = Pair::new();
    let program = ipvsctl();
    let link = |name: &str| {
        let path = pair.ipvsctl.directory().join(name);
        std::os::unix::fs::symlink(&program, &path).expect("a link");
        path.to_string_lossy().into_owned()
    };
    let [admin, save, restore] = ["ipvsadm", "ipvsadm-save", "ipvsadm-restore"].map(link);
    let both = |theirs: &str, ours: &str, words: &str, input: &str| {
        let theirs = run(&pair.ipvsadm, theirs, words, input);
        let ours = run(&pair.ipvsctl, ours, words, input);
        assert_eq!((&ours.output, ours.status), (&theirs.output, theirs.status), "{words}");
        theirs.output
    };
    both("ipvsadm", &admin, "-A -t 10.9.9.9:80", "");
    // A table that is restored replaces the one that is there.
    both("ipvsadm-restore", &restore, "", TABLE);
    let saved = both("ipvsadm-save", &save, "-n", "");
    assert!(saved.contains("-A -f 7 -6 -s rr\n") && !saved.contains("10.9.9.9"), "{saved}");
    both("ipvsadm-save", &save, "", "");
    both("ipvsadm-save", &save, "x -n", "");
    both("ipvsadm", &admin, "-Ln", "");
    both("ipvsadm-restore", &restore, "", "-A -t 10.9.9.9:80\n-A -t 10.9.9.9:80\n");
    both("ipvsadm-save", &save, "-n", "");
    both("ipvsadm-restore", &restore, "", "");
    both("ipvsadm-save", &save, "", "");

    // Scripts look at the second word to tell what they can use.
    let version = |host, program| {
        let said = run(host, program, "-v", "").output;
        said.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(version(&pair.ipvsctl, &admin), version(&pair.ipvsadm, "ipvsadm"));
}

fn piped(host: &Host, program: &str, words: &[&str]) -> Child {
    let mut command = host.command(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts")
}

#[test]
fn a_table_stays_until_the_one_that_replaces_it_has_been_read_to_its_end() {
    require_ipvs();
    let host = Host::new("pipeline");
    let link = host.directory().join("ipvsadm-restore");
    std::os::unix::fs::symlink(ipvsctl(), &link).expect("a link");
    run(&host, "ipvsadm", "-R", TABLE);
    let before = run(&host, "ipvsadm", "-Sn", "").output;
    let mut restore = piped(&host, &link.to_string_lossy(), &[]);
    let mut input = restore.stdin.take().expect("its input");
    // More than a pipe holds: it has begun to read when this is written.
    input
        .write_all("# who writes this reads the table meanwhile\n".repeat(20_000).as_bytes())
        .expect("lines");
    assert_eq!(run(&host, "ipvsadm", "-Sn", "").output, before);
    input.write_all(b"-A -t 10.9.9.9:80 -s rr\n").expect("a line");
    drop(input);
    assert_eq!(restore.wait().expect("it ends").code(), Some(0));
    assert_eq!(run(&host, "ipvsadm", "-Sn", "").output, "-A -t 10.9.9.9:80 -s rr\n");
}

#[test]
fn lines_are_carried_out_when_no_more_are_waiting() {
    require_ipvs();
    let host = Host::new("stream");
    let mut restore = piped(&host, &ipvsctl().to_string_lossy(), &["-R"]);
    let mut input = restore.stdin.take().expect("its input");
    let mut answers = BufReader::new(restore.stdout.take().expect("its output"));
    input
        .write_all(b"-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w ")
        .expect("a line and a half");
    let table = || run(&host, "ipvsadm", "-Sn", "").output;
    poll_until(LIMIT, "the line is carried out", || table() == "-A -t 10.0.0.1:80 -s rr\n");
    input.write_all(b"3\n-Sn\n").expect("the other half and a question");
    let mut answer = String::new();
    for _ in 0..2 {
        answers.read_line(&mut answer).expect("an answer");
    }
    assert_eq!(answer, table());
    assert!(answer.ends_with("-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 3\n"), "{answer}");

    input.write_all(b"-E -t 10.0.0.1:80 -s wrr\n").expect("a line");
    poll_until(LIMIT, "the line is carried out", || table().starts_with("-A -t 10.0.0.1:80 -s wrr\n"));
    restore.kill().expect("it runs");
    assert_eq!(restore.wait().expect("it ends").signal(), Some(9));
    assert_eq!(table(), "-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 3\n");
}

#[test]
fn lines_behind_an_answer_that_nobody_reads_are_carried_out() {
    require_ipvs();
    let host = Host::new("unread");
    let program = ipvsctl().to_string_lossy().into_owned();
    // More answers than are kept before they are written.
    let answers = "-Ln\n".repeat(200);
    let lines =
        format!("-A -t 10.0.0.1:80 -s rr\n{answers}-A -t 10.0.0.2:80 -s rr\n{answers}-A -f 3 -s rr\n");
    let lines = host.write_file("lines", &lines);
    let mut restore = piped(&host, "bash", &["-c", &format!("exec {program} -R < {lines}")]);
    drop(restore.stdout.take());
    assert_eq!(restore.wait().expect("it ends").code(), Some(0));
    assert_eq!(run(&host, "ipvsadm", "-Sn", "").output.lines().count(), 3);

    run(&host, "ipvsadm", "-C", "");
    let script = format!("{program} -R < {lines} > /dev/full");
    let mut restore = piped(&host, "bash", &["-c", &script]);
    let mut answer = String::new();
    restore.stdout.take().expect("its output").read_to_string(&mut answer).expect("nothing");
    assert_eq!((restore.wait().expect("it ends").code(), answer.as_str()), (Some(1), ""));
    assert_eq!(run(&host, "ipvsadm", "-Sn", "").output.lines().count(), 3);
}

#[test]
fn thresholds_are_saved_and_ipvsadm_reads_them() {
    require_ipvs();
    let host = Host::new("thresholds");
    let program = ipvsctl().to_string_lossy().into_owned();
    let table = "-A -t 10.0.0.1:80 -s wlc\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 1 -x 100 -y 50\n";
    run(&host, "ipvsadm", "-R", table);
    let saved = run(&host, &program, "-Sn", "").output;
    assert_eq!(saved, table);
    let before = run(&host, "ipvsadm", "-Ln --thresholds", "");
    run(&host, &program, "-C", "");
    run(&host, "ipvsadm", "-R", &saved);
    assert_eq!(run(&host, "ipvsadm", "-Ln --thresholds", ""), before);
}

#[test]
fn files_with_faults_leave_what_they_leave_with_ipvsadm() {
    let mut pair = Pair::new();
    for file in FAULTY {
        pair.compare("-R", file);
        pair.compare_tables(file);
        pair.compare("-C", "");
    }
    pair.finish();
}

const FAULTY: [&str; 24] = [
    "-A -t 10.0.0.1:80\n\nipvsadm -A -t 10.0.0.2:80\n  -A -t 10.0.0.3:80   -s   rr  \n\t-A\t-t\t10.0.0.4:80\n",
    "-A -t 10.0.0.1:80\n/sbin/ipvsadm -A -t 10.0.0.5:80\n-A -t 10.0.0.3:80\n",
    "-A -t 10.0.0.1:80\n-A -t 10.0.0.2:80 # web\n-A -t 10.0.0.3:80\n",
    "-A -t 10.0.0.1:80\n-A -t 10.0.0.1:zz\n-A -t 10.0.0.3:80\n",
    "-A -t 10.0.0.1:80\n-A -t 10.0.0.1:80\n-a -t 10.0.0.9:80 -r 1.2.3.4\n-A -t 10.0.0.3:80\n",
    "-A -t 10.0.0.1:80\nfoo\n-A -t 10.0.0.3:80\n",
    "-A -t 10.0.0.1:80\n-A -t 10.0.0.2:80 -q\n-A -t 10.0.0.3:80\n",
    "-A -t 10.0.0.1:80\n-A -t 10.0.0.2:80 -s nonesuch\n-A -t 10.0.0.3:80\n",
    "-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.0.1.1 -w 3\n-e -t 10.0.0.1:80 -r 10.0.1.1 -w 4\n-E -t 10.0.0.1:80 -s wrr\n\
     --set 1 2 3\n-Ln\n-Sn\n-Z\n-D -t 10.0.0.1:80\n-Ln\n",
    "-A -t 10.0.0.1:80\n-C\n-A -t 10.0.0.4:80\n",
    "-A -t \"10.0.0.1:80\"\n-A -t 10.0.0.3:80\n",
    "-A -t 10.0.0.1:80\r\n-A -t 10.0.0.2:80",
    "-A -t 10.0.0.1:80\nipvsadm\n-A -t 10.0.0.2:80\n",
    "-A -t 10.0.0.1:80\n-L -t 10.0.0.9:80\n-A -t 10.0.0.2:80\n",
    // The exit status is that of the last line.
    "",
    "\n",
    "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m",
    "-A -t 10.0.0.1:80 -s nonesuch\n",
    "-A -t 10.0.0.1:80\n-A -t 10.0.0.1:80\n",
    "-A -t 10.0.0.1:80\n-A -t 10.0.0.1:80\n\n  \n",
    "-A -t 10.0.0.1:80\n-A -t 10.0.0.1:80\n-Ln\n",
    "-A -t 10.0.0.1:80 -q\n",
    "-Z -t 10.0.0.1:80\n",
    "--stop-daemon master\n",
];
