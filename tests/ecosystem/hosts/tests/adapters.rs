//! The layer on other servers and routers. Each test serves the same four requests over a socket.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer as _, Service, ServiceBuilder, service_fn};
use tower_sentry::incoming::{RouteOptions, RouteTemplate};
use tower_sentry::outgoing::OutgoingLayer;
use tower_sentry::test::Captured;
use tower_sentry::{CaptureError, Client, Scope, SentryLayer};

const TRACE: &str = "d4cda95b652f4a1592b449d5929fda1b";
const CALLER: &str = "6e0c63257de34c92";

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Sends a request within a trace, and reads until the server closes the connection.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\nsentry-trace: {TRACE}-{CALLER}-1\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

/// What the handler of `/users/{id}` does on each host: its scope is that of the request.
fn greet() -> &'static str {
    Scope::current().set_tag("seen", "by the handler");
    "Jane"
}

/// The body of `/stream`. The scope is that of the request while it is read, too.
fn chunks() -> impl Stream<Item = Result<Bytes, io::Error>> + Send + Sync + 'static {
    stream::iter(["one", "two", "three"]).map(|chunk| {
        Scope::current().set_tag("chunk", chunk);
        Ok(Bytes::from_static(chunk.as_bytes()))
    })
}

/// The error of `/broken`.
#[derive(Debug)]
struct Shelf;

impl std::fmt::Display for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the shelf is empty")
    }
}

impl std::error::Error for Shelf {}

async fn check(address: SocketAddr, captured: &Captured, names: [&str; 4]) {
    check_named(address, captured, names, "Route").await;
}

/// Requests each path, and checks what was answered and recorded. `names` are those of the three routes, and of a path without one.
async fn check_named(address: SocketAddr, captured: &Captured, names: [&str; 4], source: &str) {
    let user = get(address, "/users/7?token=hunter2").await;
    let stream = get(address, "/stream").await;
    let broken = get(address, "/broken").await;
    let nowhere = get(address, "/nowhere").await;

    assert!(user.starts_with("HTTP/1.1 200 ") && user.ends_with("\r\n\r\nJane"), "{user}");
    assert!(user.contains("x-trace-id: d4cda95b652f4a1592b449d5929fda1b\r\n"), "{user}");
    assert!(stream.contains("\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"), "{stream}");
    assert!(broken.starts_with("HTTP/1.1 500 ") && nowhere.starts_with("HTTP/1.1 404 "), "{broken} {nowhere}");
    let statuses = ["ok", "ok", "internal_error", "not_found"];
    let expected: String = names.iter().zip(statuses).map(|(name, status)| format!("{name} [http.server] {status}\n")).collect();
    assert_eq!(captured.tree(), expected);
    let transactions = captured.transactions();
    for (transaction, status) in transactions.iter().zip([200, 200, 500, 404]) {
        let trace = &transaction.contexts.trace;
        let trace = trace.as_ref().unwrap();
        assert_eq!((trace.trace_id.to_string(), trace.parent_span_id.unwrap().to_string()), (TRACE.to_owned(), CALLER.to_owned()));
        assert_eq!(trace.data["http.response.status_code"], status);
    }
    let [user, stream, broken, _] = &transactions[..] else { panic!("{}", transactions.len()) };
    assert_eq!(user.tags["seen"], "by the handler");
    assert_eq!(format!("{:?}", user.transaction_info.source), source);
    assert!(!format!("{user:?}").contains("hunter2"), "{user:?}");
    let facts = &stream.contexts.trace.as_ref().unwrap().data;
    assert_eq!(
        (stream.tags["chunk"].as_str(), &facts["tower_sentry.body_frames"], &facts["http.response.body.size"]),
        ("three", &3.into(), &11.into())
    );
    let events = captured.events();
    let [event] = &events[..] else { panic!("one event, not {}: {events:?}", events.len()) };
    assert_eq!(event.transaction.as_deref(), Some(broken.name.as_str()));
    assert!(format!("{:?}", event.exception).contains("the shelf is empty"), "{:?}", event.exception);
    assert_eq!(event.contexts.trace.as_ref().unwrap().trace_id.to_string(), TRACE);
}

