//! Files that ride on an event.

use std::fmt;

/// A file that rides on events: a configuration, a rejected document.
///
/// Texts are redacted like everything else that leaves: JSON by names and shapes, other UTF-8 by shapes. **Bytes that are not UTF-8 leave as they
/// are.**
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
    /// What the file is called.
    pub filename: String,
    /// What it is, as a media type. Defaults to `application/octet-stream`.
    pub content_type: Option<String>,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl Attachment {
    /// A file of this name.
    #[must_use]
    pub fn new(filename: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { filename: filename.into(), content_type: None, bytes: bytes.into() }
    }

    /// Sets what the file is.
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
