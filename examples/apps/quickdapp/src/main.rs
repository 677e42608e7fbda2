//! Starts the server, the worker, or both: `quickdapp [server | worker] [--spotlight]`.
//!
//! Without `server` or `worker`, it is the server, and starts the worker as a child process.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use quickdapp::monitoring::{self, Process};
use quickdapp::server::Site;
use quickdapp::store::Store;
use quickdapp::{server, worker};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tower_sentry::{Guard, ResultExt as _};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A server or a worker with this option ends when its standard input does. So a process that started
/// it can end it in order, and it never outlives that process.
const STOP_AT_EOF: &str = "--stop-at-eof";

/// How long requests may still take when the server ends. With the delivery, it is less than the 30 seconds that an
/// orchestrator usually waits.
const GRACE: Duration = Duration::from_secs(10);

/// How long each process may take to deliver what it has recorded.
const DELIVERY: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut process = None;
    let (mut to_spotlight, mut stop_at_eof) = (false, false);
    for argument in &arguments {
        match argument.as_str() {
            "server" => process = Some(Process::Server),
            "worker" => process = Some(Process::Worker),
            "--spotlight" => to_spotlight = true,
            STOP_AT_EOF => stop_at_eof = true,
            _ => return Err("usage: quickdapp [server | worker] [--spotlight]".into()),
        }
    }
    match process {
        Some(Process::Server) => serve(&database()?, to_spotlight, stop_at_eof).await,
        Some(Process::Worker) => work(&database()?, to_spotlight, stop_at_eof).await,
        None => both(to_spotlight, stop_at_eof).await,
    }
}

/// The database that a server and a worker share.
fn database() -> Result<PathBuf> {
    let path =
        std::env::var_os("QUICKDAPP_DATABASE").ok_or("QUICKDAPP_DATABASE must name a file, which the server and the worker share")?;
    Ok(path.into())
}

async fn serve(database: &Path, to_spotlight: bool, stop_at_eof: bool) -> Result<()> {
    let monitoring = monitoring::start(Process::Server, to_spotlight)?;
    let page = monitoring::page(to_spotlight)?;
    let store = Store::open(database).await?;
    let bundle = match std::env::var_os("QUICKDAPP_BUNDLE") {
        Some(file) => Some(std::fs::read(&file).map_err(|error| format!("QUICKDAPP_BUNDLE: {}: {error}", file.display()))?),
        None => None,
    };
    let app = server::router(&monitoring, store, Site { page, bundle, is_https: is_https()? })?;
    let address = std::env::var("QUICKDAPP_ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(&address).await.map_err(|error| format!("QUICKDAPP_ADDRESS: {address}: {error}"))?;
    println!("QuickDapp: http://{}/", listener.local_addr()?);
    println!("Monitoring of the server: {}", monitoring::destination(Process::Server, to_spotlight));
    server::serve(listener, app, stop(stop_at_eof), GRACE).await?;
    deliver(&monitoring).await;
    Ok(())
}

/// Whether users reach the site by https, as `QUICKDAPP_URL` says.
fn is_https() -> Result<bool> {
    let url = std::env::var("QUICKDAPP_URL").unwrap_or_default();
    match url.split_once("://") {
        Some(("https", _)) => Ok(true),
        Some(("http", _)) => Ok(false),
        None if url.is_empty() => Ok(false),
        _ => Err(format!("QUICKDAPP_URL: expected https://… or http://…, found '{url}'").into()),
    }
}

/// Sends what waits. A server that is away is no failure of this process.
async fn deliver(monitoring: &Guard) {
    if let Err(error) = monitoring.shutdown(DELIVERY).await {
        eprintln!("not everything was delivered: {error}");
    }
}

async fn work(database: &Path, to_spotlight: bool, stop_at_eof: bool) -> Result<()> {
    let monitoring = monitoring::start(Process::Worker, to_spotlight)?;
    println!("Monitoring of the worker: {}", monitoring::destination(Process::Worker, to_spotlight));
    let store = Store::open(database).await?;
    // What ends the worker is an event.
    worker::run(&monitoring, store, stop(stop_at_eof)).await.capture()?;
    deliver(&monitoring).await;
    Ok(())
}

/// The server, with the worker as a child process and a database that is removed at the end.
async fn both(to_spotlight: bool, stop_at_eof: bool) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("quickdapp-{}", std::process::id()));
    std::fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let database = folder.join("quickdapp.sqlite");
    let mut worker = Command::new(std::env::current_exe()?);
    worker.args(["worker", STOP_AT_EOF]).args(to_spotlight.then_some("--spotlight"));
    let mut worker = worker.env("QUICKDAPP_DATABASE", &database).stdin(Stdio::piped()).spawn()?;

    let input = worker.stdin.take();
    let served = tokio::select! {
        served = serve(&database, to_spotlight, stop_at_eof) => served,
        failed = failed(&mut worker) => failed,
    };
    // The worker ends, because its standard input does.
    drop(input);
    let worked = worker.wait().await?;
    std::fs::remove_dir_all(&folder)?;
    served?;
    succeeded(worked)
}

/// Waits until the worker has failed. It never returns if the worker ends in order, as it does after Ctrl-C.
async fn failed(worker: &mut Child) -> Result<()> {
    succeeded(worker.wait().await?)?;
    std::future::pending().await
}

fn succeeded(worker: ExitStatus) -> Result<()> {
    if worker.success() { Ok(()) } else { Err(format!("the worker has failed: {worker}").into()) }
}

/// Waits for Ctrl-C, for SIGTERM, or for the end of the standard input.
async fn stop(at_eof: bool) {
    let (open, eof) = oneshot::channel::<()>();
    let _open = if at_eof {
        // A thread of its own: one of the runtime would hold up the end of the process.
        std::thread::spawn(move || {
            // What is read says only that the input is still open. An error is its end, too.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            drop(open);
        });
        None
    } else {
        Some(open)
    };
    tokio::select! {
        _ = eof => {}
        // An error means that signals cannot be received: then only the standard input ends the process.
        Ok(()) = tokio::signal::ctrl_c() => {}
        Some(()) = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() -> Option<()> {
    use tokio::signal::unix::{SignalKind, signal};

    signal(SignalKind::terminate()).ok()?.recv().await
}

#[cfg(not(unix))]
async fn terminated() -> Option<()> {
    None
}
