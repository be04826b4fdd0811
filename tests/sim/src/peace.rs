//! Peace: no faults, and so a time after which there is one master, the right one, and no more change.

use std::net::IpAddr;
use std::time::Duration;

use lvs_vrrp::Preempt;

use crate::bounds::Rules;
use crate::options::Options;
use crate::wire;
use crate::world::{Process, World, nanos};

impl World {
    /// Down_i of an instance in true time, for an interval that is gone by, in nanoseconds.
    #[must_use]
    pub fn down(&self, host: usize, gone_by: u64) -> Duration {
        let rules = self.node(host, 0).watch.rules();
        self.true_time(host, rules.down(gone_by))
    }

    /// Skew_i of an instance in true time.
    #[must_use]
    pub fn skew(&self, host: usize, gone_by: u64) -> Duration {
        let rules = self.node(host, 0).watch.rules();
        self.true_time(host, rules.skew(gone_by))
    }

    /// The interval of a host in true time.
    #[must_use]
    pub fn interval(&self, host: usize) -> Duration {
        self.true_time(host, self.rules(host).interval)
    }

    /// What a host is configured to do.
    #[must_use]
    pub fn rules(&self, host: usize) -> &Rules {
        self.node(host, 0).watch.rules()
    }

    /// How long the clock of a host takes for that many nanoseconds.
    #[must_use]
    pub fn true_time(&self, host: usize, local: u64) -> Duration {
        self.hosts[host].clock.rate().true_time(Duration::from_nanos(local))
    }

    /// What a packet takes at most in peace, and what a process lags: D + G.
    #[must_use]
    pub fn delay_and_lag(&self) -> Duration {
        self.options.delay + self.options.lag
    }

    /// The virtual addresses of a segment as they are configured in peace.
    #[must_use]
    pub fn configured_addresses(&self, segment: usize) -> Vec<IpAddr> {
        let Options { family, addresses, .. } = self.options;
        (0..addresses).map(|number| wire::virtual_address(family, segment, number)).collect()
    }

    /// Hosts with a process.
    pub fn living(&self) -> impl Iterator<Item = usize> {
        (0..self.hosts.len()).filter(|&host| self.hosts[host].process != Process::Dead)
    }

    /// Of the living, those with the highest priority.
    #[must_use]
    pub fn best(&self) -> Vec<usize> {
        let highest = self.living().map(|host| self.rules(host).priority).max();
        self.living().filter(|&host| Some(self.rules(host).priority) == highest).collect()
    }

    /// The longest interval that anybody goes by or tells.
    #[must_use]
    pub fn longest_interval(&self) -> u64 {
        let all = self.nodes().iter().map(|node| node.watch.gone_by().max(node.watch.rules().interval));
        all.max().unwrap_or(0)
    }

    /// The time after which there is one master, if nothing is under way and nobody waits to try again.
    ///
    /// The best router's wait runs on while it hears lower masters: Down_max. What preemption is delayed by
    /// comes before. Then the others hear of it, and of two masters with the same priority one leaves at the
    /// other's next advert (E6): I + D + G.
    #[must_use]
    pub fn peace_bound(&self) -> Duration {
        let longest = self.longest_interval();
        let down = self.living().map(|host| self.down(host, longest)).max().unwrap_or_default();
        let interval = self.living().map(|host| self.interval(host)).max().unwrap_or_default();
        let patience = self.living().map(|host| self.patience(host)).max().unwrap_or_default();
        // Without a master at first, the delay begins only when somebody lower becomes it.
        let first_master = if patience > Duration::ZERO { down } else { Duration::ZERO };
        first_master + patience + down + interval + self.delay_and_lag() * 2
    }

    /// What the preemption of a host is delayed by, in true time.
    #[must_use]
    pub fn patience(&self, host: usize) -> Duration {
        match self.rules(host).preempt {
            Preempt::Always | Preempt::Never => Duration::ZERO,
            Preempt::After(delay) => self.true_time(host, nanos(delay)),
        }
    }

    /// Whether all routers that might have to take over from a lower one do so.
    #[must_use]
    pub fn all_preempt(&self) -> bool {
        self.living().all(|host| self.rules(host).preempt != Preempt::Never || self.rules(host).is_owner())
    }

    /// Everything that is under way has arrived, and everybody takes part.
    pub fn quiesce(&mut self) {
        let claims = self.options.claim + Duration::from_secs(1);
        let mut end = self.last_arrival().max(self.now);
        for (index, node) in self.nodes().iter().enumerate() {
            if let Some(retry) = node.watch.retries_at() {
                end = end.max(self.hosts[index / self.segments()].clock.when(retry));
            }
        }
        end = end + self.options.lag + claims;
        self.run_until(end);
    }

    /// After the bound there is one master, the right one.
    pub fn expect_peace(&mut self, rule: &'static str) {
        self.quiesce();
        let bound = self.peace_bound();
        self.run_for(bound);
        self.expect_one_master(rule);
    }

    /// There is one master on each segment now, it is one of the best if all preempt, and no other host has
    /// the addresses.
    pub fn expect_one_master(&mut self, rule: &'static str) {
        for segment in 0..self.segments() {
            let masters = self.masters(segment);
            self.check(rule, masters.len() == 1, |world| {
                format!("segment {segment} has the masters {masters:?}: {}", world.state())
            });
            let Some(&master) = masters.first() else { return };
            let best = self.best();
            let is_right = !self.all_preempt() || best.contains(&master);
            self.check(rule, is_right, |world| {
                format!("segment {segment} has the master {master} instead of {best:?}: {}", world.state())
            });
            let others = self.living().find(|&host| host != master && self.has_addresses(host, segment));
            self.check(rule, others.is_none(), |_| {
                format!("{others:?} has addresses, but {master} is master")
            });
        }
    }

    /// Nobody changes for this time.
    pub fn expect_no_change(&mut self, rule: &'static str, time: Duration) {
        let before: Vec<(u64, bool)> = self.standings();
        self.run_for(time);
        let after = self.standings();
        self.check(rule, before == after, |world| format!("roles changed in peace: {}", world.state()));
    }

    /// How often each node became master, and whether it is.
    #[must_use]
    pub fn standings(&self) -> Vec<(u64, bool)> {
        self.nodes().iter().map(|node| (node.masterships, node.watch.is_master())).collect()
    }

    /// How it stands with all hosts, to read.
    #[must_use]
    pub fn state(&self) -> String {
        let hosts = (0..self.hosts.len()).map(|host| {
            let roles: Vec<String> = (0..self.segments())
                .map(|segment| {
                    let router = &self.node(host, segment).router;
                    format!("{} until {:?}", router.role(), router.poll_timeout())
                })
                .collect();
            let rules = self.rules(host);
            let there = self.hosts[host].clock.read(self.now);
            format!(
                "\n    {host}: {:?} p={} {:?} at its {there:?}: {}",
                self.hosts[host].process,
                rules.priority,
                rules.preempt,
                roles.join(", ")
            )
        });
        hosts.collect()
    }
}

/// Of options: whether all routers have the same interval.
#[must_use]
pub fn has_one_interval(options: &Options) -> bool {
    let mut intervals = options.hosts.iter().map(|host| host.config.interval());
    let first = intervals.next();
    intervals.all(|interval| Some(interval) == first)
}