fn layer(sentry: &Client) -> SentryLayer {
    SentryLayer::new(sentry).trace_header("x-trace-id")
}

/// The layer for hosts that do not say which route matched.
fn layer_with_rows(sentry: &Client) -> SentryLayer {
    let routes = ["/users/{id}", "/stream", "/broken"];
    routes.into_iter().fold(layer(sentry), |layer, route| layer.route(route, RouteOptions::new()))
}

const BRACES: [&str; 4] = ["GET /users/{id}", "GET /stream", "GET /broken", "GET <unmatched>"];
const COLONS: [&str; 4] = ["GET /users/:id", "GET /stream", "GET /broken", "GET <unmatched>"];

/// Serves a tower service with hyper.
fn serve<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    B: hyper::body::Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service));
        }
    });
}

#[tokio::test]
async fn hyper_alone() {
    async fn answer(request: Request<Incoming>) -> Result<Response<UnsyncBoxBody<Bytes, io::Error>>, Infallible> {
        let whole = |text: &'static str| Full::from(text).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(whole(""));
        match request.uri().path() {
            "/users/7" => *response.body_mut() = whole(greet()),
            "/stream" => *response.body_mut() = StreamBody::new(chunks().map(|chunk| chunk.map(Frame::data))).boxed_unsync(),
            "/broken" => {
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response.extensions_mut().insert(CaptureError::new(Shelf));
            }
            _ => *response.status_mut() = StatusCode::NOT_FOUND,
        }
        Ok(response)
    }
    let (sentry, captured) = tower_sentry::test::client();
    let (listener, address) = listen().await;
    serve(listener, layer_with_rows(&sentry).layer(service_fn(answer)));

    check(address, &captured, BRACES).await;
}

#[tokio::test]
async fn axum_0_7() {
    use axum_07::extract::{MatchedPath, Request};
    use axum_07::{Extension, Router, body::Body, routing::get};

    let (sentry, captured) = tower_sentry::test::client();
    let (listener, address) = listen().await;
    let template = |mut request: Request| {
        if let Some(template) = request.extensions().get().map(|path: &MatchedPath| RouteTemplate::new(path.as_str())) {
            request.extensions_mut().insert(template);
        }
        request
    };
    let app: Router = Router::new()
        .route("/users/:id", get(|| async { greet() }))
        .route("/stream", get(|| async { Body::from_stream(chunks()) }))
        .route("/broken", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, Extension(CaptureError::new(Shelf))) }))
        .layer(ServiceBuilder::new().map_request(template).layer(layer(&sentry)));
    tokio::spawn(async { axum_07::serve(listener, app).await.unwrap() });

    check(address, &captured, COLONS).await;
}

#[tokio::test]
async fn warp() {
    use warp::Filter as _;
    use warp::Reply as _;

    let (sentry, captured) = tower_sentry::test::client();
    let (listener, address) = listen().await;
    let users = warp::path!("users" / u32).map(|_| greet().into_response());
    let stream = warp::path!("stream").map(|| warp::reply::stream(chunks()).into_response());
    let broken = warp::path!("broken").map(|| {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(CaptureError::new(Shelf));
        response
    });
    let app = users.or(stream).unify().or(broken).unify();
    serve(listener, layer_with_rows(&sentry).layer(warp::service(app)));

    check(address, &captured, BRACES).await;
}

#[tokio::test]
async fn salvo() {
    use salvo::conn::tcp::TcpAcceptor;
    use salvo::{Router, Server, handler, http::StatusError};

    #[handler]
    async fn user() -> &'static str {
        greet()
    }
    #[handler]
    async fn stream(response: &mut salvo::Response) {
        response.stream(chunks());
    }
    #[handler]
    async fn broken() -> Result<(), StatusError> {
        Err(StatusError::internal_server_error().cause(Shelf))
    }
    let (sentry, captured) = tower_sentry::test::client();
    let (listener, address) = listen().await;
    let app = Router::new()
        .push(Router::with_path("users/{id}").get(user))
        .push(Router::with_path("stream").get(stream))
        .push(Router::with_path("broken").get(broken));
    let service = salvo::Service::new(app).hoop(hosts::salvo::Sentry(layer(&sentry)));
    tokio::spawn(Server::new(TcpAcceptor::try_from(listener).unwrap()).serve(service));

    check(address, &captured, BRACES).await;

    // The catcher of the service, which is outside, has written the page.
    let page = get(address, "/broken").await;
    assert!(page.contains("<h1>500: Internal Server Error</h1>"), "{page}");
    let page = get(address, "/nowhere").await;
    assert!(page.contains("<h1>404: Not Found</h1>"), "{page}");
}

