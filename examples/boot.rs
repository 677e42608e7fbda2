//! Prints the resolved settings with the source of each value. Secrets are masked.
//!
//! Run it with `cargo run --example boot`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use tower_sentry::Config;

fn main() -> Result<(), tower_sentry::Error> {
    let config = Config::builder()
        // A loopback address without a server: this example sends nothing.
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
