use std::io::Read;

use lvs_ipvs::{Connection, Connections, ConnectionsError};

/// Input: an octet for how much the reader gives at a time, then a table, header and all.
///
/// There is one item for each line below the header, however the octets come, and what was read of a row, written as the
/// kernel writes it, is read as the same again.
pub fn connections(input: &[u8]) {
    let Some((pace, table)) = input.split_first() else { return };
    let rows: Vec<_> = Connections::from_reader(table).collect();
    let slowly = Connections::from_reader(Slow(table, usize::from(*pace) + 1));
    assert!(rows.iter().map(text).eq(slowly.map(|row| text(&row))));

    let lines = table.split_inclusive(|&octet| octet == b'\n').count();
    match rows.as_slice() {
        [Err(ConnectionsError::NoTable { .. })] => {}
        rows => assert_eq!(rows.len() + 1, lines),
    }
    for (row, number) in rows.iter().zip(2..) {
        match row {
            Ok(row) => holds(row),
            Err(ConnectionsError::Row { line, .. }) => assert_eq!(*line, number),
            Err(error) => assert!(matches!(error, ConnectionsError::NoTable { .. }), "{error}"),
        }
    }
}

fn holds(row: &Connection) {
    let mut table: Vec<u8> = match row.origin {
        Some(_) => b"Pro State Origin Expires\n".to_vec(),
        None => b"Pro State Expires PEName PEData\n".to_vec(),
    };
    table.extend_from_slice(row.protocol.to_string().as_bytes());
    for address in [row.client, row.virtual_address, row.destination] {
        let groups: Vec<_> = match address.ip() {
            std::net::IpAddr::V4(address) => vec![format!("{:08X}", u32::from(address))],
            std::net::IpAddr::V6(address) => {
                address.segments().iter().map(|it| format!("{it:04x}")).collect()
            }
        };
        table.extend_from_slice(format!(" {} {:04X}", groups.join(":"), address.port()).as_bytes());
    }
    let origin = row.origin.map(|origin| origin.to_string()).unwrap_or_default();
    table.extend_from_slice(format!(" {} {origin} {:>7}", row.state, row.expires.as_secs()).as_bytes());
    if let Some(kept) = &row.persistence_data {
        table.extend([b" ", kept.engine.as_str().as_bytes(), b" ", &kept.data].concat());
    }
    table.push(b'\n');
    let again: Vec<_> = Connections::from_reader(&table[..]).collect();
    assert!(matches!(&again[..], [Ok(again)] if again == row), "{again:?} {row:?}");
}

/// What an item says.
fn text(row: &Result<Connection, ConnectionsError>) -> String {
    match row {
        Ok(row) => format!("{row:?}"),
        Err(error) => error.to_string(),
    }
}

/// Gives a few octets at a time.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(self.1);
        self.0.read(&mut buffer[..length])
    }
}
