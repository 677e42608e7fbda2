//! OpenTelemetry's variables.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// What the variables say.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// With the name of its variable, as those below.
    pub(super) traces_endpoint: Option<(&'static str, String)>,
    pub(super) endpoint: Option<(&'static str, String)>,
    pub(super) headers: Option<(&'static str, Vec<(String, String)>)>,
    pub(super) resource: Vec<(String, String)>,
    /// The first fault. It does not repeat values: headers are secret.
    pub(super) fault: Option<String>,
}

impl Variables {
    /// Reads the variables. A value of `None` was not valid UTF-8.
    pub(super) fn read(variables: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let variables: BTreeMap<String, Option<String>> = variables.into_iter().filter(|(name, _)| name.starts_with("OTEL_")).collect();
        let mut read = Self::default();
        let mut fault = None;
        // An empty variable counts as unset.
        let mut lookup = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = variables.get(*name)?;
                if value.is_none() {
                    fault.get_or_insert_with(|| format!("{name}: expected text, found bytes that are not UTF-8"));
                }
                let value = value.as_deref()?.trim();
                (!value.is_empty()).then(|| (*name, value.to_owned()))
            })
        };
        read.traces_endpoint = lookup(&["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]);
        read.endpoint = lookup(&["OTEL_EXPORTER_OTLP_ENDPOINT"]);
        let headers = lookup(&["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]);
        let protocol = lookup(&["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]);
        let resource = lookup(&["OTEL_RESOURCE_ATTRIBUTES"]);
        let service = lookup(&["OTEL_SERVICE_NAME"]);
        let mut note = |name: &str, expected: &str| {
            fault.get_or_insert_with(|| format!("{name}: expected {expected}"));
        };
        if let Some((name, text)) = headers {
            match pairs(&text) {
                Some(pairs) => read.headers = Some((name, pairs)),
                None => note(name, PAIRS),
            }
        }
        if let Some((name, text)) = resource {
            match pairs(&text) {
                Some(pairs) => read.resource = pairs,
                None => note(name, PAIRS),
            }
        }
        if let Some((name, _)) = protocol.filter(|(_, text)| text != "http/protobuf") {
            note(name, "`http/protobuf`, the only protocol that tower-sentry speaks");
        }
        read.resource.extend(service.map(|(_, name)| ("service.name".to_owned(), name)));
        read.fault = fault;
        read
    }
}

const PAIRS: &str = "pairs such as `name=value,name=value`, with percent-encoded values";

/// Parses `name=value,name=value`. Returns `None` if a part is not such a pair.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=')?;
            let [name, value] = [name, value].map(|part| percent_decode_str(part.trim()).decode_utf8().ok().map(String::from));
            Some((name.filter(|name| !name.is_empty())?, value?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Variables {
        Variables::read(variables.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))))
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn those_of_traces_win_over_the_general_ones() {
        let general = [("OTEL_EXPORTER_OTLP_HEADERS", "a=1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        let of_traces = [("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")];

        let both = read(&[general, of_traces].concat());

        assert_eq!((both.headers, both.fault), (Some(("OTEL_EXPORTER_OTLP_TRACES_HEADERS", owned(&[("b", "2")]))), None));
        assert_eq!(read(&general).headers, Some(("OTEL_EXPORTER_OTLP_HEADERS", owned(&[("a", "1")]))));
    }

    #[test]
    fn pairs_are_percent_decoded_and_a_broken_one_is_a_fault() {
        let read_pairs = |text: &str| read(&[("OTEL_RESOURCE_ATTRIBUTES", text)]);

        assert_eq!(read_pairs(" a = b%2Cc , d=e=f,, ").resource, owned(&[("a", "b,c"), ("d", "e=f")]));
        for text in ["a", "=b", "a=%ff"] {
            let read = read_pairs(text);
            assert_eq!((read.resource, read.fault), (Vec::new(), Some(format!("OTEL_RESOURCE_ATTRIBUTES: expected {PAIRS}"))), "{text}");
        }
    }

    #[test]
    fn the_name_of_the_service_wins_over_the_attribute() {
        let read = read(&[("OTEL_SERVICE_NAME", "till"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop")]);

        assert_eq!(read.resource.last(), owned(&[("service.name", "till")]).last());
    }

    #[test]
    fn a_protocol_that_is_not_spoken_is_a_fault() {
        let fault = read(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).fault;

        assert!(fault.is_some_and(|fault| fault.starts_with("OTEL_EXPORTER_OTLP_PROTOCOL: expected `http/protobuf`")));
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_PROTOCOL", " ")]).fault, None);
        let foreign = Variables::read([("OTEL_SERVICE_NAME".to_owned(), None)]);
        assert!(foreign.fault.is_some_and(|fault| fault.starts_with("OTEL_SERVICE_NAME: expected text")));
    }
}
