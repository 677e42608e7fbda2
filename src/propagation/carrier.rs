//! Carriers of a trace between services: the headers of a request, a message or a job.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use http::{HeaderMap, HeaderName, HeaderValue};

/// A carrier of a trace: a map of texts whose names ignore case.
///
/// Implemented for `http::HeaderMap` and for maps of `String`. Implement its two methods for your
/// own carrier, such as the metadata of a queue.
pub trait Carrier {
    /// Returns the value of a name.
    ///
    /// Several lines of a header are joined by commas.
    fn get(&self, name: &str) -> Option<Cow<'_, str>>;

    /// Sets the value of a name.
    ///
    /// A value that the carrier cannot hold is left out.
    fn set(&mut self, name: &'static str, value: String);
}

impl Carrier for HeaderMap {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut lines = self.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
        let first = lines.next()?;
        Some(lines.fold(first, |joined, line| Cow::Owned(format!("{joined},{line}"))))
    }

    fn set(&mut self, name: &'static str, value: String) {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Returns the value of a name that differs only in case.
fn in_any_case<'a>(map: impl IntoIterator<Item = (&'a String, &'a String)>, name: &str) -> Option<&'a String> {
    map.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

impl<S: BuildHasher> Carrier for HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = Self::get(self, name).or_else(|| in_any_case(self, name))?;
        Some(Cow::Borrowed(value))
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.retain(|other, _| !other.eq_ignore_ascii_case(name));
        self.insert(name.to_owned(), value);
    }
}

impl Carrier for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = Self::get(self, name).or_else(|| in_any_case(self, name))?;
        Some(Cow::Borrowed(value))
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.retain(|other, _| !other.eq_ignore_ascii_case(name));
        self.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A carrier with one incoming entry whose name is spelled as given.
    fn texts<C: FromIterator<(String, String)>>(name: &str, value: &str) -> C {
        std::iter::once((name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_name_is_found_in_whatever_case_a_queue_has_left_it() {
        for name in ["sentry-trace", "Sentry-Trace", "SENTRY-TRACE"] {
            let hashed: HashMap<String, String> = texts(name, "old");
            let sorted: BTreeMap<String, String> = texts(name, "old");
            let headers = HeaderMap::from_iter([(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("old"))]);
            let carriers: [&dyn Carrier; 3] = [&hashed, &sorted, &headers];

            for carrier in carriers {
                assert_eq!(carrier.get("sentry-trace").as_deref(), Some("old"), "{name}");
                assert_eq!(carrier.get("baggage"), None);
            }
        }
    }

    #[test]
    fn what_is_set_takes_the_place_of_what_was_there() {
        let mut hashed: HashMap<String, String> = texts("Sentry-Trace", "old");
        let mut sorted: BTreeMap<String, String> = texts("Sentry-Trace", "old");
        let mut headers = HeaderMap::new();
        headers.append("sentry-trace", HeaderValue::from_static("old"));
        headers.append("sentry-trace", HeaderValue::from_static("older"));

        let carriers: [&mut dyn Carrier; 3] = [&mut hashed, &mut sorted, &mut headers];
        for carrier in carriers {
            carrier.set("sentry-trace", "new".to_owned());
            assert_eq!(carrier.get("sentry-trace").as_deref(), Some("new"));
        }

        assert_eq!((hashed.len(), sorted.len(), headers.len()), (1, 1, 1));
    }
}
