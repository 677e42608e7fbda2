//! Shows what would be sent for a request.

use std::fmt;
use std::sync::Arc;

use http::Request;

use super::request::{copy_headers, describe, matched_path, peer};
use crate::client::Config;
use crate::payload::{self, TransactionPayload};
use crate::protocol::{EventId, forwarded};
use crate::record::Record;
use crate::redaction::{Explanation, Redactor};

/// What would be sent for a request, and what would be hidden. Made by [`Config::explain_request`].
#[derive(Clone, Debug)]
pub struct Preview {
    json: String,
    hidden: Vec<Explanation>,
}

impl Preview {
    /// The transaction as it would be sent, as JSON.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The fields that are hidden, each with the rule that hides it, without the values.
    pub fn hidden(&self) -> &[Explanation] {
        &self.hidden
    }
}

/// Shows the JSON, and a line for each value that is hidden.
impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json)?;
        self.hidden.iter().try_for_each(|hidden| write!(f, "\nhidden: {hidden}"))
    }
}

impl Config {
    /// Shows what would be sent for a request with these settings, and which rules hide what.
    ///
    /// Nothing is sent. The preview contains what is known of a request when it arrives. It does not
    /// contain the data that your code adds, and hooks are not called.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::Request;
    /// use tower_sentry::Config;
    ///
    /// let request = Request::get("https://shop.example/orders?token=t0p-s3cret")
    ///     .header("authorization", "Bearer t0p-s3cret")
    ///     .header("accept", "text/html")
    ///     .body(())?;
    ///
    /// let preview = Config::builder().build()?.explain_request(&request);
    ///
    /// assert!(preview.json().contains("text/html") && !preview.json().contains("t0p-s3cret"));
    /// let hidden: Vec<_> = preview.hidden().iter().map(|found| found.field()).collect();
    /// assert!(hidden.contains(&"request.headers.authorization") && hidden.contains(&"request.query_string"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain_request<B>(&self, request: &Request<B>) -> Preview {
        let settings = self.settings();
        let (headers, privacy) = (request.headers(), &settings.privacy);
        let mut record = Record::default();
        let host = copy_headers(headers, &privacy.redaction, &mut record).host;
        describe(request, host, privacy.trusted_hops, &mut record);
        if privacy.send_default_pii {
            record.request.client = forwarded::client_address(headers, peer(request), privacy.trusted_hops);
        }
        if let Some(route) = matched_path(request) {
            record.name_by_route(route);
        }
        record.seal_scope();
        let name = payload::name(&record);
        let payload = TransactionPayload { event_id: EventId::new(), record: &record, name: &name, profile: None, facts: &settings.facts };
        let redactor = Redactor::new(Arc::clone(&privacy.redaction), privacy.send_default_pii);
        // A record consists of bytes and numbers, all of which can be serialised.
        let explained = redactor.explained(&payload).ok().and_then(|(json, found)| Some((String::from_utf8(json).ok()?, found)));
        let (json, mut hidden) = explained.unwrap_or_default();
        // These values are not even copied into the record.
        let withheld = headers.iter().filter(|(name, value)| value.is_sensitive() || privacy.redaction.withholds(name.as_str()));
        hidden.extend(withheld.map(|(name, value)| Explanation::withheld(format!("request.headers.{name}"), value.len())));
        Preview { json, hidden }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hidden_part_is_explained_and_not_shown() {
        let request = Request::get("https://shop.example/orders?token=t0p-s3cret&page=2")
            .header("authorization", "Bearer t0p-s3cret")
            .header("x-api-key", "t0p-s3cret")
            .header("x-real-ip", "192.0.2.7")
            .header("accept", "text/html")
            .body(())
            .unwrap();
        let hidden = |config: &Config| {
            let shown = config.explain_request(&request).to_string();
            assert!(!shown.contains("t0p-s3cret") && shown.contains("text/html") && shown.contains("page=2"), "{shown}");
            shown.lines().filter_map(|line| line.strip_prefix("hidden: ")).map(str::to_owned).collect::<Vec<_>>()
        };

        let without_pii = hidden(&Config::builder().build().unwrap());
        let with_pii = hidden(&Config::builder().send_default_pii(true).build().unwrap());

        let secrets = ["request.headers.authorization: a secret name", "request.headers.x-api-key: a secret name"];
        let address = "request.headers.x-real-ip: a token or an address in a header";
        for expected in secrets.into_iter().chain(["request.query_string: a secret name"]) {
            assert!(without_pii.iter().chain(&with_pii).filter(|line| *line == expected).count() == 2, "{without_pii:?} {with_pii:?}");
        }
        assert!(without_pii.iter().any(|line| line == address) && !with_pii.iter().any(|line| line == address), "{without_pii:?}");
    }
}
