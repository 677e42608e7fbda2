//! The start of a transaction: an incoming trace or a new one, and the sampling decision.

use std::sync::Arc;

use super::state::{Extent, LiveScope};
use crate::client::Client;
use crate::propagation::{self, Incoming};
use crate::protocol::{SpanId, TraceId};
use crate::record::{LiveTransaction, Record, TraceFacts, clock};
use crate::sampling::{self, Decision, Rate, SampledWork, SamplerContext, SamplingContext, TrustParent};

/// The description of work before it begins. Requests have their own.
pub(crate) struct Work<'a> {
    pub(crate) name: &'a str,
    pub(crate) op: &'static str,
    /// The `op` that a sampler sees, if the work's own fields set one. The default is `op`.
    pub(crate) own_op: Option<&'a str>,
    /// The integration that recorded it, such as `auto.function.tracing`.
    pub(crate) origin: &'static str,
    pub(crate) incoming: Option<Incoming>,
    pub(crate) sample_rate: Option<f64>,
}

/// Begins the transaction of a piece of work. None while monitoring is off.
///
/// What `describe` adds belongs to the transaction, not to the events of the work.
pub(crate) fn begin_work(client: &Client, work: Work<'_>, describe: impl FnOnce(&mut Record)) -> Option<Arc<LiveScope>> {
    let settings = client.settings()?;
    let Work { name, op, own_op, origin, incoming, sample_rate } = work;
    Some(LiveScope::open(client, settings, false, |transaction: &mut LiveTransaction| {
        transaction.begin(op, origin);
        let record = &mut transaction.record;
        let sampled = SampledWork::Job { name, op: own_op.unwrap_or(op) };
        let rate = client.in_force().map_or(0.0, |in_force| in_force.rate());
        let decision = continue_or_begin(client, incoming, sample_rate, rate, sampled, record);
        record.name_by_task(name);
        record.seal_scope();
        describe(record);
        (decision, Extent::of(decision, settings))
    }))
}

/// Continues the incoming trace or begins a new one, and decides whether it is sampled.
///
/// `own_rate` is the rate of the route or job. Without one, the user's sampler may choose a rate for
/// `work`. `rate` is the client's rate.
pub(crate) fn continue_or_begin(
    client: &Client,
    incoming: Option<Incoming>,
    own_rate: Option<f64>,
    rate: f64,
    work: SampledWork<'_>,
    record: &mut Record,
) -> Decision {
    let Some(settings) = client.settings() else { return Decision::NEVER };
    let own_organization = settings.delivery.dsn.as_ref().and_then(|dsn| dsn.org_id());
    let incoming = incoming.filter(|incoming| sampling::continues(incoming.organization().as_deref(), own_organization));
    let trace_id = incoming.as_ref().map_or_else(TraceId::new, |incoming| incoming.trace_id);
    let trusted =
        incoming.as_ref().filter(|incoming| incoming.is_own || trusts(settings.sampling.trust_parent, incoming, own_organization));
    let sample_rand = match (&incoming, trusted) {
        (None, _) => sampling::sample_rand(trace_id),
        (_, Some(trusted)) => {
            let given = propagation::member(&trusted.baggage, "sample_rand").and_then(|text| sampling::parse_sample_rand(&text));
            given.unwrap_or_else(|| sampling::sample_rand(trace_id))
        }
        // The caller may have chosen the trace id too, so the number is derived from a new id.
        (Some(_), None) => sampling::sample_rand(TraceId::new()),
    };
    let parent = trusted.and_then(|trusted| trusted.sampled);
    let sampler = settings.sampling.traces_sampler.as_ref().filter(|_| own_rate.is_none());
    let chosen = sampler.map_or(Rate::Unchanged, |sampler| sampler.rate(&SamplerContext { work, parent }));
    let target = client.target().filter(|_| own_rate.is_none() && chosen == Rate::Unchanged);
    let (own_rate, rate) = match chosen {
        Rate::Fixed(chosen) => (Some(chosen), rate),
        Rate::Inherited(chosen) => (None, chosen),
        Rate::Unchanged => (own_rate, rate),
    };
    let now = clock::nanos(record.start);
    // A client's rate of zero sends nothing, whatever the target is.
    let by_target = target.filter(|_| rate > 0.0).map(|target| (target, target.rate(&work, parent.is_none(), now)));
    let rate = by_target.map_or(rate, |(_, chosen)| chosen.rate);
    let context = SamplingContext {
        route_rate: own_rate,
        rate,
        parent,
        // A parent in this process has already spent from the budget.
        is_limited: trusted.is_some_and(|trusted| !trusted.is_own) && settings.sampling.trust_parent != TrustParent::Always,
        sample_rand,
        halvings: client.halvings(),
    };
    let decision = sampling::decide(context, |rate, wanted| client.grants(rate, wanted, now));
    if let Some((target, chosen)) = by_target {
        target.note(chosen, decision.sampled, now);
    }
    let is_trusted = trusted.is_some();
    let rewritten = trusted.and_then(|trusted| new_baggage(trusted, decision, own_rate.is_some()));
    let parent = incoming.as_ref().map(|incoming| incoming.parent);
    let is_cut = trusted.is_some_and(|trusted| trusted.is_baggage_cut);
    // Only the ids of an untrusted trace are kept.
    let came_in = incoming.filter(|_| is_trusted).map(|incoming| incoming.baggage).unwrap_or_default();
    record.trace = TraceFacts {
        trace_id,
        root: SpanId::new(),
        parent,
        sampled: decision.sampled,
        sample_rate: decision.rate,
        sample_rand,
        baggage: rewritten.unwrap_or(came_in),
        is_baggage_cut: false,
    };
    if is_cut {
        record.note_cut_baggage();
    }
    decision
}

/// New baggage, if our decision differs from the incoming one or uses our own rate.
///
/// A Sentry server discards a transaction whose baggage says that the trace is not sampled.
fn new_baggage(trusted: &Incoming, decision: Decision, is_ours: bool) -> Option<String> {
    let says = propagation::member(&trusted.baggage, "sampled");
    // If the caller left the decision to us, the baggage needs ours: servers extrapolate from its rate.
    let agrees = match says {
        Some(says) => says == if decision.sampled { "true" } else { "false" },
        None => trusted.sampled.is_some(),
    };
    if trusted.baggage.is_empty() || (agrees && !is_ours) {
        return None;
    }
    let mut context = propagation::context(&trusted.baggage);
    context.sampled = Some(decision.sampled.to_string());
    context.sample_rate = Some(decision.rate.to_string());
    Some(propagation::of_context(&context))
}

fn trusts(policy: TrustParent, incoming: &Incoming, own_organization: Option<&str>) -> bool {
    match policy {
        TrustParent::Always | TrustParent::WithinBudget => true,
        TrustParent::Never => false,
        TrustParent::SameOrganization => own_organization.is_some() && incoming.organization().as_deref() == own_organization,
    }
}
