//! Files attached to an event.

use std::fmt;

/// A file that is attached to events, such as a configuration or a rejected document.
///
/// Text is redacted like all other data: JSON by key names and by patterns, other UTF-8 by
/// patterns. **Bytes that are not UTF-8 are sent unchanged.**
///
/// # Examples
///
/// ```
/// use tower_sentry::protocol::Attachment;
///
/// let rejected = Attachment::new("order.json", br#"{"item":7}"#.to_vec()).content_type("application/json");
/// assert_eq!(rejected.filename, "order.json");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// The name of the file.
    pub filename: String,
    /// The media type.
    ///
    /// Defaults to `application/octet-stream`.
    pub content_type: Option<String>,
    /// The contents.
    pub bytes: Vec<u8>,
}

impl Attachment {
    /// Creates a file with this name and contents.
    #[must_use]
    pub fn new(filename: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { filename: filename.into(), content_type: None, bytes: bytes.into() }
    }

    /// Sets the media type.
    #[must_use]
    pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
        self.content_type = Some(media_type.into());
        self
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("filename", &self.filename).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}
