//! What is a word, and what is not: as keepalived 2.2.7 reads it (by experiment, with the adverts as the judge).

use super::super::model::*;
use super::*;

fn with_password(word: &str) -> String {
    instance(&format!(" authentication {{\n auth_type PASS\n auth_pass {word}\n }}"))
}

/// The password of a file that may be used, and what was said about it.
#[track_caller]
fn password_of(word: &str) -> (Option<Authentication>, Vec<String>) {
    let text = with_password(word);
    let said = complaints(&text);
    let config = read(&text).config.unwrap_or_else(|| panic!("{word}: {said:?}"));
    (config.instances[0].authentication.clone(), said)
}

#[test]
fn a_password_is_what_keepalived_sends_for_it() {
    let quote = "bad-text 9:12";
    let cut = |column| format!("bad-text 9:{column}");
    for (written, sent, said) in [
        (r##""secret""##, "secret", None),
        ("'secret'", "'secret'", Some(quote.to_owned())),
        ("'a", "'a", Some(quote.to_owned())),
        ("sec'ret", "sec'ret", None),
        (r"sec\ret", r"sec\ret", None),
        (r##""sec\ret""##, r"sec\ret", None),
        (r##""a\\b""##, r"a\\b", None),
        (r##""a\x41""##, r"a\x41", None),
        (r"a\\b", r"a\\b", None),
        (r##""a b""##, "a b", None),
        (r##""  ab""##, "  ab", None),
        (r##""a{b}c""##, "a{b}c", None),
        (r##""a#b!c""##, "a#b!c", None),
        (r##""\#a""##, r"\#a", None),
        (r"pa\#ss", "pa", Some(cut(14))),
        (r"pa\!ss", "pa", Some(cut(14))),
        ("pa#ss", "pa", Some(cut(14))),
        ("pa!ss", "pa", Some(cut(14))),
        (r"ab\\#cd", r"ab\\", Some(cut(16))),
        (r##""ab"#cd"##, "ab", Some(cut(16))),
    ] {
        let (authentication, complaints) = password_of(written);
        assert_eq!(authentication, Password::new(sent).map(Authentication::Pass), "{written}");
        assert_eq!(complaints, said.into_iter().collect::<Vec<_>>(), "{written}");
    }
}

#[test]
fn a_password_that_keepalived_takes_for_several_words_is_refused_with_its_place() {
    for (written, said) in [
        (r##"a"b c""##, "surplus-words 9:13"),
        (r##""a""b""##, "surplus-words 9:15"),
        (r##"sec"ret"##, "bad-text 9:15"),
        ("a{b}c", "unexpected-block 9:13"),
        ("a{b", "unexpected-block 9:13"),
        (r"a\{b", "unexpected-block 9:14"),
    ] {
        let text = with_password(written);
        assert!(
            complaints(&text).iter().any(|complaint| complaint == said),
            "{written}: {:?}",
            complaints(&text)
        );
        assert!(read(&text).config.is_none(), "{written}");
    }
}

#[test]
fn nothing_of_a_password_is_shown_however_it_is_quoted() {
    for written in [
        r"'s3kr1t'",
        r"pw\#s3kr1t",
        "pw#s3kr1t",
        r##"pw"s3kr1t"##,
        "pw{s3kr1t}x",
        r##""pw"s3kr1t"##,
        "s3kr1t}b",
        r##""s3kr1t"##,
    ] {
        let text = with_password(written);
        let shown = shown(&read(&text));
        assert!(!shown.is_empty() && !shown.contains("s3kr1t"), "{written}: {shown}");
    }
}

#[test]
fn single_quotes_do_not_quote_names_and_numbers() {
    let quoted = instance("").replace("interface eth0", "interface 'eth0'");
    assert!(read(&quoted).config.is_none(), "{:?}", complaints(&quoted));
    let quoted = instance("").replace("virtual_router_id 1", "virtual_router_id '1'");
    assert!(read(&quoted).config.is_none(), "{:?}", complaints(&quoted));
}

#[test]
fn only_the_commands_of_scripts_have_escapes() {
    let config = |more: &str| {
        let text = instance(more);
        read(&text).config.unwrap_or_else(|| panic!("{:?}", complaints(&text)))
    };
    for (written, command) in [
        (r##""/s 'a b' c""##, &["/s", "a b", "c"][..]),
        (r"'/s a b'", &["/s", "a", "b"]),
        (r##""/s \"c d\" \x41\102""##, &["/s", "c d", "AB"]),
        (r"'/s \x41 b'", &["/s", "A", "b"]),
        (r##""/s a#b !c""##, &["/s", "a#b", "!c"]),
        (r##""/s {a}""##, &["/s", "{a}"]),
        (r##""/s a"'b c'"##, &["/s", "ab", "c"]),
        (r##""/s a\ b""##, &["/s", "a", "b"]),
        (r"/\x41.sh", &["/A.sh"]),
    ] {
        let config = config(&format!(" notify_master {written}"));
        let script = config.instances[0].notify.master.as_ref().expect("it is there");
        assert_eq!(script.command, command, "{written}");
    }
    let config = config(" track_process {\n p\n }\n}\nvrrp_track_process p {\n process \"a\\x41\" 'b");
    assert_eq!(config.processes[0].command, ["a\\x41", "'b"]);
}
