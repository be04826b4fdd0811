//! What tells the kernel's table from the desired one, as edits: in order, in words, and as JSON.

use std::fmt::Write as _;

use lvs_core::{
    Change, RealServer, ServerKey, ServiceKey, SyncDaemon, SyncRole, Table, Timeouts, VirtualService,
};
use serde::Serialize;

/// What becomes of services that the desired table does not name. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Foreign {
    /// They go.
    #[default]
    Remove,
    /// They stay.
    Keep,
}

/// The edits that make one table equal to another, the fewest that can: [`Table::changes_to`].
///
/// ```
/// use ipvsctl::{desired, difference::{Difference, Foreign}, names::Numeric};
///
/// let observed = desired::table("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1", &Numeric)?;
/// let desired = desired::table("-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 5", &Numeric)?;
/// let difference = Difference::between(observed, &desired, Foreign::Remove);
/// assert_eq!(
///     difference.words().collect::<Vec<_>>(),
///     [
///         "edit service tcp 10.0.0.1:80: scheduler from rr to wrr",
///         "edit destination 10.0.1.2:80 of tcp 10.0.0.1:80: weight from 1 to 5",
///     ],
/// );
/// # Ok::<(), desired::FileFault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    observed: Table,
    changes: Vec<Change>,
}

impl Difference {
    /// The edits that lead from what was observed to what is desired.
    #[must_use]
    pub fn between(mut observed: Table, desired: &Table, foreign: Foreign) -> Self {
        if foreign == Foreign::Keep {
            observed.retain(|key| desired.service(key).is_some());
        }
        let changes = observed.changes_to(desired);
        Self { observed, changes }
    }

    /// The edits in order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether there is no edit to make.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether services are there and none is left behind.
    #[must_use]
    pub fn removes_all(&self) -> bool {
        let removed = self.changes.iter().filter(|change| matches!(change, Change::RemoveService(_))).count();
        let added = self.changes.iter().any(|change| matches!(change, Change::AddService(_)));
        removed > 0 && !added && removed == self.observed.services().len()
    }

    /// Each edit in words: on what, and what changes.
    pub fn words(&self) -> impl ExactSizeIterator<Item = String> {
        self.changes.iter().map(|change| self.word(change))
    }

    /// All edits as JSON, in order; `faults` holds what went wrong with each, in the same order, where it was tried.
    ///
    /// ```json
    /// {"edits": [
    ///   {"edit": "add-service", "service": {…}, "words": "…"},
    ///   {"edit": "edit-service", "service": {…}, "words": "…"},
    ///   {"edit": "remove-service", "service": {"protocol": "tcp", "address": "10.0.0.1:80"}, "words": "…"},
    ///   {"edit": "add-server", "service": {"protocol": "tcp", "address": "10.0.0.1:80"}, "server": {…}, "words": "…"},
    ///   {"edit": "edit-server", "service": {"fwmark": 1, "family": "ipv4"}, "server": {…}, "words": "…"},
    ///   {"edit": "remove-server", "service": {…}, "server": {"address": "10.0.1.2:80"}, "words": "…", "error": "…"},
    ///   {"edit": "set-timeouts", "timeouts": {…}, "words": "…"},
    ///   {"edit": "start-sync-daemon", "sync_daemon": {…}, "words": "…"},
    ///   {"edit": "stop-sync-daemon", "role": "master", "words": "…"}
    /// ]}
    /// ```
    ///
    /// Services, servers, timeouts and daemons have the shape of lvs-core's tables, as they are to be; `error` is there
    /// if the edit failed.
    #[must_use]
    pub fn json(&self, faults: &[Option<String>]) -> String {
        let faults = faults.iter().map(Option::as_deref).chain(std::iter::repeat(None));
        let edits = self.changes.iter().zip(faults).map(|(change, error)| WrittenEdit {
            edit: Written::of(change),
            words: self.word(change),
            error,
        });
        crate::json::text(&Edits { edits: edits.collect() })
    }

    fn word(&self, change: &Change) -> String {
        let mut text = match change {
            Change::AddServer(key, server) => format!("add destination {} to {key}", server.key()),
            Change::EditServer(key, server) => format!("edit destination {} of {key}", server.key()),
            Change::SetTimeouts(_) => "set the connection timeouts".to_owned(),
            other => other.to_string(),
        };
        let present = change.service().and_then(|key| self.observed.service(&key));
        match change {
            Change::AddService(service) => said(&mut text, &service_facts(service)),
            Change::EditService(service) => {
                let before = present.map(|present| service_facts(present.service()));
                changed(&mut text, before.as_ref(), &service_facts(service));
            }
            Change::AddServer(_, server) => said(&mut text, &server_facts(server)),
            Change::EditServer(_, server) => {
                let before = present.and_then(|present| present.server(&server.key())).map(server_facts);
                changed(&mut text, before.as_ref(), &server_facts(server));
            }
            Change::RemoveService(_) => {
                let servers = present.map_or(0, |present| present.servers().len());
                let plural = if servers == 1 { "" } else { "s" };
                // Writing to a string cannot fail.
                let _ = write!(text, " with {servers} destination{plural}");
            }
            Change::SetTimeouts(timeouts) => {
                let before = self.observed.timeouts().unwrap_or(Timeouts::UNCHANGED);
                changed(&mut text, Some(&timeout_facts(before)), &timeout_facts(timeouts.over(before)));
            }
            Change::RemoveServer(..) | Change::StartDaemon(_) | Change::StopDaemon(_) => {}
        }
        text
    }
}

