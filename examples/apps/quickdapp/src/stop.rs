//! What ends a process: Ctrl-C, SIGTERM, or the end of its standard input.

use std::io;

use tokio::sync::oneshot;

/// Waits for Ctrl-C or SIGTERM, and `at_eof` for the end of the standard input. They count from this call on, also before the
/// future is polled.
///
/// So call it before anything says that the process is there.
///
/// # Errors
///
/// Returns an error if the signals cannot be received.
pub fn requested(at_eof: bool) -> io::Result<impl Future<Output = ()> + Send> {
    let signal = signal()?;
    let (open, eof) = oneshot::channel::<()>();
    let open = if at_eof {
        // A thread of its own: one of the runtime would hold up the end of the process.
        std::thread::spawn(move || {
            // What is read says only that the input is still open. An error is its end, too.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            drop(open);
        });
        None
    } else {
        Some(open)
    };
    Ok(async move {
        let _open = open;
        tokio::select! {
            _ = eof => {}
            () = signal => {}
        }
    })
}

#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        // An error means that Ctrl-C cannot be received: then only the standard input ends the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
