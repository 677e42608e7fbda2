//! The service that opens a scope for each request and calls the inner service.
//!
//! It describes the request, continues its trace and decides on sampling.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::HOST;
use http::{HeaderValue, Request, Response};
use tower::Service;

use super::active::{ActiveRequest, Ignored};
use super::body_form::BodyForm;
use super::future::ResponseFuture;
use super::naming::RequestName;
use super::request::{Noticed, copy_headers, describe, is_in_router, matched_path, original_uri, peer};
use super::rules::Rules;
use crate::client::{Client, Settings};
use crate::propagation::{self, Incoming};
use crate::protocol::{TransactionSource, forwarded};
use crate::record::{Moment, Parent, Record, clock};
use crate::sampling::SampledWork;
use crate::sampling::route_options::RouteOptions;
use crate::scope::current::{self, Place};
use crate::scope::{Extent, LiveScope, Scope, ScopeKind, continue_or_begin};
use crate::status_codes::StatusCodes;

/// A service whose requests are recorded. Made by [`SentryLayer`](crate::SentryLayer).
pub struct SentryService<S, F> {
    inner: S,
    client: Client,
    rules: Arc<Rules>,
    /// `None` unless a request waits or has waited, and boxed: routers put the service on the heap for each
    /// request, so it must be small.
    wait: Option<Box<ReadyWait>>,
    form: PhantomData<fn() -> F>,
}

/// How long the next request has waited for the inner service to be ready.
#[derive(Debug, Default)]
struct ReadyWait {
    /// When the wait began; unset while nothing waits.
    since: Moment,
    nanos: u64,
}

impl ReadyWait {
    #[cold]
    fn begin(&mut self) {
        self.since = self.since.or(clock::now());
    }

    #[cold]
    fn end(&mut self) {
        if self.since.is_known() {
            self.nanos += clock::now().nanos_since(mem::take(&mut self.since));
        }
    }
}

impl<S, F> SentryService<S, F> {
    pub(super) fn new(inner: S, client: Client, rules: Arc<Rules>) -> Self {
        Self { inner, client, rules, wait: None, form: PhantomData }
    }

    /// The same service, with response bodies of another form.
    #[cfg(feature = "axum")]
    pub(super) fn with_form<G>(self) -> SentryService<S, G> {
        SentryService::new(self.inner, self.client, self.rules)
    }

    fn begin<B>(&self, settings: &Settings, request: &Request<B>) -> ActiveRequest {
        match current::around() {
            None => self.begin_whole(settings, request, Around::Nothing),
            Some(around) => self.begin_inside(settings, request, around),
        }
    }

    /// Begins to serve a request where a scope is current.
    ///
    /// It belongs to the request around it only if it is called inside that request's future, and
    /// the layer there is one of the same client. Otherwise it has its own transaction.
    #[inline(never)]
    fn begin_inside<B>(&self, settings: &Settings, request: &Request<B>, around: (Arc<LiveScope>, Place, Parent)) -> ActiveRequest {
        let (scope, place, span) = around;
        match (scope.kind(), place) {
            (ScopeKind::Ignored, Place::Inside) if scope.is_of(&self.client) => ActiveRequest::Ignored(Ignored(scope)),
            (ScopeKind::Live, Place::Inside) if scope.is_of(&self.client) => self.begin_inner(settings, request, scope, span),
            (ScopeKind::Live, Place::Inside) => self.begin_whole(settings, request, Around::OtherClient),
            (ScopeKind::Live | ScopeKind::Finished, _) => self.begin_whole(settings, request, Around::OtherWork),
            (ScopeKind::Ignored | ScopeKind::Detached, _) => self.begin_whole(settings, request, Around::Nothing),
        }
    }

