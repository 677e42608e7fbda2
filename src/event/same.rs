//! Decides whether two reports are about the same failure and become one event.
//!
//! Only a proof counts. The guide's page on errors lists the proofs. `grouping` decides which events the
//! server shows as one issue.

use tracing::callsite::Identifier;

use super::call_stack::CodeLocation;
use super::identity::{FailureIdentity, LinkIdentity};
use crate::protocol::Exception;

/// The place in the code of a report.
///
/// A place reports a failure once. A second report from the same place, in a loop, is another failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReportPlace {
    Call(CodeLocation),
    Log(Identifier),
}

/// How a report is known to be about the failure of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Both have the error, or the later one is a log that shows it.
    OfError,
    /// The earlier one is a log that shows the error of the later one.
    LogBeforeError,
    /// Both are logs of one error, which passed through the function of the later one.
    LogAfterLog,
}

/// Returns the proof that `later` is about the failure of `earlier`.
pub(super) fn proof(earlier: &FailureIdentity, later: &FailureIdentity) -> Option<Proof> {
    match (earlier.has_error(), later.has_error()) {
        (true, true) => is_tail(earlier, later).then_some(Proof::OfError),
        (true, false) => is_shown(later, earlier).then_some(Proof::OfError),
        (false, true) => is_shown(earlier, later).then_some(Proof::LogBeforeError),
        (false, false) => {
            // Each log of `#[instrument(err)]` is written inside the span of its function.
            let is_around = later.spans.first().is_some_and(|own| earlier.spans.iter().skip(1).any(|outer| outer == own));
            (is_around && is_tail(earlier, later)).then_some(Proof::LogAfterLog)
        }
    }
}

/// Whether one chain is the end of the other, or both are equal: an error may get a context on its
/// way.
fn is_tail(one: &FailureIdentity, other: &FailureIdentity) -> bool {
    let len = one.len().min(other.len());
    len > 0 && one.links().rev().zip(other.links().rev()).all(|(one, other)| is_same_link(one, other))
}

fn is_same_link(one: &LinkIdentity, other: &LinkIdentity) -> bool {
    let agree = |one: Option<u64>, other: Option<u64>| one.zip(other).is_none_or(|(one, other)| one == other);
    one.text == other.text && agree(one.name, other.name) && agree(one.path, other.path)
}

/// Whether a text of a log is that of an error of the chain.
fn is_shown(log: &FailureIdentity, error: &FailureIdentity) -> bool {
    let is_text = |shown: &u64| error.links().any(|link| link.text == *shown) || error.forms.contains(shown);
    let is_end = |report: &Vec<u64>| {
        report.len() <= error.len() && report.iter().rev().zip(error.links().rev()).all(|(text, link)| *text == link.text)
    };
    log.log_texts.iter().any(is_text) || log.reports.iter().any(is_end)
}

/// Whether an error or a log repeats a panic that something inside has caught.
///
/// `tokio::task::JoinError`, for example, is `task 7 panicked with message "no stock"`.
pub(super) fn is_echo(panic: &str, chain: &[Exception], message: Option<&str>) -> bool {
    let mentions = |text: &str| text.contains("panic") || text.contains("Panic");
    let texts = chain.iter().map(|error| (error.kind.as_deref().unwrap_or_default(), error.value.as_deref().unwrap_or_default()));
    texts
        .chain(message.map(|message| ("", message)))
        .any(|(kind, text)| text == panic || (mentions(kind) || mentions(text)) && !panic.is_empty() && text.contains(panic))
}
