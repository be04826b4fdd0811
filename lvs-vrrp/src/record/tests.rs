use std::num::NonZeroU8;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{AnnounceSchedule, DownTimerAdverts, Preempt, Start};

const HEADER: &str = "vrrp-recording 1\nstart 5\naddress 10.0.0.1\nconfig interval=1s priority=100\n";

fn error_of(text: &str) -> String {
    replay(text).unwrap_err().to_string()
}

fn error_of_input(input: &str) -> String {
    error_of(&format!("{HEADER}+0 enable\n{input}\n"))
}

fn plain() -> Config {
    Config::new(Interval::seconds(1).unwrap(), Priority::DEFAULT)
}

#[test]
fn every_input_is_read_as_it_was_written() {
    let nanos = Duration::from_nanos;
    let everything = Config::new(Interval::centis(4095).unwrap(), Priority::OWNER)
        .with_preempt(Preempt::After(nanos(1)))
        .with_start(Start::Master)
        .with_start_delay(nanos(2))
        .with_down_timer_adverts(DownTimerAdverts::new(100).unwrap())
        .with_announcements(
            AnnounceSchedule::default()
                .with_repeat(NonZeroU8::new(3).unwrap())
                .with_delay(nanos(4))
                .with_refresh(Duration::from_secs(5))
                .with_refresh_repeat(NonZeroU8::new(6).unwrap())
                .with_lower_prio_repeat(0)
                .with_lower_prio_delay(nanos(7)),
        )
        .with_lower_prio_no_advert(true)
        .with_higher_prio_send_advert(true)
        .with_owner_ignore_adverts(true)
        .with_yield_when_late(true)
        .with_claim_timeout(nanos(8));
    let advert = |source: [u16; 8], octet, interval| Input::Advert {
        source: source.into(),
        advertised: Advertised::from_octet(octet),
        interval,
    };
    let mut inputs = vec![
        Input::Enable,
        Input::Disable,
        Input::Timeout,
        Input::Gate(Gate::Open),
        Input::Gate(Gate::Held),
        Input::Claimed { epoch: Epoch::from_value(7), result: ClaimResult::Confirmed },
        Input::Claimed { epoch: Epoch::from_value(u64::MAX), result: ClaimResult::Missing },
        advert([0xfe80, 0, 0, 0, 0, 0, 0, 1], 0, Interval::centis(1).unwrap()),
        advert([0xfe80, 0, 0, 0, 0, 0, 0, 2], 255, Interval::seconds(255).unwrap()),
        Input::Priority(Priority::OWNER),
        Input::Address([10, 0, 0, 9].into()),
        Input::Config(everything),
    ];
    inputs.extend(FAULTS.map(|reason| Input::Gate(Gate::Fault(reason))));
    let start = Instant::from_nanos(9);
    let mut recording = Recording::new(start, &everything, [10, 0, 0, 1].into(), usize::MAX);
    for (offset, input) in (0..).zip(&inputs) {
        recording.note(start + nanos(offset), input);
    }
    let read::Told { start: read_start, config, address, inputs: told } =
        read::recording(recording.text()).unwrap();
    assert_eq!((read_start, config, address), (start, everything, [10, 0, 0, 1].into()));
    assert_eq!(told, (0..).map(nanos).zip(inputs).collect::<Vec<_>>());
}

#[test]
fn what_a_configuration_does_not_say_is_as_in_a_new_one() {
    let read::Told { config, .. } = read::recording(HEADER).unwrap();
    assert_eq!(config, plain());
}

#[test]
fn a_delay_too_long_for_the_clock_is_for_ever_all_the_same() {
    let config = plain().with_start_delay(Duration::MAX);
    let recording = Recording::new(Instant::ORIGIN, &config, [10, 0, 0, 1].into(), 0);
    let read::Told { config, .. } = read::recording(recording.text()).unwrap();
    assert_eq!(config.start_delay(), Duration::from_nanos(u64::MAX));
}

