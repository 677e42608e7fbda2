//! The service that opens a scope for each request and calls the inner service.
//!
//! It describes the request, continues its trace and decides on sampling.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;

use super::active::{ActiveRequest, Ignored};
use super::body_form::BodyForm;
use super::future::ResponseFuture;
use super::request::{Noticed, client_address, copy_headers, describe, matched_path, peer};
use super::rules::{RequestHead, Rules};
use crate::client::{Client, Settings};
use crate::propagation;
use crate::record::{Record, clock};
use crate::scope::{Extent, LiveScope, OwnSpan, ScopeKind, continue_or_begin, current};
use crate::unwind;

/// A service whose requests are recorded. Made by [`SentryLayer`](crate::SentryLayer).
pub struct SentryService<S, F> {
    inner: S,
    client: Client,
    rules: Arc<Rules>,
    form: PhantomData<fn() -> F>,
}

impl<S, F> SentryService<S, F> {
    pub(super) fn new(inner: S, client: Client, rules: Arc<Rules>) -> Self {
        Self { inner, client, rules, form: PhantomData }
    }

    /// The same service, with response bodies of another form.
    #[cfg(feature = "axum")]
    pub(super) fn with_form<G>(self) -> SentryService<S, G> {
        SentryService::new(self.inner, self.client, self.rules)
    }

    fn begin<B>(&self, settings: &Settings, request: &Request<B>) -> ActiveRequest {
        if let Some(scope) = current::scope() {
            match scope.kind() {
                ScopeKind::Ignored => return ActiveRequest::Ignored(Ignored(scope)),
                // If no span is recorded, the request still runs in the outer layer's scope.
                ScopeKind::Live => {
                    return OwnSpan::start("http.server", "auto.http.tower", "nested SentryLayer")
                        .map_or(ActiveRequest::Off, ActiveRequest::Nested);
                }
                // The scope belongs to no request, or to one that has ended: begin a new
                // transaction.
                ScopeKind::Detached | ScopeKind::Finished => {}
            }
        }
        let matched = matched_path(request);
        let (options, template) = self.rules.routes.find(request.method(), matched, request.uri().path());
        if options.is_ignored {
            return ActiveRequest::Ignored(Ignored(Arc::new(LiveScope::ignored())));
        }
        let scope = LiveScope::open(&self.client, settings, true, |transaction| {
            transaction.begin("http.server", "auto.http.tower");
            let record = &mut transaction.record;
            let headers = request.headers();
            // Without `keep_failed`, headers are copied only after the decision, and the decision
            // needs the trace headers.
            let noticed = if settings.sampling.keep_failed {
                copy_headers(headers, &settings.privacy.redaction, record)
            } else {
                Noticed::in_headers(headers)
            };
            let incoming = if noticed.has_trace { propagation::incoming(headers) } else { None };
            let decision = continue_or_begin(&self.client, incoming, options.sample_rate, record);
            let extent = Extent::of(decision, settings);
            if !settings.sampling.keep_failed && extent != Extent::Bare {
                copy_headers(headers, &settings.privacy.redaction, record);
            }
            describe(request, noticed.host, record);
            if settings.privacy.send_default_pii {
                record.request.client = client_address(headers, peer(request), settings.privacy.trusted_hops);
            }
            match matched.or(template) {
                Some(template) => record.name_by_route(template),
                None => self.name(request, record),
            }
            record.is_named_by_handler = self.rules.names_by_handler;
            record.seal_scope();
            (decision, extent)
        });
        let failed = options.failed_status_codes.as_ref().or(self.rules.failed_status_codes.as_ref());
        let failed = Arc::clone(failed.unwrap_or(&settings.failed_status_codes));
        ActiveRequest::recorded(scope, request.method(), Arc::clone(&self.rules), failed)
    }

    /// Calls the user's function that names requests, for a request without a known route.
    fn name<B>(&self, request: &Request<B>, record: &mut Record) {
        let Some(name) = &self.rules.name else { return };
        // A panic of that function must not end the request.
        if let Some(Some(name)) = unwind::catch(|| name(&RequestHead::of(request))) {
            let is_admitted = self.client.admits_name(&name, clock::nanos(record.start));
            record.name_by_user(if is_admitted { &name } else { "<overflow>" });
        }
    }
}

impl<S, F, RequestBody, Body> Service<Request<RequestBody>> for SentryService<S, F>
where
    S: Service<Request<RequestBody>, Response = Response<Body>>,
    F: BodyForm<Body>,
    Body: http_body::Body,
{
    type Response = Response<F::Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, F>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let Some(settings) = self.client.settings() else { return ResponseFuture::new(self.inner.call(request), ActiveRequest::Off) };
        let mut active = self.begin(settings, &request);
        // `self.inner` is the instance that was polled ready, so a clone must not be called
        // instead.
        let inner = active.enter(|| self.inner.call(request));
        ResponseFuture::new(inner, active)
    }
}

impl<S: Clone, F> Clone for SentryService<S, F> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), client: self.client.clone(), rules: Arc::clone(&self.rules), form: PhantomData }
    }
}

impl<S: fmt::Debug, F> fmt::Debug for SentryService<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentryService").field("inner", &self.inner).field("client", &self.client).finish_non_exhaustive()
    }
}
