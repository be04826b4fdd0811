//! The options by name: what each takes and means, and which of them go with which verb.

use std::fmt;

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spec {
    /// Without the dashes; empty if there is only the short form.
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    pub(super) takes: Takes,
    pub(super) means: Means,
}

/// Whether an argument belongs to an option, and what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Optional,
    Value(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    Verb(Verb),
    Parameter(Parameter),
}

/// What is to be done; exactly one stands in a command line, first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    AddService,
    EditService,
    DeleteService,
    Clear,
    Restore,
    Save,
    AddServer,
    EditServer,
    DeleteServer,
    List,
    Zero,
    Set,
    StartDaemon,
    StopDaemon,
    Help,
    Version,
}

/// What it is done to, and how. One bit each in a [`Given`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    Tcp,
    Udp,
    Sctp,
    Fwmark,
    Ipv6,
    Scheduler,
    Persistent,
    Netmask,
    Engine,
    SchedulerFlags,
    OnePacket,
    RealServer,
    DirectRoute,
    Tunnel,
    Masquerade,
    Weight,
    UpperThreshold,
    LowerThreshold,
    TunnelType,
    TunnelPort,
    TunnelNoChecksum,
    TunnelChecksum,
    TunnelRemoteChecksum,
    Connections,
    Numeric,
    Timeouts,
    Daemons,
    Counters,
    Rates,
    Exact,
    Thresholds,
    PersistentConnections,
    TunnelInfo,
    Sorted,
    Unsorted,
    SyncId,
    SyncMaxLength,
    McastInterface,
    McastGroup,
    McastPort,
    McastTtl,
    Json,
}

impl Parameter {
    /// The option to which this one is an alternative; itself if there is none. Of alternatives one may stand.
    const fn slot(self) -> Self {
        match self {
            Self::Udp | Self::Sctp | Self::Fwmark => Self::Tcp,
            Self::Tunnel | Self::Masquerade => Self::DirectRoute,
            other => other,
        }
    }

    const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// As one writes it.
    pub(super) fn name(self) -> Name {
        OPTIONS.iter().find(|spec| spec.means == Means::Parameter(self)).map_or(Name("", None), Spec::name)
    }
}

impl Verb {
    /// As one writes it.
    pub(super) fn name(self) -> Name {
        OPTIONS.iter().find(|spec| spec.means == Means::Verb(self)).map_or(Name("", None), Spec::name)
    }

    /// The options that go with the verb; `--sort`, which says nothing, goes with all.
    pub(super) const fn parameters(self) -> &'static [Parameter] {
        match self {
            Self::AddService | Self::EditService => &SERVICE_PARAMETERS,
            Self::DeleteService | Self::Zero => &[P::Tcp, P::Udp, P::Sctp, P::Fwmark, P::Ipv6],
            Self::AddServer | Self::EditServer => &SERVER_PARAMETERS,
            Self::DeleteServer => &[P::Tcp, P::Udp, P::Sctp, P::Fwmark, P::Ipv6, P::RealServer],
            Self::List => &LIST_PARAMETERS,
            Self::Save => &[P::Numeric],
            Self::StartDaemon => &DAEMON_PARAMETERS,
            Self::StopDaemon => &[P::SyncId],
            Self::Clear | Self::Restore | Self::Set | Self::Help | Self::Version => &[],
        }
    }
}

impl Spec {
    pub(super) const fn name(&self) -> Name {
        Name(self.long, self.short)
    }

    pub(super) fn by_long(name: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|spec| spec.long == name && !name.is_empty())
    }

    pub(super) fn by_short(name: char) -> Option<&'static Self> {
        OPTIONS.iter().find(|spec| spec.short == Some(name))
    }
}

/// The name of an option as one writes it: the short form where there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name(&'static str, Option<char>);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(short) => write!(f, "-{short}"),
            None => write!(f, "--{}", self.0),
        }
    }
}

/// Which options stand in a command line.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Given {
    parameters: u64,
    slots: u64,
}

impl Given {
    /// Notes an option; false if it, or an alternative to it, was there before.
    pub(super) fn note(&mut self, parameter: Parameter) -> bool {
        let slot = parameter.slot().bit();
        let first = self.slots & slot == 0;
        self.slots |= slot;
        self.parameters |= parameter.bit();
        first
    }

