//! A shop: SQLite, JSON, four `#[instrument]` functions in each request, and the layers of tower-http that most services have.
//!
//! `service PORT bare|ours|ours-uncompressed|official|opentelemetry RATE SINK_PORT PROJECT`
use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use sentry::integrations::tower::{NewSentryLayer, SentryHttpLayer};
use sentry::integrations::tracing::{BreadcrumbLayer, ErrorLayer, SpanLayer as OfficialSpans};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_sentry::{Config, SentryLayer, TracingLayer};
use tracing::{info, instrument};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::prelude::*;

type Reply = Result<Response, Failure>;

#[derive(Clone)]
struct Shop {
    pool: SqlitePool,
    accounts: Arc<HashMap<String, u64>>,
}

struct Failure(sqlx::Error);

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = if matches!(self.0, sqlx::Error::RowNotFound) { StatusCode::NOT_FOUND } else { StatusCode::INTERNAL_SERVER_ERROR };
        (status, self.0.to_string()).into_response()
    }
}

#[derive(Serialize)]
struct Item {
    id: i64,
    title: String,
    body: String,
    price_cents: i64,
}

impl Item {
    fn of(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Self> {
        Ok(Self { id: row.try_get(0)?, title: row.try_get(1)?, body: row.try_get(2)?, price_cents: row.try_get(3)? })
    }
}

#[derive(Deserialize)]
struct NewItem {
    owner: i64,
    title: String,
    body: String,
    price_cents: i64,
}

async fn auth(State(shop): State<Shop>, request: Request, next: Next) -> Result<Response, StatusCode> {
    authenticate(&shop, request.headers()).await.ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(next.run(request).await)
}

#[instrument(skip_all)]
async fn authenticate(shop: &Shop, headers: &HeaderMap) -> Option<u64> {
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let account = account_of(shop, token)?;
    info!(account, "authenticated");
    Some(account)
}

#[instrument(skip_all)]
fn account_of(shop: &Shop, token: &str) -> Option<u64> {
    shop.accounts.get(token).copied()
}

#[instrument(skip_all)]
async fn show_item(State(shop): State<Shop>, Path(id): Path<i64>) -> Reply {
    let row = sqlx::query("SELECT id, title, body, price_cents FROM items WHERE id = ?").bind(id).fetch_one(&shop.pool).await?;
    info!(id, "item found");
    Ok(render(StatusCode::OK, &Item::of(&row)?))
}

#[instrument(skip_all)]
async fn list_items(State(shop): State<Shop>, Path(owner): Path<i64>, Query(query): Query<HashMap<String, i64>>) -> Reply {
    let page = query.get("page").copied().unwrap_or_default();
    let total: i64 = sqlx::query_scalar("SELECT count(*) FROM items WHERE owner = ?").bind(owner).fetch_one(&shop.pool).await?;
    let list = "SELECT id, title, substr(body, 1, 100), price_cents FROM items WHERE owner = ? ORDER BY id LIMIT 20 OFFSET ?";
    let rows = sqlx::query(list).bind(owner).bind(page * 20).fetch_all(&shop.pool).await?;
    let items = rows.iter().map(Item::of).collect::<Result<Vec<_>, _>>()?;
    info!(owner, total, rows = items.len(), "page found");
    Ok(render(StatusCode::OK, &serde_json::json!({ "total": total, "page": page, "items": items })))
}

#[instrument(skip_all)]
async fn create_item(State(shop): State<Shop>, Json(new): Json<NewItem>) -> Reply {
    let insert = "INSERT INTO items (owner, title, body, price_cents) VALUES (?, ?, ?, ?)";
    let insert = sqlx::query(insert).bind(new.owner).bind(&new.title).bind(&new.body).bind(new.price_cents);
    let id = insert.execute(&shop.pool).await?.last_insert_rowid();
    info!(id, "item created");
    Ok(render(StatusCode::CREATED, &serde_json::json!({ "id": id, "title": new.title })))
}

#[instrument(skip_all)]
fn render(status: StatusCode, value: &impl Serialize) -> Response {
    let json = serde_json::to_vec(value).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// A new database of 10,000 items of 100 owners, in WAL mode.
async fn database(path: &FilePath) -> sqlx::Result<SqlitePool> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Off);
    let pool = SqlitePoolOptions::new().min_connections(4).max_connections(4).connect_with(options).await?;
    let tables = "CREATE TABLE items (id INTEGER PRIMARY KEY, owner INTEGER, title TEXT, body TEXT, price_cents INTEGER);
                  CREATE INDEX by_owner ON items (owner);";
    sqlx::raw_sql(tables).execute(&pool).await?;
    let mut transaction = pool.begin().await?;
    for id in 1..=10_000_i64 {
        let body = format!("Lamp {id} of brushed steel with a shade of linen, made to stand beside a chair. ").repeat(45);
        let insert = sqlx::query("INSERT INTO items VALUES (?, ?, ?, ?, ?)").bind(id).bind(id % 100 + 1);
        insert.bind(format!("Lamp number {id}")).bind(body).bind(id * 7).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(pool)
}

fn routes(shop: Shop) -> Router {
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(CorsLayer::permissive())
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(10)));
    Router::new()
        .route("/items/{id}", get(show_item))
        .route("/owners/{owner}/items", get(list_items))
        .route("/items", post(create_item))
        .layer(from_fn_with_state(shop.clone(), auth))
        .layer(layers)
        .with_state(shop)
}

