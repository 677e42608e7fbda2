//! Writes the beginning of a body so that the redactor judges each value by its name: as a JSON text, which
//! all servers accept.

use std::io::Read as _;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::record::{BodySample, CUT_MARK, without_cut_word};

/// Returns the text that is sent for a body: JSON, the text itself, or a note that it was left out. `None` if
/// the body is empty or not read yet.
pub(super) fn data(sample: &BodySample) -> Option<String> {
    sample.read(|bytes, passed, is_whole| {
        if bytes.is_empty() {
            return None;
        }
        let left_out = || Some(format!("[left out: {passed} bytes of {}]", shown(&sample.media_type)));
        let unpacked = match sample.encoding.as_str() {
            "" | "identity" => None,
            "gzip" | "x-gzip" => Some(unpack(bytes)),
            _ => return left_out(),
        };
        let (bytes, is_whole) = unpacked.as_ref().map_or((bytes, is_whole), |(bytes, ends)| (bytes.as_slice(), is_whole && *ends));
        let text = Text::of(bytes, is_whole);
        match sample.media_type.as_str() {
            "application/x-www-form-urlencoded" => Some(form(&text)),
            "multipart/form-data" => sample.boundary.as_ref().map(|boundary| multipart(&text, boundary)).or_else(left_out),
            kind if is_text(kind) => Some(text.marked()),
            _ => left_out(),
        }
    })
}

fn is_text(kind: &str) -> bool {
    const OTHERS: [&str; 5] = ["application/json", "application/graphql", "application/x-ndjson", "application/jsonl", "application/yaml"];
    kind.starts_with("text/") || kind.ends_with("+json") || kind.ends_with("xml") || OTHERS.contains(&kind)
}

fn shown(media_type: &str) -> &str {
    if media_type.is_empty() { "an unknown type" } else { media_type }
}

/// At most this many bytes of a compressed body are unpacked.
const UNPACKED_LIMIT: u64 = 256 * 1024;

/// Unpacks the beginning of a gzip stream. The second value says whether it was read to its end.
fn unpack(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let read = flate2::read::GzDecoder::new(bytes).take(UNPACKED_LIMIT).read_to_end(&mut out);
    let ends = read.is_ok() && (out.len() as u64) < UNPACKED_LIMIT;
    (out, ends)
}

/// The readable beginning of a body.
struct Text {
    text: String,
    is_whole: bool,
}

impl Text {
    fn of(bytes: &[u8], is_whole: bool) -> Self {
        let text = String::from_utf8_lossy(bytes);
        if is_whole {
            return Self { text: text.into_owned(), is_whole };
        }
        Self { text: without_cut_word(text.trim_end_matches('\u{fffd}')).to_owned(), is_whole }
    }

    fn marked(self) -> String {
        if self.is_whole { self.text } else { self.text + CUT_MARK }
    }
}

/// The values of a form by name. Several values of one name become a list.
fn form(text: &Text) -> String {
    let mut fields = Map::new();
    for pair in text.text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        add(&mut fields, decoded(name), decoded(value).into());
    }
    ended(fields, text)
}

fn decoded(part: &str) -> String {
    percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn add(fields: &mut Map<String, Value>, name: String, value: Value) {
    match fields.get_mut(&name) {
        None => drop(fields.insert(name, value)),
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// Marks in a map that the body was longer.
fn ended(mut fields: Map<String, Value>, text: &Text) -> String {
    if !text.is_whole {
        fields.insert(CUT_MARK.to_owned(), CUT_MARK.into());
    }
    Value::Object(fields).to_string()
}

/// The parts of a form with files, by name (RFC 7578). A file has only its name, media type and size.
fn multipart(text: &Text, boundary: &str) -> String {
    let mut fields = Map::new();
    let delimiter = format!("--{boundary}");
    for part in text.text.split(delimiter.as_str()).skip(1) {
        let part = part.trim_start_matches("\r\n").trim_start_matches('\n');
        let Some((head, content)) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n")) else { continue };
        let parameter = |name: &str| {
            let from = head.find(&format!(" {name}=\""))? + name.len() + 3;
            head.get(from..)?.split('"').next()
        };
        let Some(name) = parameter("name") else { continue };
        let content = content.strip_suffix("\r\n").or_else(|| content.strip_suffix('\n')).unwrap_or(content);
        let kind = head
            .lines()
            .find_map(|line| line.get(..13).filter(|name| name.eq_ignore_ascii_case("content-type:")).and_then(|_| line.get(13..)));
        let value = match (parameter("filename"), kind) {
            (None, None) => content.into(),
            (file, kind) => json!({ "file": file, "type": kind.map(str::trim), "bytes": content.len() }),
        };
        add(&mut fields, name.to_owned(), value);
    }
    ended(fields, text)
}