    pub(super) const fn has(self, parameter: Parameter) -> bool {
        self.parameters & parameter.bit() != 0
    }

    /// An option that does not go with the verb.
    pub(super) fn foreign_to(self, verb: Verb) -> Option<Parameter> {
        let allowed = verb.parameters().iter().fold(P::Sorted.bit(), |all, parameter| all | parameter.bit());
        if self.parameters & !allowed == 0 {
            return None;
        }
        OPTIONS.iter().find_map(|spec| match spec.means {
            Means::Parameter(parameter) if self.has(parameter) && parameter.bit() & allowed == 0 => {
                Some(parameter)
            }
            _ => None,
        })
    }
}

use Parameter as P;

const SERVICE_PARAMETERS: [Parameter; 11] = [
    P::Tcp,
    P::Udp,
    P::Sctp,
    P::Fwmark,
    P::Ipv6,
    P::Scheduler,
    P::Persistent,
    P::Netmask,
    P::Engine,
    P::SchedulerFlags,
    P::OnePacket,
];

const SERVER_PARAMETERS: [Parameter; 17] = [
    P::Tcp,
    P::Udp,
    P::Sctp,
    P::Fwmark,
    P::Ipv6,
    P::RealServer,
    P::DirectRoute,
    P::Tunnel,
    P::Masquerade,
    P::Weight,
    P::UpperThreshold,
    P::LowerThreshold,
    P::TunnelType,
    P::TunnelPort,
    P::TunnelNoChecksum,
    P::TunnelChecksum,
    P::TunnelRemoteChecksum,
];

const LIST_PARAMETERS: [Parameter; 18] = [
    P::Tcp,
    P::Udp,
    P::Sctp,
    P::Fwmark,
    P::Ipv6,
    P::Connections,
    P::Numeric,
    P::Timeouts,
    P::Daemons,
    P::Counters,
    P::Rates,
    P::Exact,
    P::Thresholds,
    P::PersistentConnections,
    P::TunnelInfo,
    P::Unsorted,
    P::Json,
    // Without a meaning here; ipvsadm takes it.
    P::SyncId,
];

const DAEMON_PARAMETERS: [Parameter; 6] =
    [P::SyncId, P::SyncMaxLength, P::McastInterface, P::McastGroup, P::McastPort, P::McastTtl];

const fn verb(long: &'static str, short: Option<char>, takes: Takes, verb: Verb) -> Spec {
    Spec { long, short, takes, means: Means::Verb(verb) }
}

const fn flag(long: &'static str, short: Option<char>, parameter: Parameter) -> Spec {
    Spec { long, short, takes: Takes::Nothing, means: Means::Parameter(parameter) }
}

const fn value(
    long: &'static str,
    short: Option<char>,
    argument: &'static str,
    parameter: Parameter,
) -> Spec {
    Spec { long, short, takes: Takes::Value(argument), means: Means::Parameter(parameter) }
}