/// With salvo's own adapter for layers, handlers run beside the layer's future: this is why `hosts::salvo` exists.
#[tokio::test]
async fn salvos_own_adapter_records_requests_without_a_scope_in_handlers() {
    use salvo::conn::tcp::TcpAcceptor;
    use salvo::prelude::TowerLayerCompat as _;
    use salvo::{Router, Server, handler, http::ReqBody};

    #[handler]
    async fn user() -> &'static str {
        greet()
    }
    let (sentry, captured) = tower_sentry::test::client();
    let (listener, address) = listen().await;
    let app = Router::with_path("users/{id}").hoop(layer_with_rows(&sentry).compat::<ReqBody>()).get(user);
    tokio::spawn(Server::new(TcpAcceptor::try_from(listener).unwrap()).serve(app));

    let answer = get(address, "/users/7").await;

    assert!(answer.contains("\r\nJane\r\n"), "{answer}");
    assert_eq!(captured.tree(), "GET /users/{id} [http.server] ok\n");
    assert!(!captured.transactions()[0].tags.contains_key("seen"));
}

#[poem::handler]
fn poem_user() -> &'static str {
    greet()
}

#[poem::handler]
fn poem_stream() -> poem::Body {
    poem::Body::from_bytes_stream(chunks())
}

#[poem::handler]
fn poem_broken() -> poem::Result<()> {
    Err(poem::error::InternalServerError(Shelf))
}

#[poem::handler]
fn poem_nowhere() -> poem::Result<()> {
    Err(poem::error::NotFoundError.into())
}

#[tokio::test]
async fn poem_on_each_endpoint() {
    use poem::listener::TcpAcceptor;
    use poem::{EndpointExt as _, Route, Server};

    let (sentry, captured) = tower_sentry::test::client();
    let (listener, address) = listen().await;
    let recorded = || hosts::poem::Sentry(layer(&sentry));
    let app = Route::new()
        .at("/users/:id", poem::get(poem_user).with(recorded()))
        .at("/stream", poem::get(poem_stream).with(recorded()))
        .at("/broken", poem::get(poem_broken).with(recorded()))
        .at("/nowhere", poem::get(poem_nowhere).with(recorded()));
    tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(app));

    check(address, &captured, [COLONS[0], COLONS[1], COLONS[2], "GET /nowhere"]).await;
}

#[tokio::test]
async fn poem_around_the_router() {
    use poem::listener::TcpAcceptor;
    use poem::{EndpointExt as _, Route, Server};

    let (sentry, captured) = tower_sentry::test::client();
    let (listener, address) = listen().await;
    let app = Route::new()
        .at("/users/:id", poem::get(poem_user))
        .at("/stream", poem::get(poem_stream))
        .at("/broken", poem::get(poem_broken))
        .with(hosts::poem::Sentry(layer(&sentry)));
    tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(app));

    check_named(address, &captured, COLONS, "Custom").await;
}

