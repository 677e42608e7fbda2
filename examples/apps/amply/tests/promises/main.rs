//! What Amply's document promises, each over real sockets: what arrives at the servers of its four projects.

mod alerts;
mod backend;
mod ending;
mod environments;
mod jobs;
mod pages;
mod privacy;
mod program;
mod propagation;
mod support;
