//! Storm Cloud: a file service whose requests, errors and security events are watched.
//!
//! [`Settings`] reads the variables of the environment and says what is monitored, [`Service`] serves.
//! The layers around the routes are in `app.rs`.

mod accounts;
mod app;
mod error;
mod files;
mod middleware;
mod pace;
mod serve;
mod settings;
mod store;
mod tasks;
mod users;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_sentry::Client;

pub use crate::pace::Pace;
pub use crate::serve::stop_signal;
pub use crate::settings::{Settings, Tree};

use crate::accounts::{Accounts, Throttle};
use crate::app::App;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::users::Profiles;

/// The most videos that are encoded at the same time.
const MOST_VIDEOS: usize = 100;

/// A running service.
pub struct Service {
    address: SocketAddr,
    alice: String,
    bob: String,
    store: Store,
    tasks: Tasks,
    grace: Duration,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Service {
    /// Opens the database and the folder of files, makes two accounts, and serves on a free port.
    pub async fn start(settings: &Settings, sentry: &Client) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let store = Store::open(settings.folder(), settings.pace().clone()).await?;
        let (alice, bob) = (store.random_key().await?, store.random_key().await?);
        let accounts = Accounts::default();
        for (id, username, is_staff, key) in [(42, "alice", false, &alice), (43, "bob", true, &bob)] {
            store.add_account(id, username, is_staff).await?;
            accounts.add(id, username, is_staff, key);
        }
        let app = App {
            accounts: Arc::new(accounts),
            profiles: Arc::new(Profiles::new(settings.pace().clone())),
            throttle: Arc::new(Throttle::new(settings.requests_a_minute())),
            pace: settings.pace().clone(),
            sentry: sentry.clone(),
            store: store.clone(),
            tasks: Tasks::new(MOST_VIDEOS),
        };
        let (tasks, grace) = (app.tasks.clone(), settings.grace());
        let listener = TcpListener::bind(("127.0.0.1", settings.port())).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        // An error means that the sender was dropped, which also means "stop".
        let serving = serve::serve(listener, app::router(app, settings.tree()), async { _ = stopped.await }, grace);
        Ok(Self { address, alice, bob, store, tasks, grace, stop, serving: tokio::spawn(serving) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API key of `alice`, who is a customer.
    pub fn alice(&self) -> &str {
        &self.alice
    }

    /// The API key of `bob`, who is on the staff.
    pub fn bob(&self) -> &str {
        &self.bob
    }

    /// Closes the database while requests still come, as happens during a deployment.
    pub async fn close_database(&self) {
        self.store.close().await;
    }

    /// Answers what is open, waits for the videos that are encoded, then ends. What takes too long is cancelled.
    pub async fn stop(self) -> Result<(), Box<dyn Error + Send + Sync>> {
        drop(self.stop);
        self.serving.await??;
        self.tasks.finish(self.grace).await;
        Ok(())
    }
}