/// What is said of a thing, and its value; nothing where there is nothing to say.
type Facts<const N: usize> = [(&'static str, String); N];

fn service_facts(service: &VirtualService) -> Facts<5> {
    let persistence = service.persistence().map(|persistence| {
        let seconds = persistence.timeout().as_secs();
        match (persistence.prefix_len(), persistence.netmask()) {
            (None, Some(mask)) => format!("{seconds} s, mask {mask}"),
            (length, _) => format!("{seconds} s, prefix {}", length.unwrap_or_default()),
        }
    });
    [
        ("scheduler", service.scheduler().to_string()),
        ("flags", crate::list::flag_names(service, crate::list::Third::Always)),
        ("persistence", persistence.unwrap_or_default()),
        ("persistence engine", service.persistence_engine().map(ToString::to_string).unwrap_or_default()),
        ("one-packet", if service.one_packet() { "on".to_owned() } else { String::new() }),
    ]
}

fn server_facts(server: &RealServer) -> Facts<4> {
    let threshold = |connections: u32| if connections == 0 { String::new() } else { connections.to_string() };
    [
        ("forwarding", server.forwarding().to_string()),
        ("weight", server.weight().to_string()),
        ("upper threshold", threshold(server.upper_threshold())),
        ("lower threshold", threshold(server.lower_threshold())),
    ]
}

fn timeout_facts(timeouts: Timeouts) -> Facts<3> {
    [("tcp", timeouts.tcp), ("tcpfin", timeouts.tcp_fin), ("udp", timeouts.udp)]
        .map(|(name, timeout)| (name, format!("{} s", timeout.as_secs())))
}

/// `: scheduler rr, flags sh-port`.
fn said<const N: usize>(text: &mut String, facts: &Facts<N>) {
    let mut separator = ": ";
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(text, "{separator}{name} {value}");
        separator = ", ";
    }
}

/// `: scheduler from rr to wrr, flags from none to sh-port`.
fn changed<const N: usize>(text: &mut String, before: Option<&Facts<N>>, after: &Facts<N>) {
    let Some(before) = before else { return said(text, after) };
    let mut separator = ": ";
    let or_none = |value: &str| if value.is_empty() { "none".to_owned() } else { value.to_owned() };
    for ((name, old), (_, new)) in before.iter().zip(after).filter(|((_, old), (_, new))| old != new) {
        let _ = write!(text, "{separator}{name} from {} to {}", or_none(old), or_none(new));
        separator = ", ";
    }
}

#[derive(Serialize)]
struct Edits<'a> {
    edits: Vec<WrittenEdit<'a>>,
}

#[derive(Serialize)]
struct WrittenEdit<'a> {
    #[serde(flatten)]
    edit: Written<'a>,
    words: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "edit", rename_all = "kebab-case")]
