//! Decides for several routers that they are master together or not at all (keepalived's `vrrp_sync_group`).

use lvs_core::Role;

use crate::action::{FaultReason, Gate};
use crate::router::Router;

/// Several routers that change state together, as those of the two sides of a NAT router have to.
///
/// It knows how each member stands and answers by a gate for each: [`Open`](Gate::Open) for all when every
/// member is master or wants to be, [`Fault`](Gate::Fault) with [`FaultReason::Group`] for the others while any
/// member is at fault by its own cause, [`Held`](Gate::Held) for all otherwise. So the last member whose wait for
/// the master ends takes all others with it (VR-128), and a member that ceases to be master takes all others with
/// it too, each of which resigns with its own advert of priority 0 (VR-127).
///
/// # The loop
///
/// After everything that may have changed a router, tell its [`Standing`]; then set the gates that
/// [`poll_gate`](Self::poll_gate) hands out until there is none, telling the standing after each. Only then is
/// the turn over: outside of it all members are master or none is. No more than three gates per member are
/// handed out in a turn.
///
/// A member may have reasons of its own not to be master. When they change, the group learns the new standing
/// first, and then the router gets them combined with [`gate`](Self::gate) by [`Gate::and`]: so it does not leave a
/// fault for an instant that another member is still in.
///
/// Several hosts that each hold a group agree only if they would agree for each member: give the members of
/// a host the same priority, or at least the same order of hosts. Otherwise, after a partition heals, each of
/// two groups may lose one member to the other.
///
/// ```
/// use std::net::IpAddr;
/// use lvs_vrrp::{Config, Gate, Instant, Interval, Priority, Role, Router, Standing, SyncGroup};
///
/// let config = Config::new(Interval::seconds(1)?, Priority::new(150)?);
/// let mut routers = [[10, 0, 0, 1], [10, 0, 1, 1]].map(|ip| Router::new(config, IpAddr::from(ip)));
/// let mut group = SyncGroup::new([Standing::Waits; 2]);
///
/// fn settle(group: &mut SyncGroup, routers: &mut [Router], now: Instant) {
///     for (member, router) in routers.iter().enumerate() {
///         group.handle_standing(member, Standing::of(router, Gate::Open));
///     }
///     while let Some((member, gate)) = group.poll_gate() {
///         let own = Gate::Open; // here would be a fault of the member's own
///         routers[member].set_gate(now, own.and(gate));
///         group.handle_standing(member, Standing::of(&routers[member], own));
///     }
/// }
///
/// settle(&mut group, &mut routers, Instant::ORIGIN);
/// routers[0].enable(Instant::ORIGIN);
/// routers[1].enable(Instant::from_nanos(10));
///
/// let expiry = routers[0].poll_timeout().expect("it waits for a master");
/// routers[0].handle_timeout(expiry);
/// settle(&mut group, &mut routers, expiry);
/// assert_eq!(routers[0].role(), Role::Backup); // not alone
///
/// let expiry = routers[1].poll_timeout().expect("it waits for a master");
/// routers[1].handle_timeout(expiry);
/// settle(&mut group, &mut routers, expiry);
/// assert_eq!(routers.each_ref().map(Router::role), [Role::Master, Role::Master]);
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    members: Vec<Member>,
    faulty: usize,
    ready: usize,
    /// Members before this one have the gate that they should have.
    settled: usize,
}

impl SyncGroup {
    /// A group of members that stand like this; they are known by their place from here on. All gates are
    /// handed out in the first turn.
    ///
    /// A group that is made of routers which are masters already leaves them so.
    #[must_use]
    pub fn new(standings: impl IntoIterator<Item = Standing>) -> Self {
        let members: Vec<Member> =
            standings.into_iter().map(|standing| Member { standing, given: None }).collect();
        let count = |is: fn(Standing) -> bool| members.iter().filter(|member| is(member.standing)).count();
        let (faulty, ready) = (count(Standing::is_faulty), count(Standing::is_ready));
        Self { members, faulty, ready, settled: 0 }
    }

