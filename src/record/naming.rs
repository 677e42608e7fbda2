//! Names a transaction by its route, its user, its job or its handler.

use tracing::Metadata;

use super::{CUT_MARK, FIELD_LIMIT, Parent, Record, Slice, SpanName, SpanRecord};
use crate::protocol::TransactionSource;

/// Stands for the route of a request that a fallback answered.
pub(crate) const FALLBACK: &str = "<fallback>";

impl Record {
    /// Names the transaction by its route, unless the application has named it explicitly.
    pub(crate) fn name_by_route(&mut self, template: &str) {
        let template = self.text(template.as_bytes());
        self.route = Some(template);
        if !self.is_named_by_hand {
            self.name = Some(template);
            self.full_name = None;
            self.source = TransactionSource::Route;
        }
    }

    /// Names the transaction by the method of its gRPC service.
    pub(crate) fn name_by_rpc(&mut self, method: &str) {
        let method = self.text(method.as_bytes());
        (self.name, self.full_name, self.route) = (Some(method), Some(method), Some(method));
        self.source = TransactionSource::Route;
    }

    /// Names the transaction as answered by a fallback, if it has no other name.
    pub(crate) fn name_by_fallback(&mut self) {
        if self.name.is_none() {
            self.name = Some(self.text(FALLBACK.as_bytes()));
        }
    }

    /// Names the transaction as the user chooses.
    pub(crate) fn name_by_user(&mut self, name: &str) {
        // In a loop, the same name must not fill the arena. Without room, the name stays what it was.
        if self.name.is_none_or(|known| !self.is_text(known, name.as_bytes())) {
            let text = self.text(name.as_bytes());
            self.name = Some(text).filter(|text| text.len > 0 || name.is_empty()).or(self.name);
        }
        self.full_name = None;
        self.source = TransactionSource::Custom;
    }

    /// Whether [`text`](Self::text) of these bytes would be the same text.
    fn is_text(&self, known: Slice, bytes: &[u8]) -> bool {
        let known = self.bytes(known);
        let is_start = |kept: &[u8]| bytes.len() > FIELD_LIMIT && bytes.starts_with(kept);
        known == bytes || known.strip_suffix(CUT_MARK.as_bytes()).is_some_and(is_start)
    }

    /// Names the transaction by the kind of its job.
    pub(crate) fn name_by_task(&mut self, name: &str) {
        self.name = Some(self.text(name.as_bytes()));
        self.source = TransactionSource::Task;
    }

    /// Names the transaction while it runs; the route and the handler no longer rename it.
    pub(crate) fn name_by_hand(&mut self, name: &str) {
        self.name_by_user(name);
        self.is_named_by_handler = false;
        self.is_named_by_hand = true;
    }

    /// Names the transaction by its handler, once. Not inlined into the start of each span.
    #[inline(never)]
    fn name_by_handler(&mut self, handler: &Metadata<'_>) {
        let Slice { start, len } = self.text(handler.target().as_bytes());
        let (colons, name) = (self.text(b"::"), self.text(handler.name().as_bytes()));
        self.name = Some(Slice { start, len: len + colons.len + name.len });
        self.full_name = None;
        self.source = TransactionSource::View;
        self.is_named_by_handler = false;
    }

    /// Names the transaction by the path of its handler, if handlers name it.
    #[cfg(feature = "axum")]
    pub(crate) fn name_by_path(&mut self, path: &str) {
        if self.is_named_by_handler {
            self.name_by_user(path);
            self.source = TransactionSource::View;
            self.is_named_by_handler = false;
        }
    }

    /// Adds a span, and names the transaction by it if it is the handler's. Returns the number of its row.
    #[inline]
    pub(crate) fn begin_span(&mut self, span: SpanRecord) -> u32 {
        if self.is_named_by_handler
            && let SpanName::Callsite(handler) = span.name
            && !is_middleware(span.name)
            && self.is_outermost(span.parent)
        {
            self.name_by_handler(handler);
        }
        self.hold(span.parent);
        let number = self.begin_row();
        self.spans.push(span);
        number
    }

    /// Whether all spans above are middleware.
    #[inline(never)]
    fn is_outermost(&self, mut parent: Parent) -> bool {
        while let Parent::Span(index) = parent {
            match self.row(index) {
                Some(above) if is_middleware(above.name) => parent = above.parent,
                _ => return false,
            }
        }
        true
    }
}

/// Whether the span is one of `SpanLayer`, `span` or tower-http's `TraceLayer`.
///
/// The last one describes the request, not its handler.
fn is_middleware(name: SpanName) -> bool {
    match name {
        SpanName::Callsite(metadata) => metadata.target().starts_with("tower_http::"),
        SpanName::Own(_) => true,
    }
}
