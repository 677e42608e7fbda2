//! The promises of Storm Cloud's page on monitoring, over sockets.

mod ending;
mod errors;
mod performance;
mod privacy;
mod process;
mod receiver;
mod support;
