//! User feedback.

use serde::{Deserialize, Serialize};

use super::{Attachment, EventId, SdkInfo, SpanId, Timestamp, TraceId};

/// User feedback, optionally about an event, for example from your own form.
///
/// # Examples
///
/// ```
/// use tower_sentry::protocol::Feedback;
///
/// let said = Feedback::new("the cart was empty after I paid").name("Jane").email("jane@example.com");
/// assert_eq!(said.associated_event_id, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Feedback {
    /// The text.
    ///
    /// Servers reject more than 4,096 characters, so [`new`](Self::new) cuts a longer text. A text that was
    /// cut ends with `…`.
    pub message: String,
    /// The user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The user's e-mail address, for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_email: Option<String>,
    /// The URL of the page it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The id of the event it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub associated_event_id: Option<EventId>,
    /// Files that belong to it, such as a screenshot.
    #[serde(skip)]
    pub attachments: Vec<Attachment>,
}

impl Feedback {
    /// The maximum length that servers accept, in characters.
    const MESSAGE_LIMIT: usize = 4096;
    /// The longest word that is removed at a cut: half a token would not be recognised as a secret.
    const WORD_LIMIT: usize = 256;
    /// The maximum number of files.
    const FILES_LIMIT: usize = 10;
    /// The maximum size of all files together.
    pub(crate) const FILES_SIZE_LIMIT: usize = 4 * 1024 * 1024;

    /// Creates anonymous feedback with this text, not linked to an event.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.chars().nth(Self::MESSAGE_LIMIT).is_some() {
            let end = message.char_indices().nth(Self::MESSAGE_LIMIT - 1).map_or(0, |(end, _)| end);
            let word = message.get(..end).and_then(|kept| kept.rfind(char::is_whitespace));
            message.truncate(word.filter(|word| end - word <= Self::WORD_LIMIT).unwrap_or(end));
            message.push('…');
        }
        Self { message, ..Self::default() }
    }

    /// Sets the user's name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the user's e-mail address, for an answer.
    #[must_use]
    pub fn email(mut self, address: impl Into<String>) -> Self {
        self.contact_email = Some(address.into());
        self
    }

    /// Sets the URL of the page it is about.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Sets the id of the event it is about.
    ///
    /// The id comes from [`capture_error`](crate::capture_error) or from the
    /// [`event_header`](crate::SentryLayer::event_header). A nil id is ignored.
    #[must_use]
    pub fn event_id(mut self, event_id: EventId) -> Self {
        self.associated_event_id = Some(event_id).filter(|id| !id.is_nil());
        self
    }

    /// Attaches a file, such as a screenshot.
    ///
    /// At most ten files are sent, with 4 MiB in total. Further files are dropped with a warning and
    /// counted. Bytes that are not UTF-8 are sent unchanged.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::protocol::{Attachment, Feedback};
    ///
    /// let screenshot = Attachment::new("screenshot.png", *b"\x89PNG").content_type("image/png");
    /// let said = Feedback::new("the cart was empty after I paid").attachment(screenshot);
    /// assert_eq!(said.attachments.len(), 1);
    /// ```
    #[must_use]
    pub fn attachment(mut self, file: Attachment) -> Self {
        self.attachments.push(file);
        self
    }

    /// Removes and returns the files beyond the limits.
    pub(crate) fn take_excess(&mut self) -> Vec<Attachment> {
        let (mut files, mut left) = (0, Self::FILES_SIZE_LIMIT);
        let is_excess = |file: &mut Attachment| {
            let is_kept = files < Self::FILES_LIMIT && file.bytes.len() <= left;
            if is_kept {
                files += 1;
                left -= file.bytes.len();
            }
            !is_kept
        };
        self.attachments.extract_if(.., is_excess).collect()
    }

    /// The bytes of all files; the protocol counts an empty file as one.
    pub(crate) fn attached(&self) -> u64 {
        self.attachments.iter().map(|file| file.bytes.len().max(1) as u64).sum()
    }
}

/// The item that carries feedback: an event with the feedback as a context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FeedbackEvent {
    /// The id of the item.
    pub event_id: EventId,
    /// The time of the feedback.
    pub timestamp: Timestamp,
    /// Always `native`.
    pub platform: String,
    /// Always `feedback`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The environment of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The SDK that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<SdkInfo>,
    /// The feedback, and the trace of the request that received it.
    pub contexts: FeedbackContexts,
}

/// The contexts of a [`FeedbackEvent`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FeedbackContexts {
    /// The feedback.
    pub feedback: Feedback,
    /// The trace of the request that received it.
    pub trace: FeedbackTrace,
}

/// The trace of the request that received the feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedbackTrace {
    /// The id of the trace.
    pub trace_id: TraceId,
    /// The id of the root span.
    pub span_id: SpanId,
}

impl Feedback {
    /// Whether the message was cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.message.ends_with('…') && self.message.chars().count() + Self::WORD_LIMIT >= Self::MESSAGE_LIMIT
    }
}

impl FeedbackEvent {
    /// Creates an item with a new id and the current time.
    pub(crate) fn new(feedback: Feedback, trace_id: TraceId, span_id: SpanId) -> Self {
        Self {
            event_id: EventId::new(),
            timestamp: Timestamp::now(),
            platform: "native".to_owned(),
            kind: "feedback".to_owned(),
            release: None,
            environment: None,
            sdk: None,
            contexts: FeedbackContexts { feedback, trace: FeedbackTrace { trace_id, span_id } },
        }
    }

    /// The approximate size in bytes.
    pub(crate) fn size(&self) -> usize {
        let Feedback { message, name, contact_email, url, .. } = &self.contexts.feedback;
        let texts = [name, contact_email, url].into_iter().flatten().map(String::len);
        let files = self.contexts.feedback.attachments.iter().map(|file| file.filename.len() + file.bytes.len());
        size_of::<Self>() + message.len() + texts.sum::<usize>() + files.sum::<usize>()
    }
}
