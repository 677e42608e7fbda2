//! Writes payloads of other SDKs, whose shape is only known at run time.
//!
//! A name of the protocol is treated like a field of our own structs, but only at the path where the
//! protocol has it. All other names are judged, like those of a user's map.

use serde::Serialize as _;
use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::{Map, Result, Value};

use super::super::Redactor;
use super::super::json::Json;
use super::super::place::ValuePlace;
use super::ValueWriter;

/// Appends a redacted payload to a buffer.
pub(in crate::redaction) fn write_document(redactor: &Redactor, payload: &Value, out: &mut Vec<u8>) -> Result<()> {
    write(&mut Json { redactor, out, depth: 0, hid: false }, payload, Shape::Payload)
}

/// The part of the protocol that a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// An event, a transaction, or the container of other items.
    Payload,
    /// `exception` and `threads`: a list of traces, or an object with one.
    Traces,
    Trace,
    Frames,
    Frame,
    Request,
    /// Anything else, as its place requires.
    Value(ValuePlace),
}

impl Shape {
    /// The name and the shape of a field, if the protocol has a field of this name here and its place matters.
    fn field(self, name: &str) -> Option<(&'static str, Self)> {
        use ValuePlace::{Cookies, Groups, Headers, Identifier, Name, Query, Url, User};

        const PAYLOAD: [(&str, Shape); 11] = [
            ("contexts", Shape::Value(Groups)),
            ("dist", Shape::Value(Identifier)),
            ("environment", Shape::Value(Identifier)),
            ("exception", Shape::Traces),
            ("fingerprint", Shape::Value(Name)),
            ("release", Shape::Value(Identifier)),
            ("request", Shape::Request),
            ("stacktrace", Shape::Frames),
            ("threads", Shape::Traces),
            ("transaction", Shape::Value(Name)),
            ("user", Shape::Value(User)),
        ];
        const REQUEST: [(&str, Shape); 4] = [
            ("cookies", Shape::Value(Cookies)),
            ("headers", Shape::Value(Headers)),
            ("query_string", Shape::Value(Query)),
            ("url", Shape::Value(Url)),
        ];
        const FRAME: [(&str, Shape); 3] =
            [("filename", Shape::Value(Identifier)), ("function", Shape::Value(Identifier)), ("module", Shape::Value(Identifier))];
        let fields: &[(&'static str, Self)] = match self {
            Self::Payload => &PAYLOAD,
            Self::Traces => &[("values", Self::Trace)],
            Self::Trace => &[("stacktrace", Self::Frames)],
            Self::Frames => &[("frames", Self::Frame)],
            Self::Frame => &FRAME,
            Self::Request => &REQUEST,
            Self::Value(_) => &[],
        };
        fields.iter().find(|(known, _)| *known == name).copied()
    }

    /// The shape of the elements, if the value is a list.
    const fn element(self) -> Self {
        match self {
            Self::Traces => Self::Trace,
            Self::Trace | Self::Frame => self,
            Self::Payload | Self::Frames | Self::Request => Self::Value(ValuePlace::Open),
            Self::Value(place) => Self::Value(place),
        }
    }
}

fn write(json: &mut Json<'_>, value: &Value, shape: Shape) -> Result<()> {
    match (shape, value) {
        (Shape::Value(place), _) => value.serialize(ValueWriter { json, place: fitting(place, value), secret: None }),
        (_, Value::Object(fields)) => write_object(json, fields, shape),
        (_, Value::Array(values)) => {
            let is_open = json.enter(b'[');
            let mut is_first = true;
            for value in values.iter().filter(|_| is_open) {
                json.comma(&mut is_first);
                write(json, value, shape.element())?;
            }
            json.leave(is_open, b']');
            Ok(())
        }
        _ => value.serialize(ValueWriter { json, place: ValuePlace::Open, secret: None }),
    }
}

/// The place of a value. A value with another form than the protocol requires is judged like any value.
fn fitting(place: ValuePlace, value: &Value) -> ValuePlace {
    match (place, value) {
        // A query as a map, or cookies and queries as pairs: their names are judged.
        (ValuePlace::Query | ValuePlace::Url, Value::Object(_) | Value::Array(_)) | (ValuePlace::Cookies, Value::Array(_)) => {
            ValuePlace::Open
        }
        // A browser names the page in the frames of its inline scripts.
        (ValuePlace::Identifier, Value::String(text)) if text.contains("://") || text.contains('?') => ValuePlace::Url,
        _ => place,
    }
}

fn write_object(json: &mut Json<'_>, fields: &Map<String, Value>, shape: Shape) -> Result<()> {
    let mut map = ValueWriter { json, place: ValuePlace::Open, secret: None }.serialize_map(None)?;
    for (name, value) in fields {
        match shape.field(name) {
            Some((name, shape)) => map.own_entry(name, |json| write(json, value, shape))?,
            None => map.serialize_entry(name, value)?,
        }
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn written(payload: &Value) -> Value {
        let redactor = Redactor::new(Arc::default(), false);
        let written = redactor.document(payload).expect("a value is written");
        serde_json::from_slice(&written).expect("it is JSON")
    }

    #[test]
    fn a_payload_without_secrets_stays_as_it_is() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/valid");
        let mut payloads = 0;
        for file in fs::read_dir(folder).expect("the fixtures") {
            let bytes = fs::read(file.expect("a file").path()).expect("it is read");
            let lines = bytes.split(|byte| *byte == b'\n').skip(1).filter_map(|line| serde_json::from_slice::<Value>(line).ok());
            for payload in lines.filter(|line| line.get("event_id").is_some() || line.get("items").is_some()) {
                assert_eq!(written(&payload), payload);
                payloads += 1;
            }
        }
        assert!(payloads > 10, "only {payloads} payloads were read");
    }

    #[test]
    fn secrets_are_hidden_in_each_part() {
        let secret = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
        let event = json!({
            "message": format!("charged with {secret}"),
            "transaction": format!("/pay?api_key={secret}"),
            "release": "shop@1.0",
            "level": secret,
            "request": {
                "url": format!("https://shop.example/pay?token={secret}"),
                "query_string": [["token", secret]],
                "cookies": { "session": secret },
                "headers": { "Authorization": format!("Bearer {secret}"), "User-Agent": "curl/8" },
            },
            "user": { "id": "7", "note": secret },
            "extra": { "password": "hunter2hunter2", "request": { "headers": { "x-api-key": secret } } },
            "exception": { "values": [{ "value": secret, "stacktrace": { "frames": [{ "function": "pay", "vars": { "password": secret } }] } }] },
            "threads": [{ "stacktrace": { "frames": [{ "abs_path": format!("https://h/?token={secret}") }] } }],
            "breadcrumbs": [{ "message": secret, "data": { "url": format!("/x?token={secret}") } }],
            "contexts": { "state": { "password": secret } },
            "spans": [{ "description": secret, "data": { "http.query": format!("token={secret}") } }],
            "debug_meta": [secret],
        });

        let written = written(&event).to_string();

        assert!(!written.contains(secret) && !written.contains("hunter2"), "{written}");
        for kept in ["shop@1.0", "curl/8", "\"function\":\"pay\""] {
            assert!(written.contains(kept), "{kept}: {written}");
        }
    }

    #[test]
    fn the_address_of_a_script_and_the_cookies_of_a_browser_are_judged() {
        let frame = json!({
            "abs_path": "https://shop.example/reset?code=abc123x", "filename": "https://jane:pw@shop.example/reset#access_token=abc123x",
            "module": "reset?code=abc123x", "function": "Object.next?.call"
        });
        let event = json!({
            "exception": {"values": [{"stacktrace": {"frames": [frame, {"filename": "app:///main.js", "function": "f"}]}}]},
            "request": {"cookies": {"theme": "dark-blue", "login": "drei", "seen": "8f14e45fceea167a", "count": 7}},
            "contexts": {"response": {"headers": {"x-csrf-token": "drei", "age": "12"}, "cookies": "login=drei; theme=dark-blue"}},
        });

        let written = written(&event);

        let frames = &written["exception"]["values"][0]["stacktrace"]["frames"];
        assert_eq!(
            frames[0],
            json!({
                "abs_path": "https://shop.example/reset?code=[Filtered]",
                "filename": "https://[Filtered]:[Filtered]@shop.example/reset#access_token=[Filtered]",
                "module": "reset?code=[Filtered]", "function": "Object.next?.call"
            })
        );
        assert_eq!(frames[1], json!({"filename": "app:///main.js", "function": "f"}));
        assert_eq!(written["request"]["cookies"], json!({"theme": "dark-blue", "login": "[Filtered]", "seen": "[Filtered]", "count": 7}));
        assert_eq!(
            written["contexts"]["response"],
            json!({"headers": {"x-csrf-token": "[Filtered]", "age": "12"}, "cookies": "login=[Filtered]; theme=dark-blue"})
        );
    }

    #[test]
    fn a_name_of_the_protocol_at_another_place_is_judged() {
        let payload = json!({ "extra": { "user": { "password": "a8f5f167f44f" } }, "request": "Bearer abcdef123456" });

        assert_eq!(written(&payload), json!({ "extra": { "user": { "password": "[Filtered]" } }, "request": "Bearer [Filtered]" }));
    }
}