#[tokio::test]
async fn actix_web() {
    use actix_web::{App, HttpResponse, HttpServer, error, web};

    let (sentry, captured) = tower_sentry::test::client();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let layer = layer(&sentry);
    let app = move || {
        App::new()
            .wrap(hosts::actix::Sentry(layer.clone()))
            .route("/users/{id}", web::get().to(async || greet()))
            .route("/stream", web::get().to(async || HttpResponse::Ok().streaming(chunks())))
            .route("/broken", web::get().to(async || Err::<HttpResponse, _>(error::ErrorInternalServerError(Shelf))))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
    let handle = server.handle();
    let running = std::thread::spawn(|| actix_web::rt::System::new().block_on(server));

    check(address, &captured, BRACES).await;

    handle.stop(true).await;
    running.join().unwrap().unwrap();
}

#[tokio::test]
async fn errors_of_middlewares_of_actix_web_are_reported_and_passed_on() {
    use actix_web::body::BoxBody;
    use actix_web::dev::{ServiceRequest, ServiceResponse};
    use actix_web::middleware::{Next, from_fn};
    use actix_web::{App, error, test, web};

    async fn fail(_: ServiceRequest, _: Next<BoxBody>) -> Result<ServiceResponse, actix_web::Error> {
        Err(error::ErrorBadGateway(Shelf))
    }
    let (sentry, captured) = tower_sentry::test::client();
    let app =
        App::new().route("/users/{id}", web::get().to(async || greet())).wrap(from_fn(fail)).wrap(hosts::actix::Sentry(layer(&sentry)));
    let app = test::init_service(app).await;

    let error = test::try_call_service(&app, test::TestRequest::get().uri("/users/7").to_request()).await.err().unwrap();

    assert_eq!((error.to_string(), error.as_response_error().status_code().as_u16()), ("the shelf is empty".to_owned(), 502));
    assert_eq!(captured.tree(), "GET /users/{id} [http.server] internal_error\n");
    let events = captured.events();
    assert_eq!(events.len(), 1);
    assert!(format!("{:?}", events[0].exception).contains("the shelf is empty"), "{events:?}");
}

#[tokio::test]
async fn a_client_that_leaves_in_a_stream_of_actix_web_is_recorded_as_cancelled() {
    use actix_web::body::{BodyStream, MessageBody as _};
    use actix_web::{App, HttpResponse, test, web};

    let (sentry, captured) = tower_sentry::test::client();
    let endless = async || HttpResponse::Ok().body(BodyStream::new(chunks().chain(stream::pending())));
    let app = App::new().wrap(hosts::actix::Sentry(layer(&sentry))).route("/stream", web::get().to(endless));
    let app = test::init_service(app).await;

    let response = test::call_service(&app, test::TestRequest::get().uri("/stream").to_request()).await;
    let mut body = Box::pin(response.into_body());
    let first = std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await.unwrap().unwrap();
    drop(body);

    assert_eq!(first, "one");
    assert_eq!(captured.tree(), "GET /stream [http.server] cancelled\n");
}

#[tokio::test]
async fn tonic_client_and_server() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let (sentry, captured) = tower_sentry::test::client();
    let (listener, address) = listen().await;
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", tonic_health::ServingStatus::Serving).await;
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().layer(SentryLayer::new(&sentry)).add_service(health).serve_with_incoming(incoming));
    let origin: http::Uri = format!("http://{address}").parse().unwrap();
    let channel = tonic::transport::Endpoint::from(origin.clone()).connect().await.unwrap();
    let channel = OutgoingLayer::new().propagate_to(["127.0.0.1"]).layer(channel);
    // Without the origin, the layer does not know which host it calls.
    let mut caller = HealthClient::with_origin(channel, origin);
    let check = HealthCheckRequest { service: "shop".to_owned() };

    sentry.transaction("order").run_infallible(caller.check(check)).await.unwrap();

    let transactions = captured.transactions();
    let find = |name: &str| transactions.iter().find(|transaction| transaction.name == name).unwrap();
    let (order, served) = (find("order"), find("/grpc.health.v1.Health/Check"));
    let [call] = &order.spans[..] else { panic!("{:?}", order.spans) };
    let (ordered, trace) = (order.contexts.trace.as_ref().unwrap(), served.contexts.trace.as_ref().unwrap());
    assert_eq!((trace.trace_id, trace.parent_span_id), (ordered.trace_id, Some(call.span_id)));
    assert_eq!(trace.data["rpc.grpc.status_code"], 0);
    assert_eq!(format!("{:?} {:?}", call.op, call.status), r#"Some("http.client") Some(Ok)"#);
    assert_eq!(call.description, Some(format!("POST http://{address}/grpc.health.v1.Health/Check")));
}