#[test]
fn a_text_that_is_no_recording_is_refused_with_the_line_and_the_reason() {
    assert_eq!(error_of(""), r#"line 1: "vrrp-recording" and its value are missing"#);
    assert_eq!(error_of("vrrp-recording 2\n"), r#"line 1: version "2" of the format is not known, only 1"#);
    assert_eq!(error_of("vrrp-recording 1\n\n# a comment\n"), r#"line 4: "start" and its value are missing"#);
    assert_eq!(error_of("vrrp-recording 1\nstart -1\n"), r#"line 2: "-1": invalid digit found in string"#);
    let config = |words: &str| error_of(&format!("vrrp-recording 1\nstart 0\naddress ::1\nconfig {words}\n"));
    assert_eq!(config("priority=1"), r#"line 4: "interval" is missing"#);
    assert_eq!(config("interval=1s priority=1 priority=2"), r#"line 4: "priority" comes twice"#);
    assert_eq!(config("interval=1s priority=1 speed=2"), r#"line 4: "speed" is no key of a configuration"#);
    assert_eq!(
        config("interval=4096cs priority=1"),
        "line 4: advertisement interval in centiseconds 4096 is out of range: allowed is 1 to 4095"
    );
    assert_eq!(config("interval=1m priority=1"), r#"line 4: "1m" is no interval such as 1s or 100cs"#);
    assert!(config("interval=1s priority=1 repeat=0").starts_with("line 4: \"0\": number would be zero"));
    assert!(config("interval=1s priority=1 yield_when_late=1").ends_with("neither yes nor no"));
    assert_eq!(error_of_input("0 enable"), "line 6: an input begins with + and its time");
    assert_eq!(error_of_input("+0"), "line 6: the input is missing");
    assert_eq!(error_of_input("+0 explode now"), r#"line 6: "explode now" is no input"#);
    assert_eq!(error_of_input("+0 timeout 1"), r#"line 6: "timeout 1" is no input"#);
    assert_eq!(error_of_input("+0 gate fault bored"), r#"line 6: "bored" is no reason for a fault"#);
    assert_eq!(error_of_input("+0 advert here 0 1s"), r#"line 6: "here": invalid IP address syntax"#);
    assert_eq!(error_of_input("truncated\n+0 enable"), r#"line 7: nothing can follow "truncated""#);
}

#[test]
fn a_recording_without_room_says_that_it_is_truncated_and_can_be_replayed_as_far_as_it_goes() {
    let start = Instant::ORIGIN;
    let mut recording = Recording::new(start, &plain(), [10, 0, 0, 1].into(), 25);
    for input in [Input::Enable, Input::Timeout, Input::Disable, Input::Timeout] {
        recording.note(start, &input);
    }
    assert!(recording.is_truncated());
    assert!(recording.text().ends_with("+0 enable\n+0 timeout\ntruncated\n"), "{}", recording.text());
    assert_eq!(replay(recording.text()).unwrap().steps().len(), 2);
}

#[test]
fn a_transcript_shows_what_was_decided_below_each_input() {
    let text = format!(
        "{HEADER}+0 enable\n+4000000000 timeout\n+4100000000 claimed 1 confirmed\n\
         +4200000000 advert 10.0.0.9 99 1s\n+4300000000 gate fault link-down\n"
    );
    let replayed = replay(&text).unwrap();
    assert_eq!(replayed.router().role(), lvs_core::Role::Fault);
    let expected = "\
+0 enable
    INIT -> BACKUP: enabled
+4000000000 timeout
    advertise 100
    claim 1
    BACKUP -> MASTER: no advert from a master in time
+4100000000 claimed 1 confirmed
    announce 1 by 5
+4200000000 advert 10.0.0.9 99 1s
    advertise 100
    10.0.0.9 is master too, with priority 99; it has to yield, ours is higher
+4300000000 gate fault link-down
    advertise 0
    release 1
    10.0.0.9 was master too (1 advert of priority 99); we are not any more
    MASTER -> FAULT: the interface is down
";
    assert_eq!(replayed.to_string(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,400}") {
        let _ = replay(&text);
        let _ = replay(&format!("{HEADER}{text}"));
    }

    #[test]
    fn any_words_are_read_or_refused(
        lines in proptest::collection::vec(
            r"\+[0-9]{1,25} (enable|disable|timeout|gate (open|held|fault [a-z-]{0,9})|priority [0-9]{1,4}|claimed [0-9]{1,3} (confirmed|missing)|advert [0-9a-f.:]{1,12} [0-9]{1,4} [0-9]{1,4}c?s|config( [a-z_]{1,9}=[0-9a-z]{1,5}){0,3})",
            0..20,
        )
    ) {
        let text = format!("{HEADER}{}", lines.join("\n"));
        match replay(&text) {
            Ok(replayed) => prop_assert_eq!(replayed.steps().len(), lines.len()),
            Err(error) => prop_assert!((5..5 + lines.len()).contains(&error.line), "{}", error),
        }
    }
}
