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

/// Whether a source file has a test of that name.
fn has_test(text: &str, name: &str) -> bool {
    let before = text.split_once(&format!("fn {name}(")).map(|(before, _)| before.trim_end_matches("async "));
    let before = before.map(str::trim_end);
    // The attributes are in the lines just above, up to an empty one or the end of another item.
    let above = before.into_iter().flat_map(|before| before.lines().rev().take(6));
    let mut own = above.take_while(|line| !line.trim().is_empty() && !line.starts_with('}'));
    own.any(|line| ["#[test]", "#[tokio::test"].iter().any(|attribute| line.trim().starts_with(attribute)))
}

#[test]
fn the_page_has_each_number_once_and_in_order() {
    let page = file("lvs-vrrp/CONFORMANCE.md");
    let numbers: Vec<u16> = rows(&page).iter().map(|row| row.number).collect();
    assert_eq!(numbers, NUMBERS.into_iter().flatten().collect::<Vec<_>>());
}

#[test]
fn every_named_test_exists_and_its_file_names_the_number() {
    let page = file("lvs-vrrp/CONFORMANCE.md");
    let mut faults = Vec::new();
    for Row { number, tests } in rows(&page) {
        for (path, test) in tests {
            let text = file(path);
            if !has_test(&text, test) {
                faults.push(format!("VR-{number:03}: there is no test {test} in {path}"));
            } else if !names(&text, number) {
                faults.push(format!("VR-{number:03}: {path} does not name it"));
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
