//! The dynamic sampling context, by which all services of a trace make the same sampling decision.

use serde::{Deserialize, Serialize};

/// The dynamic sampling context of a trace.
///
/// The same values are in outgoing `baggage` and in the envelope header `trace`. All values are
/// text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DynamicSamplingContext {
    /// The id of the trace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// The public key of the project in which the trace began.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub public_key: String,
    /// The sample rate that was applied, as a decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<String>,
    /// The number that all services compare with their sample rate: six decimals, below 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rand: Option<String>,
    /// The sampling decision: `true` or `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled: Option<String>,
    /// The release of the service in which the trace began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The environment in which the trace began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The name of the transaction in which the trace began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// The organisation in which the trace began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_id: Option<String>,
    /// The id of the session replay in the browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_id: Option<String>,
}

impl DynamicSamplingContext {
    /// Whether the server can read it.
    ///
    /// One invalid value makes the server discard all of it.
    pub(crate) fn is_readable(&self) -> bool {
        self.public_key.len() == 32
            // The server also accepts dashes.
            && self.trace_id.parse::<super::EventId>().is_ok_and(|id| !id.is_nil())
            && self.sample_rate.as_ref().is_none_or(|rate| rate.parse::<f64>().is_ok_and(|rate| rate.is_finite() && rate >= 0.0))
            && self.replay_id.as_ref().is_none_or(|id| id.parse::<super::EventId>().is_ok())
            && self.sampled.as_ref().is_none_or(|sampled| matches!(sampled.as_str(), "true" | "false"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_member_makes_the_whole_unreadable() {
        let whole = DynamicSamplingContext {
            trace_id: "771a43a4192642f0b136d5159a501700".to_owned(),
            public_key: "0123456789abcdef0123456789abcdef".to_owned(),
            ..DynamicSamplingContext::default()
        };
        let rate = |text: &str| DynamicSamplingContext { sample_rate: Some(text.to_owned()), ..whole.clone() };
        let replay = |text: &str| DynamicSamplingContext { replay_id: Some(text.to_owned()), ..whole.clone() };
        let sampled = |text: &str| DynamicSamplingContext { sampled: Some(text.to_owned()), ..whole.clone() };
        let rows = [
            (whole.clone(), true),
            (rate("0"), true),
            (rate("0.25"), true),
            (rate("-0.1"), false),
            (rate("NaN"), false),
            (rate("inf"), false),
            (rate(""), false),
            (replay("4c79f60c11214eb38604f4ae0781bfb2"), true),
            (replay("zz"), false),
            (sampled("true"), true),
            (sampled("yes"), false),
            (DynamicSamplingContext { public_key: "short".to_owned(), ..whole.clone() }, false),
            (DynamicSamplingContext { trace_id: "0".repeat(32), ..whole.clone() }, false),
        ];

        for (context, expected) in rows {
            assert_eq!(context.is_readable(), expected, "{context:?}");
        }
    }

    #[test]
    fn sampling_contexts_are_readable_exactly_where_the_server_reads_them() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../tests/fixtures/vectors/dsc_relay.json")).unwrap();
        for case in vectors["cases"].as_array().unwrap() {
            let mut members = case[0].clone();
            for member in members.as_object_mut().unwrap().values_mut() {
                // The server takes numbers and booleans as well, where baggage has only text.
                if member.is_number() || member.is_boolean() {
                    *member = member.to_string().into();
                }
            }
            let context: DynamicSamplingContext = serde_json::from_value(members).unwrap();
            assert_eq!(context.is_readable(), case[1], "{case}");
        }
    }
}
