//! The lanes of the spool.

/// What goes first if the spool is full: `Rest`, then `Transactions`, then `Errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Errors, check-ins and feedback.
    Errors,
    Transactions,
    /// Logs, sessions and client reports.
    Rest,
}

/// In the order in which they are sent.
pub(super) const LANES: [Lane; 3] = [Lane::Errors, Lane::Transactions, Lane::Rest];

impl Lane {
    /// The name of its folder.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Errors => "e",
            Self::Transactions => "t",
            Self::Rest => "s",
        }
    }
}
