use lvs_core::Protocol;
use proptest::prelude::*;

use super::*;

/// One piece that is no doubt complete.
const ONE: Shape = Shape { datagrams: 1, longest: 5000 };
const MANY: Shape = Shape { datagrams: 3, longest: 32_000 };

fn service(number: u16) -> ServiceKey {
    let [high, low] = number.to_be_bytes();
    ServiceKey::address(Protocol::Tcp, ([10, 0, high, low], 80).into())
}

fn server(number: u16) -> ServerKey {
    let [high, low] = number.to_be_bytes();
    ServerKey::new(([10, 1, high, low], 80).into())
}

fn services(numbers: impl IntoIterator<Item = u16>) -> BTreeSet<ServiceKey> {
    numbers.into_iter().map(service).collect()
}

fn servers(numbers: &[u16]) -> impl Iterator<Item = ServerKey> + '_ {
    numbers.iter().copied().map(server)
}

#[test]
fn a_datagram_that_may_have_been_full_is_no_proof_of_the_end() {
    let is_one_piece = |datagrams, longest| Shape { datagrams, longest }.is_one_piece();
    assert!(is_one_piece(0, 0));
    assert!(is_one_piece(1, 5312), "16 destinations");
    for longest in [3700, 3776, 7800, 32_100, 32_448, 40_000] {
        assert!(!is_one_piece(1, longest), "{longest} bytes");
    }
    assert!(!is_one_piece(2, 340));
}

#[test]
fn a_dump_in_one_piece_is_complete_whatever_was_seen_before() {
    let mut memory = Memory::default();
    memory.services_are(services(0..200));
    assert_eq!(memory.read_services(Reader::OneShot).handle_dump(&services([1]), ONE), Verdict::Complete);
    assert_eq!(memory.read_destinations(&service(1)).handle_dump(servers(&[1]), ONE), Verdict::Complete);
}

#[test]
fn a_first_reading_takes_a_dump_more_than_an_appliers_and_an_unchanged_table_one() {
    let mut memory = Memory::default();
    let all = services(0..200);
    let mut reading = memory.read_services(Reader::Applier);
    assert_eq!(reading.handle_dump(&all, MANY), Verdict::Again);
    assert_eq!(reading.handle_dump(&all, MANY), Verdict::Complete);
    let mut reading = memory.read_services(Reader::OneShot);
    assert_eq!(reading.handle_dump(&all, MANY), Verdict::Again);
    assert_eq!(reading.handle_dump(&all, MANY), Verdict::Again);
    assert_eq!(reading.handle_dump(&all, MANY), Verdict::Complete);
    memory.services_are(all.clone());
    assert_eq!(memory.read_services(Reader::OneShot).handle_dump(&all, MANY), Verdict::Complete);

    let all: Vec<_> = (0..200).collect();
    let mut reading = memory.read_destinations(&service(1));
    assert_eq!(reading.handle_dump(servers(&all), MANY), Verdict::Again);
    assert_eq!(reading.handle_dump(servers(&all), MANY), Verdict::Complete);
    memory.destinations_are(&service(1), reading);
    let mut reading = memory.read_destinations(&service(1));
    assert_eq!(reading.handle_dump(servers(&all), MANY), Verdict::Complete);
    assert_eq!(memory.read_destinations(&service(2)).handle_dump(servers(&all), MANY), Verdict::Again);
}

#[test]
fn a_service_that_is_suddenly_missing_is_asked_for() {
    let mut memory = Memory::default();
    memory.services_are(services(0..200));
    let verdict = memory.read_services(Reader::OneShot).handle_dump(&services(1..199), MANY);
    assert_eq!(verdict, Verdict::Confirm(vec![service(0), service(199)]));
}

#[test]
fn a_first_reading_has_what_its_first_two_dumps_lack_since_the_same_edits_tore_both() {
    // What comes and goes is before the second datagram; what is removed there shifts the stable ones out of it.
    let mut kernel = Kernel { entries: (STABLE..STABLE + 20).rev().chain(0..STABLE).collect() };
    let torn = || [vec![Edit::Flush]].into_iter().chain(std::iter::repeat_n(Vec::new(), 8));
    let mut dumps = 0;
    let reading = Memory::default().read_services(Reader::OneShot);
    let result = whole_reading(&mut kernel, reading, |kernel| {
        dumps += 1;
        if dumps > 2 {
            return kernel.dump(&mut std::iter::empty());
        }
        let (seen, shape) = kernel.dump(&mut torn());
        assert!(!seen.contains(&0), "it was torn");
        kernel.edit(&Edit::Restore);
        (seen, shape)
    });
    assert!(services(stable(&kernel)).is_subset(&result));
    assert_eq!(dumps, DUMPS);
}

