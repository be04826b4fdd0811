use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvs_core::Protocol;
use proptest::prelude::*;

use super::*;

const HEADER: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";
const ORIGIN_HEADER: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n";
const ROW: &str = "TCP 0A000005 9C40 0A000001 0050 0A000102 1F90 ESTABLISHED     899\n";

fn read(text: impl AsRef<[u8]>) -> Vec<Result<Connection, ConnectionsError>> {
    Connections::from_reader(text.as_ref()).collect()
}

/// What is wrong with a row that stands alone below the header.
fn defect(header: &str, row: &str) -> String {
    let mut rows = read(format!("{header}{row}\n"));
    assert_eq!(rows.len(), 1, "{row}");
    match rows.remove(0) {
        Err(ConnectionsError::Row { line: 2, defect }) => defect.to_string(),
        other => panic!("{row}: {other:?}"),
    }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn a_row_says_who_speaks_to_whom_and_for_how_long() {
    let mut rows = read([HEADER, ROW].concat());
    let row = rows.remove(0).unwrap();
    assert_eq!(row.protocol, ConnectionProtocol::Transport(Protocol::Tcp));
    assert_eq!(row.client, socket("10.0.0.5:40000"));
    assert_eq!(row.virtual_address, socket("10.0.0.1:80"));
    assert_eq!(row.destination, socket("10.0.1.2:8080"));
    assert_eq!(row.state, ConnectionState::Established);
    assert_eq!(row.expires, Duration::from_secs(899));
    assert_eq!((row.origin, &row.persistence_data), (None, &None));
    assert!(!row.is_template());
    assert_eq!(
        row.to_string(),
        "TCP 10.0.0.5:40000 to 10.0.0.1:80 at 10.0.1.2:8080: ESTABLISHED, expires in 899 s"
    );
    assert!(rows.is_empty());
}

#[test]
fn a_server_may_be_of_the_other_family() {
    let row = "UDP 2001:0db8:0000:0000:0000:0000:0000:0005 9C40 2001:0db8:0000:0000:0000:0000:0000:0001 0035 \
               0A000102 0035 UDP             300\n";
    let row = read([HEADER, row].concat()).remove(0).unwrap();
    assert_eq!(row.client, socket("[2001:db8::5]:40000"));
    assert_eq!(row.virtual_address, socket("[2001:db8::1]:53"));
    assert_eq!(row.destination, socket("10.0.1.2:53"));
}

#[test]
fn a_template_of_a_firewall_mark_tells_the_mark_in_both_families() {
    let rows = "\
IP  0A000000 0000 00000007 0000 0A000102 0000 NONE             60
IP  2001:0db8:0000:0000:0000:0000:0000:0000 0000 8000:0001:0000:0000:0000:0000:0000:0000 0000 2001:0db8:0001:0000:0000:0000:0000:0001 0000 ASSURED          60
UDP 0A000005 0000 0A000001 13C4 0A000102 13C4 ASSURED         298
TCP 0A000005 0000 0A000001 1F40 0A000102 1F40 LISTEN          119
TCP 0A000005 0000 0A000001 FFFF 0A000102 FFFF ASSURED          12
";
    let rows: Vec<_> = read([HEADER, rows].concat()).into_iter().map(Result::unwrap).collect();
    let marks: Vec<_> = rows.iter().map(|row| row.fwmark().map_or(0, |mark| mark.get())).collect();
    assert_eq!(marks, [7, 0x8000_0001, 0, 0, 0]);
    let templates: Vec<_> = rows.iter().map(Connection::is_template).collect();
    assert_eq!(
        templates,
        [true, true, true, false, true],
        "an expected data connection of FTP is no template"
    );
}

#[test]
fn what_a_persistence_engine_keeps_is_read_byte_for_byte() {
    let mut text = HEADER.as_bytes().to_vec();
    text.extend(b"UDP 0A000005 0000 0A000001 13C4 0A000102 13C4 ASSURED         298 sip a  b\xff@h \n");
    text.extend(b"UDP 0A000005 0000 0A000001 13C4 0A000102 13C4 ASSURED         298 sip \n");
    let data: Vec<_> = read(text)
        .into_iter()
        .map(|row| row.unwrap().persistence_data.expect("data of the engine"))
        .map(|data| (data.engine.to_string(), data.data.to_vec()))
        .collect();
    assert_eq!(data, [("sip".to_owned(), b"a  b\xff@h ".to_vec()), ("sip".to_owned(), Vec::new())]);
}

#[test]
fn the_other_file_tells_the_origin() {
    let rows = "\
TCP 0A000005 9C40 0A000001 0050 0A000102 1F90 ESTABLISHED LOCAL      899
TCP 0A000005 9C41 0A000001 0050 0A000102 1F90 ESTABLISHED SYNC       899
";
    let rows = read([ORIGIN_HEADER, rows].concat());
    let origins: Vec<_> = rows.into_iter().map(|row| row.unwrap().origin).collect();
    assert_eq!(origins, [Some(ConnectionOrigin::Local), Some(ConnectionOrigin::Synced)]);
}

#[test]
fn words_and_numbers_of_other_kernels_survive() {
    let rows = "\
IP_50 0A000005 01F4 0A000001 01F4 0A000102 01F4 ERR!              1
TCP 0A000005 9C40 0A000001 0050 0A000102 1F90 SHUTDOWN_ACK_CLI      18446744073709551615
ICMPv6 0A000005 9C40 0A000001 0050 0A000102 1F90 ?     0
";
    let rows: Vec<_> = read([HEADER, rows].concat()).into_iter().map(Result::unwrap).collect();
    assert_eq!(rows[0].protocol, ConnectionProtocol::Other(50));
    let words: Vec<_> = rows.iter().map(|row| row.state.as_str()).collect();
    assert_eq!(words, ["ERR!", "SHUTDOWN_ACK_CLI", "?"]);
    assert!(rows.iter().all(|row| matches!(row.state, ConnectionState::Unknown(_))));
    assert_eq!(rows[1].expires, Duration::from_secs(u64::MAX));
    assert_eq!(rows[2].protocol.to_string(), "ICMPv6");
}

#[test]
fn a_wrong_row_is_named_with_its_line_and_the_others_are_read() {
    let wrong = ROW.replace("9C40", "12G4");
    let rows = read([HEADER, ROW, &wrong, ROW].concat());
    assert_eq!(rows.len(), 3);
    assert!(rows[0].is_ok() && rows[2].is_ok());
    assert_eq!(
        rows[1].as_ref().unwrap_err().to_string(),
        "line 3 of the connection table: client port: \"12G4\" is not 4 hexadecimal digits"
    );
}

#[test]
fn each_defect_of_a_row_is_told_apart() {
    let row = ROW.trim_end();
    let missing = [
        ("", "protocol is missing"),
        ("TCP", "client address is missing"),
        ("TCP 0A000005", "client port is missing"),
        ("TCP 0A000005 9C40", "virtual address is missing"),
        ("TCP 0A000005 9C40 0A000001", "virtual port is missing"),
        ("TCP 0A000005 9C40 0A000001 0050", "destination address is missing"),
        ("TCP 0A000005 9C40 0A000001 0050 0A000102", "destination port is missing"),
        ("TCP 0A000005 9C40 0A000001 0050 0A000102 1F90", "state is missing"),
        ("TCP 0A000005 9C40 0A000001 0050 0A000102 1F90 ESTABLISHED", "expiry is missing"),
    ];
    for (row, expected) in missing {
        assert_eq!(defect(HEADER, row), expected);
    }
    let changed = [
        ("TCP", "TCPX", "protocol: \"TCPX\" is not a protocol"),
        ("TCP", "IP_256", "protocol: \"IP_256\" is not"),
        ("TCP", "IP_+1", "protocol: \"IP_+1\" is not"),
        ("0A000005", "0A00000", "client address: \"0A00000\" is not an address"),
        ("0A000001", "0A00000G", "virtual address: \"0A00000G\" is not"),
        ("0A000102", "2001:0db8::1", "destination address: \"2001:0db8::1\" is not"),
        ("0A000102", "2001:0db8:0001:0000:0000:0000:0000.0001", "destination address: "),
        ("0050", "050", "virtual port: \"050\" is not 4 hexadecimal digits"),
        ("1F90", "11F90", "destination port: "),
        ("ESTABLISHED", "A_WORD_OF_17_CHRS", "state: "),
        ("ESTABLISHED", "\u{7}", "state: \"\\x07\" is not a state"),
        ("899", "89.9", "expiry: \"89.9\" is not a number of seconds"),
        ("899", "18446744073709551616", "expiry: "),
        ("899", "899 sip", "data of the persistence engine is missing"),
        ("899", "899 a_name_of_16_chr data", "name of the persistence engine: "),
        (
            "0A000005",
            "2001:0db8:0000:0000:0000:0000:0000:0005",
            "client address and virtual address are not both",
        ),
    ];
    for (from, to, expected) in changed {
        let text = defect(HEADER, &row.replacen(from, to, 1));
        assert!(text.starts_with(expected), "{text}");
    }
    let origin = row.replace("    899", " LOCAL      899");
    assert_eq!(defect(ORIGIN_HEADER, row), "origin: \"899\" is not LOCAL or SYNC");
    assert_eq!(defect(ORIGIN_HEADER, &format!("{origin} sip x")), "\"sip x\" behind the last column");
}

#[test]
fn a_torn_last_row_is_an_error_even_where_it_could_be_read() {
    for end in 1..ROW.len() {
        let rows = read([HEADER, ROW, &ROW[..end]].concat());
        assert!(rows[0].is_ok());
        assert!(
            matches!(rows[1..], [Err(ConnectionsError::Row { line: 3, defect: RowDefect::Torn })]),
            "{:?}",
            rows[1]
        );
    }
}

#[test]
fn a_table_without_connections_is_not_taken_for_a_file_without_a_table() {
    assert!(read(HEADER).is_empty());
    for text in ["", "\n", "IP Virtual Server version 1.2.1 (size=4096)\n", HEADER.trim_end(), ROW] {
        let rows = read(text);
        assert!(matches!(rows[..], [Err(ConnectionsError::NoTable { .. })]), "{rows:?}");
    }
    let error = read("root:x:0:0\n").remove(0).unwrap_err().to_string();
    assert!(
        error.starts_with("no connection table of IPVS: it begins with \"root:x:0:0\", not with"),
        "{error}"
    );
}

#[test]
fn a_line_of_any_length_costs_no_memory_and_no_other_row() {
    let long = "x".repeat(1_000_000);
    let rows = read(format!("{HEADER}{ROW}{long}\n{ROW}{long}"));
    assert_eq!(rows.len(), 4);
    assert!(rows[0].is_ok() && rows[2].is_ok());
    for (row, expected) in [(1, 3), (3, 5)] {
        let too_long = |row: &Result<_, _>| matches!(row, Err(ConnectionsError::Row { line, defect: RowDefect::TooLong }) if *line == expected);
        assert!(too_long(&rows[row]), "{:?}", rows[row]);
    }
    let limit = Connections::<File>::LONGEST_ROW;
    let padded = |length: usize| format!("{HEADER}{:length$}\n", ROW.trim_end());
    assert!(read(padded(limit))[0].is_ok());
    assert!(read(padded(limit + 1))[0].is_err());
}

/// Gives a byte at a time, with interruptions, and fails at its end.
struct Halting<'a>(&'a [u8], bool);

