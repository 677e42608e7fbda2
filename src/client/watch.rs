//! What looks for changes of the settings file, on the exporter's thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::live::Live;
use crate::exporter::Beside;

/// The file is looked at this often. One look is one system call, on a thread that the disk may hold up.
const LOOK_EVERY: Duration = Duration::from_secs(2);

pub(super) fn watches(live: &Arc<Live>, on_hangup: bool) -> Vec<Beside> {
    #[cfg_attr(not(all(unix, feature = "signal")), expect(unused_mut, reason = "there are no signals"))]
    let mut watches: Vec<Beside> = vec![Box::pin(watch(Arc::clone(live)))];
    #[cfg(all(unix, feature = "signal"))]
    if on_hangup {
        watches.push(Box::pin(reload_on_hangup(Arc::clone(live))));
    }
    #[cfg(not(all(unix, feature = "signal")))]
    let _ = on_hangup;
    watches
}

async fn watch(live: Arc<Live>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let live = Arc::clone(&live);
        let look = move || live.reload_if_changed();
        let _ = spawn_blocking(look).await;
    }
}

#[cfg(all(unix, feature = "signal"))]
async fn reload_on_hangup(live: Arc<Live>) {
    use tokio::signal::unix::{SignalKind, signal};

    use crate::diagnostics;

    match signal(SignalKind::hangup()) {
        Ok(mut hangups) => {
            while hangups.recv().await.is_some() {
                let live = Arc::clone(&live);
                match spawn_blocking(move || live.reload()).await.unwrap_or(Ok(())) {
                    Ok(()) => diagnostics::info("the settings file was read again, because of a SIGHUP"),
                    Err(error) => diagnostics::warn(&format!("{error:#}; the settings stay as they are")),
                }
            }
        }
        Err(error) => diagnostics::warn(&format!("SIGHUP does not reload the settings: {error}")),
    }
}