#[test]
fn a_table_to_which_somebody_adds_all_the_time_is_read_in_the_end() {
    let mut reading = Memory::default().read_services(Reader::OneShot);
    for dump in 1..u16::try_from(DUMPS).unwrap() {
        assert_eq!(reading.handle_dump(&services(0..200 + dump), MANY), Verdict::Again);
    }
    assert_eq!(reading.handle_dump(&services(1..300), MANY), Verdict::Confirm(vec![service(0)]));
}

#[test]
fn destinations_that_never_hold_still_are_torn_and_not_absent() {
    let mut reading = Memory::default().read_destinations(&service(1));
    for dump in 1..u16::try_from(DUMPS).unwrap() {
        assert_eq!(reading.handle_dump(servers(&[dump, 200]), MANY), Verdict::Again);
    }
    assert_eq!(reading.handle_dump(servers(&[100, 200]), MANY), Verdict::Torn);
}

#[test]
fn a_dump_with_an_entry_twice_agrees_with_none() {
    let mut reading = Memory::default().read_destinations(&service(1));
    assert_eq!(reading.handle_dump(servers(&[1, 2, 2, 3]), MANY), Verdict::Again);
    assert_eq!(reading.handle_dump(servers(&[1, 2, 3]), MANY), Verdict::Again);
    assert_eq!(reading.handle_dump(servers(&[1, 2, 3]), MANY), Verdict::Complete);
}

#[test]
fn what_is_remembered_goes_with_its_service() {
    let mut memory = Memory::default();
    let mut reading = memory.read_destinations(&service(1));
    assert_eq!(reading.handle_dump(servers(&[1, 2]), MANY), Verdict::Again);
    memory.destinations_are(&service(1), reading);
    assert_eq!(memory.destinations.len(), 1);
    memory.services_are(services([2]));
    assert_eq!(memory.destinations.len(), 0);
}

/// A table of the kernel: entries in an order of their own, which a dump counts from the start.
#[derive(Debug, Clone)]
struct Kernel {
    entries: Vec<u16>,
}

#[derive(Debug, Clone)]
enum Edit {
    /// At that place, as a service gets into a bucket; a destination always comes first.
    Add(u16, prop::sample::Index),
    Remove(u16),
    /// Everything but what stays, and back in the same order.
    Flush,
    Restore,
}

/// How many entries a datagram of this kernel has.
const CAPACITY: usize = 6;
/// Those below are never removed.
const STABLE: u16 = 30;