impl Read for Halting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let (first, rest) = self.0.split_first().ok_or_else(|| io::Error::other("the disk is on fire"))?;
        self.0 = rest;
        buffer[0] = *first;
        Ok(1)
    }
}

#[test]
fn rows_before_a_failure_are_read_and_the_failure_is_the_last_item() {
    let text = [HEADER, ROW, ROW, &ROW[..20]].concat();
    let rows: Vec<_> = Connections::from_reader(Halting(text.as_bytes(), false)).collect();
    assert_eq!(rows.len(), 3);
    assert!(rows[0].is_ok() && rows[1].is_ok());
    assert!(matches!(rows[2], Err(ConnectionsError::Read { line: 4, .. })), "{:?}", rows[2]);
}

#[test]
fn a_missing_file_and_a_forbidden_one_say_what_to_do() {
    let of = |kind: io::ErrorKind| ConnectionsError::of_open(ConnectionFile::Origin.path(), kind.into());
    let absent = of(io::ErrorKind::NotFound);
    assert!(matches!(absent, ConnectionsError::NoIpvs { .. }));
    assert!(absent.to_string().contains("modprobe ip_vs"));
    let forbidden = of(io::ErrorKind::PermissionDenied);
    assert!(matches!(forbidden, ConnectionsError::Forbidden { .. }));
    assert!(forbidden.to_string().contains("run as root"));
}

