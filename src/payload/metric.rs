//! Metrics, as the entries of the protocol's container.

use serde::ser::{SerializeMap as _, SerializeStruct as _};
use serde::{Serialize, Serializer};

use super::Facts;
use super::container::typed_entries;
use super::fields::latest;
use super::trusted::Constant;
use crate::protocol::{Measured, Timestamp};
use crate::record::{FieldReader, FieldValue, MetricRecord, TRUNCATED};

/// One metric.
pub(crate) struct MetricPayload<'a> {
    pub(crate) metric: &'a MetricRecord,
    pub(crate) facts: &'a Facts,
}

impl Serialize for MetricPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let MetricRecord { at, sample, trace_id, span, .. } = self.metric;
        let mut out = serializer.serialize_struct("Metric", 8)?;
        out.serialize_field("timestamp", &Timestamp::from_nanos(*at))?;
        out.serialize_field("trace_id", trace_id)?;
        if let Some(span) = span {
            out.serialize_field("span_id", span)?;
        }
        out.serialize_field("name", &*sample.name)?;
        out.serialize_field("type", &Constant(sample.kind.as_str()))?;
        out.serialize_field("value", &Measured(sample.value))?;
        if let Some(unit) = &sample.unit {
            out.serialize_field("unit", unit)?;
        }
        out.serialize_field("attributes", &MetricAttributes(self))?;
        out.end()
    }
}

/// The attributes of a metric with their types, and those that every metric has.
struct MetricAttributes<'a>(&'a MetricPayload<'a>);

impl Serialize for MetricAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let MetricPayload { metric, facts } = self.0;
        // A count follows each value that was cut. They are left out: the total is written below.
        let fields = FieldReader::new(&metric.sample.fields).filter_map(|(key, value)| Some((key.name(None)?, value)));
        let given = latest(fields.filter(|(name, _)| *name != TRUNCATED));
        let mut entries = typed_entries(serializer.serialize_map(None)?, &given)?;
        entries.add_facts(facts, metric.user.as_deref())?;
        entries.add_suppressed(metric.suppressed)?;
        if metric.sample.truncated > 0 {
            entries.add_typed(TRUNCATED, FieldValue::U64(metric.sample.truncated))?;
        }
        entries.map.end()
    }
}