/// Puts a contender around the service. Returns what it needs until the end as well.
fn watch(contender: &str, rate: f64, sink: &str, project: &str, router: Router) -> (Router, Box<dyn Send>) {
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{sink}/{project}");
    match contender {
        "bare" => (router, Box::new(())),
        "ours" | "ours-uncompressed" => {
            let sentry = Config::builder().http_compression(contender == "ours").dsn(dsn).traces_sample_rate(rate).release("shop@1.2.3").environment("production");
            let sentry = sentry.init().expect("the settings are right");
            tracing_subscriber::registry().with(TracingLayer::new(&sentry)).init();
            (router.layer(SentryLayer::new(&sentry)), Box::new(sentry))
        }
        "official" => {
            let options = sentry::ClientOptions::new().dsn(&dsn).release("shop@1.2.3").environment("production");
            let guard = sentry::init(options.traces_sample_rate(rate as f32));
            let is_crumb = filter_fn(|meta| meta.is_event() && matches!(*meta.level(), tracing::Level::WARN | tracing::Level::INFO));
            tracing_subscriber::registry()
                .with(OfficialSpans::new().with_filter(LevelFilter::INFO))
                .with(BreadcrumbLayer::new().with_filter(is_crumb))
                .with(ErrorLayer::new().with_filter(LevelFilter::ERROR))
                .init();
            let layers = ServiceBuilder::new()
                .layer(NewSentryLayer::<Request<Body>>::new_from_top())
                .layer(SentryHttpLayer::new().enable_transaction());
            // It would end the client when it is dropped here.
            std::mem::forget(guard);
            (router.layer(layers), Box::new(()))
        }
        "opentelemetry" => {
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_http()
                .with_endpoint(format!("http://{sink}/{project}/v1/traces"))
                .build()
                .expect("the settings are right");
            let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(rate)));
            let provider = SdkTracerProvider::builder().with_sampler(sampler).with_batch_exporter(exporter).build();
            opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
            let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop")).with_filter(LevelFilter::INFO);
            tracing_subscriber::registry().with(spans).init();
            (router.layer(axum_tracing_opentelemetry::middleware::OtelAxumLayer::default()), Box::new(provider))
        }
        other => panic!("unknown contender {other}"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, port, contender, rate, sink, project] = arguments.as_slice() else { panic!("see the head of this file") };
    let file: PathBuf = std::env::temp_dir().join(format!("tower-sentry-real-{}.db", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("request").enable_all().build().unwrap();
    let accounts = (0..500).map(|id| (format!("token-{id:05}-c2VjcmV0"), id)).collect();
    let pool = runtime.block_on(database(&file)).unwrap();
    let router = routes(Shop { pool, accounts: Arc::new(accounts) });
    let (router, kept) = watch(contender, rate.parse().unwrap(), &format!("127.0.0.1:{sink}"), project, router);
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
        println!("ready");
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        tokio::select! {
            served = axum::serve(listener, router).into_future() => served.unwrap(),
            _ = terminated.recv() => {}
        }
    });
    drop(kept);
    let _ = std::fs::remove_file(&file);
}
