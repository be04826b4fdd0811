//! Decides which FIFOs are told of something, and the line that they get; the formats are keepalived's (2.2.7).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;

use lvs_core::{Family, Health, Notice, Role, ServerKey, ServiceKey};

use crate::conf::model::FifoScope;

/// Something that FIFOs may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Of a virtual router.
    Instance(Notice),
    /// Of a sync group.
    Group(Notice),
    /// Whether a virtual service has a server that serves.
    Service(ServiceKey, Health),
    /// Whether a real server of a service serves.
    Server(ServiceKey, ServerKey, Health),
}

/// What not everybody wants to hear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tastes {
    /// Names of the virtual routers whose priorities are told.
    pub(crate) priorities: BTreeSet<String>,
}

/// A line, with its end, and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// [`FifoScope::Vrrp`] or [`FifoScope::Lvs`]; [`FifoScope::All`] has both.
    kind: FifoScope,
}

impl Line {
    /// The line for something; none if it is not told.
    pub(super) fn of(news: &News, tastes: &Tastes) -> Option<Self> {
        let (kind, text) = match news {
            News::Instance(notice) => (FifoScope::Vrrp, router_line("INSTANCE", notice, tastes)?),
            News::Group(notice) => (FifoScope::Vrrp, router_line("GROUP", notice, tastes)?),
            News::Service(service, health) => {
                (FifoScope::Lvs, format!("VS {} {}\n", service_text(service), health_text(*health)))
            }
            News::Server(service, server, health) => {
                let (server, service, health) =
                    (server_text(service, server), service_text(service), health_text(*health));
                (FifoScope::Lvs, format!("RS {server} {service} {health}\n"))
            }
        };
        Some(Self { text, kind })
    }

    /// Whether a FIFO of this scope gets it.
    pub(super) fn is_for(&self, scope: FifoScope) -> bool {
        scope == FifoScope::All || scope == self.kind
    }
}

/// `INSTANCE "VI_1" MASTER 100`
fn router_line(kind: &str, notice: &Notice, tastes: &Tastes) -> Option<String> {
    let name = notice.instance();
    let (state, priority) = match notice {
        Notice::Role { role, priority, .. } => (role_text(*role)?, *priority),
        Notice::Priority { role, priority, .. } if tastes.priorities.contains(name) => match role {
            Role::Master => ("MASTER_PRIORITY", *priority),
            // As keepalived, at fault too.
            Role::Initialize | Role::Backup | Role::Fault => ("BACKUP_PRIORITY", *priority),
        },
        Notice::Contested { priority, .. } => ("MASTER_RX_LOWER_PRI", *priority),
        Notice::Stopped { priority, .. } => ("STOP", *priority),
        // Priorities that nobody asked for, and what later versions tell.
        _ => return None,
    };
    let mut line = format!("{kind} \"");
    // A name cannot end the line early.
    line.extend(name.chars().map(|c| if c.is_control() { '?' } else { c }));
    let _ = writeln!(line, "\" {state} {priority}");
    Some(line)
}

const fn role_text(role: Role) -> Option<&'static str> {
    match role {
        Role::Master => Some("MASTER"),
        Role::Backup => Some("BACKUP"),
        Role::Fault => Some("FAULT"),
        // Nothing has happened to it yet.
        Role::Initialize => None,
    }
}

const fn health_text(health: Health) -> &'static str {
    match health {
        Health::Up => "UP",
        Health::Down => "DOWN",
    }
}

/// `[192.168.201.15]:tcp:80`
fn service_text(service: &ServiceKey) -> String {
    match service {
        ServiceKey::Address { protocol, address } => address_text(&protocol.to_string(), *address),
        ServiceKey::Fwmark { mark, family: Family::Ipv4 | Family::Ipv6 } => format!("FWM {mark}"),
    }
}

/// A server speaks its service's protocol.
fn server_text(service: &ServiceKey, server: &ServerKey) -> String {
    match service {
        ServiceKey::Address { protocol, .. } => address_text(&protocol.to_string(), server.address()),
        ServiceKey::Fwmark { .. } => address_text("none", server.address()),
    }
}

fn address_text(protocol: &str, address: SocketAddr) -> String {
    format!("[{}]:{protocol}:{}", address.ip(), address.port())
}

#[cfg(test)]
mod tests {
    use lvs_core::Protocol;

    use super::*;

