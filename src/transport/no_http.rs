//! Stands for the HTTP transport in a build without the feature `reqwest`.

use ::http::Uri;

use super::settings::HttpSettings;
use super::{BoxFuture, EnvelopeRequest, Transport, TransportError, TransportResponse};
use crate::error::Error;

/// Never exists.
#[derive(Debug)]
pub(crate) enum Http {}

const LACKS: &str = "sending needs the feature `reqwest` of tower-sentry, or a transport of your own";

impl Http {
    pub(crate) fn new(_: &Uri, _: &HttpSettings) -> Result<Self, Error> {
        Err(Error::exporter(LACKS))
    }

    pub(crate) fn prepare(&self) -> Result<(), Error> {
        match *self {}
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real transport can fail")]
    pub(crate) fn check(_: &Uri, _: &HttpSettings) -> Result<(), Error> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real transport can fail")]
    pub(crate) fn check_tls(_: &Uri, _: &HttpSettings) -> Result<(), Error> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real transport may lack nothing")]
    pub(crate) fn lacks(_: &Uri, _: &HttpSettings) -> Option<&'static str> {
        Some(LACKS)
    }
}

impl Transport for Http {
    fn send(&self, _: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
        match *self {}
    }
}
