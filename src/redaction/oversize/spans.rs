//! Removes the shortest spans without children.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use serde_json::Value;

use super::{Reduction, size};

/// Removes spans until `excess` bytes are gone. A span is removed after all its children.
///
/// If all spans together take fewer bytes than that, something else is too large, and the spans stay.
pub(super) fn remove_short(item: &mut Value, excess: usize, lost: &mut Reduction) {
    let Some(spans) = item.get_mut("spans").filter(|spans| size(spans) > excess).and_then(Value::as_array_mut) else { return };
    let text = |span: &Value, name: &str| span.get(name).and_then(Value::as_str).map(str::to_owned);
    let places: HashMap<_, _> = spans.iter().enumerate().filter_map(|(place, span)| Some((text(span, "span_id")?, place))).collect();
    let parents: Vec<Option<usize>> =
        spans.iter().map(|span| text(span, "parent_span_id").and_then(|parent| places.get(&parent).copied())).collect();
    let mut children = vec![0_usize; spans.len()];
    for parent in parents.iter().flatten() {
        if let Some(count) = children.get_mut(*parent) {
            *count += 1;
        }
    }
    let duration = |place: usize| spans.get(place).map(nanos).unwrap_or_default();
    let mut leaves: BinaryHeap<_> =
        children.iter().enumerate().filter(|(_, count)| **count == 0).map(|(place, _)| Reverse((duration(place), place))).collect();
    let (mut freed, mut removed) = (0, HashSet::new());
    while let Some(Reverse((_, place))) = leaves.pop().filter(|_| freed < excess) {
        // The comma after the span is removed too.
        freed += spans.get(place).map_or(0, size) + 1;
        removed.insert(place);
        let parent = parents.get(place).copied().flatten();
        if let Some((parent, count)) = parent.and_then(|parent| Some((parent, children.get_mut(parent)?))) {
            *count -= 1;
            if *count == 0 {
                leaves.push(Reverse((duration(parent), parent)));
            }
        }
    }
    lost.spans += removed.len() as u64;
    let mut place = 0..;
    spans.retain(|_| place.next().is_none_or(|place| !removed.contains(&place)));
}

/// The duration of a span in nanoseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and a wrong duration is harmless"
)]
fn nanos(span: &Value) -> u64 {
    let time = |name| span.get(name).and_then(Value::as_f64).unwrap_or_default();
    ((time("timestamp") - time("start_timestamp")) * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_shortest_spans_go_first_and_parents_after_their_children() {
        let span = |id: &str, parent: &str, duration: f64| json!({ "span_id": id, "parent_span_id": parent, "start_timestamp": 1.0, "timestamp": 1.0 + duration, "data": "x".repeat(100) });
        let spans = [
            span("short parent", "root", 0.001),
            span("long child", "short parent", 0.5),
            span("short child", "short parent", 0.002),
            span("longest", "root", 2.0),
            span("short", "root", 0.01),
        ];
        let one = size(&spans[0]);
        let left = |count: usize| {
            let mut item = json!({ "spans": spans });
            let mut lost = Reduction::default();
            remove_short(&mut item, one * count - 50, &mut lost);
            let names = item["spans"].as_array().map(|spans| spans.iter().map(|span| span["span_id"].to_string()).collect::<Vec<_>>());
            (names.unwrap_or_default().join(" ").replace('"', ""), lost.spans)
        };

        assert_eq!(left(1), ("short parent,long child,longest,short".replace(',', " "), 1));
        assert_eq!(left(2), ("short parent,long child,longest".replace(',', " "), 2));
        assert_eq!(left(3), ("short parent,longest".replace(',', " "), 3));
        assert_eq!(left(4), ("longest".to_owned(), 4));
    }
}
