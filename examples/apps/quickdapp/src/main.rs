//! Starts the server, the worker, or both: `quickdapp [server | worker] [--spotlight]`.
//!
//! Without `server` or `worker`, it is the server, and starts the worker as a child process.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use axum::http::Uri;
use quickdapp::folder::Folder;
use quickdapp::monitoring::{self, Process};
use quickdapp::server::Site;
use quickdapp::store::Store;
use quickdapp::{server, stop, worker};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
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
    let stop = stop::requested(stop_at_eof)?;
    match process {
        Some(Process::Server) => serve(&database()?, to_spotlight, stop).await,
        Some(Process::Worker) => work(&database()?, to_spotlight, stop).await,
        None => both(to_spotlight, stop).await,
    }
}

/// The database that a server and a worker share.
fn database() -> Result<PathBuf> {
    let path =
        std::env::var_os("QUICKDAPP_DATABASE").ok_or("QUICKDAPP_DATABASE must name a file, which the server and the worker share")?;
    Ok(path.into())
}

async fn serve(database: &Path, to_spotlight: bool, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let monitoring = monitoring::start(Process::Server, to_spotlight)?;
    let page = monitoring::page(to_spotlight)?;
    let store = Store::open(database).await?;
    let bundle = match std::env::var_os("QUICKDAPP_BUNDLE") {
        Some(file) => Some(std::fs::read(&file).map_err(|error| format!("QUICKDAPP_BUNDLE: {}: {error}", file.display()))?),
        None => None,
    };
    let own_url = own_url()?;
    let address = std::env::var("QUICKDAPP_ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(&address).await.map_err(|error| format!("QUICKDAPP_ADDRESS: {address}: {error}"))?;
    let address = format!("http://{}", listener.local_addr()?);
    let app = server::router(&monitoring, store, Site { page, bundle, origin: own_url.unwrap_or_else(|| address.clone()) })?;
    println!("QuickDapp: {address}/");
    println!("Monitoring of the server: {}", monitoring::destination(Process::Server, to_spotlight));
    server::serve(listener, app, stop, GRACE).await?;
    deliver(&monitoring).await;
    Ok(())
}

/// The origin of `QUICKDAPP_URL`, such as `https://dapp.example`. None if the variable is not set.
fn own_url() -> Result<Option<String>> {
    let url = std::env::var("QUICKDAPP_URL").unwrap_or_default();
    if url.is_empty() {
        return Ok(None);
    }
    let uri = url.parse::<Uri>().ok();
    match uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?.as_str()))) {
        Some((scheme @ ("http" | "https"), authority)) if !authority.contains('@') => {
            Ok(Some(format!("{scheme}://{}", authority.to_lowercase())))
        }
        _ => Err(format!("QUICKDAPP_URL: expected https://… or http://…, found '{url}'").into()),
    }
}

/// Sends what waits. A server that is away is no failure of this process.
async fn deliver(monitoring: &Guard) {
    if let Err(error) = monitoring.shutdown(DELIVERY).await {
        eprintln!("not everything was delivered: {error}");
    }
}

async fn work(database: &Path, to_spotlight: bool, stop: impl Future<Output = ()>) -> Result<()> {
    let monitoring = monitoring::start(Process::Worker, to_spotlight)?;
    println!("Monitoring of the worker: {}", monitoring::destination(Process::Worker, to_spotlight));
    let store = Store::open(database).await?;
    // What ends the worker is an event.
    worker::run(&monitoring, store, stop).await.capture()?;
    deliver(&monitoring).await;
    Ok(())
}

/// The server, with the worker as a child process and a database that is removed at the end.
async fn both(to_spotlight: bool, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let folder = Folder::new()?;
    let database = folder.path().join("quickdapp.sqlite");
    let mut worker = Command::new(std::env::current_exe()?);
    worker.args(["worker", STOP_AT_EOF]).args(to_spotlight.then_some("--spotlight"));
    let mut worker = worker.env("QUICKDAPP_DATABASE", &database).stdin(Stdio::piped()).spawn()?;

    let input = worker.stdin.take();
    let served = tokio::select! {
        served = serve(&database, to_spotlight, stop) => served,
        failed = failed(&mut worker) => failed,
    };
    // The worker ends, because its standard input does.
    drop(input);
    let worked = worker.wait().await?;
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
