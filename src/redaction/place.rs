//! The place of a value in a payload, where that says more than its type.

/// The place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Anything: texts are scrubbed, keys of maps are judged.
    Open,
    /// A number as text.
    Digits,
    /// Only our own text.
    Own,
    /// An id: only hexadecimal digits.
    Id,
    /// Header values by name.
    Headers,
    /// A map whose keys name groups, not values.
    Groups,
    /// A map whose values have their type beside them.
    Typed,
    Query,
    Url,
}

impl Place {
    /// Returns the place of a header's value: a URL for headers that contain one.
    pub(super) fn of_header(name: &str) -> Self {
        if matches!(name, "referer" | "origin" | "location" | "content-location") { Self::Url } else { Self::Open }
    }

    /// Returns the place of an attribute that the conventions define as a URL or a query.
    #[inline]
    pub(super) fn of_attribute(name: &str) -> Self {
        match name {
            "url.full" | "http.url" | "url" | "http.target" => Self::Url,
            "url.query" | "http.query" | "query_string" => Self::Query,
            _ => Self::Open,
        }
    }
}

/// The places of a struct's fields.
#[derive(Clone, Copy, Debug)]
pub(super) enum StructPlaces {
    Contexts,
    /// The dynamic sampling context.
    Sampling,
    Request,
    /// A value with its type; the value has the place that the attribute's name gives.
    Attribute(Place),
    /// A structured log.
    Log,
    /// A struct with its own ids.
    Marked,
    /// All of it is our own text.
    Own,
    Other,
}

impl StructPlaces {
    #[expect(clippy::inline_always, reason = "the name is a constant, and with it the answer")]
    #[inline(always)]
    pub(super) fn of(name: &'static str) -> Self {
        match name {
            "Contexts" => Self::Contexts,
            "DynamicSamplingContext" => Self::Sampling,
            "Request" => Self::Request,
            "Log" => Self::Log,
            "CheckIn" | "Feedback" => Self::Marked,
            "SdkInfo" | "SdkPackage" | "SdkSettings" | "ClientReport" | "DiscardedEvent" => Self::Own,
            _ => Self::Other,
        }
    }

    #[expect(clippy::inline_always, reason = "the name is a constant, and with it the answer")]
    #[inline(always)]
    pub(super) fn field(self, field: &'static str) -> Place {
        match (self, field) {
            (Self::Attribute(place), "value") => place,
            (Self::Contexts, _) | (_, "contexts") => Place::Groups,
            (Self::Log, "attributes") => Place::Typed,
            (Self::Sampling, "transaction" | "release" | "environment") => Place::Open,
            (Self::Request, "query_string") => Place::Query,
            (Self::Request, "url") => Place::Url,
            (Self::Request, "headers") => Place::Headers,
            (Self::Own | Self::Sampling, _)
            | (Self::Marked, "check_in_id" | "associated_event_id")
            | (
                _,
                "event_id"
                | "trace_id"
                | "span_id"
                | "parent_span_id"
                | "level"
                | "instruction_addr"
                | "sdk"
                | "check_in_id"
                | "associated_event_id",
            ) => Place::Own,
            _ => Place::Open,
        }
    }
}
