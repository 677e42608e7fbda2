//! Values with a type beside them. Servers discard those whose type is wrong.

use serde_json::Value;

const BEFORE_TYPE: &[u8] = b"{\"type\":\"";
const BEFORE_VALUE: &[u8] = b"\",\"value\":";

/// Corrects the value that was written from `start` on, if the redactor has replaced a number with a text.
///
/// Its type becomes `string`. A list of numbers and texts becomes one of texts.
pub(super) fn correct(out: &mut Vec<u8>, start: usize) {
    let Some(written) = out.get(start..).and_then(|written| written.strip_prefix(BEFORE_TYPE)) else { return };
    if written.starts_with(b"string") {
        return;
    }
    let of = |kind: &[u8]| written.strip_prefix(kind)?.strip_prefix(BEFORE_VALUE);
    let at = start + BEFORE_TYPE.len();
    for kind in [&b"integer"[..], b"double", b"boolean"] {
        if of(kind).is_some_and(|value| value.starts_with(b"\"")) {
            out.splice(at..at + kind.len(), *b"string");
            return;
        }
    }
    if let Some(list) = of(b"array").and_then(|list| list.strip_suffix(b"}"))
        && let Some(texts) = mixed(list)
    {
        out.truncate(at + b"array".len() + BEFORE_VALUE.len());
        out.extend_from_slice(&texts);
        out.push(b'}');
    }
}

/// Turns a list with texts and other values into a list of texts.
fn mixed(list: &[u8]) -> Option<Vec<u8>> {
    if !list.contains(&b'"') {
        return None;
    }
    let values: Vec<Value> = serde_json::from_slice(list).ok()?;
    if values.iter().all(Value::is_string) {
        return None;
    }
    let texts = values.into_iter().map(|value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    });
    serde_json::to_vec(&texts.collect::<Vec<_>>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_that_of_what_was_written() {
        let rows = [
            (r#"{"type":"integer","value":7}"#, r#"{"type":"integer","value":7}"#),
            (r#"{"type":"integer","value":"[Filtered]"}"#, r#"{"type":"string","value":"[Filtered]"}"#),
            (r#"{"type":"double","value":"[Filtered]"}"#, r#"{"type":"string","value":"[Filtered]"}"#),
            (r#"{"type":"array","value":[7,8]}"#, r#"{"type":"array","value":[7,8]}"#),
            (r#"{"type":"array","value":["a","b"]}"#, r#"{"type":"array","value":["a","b"]}"#),
            (r#"{"type":"array","value":["[Filtered]",7,true]}"#, r#"{"type":"array","value":["[Filtered]","7","true"]}"#),
            (r#"{"value":"[Filtered]"}"#, r#"{"value":"[Filtered]"}"#),
        ];
        for (written, corrected) in rows {
            let mut out = format!("{{\"name\":{written}").into_bytes();

            correct(&mut out, "{\"name\":".len());

            assert_eq!(String::from_utf8(out).unwrap(), format!("{{\"name\":{corrected}"));
        }
    }
}
