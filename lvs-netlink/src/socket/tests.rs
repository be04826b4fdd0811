//! A fake kernel on the other end (`NETLINK_USERSOCK`) that answers late, wrongly, partly or not at all.

use std::sync::mpsc;
use std::thread::JoinHandle;

use netlink_sys::SocketAddr;

use super::*;
use crate::message::{Flags, Frames, NLM_F_DUMP_INTR, NLMSG_DONE};

const NETLINK_USERSOCK: isize = 2;

/// What the fake kernel saw of a request.
#[derive(Clone, Copy, Debug)]
struct Seen {
    kind: u16,
    sequence: u32,
    acknowledge: bool,
}

/// Serves every datagram with a closure that returns the datagrams of the answer.
struct FakeKernel {
    port: u32,
    thread: JoinHandle<()>,
}

impl FakeKernel {
    fn serve<F, A>(datagrams: usize, mut answer: F) -> Self
    where
        F: FnMut(usize, &[Seen]) -> A + Send + 'static,
        A: IntoIterator<Item = Vec<u8>>,
    {
        let (port, ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut socket = netlink_sys::Socket::new(NETLINK_USERSOCK).unwrap();
            port.send(socket.bind_auto().unwrap().port_number()).unwrap();
            for round in 0..datagrams {
                let (bytes, from) = socket.recv_from_full().unwrap();
                let seen: Vec<_> = Frames::new(&bytes)
                    .map(Result::unwrap)
                    .map(|f| Seen {
                        kind: f.kind,
                        sequence: f.sequence,
                        acknowledge: f.flags & NLM_F_ACK != 0,
                    })
                    .collect();
                for datagram in answer(round, &seen) {
                    socket.send_to(&datagram, &SocketAddr::new(from.port_number(), 0), 0).unwrap();
                }
            }
        });
        Self { port: ready.recv().unwrap(), thread }
    }

    fn client(&self, timeout: Duration) -> Socket {
        let options = Options::default().with_timeout(timeout).with_batch(10);
        Socket::on(Channel::open_number(NETLINK_USERSOCK, &options, self.port).unwrap(), &options)
    }

    fn finish(self) {
        self.thread.join().unwrap();
    }
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut answer = Outgoing::default();
    answer.push(Part { kind, flags: Flags::from_bits(flags), payload });
    answer.number(sequence, 0);
    answer.bytes().to_vec()
}

fn answer(sequence: u32, errno: i32) -> Vec<u8> {
    message(NLMSG_ERROR, 0x100, sequence, &[&(-errno).to_ne_bytes()[..], &[0; 16]].concat())
}

fn done(sequence: u32) -> Vec<u8> {
    message(NLMSG_DONE, 0x2, sequence, &[0; 4])
}

const SOON: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn only_a_message_behind_the_last_request_of_each_send_asks_for_an_acknowledgement() {
    let kernel = FakeKernel::serve(3, |round, seen| {
        let expected = [10, 10, 5][round];
        let (end, requests) = seen.split_last().unwrap();
        assert_eq!((requests.len(), end.kind, end.acknowledge), (expected, NLMSG_NOOP, true));
        assert!(requests.iter().all(|request| !request.acknowledge));
        // Each third fails; answers come several to a datagram.
        let failed = requests.iter().filter(|s| s.kind % 3 == 0).map(|s| answer(s.sequence, libc::EEXIST));
        vec![failed.chain([answer(end.sequence, 0)]).flatten().collect()]
    });
    let requests: Vec<_> = (100..125).map(|kind| Request::new(kind, vec![])).collect();
    let results = kernel.client(LONG).batch(&requests).await.unwrap();
    for (request, result) in requests.iter().zip(&results) {
        let expected =
            if request.kind() % 3 == 0 { Err(KernelError::from_errno(libc::EEXIST)) } else { Ok(()) };
        assert_eq!(result, &expected, "request {}", request.kind());
    }
    kernel.finish();
}

#[tokio::test]
async fn a_lost_acknowledgement_is_a_timeout_and_its_late_answer_is_not_taken_for_the_next() {
    let mut first = None;
    let kernel = FakeKernel::serve(2, move |_, seen| match first.take() {
        None => {
            first = Some(seen[0].sequence);
            Vec::new()
        }
        // Now both: the late refusal, then the real answer.
        Some(late) => vec![answer(late, libc::EPERM), answer(seen[1].sequence, 0)],
    });
    let mut client = kernel.client(SOON);
    let request = [Request::new(20, vec![])];
    let error = client.batch(&request).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { after: SOON, .. }) && error.is_state_unknown(), "{error:?}");
    client.set_timeout(LONG);
    assert_eq!(client.batch(&request).await.unwrap(), [Ok(())]);
    assert_eq!(client.counters().late, 1);
    kernel.finish();
}

