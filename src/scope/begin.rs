//! The begin of a transaction: a trace that came in, or one of our own, and the decision about it.

use crate::client::Client;
use crate::propagation::{self, Incoming};
use crate::protocol::{SpanId, TraceId};
use crate::record::{Record, TraceFacts};
use crate::sampling::{self, Decision, SamplingContext, TrustParent};
use crate::trace::clock;

/// Continues the trace that came in, or begins one; decides about it.
pub(crate) fn continue_or_begin(client: &Client, incoming: Option<Incoming>, own_rate: Option<f64>, record: &mut Record) -> Decision {
    let Some(settings) = client.settings() else { return Decision { sampled: false, rate: 0.0, is_final: true } };
    let own_organization = settings.dsn.as_ref().and_then(|dsn| dsn.org_id());
    let incoming = incoming.filter(|incoming| sampling::continues(incoming.organization().as_deref(), own_organization));
    let trace_id = incoming.as_ref().map_or_else(TraceId::new, |incoming| incoming.trace_id);
    let trusted = incoming.as_ref().filter(|incoming| trusts(settings.trust_parent, incoming, own_organization));
    let sample_rand = match (&incoming, trusted) {
        (None, _) => sampling::sample_rand(trace_id),
        (_, Some(trusted)) => {
            let given = propagation::member(&trusted.baggage, "sample_rand").and_then(|text| sampling::parse_sample_rand(&text));
            given.unwrap_or_else(|| sampling::sample_rand(trace_id))
        }
        // The id is somebody's choice as well: a number of our own.
        (Some(_), None) => sampling::sample_rand(TraceId::new()),
    };
    let context = SamplingContext {
        route_rate: own_rate,
        rate: settings.traces_sample_rate,
        parent: trusted.and_then(|trusted| trusted.sampled),
        is_continued: trusted.is_some(),
        sample_rand,
    };
    let decision = sampling::decide(context, |rate, wanted| client.grants(rate, wanted, clock::nanos(record.start)));
    record.trace = TraceFacts {
        trace_id,
        root: SpanId::new(),
        parent: incoming.as_ref().map(|incoming| incoming.parent),
        sampled: decision.sampled,
        sample_rate: decision.rate,
        sample_rand,
        baggage: incoming.map(|incoming| incoming.baggage).unwrap_or_default(),
    };
    decision
}

fn trusts(policy: TrustParent, incoming: &Incoming, own_organization: Option<&str>) -> bool {
    match policy {
        TrustParent::Always => true,
        TrustParent::Never => false,
        TrustParent::SameOrganization => own_organization.is_some() && incoming.organization().as_deref() == own_organization,
    }
}