enum Written<'a> {
    AddService { service: &'a VirtualService },
    EditService { service: &'a VirtualService },
    RemoveService { service: ServiceKey },
    AddServer { service: ServiceKey, server: &'a RealServer },
    EditServer { service: ServiceKey, server: &'a RealServer },
    RemoveServer { service: ServiceKey, server: Address },
    SetTimeouts { timeouts: Timeouts },
    StartSyncDaemon { sync_daemon: &'a SyncDaemon },
    StopSyncDaemon { role: SyncRole },
}

#[derive(Serialize)]
struct Address {
    address: ServerKey,
}

impl<'a> Written<'a> {
    fn of(change: &'a Change) -> Self {
        match change {
            Change::AddService(service) => Self::AddService { service },
            Change::EditService(service) => Self::EditService { service },
            Change::RemoveService(service) => Self::RemoveService { service: *service },
            Change::AddServer(service, server) => Self::AddServer { service: *service, server },
            Change::EditServer(service, server) => Self::EditServer { service: *service, server },
            Change::RemoveServer(service, server) => {
                Self::RemoveServer { service: *service, server: Address { address: *server } }
            }
            Change::SetTimeouts(timeouts) => Self::SetTimeouts { timeouts: *timeouts },
            Change::StartDaemon(sync_daemon) => Self::StartSyncDaemon { sync_daemon },
            Change::StopDaemon(role) => Self::StopSyncDaemon { role: *role },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired;
    use crate::names::Numeric;

    fn table(text: &str) -> Table {
        desired::table(text, &Numeric).unwrap()
    }

    fn words(observed: &str, desired: &str, foreign: Foreign) -> Vec<String> {
        Difference::between(table(observed), &table(desired), foreign).words().collect()
    }

    const OBSERVED: &str = "-A -t 10.0.0.1:80 -s rr\n\
        -a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1\n\
        -a -t 10.0.0.1:80 -r 10.0.1.3:80 -m -w 0\n\
        -A -u 10.0.0.1:53 -s sh -b sh-port\n\
        -A -f 7\n\
        -a -f 7 -r 10.0.1.2 -g\n\
        --set 900 120 300\n\
        --start-daemon master --mcast-interface eth0\n";

    #[test]
    fn each_edit_says_on_what_and_what_changes() {
        let desired = "-A -t 10.0.0.1:80 -s rr -p 60\n\
            -a -t 10.0.0.1:80 -r 10.0.1.3:80 -i -w 3 -x 200 -y 100\n\
            -A -u 10.0.0.1:53 -s sh -o\n\
            -A -f 9 -6 -s wlc -p 60 -M 64 --pe sip\n\
            -a -f 9 -6 -r [2001:db8::2] -i --tun-type gue --tun-port 6080\n\
            --set 0 0 60\n\
            --start-daemon master --mcast-interface eth0 --syncid 5\n";
        assert_eq!(
            words(OBSERVED, desired, Foreign::Remove),
            [
                "stop sync daemon master",
                "add service fwmark 9 IPv6: scheduler wlc, persistence 60 s, prefix 64, persistence engine sip",
                "add destination [2001:db8::2]:0 to fwmark 9 IPv6: forwarding tunnel gue port 6080, weight 1",
                "edit service tcp 10.0.0.1:80: persistence from none to 60 s, prefix 32",
                "edit destination 10.0.1.3:80 of tcp 10.0.0.1:80: forwarding from masquerade to tunnel ipip, weight from 0 to 3, \
                 upper threshold from none to 200, lower threshold from none to 100",
                "edit service udp 10.0.0.1:53: flags from sh-port to none, one-packet from none to on",
                "set the connection timeouts: udp from 300 s to 60 s",
                "remove destination 10.0.1.2:80 from tcp 10.0.0.1:80",
                "remove service fwmark 7 with 1 destination",
                "start sync daemon master on eth0, id 5, group 224.0.0.81 port 8848",
            ]
        );
    }

    #[test]
    fn foreign_services_stay_if_they_are_to_be_kept() {
        let desired = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1\n";
        let keep = words(OBSERVED, desired, Foreign::Keep);
        assert_eq!(keep, ["remove destination 10.0.1.3:80 from tcp 10.0.0.1:80"]);
        assert_eq!(words(OBSERVED, desired, Foreign::Remove).len(), 3);
        assert!(words(OBSERVED, OBSERVED, Foreign::Remove).is_empty());
        assert!(words(OBSERVED, "", Foreign::Keep).is_empty());
    }

    #[test]
    fn only_what_leaves_no_service_behind_removes_all() {
        let removes_all =
            |desired, foreign| Difference::between(table(OBSERVED), &table(desired), foreign).removes_all();
        assert!(removes_all("", Foreign::Remove));
        assert!(removes_all("--set 0 0 60", Foreign::Remove));
        assert!(!removes_all("", Foreign::Keep));
        assert!(!removes_all("-A -f 7", Foreign::Remove));
        assert!(!removes_all("-A -f 8", Foreign::Remove));
        let nothing = Difference::between(Table::default(), &Table::default(), Foreign::Remove);
        assert!(!nothing.removes_all());
    }

    #[test]
    fn as_json_an_edit_has_the_tables_shape_and_its_own_fault() {
        let desired = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.3:80 -m -w 2\n";
        let difference = Difference::between(table(OBSERVED), &table(desired), Foreign::Keep);
        let json = difference.json(&[None, Some("it is gone".to_owned())]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"edits": [
                {"edit": "edit-server", "service": {"protocol": "tcp", "address": "10.0.0.1:80"},
                 "server": {"address": "10.0.1.3:80", "weight": 2, "forwarding": "masquerade"},
                 "words": "edit destination 10.0.1.3:80 of tcp 10.0.0.1:80: weight from 0 to 2"},
                {"edit": "remove-server", "service": {"protocol": "tcp", "address": "10.0.0.1:80"},
                 "server": {"address": "10.0.1.2:80"}, "error": "it is gone",
                 "words": "remove destination 10.0.1.2:80 from tcp 10.0.0.1:80"},
            ]})
        );
        assert_eq!(
            Difference::between(Table::default(), &Table::default(), Foreign::Keep).json(&[]),
            "{\n  \"edits\": []\n}\n"
        );
    }
}
