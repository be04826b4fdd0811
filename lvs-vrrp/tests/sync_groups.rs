//! Sync groups of real routers: random events to their members, and elections between two hosts on a virtual
//! clock.
#![allow(clippy::unwrap_used)] // A value that cannot be had is a failed test.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lvs_core::{ClaimResult, Instant, Role};
use lvs_vrrp::{
    Action, Advert, Advertised, Config, FaultReason, Gate, Interval, Preempt, Priority, Reason, Router,
    Standing, SyncGroup, Vrid, timing,
};
use proptest::prelude::*;

/// The routers of one host, all of one group, with the loop that a driver runs.
struct Host {
    group: SyncGroup,
    routers: Vec<Router>,
    own: Vec<Gate>,
    /// What they decided, in order.
    actions: Vec<(usize, Action)>,
    /// Gates that the group handed out in the last turn.
    gates_given: usize,
}

impl Host {
    fn new(number: u8, configs: &[Config]) -> Self {
        let router = |(network, &config): (usize, &Config)| Router::new(config, address(network, number));
        let routers: Vec<Router> = configs.iter().enumerate().map(router).collect();
        let group = SyncGroup::new(routers.iter().map(|router| Standing::of(router, Gate::Open)));
        let own = vec![Gate::Open; routers.len()];
        let mut host = Self { group, routers, own, actions: Vec::new(), gates_given: 0 };
        host.settle(Instant::ORIGIN);
        host
    }

    fn enable(&mut self, now: Instant) {
        for member in 0..self.routers.len() {
            self.routers[member].enable(now);
            self.after(member);
        }
        self.settle(now);
    }

    /// A cause of its own begins or ends.
    fn set_own(&mut self, now: Instant, member: usize, gate: Gate) {
        self.own[member] = gate;
        self.group.handle_standing(member, Standing::of(&self.routers[member], gate));
        self.routers[member].set_gate(now, gate.and(self.group.gate(member)));
        self.after(member);
    }

    /// Takes the actions of a router and tells the group how it stands.
    fn after(&mut self, member: usize) {
        while let Some(action) = self.routers[member].poll_action() {
            self.actions.push((member, action));
        }
        self.group.handle_standing(member, Standing::of(&self.routers[member], self.own[member]));
    }

    fn settle(&mut self, now: Instant) {
        self.gates_given = 0;
        while let Some((member, gate)) = self.group.poll_gate() {
            self.gates_given += 1;
            assert!(self.gates_given <= 3 * self.routers.len(), "the group does not settle");
            self.routers[member].set_gate(now, self.own[member].and(gate));
            self.after(member);
        }
    }

