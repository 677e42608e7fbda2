//! A program that dies of its first panic: what it has captured must be out by then. Built with `panic = "abort"`.

use std::io::Write as _;

use tower_sentry::{Config, Level};

fn main() -> Result<(), tower_sentry::Error> {
    let sentry = Config::builder().transport(|envelope: &[u8]| drop(std::io::stdout().write_all(envelope))).init()?;
    tower_sentry::capture_message(Level::Info, "still well");
    let shelves: Vec<u32> = Vec::new();
    let first = shelves.first().expect("the shelf is empty");
    println!("{first} {sentry:?}");
    Ok(())
}
