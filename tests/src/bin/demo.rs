//! Plays scenario S2 with real packets and a real kernel, and says what happens: run it by `cargo xtask demo`.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lvs_tests::s2::{self, S2};
use lvs_tests::{peers, poll_until, require_ipvs};

const LIMIT: Duration = Duration::from_secs(60);

/// A request that is not answered in this time has failed.
const REQUEST: Duration = Duration::from_secs(1);

/// From one request to the next.
const PACE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    require_ipvs();
    let story = Story { start: Instant::now() };
    story.say("Building the network: a client, two balancers, two web servers (nginx), one segment.");
    let net = S2::new();
    story.say(&format!(
        "client 10.5.0.10   lb {}   lb-backup {}   servers {} and {}   virtual address {}",
        s2::BALANCERS[0],
        s2::BALANCERS[1],
        s2::SERVERS[0],
        s2::SERVERS[1],
        s2::VIP
    ));
    let requests = Requests::default();
    let ended = AtomicBool::new(false);
    let failover = thread::scope(|scope| {
        // Also when the story below panics, the client has to end.
        let _end = SetOnDrop(&ended);
        scope.spawn(|| keep_fetching(&net, &requests, &ended));
        play(&story, &net, &requests)
    });
    let log = requests.take();
    let failed = log.iter().filter(|request| request.server.is_none()).count();
    println!();
    println!("failover time: {:.3} s without an answer when the master was stopped", failover.as_secs_f64());
    println!("failed requests: {failed} of {}", log.len());
    ExitCode::SUCCESS
}

/// The acts; the longest time without an answer around the failover.
fn play(story: &Story, net: &S2, requests: &Requests) -> Duration {
    story.say("Starting lvsd on both balancers with the same file; only the priority differs (150 and 100).");
    let master = peers::lvsd(&net.balancers[0], &s2::config(150), &[]);
    let _backup = peers::lvsd(&net.balancers[1], &s2::config(100), &[]);
    owner_is(net, 0);
    poll_until(LIMIT, "the virtual service answers", || net.fetch(REQUEST));
    // What was asked before anybody served does not count.
    requests.take();
    story.say(&format!("lb is master: it has {} and answered. Its IPVS table:", s2::VIP));
    story.show(net, 0);
    thread::sleep(Duration::from_secs(3));
    story.say(&format!("The client has fetched the page {}.", requests.by_server()));

    story.say(&format!("Server {} loses its health page (status 404).", s2::SERVERS[0]));
    net.servers[0].0.remove_page(s2::HEALTH_PAGE);
    let since = Instant::now();
    let one_down = s2::FULL_TABLE.replacen("Route   1 ", "Route   0 ", 1);
    table_is(net, 0, &one_down);
    story.say(&format!(
        "{:.1} s later the check has failed twice: weight 0, no new connections.",
        secs(since)
    ));
    story.show(net, 0);
    net.servers[0].0.write_page(s2::HEALTH_PAGE, "fine");
    let since = Instant::now();
    table_is(net, 0, s2::FULL_TABLE);
    story.say(&format!("The page is back; {:.1} s later so is the server's weight.", secs(since)));

    story.say("Stopping the master with SIGTERM.");
    let stopped = Instant::now();
    master.terminate();
    owner_is(net, 1);
    let taken = Instant::now();
    poll_until(LIMIT, "the virtual service answers", || net.fetch(REQUEST));
    let failover = requests.longest_gap_since(stopped);
    story.say(&format!(
        "lb-backup took over {:.3} s after the signal; {} is gone from lb. The client's ARP entry is {}.",
        (taken - stopped).as_secs_f64(),
        s2::VIP,
        net.clients_view().map_or("unknown".to_owned(), |mac| mac.to_string())
    ));
    thread::sleep(Duration::from_secs(2));

    story.say("Starting lvsd on lb again: its priority is higher, so it takes the address back.");
    let _master = peers::lvsd(&net.balancers[0], &s2::config(150), &[]);
    owner_is(net, 0);
    poll_until(LIMIT, "the virtual service answers", || net.fetch(REQUEST));
    thread::sleep(Duration::from_secs(2));
    story.say(&format!(
        "lb is master again. All in all the client fetched the page {}.",
        requests.by_server()
    ));
    failover
}

fn owner_is(net: &S2, balancer: usize) {
    poll_until(LIMIT, "exactly one balancer has the virtual address", || {
        let owners = net.owners();
        if owners[balancer] && !owners[1 - balancer] { Ok(()) } else { Err(format!("owners {owners:?}")) }
    });
}

fn table_is(net: &S2, balancer: usize, expected: &str) {
    poll_until(LIMIT, "the table is as it should be", || {
        let table = net.table(balancer)?;
        if table == expected { Ok(()) } else { Err(table) }
    });
}

fn secs(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

fn keep_fetching(net: &S2, requests: &Requests, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        let server = net.fetch(REQUEST).ok();
        requests.push(Request { done: Instant::now(), server });
        thread::sleep(PACE);
    }
}

struct Story {
    start: Instant,
}

impl Story {
    fn say(&self, what: &str) {
        println!("[{:6.2} s] {what}", secs(self.start));
    }

    fn show(&self, net: &S2, balancer: usize) {
        for line in net.table(balancer).unwrap_or_default().lines() {
            println!("           {}", line.trim_end());
        }
    }
}

struct Request {
    done: Instant,
    /// Who answered.
    server: Option<String>,
}

#[derive(Default)]
struct Requests(Mutex<Vec<Request>>);

impl Requests {
    fn push(&self, request: Request) {
        self.0.lock().expect("nobody panics with the lock").push(request);
    }

    fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.0.lock().expect("nobody panics with the lock"))
    }

    fn by_server(&self) -> String {
        let requests = self.0.lock().expect("nobody panics with the lock");
        let from = |server: &str| requests.iter().filter(|r| r.server.as_deref() == Some(server)).count();
        let [one, two] = s2::SERVERS;
        format!("{} times from {one} and {} times from {two}", from(one), from(two))
    }

    /// The longest time between two answers, the first of them at the earliest just before `begin`.
    fn longest_gap_since(&self, begin: Instant) -> Duration {
        let requests = self.0.lock().expect("nobody panics with the lock");
        let answers: Vec<Instant> =
            requests.iter().filter(|request| request.server.is_some()).map(|request| request.done).collect();
        let first = answers.iter().rposition(|done| *done <= begin).unwrap_or(0);
        let gaps = answers[first..].windows(2).map(|pair| pair[1] - pair[0]);
        let still_open = answers.last().map(Instant::elapsed);
        gaps.chain(still_open).max().unwrap_or_default()
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
