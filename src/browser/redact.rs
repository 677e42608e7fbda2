//! Redacts the items of an envelope that the browser has recorded.

use serde_json::{Map, Value};

use super::envelope::{Item, ItemKind, split};
use super::refusal::Refusal;
use crate::redaction::Redactor;

const NOT_JSON: Refusal = Refusal::Malformed("expected an item with JSON");

/// Returns the envelope with its recorded items redacted, or `None` if it has none. All others keep their bytes.
pub(super) fn redacted(redactor: &Redactor, envelope: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let (header, items) = split(envelope)?;
    if !items.iter().any(|item| item.head.kind == ItemKind::Recorded) {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(envelope.len());
    write_header(redactor, header, &mut out)?;
    for item in items {
        out.push(b'\n');
        if item.head.kind == ItemKind::Recorded {
            write_item(redactor, &item, &mut out)?;
        } else {
            out.extend_from_slice(item.header);
            out.push(b'\n');
            out.extend_from_slice(item.payload);
        }
    }
    Ok(Some(out))
}

/// The name of the transaction is in the context of the trace as well.
fn write_header(redactor: &Redactor, line: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut header: Map<String, Value> = read(line)?;
    let name = header.get_mut("trace").and_then(|trace| trace.get_mut("transaction"));
    match name {
        Some(Value::String(name)) if redactor.text(name) != name.as_str() => *name = redactor.text(name).into_owned(),
        _ => {
            out.extend_from_slice(line);
            return Ok(());
        }
    }
    serde_json::to_writer(out, &header).map_err(|_| Refusal::Failed)
}

fn write_item(redactor: &Redactor, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let payload: Value = read(item.payload)?;
    if !payload.is_object() {
        return Err(NOT_JSON);
    }
    let payload = redactor.document(&payload).map_err(|_| Refusal::Failed)?;
    let mut header: Map<String, Value> = read(item.header)?;
    header.insert("length".to_owned(), payload.len().into());
    serde_json::to_writer(&mut *out, &header).map_err(|_| Refusal::Failed)?;
    out.push(b'\n');
    out.extend_from_slice(&payload);
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(json).or_else(|_| serde_json::from_slice(&without_lone_surrogates(json))).map_err(|_| NOT_JSON)
}

/// Replaces escaped halves of a character with U+FFFD.
///
/// The SDK cuts texts by UTF-16 units, so it may cut an emoji in two. JavaScript writes the remaining half
/// as an escape, which a JSON parser for UTF-8 refuses.
fn without_lone_surrogates(json: &[u8]) -> Vec<u8> {
    /// The unit of `\\uXXXX` at the start.
    fn unit(bytes: &[u8]) -> Option<u16> {
        let digits = bytes.strip_prefix(b"\\u")?.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    let mut out = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.iter().position(|byte| *byte == b'\\') {
        let (before, escape) = rest.split_at(start);
        out.extend_from_slice(before);
        let behind = escape.get(6..).unwrap_or_default();
        let length = match unit(escape) {
            Some(0xd800..=0xdbff) if matches!(unit(behind), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => 0,
            Some(_) => 6,
            None => 2,
        };
        if length == 0 {
            out.extend_from_slice(b"\\ufffd");
            rest = behind;
        } else {
            let (kept, behind) = escape.split_at(length.min(escape.len()));
            out.extend_from_slice(kept);
            rest = behind;
        }
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(Arc::default(), false)
    }

    fn envelope(kind: &str, payload: &str) -> String {
        format!("{{\"dsn\":\"d\"}}\n{{\"type\":\"{kind}\",\"length\":{},\"own\":1}}\n{payload}\n", payload.len())
    }

    #[test]
    fn an_item_has_its_new_length_and_the_other_members_of_its_header() {
        let given = envelope("event", r#"{"extra":{"password":"hunter2hunter2hunter2"}}"#);

        let written = redacted(&redactor(), given.as_bytes()).unwrap().unwrap();

        let (header, items) = split(&written).unwrap();
        assert_eq!(header, br#"{"dsn":"d"}"#);
        assert_eq!(items[0].payload, br#"{"extra":{"password":"[Filtered]"}}"#);
        assert_eq!(items[0].header, format!("{{\"length\":{},\"own\":1,\"type\":\"event\"}}", items[0].payload.len()).as_bytes());
    }

    #[test]
    fn the_name_of_a_transaction_is_redacted_in_the_header_too() {
        let item = "{\"type\":\"event\"}\n{}";
        let secret = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
        let given = format!("{{\"dsn\":\"d\",\"trace\":{{\"transaction\":\"/pay {secret}\"}}}}\n{item}");

        let written = String::from_utf8(redacted(&redactor(), given.as_bytes()).unwrap().unwrap()).unwrap();

        assert!(written.starts_with("{\"dsn\":\"d\",\"trace\":{\"transaction\":\"/pay ") && !written.contains(secret), "{written}");
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_not_passed_on() {
        for payload in ["{", "[]", "7", "{\"a\":1}x", &"[".repeat(200), ""] {
            assert_eq!(redacted(&redactor(), envelope("transaction", payload).as_bytes()), Err(NOT_JSON), "{payload}");
        }
        assert_eq!(redacted(&redactor(), envelope("session", "{").as_bytes()), Ok(None));
    }

    #[test]
    fn half_of_an_emoji_does_not_lose_the_event() {
        for (text, expected) in [
            (r"cut \ud83d", "cut \u{fffd}"),
            (r"\ude00 cut", "\u{fffd} cut"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\\ud83d \ud83dx", "\\ud83d \u{fffd}x"),
            (r"\ud83d\n", "\u{fffd}\n"),
        ] {
            let given = envelope("event", &format!("{{\"message\":\"{text}\"}}"));

            let written = redacted(&redactor(), given.as_bytes()).unwrap().unwrap();

            let payload: Value = serde_json::from_slice(split(&written).unwrap().1[0].payload).unwrap();
            assert_eq!(payload["message"], expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_and_any_bytes_are_no_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            let json = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(without_lone_surrogates(&json), json);
            let _ = without_lone_surrogates(&bytes);
            let whole = [b"{}\n{\"type\":\"event\"}\n{\"message\":\"".as_slice(), &bytes].concat();
            let _ = redacted(&redactor(), &whole);
        }
    }
}