    fn expire(&mut self, now: Instant) {
        for member in 0..self.routers.len() {
            self.routers[member].handle_timeout(now);
            self.after(member);
        }
        self.settle(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.routers.iter().filter_map(Router::poll_timeout).min()
    }

    fn roles(&self) -> Vec<Role> {
        self.routers.iter().map(Router::role).collect()
    }
}

fn address(network: usize, host: u8) -> IpAddr {
    IpAddr::from([10, 0, u8::try_from(network).unwrap(), host])
}

fn config(priority: u8) -> Config {
    Config::new(Interval::seconds(1).unwrap(), Priority::new(priority).unwrap())
}

fn hear(router: &mut Router, now: Instant, source: IpAddr, advertised: Advertised) {
    let vips = [Ipv4Addr::new(10, 9, 9, 9)];
    let interval = router.config().interval();
    let advert = Advert::new(Vrid::new(1).unwrap(), advertised, interval, &vips).unwrap();
    router.handle_advert(now, source, &advert);
}

#[derive(Clone, Debug)]
enum Operation {
    Enable,
    Disable,
    Own(Gate),
    Advert {
        source: u8,
        octet: u8,
    },
    /// To the next timer of this member, which expires before the others'.
    Expire,
    ExpireAll,
    Pass(Duration),
    Claimed(ClaimResult),
    Priority(u8),
}

fn operation() -> impl Strategy<Value = Operation> {
    let own = prop_oneof![
        4 => Just(Gate::Open),
        1 => Just(Gate::Held),
        2 => Just(Gate::Fault(FaultReason::LinkDown)),
    ];
    prop_oneof![
        1 => Just(Operation::Enable),
        1 => Just(Operation::Disable),
        4 => own.prop_map(Operation::Own),
        6 => (prop_oneof![Just(1u8), Just(9)], prop_oneof![Just(0u8), Just(99), Just(100), Just(255)])
            .prop_map(|(source, octet)| Operation::Advert { source, octet }),
        10 => Just(Operation::Expire),
        6 => Just(Operation::ExpireAll),
        3 => prop_oneof![Just(0u64), Just(300), Just(5_000)]
            .prop_map(|ms| Operation::Pass(Duration::from_millis(ms))),
        3 => prop_oneof![3 => Just(ClaimResult::Confirmed), 1 => Just(ClaimResult::Missing)]
            .prop_map(Operation::Claimed),
        1 => prop_oneof![Just(1u8), Just(100), Just(255)].prop_map(Operation::Priority),
    ]
}

fn operations() -> impl Strategy<Value = (Vec<Config>, Vec<(usize, Operation)>)> {
    let preempt = prop_oneof![
        3 => Just(Preempt::Always),
        1 => Just(Preempt::Never),
        1 => Just(Preempt::After(Duration::from_secs(5)))
    ];
    let member = (prop_oneof![Just(1u8), Just(100), Just(255)], preempt)
        .prop_map(|(priority, preempt)| config(priority).with_preempt(preempt));
    (1usize..5).prop_flat_map(move |members| {
        let configs = proptest::collection::vec(member.clone(), members);
        (configs, proptest::collection::vec((0..members, operation()), 1..150))
    })
}

/// What must hold of a host outside of a turn.
fn check(host: &Host, before: &[Role]) {
    let roles = host.roles();
    let masters = roles.iter().filter(|role| **role == Role::Master).count();
    assert!(masters == 0 || masters == roles.len(), "A12: {roles:?}");
    if roles.contains(&Role::Fault) {
        assert!(roles.iter().all(|role| matches!(role, Role::Fault | Role::Initialize)), "A12: {roles:?}");
        let has_cause =
            |member: usize| Standing::of(&host.routers[member], host.own[member]) == Standing::Faulty;
        assert!((0..roles.len()).any(has_cause), "nobody is at fault by its own cause");
    }
    let all_want =
        host.routers.iter().zip(&host.own).all(|(router, own)| router.wants_master() && *own == Gate::Open);
    assert!(!all_want, "VR-128: all want to be master and are not");
    for (member, router) in host.routers.iter().enumerate() {
        let resigned = host
            .actions
            .iter()
            .filter(|action| **action == (member, Action::Advertise(Advertised::Resigning)));
        let outranked = host.actions.iter().any(|(at, action)| {
            *at == member
                && matches!(action, Action::Changed(change) if matches!(change.reason, Reason::Outranked { .. }))
        });
        let left = before[member] == Role::Master && router.role() != Role::Master;
        assert_eq!(resigned.count(), usize::from(left && !outranked), "VR-127: member {member}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    // A12, VR-127, VR-128; and that a turn ends, which `settle` asserts.
    #[test]
    fn members_are_master_together_or_not_at_all_whatever_happens((configs, operations) in operations()) {
        let mut host = Host::new(5, &configs);
        let mut now = Instant::from_nanos(1_000_000_000_000);
        host.enable(now);
        host.actions.clear();
        for (member, operation) in operations {
            let before = host.roles();
            let router = &mut host.routers[member];
            match operation {
                Operation::Enable => router.enable(now),
                Operation::Disable => router.disable(now),
                Operation::Own(gate) => host.set_own(now, member, gate),
                Operation::Advert { source, octet } => {
                    hear(router, now, address(member, source), Advertised::from_octet(octet));
                }
                Operation::Expire => {
                    now = router.poll_timeout().unwrap_or(now).max(now);
                    router.handle_timeout(now);
                }
                Operation::ExpireAll => {
                    now = host.poll_timeout().unwrap_or(now).max(now);
                    host.expire(now);
                }
                Operation::Pass(time) => now = now + time,
                Operation::Claimed(result) => {
                    let epoch = router.ownership().epoch;
                    router.handle_claimed(now, epoch, result);
                }
                Operation::Priority(number) => router.set_priority(now, Priority::new(number).unwrap()),
            }
            host.after(member);
            host.settle(now);
            check(&host, &before);
            host.actions.clear();
        }
    }
}

/// Two hosts on as many networks as they have members, all adverts delivered at once.
struct Pair {
    hosts: [Host; 2],
    now: Instant,
    is_alive: [bool; 2],
    /// Networks that carry nothing.
    cut: Vec<bool>,
}

impl Pair {
    fn new(first: &[Config], second: &[Config]) -> Self {
        let hosts = [Host::new(1, first), Host::new(2, second)];
        let mut pair =
            Self { hosts, now: Instant::from_nanos(1), is_alive: [true; 2], cut: vec![false; first.len()] };
        for host in 0..2 {
            pair.hosts[host].enable(pair.now);
        }
        pair.exchange();
        pair
    }

    /// Until everything that was sent has been heard and answered.
    fn exchange(&mut self) {
        loop {
            let mut is_quiet = true;
            for sender in 0..2 {
                for (member, action) in std::mem::take(&mut self.hosts[sender].actions) {
                    is_quiet = false;
                    match action {
                        Action::Claim { epoch } => {
                            let router = &mut self.hosts[sender].routers[member];
                            router.handle_claimed(self.now, epoch, ClaimResult::Confirmed);
                            self.hosts[sender].after(member);
                        }
                        Action::Advertise(advertised)
                            if self.is_alive[sender] && self.is_alive[1 - sender] && !self.cut[member] =>
                        {
                            let source = self.hosts[sender].routers[member].address();
                            let receiver = &mut self.hosts[1 - sender];
                            hear(&mut receiver.routers[member], self.now, source, advertised);
                            receiver.after(member);
                            receiver.settle(self.now);
                        }
                        Action::Advertise(_)
                        | Action::Announce { .. }
                        | Action::Release { .. }
                        | Action::Changed(_)
                        | Action::WantsMaster
                        | Action::Conflict(_) => {}
                    }
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    fn step(&mut self) {
        let alive = |host: &usize| self.is_alive[*host];
        let next = (0..2).filter(alive).filter_map(|host| self.hosts[host].poll_timeout()).min();
        self.now = next.expect("somebody waits").max(self.now);
        for host in 0..2 {
            if self.is_alive[host] {
                self.hosts[host].expire(self.now);
                self.exchange();
            }
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// How long until this host is master of everything.
    fn time_until_master(&mut self, host: usize) -> Duration {
        let start = self.now;
        while self.hosts[host].group.role() != Role::Master {
            assert!(self.now - start < Duration::from_secs(60), "it never happens");
            self.step();
        }
        self.now - start
    }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn backup_takes_over_the_whole_group_within_the_longest_wait_of_its_members_when_the_master_dies() {
    // E19: different intervals and priorities; the slowest member decides.
    let member = |seconds, priority| {
        Config::new(Interval::seconds(seconds).unwrap(), Priority::new(priority).unwrap())
    };
    let mut pair = Pair::new(&[member(1, 200), member(3, 180)], &[member(1, 100), member(3, 90)]);
    pair.run_for(LONG);
    assert_eq!(pair.hosts[0].roles(), [Role::Master; 2]);
    assert_eq!(pair.hosts[1].roles(), [Role::Backup; 2]);
    pair.is_alive[0] = false;
    let longest = timing::master_down_interval(Interval::seconds(3).unwrap(), Priority::new(90).unwrap());
    let took = pair.time_until_master(1);
    // It was heard at most one interval before it died.
    assert!(took <= longest, "{took:?} > {longest:?}");
    assert!(took >= longest - Duration::from_secs(3), "{took:?}: before the slowest member could know");
}

#[test]
fn group_moves_as_one_when_only_one_link_of_the_master_fails() {
    // Scenario S4; VR-125, VR-127: the member with the link tells its backup, the one without cannot.
    let mut pair = Pair::new(&[config(150), config(150)], &[config(100), config(100)]);
    pair.run_for(LONG);
    assert_eq!(pair.hosts[0].roles(), [Role::Master; 2]);
    pair.cut[1] = true;
    let now = pair.now;
    pair.hosts[0].set_own(now, 1, Gate::Fault(FaultReason::LinkDown));
    pair.hosts[0].settle(now);
    assert_eq!(pair.hosts[0].roles(), [Role::Fault; 2]);
    assert_eq!(pair.hosts[0].routers[0].gate(), Gate::Fault(FaultReason::Group));
    pair.exchange();
    let took = pair.time_until_master(1);
    let bound = timing::master_down_interval(Interval::seconds(1).unwrap(), Priority::new(100).unwrap());
    assert!(took <= bound, "E19: {took:?} > {bound:?}");
    // And back, when the link is.
    pair.cut[1] = false;
    let now = pair.now;
    pair.hosts[0].set_own(now, 1, Gate::Open);
    pair.hosts[0].settle(now);
    assert_eq!(pair.hosts[0].roles(), [Role::Backup; 2]);
    pair.run_for(LONG);
    assert_eq!(pair.hosts[0].roles(), [Role::Master; 2]);
    assert_eq!(pair.hosts[1].roles(), [Role::Backup; 2]);
}

#[test]
fn graceful_stop_hands_the_whole_group_over_within_the_longest_skew() {
    let mut pair = Pair::new(&[config(150), config(150)], &[config(100), config(20)]);
    pair.run_for(LONG);
    let now = pair.now;
    for member in 0..2 {
        pair.hosts[0].routers[member].disable(now);
        pair.hosts[0].after(member);
    }
    pair.hosts[0].settle(now);
    pair.exchange();
    let skew = timing::skew_time(Interval::seconds(1).unwrap(), Priority::new(20).unwrap());
    assert_eq!(pair.time_until_master(1), skew);
}

#[test]
fn member_whose_peer_is_better_keeps_its_whole_group_from_preempting() {
    // Crossed priorities: whoever was first stays, for nobody wants all of it.
    let mut pair = Pair::new(&[config(150), config(100)], &[config(101), config(149)]);
    pair.is_alive[1] = false;
    pair.run_for(LONG);
    pair.is_alive[1] = true;
    let now = pair.now;
    pair.hosts[1] = Host::new(2, &[config(101), config(149)]);
    pair.hosts[1].enable(now);
    pair.run_for(LONG);
    assert_eq!(pair.hosts[0].roles(), [Role::Master; 2]);
    // VR-128: the member that would be better waits for the other with its wish.
    assert!(pair.hosts[1].routers[1].wants_master());
    assert_eq!(pair.hosts[1].roles(), [Role::Backup; 2]);
}

#[test]
fn group_made_of_masters_leaves_them_so() {
    let mut host = Host::new(1, &[config(150), config(150)]);
    host.enable(Instant::ORIGIN);
    while host.group.role() != Role::Master {
        let next = host.poll_timeout().expect("they wait");
        host.expire(next);
    }
    host.actions.clear();
    // As after a reload that changed the group.
    host.group = SyncGroup::new(host.routers.iter().map(|router| Standing::of(router, Gate::Open)));
    host.settle(Instant::from_nanos(10_000_000_000));
    assert_eq!(host.gates_given, 2);
    assert_eq!(host.roles(), [Role::Master; 2]);
    assert_eq!(host.actions, []);
}

#[test]
fn group_takes_part_again_when_the_causes_of_all_its_members_end_in_one_turn() {
    // One link that one member is on and the other tracks: first the one is told, then the other.
    let mut host = Host::new(5, &[config(100), config(100)]);
    host.enable(Instant::ORIGIN);
    for gate in [Gate::Fault(FaultReason::LinkDown), Gate::Open] {
        for member in [0, 1] {
            host.set_own(Instant::ORIGIN, member, gate);
        }
        host.settle(Instant::ORIGIN);
    }
    assert_eq!(host.roles(), [Role::Backup; 2]);
    assert!(host.routers.iter().all(|router| router.gate() == Gate::Held));
}

#[test]
fn fault_of_one_member_outlasts_that_of_another() {
    let mut host = Host::new(1, &[config(150), config(150), config(150)]);
    host.enable(Instant::ORIGIN);
    let fault = Gate::Fault(FaultReason::LinkDown);
    for (member, gate) in [(0, fault), (1, fault), (0, Gate::Open)] {
        host.set_own(Instant::ORIGIN, member, gate);
        host.settle(Instant::ORIGIN);
        assert_eq!(host.roles(), [Role::Fault; 3]);
    }
    // One way in, none out: the roles do not flicker.
    let changes = host.actions.iter().filter(|(_, action)| matches!(action, Action::Changed(_))).count();
    assert_eq!(changes, 6);
    host.set_own(Instant::ORIGIN, 1, Gate::Open);
    host.settle(Instant::ORIGIN);
    assert_eq!(host.roles(), [Role::Backup; 3]);
}
