//! QuickDapp: users sign in with a wallet and deploy tokens. A web server takes the order, and a worker
//! process does it. A page, a request and a job are one trace, in two projects of Sentry.
//!
//! - [`monitoring`] sets up Sentry for both processes and for the page: read this first.
//! - [`server`] has the routes, [`session`] signs users in and out, [`tokens`] writes jobs, [`page`] is
//!   the page.
//! - [`worker`] takes the jobs, [`chain`] stands for the chain.
//! - [`store`] is the database, which is also the queue. [`wallet`] checks signatures. [`stop`] waits for the end of a process,
//!   and [`folder`] is removed at that end.

pub mod chain;
pub mod failure;
pub mod folder;
pub mod monitoring;
pub mod page;
pub mod server;
pub mod session;
pub mod stop;
pub mod store;
pub mod tokens;
pub mod wallet;
pub mod worker;
