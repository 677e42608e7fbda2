//! What few transactions have: links and measurements.

use std::collections::BTreeMap;

use super::Parent;
use super::scope_data::json_size;
use crate::protocol::{Measurement, SpanLink};

/// Further links of a request are dropped and counted; OpenTelemetry has the same limit for a span.
const LINKS_LIMIT: usize = 128;
/// The attributes of a link have at most this many bytes, or are dropped and counted.
const LINK_BYTES_LIMIT: usize = 4 * 1024;
/// Further measurements are dropped and counted. Servers take ten of a project by default.
const MEASUREMENTS_LIMIT: usize = 32;
/// The longest name of a measurement or a unit, in bytes.
const NAME_LIMIT: usize = 64;

/// What few transactions have, kept apart so that a record stays small.
#[derive(Clone, Debug, Default)]
pub(crate) struct RareFacts {
    links: Vec<(Parent, SpanLink)>,
    /// By name.
    pub(crate) measurements: BTreeMap<String, Measurement>,
    /// The bytes of the links' attributes.
    link_bytes: usize,
}

impl RareFacts {
    pub(super) fn size(&self) -> usize {
        let measurement = size_of::<Measurement>() + 2 * NAME_LIMIT;
        self.links.len() * size_of::<(Parent, SpanLink)>() + self.link_bytes + self.measurements.len() * measurement
    }

    /// Adds a link to a span or the root. Returns `false` if there was no room for all of it.
    pub(crate) fn add_link(&mut self, span: Parent, mut link: SpanLink) -> bool {
        if self.links.len() >= LINKS_LIMIT {
            return false;
        }
        let bytes = if link.attributes.is_empty() { 0 } else { json_size(&link.attributes) };
        let has_room = bytes <= LINK_BYTES_LIMIT;
        if has_room {
            self.link_bytes += bytes;
        } else {
            link.attributes.clear();
        }
        self.links.push((span, link));
        has_room
    }

    /// Takes out the links of these spans. None if there are none.
    pub(super) fn take_links(&mut self, of: impl Fn(Parent) -> bool) -> Option<Box<Self>> {
        let (taken, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.links).into_iter().partition(|(span, _)| of(*span));
        self.links = left;
        if taken.is_empty() {
            return None;
        }
        let bytes = taken.iter().filter(|(_, link)| !link.attributes.is_empty()).map(|(_, link)| json_size(&link.attributes)).sum();
        self.link_bytes = self.link_bytes.saturating_sub(bytes);
        Some(Box::new(Self { links: taken, link_bytes: bytes, ..Self::default() }))
    }

    /// Returns the links of a span or the root.
    pub(crate) fn links(&self, of: Parent) -> impl Iterator<Item = &SpanLink> {
        self.links.iter().filter(move |(span, _)| *span == of).map(|(_, link)| link)
    }

    /// Sets a measurement. Returns `false` if there was no room for it, or servers would refuse it.
    pub(crate) fn set_measurement(&mut self, name: &str, value: f64, unit: &str) -> bool {
        let has_room = self.measurements.len() < MEASUREMENTS_LIMIT || self.measurements.contains_key(name);
        // Nothing is cut: half a token would not be recognised as a secret.
        let is_valid = is_measurement_name(name) && unit.len() <= NAME_LIMIT && value.is_finite();
        if has_room && is_valid {
            self.measurements.insert(name.to_owned(), Measurement::new(value, unit));
        }
        has_room && is_valid
    }
}

/// Servers refuse other characters.
fn is_measurement_name(name: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_');
    !name.is_empty() && name.len() <= NAME_LIMIT && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{SpanId, TraceId};

    #[test]
    fn what_is_beyond_a_limit_is_counted() {
        let mut rare = RareFacts::default();
        let link = || SpanLink::new(TraceId::new(), SpanId::new());
        let mut fits = vec![rare.add_link(Parent::Root, link().attribute("note", "x".repeat(LINK_BYTES_LIMIT)))];
        for number in 0..200_u32 {
            fits.push(rare.add_link(Parent::Span(number % 2), link().attribute("number", number)));
            fits.push(rare.set_measurement(&format!("number_{number}"), f64::from(number), "byte"));
        }
        let long = "x".repeat(NAME_LIMIT + 1);
        for (name, value, unit) in
            [("number_0", f64::NAN, "byte"), ("number_0", 1.0, &*long), (&long, 1.0, "byte"), ("a name", 1.0, "byte")]
        {
            fits.push(rare.set_measurement(name, value, unit));
        }
        fits.push(rare.set_measurement("number_31", 7.0, "byte"));

        let links = [Parent::Root, Parent::Span(0), Parent::Span(1)].map(|span| rare.links(span).count());
        assert_eq!((links, rare.links(Parent::Root).all(|link| link.attributes.is_empty())), ([1, 64, 63], true));
        assert_eq!((rare.measurements.len(), rare.measurements["number_0"].value, rare.measurements["number_31"].value), (32, 0.0, 7.0));
        assert_eq!(fits.iter().filter(|fits| !**fits).count(), 1 + (200 - 127) + (200 - 32) + 4);
        assert!(rare.size() < 64 * 1024, "{}", rare.size());
    }
}
