//! A metric with its encoded attributes.

use std::borrow::Cow;

use super::log::Suppressed;
use super::{FieldWriter, Key};
use crate::protocol::{AttributeValue, MetricType, SpanId, TraceId, Unit};

/// The attributes of one metric have at most this many bytes. Further ones are left out and counted.
const ATTRIBUTES_LIMIT: usize = 64 * 1024;
/// The longest unit, in bytes. A longer one is left out and counted.
const UNIT_LIMIT: usize = 64;

/// What the application says of a metric.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) kind: MetricType,
    pub(crate) name: Cow<'static, str>,
    pub(crate) value: f64,
    pub(crate) unit: Option<Unit>,
    /// Its encoded attributes.
    pub(crate) fields: Vec<u8>,
    /// Values that were shortened or left out.
    pub(crate) truncated: u64,
}

impl Sample {
    pub(crate) fn new(kind: MetricType, name: Cow<'static, str>, value: f64) -> Self {
        Self { kind, name, value, unit: None, fields: Vec::new(), truncated: 0 }
    }

    pub(crate) fn set_unit(&mut self, unit: Unit) {
        let fits = unit.as_str().len() <= UNIT_LIMIT;
        self.truncated += u64::from(!fits);
        self.unit = Some(unit).filter(|_| fits);
    }

    /// Sets an attribute. A name that is set again has its last value, and the earlier one keeps its room.
    pub(crate) fn set_attribute(&mut self, name: &str, value: &AttributeValue<'_>) {
        let before = self.fields.len();
        let mut writer = FieldWriter::new(&mut self.fields);
        writer.attribute(Key::Name(name), value);
        let is_cut = writer.truncated() > 0;
        let is_left_out = name.is_empty() || self.fields.len() > ATTRIBUTES_LIMIT;
        if is_left_out {
            self.fields.truncate(before);
        }
        // Each value counts once, even if its name was cut too.
        self.truncated += u64::from(is_cut || is_left_out);
    }
}

/// A metric.
#[derive(Debug)]
pub(crate) struct MetricRecord {
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) sample: Sample,
    pub(crate) trace_id: TraceId,
    /// The active span.
    pub(crate) span: Option<SpanId>,
    pub(crate) user: Option<String>,
    /// Others of its name that are not sent.
    pub(crate) suppressed: Option<Suppressed>,
}

impl MetricRecord {
    /// Returns the approximate size in bytes, at least one.
    pub(crate) fn size(&self) -> usize {
        let unit = self.sample.unit.as_ref().map_or(0, |unit| unit.as_str().len());
        (self.sample.name.len() + self.sample.fields.len() + unit).max(1) + self.user.as_ref().map_or(0, String::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::FieldReader;

    #[test]
    fn what_has_no_room_is_left_out_and_counted() {
        let mut sample = Sample::new(MetricType::Gauge, "queue.depth".into(), 7.0);
        let long = "x ".repeat(4_000);

        for number in 0..20_u32 {
            sample.set_attribute(&format!("number_{number}"), &AttributeValue::from(&long));
        }
        sample.set_attribute("", &AttributeValue::from(1));
        sample.set_unit(Unit::from("x".repeat(65)));
        sample.set_attribute("last", &AttributeValue::from(1));

        let names = FieldReader::new(&sample.fields).count();
        assert_eq!((names, sample.truncated, sample.unit), (9, 12 + 1 + 1, None));
        assert!(sample.fields.len() <= ATTRIBUTES_LIMIT);
    }

    #[test]
    fn a_value_that_is_cut_counts_once() {
        let mut sample = Sample::new(MetricType::Gauge, "queue.depth".into(), 7.0);
        let long = "x ".repeat(8_000);

        for number in 0..20 {
            sample.set_attribute(&format!("{number} {long}"), &AttributeValue::from(&long));
        }

        assert_eq!(sample.truncated, 20, "whether its name, its text or all of it has no room");
    }
}