    fn text(news: &News) -> Option<String> {
        let tastes = Tastes { priorities: BTreeSet::from(["VI_1".to_owned()]) };
        Line::of(news, &tastes).map(|line| line.text)
    }

    fn role(instance: &str, role: Role, priority: u8) -> Notice {
        Notice::Role { instance: instance.to_owned(), role, priority }
    }

    #[test]
    fn states_are_written_as_keepalived_writes_them() {
        let stopped = |priority| Notice::Stopped { instance: "VI_1".to_owned(), priority };
        let contested = Notice::Contested { instance: "VI_1".to_owned(), priority: 100 };
        for (news, line) in [
            (News::Instance(role("VI_1", Role::Backup, 100)), "INSTANCE \"VI_1\" BACKUP 100\n"),
            (News::Instance(role("VI_1", Role::Master, 255)), "INSTANCE \"VI_1\" MASTER 255\n"),
            (News::Instance(role("VI 1", Role::Fault, 1)), "INSTANCE \"VI 1\" FAULT 1\n"),
            (News::Instance(stopped(120)), "INSTANCE \"VI_1\" STOP 120\n"),
            (News::Instance(contested), "INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 100\n"),
            (News::Group(role("VG", Role::Master, 0)), "GROUP \"VG\" MASTER 0\n"),
            (News::Group(stopped(0)), "GROUP \"VI_1\" STOP 0\n"),
        ] {
            assert_eq!(text(&news).as_deref(), Some(line));
        }
        assert_eq!(text(&News::Instance(role("VI_1", Role::Initialize, 100))), None);
    }

    #[test]
    fn priorities_are_told_of_those_that_are_asked_for_by_the_role_they_have() {
        let news = |instance: &str, role| {
            News::Instance(Notice::Priority { instance: instance.to_owned(), role, priority: 120 })
        };
        let master = "INSTANCE \"VI_1\" MASTER_PRIORITY 120\n";
        let backup = "INSTANCE \"VI_1\" BACKUP_PRIORITY 120\n";
        assert_eq!(text(&news("VI_1", Role::Master)).as_deref(), Some(master));
        for role in [Role::Initialize, Role::Backup, Role::Fault] {
            assert_eq!(text(&news("VI_1", role)).as_deref(), Some(backup), "{role}");
        }
        assert_eq!(text(&news("VI_2", Role::Master)), None);
    }

    #[test]
    fn name_does_not_end_a_line() {
        let news = News::Instance(role("a\nINSTANCE \"b\" MASTER 1", Role::Backup, 7));
        let line = text(&news).unwrap();
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
    }

    #[test]
    fn servers_and_services_are_written_as_keepalived_writes_them() {
        let service = ServiceKey::address(Protocol::Tcp, "192.168.201.15:80".parse().unwrap());
        let server = ServerKey::new("1.2.3.4:8080".parse().unwrap());
        assert_eq!(
            text(&News::Service(service, Health::Down)).as_deref(),
            Some("VS [192.168.201.15]:tcp:80 DOWN\n")
        );
        assert_eq!(
            text(&News::Server(service, server, Health::Up)).as_deref(),
            Some("RS [1.2.3.4]:tcp:8080 [192.168.201.15]:tcp:80 UP\n")
        );
        let service = ServiceKey::address(Protocol::Udp, "[2001:db8::1]:53".parse().unwrap());
        assert_eq!(
            text(&News::Service(service, Health::Up)).as_deref(),
            Some("VS [2001:db8::1]:udp:53 UP\n")
        );
    }

    #[test]
    fn each_fifo_gets_what_it_is_for_and_the_common_one_everything() {
        let service = ServiceKey::address(Protocol::Tcp, "192.168.201.15:80".parse().unwrap());
        let server = ServerKey::new("1.2.3.4:80".parse().unwrap());
        let scopes = [FifoScope::All, FifoScope::Vrrp, FifoScope::Lvs];
        let told = |news: &News| {
            let line = Line::of(news, &Tastes::default()).unwrap();
            scopes.map(|scope| line.is_for(scope))
        };
        assert_eq!(told(&News::Instance(role("a", Role::Master, 1))), [true, true, false]);
        assert_eq!(told(&News::Group(role("a", Role::Master, 0))), [true, true, false]);
        assert_eq!(told(&News::Service(service, Health::Up)), [true, false, true]);
        assert_eq!(told(&News::Server(service, server, Health::Up)), [true, false, true]);
    }
}
