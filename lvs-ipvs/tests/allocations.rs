//! Reading connections takes the same memory for many rows as for one.

use lvs_ipvs::Connections;

const HEADER: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";
const ROW: &str = "TCP 0A000005 9C40 0A000001 0050 0A000102 1F90 ESTABLISHED     899\n";

/// Gives the same row again and again.
struct Endless {
    rows_left: u32,
    pending: &'static [u8],
}

impl std::io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.pending.is_empty() && self.rows_left > 0 {
            self.rows_left -= 1;
            self.pending = ROW.as_bytes();
        }
        self.pending.read(buffer)
    }
}

#[test]
fn a_hundred_thousand_connections_are_read_in_the_memory_of_one() {
    const ROWS: u32 = 100_000;
    let mut read = 0;
    let taken = allocation_counter::measure(|| {
        let rows = Connections::from_reader(Endless { rows_left: ROWS, pending: HEADER.as_bytes() });
        read = rows.filter(Result::is_ok).count();
    });
    assert_eq!(read, usize::try_from(ROWS).expect("a small number"));
    assert_eq!(taken.count_total, 1, "{taken:?}");
    assert_eq!(taken.bytes_total, Connections::<std::fs::File>::BUFFER as u64);
}
