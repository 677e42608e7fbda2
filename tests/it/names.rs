//! What a transaction is called: few names, and the right ones.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::{any, get};
use http::{Method, Request, StatusCode};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_sentry::incoming::{RouteNameLayer, RouteOptions, RouteTemplate};
use tower_sentry::{Client, Config, SentryLayer};

use crate::support::{items, patience};

/// A client that keeps the names and sources of what it sends.
fn named() -> (Client, std::sync::mpsc::Receiver<(String, String)>) {
    let (names, received) = std::sync::mpsc::channel();
    let transport = move |envelope: &[u8]| {
        for (_, payload) in items(envelope).1 {
            if payload["type"] == "transaction" {
                let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                names.send((text(&payload["transaction"]), text(&payload["transaction_info"]["source"]))).unwrap();
            }
        }
    };
    let config =
        Config::builder().transport(transport).panic_hook(false).traces_sample_rate(1.0).queue_items(200_000).queue_bytes(usize::MAX);
    (Client::from(config.build().unwrap()), received)
}

async fn visit<S, B>(service: &S, client: &Client, requests: impl IntoIterator<Item = (Method, String)>)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
{
    for (number, (method, target)) in requests.into_iter().enumerate() {
        let request = Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
        // A part of them is what one wait can be asked for.
        if number % 1_000 == 999 {
            client.flush(patience()).await.unwrap();
        }
    }
    client.flush(patience()).await.unwrap();
}

fn gets(targets: impl IntoIterator<Item = &'static str>) -> Vec<(Method, String)> {
    targets.into_iter().map(|target| (Method::GET, target.to_owned())).collect()
}

fn rows(received: &std::sync::mpsc::Receiver<(String, String)>) -> String {
    let rows: BTreeSet<_> = received.try_iter().collect();
    rows.into_iter().fold(String::new(), |mut text, (name, source)| {
        writeln!(text, "{name} ({source})").unwrap();
        text
    })
}

#[tokio::test]
async fn route_template() {
    let (client, received) = named();
    let items = Router::new().route("/{item}", get(|| async { "item" })).route("/", get(|| async { "items" }));
    let users = Router::new().route("/{id}", get(|| async { "user" })).nest("/{id}/items", items);
    let merged = Router::new().route("/health/{probe}", get(|| async { "ok" }));
    let app = Router::new()
        .nest("/users", users)
        .merge(merged)
        .route("/files/{*path}", get(|| async { "file" }))
        .layer(SentryLayer::new(&client));

    visit(&app, &client, (0..10_000).map(|id| (Method::GET, format!("/users/{id}")))).await;
    visit(&app, &client, gets(["/users/7/items/9", "/users/7/items", "/health/live", "/files/a/b.css"])).await;

    assert_eq!(
        rows(&received),
        "GET /files/{*path} (route)\nGET /health/{probe} (route)\nGET /users/{id} (route)\nGET /users/{id}/items (route)\nGET /users/{id}/items/{item} (route)\n"
    );
}

#[tokio::test]
async fn unmatched_folds() {
    let (client, received) = named();
    let app = Router::new().route("/known", get(|| async { "ok" })).layer(SentryLayer::new(&client));
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW", "PROPFIND"];

    let random = (0..10_000).map(|path| (methods[path % methods.len()].parse().unwrap(), format!("/{path}/{}", path * 7919)));
    visit(&app, &client, random).await;

    let rows = rows(&received);
    assert_eq!(rows.lines().count(), 10, "{rows}");
    assert!(rows.contains("_OTHER <unmatched> (route)\n") && rows.contains("PATCH <unmatched> (route)\n"), "{rows}");
}

#[tokio::test]
async fn a_template_of_another_router_names_the_request_and_finds_its_row() {
    let (client, received) = named();
    let with_template = |path: &str, template: &'static str| {
        let request = Request::get(path).extension(RouteTemplate::new(template));
        request.body(Body::empty()).unwrap()
    };
    let layer = || SentryLayer::new(&client).name(|_| Some("by the function".to_owned()));
    let other = layer()
        .route("/health/:probe", RouteOptions::new().ignore())
        .route("/users/7", RouteOptions::new().ignore())
        .layer(service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) }));
    let axums = Router::new().route("/items/{id}", get(|| async { "item" })).layer(layer());

    for request in [with_template("/users/7", "/users/:id"), with_template("/health/live", "/health/:probe")] {
        other.clone().oneshot(request).await.unwrap();
    }
    axums.oneshot(with_template("/items/9", "/elsewhere/:id")).await.unwrap();
    client.flush(patience()).await.unwrap();

    assert_eq!(rows(&received), "GET /items/{id} (route)\nGET /users/:id (route)\n");
}

