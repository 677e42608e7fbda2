//! Prints the settings that are in force, with where each comes from. Secrets are masked.
//!
//! `cargo run --example boot` shows what the environment and these few lines come to.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use tower_sentry::Config;

fn main() -> Result<(), tower_sentry::Error> {
    let config = Config::builder()
        // Loopback, and nobody listens there: this example only shows.
        .dsn("http://0123456789abcdef0123456789abcdef:secret@127.0.0.1:9/1")
        .from_env()
        .environment("staging")
        .release("shop@1.4.0")
        .traces_sample_rate(0.25)
        .build()?;
    print!("{config}");
    for warning in config.warnings() {
        println!("warning: {warning}");
    }
    Ok(())
}