#[tokio::test]
async fn a_request_of_a_batch_that_the_kernel_never_answers_does_not_hold_it_up() {
    // As with EINTR, to the last one.
    let kernel = FakeKernel::serve(1, |_, seen| {
        assert_eq!(seen.len(), 3);
        vec![answer(seen[0].sequence, libc::ENODEV), answer(seen[2].sequence, 0)]
    });
    let requests = [Request::new(20, vec![]), Request::new(20, vec![])];
    let results = kernel.client(LONG).batch(&requests).await.unwrap();
    assert_eq!(results, [Err(KernelError::from_errno(libc::ENODEV)), Ok(())]);
    kernel.finish();
}

#[tokio::test]
async fn a_request_returns_the_answers_before_its_acknowledgement() {
    let kernel = FakeKernel::serve(2, |round, seen| {
        let sequence = seen[0].sequence;
        match round {
            0 => vec![message(16, 0, sequence, b"abc"), answer(sequence, 0)],
            _ => vec![answer(sequence, libc::ENODEV)],
        }
    });
    let mut client = kernel.client(LONG);
    let answers = client.request(&Request::new(18, vec![])).await.unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].kind(), answers[0].payload()), (16, &b"abc"[..]));
    let error = client.request(&Request::new(18, vec![])).await.unwrap_err();
    assert_eq!(error.kernel().map(KernelError::errno), Some(libc::ENODEV));
    assert!(!error.is_state_unknown());
    kernel.finish();
}

#[tokio::test]
async fn an_interrupted_dump_is_repeated_and_given_up_after_five_attempts() {
    let kernel = FakeKernel::serve(2 + 5, |round, seen| {
        let sequence = seen[0].sequence;
        let flags = if round == 1 { 0x2 } else { 0x2 | NLM_F_DUMP_INTR };
        let payload = [u8::try_from(round).unwrap()];
        vec![message(16, flags, sequence, &payload), done(sequence)]
    });
    let mut client = kernel.client(LONG);
    let entries = client.dump(&Request::new(18, vec![])).await.unwrap();
    assert_eq!(entries.iter().map(Message::payload).collect::<Vec<_>>(), [&[1]]);
    let error = client.dump(&Request::new(18, vec![])).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { attempts: 5 }), "{error:?}");
    kernel.finish();
}

#[tokio::test]
async fn entries_of_a_dump_say_which_datagram_they_came_in() {
    let kernel = FakeKernel::serve(1, |_, seen| {
        let entry = |payload: &[u8]| message(16, 0x2, seen[0].sequence, payload);
        let old = message(16, 0x2, seen[0].sequence.wrapping_sub(1), b"late");
        vec![[entry(b"one"), entry(b"two")].concat(), old, entry(b"three"), done(seen[0].sequence)]
    });
    let read = |entries: &mut Vec<_>, entry: DumpEntry<'_>| {
        entries.push((entry.payload().to_vec(), entry.datagram(), entry.datagram_length()));
    };
    let entries = kernel.client(LONG).dump_fold(&Request::new(18, vec![]), Vec::new, read).await.unwrap();
    assert_eq!(entries, [(b"one".to_vec(), 0, 40), (b"two".to_vec(), 0, 40), (b"three".to_vec(), 1, 24)]);
    kernel.finish();
}

#[tokio::test]
async fn the_rest_of_an_abandoned_dump_is_read_before_the_next_one() {
    let (finish_it, may_finish) = mpsc::channel::<()>();
    let mut may_finish = Some(may_finish);
    let kernel = FakeKernel::serve(2, move |_, seen| {
        let sequence = seen[0].sequence;
        let held_back = may_finish.take();
        let text = if held_back.is_some() { b"old" } else { b"new" };
        let end = std::iter::once_with(move || {
            let _ = held_back.map(|channel| channel.recv());
            done(sequence)
        });
        std::iter::once(message(16, 2, sequence, text)).chain(end)
    });
    let mut client = kernel.client(LONG);
    let request = Request::new(18, vec![]);
    assert!(tokio::time::timeout(SOON, client.dump(&request)).await.is_err(), "it cannot have ended");
    finish_it.send(()).unwrap();
    let entries = client.dump(&request).await.unwrap();
    assert_eq!(entries.iter().map(Message::payload).collect::<Vec<_>>(), [b"new"]);
    kernel.finish();
}

#[tokio::test]
async fn a_busy_dump_is_tried_again() {
    let kernel = FakeKernel::serve(3, |round, seen| match round {
        0 | 1 => vec![answer(seen[0].sequence, libc::EBUSY)],
        _ => vec![message(16, 2, seen[0].sequence, b"x"), done(seen[0].sequence)],
    });
    assert_eq!(kernel.client(LONG).dump(&Request::new(18, vec![])).await.unwrap().len(), 1);
    kernel.finish();
}

#[tokio::test]
async fn the_error_at_the_end_of_a_dump_is_reported() {
    let kernel = FakeKernel::serve(1, |_, seen| {
        vec![message(NLMSG_DONE, 2, seen[0].sequence, &(-libc::EMSGSIZE).to_ne_bytes())]
    });
    let error = kernel.client(LONG).dump(&Request::new(18, vec![])).await.unwrap_err();
    assert_eq!(error.kernel().map(KernelError::errno), Some(libc::EMSGSIZE));
    kernel.finish();
}

