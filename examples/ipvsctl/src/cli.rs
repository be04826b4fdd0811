//! Turns a command line into a [`Command`], by ipvsadm's grammar.
//!
//! Words to options: `words.rs`. Which option goes with which verb: `options.rs`. Single arguments: `addresses.rs` and
//! `values.rs`. All options of a line: here. What they come to: `meaning.rs`.

mod addresses;
mod meaning;
mod options;
#[cfg(test)]
mod tests;
mod values;
mod words;

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::time::Duration;

use lvs_core::{Family, Protocol, ServiceKey, SyncRole, Weight};

use crate::command::{Command, Listing};
use crate::error::UsageError;
use crate::names::Resolve;
use addresses::endpoint;
use options::{Given, Means, Parameter, Verb};
use values::number;
use words::{Occurrence, Words};

/// Reads a command line, without the name of the program. Nothing at all asks for the list of services.
///
/// Does no I/O but what `resolve` does, and never panics, whatever the words are.
///
/// # Errors
/// The words are no command line of ipvsadm, or say something that IPVS does not know.
///
/// ```
/// use ipvsctl::{Command, cli, names::Numeric};
///
/// assert!(matches!(cli::parse(["-Ln", "--stats"], &Numeric)?, Command::List(_)));
/// assert_eq!(cli::parse(["-C", "-n"], &Numeric).unwrap_err().exit_status(), 2);
/// # Ok::<(), ipvsctl::error::UsageError>(())
/// ```
pub fn parse<'a>(
    words: impl IntoIterator<Item = &'a str>,
    resolve: &impl Resolve,
) -> Result<Command, UsageError> {
    let mut words = words.into_iter().peekable();
    if words.peek().is_none() {
        return Ok(Command::List(Listing::default()));
    }
    let mut words = Words::new(words);
    let (verb, argument) = first(words.next())?;
    let role = match verb {
        Verb::Help => return Ok(Command::Help),
        Verb::Version => return Ok(Command::Version),
        Verb::StartDaemon | Verb::StopDaemon => argument.map(|argument| role(verb, argument)).transpose()?,
        _ => None,
    };
    let mut line = Line { role, ..Line::default() };
    for occurrence in words.by_ref() {
        let Occurrence { spec, argument } = occurrence?;
        match spec.means {
            Means::Parameter(parameter) => line.take(parameter, argument, resolve)?,
            Means::Verb(second) => {
                return Err(UsageError::usage(format!(
                    "{}: {} stands there already; one command line has one verb",
                    second.name(),
                    verb.name()
                )));
            }
        }
    }
    line.others = words.into_others();
    line.meaning(verb, resolve)
}

/// All options of a line behind the verb, each with what it says.
#[derive(Debug, Default)]
struct Line<'a> {
    given: Given,
    service: Option<ServiceKey>,
    scheduler: Option<&'a str>,
    persistence_timeout: Option<Duration>,
    netmask: Option<&'a str>,
    engine: Option<&'a str>,
    scheduler_flags: Option<&'a str>,
    server: Option<&'a str>,
    weight: Option<Weight>,
    upper_threshold: u32,
    lower_threshold: u32,
    tunnel: Option<TunnelType>,
    tunnel_port: Option<NonZeroU16>,
    role: Option<SyncRole>,
    sync_id: u8,
    sync_max_length: Option<u16>,
    interface: Option<&'a str>,
    group: Option<IpAddr>,
    port: Option<NonZeroU16>,
    ttl: Option<NonZeroU8>,
    /// Words that are no options.
    others: Vec<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TunnelType {
    Ipip,
    Gue,
    Gre,
}

