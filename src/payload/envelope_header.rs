//! The header of an envelope, with the dynamic sampling context of its trace.

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::Facts;
use super::sdk::sdk;
use super::trusted::{Constant, Id};
use crate::propagation;
use crate::protocol::{DynamicSamplingContext, EventId};
use crate::record::Record;

/// The header of an envelope with an event or transaction from `record`.
pub(crate) struct HeaderPayload<'a> {
    /// None for streamed spans: for these, servers need the context of the trace instead.
    pub(crate) event_id: Option<EventId>,
    pub(crate) record: &'a Record,
    /// The transaction's name. Empty: there is none.
    pub(crate) name: &'a str,
    pub(crate) facts: &'a Facts,
    /// Whether the transaction's name in the propagated context is left out: the route is sensitive, or a hook
    /// panicked that may have been meant to remove names. `name` is always safe to send.
    pub(crate) is_bare: bool,
}

impl Serialize for HeaderPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { event_id, record, name, facts, is_bare } = *self;
        let mut out = serializer.serialize_struct("EnvelopeHeader", 3)?;
        if let Some(event_id) = event_id {
            out.serialize_field("event_id", &Id(event_id))?;
        }
        out.serialize_field("sdk", &sdk())?;
        match TraceHeader::of(record, facts) {
            TraceHeader::Unknown if event_id.is_none() => out.serialize_field("trace", &Ids { record, facts })?,
            TraceHeader::Unknown => {}
            TraceHeader::Given(mut context) => {
                context.transaction = context.transaction.filter(|_| !is_bare);
                out.serialize_field("trace", &context)?;
            }
            TraceHeader::Own => out.serialize_field("trace", &OwnSampling { record, name, facts })?,
        }
        out.end()
    }
}

/// The dynamic sampling context in the header.
enum TraceHeader {
    /// No context.
    ///
    /// Only the service that began a trace may define its context. There is also none if the
    /// public key is invalid.
    Unknown,
    /// The context that came in, or that went out first. It does not change after that.
    ///
    /// One exception: if a transaction is kept although it was not sampled, its rate and decision
    /// are replaced. Otherwise the server would drop it because of the parent's decision.
    Given(Box<DynamicSamplingContext>),
    /// The trace started here.
    Own,
}

impl TraceHeader {
    fn of(record: &Record, facts: &Facts) -> Self {
        let trace = &record.trace;
        if !trace.baggage.is_empty() {
            let mut context = propagation::context(&trace.baggage);
            if context.trace_id == trace.trace_id.to_string() && context.is_readable() {
                if record.kept.is_some() {
                    (context.sample_rate, context.sampled) = (Some("1".to_owned()), Some("true".to_owned()));
                }
                return Self::Given(Box::new(context));
            }
        }
        // A server ignores the whole context if it cannot read one member.
        if facts.public_key.len() == 32 && trace.parent.is_none() { Self::Own } else { Self::Unknown }
    }
}

/// The minimum that a server needs to accept spans. It is only in the header, and never in an outgoing request:
/// another service may have begun the trace.
struct Ids<'a> {
    record: &'a Record,
    facts: &'a Facts,
}

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("DynamicSamplingContext", 2)?;
        out.serialize_field("trace_id", &Id(self.record.trace.trace_id))?;
        out.serialize_field("public_key", &self.facts.public_key)?;
        out.end()
    }
}

/// The context of a trace that started here.
struct OwnSampling<'a> {
    record: &'a Record,
    name: &'a str,
    facts: &'a Facts,
}

impl Serialize for OwnSampling<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { record, name, facts } = self;
        let trace = &record.trace;
        let is_kept = record.kept.is_some();
        let mut out = serializer.serialize_struct("DynamicSamplingContext", 9)?;
        out.serialize_field("trace_id", &Id(trace.trace_id))?;
        out.serialize_field("public_key", &facts.public_key)?;
        out.serialize_field("sample_rate", &format_args!("{}", if is_kept { 1.0 } else { trace.sample_rate }))?;
        out.serialize_field("sample_rand", &format_args!("0.{:06}", trace.sample_rand))?;
        out.serialize_field("sampled", &Constant(if is_kept || trace.sampled { "true" } else { "false" }))?;
        if let Some(release) = &facts.release {
            out.serialize_field("release", release)?;
        }
        out.serialize_field("environment", &facts.environment)?;
        // A hook may have taken it away.
        if !name.is_empty() {
            out.serialize_field("transaction", name)?;
        }
        if let Some(org_id) = &facts.org_id {
            out.serialize_field("org_id", org_id)?;
        }
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_rand_has_six_decimals() {
        let facts = Facts { public_key: "0123456789abcdef0123456789abcdef".to_owned(), ..Facts::default() };
        for (draw, expected) in [(0, "0.000000"), (42, "0.000042"), (50_000, "0.050000"), (999_999, "0.999999")] {
            let mut record = Record::default();
            record.trace.sample_rand = draw;

            let header = HeaderPayload { event_id: Some(EventId::new()), record: &record, name: "work", facts: &facts, is_bare: false };

            let shown = serde_json::to_value(header).unwrap_or_default();
            assert_eq!(shown["trace"]["sample_rand"], expected);
        }
    }
}
