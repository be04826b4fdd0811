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
        .with_highest_other_priority(Priority::new(9).unwrap())
        .with_claim_timeout(nanos(100_000_008));
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
    let address = [10, 0, 0, 1].into();
    let router = Router::new(everything, address);
    let mut recording = Recording::new(start, &everything, address, usize::MAX);
    for (offset, input) in (0..).zip(&inputs) {
        recording.note(start + nanos(offset), input, &router);
    }
    let read::Told { start: read_start, router: read_router, inputs: told } =
        read::recording(&recording.text()).unwrap();
    assert_eq!((read_start, read_router), (start, router));
    assert_eq!(told, (0..).map(nanos).zip(inputs).collect::<Vec<_>>());
}

#[test]
fn what_a_configuration_does_not_say_is_as_in_a_new_one() {
    assert_eq!(replay(HEADER).unwrap().router().config(), &plain());
}

#[test]
fn a_delay_too_long_for_the_clock_is_for_ever_all_the_same() {
    let config = plain().with_start_delay(Duration::MAX);
    let recording = Recording::new(Instant::ORIGIN, &config, [10, 0, 0, 1].into(), 0);
    let replayed = replay(&recording.text()).unwrap();
    assert_eq!(replayed.router().config().start_delay(), Duration::from_nanos(u64::MAX));
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
    assert_eq!(
        error_of(&format!("{HEADER}+3 enable\n+3 timeout\n# later\n+2 timeout\n")),
        "line 8: +2 is before +3: inputs go in the order of their times"
    );
    let state = |words: &str| error_of(&format!("{HEADER}state {words}\n+0 enable\n"));
    assert_eq!(state("epoch=1"), r#"line 5: "failed_claims" is missing"#);
    assert_eq!(state("epoch"), r#"line 5: "epoch" is no key=value"#);
    let good = "epoch=1 failed_claims=0 gate=open";
    assert_eq!(state(&format!("{good} is=asleep")), r#"line 5: "asleep" is nothing that a router is"#);
    assert_eq!(
        state(&format!("{good} epoch=2 is=fault")),
        r#"line 5: "epoch" comes twice or has no place here"#
    );
    let rivals = " rival=10.0.0.2,1,lower-priority,1,0,0,0,no,no".repeat(5);
    let master = format!("{good} is=master advertise=0 overtaken=0 answer=0 announced=0{rivals}");
    assert_eq!(state(&master), "line 5: more than 4 rivals");
    let four = master.rsplit_once(" rival").unwrap().0;
    assert!(
        replay(&format!("{HEADER}state {four}\n")).is_ok_and(|replayed| replayed
            .router()
            .conflicts()
            .count()
            == 4)
    );
    assert_eq!(error_of_input("state epoch=1"), "line 6: an input begins with + and its time");
}

#[test]
fn a_recording_of_a_long_life_keeps_to_its_room_and_is_replayed_from_the_middle() {
    const ROOM: usize = 10_000;
    let address = [10, 0, 0, 1].into();
    let mut now = Instant::from_nanos(5);
    let mut router = Router::new(plain(), address);
    let mut recording = Recording::new(now, &plain(), address, ROOM);
    let mut actions: Vec<Action> = Vec::new();
    let mut tell = |now, input: Input, router: &mut Router| {
        recording.note(now, &input, router);
        input.tell(router, now);
        actions.extend(std::iter::from_fn(|| router.poll_action()));
    };
    tell(now, Input::Enable, &mut router);
    for _ in 0..2000 {
        now = router.poll_timeout().unwrap();
        tell(now, Input::Timeout, &mut router);
        let claimed = Input::Claimed { epoch: router.ownership().epoch, result: ClaimResult::Confirmed };
        tell(now, claimed, &mut router);
    }
    let text = recording.text();
    assert!((ROOM / 2..ROOM + 1000).contains(&text.len()), "{}", text.len());
    let replayed = replay(&text).unwrap();
    assert_eq!(replayed.router(), &router);
    let latest: Vec<Action> = replayed.actions().collect();
    assert!(latest.len() > 50 && actions.ends_with(&latest), "{}", latest.len());
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

/// Mostly what leads somewhere.
fn any_input() -> impl Strategy<Value = Input> {
    let result = prop_oneof![Just(ClaimResult::Confirmed), Just(ClaimResult::Missing)];
    let gate = prop_oneof![
        4 => Just(Gate::Open),
        1 => Just(Gate::Held),
        1 => Just(Gate::Fault(FaultReason::LinkDown)),
    ];
    let octet = prop_oneof![Just(0u8), Just(90), Just(100), Just(110)];
    prop_oneof![
        3 => Just(Input::Enable),
        1 => Just(Input::Disable),
        2 => gate.prop_map(Input::Gate),
        6 => result.prop_map(|result| Input::Claimed { epoch: Epoch::NONE, result }),
        8 => (1u8..9, octet).prop_map(|(last, octet)| Input::Advert {
            source: [10, 0, 0, last].into(),
            advertised: Advertised::from_octet(octet),
            interval: Interval::seconds(1).unwrap(),
        }),
        20 => Just(Input::Timeout),
        1 => (1u8..255).prop_map(|number| Input::Priority(Priority::new(number).unwrap())),
        1 => Just(Input::Address([10, 0, 0, 7].into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_it_is_told_and_however_little_room_there_is_the_replay_ends_as_the_router_did(
        inputs in proptest::collection::vec((any_input(), 0u64..2_000_000_000), 0..150),
        room in 0usize..4000,
        preempt in prop_oneof![
            Just(Preempt::Always), Just(Preempt::Never), Just(Preempt::After(Duration::from_secs(3)))
        ],
    ) {
        let config = plain().with_preempt(preempt).with_start_delay(Duration::from_secs(1));
        let mut now = Instant::from_nanos(5);
        let address = [10, 0, 0, 5].into();
        let mut router = Router::new(config, address);
        let mut recording = Recording::new(now, &config, address, room);
        let mut actions: Vec<Action> = Vec::new();
        for (input, pause) in inputs {
            now = now + Duration::from_nanos(pause);
            let input = match input {
                // Words about other masterships have no effect.
                Input::Claimed { result, .. } => Input::Claimed { epoch: router.ownership().epoch, result },
                other => other,
            };
            recording.note(now, &input, &router);
            input.tell(&mut router, now);
            // Sometimes late.
            if pause % 8 != 0 {
                actions.extend(std::iter::from_fn(|| router.poll_action()));
            }
        }
        actions.extend(std::iter::from_fn(|| router.poll_action()));
        let replayed = replay(&recording.text()).unwrap();
        prop_assert_eq!(replayed.router(), &router);
        let latest: Vec<Action> = replayed.actions().collect();
        prop_assert!(actions.ends_with(&latest));
    }

    #[test]
    fn no_state_at_the_beginning_does_harm(
        numbers in proptest::collection::vec(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 12),
        gate in prop_oneof![Just("open"), Just("held"), Just("link-down")],
        inputs in proptest::collection::vec(any_input(), 0..20),
    ) {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = numbers.try_into().unwrap();
        let states = [
            format!("is=backup until={a} interval=1s cause=10.0.0.9,255 delay={b}"),
            format!("is=master advertise={c} overtaken={d} answer={e} announced={f} give_up={g} last={h}"),
            format!(
                "is=master advertise={c} overtaken={d} answer={e} announced={f} second={g},0 refresh={h},255 \
                 last={i} last_demand={j} rival=10.0.0.9,1,same-address,{k},{l},{a},{b},yes,yes"
            ),
        ];
        for state in states {
            let mut text = format!("{HEADER}state epoch={l} failed_claims={} gate={gate} {state}\n", u32::MAX);
            for (offset, input) in inputs.iter().enumerate() {
                write::line(&mut text, Duration::from_millis(300) * u32::try_from(offset).unwrap(), input);
            }
            prop_assert_eq!(replay(&text).map(|replayed| replayed.steps().len()), Ok(inputs.len()));
        }
    }

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
        let mut lines = lines;
        lines.sort_by_key(|line| {
            let offset = line.split(' ').next().unwrap_or_default().trim_start_matches(['+', '0']);
            (offset.len(), offset.to_owned())
        });
        let text = format!("{HEADER}{}", lines.join("\n"));
        match replay(&text) {
            Ok(replayed) => prop_assert_eq!(replayed.steps().len(), lines.len()),
            Err(error) => prop_assert!((5..5 + lines.len()).contains(&error.line), "{}", error),
        }
    }
}
