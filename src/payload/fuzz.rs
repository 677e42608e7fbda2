//! Properties that hold for any query and any body.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::body;
use super::sql::{Dialect, without_values};
use crate::record::BodySample;

/// Checks any text of a query: without its values it is not longer, and no value is left.
pub(crate) fn sql(data: &[u8]) {
    let query = String::from_utf8_lossy(data.get(..8192).unwrap_or(data));
    for dialect in [Dialect::Unknown, Dialect::of("mysql"), Dialect::of("postgresql"), Dialect::of("sqlite"), Dialect::of("mssql")] {
        let once = without_values(&query, dialect).into_owned();
        assert!(once.len() <= query.len(), "{query:?} became {once:?}");
    }
}

/// The type of a body, its encoding, whether all of it was kept, and the body.
pub(crate) fn body(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [CONTENT_TYPE, CONTENT_ENCODING] {
        if let Some(value) = lines.next().and_then(|line| HeaderValue::from_bytes(line).ok()) {
            headers.insert(name, value);
        }
    }
    let bytes = lines.next().unwrap_or_default();
    for limit in [bytes.len(), bytes.len() / 2] {
        let sample = BodySample::new(&headers, limit);
        sample.add(bytes, bytes.len());
        sample.end();
        let _ = body::data(&sample);
    }
}
