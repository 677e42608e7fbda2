//! The resource: which service sent the spans.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Map, Value};

use super::attributes::{add, encoded};
use super::settings::Otlp;
use crate::protocol::SdkInfo;
use crate::redaction::{Redacted, Redactor};

/// The attributes of the resource that the settings of OTLP give.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceAttributes(Map<String, Value>);

impl ResourceAttributes {
    /// Reads them from the settings. They pass the redactor, as everything that leaves.
    ///
    /// The release `shop@1.4.0` names the service `shop`, unless it has a name of its own.
    pub(crate) fn of(settings: &Otlp, release: Option<&str>, redactor: &Redactor) -> Redacted<Self> {
        let service = release.and_then(|release| Some(release.split_once('@')?.0.to_owned())).unwrap_or_else(unknown_service);
        let given: BTreeMap<&str, &str> = std::iter::once(("service.name", service.as_str())).chain(settings.resource()).collect();
        let line = redactor.line(&given).unwrap_or_default();
        line.map(|line| Self(serde_json::from_slice(&line).unwrap_or_default()))
    }

    /// The resource of a transaction. Settings for OTLP win over those for Sentry.
    pub(super) fn of_transaction(&self, release: Option<&str>, environment: Option<&str>, server_name: Option<&str>) -> Resource {
        let mut attributes = self.0.clone();
        let version = release.map(|release| release.split_once('@').map_or(release, |(_, version)| version));
        for (name, value) in [
            ("service.version", version),
            ("deployment.environment.name", environment),
            ("host.name", server_name),
            ("telemetry.sdk.name", Some(SDK)),
            ("telemetry.sdk.language", Some("rust")),
            ("telemetry.sdk.version", Some(SdkInfo::VERSION)),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                add(&mut attributes, name, value);
            }
        }
        Resource { attributes: encoded(attributes), ..Resource::default() }
    }
}

/// `opentelemetry` is reserved for OpenTelemetry's own SDKs.
pub(super) const SDK: &str = "tower-sentry";

/// The name that OpenTelemetry prescribes for a service without one.
fn unknown_service() -> String {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
    program.map_or_else(|| "unknown_service".to_owned(), |name| format!("unknown_service:{name}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;

    use super::*;

    fn value(resource: &Resource, name: &str) -> Option<String> {
        let pair = resource.attributes.iter().find(|pair| pair.key == name)?;
        match pair.value.clone()?.value? {
            OtlpValue::StringValue(text) => Some(text),
            other => Some(format!("{other:?}")),
        }
    }

    fn resource(settings: &Otlp, release: Option<&str>) -> Resource {
        let redactor = Redactor::new(Arc::default(), false);
        let attributes = ResourceAttributes::of(settings, release, &redactor);
        attributes.get().of_transaction(release, Some("staging"), Some("host-1"))
    }

    #[test]
    fn the_release_names_service_and_version() {
        let settings = Otlp::new("http://h:4318");

        let of = |release| {
            let resource = resource(&settings, release);
            (value(&resource, "service.name").unwrap_or_default(), value(&resource, "service.version"))
        };

        assert_eq!(of(Some("shop@1.4.0")), ("shop".to_owned(), Some("1.4.0".to_owned())));
        assert!(of(Some("12e0413")).0.starts_with("unknown_service:"));
        assert_eq!(of(Some("12e0413")).1.as_deref(), Some("12e0413"));
        assert_eq!(of(None).1, None);
    }

    #[test]
    fn what_is_set_for_otlp_wins_and_passes_the_redactor() {
        let settings = Otlp::new("http://h:4318")
            .service_name("till")
            .resource_attribute("deployment.environment.name", "blue")
            .resource_attribute("api_key", "8f14e45fceea167a5a36dedd4bea2543");

        let resource = resource(&settings, Some("shop@1.4.0"));

        let found = ["service.name", "service.version", "deployment.environment.name", "host.name"].map(|name| value(&resource, name));
        assert_eq!(found.map(Option::unwrap_or_default), ["till", "1.4.0", "blue", "host-1"]);
        assert_eq!(value(&resource, "api_key").as_deref(), Some("[Filtered]"));
    }
}
