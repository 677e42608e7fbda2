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
mod settings;
mod store;
mod users;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_sentry::Client;

pub use crate::pace::Pace;
pub use crate::settings::{Settings, Tree};

use crate::accounts::{Accounts, Throttle};
use crate::app::App;
use crate::store::Store;
use crate::users::Profiles;

/// A running service.
pub struct Service {
    address: SocketAddr,
    alice: String,
    bob: String,
    store: Store,
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
        };
        let listener = TcpListener::bind(("127.0.0.1", settings.port())).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, app::router(app, settings.tree())).with_graceful_shutdown(async {
            // An error means that the sender was dropped, which also means "stop".
            let _ = stopped.await;
        });
        Ok(Self { address, alice, bob, store, stop, serving: tokio::spawn(server.into_future()) })
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

    /// Answers what is open, then ends.
    pub async fn stop(self) -> Result<(), Box<dyn Error + Send + Sync>> {
        drop(self.stop);
        self.serving.await??;
        Ok(())
    }
}
