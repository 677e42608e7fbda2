//! The measurements for a layer's metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::record::{Moment, clock};
use crate::scope::{LiveScope, ServedRequest};

/// The requests that a layer is serving.
#[derive(Clone, Debug, Default)]
pub(super) struct ActiveRequests(Arc<AtomicUsize>);

/// A request that is counted as being served.
#[derive(Debug)]
pub(super) struct MeasuredRequest(ActiveRequests);

impl MeasuredRequest {
    pub(super) fn begin(requests: &ActiveRequests) -> Self {
        requests.0.fetch_add(1, Ordering::Relaxed);
        Self(requests.clone())
    }

    /// Captures the metrics of the request. Returns when it ended: `at`, or now if that is unset.
    #[cold]
    pub(super) fn end(&self, scope: &LiveScope, status: Option<u16>, body_bytes: u64, at: Moment) -> Moment {
        let at = if at.is_known() { at } else { clock::now() };
        scope.capture_request_metrics(ServedRequest {
            duration: at.nanos_since(scope.start),
            status,
            body_bytes,
            active: self.0.0.load(Ordering::Relaxed),
        });
        at
    }
}

impl Drop for MeasuredRequest {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
