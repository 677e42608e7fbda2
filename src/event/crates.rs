//! Finds the crate that code belongs to, from a path or a name.

/// Whether a crate belongs to this SDK or to the standard library.
///
/// Their code is never the application's, even if this SDK is part of the user's workspace.
pub(super) fn is_ours_or_std(krate: &str) -> bool {
    ["__rustc", "alloc", "core", "std", "tower_sentry"].contains(&krate)
}

/// Whether a crate is a well-known library. A build without debug information has only its name.
pub(super) fn is_library(krate: &str) -> bool {
    is_ours_or_std(krate) || LIBRARIES.split(' ').any(|library| library == krate)
}

/// Crates that services use, and whose functions call the application's or fail inside them.
const LIBRARIES: &str = "\
    actix_web addr2line ahash anyhow arc_swap async_graphql async_nats async_stream async_trait \
    aws_config aws_sdk_s3 aws_smithy_runtime axum axum_core axum_extra backtrace base64 bb8 bytes chrono \
    clap color_eyre crossbeam_channel crossbeam_utils dashmap deadpool deadpool_postgres diesel \
    diesel_async either eyre fred futures futures_channel futures_core futures_executor futures_util \
    getrandom gimli h2 hashbrown hickory_resolver http http_body http_body_util httparse hyper \
    hyper_rustls hyper_tls hyper_util indexmap jsonwebtoken lapin libc log matchit mio moka mongodb \
    native_tls object object_store once_cell opentelemetry opentelemetry_sdk parking_lot \
    pin_project_lite prost quinn r2d2 rand rayon rayon_core rdkafka redis regex regex_automata reqwest \
    reqwest_middleware rusqlite rustls rustls_platform_verifier sea_orm sea_query serde serde_core \
    serde_json serde_path_to_error serde_urlencoded serde_yaml sled smallvec sqlx sqlx_core sqlx_mysql \
    sqlx_postgres sqlx_sqlite tempfile thiserror time tokio tokio_postgres tokio_rustls tokio_stream \
    tokio_tungstenite tokio_util toml tonic tower tower_http tower_service tracing tracing_core \
    tracing_subscriber tungstenite url uuid";

/// Whether a path, with `/` as separator, leads to sources of the standard library, of a registry,
/// of a git dependency or of a folder of vendored crates.
pub(super) fn is_library_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let has = |pair: [&str; 2]| parts.windows(2).any(|parts| parts == pair);
    // The user's workspace may contain this crate.
    path.starts_with(concat!(env!("CARGO_MANIFEST_DIR"), "/src/"))
        || path.starts_with("/rustc/")
        || path.starts_with("/rust/deps/")
        || (has(["registry", "src"]) && registry_package(&parts).is_some())
        || has(["git", "checkouts"])
        || has(["cargo", "registry"])
        || is_std(&parts)
        || vendored_package(&parts).is_some()
}

/// Whether the path leads to the sources of the standard library. A distribution may have moved them:
/// `/usr/src/rustc-1.85.0/library/core/src/option.rs`.
fn is_std(parts: &[&str]) -> bool {
    const CRATES: [&str; 10] =
        ["alloc", "backtrace", "core", "panic_abort", "panic_unwind", "portable-simd", "proc_macro", "std", "stdarch", "test"];
    let library = parts.windows(2).position(|pair| matches!(pair, ["library", name] if CRATES.contains(name)));
    library.is_some_and(|at| parts.iter().take(at).any(|part| part.starts_with("rust")))
}

/// The folder of a crate below `registry/src/<index>/`, with its version.
fn registry_package<'p>(parts: &[&'p str]) -> Option<&'p str> {
    let at = parts.windows(2).position(|pair| pair == ["registry", "src"])?;
    // The folders of the index and of the crate lie between it and the file.
    let package = parts.get(at + 3)?;
    parts.get(at + 4).map(|_| *package)
}

/// The folder of a crate below a folder of vendored crates, as `cargo vendor` and packagers lay it
/// out. Below `src`, a folder with such a name is a module of the user.
fn vendored_package<'p>(parts: &[&'p str]) -> Option<&'p str> {
    const FOLDERS: [&str; 5] = ["cargo-vendor-dir", "third-party", "third_party", "vendor", "vendored"];
    let before_sources = parts.iter().position(|part| *part == "src").unwrap_or(parts.len());
    let at = parts.iter().take(before_sources).rposition(|part| FOLDERS.contains(part))?;
    // Crates lie side by side. `vendor/src/lib.rs` is a crate with that name, and
    // `/work/vendor/shop/crates/cart/src/lib.rs` one of a workspace in such a folder.
    let is_crate = before_sources == at + 2 || (before_sources == parts.len() && parts.len() == at + 3);
    is_crate.then(|| parts.get(at + 1).copied()).flatten()
}

/// Returns the name of the crate, as it appears in symbols, if the path contains its folder.
pub(super) fn package(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let parts: Vec<&str> = path.split('/').collect();
    let sources = || parts.iter().rposition(|part| *part == "src").and_then(|at| parts.get(at.checked_sub(1)?)).copied();
    let folder = registry_package(&parts).or_else(|| vendored_package(&parts)).or_else(sources)?;
    Some(without_version(folder).replace('-', "_")).filter(|name| !name.is_empty())
}

/// Returns `acme-orders` for `acme-orders-1.2.0-rc.1`.
fn without_version(folder: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = |rest: &str| rest.split_once('.').is_some_and(|(major, _)| is_number(major));
    let version = folder.match_indices('-').find(|(at, _)| folder.get(at + 1..).is_some_and(is_version));
    version.and_then(|(at, _)| folder.get(..at)).unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_crate_says_its_name() {
        let rows = [
            ("/root/.cargo/registry/src/index.crates.io-6f17d22bba15001f/acme-orders-1.2.0-rc.1/src/lib.rs", Some("acme_orders")),
            ("C:\\Users\\jo\\.cargo\\registry\\src\\i\\acme-2-0.1.0\\src\\lib.rs", Some("acme_2")),
            ("vendor/acme-orders/src/lib.rs", Some("acme_orders")),
            ("/work/shop/crates/cart-api/src/lib.rs", Some("cart_api")),
            ("/work/shop/crates/cart/src/src/lib.rs", Some("src")),
            ("src/main.rs", None),
            ("/rustc/abc/library/core/src/option.rs", Some("core")),
            ("main.rs", None),
        ];

        for (path, expected) in rows {
            assert_eq!(package(path).as_deref(), expected, "{path}");
        }
    }
}
