//! What users say.

use serde::{Deserialize, Serialize};

use super::{EventId, SdkInfo, SpanId, Timestamp, TraceId};

/// What a user says, perhaps about an error: from a form of your own, say.
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
    /// The text. Servers refuse more than 4,096 characters: what lies behind is cut.
    pub message: String,
    /// Who says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where an answer may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_email: Option<String>,
    /// The page it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The event it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub associated_event_id: Option<EventId>,
}

impl Feedback {
    /// Characters a server takes.
    const MESSAGE_LIMIT: usize = 4096;

    /// A text by nobody about nothing in particular.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(Self::MESSAGE_LIMIT) {
            message.truncate(end);
        }
        Self { message, ..Self::default() }
    }

    /// Sets who says it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets where an answer may go.
    #[must_use]
    pub fn email(mut self, address: impl Into<String>) -> Self {
        self.contact_email = Some(address.into());
        self
    }

    /// Sets the page it is about.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Sets the event it is about: what [`capture_error`](crate::capture_error) or the
    /// [`event_header`](crate::SentryLayer::event_header) told.
    #[must_use]
    pub fn event_id(mut self, event_id: EventId) -> Self {
        self.associated_event_id = Some(event_id).filter(|id| !id.is_nil());
        self
    }
}

/// The item that carries it: an event whose contents are a context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeedbackEvent {
    /// Its id.
    pub event_id: EventId,
    /// When it was said.
    pub timestamp: Timestamp,
    /// Always `native`.
    pub platform: String,
    /// Always `feedback`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Who wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<SdkInfo>,
    /// The feedback, and the trace it was taken in.
    pub contexts: FeedbackContexts,
}

/// The contexts of a [`FeedbackEvent`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeedbackContexts {
    /// What was said.
    pub feedback: Feedback,
    /// The request that took it.
    pub trace: FeedbackTrace,
}

/// The request that took a feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeedbackTrace {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its root span.
    pub span_id: SpanId,
}

impl FeedbackEvent {
    /// The item for a feedback that is taken now.
    pub fn new(feedback: Feedback, trace_id: TraceId, span_id: SpanId) -> Self {
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

    /// About how many bytes it holds.
    pub(crate) fn size(&self) -> usize {
        let Feedback { message, name, contact_email, url, .. } = &self.contexts.feedback;
        let texts = [name, contact_email, url].into_iter().flatten().map(String::len);
        size_of::<Self>() + message.len() + texts.sum::<usize>()
    }
}
