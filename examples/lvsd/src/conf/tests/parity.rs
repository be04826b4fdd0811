//! docs/PARITY.md against the tables of the program.

use std::collections::BTreeSet;

use super::super::check;
use super::super::known::Kind;

const PAGE: &str = include_str!("../../../../../docs/PARITY.md");

/// The rows of the page: heading, first cell, status.
fn rows() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut heading = "";
    let mut rows = Vec::new();
    for line in PAGE.lines() {
        if let Some(text) = line.strip_prefix('#') {
            heading = text.trim_start_matches('#').trim();
        } else if heading.starts_with('(') && line.starts_with("| ") {
            let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
            let (Some(first), Some(status)) = (cells.next(), cells.next()) else { panic!("no row: {line}") };
            if status != "status" {
                rows.push((heading, first, status.trim_end_matches(" |")));
            }
        }
    }
    rows
}

#[test]
fn the_page_has_each_keyword_with_its_true_status() {
    let supported: BTreeSet<(Kind, &str)> = check::supported().into_iter().collect();
    let mut checked = 0;
    for kind in Kind::ALL {
        let heading =
            if kind == Kind::Top { "at the top level".into() } else { format!("in `{}`", kind.name()) };
        let mut on_page = BTreeSet::new();
        for (_, keyword, status) in rows().into_iter().filter(|(h, ..)| h.get(4..) == Some(&*heading)) {
            let keyword = keyword.trim_matches('`');
            assert!(on_page.insert(keyword), "{keyword} {heading} is there twice");
            let is_supported = supported.contains(&(kind, keyword));
            let claims = matches!(status, "done" | "differs");
            assert_eq!(claims, is_supported, "{keyword} {heading}: the page says {status}");
            checked += 1;
        }
        let known: BTreeSet<&str> = kind.words().collect();
        assert_eq!(on_page, known, "{heading}");
    }
    assert!(checked > 450, "{checked} keywords");
}

#[test]
fn every_row_has_one_of_the_three_statuses() {
    for (heading, first, status) in rows() {
        assert!(matches!(status, "done" | "differs" | "not yet"), "{heading}: {first}: {status:?}");
    }
    for group in 'a'..='j' {
        assert!(rows().iter().any(|(heading, ..)| heading.starts_with(&format!("({group})"))), "({group})");
    }
}

#[test]
fn every_supported_keyword_is_one_of_keepalived() {
    for (kind, keyword) in check::supported() {
        assert!(kind.knows(keyword), "{keyword} {kind:?}");
    }
}
