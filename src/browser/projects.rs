//! The projects that the tunnel sends to.

use http::Uri;

use crate::diagnostics;
use crate::error::Error;
use crate::protocol::Dsn;
use crate::transport::{Endpoint, Http, HttpSettings};

/// A listed project: its address comes from here, and never from a request.
#[derive(Debug)]
pub(super) struct Project {
    /// Its DSN, as a browser writes it.
    text: String,
    pub(super) endpoint: Endpoint,
    pub(super) http: Http,
}

#[derive(Debug, Default)]
pub(super) struct Projects {
    listed: Vec<Project>,
}

impl Projects {
    pub(super) fn add(&mut self, dsn: &Dsn, settings: &HttpSettings) -> Result<(), Error> {
        let text = dsn.to_public_text();
        if self.find(&text).is_some() {
            return Ok(());
        }
        let url: &Uri = dsn.envelope_url();
        if let Some(what) = Http::lacks(url, settings) {
            return Err(Error::dsn(format!("a DSN of the tunnel: {what}")));
        }
        let http = Http::new(url, settings)?;
        // This is slow, so it must not happen in the first request. After a failure, the request tries again.
        if let Err(error) = http.prepare() {
            diagnostics::warn(&format!("the tunnel cannot send for now: {error:#}"));
        }
        self.listed.push(Project { text, endpoint: Endpoint::of_project(dsn), http });
        Ok(())
    }

    /// Returns the place of the project with exactly this DSN.
    ///
    /// The whole texts are compared, not their parts: two parsers may see different hosts in one text.
    pub(super) fn find(&self, dsn: &str) -> Option<usize> {
        self.listed.iter().position(|project| project.text == dsn)
    }

    pub(super) fn at(&self, place: usize) -> Option<&Project> {
        self.listed.get(place)
    }
}
