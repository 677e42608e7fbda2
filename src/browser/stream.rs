//! A body that passes the tunnel.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame};

use super::inflate::{Encoding, Inflate};
use super::passage::Passage;
use super::refusal::Refusal;
use crate::fork::Lock;

/// A body that is arriving.
pub(super) struct Arriving {
    body: Body,
    inflate: Inflate,
    raw_left: usize,
    is_over: bool,
}

/// A part of a body: the bytes as they came, and the same bytes uncompressed.
pub(super) struct Chunk {
    pub(super) raw: Bytes,
    pub(super) plain: Vec<u8>,
}

impl Arriving {
    /// Refuses a body of more than `limit` bytes, compressed or uncompressed.
    pub(super) fn new(body: Body, encoding: Encoding, limit: usize) -> Self {
        Self { body, inflate: Inflate::new(encoding, limit), raw_left: limit, is_over: false }
    }

    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Refusal>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let raw = loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(raw) => break raw,
                    Err(_trailers) => {}
                },
                Some(Err(_)) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(Refusal::BrokenOff)));
                }
                None => {
                    self.is_over = true;
                    let ended = self.inflate.finish();
                    return Poll::Ready(Some(ended.map(|()| Chunk { raw: Bytes::new(), plain: self.inflate.take() })));
                }
            }
        };
        let read = self.raw_left.checked_sub(raw.len()).ok_or(Refusal::TooLarge).and_then(|left| {
            self.raw_left = left;
            self.inflate.push(&raw)
        });
        self.is_over = read.is_err();
        Poll::Ready(Some(read.map(|()| Chunk { raw, plain: self.inflate.take() })))
    }
}

/// A large replay that is forwarded with its own bytes, and checked while it is forwarded.
pub(super) struct ReplayBody {
    /// The bytes that arrived before the replay was known to be large. They are checked already.
    head: Option<Bytes>,
    /// Never locked: the lock only makes the body `Sync`, which the HTTP client needs.
    rest: Lock<(Arriving, Passage)>,
    refusal: Arc<Lock<Option<Refusal>>>,
}

impl ReplayBody {
    /// Also returns the place for the reason if the body is refused while it is forwarded.
    pub(super) fn new(head: Bytes, rest: Arriving, passage: Passage) -> (Self, Arc<Lock<Option<Refusal>>>) {
        let refusal = Arc::new(Lock::new(None));
        (Self { head: Some(head), rest: Lock::new((rest, passage)), refusal: Arc::clone(&refusal) }, refusal)
    }
}

impl http_body::Body for ReplayBody {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        let this = &mut *self;
        if let Some(head) = this.head.take() {
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        let (arriving, passage) = this.rest.get_mut();
        let Some(chunk) = ready!(arriving.poll_chunk(cx)) else { return Poll::Ready(None) };
        let passed = chunk.and_then(|chunk| {
            passage.push(&chunk.plain)?;
            // The last chunk is the one without bytes.
            if chunk.raw.is_empty() && arriving.is_over {
                passage.finish()?;
            }
            Ok(chunk.raw)
        });
        Poll::Ready(Some(match passed {
            Ok(raw) => Ok(Frame::data(raw)),
            Err(refusal) => {
                *this.refusal.lock() = Some(refusal);
                Err(Stopped)
            }
        }))
    }
}

/// The body was refused while it was forwarded.
#[derive(Debug)]
pub(super) struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rest of the body is refused")
    }
}

impl std::error::Error for Stopped {}
