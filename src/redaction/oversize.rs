//! Reduces an item that is larger than servers accept.
//!
//! Servers refuse an envelope with everything in it if one item is too large. Such an item loses as
//! little as possible, in this order:
//!
//! 1. The longest texts are shortened, all to the same length, at least [`TEXT_FLOOR`] bytes.
//! 2. The shortest spans without children are removed from a transaction.
//! 3. Long lists and maps are shortened.
//! 4. Data that the user set is removed, one group after the other.
//!
//! It works on JSON that passed the redactor, so no secret is cut in half before it is recognised.

mod entries;
mod spans;
mod texts;

use std::io;

use serde_json::{Map, Value, json};

/// No text is shortened below this many bytes of JSON.
const TEXT_FLOOR: usize = 128;
/// The bytes that are reserved for the marks that say what is missing.
const MARKS_RESERVE: usize = 512;

/// What an item has lost to fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reduction {
    /// Values that were shortened or left out.
    pub(crate) values: u64,
    /// Spans that were removed.
    pub(crate) spans: u64,
}

impl Reduction {
    pub(super) fn add(&mut self, other: Self) {
        self.values += other.values;
        self.spans += other.spans;
    }
}

/// Returns the item in at most `limit` bytes, with marks that say what is missing.
///
/// Returns `None` if the item cannot be made to fit.
#[cold]
pub(super) fn reduced(payload: &[u8], limit: usize) -> Option<(Vec<u8>, Reduction)> {
    let mut item: Value = serde_json::from_slice(payload).ok()?;
    let mut lost = Reduction::default();
    let room = limit.saturating_sub(MARKS_RESERVE);
    let steps: [fn(&mut Value, usize, &mut Reduction); 4] = [texts::shorten, spans::remove_short, entries::shorten, remove_groups];
    for step in steps {
        let excess = size(&item).saturating_sub(room);
        if excess == 0 {
            break;
        }
        step(&mut item, excess, &mut lost);
    }
    mark(&mut item, lost);
    let json = serde_json::to_vec(&item).ok()?;
    (json.len() <= limit).then_some((json, lost))
}

/// Removes data that the user set until enough is gone, and counts each group as one value.
fn remove_groups(item: &mut Value, excess: usize, lost: &mut Reduction) {
    const GROUPS: [&str; 6] = ["extra", "breadcrumbs", "contexts", "request", "tags", "user"];
    let mut freed = 0;
    for name in GROUPS {
        let Some(group) = item.get_mut(name).filter(|_| freed < excess) else { continue };
        freed += size(group);
        lost.values += 1;
        match group {
            // Servers refuse an event without its trace.
            Value::Object(contexts) if name == "contexts" => contexts.retain(|name, _| name == "trace" || name == "feedback"),
            group => *group = json!({}),
        }
    }
}

/// Marks in the item what it has lost, in the same fields as other limits.
fn mark(item: &mut Value, lost: Reduction) {
    let Some(contexts) = item.get_mut("contexts").and_then(Value::as_object_mut) else { return };
    if lost.values > 0 {
        add(contexts, &["tower_sentry"], "truncated", lost.values);
    }
    if lost.spans > 0 {
        add(contexts, &["trace", "data"], "tower_sentry.dropped_spans", lost.spans);
    }
}

/// Adds to a number in an object below the contexts; objects on the way are made.
fn add(contexts: &mut Map<String, Value>, path: &[&str], name: &str, count: u64) {
    let mut place = contexts;
    for step in path {
        let Some(inner) = place.entry(*step).or_insert_with(|| json!({})).as_object_mut() else { return };
        place = inner;
    }
    let before = place.get(name).and_then(Value::as_u64).unwrap_or_default();
    place.insert(name.to_owned(), Value::from(before + count));
}

/// The length of a value as JSON.
fn size(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Neither the writer nor a `Value` returns an error.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_go_until_enough_is_free_and_the_trace_stays() {
        let event = json!({
            "message": "the shelf is empty",
            "extra": { "basket": "x".repeat(100) },
            "contexts": { "trace": { "trace_id": "1" }, "order": "x".repeat(100) },
            "user": { "id": "7" },
        });
        let removed = |excess| {
            let (mut item, mut lost) = (event.clone(), Reduction::default());
            remove_groups(&mut item, excess, &mut lost);
            (item, lost.values)
        };

        let (item, lost) = removed(50);
        assert_eq!((&item["extra"], &item["contexts"], lost), (&json!({}), &event["contexts"], 1));
        let (item, lost) = removed(10_000);
        assert_eq!(
            (item, lost),
            (json!({ "message": "the shelf is empty", "extra": {}, "contexts": { "trace": { "trace_id": "1" } }, "user": {} }), 3)
        );
    }
}
