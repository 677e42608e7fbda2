//! Shortens lists and maps.

use serde_json::Value;

use super::{Reduction, size};

/// The steps by which lists and maps are shortened. No object of the protocol has more fields than
/// the last.
const LIMITS: [usize; 4] = [1000, 250, 60, 20];
/// Entries of maps that are never removed, because servers or our own marks need them.
const KEPT: [&str; 3] = ["feedback", "tower_sentry", "trace"];

/// Shortens lists and maps until `excess` bytes are gone, or all are short.
pub(super) fn shorten(item: &mut Value, excess: usize, lost: &mut Reduction) {
    let target = size(item).saturating_sub(excess);
    for limit in LIMITS {
        for (name, value) in item.as_object_mut().into_iter().flatten() {
            lost.values += match value {
                // Spans and logs are counted on their own.
                Value::Array(counted) if matches!(name.as_str(), "items" | "spans") => {
                    counted.iter_mut().map(|inner| to(inner, limit, false)).sum()
                }
                value => to(value, limit, name == "breadcrumbs"),
            };
        }
        if size(item) <= target {
            break;
        }
    }
}

/// Shortens a value's lists and maps to `limit` entries, and returns the number of removed entries.
///
/// `keeps_last` is for breadcrumbs and frames: their last entries are the newest.
fn to(value: &mut Value, limit: usize, keeps_last: bool) -> u64 {
    match value {
        Value::Array(list) => {
            let excess = list.len().saturating_sub(limit);
            if keeps_last {
                list.drain(..excess);
            } else {
                list.truncate(limit);
            }
            excess as u64 + list.iter_mut().map(|inner| to(inner, limit, false)).sum::<u64>()
        }
        Value::Object(map) => {
            let mut place = 0;
            let before = map.len();
            map.retain(|name, _| {
                place += 1;
                place <= limit || KEPT.contains(&name.as_str())
            });
            let gone = (before - map.len()) as u64;
            gone + map.iter_mut().map(|(name, inner)| to(inner, limit, keeps_last || name == "frames")).sum::<u64>()
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => 0,
    }
}