#[test]
fn a_file_that_is_no_network_namespace_is_refused() {
    let options = Options::default().with_netns(File::open("/dev/null").unwrap().into());
    let error = Connections::open_with(ConnectionFile::Origin, &options).unwrap_err();
    assert!(
        matches!(error, ConnectionsError::NoNamespace { .. } | ConnectionsError::Forbidden { .. }),
        "{error:?}"
    );
}

/// What the kernel wrote for real: the commands, and what each printed.
fn captures() -> Vec<(&'static str, &'static str)> {
    let captures = include_str!("../../captures/connections-6.1.txt").split("\n# ").skip(1);
    captures.map(|capture| capture.split_once('\n').unwrap()).collect()
}

#[test]
fn each_row_of_a_real_kernel_is_read_and_written_again_the_same() {
    for (command, text) in captures() {
        let (header, rows) = text.trim_end().split_once('\n').unwrap();
        let written: Vec<_> = read(text.trim_end().to_owned() + "\n")
            .into_iter()
            .map(|row| String::from_utf8(kernel_row(&row.unwrap())).unwrap())
            .collect();
        assert!([HEADER, ORIGIN_HEADER].map(str::trim_end).contains(&header), "{header}");
        assert_eq!(written.concat(), rows.to_owned() + "\n", "{command}");
    }
}

