//! CONFORMANCE.md against the list of numbers and the tests of the workspace.
#![allow(clippy::unwrap_used, clippy::panic)] // A page or a file that cannot be read is a failed test.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// The numbers of the list, section by section.
const NUMBERS: [RangeInclusive<u16>; 12] = [
    1..=10,
    20..=30,
    40..=46,
    60..=78,
    90..=103,
    110..=132,
    150..=165,
    180..=184,
    200..=205,
    220..=227,
    240..=243,
    250..=252,
];

/// A line of the table.
struct Row<'a> {
    number: u16,
    /// `path::test`, from the root of the workspace.
    tests: Vec<(&'a str, &'a str)>,
}

fn file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows(page: &str) -> Vec<Row<'_>> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| VR-"));
    rows.map(|row| {
        let (number, rest) = row.split_once(" | ").unwrap();
        let names = rest.split('`').skip(1).step_by(2);
        let tests = names.map(|name| name.rsplit_once("::").unwrap_or_else(|| panic!("{name}: no test")));
        Row { number: number.parse().unwrap(), tests: tests.collect() }
    })
    .collect()
}

/// Whether a text has `VR-nnn` or a range around it, `VR-nnn to VR-nnn`.
fn names(text: &str, wanted: u16) -> bool {
    let number = |text: &str| text.get(..3).and_then(|digits| digits.parse::<u16>().ok());
    let parts: Vec<&str> = text.split("VR-").skip(1).collect();
    let is_it = |part: &&str| number(part) == Some(wanted);
    let is_around = |pair: &[&str]| {
        let is_range = pair[0].get(3..).is_some_and(|rest| rest.trim_matches(['/', ' ', '\n']) == "to");
        is_range && number(pair[0]) <= Some(wanted) && Some(wanted) <= number(pair[1])
    };
    parts.iter().any(is_it) || parts.windows(2).any(is_around)
}

/// What is wrong with a named test of a source file, as far as that number is concerned: it has to run, and its body or the
/// comments and attributes directly above it have to name the number.
fn fault(text: &str, name: &str, number: u16) -> Option<&'static str> {
    let lines: Vec<&str> = text.lines().collect();
    let head = format!("fn {name}(");
    let is_head = |line: &&str| line.trim_start().trim_start_matches("async ").starts_with(&head);
    let Some(start) = lines.iter().position(is_head) else { return Some("there is no such test") };
    let belongs = |line: &&&str| ["//", "#[", ")]"].iter().any(|begin| line.trim_start().starts_with(begin));
    let above: Vec<&str> = lines[..start].iter().rev().take_while(belongs).copied().collect();
    let has = |attribute: &str| above.iter().any(|line| line.trim_start().starts_with(attribute));
    if !has("#[test]") && !has("#[tokio::test") {
        return Some("it is no test");
    }
    if above.iter().any(|line| line.trim_start().starts_with("#[") && line.contains("ignore")) {
        return Some("it is ignored");
    }
    let indent = lines[start].len() - lines[start].trim_start().len();
    let is_end = |line: &&str| line.len() == indent + 1 && line.ends_with('}');
    let body = &lines[start..];
    let end = body.iter().position(is_end).unwrap_or(body.len());
    let names_it = names(&above.iter().rev().copied().collect::<Vec<_>>().join("\n"), number)
        || names(&body[..end].join("\n"), number);
    (!names_it).then_some("it does not name the number")
}

#[test]
fn the_page_has_each_number_once_and_in_order() {
    let page = file("lvs-vrrp/CONFORMANCE.md");
    let numbers: Vec<u16> = rows(&page).iter().map(|row| row.number).collect();
    assert_eq!(numbers, NUMBERS.into_iter().flatten().collect::<Vec<_>>());
}

#[test]
fn every_named_test_runs_and_names_the_number() {
    let page = file("lvs-vrrp/CONFORMANCE.md");
    let mut faults = Vec::new();
    for Row { number, tests } in rows(&page) {
        for (path, test) in tests {
            if let Some(fault) = fault(&file(path), test, number) {
                faults.push(format!("VR-{number:03}: {path}::{test}: {fault}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_no_test_shows_is_in_parity_with_the_reason() {
    let (page, parity) = (file("lvs-vrrp/CONFORMANCE.md"), file("docs/PARITY.md"));
    let without: BTreeSet<u16> =
        rows(&page).iter().filter(|row| row.tests.is_empty()).map(|row| row.number).collect();
    let listed = parity.lines().filter_map(|line| line.strip_prefix("| VR-"));
    let with_reason = listed.map(|row| {
        let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").collect();
        assert!(cells.len() == 3 && !cells[2].trim().is_empty(), "no reason: VR-{row}");
        row[..3].parse().unwrap()
    });
    assert_eq!(without, with_reason.collect(), "numbers without a test, and those of PARITY");
}

#[test]
fn numbers_are_found_alone_and_in_ranges() {
    let text = "// VR-009, VR-115 to VR-121, first\n// VR-200 to\n// VR-202.";
    for number in [9, 115, 118, 121, 200, 201, 202] {
        assert!(names(text, number), "{number}");
    }
    for number in [10, 114, 122, 150, 203] {
        assert!(!names(text, number), "{number}");
    }
}

#[test]
fn a_test_answers_for_what_it_names_itself_and_only_if_it_runs() {
    let text = "\
// VR-001
#[test]
fn above() {
    inner();
}

#[tokio::test(start_paused = true)]
async fn inside() {
    if true {
        // VR-002.
    }
}

mod more {
    // VR-003: it takes long.
    #[test]
    #[ignore = \"slow\"]
    fn ignored() {
    }

    // VR-003.
    fn helper() {
    }
}
";
    assert_eq!(fault(text, "above", 1), None);
    assert_eq!(fault(text, "inside", 2), None);
    assert_eq!(fault(text, "above", 2), Some("it does not name the number"));
    assert_eq!(fault(text, "inside", 1), Some("it does not name the number"));
    assert_eq!(fault(text, "inside", 3), Some("it does not name the number"));
    assert_eq!(fault(text, "ignored", 3), Some("it is ignored"));
    assert_eq!(fault(text, "helper", 3), Some("it is no test"));
    assert_eq!(fault(text, "above_all", 1), Some("there is no such test"));
}
