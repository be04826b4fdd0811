//! One row of the connection table, as `ip_vs_conn_seq_show` and `ip_vs_conn_sync_seq_show` of the kernel write it.
//!
//! ```text
//! Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
//! TCP 0A000005 9C40 0A000001 0050 0A000102 1F90 ESTABLISHED     899
//! UDP 0A000005 0000 0A000001 13C4 0A000102 13C4 ASSURED         298 sip 1-4711@10.0.0.5
//!
//! Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires
//! TCP 0A000005 9C40 0A000001 0050 0A000102 1F90 ESTABLISHED LOCAL      899
//! ```
//!
//! Addresses and ports are hexadecimal: 8 digits, or 8 groups of 4 for IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::connection::{Connection, ConnectionOrigin, ConnectionProtocol, ConnectionState, PersistenceData};
use super::error::{Column, RowDefect};

/// Whether the rows below this header have an origin; nothing if it is no header.
pub(super) fn has_origin(header: &[u8]) -> Option<bool> {
    let mut columns = header.split(|&byte| byte == b' ').filter(|column| !column.is_empty());
    (columns.next() == Some(b"Pro")).then(|| columns.any(|column| column == b"Origin"))
}

/// Reads a row without its newline.
pub(super) fn parse(row: &[u8], has_origin: bool) -> Result<Connection, RowDefect> {
    let mut fields = Fields(row);
    let protocol = fields.take(Column::Protocol, ConnectionProtocol::parse)?;
    let client = fields.take_address(Column::ClientAddress, Column::ClientPort)?;
    let virtual_address = fields.take_address(Column::VirtualAddress, Column::VirtualPort)?;
    if client.is_ipv4() != virtual_address.is_ipv4() {
        return Err(RowDefect::MixedFamilies);
    }
    let destination = fields.take_address(Column::DestinationAddress, Column::DestinationPort)?;
    let state = fields.take(Column::State, ConnectionState::parse)?;
    let origin = if has_origin { Some(fields.take(Column::Origin, origin)?) } else { None };
    let expires = fields.take(Column::Expires, decimal).map(Duration::from_secs)?;
    let persistence_data = match fields.rest() {
        [] => None,
        rest if has_origin => return Err(RowDefect::unexpected(rest)),
        _ => Some(Box::new(fields.take_persistence_data()?)),
    };
    Ok(Connection {
        protocol,
        client,
        virtual_address,
        destination,
        state,
        expires,
        origin,
        persistence_data,
    })
}

/// What of a row has not been read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next field, which ends before a space or with the row; empty if there is none.
    fn next(&mut self) -> &'a [u8] {
        let row = self.0;
        let start = row.iter().position(|&byte| byte != b' ').unwrap_or(row.len());
        let (_, row) = row.split_at_checked(start).unwrap_or_default();
        let length = row.iter().position(|&byte| byte == b' ').unwrap_or(row.len());
        let (field, rest) = row.split_at_checked(length).unwrap_or_default();
        self.0 = rest;
        field
    }

    fn take<T>(&mut self, column: Column, read: impl FnOnce(&'a [u8]) -> Option<T>) -> Result<T, RowDefect> {
        let field = self.next();
        if field.is_empty() {
            return Err(RowDefect::Missing(column));
        }
        read(field).ok_or_else(|| RowDefect::invalid(column, field))
    }

    fn take_address(&mut self, address: Column, port: Column) -> Result<SocketAddr, RowDefect> {
        let address = self.take(address, |field| match field.len() {
            8 => ipv4(field).map(IpAddr::V4),
            _ => ipv6(field).map(IpAddr::V6),
        })?;
        Ok(SocketAddr::new(address, self.take(port, port_number)?))
    }

    /// What is left but for the padding.
    fn rest(&self) -> &'a [u8] {
        self.0.trim_ascii()
    }

    /// One space, the engine's name, one space, and the data to the end of the row, spaces included.
    fn take_persistence_data(&mut self) -> Result<PersistenceData, RowDefect> {
        let engine = self.take(Column::Engine, |name| std::str::from_utf8(name).ok()?.parse().ok())?;
        let (_, data) = self.0.split_first().ok_or(RowDefect::Missing(Column::EngineData))?;
        Ok(PersistenceData { engine, data: data.into() })
    }
}

fn ipv4(digits: &[u8]) -> Option<Ipv4Addr> {
    let (high, low) = (digits.first_chunk()?, digits.last_chunk()?);
    Some(Ipv4Addr::from(u32::from(group(high)?) << 16 | u32::from(group(low)?)))
}

fn ipv6(digits: &[u8]) -> Option<Ipv6Addr> {
    // Seven groups with their colons, and one without.
    let (first, last) = digits.as_chunks::<5>();
    let first: &[[u8; 5]; 7] = first.try_into().ok()?;
    let mut groups = [0; 8];
    for (group_out, [a, b, c, d, colon]) in groups.iter_mut().zip(first) {
        if *colon != b':' {
            return None;
        }
        *group_out = group(&[*a, *b, *c, *d])?;
    }
    *groups.last_mut()? = group(last.try_into().ok()?)?;
    Some(Ipv6Addr::from(groups))
}

fn port_number(digits: &[u8]) -> Option<u16> {
    group(digits.try_into().ok()?)
}

/// Four hexadecimal digits.
fn group(digits: &[u8; 4]) -> Option<u16> {
    let digit = |byte: u8| {
        Some(match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'F' => byte - b'A' + 10,
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        })
    };
    let [a, b, c, d] = *digits;
    Some(u16::from_be_bytes([digit(a)? << 4 | digit(b)?, digit(c)? << 4 | digit(d)?]))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn origin(word: &[u8]) -> Option<ConnectionOrigin> {
    match word {
        b"LOCAL" => Some(ConnectionOrigin::Local),
        b"SYNC" => Some(ConnectionOrigin::Synced),
        _ => None,
    }
}
