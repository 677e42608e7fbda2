//! Keeps samples of the request and response bodies for events.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::state::LiveScope;
use crate::record::BodySample;

/// At most this many headers of a response are kept.
const HEADERS_LIMIT: usize = 50;

impl LiveScope {
    /// Keeps the sample of the request's body that `prepare` returns, unless there is one already.
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

    /// Keeps the headers of the response without the values that must not be copied, and the sample of its body if `prepare` returns one.
    ///
    /// The last call wins: it is that of the outermost layer.
    pub(crate) fn keep_response(&self, headers: &HeaderMap, prepare: impl FnOnce() -> Option<BodySample>) -> Option<Arc<BodySample>> {
        self.keeps_bodies().then_some(())?;
        let sample = prepare().map(Arc::new);
        let redaction = &self.client.settings()?.privacy.redaction;
        let kept = |name: &HeaderName, value: &HeaderValue| {
            if redaction.withholds(name.as_str()) { withheld() } else { value.clone() }
        };
        let headers = headers.iter().take(HEADERS_LIMIT).map(|(name, value)| (name.clone(), kept(name, value))).collect();
        self.lock().transaction.record.set.bodies_mut().response = Some((headers, sample.clone()));
        sample
    }

    /// Whether this is a recorded request, and its route is not sensitive.
    fn keeps_bodies(&self) -> bool {
        self.client.is_enabled() && {
            let state = self.lock();
            state.transaction.record.has_request && !state.transaction.record.request.is_sensitive
        }
    }
}

/// In place of a value that must not be copied.
fn withheld() -> HeaderValue {
    let mut value = HeaderValue::from_static("");
    value.set_sensitive(true);
    value
}
