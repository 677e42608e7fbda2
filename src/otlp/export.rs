//! Makes OTLP's bytes of envelopes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;

use super::resource::{ResourceAttributes, SDK};
use super::spans::Document;
use crate::protocol::{self, ItemType, SdkInfo};
use crate::redaction::{Redacted, SealedEnvelope};

/// One transaction as a request of its own.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    pub(crate) spans: u64,
    bytes: Vec<u8>,
}

impl Export {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Encodes the transaction of an envelope. Returns `None` if there is none that can be read.
pub(crate) fn export(envelope: &Redacted<SealedEnvelope>, resource: &Redacted<ResourceAttributes>) -> Option<Redacted<Export>> {
    envelope.with(resource, |envelope, resource| encode(envelope.bytes(), resource)).transpose()
}

/// The body of one request with several transactions.
///
/// Encoded messages that are put one after the other are one message with the lists of all of them.
pub(crate) fn body(exports: &[Redacted<Export>]) -> Redacted<Vec<u8>> {
    Redacted::joined(exports, |body: &mut Vec<u8>, export| body.extend_from_slice(&export.bytes))
}

fn encode(envelope: &[u8], resource: &ResourceAttributes) -> Option<Export> {
    let (_, items) = protocol::parse(envelope).ok()?;
    let item = items.into_iter().find(|item| item.header.kind == ItemType::Transaction)?;
    let document: Document = serde_json::from_slice(item.payload).ok()?;
    let [release, environment, server_name] = [&document.release, &document.environment, &document.server_name].map(|text| text.as_deref());
    let resource = Some(resource.of_transaction(release, environment, server_name));
    let scope =
        Some(InstrumentationScope { name: SDK.to_owned(), version: SdkInfo::VERSION.to_owned(), ..InstrumentationScope::default() });
    let spans = document.into_spans();
    let count = u64::try_from(spans.len()).ok()?;
    let scope_spans = vec![ScopeSpans { scope, spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    Some(Export { spans: count, bytes: ExportTraceServiceRequest { resource_spans }.encode_to_vec() })
}