/// All options of ipvsadm 1.31, and `--json`.
const OPTIONS: [Spec; 59] = [
    verb("add-service", Some('A'), Takes::Nothing, Verb::AddService),
    verb("add-server", Some('a'), Takes::Nothing, Verb::AddServer),
    value("tcp-service", Some('t'), "HOST[:PORT]", P::Tcp),
    value("real-server", Some('r'), "HOST[:PORT]", P::RealServer),
    value("weight", Some('w'), "WEIGHT", P::Weight),
    value("scheduler", Some('s'), "SCHEDULER", P::Scheduler),
    flag("gatewaying", Some('g'), P::DirectRoute),
    flag("ipip", Some('i'), P::Tunnel),
    flag("masquerading", Some('m'), P::Masquerade),
    value("udp-service", Some('u'), "HOST[:PORT]", P::Udp),
    value("sctp-service", None, "HOST[:PORT]", P::Sctp),
    value("fwmark-service", Some('f'), "MARK", P::Fwmark),
    flag("ipv6", Some('6'), P::Ipv6),
    Spec {
        long: "persistent",
        short: Some('p'),
        takes: Takes::Optional,
        means: Means::Parameter(P::Persistent),
    },
    value("netmask", Some('M'), "NETMASK", P::Netmask),
    value("pe", None, "ENGINE", P::Engine),
    value("sched-flags", Some('b'), "FLAGS", P::SchedulerFlags),
    flag("ops", Some('o'), P::OnePacket),
    value("u-threshold", Some('x'), "CONNECTIONS", P::UpperThreshold),
    value("l-threshold", Some('y'), "CONNECTIONS", P::LowerThreshold),
    value("tun-type", None, "ipip|gue|gre", P::TunnelType),
    value("tun-port", None, "PORT", P::TunnelPort),
    flag("tun-nocsum", None, P::TunnelNoChecksum),
    flag("tun-csum", None, P::TunnelChecksum),
    flag("tun-remcsum", None, P::TunnelRemoteChecksum),
    verb("edit-service", Some('E'), Takes::Nothing, Verb::EditService),
    verb("delete-service", Some('D'), Takes::Nothing, Verb::DeleteService),
    verb("clear", Some('C'), Takes::Nothing, Verb::Clear),
    verb("restore", Some('R'), Takes::Nothing, Verb::Restore),
    verb("save", Some('S'), Takes::Nothing, Verb::Save),
    verb("edit-server", Some('e'), Takes::Nothing, Verb::EditServer),
    verb("delete-server", Some('d'), Takes::Nothing, Verb::DeleteServer),
    verb("list", Some('L'), Takes::Nothing, Verb::List),
    verb("", Some('l'), Takes::Nothing, Verb::List),
    verb("zero", Some('Z'), Takes::Nothing, Verb::Zero),
    verb("set", None, Takes::Nothing, Verb::Set),
    verb("start-daemon", None, Takes::Value("master|backup"), Verb::StartDaemon),
    verb("stop-daemon", None, Takes::Value("master|backup"), Verb::StopDaemon),
    verb("help", Some('h'), Takes::Nothing, Verb::Help),
    verb("version", Some('v'), Takes::Nothing, Verb::Version),
    flag("connection", Some('c'), P::Connections),
    flag("numeric", Some('n'), P::Numeric),
    flag("timeout", None, P::Timeouts),
    flag("daemon", None, P::Daemons),
    flag("stats", None, P::Counters),
    flag("rate", None, P::Rates),
    flag("exact", None, P::Exact),
    flag("thresholds", None, P::Thresholds),
    flag("persistent-conn", None, P::PersistentConnections),
    flag("tun-info", None, P::TunnelInfo),
    flag("sort", None, P::Sorted),
    flag("nosort", None, P::Unsorted),
    value("syncid", None, "ID", P::SyncId),
    value("sync-maxlen", None, "BYTES", P::SyncMaxLength),
    value("mcast-interface", None, "INTERFACE", P::McastInterface),
    value("mcast-group", None, "ADDRESS", P::McastGroup),
    value("mcast-port", None, "PORT", P::McastPort),
    value("mcast-ttl", None, "TTL", P::McastTtl),
    flag("json", None, P::Json),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_means_two_things() {
        let shorts: Vec<_> = OPTIONS.iter().filter_map(|spec| spec.short).collect();
        assert_eq!(shorts.iter().collect::<BTreeSet<_>>().len(), shorts.len());
        let longs: Vec<_> = OPTIONS.iter().map(|spec| spec.long).filter(|long| !long.is_empty()).collect();
        assert_eq!(longs.iter().collect::<BTreeSet<_>>().len(), longs.len());
    }

    #[test]
    fn alternatives_share_a_slot_and_nothing_else_does() {
        let mut given = Given::default();
        assert!(given.note(P::Udp));
        assert!(!given.note(P::Fwmark));
        assert!(given.note(P::Masquerade));
        assert!(!given.note(P::DirectRoute));
        assert!(given.note(P::Numeric));
        assert!(!given.note(P::Numeric));
    }

    #[test]
    fn an_option_of_another_verb_is_found() {
        let mut given = Given::default();
        given.note(P::Tcp);
        given.note(P::Sorted);
        assert_eq!(given.foreign_to(Verb::DeleteService), None);
        given.note(P::Weight);
        assert_eq!(given.foreign_to(Verb::DeleteService), Some(P::Weight));
        assert_eq!(given.foreign_to(Verb::AddServer), None);
    }
}
