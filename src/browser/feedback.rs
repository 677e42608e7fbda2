//! The endpoint for feedback.

use axum::body::Body;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest as _, Request};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::Deserialize;

use super::refusal::Refusal;
use crate::client::Client;
use crate::protocol::{Attachment, EventId, Feedback};
use crate::scope::Scope;

/// Receives a user's feedback.
#[derive(Debug)]
pub(super) struct FeedbackRoute {
    pub(super) client: Client,
}

/// The fields of a form, or of JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    message: String,
    name: String,
    email: String,
    url: String,
    #[serde(alias = "associated_event_id", alias = "eventId")]
    event_id: String,
    #[serde(skip)]
    files: Vec<Attachment>,
}

/// The form of the request, which is also the form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Multipart,
    Plain,
}

/// The longest text of a field besides the message, in characters.
const SHORT: usize = 1000;
const UNREADABLE: Refusal = Refusal::Malformed("expected a form or JSON with the field `message`");

impl FeedbackRoute {
    pub(super) async fn take(&self, request: Request) -> Result<Response, Refusal> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let form = match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "multipart/form-data" => Form::Multipart,
            "application/x-www-form-urlencoded" => Form::Plain,
            "application/json" => Form::Json,
            _ => return Err(UNREADABLE),
        };
        let fields = match form {
            Form::Json => serde_json::from_slice(&whole(request).await?).map_err(|_| UNREADABLE)?,
            Form::Plain => Fields::of_pairs(&whole(request).await?),
            Form::Multipart => Fields::of_parts(request).await?,
        };
        let id = Scope::of(self.client.clone()).capture_feedback(fields.into_feedback()?);
        let (kind, text) = match form {
            Form::Json => ("application/json", format!("{{\"id\":\"{id}\"}}")),
            Form::Multipart | Form::Plain => ("text/plain; charset=utf-8", "Thank you. Your message was sent.\n".to_owned()),
        };
        let mut response = (StatusCode::OK, Body::from(text)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(response)
    }
}

async fn whole(request: Request) -> Result<Bytes, Refusal> {
    use axum::RequestExt as _;

    let body = request.with_limited_body().into_body().collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| refused(&error))
}

/// Returns why a body could not be read. The layer that limits the body reports that in its error.
fn refused(error: &(dyn std::error::Error + 'static)) -> Refusal {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let is_limit = |error: &(dyn std::error::Error + 'static)| error.is::<http_body_util::LengthLimitError>();
    if causes.into_iter().any(is_limit) { Refusal::TooLarge } else { Refusal::BrokenOff }
}

fn of_multipart(error: &MultipartError) -> Refusal {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => Refusal::Malformed("expected a valid form"),
    }
}

impl Fields {
    fn of_pairs(body: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            fields.set(&name, value.into_owned());
        }
        fields
    }

    async fn of_parts(request: Request) -> Result<Self, Refusal> {
        let mut parts = Multipart::from_request(request, &()).await.map_err(|_| UNREADABLE)?;
        let mut fields = Self::default();
        while let Some(part) = parts.next_field().await.map_err(|error| of_multipart(&error))? {
            if let Some(name) = part.file_name().map(file_name) {
                fields.files.extend(file(part, name).await.map_err(|error| of_multipart(&error))?);
            } else {
                let name = part.name().unwrap_or_default().to_owned();
                let value = part.bytes().await.map_err(|error| of_multipart(&error))?;
                fields.set(&name, String::from_utf8_lossy(&value).into_owned());
            }
        }
        Ok(fields)
    }

    fn set(&mut self, name: &str, value: String) {
        let field = match name {
            "message" => &mut self.message,
            "name" => &mut self.name,
            "email" => &mut self.email,
            "url" => &mut self.url,
            "event_id" | "associated_event_id" | "eventId" => &mut self.event_id,
            _ => return,
        };
        *field = value;
    }

    fn into_feedback(self) -> Result<Feedback, Refusal> {
        let Self { message, name, email, url, event_id, files } = self;
        if message.trim().is_empty() {
            return Err(UNREADABLE);
        }
        if [&name, &email, &url].into_iter().any(|text| text.chars().count() > SHORT) {
            return Err(Refusal::Malformed("expected at most 1,000 characters in each field but `message`"));
        }
        let mut feedback = Feedback::new(message);
        let given = |text: String| Some(text).filter(|text| !text.trim().is_empty());
        (feedback.name, feedback.contact_email, feedback.url) = (given(name), given(email), given(url));
        if let Some(event_id) = given(event_id) {
            let event_id: EventId = event_id.trim().parse().map_err(|_| Refusal::Malformed("expected the id of an event in `event_id`"))?;
            feedback = feedback.event_id(event_id);
        }
        Ok(files.into_iter().fold(feedback, Feedback::attachment))
    }
}

/// A file of the form; `None` if none was chosen.
async fn file(part: Field<'_>, name: String) -> Result<Option<Attachment>, MultipartError> {
    let kind = part.content_type().filter(|kind| kind.len() <= 100 && kind.bytes().all(|byte| byte.is_ascii_graphic())).map(str::to_owned);
    let bytes = part.bytes().await?;
    if name.is_empty() && bytes.is_empty() {
        return Ok(None);
    }
    let file = Attachment { content_type: kind, ..Attachment::new(if name.is_empty() { "file".to_owned() } else { name }, bytes) };
    Ok(Some(file))
}

/// The name of a file, without the folders that some browsers add.
fn file_name(given: &str) -> String {
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars().filter(|letter| !letter.is_control()).take(200).collect()
}
