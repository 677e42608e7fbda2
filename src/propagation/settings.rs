//! The settings for outgoing traces.

use std::sync::Arc;

use super::Target;

/// Which requests to other services carry the trace, and in which form.
#[derive(Clone, Debug, Default)]
pub(crate) struct PropagationSettings {
    pub(crate) targets: Arc<[Target]>,
    /// Whether `traceparent` is added to `sentry-trace`.
    pub(crate) traceparent: bool,
}