#[tokio::test]
async fn bytes_that_are_no_messages_are_an_error() {
    let kernel = FakeKernel::serve(1, |_, _| vec![vec![0xff; 40]]);
    let error = kernel.client(LONG).batch(&[Request::new(20, vec![])]).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { source: Malformed::Length { .. }, .. }), "{error:?}");
    kernel.finish();
}

#[tokio::test]
async fn a_datagram_longer_than_the_memory_for_it_is_not_taken_for_whole_and_fits_the_next_time() {
    let kernel = FakeKernel::serve(2, |_, seen| {
        let sequence = seen[0].sequence;
        vec![[message(16, 2, sequence, &vec![7; 100_000]), done(sequence)].concat()]
    });
    let mut client = kernel.client(SOON);
    let error = client.dump(&Request::new(18, vec![])).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "its end was in the same datagram: {error:?}");
    client.set_timeout(LONG);
    // The end of the first dump never comes: do not wait for it.
    client.dump_in_flight = None;
    let entries = client.dump(&Request::new(18, vec![])).await.unwrap();
    assert_eq!(entries[0].payload().len(), 100_000);
    kernel.finish();
}

#[tokio::test]
async fn an_answer_of_another_process_is_ignored_and_counted() {
    let (to_forger, at_forger) = mpsc::channel::<u32>();
    let (forged, wait_for_forger) = mpsc::channel();
    let forger = std::thread::spawn(move || {
        let mut socket = netlink_sys::Socket::new(NETLINK_USERSOCK).unwrap();
        socket.bind_auto().unwrap();
        let victim = SocketAddr::new(at_forger.recv().unwrap(), 0);
        socket.send_to(&answer(1, libc::EPERM), &victim, 0).unwrap();
        forged.send(()).unwrap();
    });
    let kernel = FakeKernel::serve(1, move |_, seen| {
        wait_for_forger.recv().unwrap();
        vec![answer(seen[1].sequence, 0)]
    });
    let mut client = kernel.client(LONG);
    to_forger.send(client.channel.port()).unwrap();
    assert_eq!(client.batch(&[Request::new(20, vec![])]).await.unwrap(), [Ok(())]);
    assert_eq!(client.counters(), Counters { foreign: 1, late: 0 });
    kernel.finish();
    forger.join().unwrap();
}

#[tokio::test]
async fn a_request_longer_than_one_send_is_refused_before_anything_is_sent() {
    let kernel = FakeKernel::serve(0, |_, _| None);
    let requests = [Request::new(20, vec![]), Request::new(20, vec![0; 1 << 20])];
    let error = kernel.client(LONG).batch(&requests).await.unwrap_err();
    assert!(matches!(error, Error::TooLong { index: 1, .. }), "{error:?}");
    kernel.finish();
}

#[tokio::test]
async fn answers_that_overran_the_receive_buffer_are_a_resync_and_the_socket_stays_usable() {
    const GENL_ID_CTRL: u16 = 16;
    let options = Options::default().with_receive_buffer(4096);
    let mut socket = Socket::open_with(Protocol::Generic, &options).unwrap();
    // What a wrong estimate of the kernel's answers would do.
    socket.batch = 400;
    let no_such_command = Request::new(GENL_ID_CTRL, vec![200, 1, 0, 0]);
    let error = socket.batch(&vec![no_such_command.clone(); 400]).await.unwrap_err();
    assert!(matches!(error, Error::Resync { .. }) && error.is_state_unknown(), "{error:?}");
    let results = socket.batch(&[no_such_command]).await.unwrap();
    assert_eq!(results[0].as_ref().map_err(KernelError::errno), Err(libc::EOPNOTSUPP));
}

#[tokio::test]
async fn a_dump_that_could_not_be_sent_is_not_waited_for() {
    // A port that the kernel gives to nobody.
    let mut client = FakeKernel { port: u32::MAX, thread: std::thread::spawn(|| {}) }.client(LONG);
    for attempt in ["first", "second"] {
        let dump = tokio::time::timeout(LONG / 4, client.dump(&Request::new(18, vec![]))).await;
        assert!(matches!(dump, Ok(Err(Error::Io { operation: "dump", .. }))), "{attempt}: {dump:?}");
    }
}

#[tokio::test]
async fn the_rest_of_a_dump_is_read_away_even_if_the_reader_was_cancelled_once() {
    let kernel = FakeKernel::serve(1, |_, _| Vec::new());
    let mut client = kernel.client(LONG);
    for _ in 0..2 {
        let cancelled = tokio::time::timeout(SOON, client.dump(&Request::new(18, vec![]))).await;
        assert!(cancelled.is_err());
        assert_eq!(client.dump_in_flight, Some(1), "its end did not come yet");
    }
    kernel.finish();
}