#[tokio::test]
async fn a_hook_inside_the_router_names_requests_of_a_layer_outside() {
    let (client, received) = named();
    let app = Router::new()
        .route("/users/{id}", get(|| async { "user" }))
        .nest_service("/assets", any(|| async { "asset" }))
        .route_layer(RouteNameLayer);
    let layer = || SentryLayer::new(&client).route("/assets/{*rest}", RouteOptions::new()).boxed_body();
    let targets = || gets(["/users/7", "/assets/app.css", "/nowhere"]);

    visit(&layer().layer(app.clone()), &client, targets()).await;
    assert_eq!(rows(&received), "GET /assets/{*rest} (route)\nGET /users/{id} (route)\nGET <unmatched> (route)\n");

    visit(&layer().name(|_| Some("by the function".to_owned())).layer(app), &client, targets()).await;
    assert_eq!(rows(&received), "GET /assets/{*rest} (route)\nGET /users/{id} (route)\nby the function (custom)\n");
}

#[tokio::test]
async fn a_job_that_calls_the_router_keeps_its_own_name() {
    let (client, received) = named();
    let app = Router::new().route("/users/{id}", get(|| async { "user" })).route_layer(RouteNameLayer);
    let request = Request::get("/users/7").body(Body::empty()).unwrap();

    client.transaction("nightly export").run(async { assert_eq!(app.oneshot(request).await.unwrap().status(), 200) }).await;
    client.flush(patience()).await.unwrap();

    assert_eq!(rows(&received), "nightly export (task)\n");
}

#[tokio::test]
async fn a_function_names_at_most_a_thousand() {
    let (client, received) = named();
    let layer = SentryLayer::new(&client).name(|request| match request.uri().path() {
        "/panics" => panic!("a fault of the user's"),
        "/nothing" => None,
        path => Some(format!("rpc {path}")),
    });
    let service = layer.layer(service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) }));

    visit(&service, &client, gets(["/panics", "/nothing", "/first"])).await;
    assert_eq!(rows(&received), "GET <unmatched> (route)\nrpc /first (custom)\n");

    visit(&service, &client, (0..20_000).map(|path| (Method::GET, format!("/{path}")))).await;
    let names: BTreeSet<_> = received.try_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 1000, "the first is one of them");
    assert!(names.contains("<overflow>"));
}

#[tokio::test]
async fn a_handler_names_by_its_path() {
    #[tracing::instrument]
    async fn show() -> &'static str {
        inner().await
    }
    #[tracing::instrument]
    async fn inner() -> &'static str {
        tower_sentry::capture_message(tower_sentry::Level::Error, "noted");
        "user"
    }
    crate::support::subscribe();
    let (client, received) = named();
    let app = Router::new().route("/users/{id}", get(show)).route("/plain", get(|| async { "plain" }));
    // Other middleware may stand between, as a span or with one of its own.
    let app = app.layer(tower_sentry::SpanLayer::new("middleware.cors", tower_http::cors::CorsLayer::permissive()));
    let span = tower_http::trace::DefaultMakeSpan::new().level(tracing::Level::INFO);
    let traced = tower_http::trace::TraceLayer::new_for_http().make_span_with(span);
    let app = app.layer(traced).layer(SentryLayer::new(&client).name_by_handler());

    visit(&app, &client, gets(["/users/7", "/plain"])).await;

    assert_eq!(rows(&received), "GET /plain (route)\nit::names::show (view)\n");
}

#[tokio::test]
async fn a_wrapped_handler_names_by_its_path_without_an_attribute() {
    async fn show(Path(id): Path<u32>) -> Result<String, StatusCode> {
        if id == 0 { Err(StatusCode::NOT_FOUND) } else { Ok(id.to_string()) }
    }
    let (client, received) = named();
    let app = Router::new().route("/users/{id}", get(tower_sentry::incoming::named(show)).post(show));
    let by_handler = app.clone().layer(SentryLayer::new(&client).name_by_handler());
    let by_route = app.layer(SentryLayer::new(&client));

    visit(&by_handler, &client, gets(["/users/7", "/users/0", "/users/x"])).await;
    assert_eq!(rows(&received), "it::names::a_wrapped_handler_names_by_its_path_without_an_attribute::{{closure}}::show (view)\n");
    visit(&by_route, &client, gets(["/users/7"])).await;
    assert_eq!(rows(&received), "GET /users/{id} (route)\n");
}
