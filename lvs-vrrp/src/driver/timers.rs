//! Whose timer is next.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Interfaces nobody tells about, and sockets that could not be opened.
    Look,
    Member(usize),
}

impl Timer {
    pub(super) const FIRST: Self = Self::Look;
}
