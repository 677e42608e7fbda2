//! The beginning of a body, kept while the body passes.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::fork::Lock;

/// The first bytes of a body. It is written by the body and read by the exporter.
#[derive(Debug)]
pub(crate) struct BodySample {
    /// The media type without parameters, in small letters, and the boundary of its parts.
    pub(crate) media_type: String,
    pub(crate) boundary: Option<String>,
    pub(crate) encoding: String,
    limit: usize,
    kept: Lock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// All bytes that have passed.
    passed: u64,
    has_ended: bool,
}

impl BodySample {
    /// Prepares to keep at most `limit` bytes of a body with these headers.
    pub(crate) fn new(headers: &HeaderMap, limit: usize) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut parameters = text(CONTENT_TYPE).split(';').map(str::trim);
        let media_type = parameters.next().unwrap_or_default().to_ascii_lowercase();
        let boundary = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"').to_owned())
        });
        Self {
            media_type,
            boundary,
            encoding: text(CONTENT_ENCODING).trim().to_ascii_lowercase(),
            limit,
            kept: Lock::of_first(Kept::default()),
        }
    }

    /// Keeps the beginning of a frame that has `len` bytes.
    pub(crate) fn add(&self, first: &[u8], len: usize) {
        let mut kept = self.kept.lock();
        // After a gap nothing fits any more.
        if kept.passed == kept.bytes.len() as u64 {
            let room = self.limit - kept.bytes.len();
            let taken = first.get(..room.min(first.len())).unwrap_or_default();
            kept.bytes.extend_from_slice(taken);
        }
        kept.passed = kept.passed.saturating_add(len as u64);
    }

    /// Notes that the body has ended.
    pub(crate) fn end(&self) {
        self.kept.lock().has_ended = true;
    }

    /// Reads the kept bytes. `look` gets them, the number that have passed, and whether these are all.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&[u8], u64, bool) -> R) -> R {
        let kept = self.kept.lock();
        let (bytes, passed, has_ended) = (kept.bytes.clone(), kept.passed, kept.has_ended);
        // The request goes on while the exporter unpacks the copy.
        drop(kept);
        look(&bytes, passed, has_ended && passed == bytes.len() as u64)
    }
}

/// What is kept of the bodies of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies {
    pub(crate) request: Option<Arc<BodySample>>,
    /// The headers of the response, and its body if that is kept.
    pub(crate) response: Option<(HeaderMap, Option<Arc<BodySample>>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_kept_and_the_rest_is_counted() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("Multipart/Form-Data; charset=x; Boundary=\"--b1\""));
        let sample = BodySample::new(&headers, 5);

        assert_eq!((sample.media_type.as_str(), sample.boundary.as_deref()), ("multipart/form-data", Some("--b1")));
        for frame in ["abc", "def", "ghi"] {
            sample.add(frame.as_bytes(), 3);
        }
        sample.end();
        assert_eq!(sample.read(|bytes, passed, is_all| (bytes.to_vec(), passed, is_all)), (b"abcde".to_vec(), 9, false));
    }

    #[test]
    fn nothing_is_kept_behind_a_gap() {
        let sample = BodySample::new(&HeaderMap::new(), 100);
        sample.add(b"ab", 2);
        sample.end();
        assert!(sample.read(|bytes, _, is_all| bytes == b"ab" && is_all));

        // A frame of several pieces, of which the first is known.
        sample.add(b"cd", 10);
        sample.add(b"ef", 2);
        assert!(sample.read(|bytes, passed, is_all| bytes == b"abcd" && passed == 14 && !is_all));
    }
}
