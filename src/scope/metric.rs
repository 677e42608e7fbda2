//! Captures metrics.

use super::current;
use super::place::TracePlace;
use super::state::LiveScope;
use crate::client::{Client, default_client};
use crate::diagnostics::Quiet;
use crate::exporter::Item;
use crate::payload::known_method;
use crate::protocol::{DiscardReason, Metric, MetricType, Unit};
use crate::record::{Parent, Sample, clock};

/// Captures a metric in the current scope, or outside any request.
///
/// Ignored and sensitive requests send no metrics.
pub(crate) fn capture_metric(sample: Sample) {
    if let Some(place) = MetricPlace::here() {
        place.capture(sample, clock::wall());
    }
}

/// The client that sends the metrics of this place, and the trace that they belong to.
pub(crate) struct MetricPlace {
    client: Client,
    place: TracePlace,
}

impl MetricPlace {
    /// The place in the current scope, or outside any request. None if nothing is sent from here.
    pub(crate) fn here() -> Option<Self> {
        let here = current::with(|entered| {
            let is_recorded = !entered.scope.is_ignored && entered.scope.client.is_enabled();
            is_recorded.then(|| {
                let span = entered.active();
                let place = entered.scope.trace_place(&mut entered.scope.lock(), span);
                Self { client: entered.scope.client.clone(), place }
            })
        });
        here.unwrap_or_else(|| Some(Self { client: default_client(), place: TracePlace::outside() }))
            .filter(|here| sends_from(&here.client, &here.place))
    }

    /// Captures a metric that was measured `at` nanoseconds after the epoch.
    pub(crate) fn capture(&self, sample: Sample, at: u64) {
        submit(&self.client, &self.place, sample, at);
    }

    /// Drops and counts a metric, because the recorder has no room for its last value.
    #[cfg(feature = "metrics")]
    pub(crate) fn lose(&self, sample: Sample, at: u64) {
        self.client.discard_item(Item::Metric(Box::new(self.place.metric(sample, at))), DiscardReason::BufferOverflow);
    }
}

/// Hands a metric over to the exporter of a client.
fn submit(client: &Client, place: &TracePlace, sample: Sample, at: u64) {
    static TROUBLE: Quiet = Quiet::new();
    let is_valid = Metric::is_valid(&sample.name, sample.value);
    let truncated = sample.truncated;
    let item = Item::Metric(Box::new(place.metric(sample, at)));
    if !is_valid {
        client.discard_item(item, DiscardReason::Invalid);
        return TROUBLE.warn("a metric is dropped and counted: its value is not finite, or its name is empty or too long");
    }
    client.count_truncated(truncated);
    client.submit(item);
}

fn sends_from(client: &Client, place: &TracePlace) -> bool {
    !place.is_sensitive && sends_metrics(client)
}

fn sends_metrics(client: &Client) -> bool {
    client.settings().is_some_and(|settings| settings.delivery.enable_metrics)
}

/// The measurements of a request that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServedRequest {
    /// From its start to the end of the body, in nanoseconds.
    pub(crate) duration: u64,
    pub(crate) status: Option<u16>,
    pub(crate) body_bytes: u64,
    /// The requests that are being served, with this one.
    pub(crate) active: usize,
}

impl LiveScope {
    /// Captures the metrics of a request, by its route.
    #[cold]
    pub(crate) fn capture_request_metrics(&self, served: ServedRequest) {
        // Before the place: it holds a span and copies the user's id.
        if self.is_ignored || self.is_left_out() || !sends_metrics(&self.client) {
            return;
        }
        let mut state = self.lock();
        let place = self.trace_place(&mut state, Parent::Root);
        if !sends_from(&self.client, &place) {
            return;
        }
        let record = &state.transaction.record;
        let route = record.route.map(|route| record.str(route).into_owned());
        let method = known_method(&record.str(record.request.method)).to_owned();
        drop(state);
        let ServedRequest { duration, status, body_bytes, active } = served;
        let sample = |kind, name: &'static str, value: f64, unit| {
            let mut sample = Sample::new(kind, name.into(), value);
            sample.unit = unit;
            sample.set_attribute("http.request.method", &method.as_str().into());
            sample
        };
        let by_route = |mut sample: Sample| {
            if let Some(route) = &route {
                sample.set_attribute("http.route", &route.into());
            }
            if let Some(status) = status {
                sample.set_attribute("http.response.status_code", &status.into());
                sample.set_attribute("tower_sentry.status_class", &status_class(status).into());
            }
            sample
        };
        #[expect(clippy::cast_precision_loss, reason = "a duration and a size need no more than 53 bits")]
        let samples = [
            by_route(sample(MetricType::Distribution, "http.server.request.duration", duration as f64 / 1e9, Some(Unit::Second))),
            by_route(sample(MetricType::Distribution, "http.server.response.body.size", body_bytes as f64, Some(Unit::Byte))),
            // It counts the requests of all routes, so it has no route.
            sample(MetricType::Gauge, "http.server.active_requests", active as f64, None),
        ];
        let at = clock::wall();
        for sample in samples {
            submit(&self.client, &place, sample, at);
        }
    }
}

/// `2xx` for 204.
fn status_class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    }
}
