//! Anything at all as a configuration: no panic, no endless loop, no password in the output.

use proptest::prelude::*;

use super::*;

const S2: &str = include_str!("../../../tests/fixtures/s2.conf");
const S3: &str = include_str!("../../../tests/fixtures/s3.conf");

/// Pieces from which configurations are made.
const PIECES: [&str; 26] = [
    "vrrp_instance",
    "virtual_server",
    "authentication",
    "auth_pass",
    "virtual_ipaddress",
    "10.0.0.1",
    "fe80::1/64",
    "{",
    "}",
    "\n",
    " ",
    "\"",
    "'",
    "\\",
    "#",
    "!",
    "$",
    "${",
    "~SEQ",
    "@x",
    "include",
    "*",
    "優",
    "\u{3000}",
    "\x1b[31m",
    "99999999999",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let out = shown(&parse("a.conf", &bytes));
        prop_assert!(!out.contains('\x1b'));
    }

    #[test]
    fn any_pieces_are_read_without_a_panic(picks in proptest::collection::vec(0..PIECES.len(), 0..80)) {
        let text: String = picks.iter().filter_map(|i| PIECES.get(*i)).copied().collect();
        let out = shown(&read(&text));
        prop_assert!(!out.contains('\x1b'), "{out}");
    }

    #[test]
    fn a_damaged_file_is_read_without_a_panic(
        which in any::<bool>(),
        at in any::<prop::sample::Index>(),
        length in 0_usize..40,
        with in proptest::collection::vec(any::<u8>(), 0..10),
    ) {
        let mut bytes = if which { S2 } else { S3 }.as_bytes().to_vec();
        let start = at.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, with);
        let loaded = parse("a.conf", &bytes);
        prop_assert_eq!(loaded.config.is_none(), loaded.report.has_errors());
        shown(&loaded);
    }
}

#[test]
fn no_single_typing_error_shows_the_password() {
    let text =
        "vrrp_instance V {\n authentication {\n  auth_type PASS\n  auth_pass geheim99\n }\n priority 1\n}";
    let secret = text.find("geheim99").unwrap();
    let mut tried = 0;
    for at in (0..=text.len()).filter(|at| *at <= secret || *at >= secret + 8) {
        for with in ["", "\n", "{", "}", "#", "\"", "'", "\\", " ", "x", "$", "${", "@"] {
            for removed in [0, 1] {
                let end = at + removed;
                if end > text.len() || (at < secret + 8 && end > secret) {
                    continue;
                }
                let text = format!("{}{with}{}", &text[..at], &text[end..]);
                let loaded = read(&text);
                let out = format!("{}{:?}", shown(&loaded), loaded.config);
                assert!(!out.contains("geheim99"), "{text}\n{out}");
                tried += 1;
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}

#[test]
fn deep_nesting_and_long_lines_end_with_an_error() {
    assert!(has_code(&read(&"a {\n".repeat(100_000)), Code::Limit));
    assert!(has_code(&read(&"}".repeat(100_000)), Code::UnbalancedBrace));
    let loaded = read(&instance(&format!(" priority {}", "9".repeat(1_000_000))));
    assert!(shown(&loaded).len() < 2000, "{}", shown(&loaded).len());
    assert!(shown(&loaded).contains("a.conf:7:11"));
}
