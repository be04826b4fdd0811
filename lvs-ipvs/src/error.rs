//! What can go wrong with the kernel's IPVS: the operation, the object, and what the kernel's answer means there.

use std::fmt;

use lvs_core::{Change, DataplaneError, DataplaneErrorKind, Family, ServiceKey};
use lvs_netlink::KernelError;

use crate::module::LoadFailure;

/// What went wrong below IPVS: an error of lvs-netlink, which brings the messages to the kernel and back.
pub use lvs_netlink::Error as TransportError;

/// A failed operation.
///
/// Its text names the operation, the object and the reason; [`std::error::Error::source`] holds the kernel's own
/// answer where there is one whose words the text does not repeat.
///
/// ```
/// use lvs_ipvs::{Cause, Client, Refusal};
///
/// # async fn example(client: &mut Client, key: &lvs_core::ServiceKey) {
/// match client.remove_service(key).await {
///     Ok(()) => println!("removed"),
///     Err(error) if matches!(error.cause(), Cause::Refused(Refusal::ServiceAbsent, _)) => {
///         println!("was not there");
///     }
///     // For example "remove service tcp 10.0.0.1:80: CAP_NET_ADMIN is missing".
///     Err(error) => eprintln!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Error {
    operation: Box<Operation>,
    cause: Cause,
}

impl Error {
    pub(crate) fn new(operation: Operation, cause: Cause) -> Self {
        Self { operation: Box::new(operation), cause }
    }

    /// From what the transport says; a refusal gets its meaning.
    pub(crate) fn from_netlink(operation: Operation, error: lvs_netlink::Error) -> Self {
        let cause = match error {
            lvs_netlink::Error::Kernel { source, .. } => return Self::refused(operation, source),
            error => Cause::Transport(error),
        };
        Self::new(operation, cause)
    }

    pub(crate) fn refused(operation: Operation, answer: KernelError) -> Self {
        let refusal = Refusal::of(&operation, &answer);
        Self::new(operation, Cause::Refused(refusal, answer))
    }

    /// What was tried, and on what.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Why it failed.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The kernel's refusal, if that is what this is.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self.cause {
            Cause::Refused(refusal, _) => Some(refusal),
            _ => None,
        }
    }

    /// Why it failed, with the names that the operation gives.
    fn write_reason(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Cause::Refused(Refusal::Other, answer) = &self.cause {
            return write!(f, "{}: {answer}", self.cause);
        }
        let Operation::Change(Change::AddService(service) | Change::EditService(service)) = &*self.operation
        else {
            return write!(f, "{}", self.cause);
        };
        let scheduler = service.scheduler();
        match (self.refusal(), service.persistence_engine()) {
            (Some(Refusal::SchedulerAbsent), _) => write!(
                f,
                "the kernel has no scheduler {scheduler}, and no module ip_vs_{scheduler} for it (`modprobe \
                 ip_vs_{scheduler}` says why)"
            ),
            (Some(Refusal::SchedulerOrEngineAbsent), Some(engine)) => write!(
                f,
                "the kernel has no scheduler {scheduler} and no module ip_vs_{scheduler} for it, or no persistence engine \
                 {engine} and no module ip_vs_pe_{engine} for it (`modprobe` of either says why)"
            ),
            _ => write!(f, "{}", self.cause),
        }
    }

    /// Whether the kernel may have done it although no answer came. Then read before changing anything again.
    #[must_use]
    pub fn is_state_unknown(&self) -> bool {
        matches!(&self.cause, Cause::Transport(error) if error.is_state_unknown())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        self.write_reason(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.cause {
            // The text has it.
            Cause::Refused(Refusal::Other, _) => None,
            _ => std::error::Error::source(&self.cause),
        }
    }
}

impl From<Error> for DataplaneError {
    fn from(error: Error) -> Self {
        Self::new(error.cause.kind(), error.operation.to_string(), Reason(error))
    }
}

/// An error that does not say once more what was tried.
#[derive(Debug)]
struct Reason(Error);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_reason(f)
    }
}

