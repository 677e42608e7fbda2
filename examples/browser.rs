//! A page whose errors reach Sentry through this service, in the trace of the page's own request.
//!
//! `SENTRY_DSN=… cargo run --example browser --features browser -- FILE`, where FILE is `@sentry/browser`
//! as one script: `esbuild node_modules/@sentry/browser --bundle --format=iife --global-name=Sentry`. Then
//! open the address that it prints. `tests/real/browser.sh` does that in Chromium.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use tower_sentry::html::Browser;
use tower_sentry::{Config, Scope, SentryLayer, browser};

async fn page(State(settings): State<Browser>) -> impl IntoResponse {
    // A real service takes a new random one for each page.
    let nonce = "b7f3a1c9e2d4";
    let snippet = Scope::current().page_snippet(&settings).user_id("7").nonce(nonce);
    let policy = format!("default-src 'none'; connect-src 'self'; script-src 'nonce-{nonce}'");
    let script = r#"setTimeout(() => { throw new Error("the cart is gone, password=hunter2") }, 0)"#;
    let page = format!(
        "<!doctype html><html><head><title>cart</title>{snippet}</head><body><script nonce=\"{nonce}\">{script}</script></body></html>"
    );
    ([(CONTENT_SECURITY_POLICY, policy)], Html(page))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bundle: &'static [u8] = match std::env::args().nth(1) {
        Some(file) => std::fs::read(file)?.leak(),
        None => b"console.log('no bundle of @sentry/browser was given')",
    };
    let dsn = std::env::var("SENTRY_DSN").unwrap_or_else(|_| "http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1".to_owned());
    let sentry = Config::builder().dsn(&dsn).traces_sample_rate(1.0).release("cart@1.0.0").init()?;
    let settings = Browser::new(&dsn).script("/sentry.js").tunnel("/t").build()?;
    let app = Router::new()
        .route("/cart/{id}", get(page))
        .with_state(settings)
        .route("/sentry.js", get(move || async move { ([(CONTENT_TYPE, "text/javascript")], bundle) }))
        .merge(browser::routes(&sentry).build()?)
        .layer(SentryLayer::new(&sentry).ignore(["/sentry.js"]));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/cart/7", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
