//! The kernel's connections of IPVS, read row by row from `/proc/net/ip_vs_conn` and `/proc/net/ip_vs_conn_sync`.

use std::fs::File;
use std::io::{self, Read};
use std::iter::FusedIterator;
use std::ops::Range;

use lvs_netlink::Options;

mod connection;
mod error;
mod row;

pub use connection::{
    Connection, ConnectionOrigin, ConnectionProtocol, ConnectionState, PersistenceData, UnknownState,
};
pub use error::{Column, ConnectionsError, RowDefect};

/// The connection table as an iterator: one item for each row.
///
/// A row that cannot be read is an item too, [`ConnectionsError::Row`], with its line number and what is wrong with it; the
/// rows after it follow. The iterator ends after the last row, and after an error that leaves nothing to go on with (the
/// file cannot be read, or is not such a table).
///
/// It needs [`Self::BUFFER`] bytes however long the table is, allocates for a row only if that has
/// [`Connection::persistence_data`], and keeps at most [`Self::LONGEST_ROW`] bytes of a row. Reading blocks for as long as the
/// kernel computes (it does not wait for anything else): in an async program use a thread for it.
///
/// What the kernel promises: each row was true when it was written. A connection that comes or goes while the table is
/// read may be there or not, and may be there twice. Kernels that keep no place in the table between two reads of
/// 4 KiB (Linux 6.1 does not) walk from its beginning each time, so that a million rows cost them minutes.
///
/// ```no_run
/// use std::collections::BTreeMap;
/// use lvs_ipvs::Connections;
///
/// // How many connections each server has.
/// let mut servers = BTreeMap::new();
/// for row in Connections::open()? {
///     match row {
///         Ok(connection) if !connection.is_template() => *servers.entry(connection.destination).or_insert(0) += 1,
///         Ok(_template) => {}
///         // For example "line 7 of the connection table: client port: "12G4" is not 4 hexadecimal digits".
///         Err(error) => eprintln!("{error}"),
///     }
/// }
/// # Ok::<(), lvs_ipvs::ConnectionsError>(())
/// ```
#[derive(Debug)]
pub struct Connections<R = File> {
    reader: R,
    buffer: Box<[u8]>,
    /// What of the buffer was read and not used yet.
    pending: Range<usize>,
    /// Lines taken so far, the header included.
    line: u64,
    phase: Phase,
}

/// Which of the two files of the kernel is read. They have the same rows with other columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ConnectionFile {
    /// `ip_vs_conn`, with what the persistence engine keeps: [`Connection::persistence_data`].
    #[default]
    PersistenceData,
    /// `ip_vs_conn_sync`, with where the connection comes from: [`Connection::origin`].
    Origin,
}

impl ConnectionFile {
    /// The file of the network namespace of the thread that opens it. (`/proc/net` is that of the process's first thread.)
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::PersistenceData => "/proc/thread-self/net/ip_vs_conn",
            Self::Origin => "/proc/thread-self/net/ip_vs_conn_sync",
        }
    }
}

impl Connections {
    /// Opens `ip_vs_conn` of the calling thread's network namespace.
    ///
    /// # Errors
    /// [`ConnectionsError::NoIpvs`], [`ConnectionsError::Forbidden`] or [`ConnectionsError::Open`].
    pub fn open() -> Result<Self, ConnectionsError> {
        Self::open_with(ConnectionFile::default(), &Options::default())
    }

    /// Opens one of the two files, in the network namespace of [`Options::with_netns`]; the other options say nothing here.
    ///
    /// ```no_run
    /// use lvs_ipvs::{ConnectionFile, ConnectionOrigin, Connections, Options};
    ///
    /// let netns = std::fs::File::open("/run/netns/balancer")?;
    /// let options = Options::default().with_netns(netns.into());
    /// let rows = Connections::open_with(ConnectionFile::Origin, &options)?;
    /// let synced = rows.flatten().filter(|row| row.origin == Some(ConnectionOrigin::Synced)).count();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ConnectionsError::NoIpvs`], [`ConnectionsError::Forbidden`], [`ConnectionsError::NoNamespace`] or
    /// [`ConnectionsError::Open`].
    pub fn open_with(file: ConnectionFile, options: &Options) -> Result<Self, ConnectionsError> {
        let path = file.path();
        // What fails outside of the closure is entering the namespace.
        let opened = options.in_netns(|| Ok(File::open(path)));
        opened
            .map_err(|source| ConnectionsError::of_namespace(path, source))?
            .map(Self::from_reader)
            .map_err(|source| ConnectionsError::of_open(path, source))
    }
}

impl<R> Connections<R> {
    /// Bytes of memory for what is read.
    pub const BUFFER: usize = 32 * 1024;

    /// The longest row that is read, in bytes. The kernel's longest has less than 500.
    pub const LONGEST_ROW: usize = 1024;
}

