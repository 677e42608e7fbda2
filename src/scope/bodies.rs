//! What is kept of the bodies of a request.

use std::sync::Arc;

use http::HeaderMap;

use super::state::LiveScope;
use crate::record::BodySample;

/// At most this many headers of a response are kept.
const HEADERS_LIMIT: usize = 50;

impl LiveScope {
    /// Keeps what `prepare` returns of the request's body, unless a body is kept already.
    pub(crate) fn keep_request_body(&self, prepare: impl FnOnce() -> BodySample) -> Option<Arc<BodySample>> {
        self.keeps_bodies().then_some(())?;
        let sample = Arc::new(prepare());
        let mut state = self.lock();
        let bodies = state.transaction.record.set.bodies_mut();
        if bodies.request.is_some() {
            return None;
        }
        bodies.request = Some(Arc::clone(&sample));
        Some(sample)
    }

    /// The same for the response; the latest one is that of the outermost layer. `prepare` may keep no body.
    pub(crate) fn keep_response(&self, headers: &HeaderMap, prepare: impl FnOnce() -> Option<BodySample>) -> Option<Arc<BodySample>> {
        self.keeps_bodies().then_some(())?;
        let sample = prepare().map(Arc::new);
        let headers = headers.iter().take(HEADERS_LIMIT).map(|(name, value)| (name.clone(), value.clone())).collect();
        self.lock().transaction.record.set.bodies_mut().response = Some((headers, sample.clone()));
        sample
    }

    /// Whether this is a request that is reported, whose texts may leave.
    fn keeps_bodies(&self) -> bool {
        self.client.is_enabled() && {
            let state = self.lock();
            state.transaction.record.has_request && !state.transaction.record.request.is_sensitive
        }
    }
}
