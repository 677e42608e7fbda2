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

    /// Calls a function in place of waiting. A test advances its clock.
    pub fn by(advance: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        let advance = Arc::new(advance);
        Self(Some(Arc::new(move |time| {
            let advance = Arc::clone(&advance);
            Box::pin(async move { advance(time) })
        })))
    }

    pub(crate) async fn takes(&self, millis: u64) {
        if let Some(wait) = &self.0 {
            wait(Duration::from_millis(millis)).await;
        }
    }
}