    /// Begins a request inside another one of the same client: a span, with its own failures.
    fn begin_inner<B>(&self, settings: &Settings, request: &Request<B>, scope: Arc<LiveScope>, parent: Parent) -> ActiveRequest {
        let matched = matched_path(request);
        let Some(in_force) = self.client.in_force() else { return ActiveRequest::Off };
        let (options, template) = self.rules.routes.find(in_force.routes(), request.method(), matched, original_uri(request).path());
        if options.is_ignored || self.rules.ignores(request) {
            // The inner layer does nothing then: the request around it is not ignored.
            return ActiveRequest::Off;
        }
        let route = matched.or(template);
        if let Some(route) = route {
            name_around(&scope, request, route);
        }
        if options.is_sensitive {
            scope.make_sensitive();
        }
        let name = RequestName::of(request, route, &self.rules, &self.client, clock::now());
        let is_unrouted = matches!(name, RequestName::Unknown) && is_in_router(request);
        let served = match &name {
            RequestName::Rpc(method) => {
                scope.start_inner_request(parent, request.method().as_str(), Some(method), Some((method, TransactionSource::Route)))
            }
            RequestName::User(name) => {
                scope.start_inner_request(parent, request.method().as_str(), None, Some((name, TransactionSource::Custom)))
            }
            RequestName::Route(_) | RequestName::Unknown => scope.start_inner_request(parent, request.method().as_str(), route, None),
        };
        let failed = self.failed_status_codes(settings, &options);
        ActiveRequest::recorded(|exchange| {
            exchange.begin_inner(scope, served, request.method(), Arc::clone(&self.rules), failed);
            exchange.is_unrouted = is_unrouted;
        })
    }

    /// Begins a request with its own transaction.
    fn begin_whole<B>(&self, settings: &Settings, request: &Request<B>, around: Around) -> ActiveRequest {
        let matched = matched_path(request);
        let Some(in_force) = self.client.in_force() else { return ActiveRequest::Off };
        let (options, template) = self.rules.routes.find(in_force.routes(), request.method(), matched, original_uri(request).path());
        if self.rules.ignores(request) {
            return ActiveRequest::Ignored(Ignored(Arc::new(LiveScope::ignored(&self.client))));
        }
        if options.is_ignored {
            return self.begin_ignored(settings, request, matched.or(template), &options);
        }
        let mut is_unrouted = false;
        let known_trace = self.rules.trace(request);
        let scope = LiveScope::open(&self.client, settings, true, |transaction| {
            transaction.begin("http.server", "auto.http.tower");
            let record = &mut transaction.record;
            let headers = request.headers();
            // Without `keep_failed`, headers are copied only after the decision, and the decision
            // needs the trace headers.
            // While the delivery is behind, most requests do not need their headers either.
            let copies_first = settings.sampling.keep_failed && self.client.halvings() == 0;
            let noticed =
                if copies_first { copy_headers(headers, &settings.privacy.redaction, record) } else { Noticed::in_headers(headers) };
            let of_headers = || if noticed.has_trace { propagation::incoming(headers) } else { None };
            let incoming = known_trace.or_else(of_headers);
            let incoming = around.trace(incoming);
            let work = SampledWork::Request {
                method: request.method(),
                uri: request.uri(),
                headers,
                extensions: request.extensions(),
                route: matched.or(template),
            };
            let decision = continue_or_begin(&self.client, incoming, options.sample_rate, in_force.rate(), work, record);
            let extent = Extent::of(decision, settings);
            if !copies_first && extent != Extent::Bare {
                copy_headers(headers, &settings.privacy.redaction, record);
            }
            describe(request, noticed.host, settings.privacy.trusted_hops, record);
            if settings.privacy.send_default_pii {
                record.request.client = forwarded::client_address(headers, peer(request), settings.privacy.trusted_hops);
            }
            let name = RequestName::of(request, matched.or(template), &self.rules, &self.client, record.start);
            is_unrouted = matches!(name, RequestName::Unknown) && is_in_router(request);
            name.give(record);
            record.request.is_sensitive = options.is_sensitive;
            record.is_named_by_handler = self.rules.names_by_handler;
            record.seal_scope();
            (decision, extent)
        });
        let failed = self.failed_status_codes(settings, &options);
        ActiveRequest::recorded(|exchange| {
            exchange.begin(scope, request.method(), Arc::clone(&self.rules), failed);
            exchange.is_unrouted = is_unrouted;
            if around == Around::OtherClient {
                exchange.share_errors();
            }
        })
    }

