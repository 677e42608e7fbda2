//! Bounds the depth of JSON values, without recursion.

use serde_json::Value;

/// The maximum depth of lists and maps in a value that a user sets. Writing each level takes stack.
const DEPTH_LIMIT: usize = 32;
/// Replaces a list or a map that is deeper.
const TOO_DEEP: &str = "[nested too deep]";

/// Returns a value whose lists and maps are at most 32 deep.
pub(crate) fn bounded(mut value: Value) -> Value {
    let mut open = vec![(&mut value, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > DEPTH_LIMIT && (value.is_array() || value.is_object()) {
            drop_flat(std::mem::replace(value, TOO_DEEP.into()));
            continue;
        }
        match value {
            Value::Array(values) => open.extend(values.iter_mut().map(|value| (value, depth + 1))),
            Value::Object(values) => open.extend(values.values_mut().map(|value| (value, depth + 1))),
            _ => {}
        }
    }
    value
}

/// Drops a value without recursion: `drop` of a deep value would overflow the stack.
fn drop_flat(value: Value) {
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(values) => left.extend(values),
            Value::Object(values) => left.extend(values.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> Value {
        let wrap = |inner, level: usize| {
            if level.is_multiple_of(2) {
                Value::Array(vec![inner])
            } else {
                Value::Object([("inner".to_owned(), inner)].into_iter().collect())
            }
        };
        (0..levels).fold("leaf".into(), wrap)
    }

    #[test]
    fn what_is_deeper_than_the_limit_is_left_out_without_recursion() {
        assert_eq!(bounded(nested(32)), nested(32));

        let text = bounded(nested(100_000)).to_string();
        assert_eq!(text.matches(['[', '{']).count(), 33, "32 levels and the mark: {text}");
        assert!(text.contains(TOO_DEEP) && !text.contains("leaf"), "{text}");
    }
}
