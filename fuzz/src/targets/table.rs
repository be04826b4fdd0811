use lvs_core::Table;

/// Input: a table as JSON.
///
/// What is read is written as text that is read as the same again, and what is refused is refused at a place of the text.
pub fn table(input: &[u8]) {
    match serde_json::from_slice::<Table>(input) {
        Ok(table) => {
            let text = serde_json::to_string_pretty(&table).expect("a table can be written");
            let again: Table = serde_json::from_str(&text).expect("what was written can be read");
            assert_eq!(again, table, "{text}");
            assert!(table.changes_to(&again).is_empty());
            for server in table.services().flat_map(|service| service.servers()) {
                assert!(server.weight() <= lvs_core::Weight::MAX);
                assert!(server.lower_threshold() <= server.upper_threshold());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty() && error.line() > 0, "{error}"),
    }
}
