//! Shortens the longest texts of an item, all to the same length.

use serde_json::{Map, Value};

use super::{Reduction, TEXT_FLOOR};

/// Texts at the top of an item, and fingerprints, are names: they are not shortened below this length.
const NAME_FLOOR: usize = 1024;
/// The longest key of a map.
const KEY_LIMIT: usize = 256;
const CUT_MARK: &str = "…";

/// Shortens the longest texts by `excess` bytes of JSON together, as far as the floors allow.
pub(super) fn shorten(item: &mut Value, excess: usize, lost: &mut Reduction) {
    let mut lengths = Vec::new();
    each_text(item, TEXT_FLOOR, 0, &mut |text, floor| {
        let length = json_length(text);
        if length > floor {
            lengths.push((length, floor));
        }
    });
    let limit = common_limit(&lengths, excess);
    let mut shorten = |value: &mut Value| {
        let mut count = 0;
        each_text(value, TEXT_FLOOR, 0, &mut |text, floor| count += u64::from(cut(text, limit.max(floor))));
        count += shorten_keys(value);
        lost.values += count;
        count
    };
    match item.get_mut("items").and_then(Value::as_array_mut) {
        // Each log and each metric says what it has lost.
        Some(entries) => entries.iter_mut().for_each(|entry| {
            let count = shorten(entry);
            if let Some(attributes) = entry.get_mut("attributes").and_then(Value::as_object_mut).filter(|_| count > 0) {
                let mark = serde_json::json!({ "type": "integer", "value": count });
                attributes.insert("tower_sentry.truncated".to_owned(), mark);
            }
        }),
        None => drop(shorten(item)),
    }
}

/// Runs `visit` on each text, with the shortest length to which it may be cut.
fn each_text(value: &mut Value, floor: usize, depth: usize, visit: &mut impl FnMut(&mut String, usize)) {
    match value {
        Value::String(text) => visit(text, if depth == 1 { NAME_FLOOR } else { floor }),
        Value::Array(list) => list.iter_mut().for_each(|inner| each_text(inner, floor, depth + 1, visit)),
        Value::Object(map) => {
            for (name, inner) in map {
                let floor = if depth == 0 && name == "fingerprint" { NAME_FLOOR } else { floor };
                each_text(inner, floor, depth + 1, visit);
            }
        }
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

/// The largest common length that makes the texts shorter by at least `excess` in total.
///
/// `lengths` has the length of each text and its own lowest limit.
fn common_limit(lengths: &[(usize, usize)], excess: usize) -> usize {
    let saved = |limit: usize| lengths.iter().map(|(length, floor)| length.saturating_sub(limit.max(*floor))).sum::<usize>();
    let (mut fits, mut too_long) = (0, lengths.iter().map(|(length, _)| *length).max().unwrap_or_default());
    while too_long > fits + 1 {
        let middle = usize::midpoint(fits, too_long);
        if saved(middle) >= excess { fits = middle } else { too_long = middle }
    }
    fits
}

/// Cuts a text to at most `limit` bytes of JSON, with a mark. Returns whether it was longer.
fn cut(text: &mut String, limit: usize) -> bool {
    let room = limit.saturating_sub(CUT_MARK.len());
    let (mut length, mut kept) = (0, 0);
    for (at, letter) in text.char_indices() {
        length += json_length_of(letter);
        if length <= room {
            kept = at + letter.len_utf8();
        }
        if length > limit {
            text.truncate(kept);
            text.push_str(CUT_MARK);
            return true;
        }
    }
    false
}

fn shorten_keys(value: &mut Value) -> u64 {
    match value {
        Value::Array(list) => list.iter_mut().map(shorten_keys).sum(),
        Value::Object(map) => {
            let inner: u64 = map.values_mut().map(shorten_keys).sum();
            let is_long = |name: &String| json_length(name) > KEY_LIMIT;
            let long = map.keys().filter(|name| is_long(name)).count() as u64;
            if long > 0 {
                let entries = std::mem::take(map).into_iter().map(|(mut name, value)| {
                    cut(&mut name, KEY_LIMIT);
                    (name, value)
                });
                *map = entries.collect::<Map<_, _>>();
            }
            inner + long
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The length of a text as JSON, without its quotes.
fn json_length(text: &str) -> usize {
    text.chars().map(json_length_of).sum()
}

fn json_length_of(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\x1f' => 6,
        _ => letter.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_has_at_most_its_limit_as_json_and_keeps_its_beginning(text in "[\\x00-\\x7f]{0,80}|.{0,80}", limit in 3_usize..90) {
            let mut short = text.clone();

            let was_cut = cut(&mut short, limit);

            prop_assert!(json_length(&short) <= limit);
            prop_assert_eq!(json_length(&text) + 2, serde_json::to_string(&text).map_or(0, |json| json.len()));
            prop_assert_eq!(was_cut, json_length(&text) > limit);
            prop_assert!(text == short || short.strip_suffix(CUT_MARK).is_some_and(|kept| was_cut && text.starts_with(kept)));
        }
    }

    #[test]
    fn the_longest_texts_are_shortened_and_short_ones_stay() {
        let lengths = [(1000, 128), (400, 128), (300, 128), (2000, 1024)];
        for (excess, limit) in [(100, 1900), (1100, 876), (1800, 292), (5000, 0)] {
            let found = common_limit(&lengths, excess);
            let saved: usize = lengths.iter().map(|(length, floor)| length.saturating_sub(found.max(*floor))).sum();
            assert!(found.abs_diff(limit) <= 1 && (saved >= excess || limit == 0), "{excess}: {found} saves {saved}");
        }
    }
}
