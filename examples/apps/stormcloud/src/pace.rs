//! How long the parts of a request take in the demonstration.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

type Wait = Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Adds the times of the documents to parts of a request that take microseconds here.
///
/// A real service has no such thing: it is slow by itself.
#[derive(Clone, Default)]
pub struct Pace(Option<Wait>);

impl Pace {
    /// Waits as long as the document says.
    pub fn of_the_document() -> Self {
        Self(Some(Arc::new(|time| Box::pin(tokio::time::sleep(time)))))
    }

    /// Waits as this function says. A test advances its clock.
    pub fn by<F: Future<Output = ()> + Send + 'static>(wait: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(move |time| Box::pin(wait(time)))))
    }

    pub(crate) async fn takes(&self, millis: u64) {
        if let Some(wait) = &self.0 {
            wait(Duration::from_millis(millis)).await;
        }
    }
}
