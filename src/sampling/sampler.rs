//! The user's function that chooses the rate of a request or job.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, Uri};

use crate::{diagnostics, unwind};

/// The share of transactions to send, as a [`traces_sampler`](crate::ConfigBuilder::traces_sampler)
/// chooses it.
///
/// A number becomes [`Fixed`](Self::Fixed), and `true` and `false` become 1 and 0.
///
/// # Examples
///
/// ```
/// use tower_sentry::sampling::Rate;
///
/// assert_eq!(Rate::from(0.25), Rate::Fixed(0.25));
/// assert_eq!(Rate::from(true), Rate::Fixed(1.0));
/// assert_eq!(Rate::from(None::<f64>), Rate::Unchanged);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rate {
    /// This share, from `0.0` to `1.0`, whatever the caller has decided.
    ///
    /// `0.0` is final: a failed request is not kept either.
    Fixed(f64),
    /// The caller's decision, as far as [`trust_parent`](crate::ConfigBuilder::trust_parent) follows it.
    /// Without such a decision, this share, from `0.0` to `1.0`.
    Inherited(f64),
    /// The same as without the function.
    Unchanged,
}

impl Rate {
    fn is_valid(self) -> bool {
        match self {
            Self::Fixed(rate) | Self::Inherited(rate) => (0.0..=1.0).contains(&rate),
            Self::Unchanged => true,
        }
    }
}

impl From<f64> for Rate {
    fn from(rate: f64) -> Self {
        Self::Fixed(rate)
    }
}

impl From<bool> for Rate {
    fn from(is_sampled: bool) -> Self {
        Self::Fixed(if is_sampled { 1.0 } else { 0.0 })
    }
}

/// `None` is [`Unchanged`](Rate::Unchanged).
impl<T: Into<Self>> From<Option<T>> for Rate {
    fn from(rate: Option<T>) -> Self {
        rate.map_or(Self::Unchanged, Into::into)
    }
}

/// The facts that are known when a transaction begins, for a
/// [`traces_sampler`](crate::ConfigBuilder::traces_sampler).
///
/// # Examples
///
/// ```
/// use tower_sentry::sampling::{Rate, SamplerContext};
///
/// fn rate(context: &SamplerContext<'_>) -> Rate {
///     match (context.route(), context.job()) {
///         (Some("/checkout/{id}"), _) => Rate::Fixed(1.0),
///         (_, Some("invoice.send")) => Rate::Fixed(0.5),
///         _ if context.header("x-load-test").is_some() => Rate::Fixed(0.0),
///         _ => Rate::Inherited(0.1),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SamplerContext<'a> {
    pub(crate) work: SampledWork<'a>,
    pub(crate) parent: Option<bool>,
}

/// The work that a transaction records.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SampledWork<'a> {
    Job { name: &'a str, op: &'a str },
    Request { method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap, extensions: &'a Extensions, route: Option<&'a str> },
}

impl<'a> SamplerContext<'a> {
    /// The template of the route, such as `/users/{id}`.
    ///
    /// None for a job, for a request without a route, and if the layer is around the whole router and
    /// has no [row](crate::SentryLayer::route) for it.
    pub fn route(&self) -> Option<&'a str> {
        match self.work {
            SampledWork::Request { route, .. } => route,
            SampledWork::Job { .. } => None,
        }
    }

    /// The name of the job. None for a request.
    pub fn job(&self) -> Option<&'a str> {
        match self.work {
            SampledWork::Job { name, .. } => Some(name),
            SampledWork::Request { .. } => None,
        }
    }

    /// The operation: `http.server` for a request.
    pub fn op(&self) -> &'a str {
        match self.work {
            SampledWork::Job { op, .. } => op,
            SampledWork::Request { .. } => "http.server",
        }
    }

    /// The method. None for a job.
    pub fn method(&self) -> Option<&'a Method> {
        match self.work {
            SampledWork::Request { method, .. } => Some(method),
            SampledWork::Job { .. } => None,
        }
    }

    /// The request target. None for a job.
    pub fn uri(&self) -> Option<&'a Uri> {
        match self.work {
            SampledWork::Request { uri, .. } => Some(uri),
            SampledWork::Job { .. } => None,
        }
    }

    /// The headers. None for a job.
    pub fn headers(&self) -> Option<&'a HeaderMap> {
        match self.work {
            SampledWork::Request { headers, .. } => Some(headers),
            SampledWork::Job { .. } => None,
        }
    }

    /// The value of a header, if it is a text. Any client can write it.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers()?.get(name)?.to_str().ok()
    }

    /// The request's extensions, set by outer layers and the server. None for a
    /// job.
    pub fn extensions(&self) -> Option<&'a Extensions> {
        match self.work {
            SampledWork::Request { extensions, .. } => Some(extensions),
            SampledWork::Job { .. } => None,
        }
    }

    /// The caller's sampling decision. None if it made none, or is not
    /// [trusted](crate::ConfigBuilder::trust_parent).
    pub fn parent(&self) -> Option<bool> {
        self.parent
    }
}

type ChooseRate = dyn Fn(&SamplerContext<'_>) -> Rate + Send + Sync;

/// The user's function.
#[derive(Clone)]
pub(crate) struct TracesSampler(Arc<ChooseRate>);

impl TracesSampler {
    pub(crate) fn new<R: Into<Rate>>(choose: impl Fn(&SamplerContext<'_>) -> R + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |context| choose(context).into()))
    }

    /// Calls the function. If it panics, or returns an invalid rate, the result is `Unchanged`.
    pub(crate) fn rate(&self, context: &SamplerContext<'_>) -> Rate {
        static TROUBLE: diagnostics::Quiet = diagnostics::Quiet::new();
        match unwind::catch(|| (self.0)(context)) {
            Some(rate) if rate.is_valid() => rate,
            Some(_) => {
                TROUBLE.warn("traces_sampler returned a rate that is not from 0.0 to 1.0; the request is sampled as without it");
                Rate::Unchanged
            }
            None => {
                TROUBLE.warn("traces_sampler panicked; the request is sampled as without it");
                Rate::Unchanged
            }
        }
    }
}

impl fmt::Debug for TracesSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracesSampler").finish_non_exhaustive()
    }
}