impl<R: Read> Connections<R> {
    /// Reads a table from anywhere, beginning with its header: a copy of the kernel's file, say. The header tells which of
    /// the two it is. A buffer in front is of no use: it is read in large pieces.
    ///
    /// ```
    /// use lvs_ipvs::{ConnectionState, Connections};
    ///
    /// let copy = "\
    /// Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
    /// TCP 0A000005 9C40 0A000001 0050 0A000102 1F90 ESTABLISHED     899
    /// ";
    /// let rows = Connections::from_reader(copy.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(rows[0].state, ConnectionState::Established);
    /// assert_eq!(rows[0].destination.to_string(), "10.0.1.2:8080");
    /// # Ok::<(), lvs_ipvs::ConnectionsError>(())
    /// ```
    pub fn from_reader(reader: R) -> Self {
        let buffer = vec![0; Self::BUFFER].into_boxed_slice();
        Self { reader, buffer, pending: 0..0, line: 0, phase: Phase::Header }
    }

    fn item(&mut self) -> Option<Result<Connection, ConnectionsError>> {
        let has_origin = match self.phase {
            Phase::Header => match self.header() {
                Ok(has_origin) => has_origin,
                Err(error) => return Some(self.end(error)),
            },
            Phase::Rows { has_origin } => has_origin,
            Phase::Ended => return None,
        };
        let row = match self.take_line() {
            Ok(Line::Complete(place)) => {
                self.buffer.get(place).ok_or(RowDefect::Torn).and_then(|row| row::parse(row, has_origin))
            }
            Ok(Line::TooLong) => Err(RowDefect::TooLong),
            Ok(Line::Torn) => Err(RowDefect::Torn),
            Ok(Line::End) => {
                self.phase = Phase::Ended;
                return None;
            }
            Err(answer) => {
                let line = self.line.saturating_add(1);
                return Some(self.end(ConnectionsError::Read { line, answer }));
            }
        };
        Some(row.map_err(|defect| ConnectionsError::Row { line: self.line, defect }))
    }

    /// Whether the rows have a column for the origin.
    fn header(&mut self) -> Result<bool, ConnectionsError> {
        let header = match self.take_line() {
            Ok(Line::Complete(place)) => self.buffer.get(place).unwrap_or_default(),
            // Without a header nothing was said, not even that there are no connections.
            Ok(Line::TooLong | Line::Torn | Line::End) => &[],
            Err(answer) => return Err(ConnectionsError::Read { line: 1, answer }),
        };
        let has_origin = row::has_origin(header).ok_or_else(|| ConnectionsError::no_table(header))?;
        self.phase = Phase::Rows { has_origin };
        Ok(has_origin)
    }

    fn end(&mut self, error: ConnectionsError) -> Result<Connection, ConnectionsError> {
        self.phase = Phase::Ended;
        Err(error)
    }

    /// The next line, as its place in the buffer without the newline.
    fn take_line(&mut self) -> io::Result<Line> {
        // Where to look for the newline: what was looked at before is left out.
        let mut looked_at = 0;
        let mut too_long = false;
        loop {
            let pending = self.buffer.get(self.pending.clone()).unwrap_or_default();
            let unseen = pending.get(looked_at..).unwrap_or_default();
            if let Some(found) = newline(unseen) {
                let length = looked_at + found;
                let place = self.pending.start..self.pending.start + length;
                self.pending.start = place.end + 1;
                self.line = self.line.saturating_add(1);
                return Ok(if too_long || length > Self::LONGEST_ROW {
                    Line::TooLong
                } else {
                    Line::Complete(place)
                });
            }
            looked_at = pending.len();
            if looked_at > Self::LONGEST_ROW {
                too_long = true;
                looked_at = 0;
                self.pending = 0..0;
            }
            if self.read_more()? == 0 {
                self.pending = 0..0;
                if looked_at == 0 && !too_long {
                    return Ok(Line::End);
                }
                self.line = self.line.saturating_add(1);
                return Ok(if too_long { Line::TooLong } else { Line::Torn });
            }
        }
    }

    /// Reads behind what is pending, which is short and moves to the beginning; 0 at the end of the file.
    fn read_more(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.pending.clone(), 0);
        self.pending = 0..self.pending.len();
        let room = self.buffer.get_mut(self.pending.end..).unwrap_or_default();
        loop {
            match self.reader.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // No more than fits, whatever a strange reader says.
                Ok(read) => {
                    let read = read.min(room.len());
                    self.pending.end += read;
                    return Ok(read);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: Read> Iterator for Connections<R> {
    type Item = Result<Connection, ConnectionsError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.item()
    }
}

impl<R: Read> FusedIterator for Connections<R> {}

/// Where the first newline is. Looks at blocks of a size that the compiler has wide instructions for.
fn newline(bytes: &[u8]) -> Option<usize> {
    let is_newline = |&byte: &u8| byte == b'\n';
    let (blocks, rest) = bytes.as_chunks::<32>();
    let has_one = |block: &[u8; 32]| block.iter().fold(false, |found, byte| found | is_newline(byte));
    match blocks.iter().position(has_one) {
        Some(index) => blocks.get(index)?.iter().position(is_newline).map(|at| index * 32 + at),
        None => rest.iter().position(is_newline).map(|at| blocks.len() * 32 + at),
    }
}

#[derive(Debug)]
enum Phase {
    /// Nothing was read yet.
    Header,
    Rows {
        has_origin: bool,
    },
    /// The table is at its end, or cannot be read on.
    Ended,
}

enum Line {
    /// Its place in the buffer.
    Complete(Range<usize>),
    /// Longer than a row can be; thrown away.
    TooLong,
    /// The file ended before its newline.
    Torn,
    End,
}

#[cfg(test)]
mod tests;
