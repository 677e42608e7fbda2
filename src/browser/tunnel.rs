//! The tunnel: receives an envelope, and forwards it to the project of its DSN.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task;

use super::envelope::{LINE_LIMIT, dsn, first_line, split};
use super::inflate::Encoding;
use super::passage::Passage;
use super::projects::{Project, Projects};
use super::redact::redacted;
use super::refusal::Refusal;
use super::settings::BrowserLimits;
use super::stream::{Arriving, Chunk, ReplayBody};
use crate::diagnostics::Quiet;
use crate::redaction::Redactor;
use crate::transport::{EnvelopeRequest, Transport as _, TransportError, TransportResponse};
use crate::unwind;

/// The tunnel of one router.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) projects: Projects,
    /// `None` if nothing is redacted.
    pub(super) redactor: Option<Redactor>,
    pub(super) forwards_address: bool,
    pub(super) limits: BrowserLimits,
    /// Limits how many large envelopes are redacted at once: as JSON values they take much more memory.
    pub(super) redactions: Semaphore,
    pub(super) trouble: Quiet,
}

/// An envelope that has arrived, or the beginning of a large one.
struct Arrived {
    raw: BytesMut,
    plain: Vec<u8>,
    /// The rest of a large envelope.
    rest: Option<Arriving>,
}

/// Redacting fewer bytes than this takes less time than a change of threads.
const LITTLE: usize = 16 * 1024;
/// How many large envelopes are redacted at once.
pub(super) const REDACTIONS: usize = 4;
/// By how much the gzip of an envelope may be larger than the envelope.
const GZIP_BYTES: usize = 64 * 1024;
/// Bodies with fewer bytes are not compressed.
const COMPRESS_FROM: usize = 1024;

