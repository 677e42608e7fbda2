//! Checks each request before its route: its origin, the limits and a place among those in progress.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, post};
use http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::cross_origin::{Origins, allow};
use super::limits::RequestLimits;
use super::refusal::{Refusal, Refusals};
use super::settings::BrowserLimits;
use crate::protocol::forwarded;
use crate::record::clock;
use crate::scope::Scope;
use crate::transport::LONGEST_WAIT;

/// The checks that both routes share.
#[derive(Debug)]
pub(super) struct Entrance {
    requests: RequestLimits,
    places: Arc<Semaphore>,
    origins: Origins,
    trusted_hops: usize,
    timeout: Duration,
    refusals: Refusals,
}

impl Entrance {
    pub(super) fn new(limits: &BrowserLimits, mut origins: Origins, trusted_hops: usize) -> Self {
        origins.is_behind_proxy = trusted_hops > 0;
        Self {
            requests: RequestLimits::new(limits.requests_per_address, limits.requests),
            places: Arc::new(Semaphore::new(limits.requests_at_once.min(Semaphore::MAX_PERMITS))),
            origins,
            trusted_hops,
            timeout: limits.timeout.min(LONGEST_WAIT),
            refusals: Refusals::default(),
        }
    }

    /// Makes a route whose handler gets only admitted requests, each with the address of its client and a
    /// permit for its place.
    pub(super) fn guard<S, H, F>(self: &Arc<Self>, name: &'static str, handler: H) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
        H: Fn(Option<IpAddr>, Request, OwnedSemaphorePermit) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, Refusal>> + Send + 'static,
    {
        let (of_post, of_options) = (Arc::clone(self), Arc::clone(self));
        let serve = move |request: Request| {
            let (this, handler) = (Arc::clone(&of_post), handler.clone());
            async move {
                Scope::leave_out_current();
                let (parts, body) = request.into_parts();
                let origin = this.origins.judge(&parts);
                let answer = async {
                    origin.clone()?;
                    let (address, place) = this.admit(&parts)?;
                    let served = handler(address, Request::from_parts(parts, body), place);
                    tokio::time::timeout(this.timeout, served).await.unwrap_or(Err(Refusal::BrokenOff))
                };
                let mut response = answer.await.unwrap_or_else(|refusal| {
                    this.refusals.note(name, refusal);
                    refusal.into_response()
                });
                allow(origin.ok().flatten(), response.headers_mut());
                response
            }
        };
        let preflight = move |request: Request| {
            Scope::leave_out_current();
            let response = of_options.origins.preflight(&request.into_parts().0);
            async { response }
        };
        post(serve).options(preflight)
    }

    fn admit(&self, request: &Parts) -> Result<(Option<IpAddr>, OwnedSemaphorePermit), Refusal> {
        let peer = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
        let address = forwarded::client_address(&request.headers, peer, self.trusted_hops);
        self.requests.admit(address, clock::nanos(clock::now())).map_err(Refusal::TooMany)?;
        Ok((address, Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::Busy)?))
    }
}
