//! The flat record of a request: plain data, written by `scope`, read by `payload`.
//!
//! A record is a handful of vectors that keep their capacity from request to request. Spans are
//! rows, their fields are bytes in one arena, and their names are `tracing`'s static ones. Nothing
//! here formats, locks or allocates per span.

mod body_sample;
mod breadcrumbs;
pub(crate) mod clock;
mod cut;
mod facts;
mod fields;
mod flat;
mod headers;
mod inner_request;
mod limits;
mod log;
mod metric;
mod moment;
mod naming;
mod pool;
mod rare_facts;
mod row_numbers;
mod scope_data;
mod shortened;
mod slice;
mod span;
mod span_limit;
mod streamed;
mod transaction;

pub(crate) use body_sample::{Bodies, BodySample};
pub(crate) use breadcrumbs::{BreadcrumbRecord, BreadcrumbSource, Breadcrumbs};
pub(crate) use cut::{CUT_MARK, cut, without_cut_word};
use facts::HeaderLengths;
pub(crate) use facts::{Polls, RequestFacts, ResponseFacts, TraceFacts};
pub(crate) use fields::{FIELD_LIMIT, FieldReader, FieldValue, FieldWriter, Key, TRUNCATED, items};
pub(crate) use flat::Record;
pub(crate) use headers::HeaderFact;
pub(crate) use limits::{Limits, MOST_SPANS};
pub(crate) use log::{LOG_TARGET, LogLine, LogRecord, Suppressed, is_of_log_crate, target};
pub(crate) use metric::{MetricRecord, Sample};
pub(crate) use moment::Moment;
pub(crate) use naming::FALLBACK;
pub(crate) use pool::Pool;
pub(crate) use rare_facts::RareFacts;
use row_numbers::RowNumbers;
pub(crate) use scope_data::{ScopeData, json_size};
pub(crate) use slice::Slice;
pub(crate) use span::{INNER_REQUEST, MiddlewareTimes, OwnSpanRecord, Parent, SpanName, SpanPolls, SpanRecord};
use span::{InnerRequest, LateFields};
pub(crate) use transaction::LiveTransaction;
