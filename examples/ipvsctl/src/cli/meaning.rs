//! What the options of a line come to: which combinations are allowed, and the command that they say.

use std::time::Duration;

use lvs_core::{
    Change, Family, Forwarding, Persistence, Protocol, RealServer, SchedulerName, ServerKey, ServiceKey,
    SyncDaemon, SyncRole, Timeouts, Tunnel, TunnelChecksum, VirtualService,
};

use super::addresses::{Endpoint, endpoint, with_netmask};
use super::options::{Parameter, Verb};
use super::values::{number, scheduler_flags};
use super::{Line, MONTH, TunnelType};
use crate::command::{Columns, Command, Listing, Subject};
use crate::error::UsageError;
use crate::names::Resolve;

impl Line<'_> {
    /// The command of all options together.
    pub(super) fn meaning(mut self, verb: Verb, resolve: &impl Resolve) -> Result<Command, UsageError> {
        let timeouts = match verb {
            Verb::Set => Some(self.timeouts()?),
            _ => None,
        };
        if let Some(word) = self.others.first() {
            return Err(UsageError::usage(format!(
                "{word:?} is no option, and belongs to none; leave it out"
            )));
        }
        if let Some(parameter) = self.given.foreign_to(verb) {
            return Err(UsageError::usage(format!(
                "{}: this option does not go with {}; leave it out",
                parameter.name(),
                verb.name()
            )));
        }
        Ok(match verb {
            Verb::AddService => Command::Edit(Change::AddService(self.virtual_service(verb)?)),
            Verb::EditService => Command::Edit(Change::EditService(self.virtual_service(verb)?)),
            Verb::DeleteService => Command::Edit(Change::RemoveService(self.key(verb)?)),
            Verb::AddServer => {
                let (key, server) = self.real_server(verb, resolve)?;
                Command::Edit(Change::AddServer(key, server))
            }
            Verb::EditServer => {
                let (key, server) = self.real_server(verb, resolve)?;
                Command::Edit(Change::EditServer(key, server))
            }
            Verb::DeleteServer => {
                let key = self.key(verb)?;
                let Endpoint { address, port } = self.server_endpoint(verb, &key, resolve)?;
                let server = ServerKey::new((address, port.unwrap_or(service_port(&key))).into());
                Command::Edit(Change::RemoveServer(key, server))
            }
            Verb::Clear => Command::Clear,
            Verb::Restore => Command::Restore,
            Verb::Save => Command::Save { numeric: self.given.has(Parameter::Numeric) },
            Verb::List => Command::List(self.listing()?),
            Verb::Zero => Command::Zero(self.service),
            Verb::Set => Command::Edit(Change::SetTimeouts(timeouts.unwrap_or(Timeouts::UNCHANGED))),
            Verb::StartDaemon => Command::Edit(Change::StartDaemon(self.sync_daemon()?)),
            Verb::StopDaemon => Command::Edit(Change::StopDaemon(self.role.unwrap_or(SyncRole::Master))),
            Verb::Help => Command::Help,
            Verb::Version => Command::Version,
        })
    }

    fn key(&self, verb: Verb) -> Result<ServiceKey, UsageError> {
        self.service.ok_or_else(|| {
            UsageError::usage(format!(
                "{}: the service is missing; add `-t HOST:PORT`, `-u HOST:PORT`, `--sctp-service HOST:PORT` or `-f MARK`",
                verb.name()
            ))
        })
    }

    fn virtual_service(&self, verb: Verb) -> Result<VirtualService, UsageError> {
        let key = self.key(verb)?;
        if service_port(&key) == 0 && self.persistence_timeout.is_none() && !is_fwmark(&key) {
            return Err(UsageError::usage(
                "a service without a port, or at port 0, takes all ports and has to be persistent; add the port, or `-p`",
            ));
        }
        if self.given.has(Parameter::OnePacket)
            && matches!(key, ServiceKey::Address { protocol: Protocol::Tcp | Protocol::Sctp, .. })
        {
            return Err(UsageError::usage(
                "-o: single packets are scheduled only for UDP (-u) and for firewall marks (-f); leave it out",
            ));
        }
        let family = key.family();
        // A mask is looked at also where there is nothing to mask.
        let single = Persistence::new(family, self.persistence_timeout.unwrap_or_default());
        let persistence = self.netmask.map_or(Ok(single), |mask| with_netmask(single, mask))?;
        let persistence = self.persistence_timeout.map(|_| persistence);
        let scheduler = match self.scheduler {
            None | Some("") => SchedulerName::default(),
            Some(name) => {
                name.parse().map_err(|error| UsageError::value(format!("-s: {name:?}: {error}")))?
            }
        };
        let flags = scheduler_flags(self.scheduler_flags.unwrap_or_default(), &scheduler)?;
        let engine = match self.engine {
            None | Some("") => None,
            Some(name) => {
                let engine = name.parse();
                Some(engine.map_err(|error| UsageError::value(format!("--pe: {name:?}: {error}")))?)
            }
        };
        Ok(VirtualService::new(key)
            .with_scheduler(scheduler)
            .with_scheduler_flags(flags)
            .with_persistence(persistence)
            .with_persistence_engine(engine)
            .with_one_packet(self.given.has(Parameter::OnePacket)))
    }

    fn server_endpoint(
        &self,
        verb: Verb,
        key: &ServiceKey,
        resolve: &impl Resolve,
    ) -> Result<Endpoint, UsageError> {
        let text = self.server.ok_or_else(|| {
            UsageError::usage(format!("{}: the server is missing; add `-r HOST[:PORT]`", verb.name()))
        })?;
        let protocol = match key {
            ServiceKey::Address { protocol, .. } => *protocol,
            // All of them come in; the names of the ports are mostly the same.
            ServiceKey::Fwmark { .. } => Protocol::Tcp,
        };
        endpoint("-r", text, protocol, resolve)
    }

    fn real_server(
        &self,
        verb: Verb,
        resolve: &impl Resolve,
    ) -> Result<(ServiceKey, RealServer), UsageError> {
        let key = self.key(verb)?;
        let Endpoint { address, port } = self.server_endpoint(verb, &key, resolve)?;
        let forwarding = self.forwarding()?;
        if Family::of(&address) != key.family() && !matches!(forwarding, Forwarding::Tunnel(_)) {
            return Err(UsageError::usage(format!(
                "-r: {address} is of another address family than the service; only a tunnel leads there, add `-i`"
            )));
        }
        let port = match forwarding {
            // The packet leaves as it came, so the port is the service's.
            Forwarding::DirectRoute | Forwarding::Tunnel(_) if !is_fwmark(&key) => service_port(&key),
            _ => port.unwrap_or(service_port(&key)),
        };
        let server = RealServer::new(ServerKey::new((address, port).into()))
            .with_forwarding(forwarding)
            .with_weight(self.weight.unwrap_or_default())
            .with_thresholds(self.upper_threshold, self.lower_threshold);
        Ok((key, server))
    }

    fn forwarding(&self) -> Result<Forwarding, UsageError> {
        let given = |parameter| self.given.has(parameter);
        if given(Parameter::Tunnel) {
            return Ok(Forwarding::Tunnel(self.tunnel()?));
        }
        for parameter in TUNNEL_OPTIONS {
            if given(parameter) {
                return Err(UsageError::usage(format!(
                    "{}: this option is for tunnels; add `-i`, or leave it out",
                    parameter.name()
                )));
            }
        }
        Ok(if given(Parameter::Masquerade) { Forwarding::Masquerade } else { Forwarding::DirectRoute })
    }

    fn tunnel(&self) -> Result<Tunnel, UsageError> {
        let refuse = |parameter: Parameter, tunnel: &str| {
            if self.given.has(parameter) {
                return Err(UsageError::usage(format!(
                    "{}: an {tunnel} tunnel has no such thing; leave it out, or choose another `--tun-type`",
                    parameter.name()
                )));
            }
            Ok(())
        };
        let checksums =
            [Parameter::TunnelNoChecksum, Parameter::TunnelChecksum, Parameter::TunnelRemoteChecksum];
        let type_of_tunnel = self.tunnel.unwrap_or(TunnelType::Ipip);
        match type_of_tunnel {
            TunnelType::Ipip => {
                refuse(Parameter::TunnelPort, "ipip")?;
                checksums.into_iter().try_for_each(|parameter| refuse(parameter, "ipip"))?;
            }
            TunnelType::Gre => {
                refuse(Parameter::TunnelPort, "gre")?;
                refuse(Parameter::TunnelRemoteChecksum, "gre")?;
            }
            TunnelType::Gue => {}
        }
        let mut chosen = checksums.into_iter().filter(|parameter| self.given.has(*parameter));
        let checksum = chosen.next();
        if let (Some(one), Some(other)) = (checksum, chosen.next()) {
            return Err(UsageError::usage(format!(
                "{}: {} says another checksum; leave one of them out",
                other.name(),
                one.name()
            )));
        }
        Ok(match type_of_tunnel {
            TunnelType::Ipip => Tunnel::Ipip,
            TunnelType::Gre => Tunnel::Gre { checksum: checksum == Some(Parameter::TunnelChecksum) },
            TunnelType::Gue => Tunnel::Gue {
                port: self.tunnel_port.ok_or_else(|| {
                    UsageError::usage("--tun-type: a gue tunnel has a port; add `--tun-port PORT`")
                })?,
                checksum: match checksum {
                    Some(Parameter::TunnelChecksum) => TunnelChecksum::Full,
                    Some(Parameter::TunnelRemoteChecksum) => TunnelChecksum::Remote,
                    _ => TunnelChecksum::None,
                },
            },
        })
    }

    /// The three words of `--set`, which are taken out of the others.
    fn timeouts(&mut self) -> Result<Timeouts, UsageError> {
        let &[tcp, tcp_fin, udp, ref rest @ ..] = self.others.as_slice() else {
            return Err(UsageError::usage(
                "--set: three timeouts in seconds are needed: `--set TCP TCPFIN UDP`; 0 leaves one as it is",
            ));
        };
        let seconds = |text| number("--set", text, 0..=MONTH).map(Duration::from_secs);
        let timeouts = Timeouts { tcp: seconds(tcp)?, tcp_fin: seconds(tcp_fin)?, udp: seconds(udp)? };
        self.others = rest.to_vec();
        Ok(timeouts)
    }

    fn sync_daemon(&self) -> Result<SyncDaemon, UsageError> {
        let role = self.role.unwrap_or(SyncRole::Master);
        let interface = self.interface.filter(|interface| !interface.is_empty()).unwrap_or(INTERFACE);
        let invalid = |option: &str, error| UsageError::value(format!("{option}: {error}"));
        let mut daemon = SyncDaemon::new(role, interface)
            .map_err(|error| invalid("--mcast-interface", error))?
            .with_sync_id(self.sync_id);
        if let Some(bytes) = self.sync_max_length {
            daemon = daemon.with_max_length(bytes).map_err(|error| invalid("--sync-maxlen", error))?;
        }
        if let Some(group) = self.group {
            daemon = daemon.with_group(group).map_err(|error| invalid("--mcast-group", error))?;
        }
        if let Some(port) = self.port {
            daemon = daemon.with_port(port);
        }
        if let Some(ttl) = self.ttl {
            daemon = daemon.with_ttl(ttl);
        }
        Ok(daemon)
    }

    fn listing(&self) -> Result<Listing, UsageError> {
        let given = |parameter| self.given.has(parameter);
        let tables =
            [Parameter::Counters, Parameter::Rates, Parameter::Thresholds, Parameter::PersistentConnections];
        // Each subject, and what does not go with it.
        let not_connections = &tables[..3];
        for (subject, others) in [
            (Parameter::Connections, not_connections),
            (Parameter::Timeouts, &tables),
            (Parameter::Daemons, &tables),
        ] {
            if !given(subject) {
                continue;
            }
            let subjects = [Parameter::Connections, Parameter::Timeouts, Parameter::Daemons];
            let other = subjects.iter().filter(|other| **other != subject).chain(others);
            if let Some(other) = other.copied().find(|other| given(*other)) {
                return Err(UsageError::usage(format!(
                    "{}: this option and {} are two lists; leave one of them out",
                    other.name(),
                    subject.name()
                )));
            }
            if self.service.is_some() {
                return Err(UsageError::usage(format!(
                    "{}: this list is not one of a single service; leave the service out",
                    subject.name()
                )));
            }
        }
        let columns = [
            (Parameter::Counters, Columns::Counters),
            (Parameter::Rates, Columns::Rates),
            (Parameter::Thresholds, Columns::Thresholds),
            (Parameter::PersistentConnections, Columns::Persistent),
            (Parameter::TunnelInfo, Columns::Tunnels),
        ];
        let columns = columns.into_iter().find(|(parameter, _)| given(*parameter));
        let subject = if given(Parameter::Connections) {
            Subject::Connections { engine_data: given(Parameter::PersistentConnections) }
        } else if given(Parameter::Timeouts) {
            Subject::Timeouts
        } else if given(Parameter::Daemons) {
            Subject::Daemons
        } else {
            Subject::Services(self.service, columns.map_or(Columns::Forwarding, |(_, columns)| columns))
        };
        Ok(Listing {
            subject,
            numeric: given(Parameter::Numeric),
            exact: given(Parameter::Exact),
            unsorted: given(Parameter::Unsorted),
            json: given(Parameter::Json),
        })
    }
}

/// Where a sync daemon runs if nothing is said.
const INTERFACE: &str = "eth0";

const TUNNEL_OPTIONS: [Parameter; 5] = [
    Parameter::TunnelType,
    Parameter::TunnelPort,
    Parameter::TunnelNoChecksum,
    Parameter::TunnelChecksum,
    Parameter::TunnelRemoteChecksum,
];

const fn is_fwmark(key: &ServiceKey) -> bool {
    matches!(key, ServiceKey::Fwmark { .. })
}

const fn service_port(key: &ServiceKey) -> u16 {
    match key {
        ServiceKey::Address { address, .. } => address.port(),
        ServiceKey::Fwmark { .. } => 0,
    }
}
