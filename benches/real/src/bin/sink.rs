//! Stands for the servers: `sink PORT`. Takes what is posted, whatever its path. `GET /PROJECT` says how many posts came for a
//! project, and their bytes.
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, Uri};

type Counts = Arc<Mutex<HashMap<String, (u64, usize)>>>;

async fn take(State(counts): State<Counts>, method: Method, uri: Uri, body: Bytes) -> String {
    // `/api/7/envelope/` or `/7/v1/traces`
    let project = uri.path().split('/').find(|part| part.parse::<u32>().is_ok()).unwrap_or_default().to_owned();
    let mut counts = counts.lock().unwrap();
    let (posts, bytes) = counts.entry(project).or_default();
    if method == Method::GET {
        return format!("{posts} {bytes}");
    }
    (*posts, *bytes) = (*posts + 1, *bytes + body.len());
    // The empty answer of OTLP in protobuf.
    if uri.path().ends_with("/v1/traces") { String::new() } else { "{}".to_owned() }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).expect("a port");
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    println!("ready");
    axum::serve(listener, Router::new().fallback(take).with_state(Counts::default())).await.unwrap();
}
