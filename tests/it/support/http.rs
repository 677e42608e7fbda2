//! The application under test on a real socket, and clients for it.

use std::io::Read;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::http::request::Builder;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// A service that listens.
pub struct Server {
    pub address: SocketAddr,
}

impl Server {
    /// Serves a router with `axum::serve`.
    pub async fn start(app: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { address }
    }

    /// Serves any tower service with plain hyper.
    pub async fn start_hyper<S, B>(service: S) -> Self
    where
        S: tower::Service<Request<hyper::body::Incoming>, Response = hyper::Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send,
        B: hyper::body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = hyper_util::service::TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    // A client that goes away is the client's affair.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address }
    }
}

/// One GET on a connection of its own.
pub async fn get(server: &Server, target: &str) -> (StatusCode, String) {
    request(server, Request::get(target)).await
}

/// One request on a connection of its own.
pub async fn request(server: &Server, request: Builder) -> (StatusCode, String) {
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = request.header("host", "shop.example").body(Body::empty()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// A connection that speaks HTTP/2.
#[derive(Clone)]
pub struct Http2 {
    sender: hyper::client::conn::http2::SendRequest<Body>,
}

impl Http2 {
    pub async fn connect(server: &Server) -> Self {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// The head of a response; the body is left to be read.
    pub async fn open(&mut self, path: &str) -> hyper::Response<hyper::body::Incoming> {
        let request = Request::get(format!("http://shop.example{path}")).body(Body::empty()).unwrap();
        self.sender.send_request(request).await.unwrap()
    }

    pub async fn get(&mut self, path: &str) -> StatusCode {
        let request = Request::get(format!("http://shop.example{path}")).body(Body::empty()).unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        let status = response.status();
        response.into_body().collect().await.unwrap();
        status
    }
}

/// Reads one request with its body; `false` if it breaks off.
pub fn take_request(stream: &mut impl Read) -> bool {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length: usize = head.split_once("content-length: ").unwrap().1.lines().next().unwrap().parse().unwrap();
            let head = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            if request.len() >= head + 4 + length {
                return true;
            }
        }
        let read = stream.read(&mut part).unwrap_or(0);
        if read == 0 {
            return false;
        }
        request.extend_from_slice(&part[..read]);
    }
}