impl std::error::Error for Reason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// What was tried, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Opening the netlink socket.
    Open,
    /// Reading version and size of the connection table.
    ReadInfo,
    /// Reading all services.
    ReadServices,
    /// Reading one service.
    ReadService(ServiceKey),
    /// Reading the destinations of a service.
    ReadDestinations(ServiceKey),
    /// An edit.
    Change(Change),
    /// Removing all services.
    Flush,
    /// Setting the counters of a service, or all counters, to zero.
    Zero(Option<ServiceKey>),
    /// Reading the connection timeouts.
    ReadTimeouts,
    /// Reading the sync daemons.
    ReadDaemons,
    /// Sending edits, before any of them was told apart.
    Batch {
        /// How many.
        edits: usize,
    },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open a netlink socket for IPVS"),
            Self::ReadInfo => f.write_str("read the version of IPVS"),
            Self::ReadServices => f.write_str("read all services"),
            Self::ReadService(key) => write!(f, "read service {key}"),
            Self::ReadDestinations(key) => write!(f, "read the destinations of service {key}"),
            Self::Change(change) => change.fmt(f),
            Self::Flush => f.write_str("remove all services"),
            Self::Zero(Some(key)) => write!(f, "zero the counters of service {key}"),
            Self::Zero(None) => f.write_str("zero all counters"),
            Self::ReadTimeouts => f.write_str("read the connection timeouts"),
            Self::ReadDaemons => f.write_str("read the sync daemons"),
            Self::Batch { edits } => write!(f, "make {edits} edits"),
        }
    }
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The kernel answered with an error.
    #[error("{0}")]
    Refused(Refusal, #[source] KernelError),
    /// The kernel does not know the IPVS family, could not load the module that brings it, nor could this client.
    #[error(
        "the kernel has no IPVS and could not load it; {0}: run `modprobe ip_vs` as root on the host (not in a \
         container), with a kernel built with CONFIG_IP_VS"
    )]
    NoIpvs(LoadFailure),
    /// The destinations of a service were changed by others during every attempt to read them.
    #[error("others changed it during each of {attempts} readings; read again when they are done")]
    Interrupted {
        /// How often it was read.
        attempts: u32,
    },
    /// No answer, answers lost, or a failure of the socket; the text says what the system answered, so that it is no
    /// [`source`](std::error::Error::source) of its own.
    ///
    /// ```
    /// use lvs_ipvs::{Cause, TransportError};
    ///
    /// fn is_timeout(error: &lvs_ipvs::Error) -> bool {
    ///     matches!(error.cause(), Cause::Transport(TransportError::Timeout { .. }))
    /// }
    /// ```
    #[error("{}", with_source(.0))]
    Transport(TransportError),
    /// The kernel's answer could not be understood, or says something that these types cannot.
    #[error("cannot use the kernel's answer: {0}")]
    Unreadable(String),
    /// Not sent: this version of the crate has no encoding for it.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The service could not be added by an earlier edit of the same batch.
    #[error("the service was not added, see the earlier error")]
    Follows,
}

impl Cause {
    /// What an applier can do about it.
    fn kind(&self) -> DataplaneErrorKind {
        match self {
            Self::Refused(refusal, _) => refusal.kind(),
            Self::Transport(TransportError::NamespaceForbidden { .. }) => DataplaneErrorKind::Forbidden,
            Self::NoIpvs(_) | Self::Interrupted { .. } | Self::Transport(_) | Self::Unreadable(_) => {
                DataplaneErrorKind::Unavailable
            }
            Self::Unsupported(_) | Self::Follows => DataplaneErrorKind::Refused,
        }
    }
}