    /// How many members it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has no members.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Takes note of how a member stands now. Nothing happens if it stood like that before, or if there is no
    /// such member.
    pub fn handle_standing(&mut self, member: usize, standing: Standing) {
        let verdict = self.verdict();
        let Some(Member { standing: known, .. }) = self.members.get_mut(member) else { return };
        let before = std::mem::replace(known, standing);
        self.faulty = self.faulty + usize::from(standing.is_faulty()) - usize::from(before.is_faulty());
        self.ready = self.ready + usize::from(standing.is_ready()) - usize::from(before.is_ready());
        if self.verdict() != verdict {
            self.settled = 0;
        } else if before.is_faulty() != standing.is_faulty() {
            self.settled = self.settled.min(member);
        }
    }

    /// The next member whose gate has to change, and to what; in the order of the members. `None` when the turn
    /// is over.
    #[must_use]
    pub fn poll_gate(&mut self) -> Option<(usize, Gate)> {
        while let Some(member) = self.members.get(self.settled) {
            let (place, gate) = (self.settled, self.gate_for(member.standing));
            self.settled += 1;
            if member.given != Some(gate) {
                self.members[place].given = Some(gate);
                return Some((place, gate));
            }
        }
        None
    }

    /// Hands out the gate that the group gives this member now; [`Held`](Gate::Held) if there is no such member.
    /// To be combined with the member's own by [`Gate::and`] when that one changes.
    #[must_use]
    pub fn gate(&mut self, member: usize) -> Gate {
        let Some(standing) = self.members.get(member).map(|member| member.standing) else {
            return Gate::Held;
        };
        let gate = self.gate_for(standing);
        // It counts as handed out: what the member has to have once the turn is over may be another one.
        self.members[member].given = Some(gate);
        gate
    }

    /// What the group is as a whole: [`Master`](Role::Master) if all members are, [`Fault`](Role::Fault) if any
    /// is at fault, [`Backup`](Role::Backup) otherwise. Settled turns only; a group has no other states.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.verdict() {
            Verdict::Fault => Role::Fault,
            Verdict::Together => Role::Master,
            Verdict::Apart => Role::Backup,
        }
    }

    fn verdict(&self) -> Verdict {
        if self.faulty > 0 {
            Verdict::Fault
        } else if self.ready == self.members.len() {
            Verdict::Together
        } else {
            Verdict::Apart
        }
    }

    fn gate_for(&self, standing: Standing) -> Gate {
        match (self.verdict(), standing) {
            (Verdict::Together, _) => Gate::Open,
            (Verdict::Apart, _) | (Verdict::Fault, Standing::Faulty) => Gate::Held,
            (Verdict::Fault, Standing::Waits | Standing::WantsMaster | Standing::Master) => {
                Gate::Fault(FaultReason::Group)
            }
        }
    }
}

/// How a member of a [`SyncGroup`] stands. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not master and does not ask to be: it hears one, waits for one, was put into fault by the group, or
    /// is disabled.
    Waits,
    /// Its wait is over; only its gate keeps it from being master.
    WantsMaster,
    /// It is master.
    Master,
    /// It cannot take part, by a cause of its own.
    Faulty,
}

impl Standing {
    /// How this router stands. `own` is what its gate would be without the group: it is at fault by its own
    /// cause if that says so, or if it could not claim its addresses.
    #[must_use]
    pub fn of(router: &Router, own: Gate) -> Self {
        match (own, router.role(), router.gate()) {
            (Gate::Fault(_), _, _) | (_, Role::Fault, Gate::Open | Gate::Held) => Self::Faulty,
            (Gate::Open | Gate::Held, Role::Master, _) => Self::Master,
            (Gate::Open, Role::Backup, _) if router.wants_master() => Self::WantsMaster,
            (Gate::Open | Gate::Held, Role::Initialize | Role::Backup, _)
            | (Gate::Open | Gate::Held, Role::Fault, Gate::Fault(_)) => Self::Waits,
        }
    }

    const fn is_ready(self) -> bool {
        matches!(self, Self::WantsMaster | Self::Master)
    }

    const fn is_faulty(self) -> bool {
        matches!(self, Self::Faulty)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    standing: Standing,
    /// The gate that was handed out last.
    given: Option<Gate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Together,
    Apart,
    Fault,
}