impl Kernel {
    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Add(entry, place) if !self.entries.contains(entry) => {
                let place = place.index(self.entries.len() + 1);
                self.entries.insert(place, *entry);
            }
            Edit::Add(..) => {}
            Edit::Remove(entry) => self.entries.retain(|it| it != entry),
            Edit::Flush => self.entries.retain(|it| *it < STABLE),
            Edit::Restore => {
                for entry in STABLE..STABLE + 20 {
                    if !self.entries.contains(&entry) {
                        self.entries.insert(0, entry);
                    }
                }
            }
        }
    }

    /// What a dump has, with one list of edits before each datagram but the first.
    fn dump(&mut self, between: &mut impl Iterator<Item = Vec<Edit>>) -> (Vec<u16>, Shape) {
        let (mut seen, mut shape, mut start) = (Vec::new(), Shape::default(), 0);
        loop {
            let datagram: Vec<_> = self.entries.iter().skip(start).take(CAPACITY).copied().collect();
            if datagram.is_empty() {
                return (seen, shape);
            }
            shape.datagrams += 1;
            shape.longest = shape.longest.max(if datagram.len() == CAPACITY { 32_300 } else { 5000 });
            start += datagram.len();
            seen.extend(datagram);
            for edit in between.next().unwrap_or_default() {
                self.edit(&edit);
            }
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let others = STABLE..STABLE + 20;
    let edit = prop_oneof![
        3 => (others.clone(), any::<prop::sample::Index>()).prop_map(|(entry, place)| Edit::Add(entry, place)),
        3 => others.prop_map(Edit::Remove),
        1 => Just(Edit::Flush),
        1 => Just(Edit::Restore),
    ];
    prop::collection::vec(edit, 0..4)
}

fn kernel() -> impl Strategy<Value = Kernel> {
    (Just((0..STABLE + 10).collect::<Vec<_>>()).prop_shuffle(), 0..STABLE).prop_map(|(entries, fewer)| {
        // What is stable may be little, so that tables in one datagram come up too.
        Kernel { entries: entries.into_iter().filter(|it| *it >= fewer).collect() }
    })
}

fn stable(kernel: &Kernel) -> BTreeSet<u16> {
    kernel.entries.iter().copied().filter(|it| *it < STABLE).collect()
}

/// Reads all services to the end, as the client does.
fn whole_reading(
    kernel: &mut Kernel,
    mut reading: ServicesReading,
    mut dump: impl FnMut(&mut Kernel) -> (Vec<u16>, Shape),
) -> BTreeSet<ServiceKey> {
    loop {
        let (seen, shape) = dump(kernel);
        let seen = services(seen);
        match reading.handle_dump(&seen, shape) {
            Verdict::Complete => return seen,
            Verdict::Again => {}
            Verdict::Confirm(keys) => {
                let there = services(kernel.entries.iter().copied());
                return seen.into_iter().chain(keys.into_iter().filter(|key| there.contains(key))).collect();
            }
            Verdict::Torn => panic!("services are settled one by one"),
        }
    }
}

proptest! {
    #[test]
    fn no_service_that_was_there_all_the_time_is_missing_once_it_was_seen(
        kernel in kernel(),
        between in prop::collection::vec(edits(), 0..60),
    ) {
        let mut kernel = kernel;
        let mut between = between.into_iter();
        let mut memory = Memory::default();
        memory.services_are(services(kernel.entries.iter().copied()));
        let reading = memory.read_services(Reader::OneShot);
        let result = whole_reading(&mut kernel, reading, |kernel| kernel.dump(&mut between));
        prop_assert!(services(stable(&kernel)).is_subset(&result));
    }

    #[test]
    fn no_service_is_missing_from_a_first_reading_if_one_of_its_first_three_dumps_was_undisturbed(
        kernel in kernel(),
        between in prop::collection::vec(edits(), 0..9),
        undisturbed in 1..4u32,
    ) {
        let mut kernel = kernel;
        let reading = Memory::default().read_services(Reader::OneShot);
        let mut dumps = 0;
        let result = whole_reading(&mut kernel, reading, |kernel| {
            dumps += 1;
            // The same again and again, as somebody who removes and restores in a loop.
            kernel.edit(&Edit::Flush);
            kernel.edit(&Edit::Restore);
            let edits = if dumps == undisturbed { &[][..] } else { &between };
            kernel.dump(&mut edits.iter().cloned())
        });
        prop_assert!(services(stable(&kernel)).is_subset(&result));
    }

    #[test]
    fn no_destination_that_was_there_all_the_time_is_missing_if_every_other_dump_was_undisturbed(
        kernel in kernel(),
        between in prop::collection::vec(edits(), 0..60),
        offset in 0..2u32,
    ) {
        let mut kernel = kernel;
        let mut between = between.into_iter();
        let mut reading = Memory::default().read_destinations(&service(0));
        let mut dumps = 0;
        loop {
            let (seen, shape) = if dumps % 2 == offset {
                kernel.dump(&mut between)
            } else {
                kernel.dump(&mut std::iter::empty())
            };
            dumps += 1;
            prop_assert!(dumps <= DUMPS);
            match reading.handle_dump(servers(&seen), shape) {
                Verdict::Complete => {
                    let seen: BTreeSet<_> = seen.into_iter().collect();
                    prop_assert!(stable(&kernel).is_subset(&seen));
                    break;
                }
                Verdict::Again => {}
                Verdict::Torn => break,
                Verdict::Confirm(_) => prop_assert!(false, "destinations cannot be asked for"),
            }
        }
    }
}
