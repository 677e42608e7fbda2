//! The place of a value in a payload, which decides how the value is redacted.

use super::{headers, names};

/// The place of a value, from the names of our own fields above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValuePlace {
    /// Any value: texts are searched for secrets, and keys of maps are judged.
    Open,
    /// A number as text.
    Digits,
    /// An id: only hexadecimal digits.
    Id,
    /// A text that should be the id of a span: it is trusted if it has 16 hexadecimal digits.
    IdText,
    /// Only our own text.
    Own,
    /// The header of an envelope.
    Header,
    /// The dynamic sampling context.
    Sampling,
    Request,
    /// The body of a request.
    Body,
    /// The context `response`, as a map.
    Response,
    /// Header values by name.
    Headers,
    /// A map whose keys name groups, not values.
    Groups,
    /// The links of a span.
    Links,
    /// A map whose values have their type beside them.
    Typed,
    Query,
    Url,
    /// A map with the fields of a user.
    User,
    /// The cookies of a request, as one text or by name.
    Cookies,
    /// The value of one cookie.
    Cookie,
    /// The value of a header that is not known to be harmless.
    UnknownHeader,
    /// The name of a transaction, a fingerprint or a digest. Different ones must stay different.
    Name,
    /// A name of the program, or a release.
    Identifier,
}

impl ValuePlace {
    /// Returns the place of a header's value: a URL for headers that contain one.
    pub(super) fn of_header(name: &str) -> Self {
        match name {
            "cookie" => Self::Cookies,
            _ if headers::is_url(name) => Self::Url,
            "if-match" | "if-none-match" | "if-range" => Self::Name,
            _ if names::is_of_digest(name) => Self::Name,
            _ if headers::is_harmless(name) => Self::Open,
            _ => Self::UnknownHeader,
        }
    }

    /// Returns the place of an attribute that the conventions define as a URL or a query.
    #[inline]
    pub(super) fn of_attribute(name: &str) -> Self {
        match name {
            "url.full" | "http.url" | "url" | "http.target" | "url.path" | "url.original" => Self::Url,
            "url.query" | "http.query" | "query_string" => Self::Query,
            "sentry.segment.id" => Self::IdText,
            "sentry.segment.name" => Self::Name,
            "sentry.release" | "sentry.environment" => Self::Identifier,
            _ => Self::Open,
        }
    }

    /// Whether the place is that of one value, and not of a struct with fields. The value of a typed attribute is one level
    /// deeper than its name, beside its `type`.
    #[expect(clippy::inline_always, reason = "a part of `field`")]
    #[inline(always)]
    const fn is_of_one_value(self) -> bool {
        matches!(
            self,
            Self::Query | Self::Url | Self::Name | Self::Identifier | Self::IdText | Self::Cookies | Self::Cookie | Self::UnknownHeader
        )
    }

    /// Returns the place of a field of one of our own structs.
    #[expect(clippy::inline_always, reason = "the name is a constant, and with it most of the answer")]
    #[inline(always)]
    pub(super) fn field(self, field: &'static str) -> Self {
        match (self, field) {
            (place, _) if place.is_of_one_value() => {
                if field == "type" {
                    Self::Open
                } else {
                    self
                }
            }
            (Self::Own, _) => self,
            (Self::Header, "trace") => Self::Sampling,
            (Self::Sampling, "transaction") => Self::Name,
            (Self::Sampling, "release" | "environment") => Self::Identifier,
            // The headers of a request or a response.
            (_, "headers") => Self::Headers,
            (Self::Request, "query_string") => Self::Query,
            (Self::Request, "url") => Self::Url,
            (Self::Request, "data") => Self::Body,
            (_, "links") => Self::Links,
            (Self::Links, "attributes") => Self::Open,
            (_, "attributes") => Self::Typed,
            (_, "contexts") => Self::Groups,
            (_, "request") => Self::Request,
            (_, "user") => Self::User,
            (Self::Sampling, _) | (_, "instruction_addr" | "level" | "modules" | "sdk") => Self::Own,
            (_, "transaction" | "fingerprint") => Self::Name,
            (_, "release" | "environment" | "function" | "module" | "filename" | "package" | "monitor_slug") => Self::Identifier,
            // In our structs, these have the types of ids.
            (_, "event_id" | "trace_id" | "span_id" | "parent_span_id" | "check_in_id" | "associated_event_id") => Self::Id,
            _ => Self::Open,
        }
    }
}