impl<'a> Line<'a> {
    /// Notes one option. Its argument is looked at as far as that is possible without knowing the others.
    fn take(
        &mut self,
        parameter: Parameter,
        argument: Option<&'a str>,
        resolve: &impl Resolve,
    ) -> Result<(), UsageError> {
        let name = parameter.name();
        if parameter == Parameter::Sorted {
            return Ok(());
        }
        if !self.given.note(parameter) && parameter != Parameter::Ipv6 {
            return Err(UsageError::usage(format!(
                "{name}: this option, or an alternative to it, stands there already; leave one of them out"
            )));
        }
        let text = argument.unwrap_or_default();
        match parameter {
            Parameter::Tcp => self.service = Some(service(name, text, Protocol::Tcp, resolve)?),
            Parameter::Udp => self.service = Some(service(name, text, Protocol::Udp, resolve)?),
            Parameter::Sctp => self.service = Some(service(name, text, Protocol::Sctp, resolve)?),
            Parameter::Fwmark => {
                let mark = NonZeroU32::new(number(name, text, 1..=u64::from(u32::MAX))?);
                self.service = mark.map(|mark| ServiceKey::Fwmark { family: Family::Ipv4, mark });
            }
            Parameter::Ipv6 => match self.service {
                Some(ServiceKey::Fwmark { mark, .. }) => {
                    self.service = Some(ServiceKey::Fwmark { family: Family::Ipv6, mark });
                }
                _ => {
                    return Err(UsageError::usage(
                        "-6: this option follows `-f MARK`; an address says by itself that it is IPv6",
                    ));
                }
            },
            Parameter::Scheduler => self.scheduler = argument,
            Parameter::Persistent => {
                let seconds = argument.map(|text| number(name, text, 1..=MONTH)).transpose()?;
                self.persistence_timeout = Some(Duration::from_secs(seconds.unwrap_or(PERSISTENCE)));
            }
            Parameter::Netmask => self.netmask = argument,
            Parameter::Engine => self.engine = argument,
            Parameter::SchedulerFlags => self.scheduler_flags = argument,
            Parameter::RealServer => self.server = argument,
            Parameter::Weight => {
                self.weight = Weight::new(number(name, text, 0..=Weight::MAX.value().into())?);
            }
            Parameter::UpperThreshold => self.upper_threshold = number(name, text, 0..=THRESHOLD)?,
            Parameter::LowerThreshold => self.lower_threshold = number(name, text, 0..=THRESHOLD)?,
            Parameter::TunnelType => self.tunnel = Some(tunnel_type(text)?),
            Parameter::TunnelPort => self.tunnel_port = NonZeroU16::new(number(name, text, 1..=65_535)?),
            Parameter::SyncId => self.sync_id = number(name, text, 0..=255)?,
            Parameter::SyncMaxLength => self.sync_max_length = Some(number(name, text, 1..=65_507)?),
            Parameter::McastInterface => self.interface = argument,
            Parameter::McastGroup => self.group = Some(group(text)?),
            Parameter::McastPort => self.port = NonZeroU16::new(number(name, text, 1..=65_535)?),
            Parameter::McastTtl => self.ttl = NonZeroU8::new(number(name, text, 1..=255)?),
            Parameter::OnePacket
            | Parameter::DirectRoute
            | Parameter::Tunnel
            | Parameter::Masquerade
            | Parameter::TunnelNoChecksum
            | Parameter::TunnelChecksum
            | Parameter::TunnelRemoteChecksum
            | Parameter::Connections
            | Parameter::Numeric
            | Parameter::Timeouts
            | Parameter::Daemons
            | Parameter::Counters
            | Parameter::Rates
            | Parameter::Exact
            | Parameter::Thresholds
            | Parameter::PersistentConnections
            | Parameter::TunnelInfo
            | Parameter::Sorted
            | Parameter::Unsorted
            | Parameter::Json => {}
        }
        Ok(())
    }
}

/// The verb, which stands before all other options.
fn first<'a>(
    occurrence: Option<Result<Occurrence<'a>, UsageError>>,
) -> Result<(Verb, Option<&'a str>), UsageError> {
    match occurrence {
        Some(Ok(Occurrence { spec, argument })) => match spec.means {
            Means::Verb(verb) => Ok((verb, argument)),
            Means::Parameter(parameter) => Err(UsageError::no_verb(format!(
                "{}: a command line begins with its verb, such as -A, -a or -L; `-h` lists them",
                parameter.name()
            ))),
        },
        Some(Err(error)) => Err(UsageError::no_verb(error.to_string())),
        None => Err(UsageError::no_verb(
            "there is no verb; a command line begins with one, such as -A, -a or -L; `-h` lists them",
        )),
    }
}

fn service(
    option: options::Name,
    text: &str,
    protocol: Protocol,
    resolve: &impl Resolve,
) -> Result<ServiceKey, UsageError> {
    let endpoint = endpoint(option, text, protocol, resolve)?;
    Ok(ServiceKey::address(protocol, (endpoint.address, endpoint.port.unwrap_or(0)).into()))
}

fn role(verb: Verb, text: &str) -> Result<SyncRole, UsageError> {
    match text {
        "master" => Ok(SyncRole::Master),
        "backup" => Ok(SyncRole::Backup),
        _ => Err(UsageError::usage(format!(
            "{}: {text:?} is no role of a sync daemon; write master or backup",
            verb.name()
        ))),
    }
}

fn tunnel_type(text: &str) -> Result<TunnelType, UsageError> {
    match text {
        "ipip" => Ok(TunnelType::Ipip),
        "gue" => Ok(TunnelType::Gue),
        "gre" => Ok(TunnelType::Gre),
        _ => Err(UsageError::usage(format!("--tun-type: {text:?} is no tunnel; write ipip, gue or gre"))),
    }
}

fn group(text: &str) -> Result<IpAddr, UsageError> {
    text.parse().ok().filter(IpAddr::is_multicast).ok_or_else(|| {
        UsageError::usage(format!(
            "--mcast-group: {text:?} is no multicast address (224.0.0.0 to 239.255.255.255, or ff00::/8)"
        ))
    })
}

/// 31 days in seconds, the longest timeout that ipvsadm takes.
const MONTH: u64 = 2_678_400;
/// Seconds that `-p` means without an argument (ipvsadm's manual says 300; it is 360).
const PERSISTENCE: u64 = 360;
/// The largest threshold that ipvsadm takes.
const THRESHOLD: u64 = 2_147_483_647;
