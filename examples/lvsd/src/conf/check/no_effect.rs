//! Keywords of keepalived that are read and change nothing here: one warning for each subject.
//!
//! What other routers, clients or servers could notice is never among them; docs/PARITY.md has the rule.

use super::super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::super::source::Span;
use super::super::tree::Node;
use super::Cx;

/// What such a keyword is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// Mail about changes.
    Mail,
    /// SNMP and its traps.
    Snmp,
    /// D-Bus.
    Dbus,
    /// A reload, of which there is none.
    Reload,
    /// Names of processes: here there is one process.
    ProcessNames,
    /// Files for those who debug keepalived.
    Files,
    /// Several daemons that are told apart by names.
    InstanceNames,
    /// How the operating system treats keepalived's other processes.
    OtherProcesses,
    /// Priorities that keepalived raises by itself.
    AutoPriority,
    /// Buffers of sockets that are not VRRP's.
    Buffers,
    /// The firewall, which only `no_accept` and `use_vmac` need.
    Firewall,
    /// Devices that only `use_vmac` makes.
    Vmac,
    /// Asking for the state of links.
    Polling,
    /// Addresses that nobody can have configured.
    Static,
}

impl Subject {
    /// What is said about a keyword, and what can be done.
    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Mail => ("lvsd sends no mail yet", "`notify` scripts can tell of changes"),
            Self::Snmp => ("lvsd has no SNMP agent yet", "nobody is answered, and no trap is sent"),
            Self::Dbus => ("lvsd is not on the D-Bus yet", "`notify` scripts can tell of changes"),
            Self::Reload => (
                "lvsd does not reload its configuration yet",
                "after a restart all states are written anyway",
            ),
            Self::ProcessNames => {
                ("lvsd is one process with a name of its own", "remove it when it is not needed")
            }
            Self::Files => ("lvsd does not write such files", "remove it when it is not needed"),
            Self::InstanceNames => (
                "lvsd takes no `instance` and no `net_namespace` that the names of files could have",
                "`state_dump_file` and the like name other places",
            ),
            Self::OtherProcesses => {
                ("lvsd has no such process", "what `vrrp_` keywords of the same kind say is done")
            }
            Self::AutoPriority => {
                ("lvsd does not raise its own priority", "`vrrp_rt_priority 50` makes adverts punctual")
            }
            Self::Buffers => (
                "lvsd reads everything again when such a buffer was too small",
                "remove it when it is not needed",
            ),
            Self::Firewall => (
                "nothing that lvsd supports needs a firewall",
                "it has no effect without `no_accept` and `use_vmac`",
            ),
            Self::Vmac => ("lvsd makes no such devices yet", "it has no effect without `use_vmac`"),
            Self::Polling => ("lvsd is told about links by the kernel and asks for none", "remove it"),
            Self::Static => {
                ("lvsd has no static addresses yet", "it has no effect without `static_ipaddress`")
            }
        }
    }
}

/// What was found, in the order of the file.
#[derive(Default)]
pub(super) struct NoEffects {
    found: Vec<(Subject, String, Vec<Span>)>,
}

impl NoEffects {
    fn add(&mut self, subject: Subject, node: &Node) {
        let span = node.keyword.span;
        match self.found.iter_mut().find(|(known, ..)| *known == subject) {
            None => self.found.push((subject, node.keyword.text.to_string(), vec![span])),
            Some((_, _, spans)) if spans.len() < SHOWN => spans.push(span),
            Some(_) => {}
        }
    }

    /// One warning for each subject.
    pub(super) fn report(self, diagnostics: &mut Diagnostics) {
        for (subject, keyword, spans) in self.found {
            let (why, help) = subject.texts();
            let mut spans = spans.into_iter();
            let Some(first) = spans.next() else { continue };
            let mut warning =
                Diagnostic::warning(Code::NoEffect, first, format!("`{keyword}` has no effect: {why}"))
                    .label("read, and otherwise left out")
                    .help(help);
            for span in spans {
                warning = warning.also(span, "this, too");
            }
            diagnostics.push(warning);
        }
    }
}

/// Places that one warning shows.
const SHOWN: usize = 8;

impl Cx<'_> {
    /// Notes a keyword that changes nothing.
    pub(super) fn no_effect(&mut self, subject: Subject, node: &Node) {
        self.no_effects.add(subject, node);
    }
}