/// What the transport says, and what the system said to it.
fn with_source(error: &TransportError) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What an errno of the kernel means for the operation that it answers (`net/netfilter/ipvs/ip_vs_ctl.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// EEXIST: the service to add is there.
    ServiceExists,
    /// ESRCH: there is no such service.
    ServiceAbsent,
    /// EEXIST: the destination to add is there.
    DestinationExists,
    /// ENOENT: the service has no such destination.
    DestinationAbsent,
    /// ENOENT: no scheduler of that name, and no module for it.
    SchedulerAbsent,
    /// ENOENT for a service with a persistence engine: no scheduler of that name, or no engine; the kernel does not say
    /// which.
    SchedulerOrEngineAbsent,
    /// EEXIST: a sync daemon runs in that role.
    DaemonExists,
    /// ESRCH: no sync daemon runs in that role.
    DaemonAbsent,
    /// ENODEV: there is no interface of that name for a sync daemon.
    InterfaceAbsent,
    /// EINVAL: a sync daemon with a value that the kernel does not take, or beside destinations of another family than
    /// their service.
    InvalidDaemon,
    /// EPERM: CAP_NET_ADMIN is missing.
    Forbidden,
    /// EINVAL: a service with a value that the kernel does not take.
    InvalidService,
    /// EINVAL: a destination with a value that the kernel does not take.
    InvalidDestination,
    /// EINVAL: a destination of another family than its service that is not reached by a tunnel, or beside a sync daemon.
    MixedFamilies,
    /// EINVAL: a timeout that the kernel cannot count.
    InvalidTimeouts,
    /// EOPNOTSUPP: the kernel's IPVS does not know the command.
    Unsupported,
    /// ERANGE: a weight or threshold out of range. EINVAL: a threshold above 2,147,483,647, which newer kernels refuse.
    OutOfRange,
    /// EAFNOSUPPORT: the kernel's IPVS was built without IPv6.
    FamilyUnsupported,
    /// ENOMEM, ENOBUFS, EBUSY, EAGAIN, EINTR, ENOPROTOOPT (the module is being unloaded): no fault of the request; it may
    /// succeed later.
    Temporary,
    /// Any other errno.
    Other,
}

impl Refusal {
    fn of(operation: &Operation, answer: &KernelError) -> Self {
        let errno = answer.errno();
        let about_what_it_is = match operation {
            Operation::Change(change) => Self::of_change(change, errno),
            _ => None,
        };
        about_what_it_is.unwrap_or(match errno {
            ESRCH => Self::ServiceAbsent,
            EPERM | EACCES => Self::Forbidden,
            ERANGE => Self::OutOfRange,
            EAFNOSUPPORT => Self::FamilyUnsupported,
            EOPNOTSUPP => Self::Unsupported,
            ENOMEM | ENOBUFS | EBUSY | EAGAIN | EINTR | ENOPROTOOPT => Self::Temporary,
            _ => Self::Other,
        })
    }

    /// What an errno means only where something is changed.
    pub(crate) fn of_change(change: &Change, errno: i32) -> Option<Self> {
        Some(match (change, errno) {
            (Change::AddService(service) | Change::EditService(service), ENOENT) => {
                match service.persistence_engine() {
                    Some(_) => Self::SchedulerOrEngineAbsent,
                    None => Self::SchedulerAbsent,
                }
            }
            (Change::AddService(_), EEXIST) => Self::ServiceExists,
            (Change::AddService(_) | Change::EditService(_) | Change::RemoveService(_), EINVAL) => {
                Self::InvalidService
            }
            (Change::AddServer(..), EEXIST) => Self::DestinationExists,
            (Change::AddServer(..) | Change::EditServer(..) | Change::RemoveServer(..), ENOENT) => {
                Self::DestinationAbsent
            }
            (Change::AddServer(service, server) | Change::EditServer(service, server), EINVAL)
                if service.family() != Family::of(&server.key().address().ip()) =>
            {
                Self::MixedFamilies
            }
            (Change::AddServer(_, server) | Change::EditServer(_, server), EINVAL)
                if server.upper_threshold().max(server.lower_threshold()) > i32::MAX.unsigned_abs() =>
            {
                Self::OutOfRange
            }
            (Change::AddServer(..) | Change::EditServer(..) | Change::RemoveServer(..), EINVAL) => {
                Self::InvalidDestination
            }
            (Change::StartDaemon(_), EEXIST) => Self::DaemonExists,
            (Change::StopDaemon(_), ESRCH) => Self::DaemonAbsent,
            (Change::StartDaemon(_), ENODEV) => Self::InterfaceAbsent,
            (Change::StartDaemon(_) | Change::StopDaemon(_), EINVAL) => Self::InvalidDaemon,
            (Change::SetTimeouts(_), EINVAL) => Self::InvalidTimeouts,
            _ => return None,
        })
    }

    fn kind(self) -> DataplaneErrorKind {
        match self {
            Self::ServiceExists
            | Self::ServiceAbsent
            | Self::DestinationExists
            | Self::DestinationAbsent
            | Self::DaemonExists
            | Self::DaemonAbsent => DataplaneErrorKind::Drifted,
            Self::Forbidden => DataplaneErrorKind::Forbidden,
            Self::Temporary => DataplaneErrorKind::Unavailable,
            Self::SchedulerAbsent
            | Self::SchedulerOrEngineAbsent
            | Self::InterfaceAbsent
            | Self::InvalidDaemon
            | Self::InvalidService
            | Self::InvalidDestination
            | Self::MixedFamilies
            | Self::InvalidTimeouts
            | Self::Unsupported
            | Self::OutOfRange
            | Self::FamilyUnsupported
            | Self::Other => DataplaneErrorKind::Refused,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServiceExists => "the service exists already",
            Self::ServiceAbsent => "no such service",
            Self::DestinationExists => "the service has that destination already",
            Self::DestinationAbsent => "the service has no such destination",
            Self::SchedulerAbsent => {
                "the kernel has no such scheduler and no module ip_vs_NAME for it (`modprobe ip_vs_NAME` says why)"
            }
            Self::SchedulerOrEngineAbsent => {
                "the kernel has no such scheduler or no such persistence engine, and no module ip_vs_SCHEDULER or \
                 ip_vs_pe_ENGINE for it (`modprobe` of either says why)"
            }
            Self::DaemonExists => "a sync daemon runs in that role already",
            Self::DaemonAbsent => "no sync daemon runs in that role",
            Self::InterfaceAbsent => "there is no such interface",
            Self::InvalidDaemon => {
                "the kernel does not take these values (no sync daemon runs while a destination has another family than \
                 its service)"
            }
            Self::Forbidden => "CAP_NET_ADMIN is missing (it is needed in the initial user namespace)",
            Self::InvalidService => {
                "the kernel does not take these values (an IPv6 persistence prefix is 1 to 128; the scheduler may want \
                 something else)"
            }
            Self::InvalidDestination => {
                "the kernel does not take these values (the address of a destination is unicast, and not link-local unless \
                 it is this host's)"
            }
            Self::MixedFamilies => {
                "a destination of another family than its service is reached by a tunnel only, and not while a sync \
                 daemon runs"
            }
            Self::InvalidTimeouts => "a timeout is longer than the kernel can count (31 days are safe)",
            Self::Unsupported => "this kernel's IPVS does not know the command",
            Self::OutOfRange => {
                "a weight or threshold is out of range (the lower threshold above the upper; newer kernels take up to \
                 2147483647)"
            },
            Self::FamilyUnsupported => "the kernel's IPVS was built without IPv6 (CONFIG_IP_VS_IPV6)",
            Self::Temporary => "the kernel cannot do it now, for want of memory or because it is busy",
            Self::Other => "the kernel refuses it",
        })
    }
}

// asm-generic/errno-base.h and errno.h
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ERANGE: i32 = 34;
const ENOPROTOOPT: i32 = 92;
const EOPNOTSUPP: i32 = 95;
const EAFNOSUPPORT: i32 = 97;
const ENOBUFS: i32 = 105;

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use lvs_core::{Protocol, RealServer, ServerKey, VirtualService};

    use super::*;

    fn key() -> ServiceKey {
        ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap())
    }

    fn refused(change: Change, errno: i32) -> Error {
        Error::refused(Operation::Change(change), KernelError::from_errno(errno))
    }

    #[test]
    fn an_error_names_operation_object_and_reason_and_keeps_the_kernels_answer() {
        let server = RealServer::new(ServerKey::new("10.0.0.3:80".parse().unwrap()));
        let error = refused(Change::AddServer(key(), server), ESRCH);
        assert_eq!(
            error.to_string(),
            "add destination 10.0.0.3:80 (weight 1) to tcp 10.0.0.1:80: no such service"
        );
        assert_eq!(error.source().unwrap().to_string(), "No such process (os error 3)");
    }

    #[test]
    fn the_same_errno_means_another_thing_for_another_object() {
        let server = RealServer::new(ServerKey::new("10.0.0.3:80".parse().unwrap()));
        let add = Change::AddService(VirtualService::new(key()));
        assert_eq!(refused(add.clone(), ENOENT).refusal(), Some(Refusal::SchedulerAbsent));
        assert_eq!(
            refused(Change::EditServer(key(), server), ENOENT).refusal(),
            Some(Refusal::DestinationAbsent)
        );
        assert_eq!(refused(add, EEXIST).refusal(), Some(Refusal::ServiceExists));
        assert_eq!(
            refused(Change::AddServer(key(), server), EEXIST).refusal(),
            Some(Refusal::DestinationExists)
        );
    }

    #[test]
    fn a_lost_answer_leaves_the_state_unknown_and_is_no_refusal() {
        let operation = || Operation::Change(Change::RemoveService(key()));
        let after = std::time::Duration::from_secs(5);
        for lost in [
            lvs_netlink::Error::Timeout { operation: "request", after },
            lvs_netlink::Error::Resync { operation: "batch" },
        ] {
            let error = Error::from_netlink(operation(), lost);
            assert!(error.is_state_unknown() && error.refusal().is_none(), "{error:?}");
            assert!(error.to_string().starts_with("remove service tcp 10.0.0.1:80: netlink: "), "{error}");
            assert_eq!(DataplaneError::from(error).kind(), DataplaneErrorKind::Unavailable);
        }
        assert!(!Error::new(operation(), Cause::Interrupted { attempts: 5 }).is_state_unknown());
        assert!(!refused(Change::RemoveService(key()), ESRCH).is_state_unknown());
    }

    #[test]
    fn the_values_of_an_edit_tell_what_an_errno_means() {
        let engine = Some("sip".parse().unwrap());
        let call = VirtualService::new(key()).with_persistence_engine(engine);
        let six = RealServer::new(ServerKey::new("[2001:db8::1]:80".parse().unwrap()));
        let four = RealServer::new(ServerKey::new("10.0.0.3:80".parse().unwrap()));
        let daemon = lvs_core::SyncDaemon::new(lvs_core::SyncRole::Master, "eth0").unwrap();
        for (change, errno, refusal) in [
            (Change::EditService(call), ENOENT, Refusal::SchedulerOrEngineAbsent),
            (Change::AddServer(key(), six), EINVAL, Refusal::MixedFamilies),
            (Change::AddServer(key(), four), EINVAL, Refusal::InvalidDestination),
            (Change::AddServer(key(), four), ERANGE, Refusal::OutOfRange),
            (Change::EditServer(key(), four.with_thresholds(1 << 31, 0)), EINVAL, Refusal::OutOfRange),
            (
                Change::EditServer(key(), four.with_thresholds((1 << 31) - 1, 0)),
                EINVAL,
                Refusal::InvalidDestination,
            ),
            (Change::SetTimeouts(lvs_core::Timeouts::default()), EINVAL, Refusal::InvalidTimeouts),
            (Change::StartDaemon(daemon.clone()), ENODEV, Refusal::InterfaceAbsent),
            (Change::StartDaemon(daemon), EINVAL, Refusal::InvalidDaemon),
            (Change::RemoveService(key()), EOPNOTSUPP, Refusal::Unsupported),
            (Change::RemoveService(key()), ENOPROTOOPT, Refusal::Temporary),
            (Change::RemoveService(key()), EAFNOSUPPORT, Refusal::FamilyUnsupported),
            (Change::RemoveService(key()), 61, Refusal::Other),
        ] {
            assert_eq!(refused(change.clone(), errno).refusal(), Some(refusal), "{change} {errno}");
        }
    }

    #[test]
    fn an_applier_observes_again_after_a_conflict_and_gives_up_on_a_refusal() {
        let add = Change::AddService(VirtualService::new(key()));
        let kind = |errno| DataplaneError::from(refused(add.clone(), errno)).kind();
        assert_eq!(kind(EEXIST), DataplaneErrorKind::Drifted);
        assert_eq!(kind(ENOENT), DataplaneErrorKind::Refused);
        assert_eq!(kind(EPERM), DataplaneErrorKind::Forbidden);
        assert_eq!(kind(ENOMEM), DataplaneErrorKind::Unavailable);
    }

    #[test]
    fn a_missing_scheduler_or_engine_is_named_with_its_module() {
        let service = VirtualService::new(key()).with_scheduler("zzz".parse().unwrap());
        let scheduler = || refused(Change::AddService(service.clone()), ENOENT);
        let text =
            "the kernel has no scheduler zzz, and no module ip_vs_zzz for it (`modprobe ip_vs_zzz` says why)";
        assert!(scheduler().to_string().ends_with(&format!(": {text}")), "{}", scheduler());
        assert!(DataplaneError::from(scheduler()).to_string().ends_with(&format!(": {text}")));
        let service = service.clone().with_persistence_engine(Some("foo".parse().unwrap()));
        let either = refused(Change::EditService(service), ENOENT).to_string();
        for name in ["no scheduler zzz", "ip_vs_zzz", "no persistence engine foo", "ip_vs_pe_foo"] {
            assert!(either.contains(name), "{either}");
        }
    }

    #[test]
    fn what_the_system_answered_is_said_once_and_the_transports_error_can_be_matched() {
        let source = std::io::Error::from_raw_os_error(24);
        let cause = lvs_netlink::Error::Io { operation: "create socket", source };
        let error = Error::from_netlink(Operation::Open, cause);
        assert_eq!(
            error.to_string(),
            "open a netlink socket for IPVS: netlink: create socket failed: Too many open files (os error 24)"
        );
        assert!(error.source().is_none(), "{:?}", error.source());
        assert!(matches!(error.cause(), Cause::Transport(TransportError::Io { .. })));
    }

    #[test]
    fn an_answer_that_means_nothing_here_is_said_as_it_came() {
        let error = refused(Change::RemoveService(key()), 61);
        let text = "remove service tcp 10.0.0.1:80: the kernel refuses it: No data available (os error 61)";
        assert_eq!(error.to_string(), text);
        assert!(error.source().is_none(), "{:?}", error.source());
    }

    #[test]
    fn a_data_planes_error_says_the_operation_once() {
        let error = DataplaneError::from(refused(Change::RemoveService(key()), ESRCH));
        assert_eq!(error.to_string(), "remove service tcp 10.0.0.1:80: no such service");
    }
}
