use lvs_core::{Family, Protocol};

use super::*;
use crate::names::Numeric;

fn parsed(line: &str) -> OwnCommand {
    let words: Vec<_> = line.split(' ').collect();
    parse(&words, &Numeric).unwrap().unwrap()
}

fn refused(line: &str) -> String {
    let words: Vec<_> = line.split(' ').collect();
    let error = parse(&words, &Numeric).unwrap_err();
    assert_eq!(error.exit_status(), 2, "{line}");
    error.to_string()
}

fn file(path: &str) -> Place {
    Place::File(path.into())
}

#[test]
fn what_begins_with_none_of_the_verbs_is_left_to_ipvsadms_grammar() {
    for words in [&[][..], &["-L"], &["differ"], &["-A", "diff"], &["--json"], &["Diff"]] {
        assert_eq!(parse(words, &Numeric), Ok(None), "{words:?}");
    }
}

#[test]
fn a_file_is_compared_applied_saved_and_restored() {
    let plain =
        Apply { file: file("t"), foreign: Foreign::Remove, json: false, dry_run: false, allow_empty: false };
    assert_eq!(parsed("apply t"), OwnCommand::Apply(plain.clone()));
    assert_eq!(
        parsed("apply --foreign=keep -- -t"),
        OwnCommand::Apply(Apply { file: file("-t"), foreign: Foreign::Keep, ..plain.clone() })
    );
    assert_eq!(
        parsed("apply t --dry-run --json --allow-empty"),
        OwnCommand::Apply(Apply { dry_run: true, json: true, allow_empty: true, ..plain.clone() })
    );
    assert_eq!(parsed("restore"), OwnCommand::Restore(Apply { file: file(DEFAULT_FILE), ..plain.clone() }));
    assert_eq!(parsed("restore -"), OwnCommand::Restore(Apply { file: Place::Standard, ..plain }));
    assert_eq!(parsed("save"), OwnCommand::Save(Save { file: file(DEFAULT_FILE), json: false }));
    assert_eq!(parsed("save --json -"), OwnCommand::Save(Save { file: Place::Standard, json: true }));
    let diff = Diff { file: Place::Standard, foreign: Foreign::Remove, json: false };
    assert_eq!(parsed("diff --foreign remove -"), OwnCommand::Diff(diff));
    assert_eq!(parsed("diff --help"), OwnCommand::Help(OwnVerb::Diff));
}

#[test]
fn services_are_named_as_for_ipvsadm() {
    let tcp = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap());
    let mark = |family| ServiceKey::Fwmark { family, mark: 7.try_into().unwrap() };
    assert_eq!(
        parsed("watch"),
        OwnCommand::Watch(Watch { interval: Duration::from_secs(2), count: None, services: Vec::new() })
    );
    assert_eq!(
        parsed("watch -t10.0.0.1:80 --interval 0.5 -f 7 -f=7 -6 --count=3"),
        OwnCommand::Watch(Watch {
            interval: Duration::from_millis(500),
            count: Some(3),
            services: vec![tcp, mark(Family::Ipv4), mark(Family::Ipv6)],
        })
    );
    let server = |text: &str| ServerKey::new(text.parse().unwrap());
    assert_eq!(
        parsed("drain -t 10.0.0.1:80 -r 10.0.1.2"),
        OwnCommand::Drain(Drain { service: tcp, server: server("10.0.1.2:80"), deadline: None })
    );
    assert_eq!(
        parsed("drain --deadline 0 --real-server=[2001:db8::2]:8080 --fwmark-service 7 --ipv6"),
        OwnCommand::Drain(Drain {
            service: mark(Family::Ipv6),
            server: server("[2001:db8::2]:8080"),
            deadline: Some(Duration::ZERO),
        })
    );
}

#[test]
fn what_is_wrong_is_named_with_the_remedy() {
    for (line, text) in [
        ("diff", "diff: FILE is missing; name a saved table, or `-` for standard input"),
        ("apply a b", "apply: \"b\": there is one FILE at a time; leave this out"),
        ("apply --dryrun a", "apply: --dryrun: there is no such option; `apply --help` lists them"),
        ("diff --dry-run a", "diff: --dry-run: there is no such option; `diff --help` lists them"),
        ("apply --json=1 a", "apply: --json: this option takes no argument; leave \"1\" out"),
        ("apply --foreign", "apply: --foreign: an argument is missing: write `--foreign keep|remove`"),
        (
            "apply --foreign a b",
            "apply: --foreign: \"a\": write `keep` (services that FILE does not name stay) or `remove` (they go)",
        ),
        ("apply --json --json a", "apply: --json: this option stands there already; leave one of them out"),
        ("watch x", "watch: \"x\" is no option, and belongs to none; leave it out"),
        ("watch --interval 0", "watch: --interval: \"0\" is no number of seconds from 0.1 to 3600"),
        ("watch --interval inf", "watch: --interval: \"inf\" is no number of seconds from 0.1 to 3600"),
        ("watch --count 0", "watch: --count: \"0\" is no number from 1 to 18446744073709551615"),
        ("watch -6", "-6: this option follows `-f MARK`; an address says by itself that it is IPv6"),
        ("watch -f 0", "-f: \"0\" is no number from 1 to 4294967295"),
        ("drain -t 10.0.0.1:80", "drain: the server is missing; add `-r HOST[:PORT]`"),
        (
            "drain -t 10.0.0.1:80 -u 10.0.0.1:80 -r 1.2.3.4",
            "drain: a server of one service drains; name one, and run it once for each of them",
        ),
        (
            "drain -t 10.0.0.1:80 -r 1.2.3.4 --deadline -1",
            "drain: --deadline: \"-1\" is no number from 0 to 2678400",
        ),
    ] {
        assert_eq!(refused(line), text, "{line}");
    }
    assert!(refused("drain -r 10.0.1.2:80").starts_with("drain: the service is missing; add `-t HOST:PORT`"));
}
