//! The lines and items of an envelope that another SDK wrote. Its bytes stay as they are.

use serde::Deserialize;

use super::refusal::Refusal;

/// The maximum length of a header line. It contains the context of a trace and the packages of the SDK.
pub(super) const LINE_LIMIT: usize = 16 * 1024;
/// The maximum number of items. The SDK sends one or a few.
pub(super) const ITEMS_LIMIT: usize = 100;

const BROKEN: Refusal = Refusal::Malformed("expected an envelope");

/// How an item passes the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemKind {
    /// It is redacted.
    Recorded,
    /// It stays as it is, and may be large.
    Replay,
    /// It stays as it is.
    Other,
}

#[derive(Debug, Deserialize)]
struct ItemHeaderLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    length: Option<usize>,
}

/// The parsed header line of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ItemHead {
    pub(super) kind: ItemKind,
    /// Without a length, the payload ends with its line.
    pub(super) length: Option<usize>,
}

impl ItemHead {
    pub(super) fn read(line: &[u8]) -> Result<Self, Refusal> {
        let ItemHeaderLine { kind, length } = read_object(line)?;
        let kind = match &*kind {
            "event" | "log" | "span" | "trace_metric" | "transaction" => ItemKind::Recorded,
            "replay_event" | "replay_recording" | "replay_video" => ItemKind::Replay,
            _ => ItemKind::Other,
        };
        Ok(Self { kind, length })
    }
}

/// Returns the DSN in the header of an envelope.
pub(super) fn dsn(line: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct EnvelopeHeaderLine {
        dsn: Option<String>,
    }

    let EnvelopeHeaderLine { dsn } = read_object(line)?;
    dsn.ok_or(Refusal::Malformed("expected an envelope with a DSN"))
}

fn read_object<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, Refusal> {
    if line.len() > LINE_LIMIT || line.first() != Some(&b'{') {
        return Err(BROKEN);
    }
    serde_json::from_slice(line).map_err(|_| BROKEN)
}

/// Returns the first line without its line feed, and what follows. Returns `None` without a line feed.
pub(super) fn first_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

/// An item of a whole envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) head: ItemHead,
    pub(super) header: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// Splits a whole envelope into its header line and its items.
pub(super) fn split(envelope: &[u8]) -> Result<(&[u8], Vec<Item<'_>>), Refusal> {
    let whole_line = |bytes| first_line(bytes).unwrap_or((bytes, &[]));
    let (header, mut rest) = whole_line(envelope);
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (line, behind) = whole_line(rest);
        // An envelope may end with empty lines.
        if line.is_empty() && rest.iter().all(|byte| *byte == b'\n') {
            break;
        }
        let head = ItemHead::read(line)?;
        let payload;
        (payload, rest) = match head.length {
            None => whole_line(behind),
            Some(length) => {
                let (payload, behind) = behind.split_at_checked(length).ok_or(BROKEN)?;
                let (separator, behind) = behind.split_at(behind.len().min(1));
                if !matches!(separator, b"" | b"\n") {
                    return Err(BROKEN);
                }
                (payload, behind)
            }
        };
        items.push(Item { head, header: line, payload });
        if items.len() > ITEMS_LIMIT {
            return Err(BROKEN);
        }
    }
    Ok((header, items))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn folder(name: &str) -> impl Iterator<Item = Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        fs::read_dir(folder).expect("the fixtures").map(|file| fs::read(file.expect("a file").path()).expect("it is read"))
    }

    #[test]
    fn the_fixtures_of_the_protocol_are_split() {
        let mut items = 0;
        for envelope in folder("valid") {
            items += split(&envelope).expect("it is valid").1.len();
        }
        assert!(items > 20, "only {items} items");
    }

    #[test]
    fn what_is_written_differently_is_refused() {
        let item = "{\"type\":\"event\",\"length\":2}\n{}\n";
        for broken in [
            "{}\n{\"type\":\"event\",\"length\":9}\n{}",
            "{}\n{\"type\":\"event\",\"length\":1}\n{}",
            "{}\n{\"length\":2}\n{}",
            "{}\n[]\n{}",
            "{}\n\n{}",
            "{}\n{\"type\":\"event\",\"length\":-1}\n{}",
            "{}\n{\"type\":\"event\",\"type\":\"session\",\"length\":2}\n{}",
            &format!("{{}}\n{}", item.repeat(ITEMS_LIMIT + 1)),
            &format!("{{}}\n{{\"type\":\"{}\"}}\n{{}}", "x".repeat(LINE_LIMIT)),
        ] {
            assert_eq!(split(broken.as_bytes()), Err(BROKEN), "{broken}");
        }
        assert_eq!(split(format!("{{}}\n{}", item.repeat(ITEMS_LIMIT)).as_bytes()).map(|(_, items)| items.len()), Ok(ITEMS_LIMIT));
    }

    #[test]
    fn a_header_has_one_dsn_as_text() {
        assert_eq!(dsn(br#"{"dsn":"https://k@h/1","sdk":{}}"#), Ok("https://k@h/1".to_owned()));
        for broken in
            ["{}", r#"{"dsn":7}"#, r#"{"dsn":"a","dsn":"b"}"#, r#"{"dsn":["a"]}"#, "", "null", "[]", "{\"dsn\":\"a\"", " {\"dsn\":\"a\"}"]
        {
            assert!(dsn(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_or_refused(bytes in any::<Vec<u8>>(), text in "(\\{(\"type\":\"event\"|\"length\":[0-9]{1,3}|,)*\\}?\n?){0,6}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                if let Ok((header, items)) = split(bytes) {
                    let taken: usize = items.iter().map(|item| item.header.len() + item.payload.len()).sum();
                    prop_assert!(header.len() + taken <= bytes.len());
                }
                let _ = dsn(bytes);
            }
        }
    }
}
