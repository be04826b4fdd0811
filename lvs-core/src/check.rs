//! A health check: the one-method trait that checkers implement, and its two answers.

use std::borrow::Cow;
use std::fmt;

use async_trait::async_trait;

/// Asks a server once whether it serves.
///
/// The scheduler decides when a check runs and what its answers mean; an implementation only asks. Applications
/// implement and box it. The call is dropped when the server's checks are removed, so it must be safe to cancel. It has
/// to end by itself within the time that it was configured with.
///
/// ```
/// use lvs_core::check::{Check, Failure, Success};
///
/// struct Always;
///
/// #[async_trait::async_trait]
/// impl Check for Always {
///     async fn check(&self) -> Result<Success, Failure> {
///         Ok(Success::new("yes"))
///     }
/// }
/// let boxed: Box<dyn Check> = Box::new(Always);
/// ```
#[async_trait]
pub trait Check: Send + Sync {
    /// Asks once.
    ///
    /// # Errors
    /// The server does not serve, or did not answer in time; the text says what was seen.
    async fn check(&self) -> Result<Success, Failure>;
}

/// The server serves.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Success {
    seen: Cow<'static, str>,
}

impl Success {
    /// What was seen, for logs and status ("status 200").
    pub fn new(seen: impl Into<Cow<'static, str>>) -> Self {
        Self { seen: seen.into() }
    }

    /// What was seen.
    #[must_use]
    pub fn seen(&self) -> &str {
        &self.seen
    }
}

/// The server does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    why: Cow<'static, str>,
}

impl Failure {
    /// Why, for logs and status ("connection refused", "status 503, wanted 200").
    pub fn new(why: impl Into<Cow<'static, str>>) -> Self {
        Self { why: why.into() }
    }

    /// Why.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Failure {}