#[test]
fn the_rows_of_a_real_kernel_mean_what_was_done() {
    let of = |command: &str| {
        let (_, text) = captures().into_iter().find(|(found, _)| *found == command).expect("the capture");
        read(text.trim_end().to_owned() + "\n").into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let rows = of("on balancer: cat /proc/thread-self/net/ip_vs_conn");
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    assert_eq!(count(ConnectionState::Established), 6);
    assert_eq!(count(ConnectionState::CloseWait), 1, "closed by the client");
    assert_eq!(count(ConnectionState::Close), 1, "refused by the server");
    assert_eq!(count(ConnectionState::Rejected), 1, "SCTP, to a host without it");
    let templates = rows.iter().filter(|row| row.is_template());
    let mut templates: Vec<_> =
        templates.map(|row| (row.fwmark().map(u32::from), row.client.to_string())).collect();
    templates.sort();
    let expected = [
        (None, "10.9.0.5:0"),
        (None, "10.9.0.5:0"),
        (Some(7), "10.9.0.0:0"),
        (Some(2_147_483_647), "[2001:db8::]:0"),
    ];
    assert_eq!(templates, expected.map(|(mark, client)| (mark, client.to_owned())));
    let call = rows.iter().find_map(|row| row.persistence_data.as_deref()).expect("the SIP call");
    assert_eq!((call.engine.as_str(), &*call.data), ("sip", &b"4711-a.b<c>@client.example"[..]));
    let tunnelled = rows.iter().find(|row| row.client.is_ipv6() && row.destination.is_ipv4());
    assert_eq!(tunnelled.expect("the server of the other family").destination, socket("10.9.1.2:53"));

    let synced = of("on backup: cat /proc/thread-self/net/ip_vs_conn_sync");
    assert_eq!(synced[0].origin, Some(ConnectionOrigin::Synced));
}

/// A row as the kernel writes it (`seq_printf` of `ip_vs_conn_seq_show` and `ip_vs_conn_sync_seq_show`).
fn kernel_row(row: &Connection) -> Vec<u8> {
    let mut text = format!("{:<3}", row.protocol);
    for address in [row.client, row.virtual_address, row.destination] {
        match address.ip() {
            IpAddr::V4(address) => write!(text, " {:08X}", u32::from(address)).unwrap(),
            IpAddr::V6(address) => {
                let groups = address.segments().map(|group| format!("{group:04x}"));
                write!(text, " {}", groups.join(":")).unwrap();
            }
        }
        write!(text, " {:04X}", address.port()).unwrap();
    }
    write!(text, " {:<11}", row.state).unwrap();
    if let Some(origin) = row.origin {
        write!(text, " {origin:<6}").unwrap();
    }
    write!(text, " {:>7}", row.expires.as_secs()).unwrap();
    let mut bytes = text.into_bytes();
    if let Some(data) = &row.persistence_data {
        bytes.extend([b" ", data.engine.as_str().as_bytes(), b" ", &data.data].concat());
    }
    bytes.push(b'\n');
    bytes
}

fn connection(with_origin: bool) -> impl Strategy<Value = Connection> {
    let protocol = prop_oneof![
        prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp])
            .prop_map(ConnectionProtocol::Transport),
        Just(ConnectionProtocol::Ip),
        any::<u8>().prop_map(ConnectionProtocol::Other),
    ];
    let v4 = any::<([u8; 4], u16)>().prop_map(SocketAddr::from);
    let v6 = any::<([u8; 16], u16)>().prop_map(SocketAddr::from);
    let ends = prop_oneof![(v4.clone(), v4.clone()), (v6.clone(), v6.clone())];
    let state = "[A-Z_!?-]{1,16}".prop_map(|word| ConnectionState::parse(word.as_bytes()).unwrap());
    let known = (0..25_usize)
        .prop_map(|index| ConnectionState::parse(STATES.split(' ').nth(index).unwrap().as_bytes()).unwrap());
    let origin = prop::sample::select(vec![ConnectionOrigin::Local, ConnectionOrigin::Synced])
        .prop_map(move |origin| with_origin.then_some(origin));
    let byte = any::<u8>().prop_filter("a line of its own", |&byte| byte != b'\n');
    let data = ("[!-~]{1,15}", prop::collection::vec(byte, 0..=255)).prop_map(|(engine, data)| {
        Box::new(PersistenceData { engine: engine.parse().unwrap(), data: data.into() })
    });
    let data = prop::option::of(data).prop_map(move |data| data.filter(|_| !with_origin));
    (protocol, ends, prop_oneof![v4, v6], prop_oneof![state, known], any::<u32>(), origin, data).prop_map(
        |(protocol, (client, virtual_address), destination, state, expires, origin, persistence_data)| {
            Connection {
                protocol,
                client,
                virtual_address,
                destination,
                state,
                expires: Duration::from_secs(expires.into()),
                origin,
                persistence_data,
            }
        },
    )
}

