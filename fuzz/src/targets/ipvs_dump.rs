use lvs_core::{Change, Table};
use lvs_ipvs::codec;

/// Input: messages of a dump, each behind its length in two octets.
///
/// Whatever the kernel tells is a table, or counted as what no table can say; a table leads to itself without an edit,
/// and the edits that make it, and those that remove it, can be sent.
pub fn ipvs_dump(input: &[u8]) {
    let entries = split(input);
    let (table, unsaid) = codec::observe(&entries);
    assert!(unsaid <= entries.len() * (1 + table.services().len()), "{unsaid} of {}", entries.len());
    assert_eq!(table.changes_to(&table), []);
    let mut made = Table::default();
    for change in Table::default().changes_to(&table) {
        assert_eq!(made.apply(&change), Ok(()), "{change}");
        assert_sendable(&change);
    }
    for change in table.changes_to(&Table::default().with_daemons([])) {
        assert_eq!(made.apply(&change), Ok(()), "{change}");
        assert_sendable(&change);
    }
    assert!(made.is_empty());
}

fn assert_sendable(change: &Change) {
    let bytes = codec::encode(change).unwrap_or_else(|| panic!("{change} cannot be sent"));
    assert!(codec::recode(&bytes).is_ok(), "{change}");
}

fn split(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut entries = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (entry, behind) = behind.split_at(length);
        entries.push(entry);
        rest = behind;
    }
    entries
}