    /// Begins a request whose route is ignored: at most its errors are reported.
    #[inline(never)]
    fn begin_ignored<B>(&self, settings: &Settings, request: &Request<B>, route: Option<&str>, options: &RouteOptions) -> ActiveRequest {
        if options.ignores_errors || self.rules.ignores_errors {
            return ActiveRequest::Ignored(Ignored(Arc::new(LiveScope::ignored(&self.client))));
        }
        let scope = LiveScope::open_ignored(&self.client, settings, |record| {
            let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
            describe(request, host, settings.privacy.trusted_hops, record);
            RequestName::of(request, route, &self.rules, &self.client, record.start).give(record);
            record.request.is_sensitive = options.is_sensitive;
            record.seal_scope();
        });
        let failed = self.failed_status_codes(settings, options);
        ActiveRequest::recorded(|exchange| exchange.begin(scope, request.method(), Arc::clone(&self.rules), failed))
    }

    fn failed_status_codes(&self, settings: &Settings, options: &RouteOptions) -> Arc<StatusCodes> {
        let failed = options.failed_status_codes.as_ref().or(self.rules.failed_status_codes.as_ref());
        Arc::clone(failed.unwrap_or(&settings.failed_status_codes))
    }
}

/// The scope that is current where a request with its own transaction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    Nothing,
    /// A request of another client, which this one is inside.
    OtherClient,
    /// Work of another request: a spawned task that carries its scope.
    OtherWork,
}

impl Around {
    /// The trace to continue: that of the request around, or the one in the headers.
    fn trace(self, incoming: Option<Incoming>) -> Option<Incoming> {
        let of_scope = || Scope::entered()?.as_incoming();
        match self {
            Self::Nothing => incoming,
            Self::OtherClient => of_scope().or(incoming),
            Self::OtherWork => incoming.or_else(of_scope),
        }
    }
}

/// Names the request around by the route of a request inside, if both are the same request.
///
/// A layer around a whole router sees no route.
fn name_around<B>(scope: &LiveScope, request: &Request<B>, route: &str) {
    let mut state = scope.lock();
    let record = &mut state.transaction.record;
    let is_unnamed = record.has_request && record.route.is_none();
    let is_same = |record: &Record| {
        record.bytes(record.request.path) == original_uri(request).path().as_bytes()
            && record.bytes(record.request.method) == request.method().as_str().as_bytes()
    };
    if is_unnamed && is_same(record) {
        record.name_by_route(route);
    }
}

impl<S, F, RequestBody, Body> Service<Request<RequestBody>> for SentryService<S, F>
where
    S: Service<Request<RequestBody>, Response = Response<Body>>,
    // The text of the error is in the event of the failed request.
    S::Error: fmt::Display,
    F: BodyForm<Body>,
    Body: http_body::Body,
{
    type Response = Response<F::Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, F>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let polled = self.inner.poll_ready(cx);
        if polled.is_pending() {
            self.wait.get_or_insert_default().begin();
        } else if let Some(wait) = &mut self.wait {
            wait.end();
        }
        polled
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let waited = self.wait.take();
        let Some(settings) = self.client.settings() else {
            return ResponseFuture::new(self.inner.call(request), ActiveRequest::off(&self.rules));
        };
        let mut active = self.begin(settings, &request);
        if let Some(wait) = waited {
            active.waited(wait.nanos);
        }
        // `self.inner` is the instance that was polled ready, so a clone must not be called
        // instead.
        let inner = active.enter(|| self.inner.call(request));
        ResponseFuture::new(inner, active)
    }
}

impl<S: Clone, F> Clone for SentryService<S, F> {
    fn clone(&self) -> Self {
        // A clone has not waited.
        Self::new(self.inner.clone(), self.client.clone(), Arc::clone(&self.rules))
    }
}

impl<S: fmt::Debug, F> fmt::Debug for SentryService<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentryService").field("inner", &self.inner).field("client", &self.client).finish_non_exhaustive()
    }
}
