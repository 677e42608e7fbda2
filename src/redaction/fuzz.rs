//! Properties that hold for any text that is redacted.

use std::sync::Arc;

use serde_json::Value;

use super::place::ValuePlace;
use super::{Redactor, oversize, scan, serializer, url};

/// Longer texts make each run slow, and find nothing that a shorter one does not.
const LONGEST: usize = 4096;

fn redactor() -> Redactor {
    Redactor::new(Arc::default(), false)
}

/// Any text: the result is bounded, does not change again, and is valid JSON at each place.
pub(crate) fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data.get(..LONGEST).unwrap_or(data));
    let redactor = redactor();
    let once = scan::scrub(&redactor, &text);
    assert!(once.len() <= 24 * text.len() + 64, "{} bytes from {}", once.len(), text.len());
    // A replacement may be read together with the words around it, once more.
    let twice = scan::scrub(&redactor, &once).into_owned();
    let thrice = scan::scrub(&redactor, &twice).into_owned();
    assert_eq!(scan::scrub(&redactor, &thrice), thrice, "from {text:?}");

    let places = [ValuePlace::Open, ValuePlace::Query, ValuePlace::Url, ValuePlace::Cookies, ValuePlace::UnknownHeader];
    for place in places.into_iter().chain([ValuePlace::Name, ValuePlace::Identifier, ValuePlace::Digits]) {
        let mut json = Vec::new();
        serializer::write(&redactor, &&*text, place, &mut json).expect("a text can be written");
        if place != ValuePlace::Digits {
            let _: String = serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{error} at {place:?}, from {text:?}"));
        }
    }
    if let Ok(value) = serde_json::from_str::<Value>(&text) {
        let mut json = Vec::new();
        serializer::write(&redactor, &value, ValuePlace::Open, &mut json).expect("a value can be written");
        let _: Value = serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{error} from {text:?}"));
        if let Some((smaller, _)) = oversize::reduced(&json, json.len() / 2 + 200) {
            assert!(smaller.len() <= json.len() / 2 + 200);
            let _: Value = serde_json::from_slice(&smaller).expect("valid JSON");
        }
    }
}

/// Any URL: a secret parameter behind it is hidden.
pub(crate) fn url(data: &[u8]) {
    const SECRET: &str = "c4n4ryc4n4ry";
    let text = String::from_utf8_lossy(data.get(..LONGEST).unwrap_or(data));
    if text.contains(SECRET) {
        return;
    }
    let redactor = redactor();
    let query = format!("{text}&access_token={SECRET}");
    assert!(!url::query(&redactor, &query).contains(SECRET), "from {query:?}");
    let address = format!("https://shop.example/{}?{query}", text.replace(['?', '#'], "/"));
    assert!(!url::url(&redactor, &address).contains(SECRET), "from {address:?}");
    let _ = redactor.rules.hide_parameters("/users/{token}/{id}", &text);
}