/// The words of the tables in `ip_vs_proto_tcp.c`, `_udp.c`, `_sctp.c` and of `ip_vs_ctpl_state_name_table`.
const STATES: &str = "NONE ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN SYNACK UDP \
                      INIT1 INIT C-SENT C-REPLIED C-WAIT COOKIE C-ECHOED S-SENT S-RECEIVED S-ACK-SENT REJECTED CLOSED \
                      ASSURED";

#[test]
fn every_state_of_the_kernel_has_a_name() {
    for word in STATES.split(' ') {
        let state = ConnectionState::parse(word.as_bytes()).unwrap();
        assert!(!matches!(state, ConnectionState::Unknown(_)), "{word}");
        assert_eq!(state.as_str(), word);
    }
}

fn table() -> impl Strategy<Value = Vec<Connection>> {
    any::<bool>().prop_flat_map(|origin| prop::collection::vec(connection(origin), 1..20))
}

proptest! {
    #[test]
    fn what_the_kernel_writes_is_read_as_it_was_meant(rows in table()) {
        let header = if rows[0].origin.is_some() { ORIGIN_HEADER } else { HEADER };
        let text = [header.as_bytes().to_vec(), rows.iter().flat_map(kernel_row).collect()].concat();
        let read: Result<Vec<_>, _> = Connections::from_reader(&text[..]).collect();
        prop_assert_eq!(read.map_err(|error| error.to_string()), Ok(rows));
    }

    #[test]
    fn any_bytes_below_a_header_give_one_item_for_each_line(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        for header in [HEADER, ORIGIN_HEADER] {
            let text = [header.as_bytes(), &bytes].concat();
            prop_assert_eq!(read(text).len(), bytes.split_inclusive(|&byte| byte == b'\n').count());
        }
        read(bytes);
    }

    #[test]
    fn a_changed_byte_spoils_no_other_row(place in 0..ROW.len() - 1, byte in any::<u8>()) {
        prop_assume!(byte != b'\n');
        let mut changed = ROW.as_bytes().to_vec();
        changed[place] = byte;
        let rows = read([HEADER.as_bytes(), ROW.as_bytes(), &changed, ROW.as_bytes()].concat());
        prop_assert_eq!(rows.len(), 3);
        prop_assert!(rows[0].is_ok() && rows[2].is_ok());
    }
}