impl Tunnel {
    /// Forwards an envelope. Its place stays taken until it is sent, even if the browser disconnects before.
    pub(super) async fn pass(
        self: Arc<Self>,
        address: Option<IpAddr>,
        request: Request,
        place: OwnedSemaphorePermit,
    ) -> Result<Response, Refusal> {
        let encoding = Encoding::of(request.headers())?;
        let limit = self.limits.max_envelope_bytes.max(self.limits.max_replay_bytes);
        let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(Refusal::TooLarge);
        }
        let address = address.filter(|_| self.forwards_address);
        let (arrived, place_of_project) = self.receive(Arriving::new(request.into_body(), encoding, limit)).await?;
        let project = self.projects.at(place_of_project).ok_or(Refusal::UnknownProject)?;
        let mut headers = project.endpoint.headers().clone();
        if let Some(address) = address.and_then(|address| HeaderValue::try_from(address.to_string()).ok()) {
            headers.insert(HeaderName::from_static("x-forwarded-for"), address);
        }
        if encoding == Encoding::Gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let Arrived { raw, plain, rest } = arrived;
        if let Some(rest) = rest {
            return self.stream(project, headers, raw.freeze(), &plain, rest).await;
        }
        let this = Arc::clone(&self);
        // What has arrived is redacted and sent, even if the browser disconnects: its place stays taken until then.
        let passing = task::spawn(async move {
            let _place = place;
            let project = this.projects.at(place_of_project).ok_or(Refusal::UnknownProject)?;
            let (body, headers) = this.redact(plain, raw.freeze(), headers).await?;
            Ok(send(project, headers, body).await)
        });
        self.answer(passing.await.map_err(|_| Refusal::Failed)??)
    }

    /// Receives an envelope, or the beginning of a large one. Also returns the place of its project.
    async fn receive(&self, mut arriving: Arriving) -> Result<(Arrived, usize), Refusal> {
        let (mut raw, mut plain) = (BytesMut::new(), Vec::new());
        let mut place = None;
        while let Some(chunk) = poll_fn(|cx| arriving.poll_chunk(cx)).await {
            let Chunk { raw: arrived, plain: mut meant } = chunk?;
            raw.extend_from_slice(&arrived);
            plain.append(&mut meant);
            if place.is_none() {
                place = self.project_of(&plain, false)?;
            }
            // Compressed bytes that mean nothing are many: they must not wait for a meaning.
            if plain.len() <= self.limits.max_envelope_bytes && raw.len() > self.limits.max_envelope_bytes.saturating_add(GZIP_BYTES) {
                return Err(Refusal::TooLarge);
            }
            if plain.len() > self.limits.max_envelope_bytes {
                let place = place.ok_or(Refusal::Malformed("expected an envelope"))?;
                return Ok((Arrived { raw, plain, rest: Some(arriving) }, place));
            }
        }
        let place = if place.is_some() { place } else { self.project_of(&plain, true)? };
        Ok((Arrived { raw, plain, rest: None }, place.ok_or(Refusal::Malformed("expected an envelope"))?))
    }

    /// Returns the place of the project, once the header has arrived.
    fn project_of(&self, plain: &[u8], is_whole: bool) -> Result<Option<usize>, Refusal> {
        let line = match first_line(plain) {
            Some((line, _)) => line,
            None if is_whole || plain.len() > LINE_LIMIT => plain,
            None => return Ok(None),
        };
        self.projects.find(&dsn(line)?).map(Some).ok_or(Refusal::UnknownProject)
    }

    /// Returns the bytes to send, and their headers. An envelope that needs no redaction keeps its bytes.
    async fn redact(&self, plain: Vec<u8>, raw: Bytes, mut headers: HeaderMap) -> Result<(Bytes, HeaderMap), Refusal> {
        let Some(redactor) = self.redactor.clone() else {
            split(&plain)?;
            return Ok((raw, headers));
        };
        let is_little = plain.len() <= LITTLE;
        // An envelope that cannot be redacted is not sent.
        let work =
            move || unwind::catch(|| redacted(&redactor, &plain).map(|redacted| redacted.map(compressed))).unwrap_or(Err(Refusal::Failed));
        let done = if is_little {
            work()
        } else {
            let _place = self.redactions.acquire().await;
            task::spawn_blocking(work).await.unwrap_or(Err(Refusal::Failed))
        };
        let Some((bytes, is_compressed)) = done? else { return Ok((raw, headers)) };
        if is_compressed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        } else {
            headers.remove(header::CONTENT_ENCODING);
        }
        Ok((bytes, headers))
    }

    /// Forwards a large replay while it arrives.
    async fn stream(&self, project: &Project, headers: HeaderMap, head: Bytes, plain: &[u8], rest: Arriving) -> Result<Response, Refusal> {
        let mut passage = Passage::new();
        passage.push(plain)?;
        let (body, refusal) = ReplayBody::new(head, rest, passage);
        let answer = project.http.stream(headers, reqwest::Body::wrap(body)).await;
        let refusal = *refusal.lock();
        refusal.map_or_else(|| self.answer(answer), Err)
    }

    /// The server's answer, as far as it concerns the browser.
    fn answer(&self, answer: Result<TransportResponse, TransportError>) -> Result<Response, Refusal> {
        const PASSED_ON: [&str; 3] = ["retry-after", "x-sentry-error", "x-sentry-rate-limits"];
        let answer = answer.map_err(|error| {
            self.trouble.warn(&format!("the tunnel for browsers: {error}: {}", error.reason()));
            Refusal::Unanswered
        })?;
        let status = answer.status();
        if !status.is_success() && status.as_u16() != 429 {
            self.trouble.warn(&format!("the tunnel for browsers: the server answers {status}{}", answer.explanation()));
        }
        // A redirection is not forwarded: it could send the page elsewhere.
        if status.is_redirection() || status.is_informational() {
            return Err(Refusal::Unanswered);
        }
        let mut response = (status, Body::from(answer.body().clone())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for name in PASSED_ON {
            for value in answer.headers().get_all(name) {
                headers.append(name, value.clone());
            }
        }
        Ok(response)
    }
}

/// Sends an envelope, once more if the connection breaks: the server may have closed it just before.
async fn send(project: &Project, headers: HeaderMap, body: Bytes) -> Result<TransportResponse, TransportError> {
    let request = EnvelopeRequest::new(None, headers, body);
    match project.http.send(request.clone()).await {
        Err(error) if !error.is_unreachable() && !error.is_timed_out() => project.http.send(request.on_new_connection(true)).await,
        answer => answer,
    }
}

fn compressed(plain: Vec<u8>) -> (Bytes, bool) {
    use std::io::Write as _;

    if plain.len() < COMPRESS_FROM {
        return (plain.into(), false);
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(plain.len() / 2), flate2::Compression::fast());
    match encoder.write_all(&plain).and_then(|()| encoder.finish()) {
        Ok(bytes) => (bytes.into(), true),
        Err(_) => (plain.into(), false),
    }
}
