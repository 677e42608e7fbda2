//! Decides which frames are the application's own.

/// Crates whose code is never the application's, whatever path it was compiled from.
const LIBRARIES: [&str; 24] = [
    "alloc",
    "axum",
    "axum_core",
    "backtrace",
    "core",
    "futures",
    "futures_core",
    "futures_util",
    "http",
    "http_body",
    "http_body_util",
    "hyper",
    "hyper_util",
    "matchit",
    "pin_project_lite",
    "rust_begin_unwind",
    "std",
    "tokio",
    "tower",
    "tower_http",
    "tower_sentry",
    "tracing",
    "tracing_core",
    "tracing_subscriber",
];

/// Whether the frame belongs to the application: neither its crate nor its path is a library's.
pub(super) fn is_in_app(function: &str, path: Option<&str>) -> bool {
    function.contains("::") && path.is_none_or(is_own_path) && !LIBRARIES.contains(&krate(function))
}

/// Whether a file may belong to the application.
pub(super) fn is_own_path(path: &str) -> bool {
    !(path.contains("/.cargo/registry/") || path.contains("/.cargo/git/") || path.starts_with("/rustc/"))
}

/// Returns the path before the function's name: `shop::cart` for `shop::cart::load::{{closure}}`.
pub(super) fn module(function: &str) -> Option<&str> {
    let plain = function.split("::{{closure}}").next().unwrap_or(function);
    if plain.starts_with('<') {
        return None;
    }
    plain.rsplit_once("::").map(|(module, _)| module)
}

/// Returns the path from the source folder on, which is the same on every machine.
///
/// The frame's module says which crate it is.
pub(super) fn relative(path: &str) -> &str {
    let start = ["/src/", "/examples/", "/tests/", "/benches/"].iter().filter_map(|marker| path.rfind(marker)).min();
    start.and_then(|start| path.get(start + 1..)).unwrap_or(path)
}

/// Returns the name without the compiler's hash (`::h0123456789abcdef` at the end).
pub(super) fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((plain, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => plain,
        _ => name,
    }
}

/// Whether the function belongs to the panic machinery or to our own capture.
pub(super) fn is_machinery(function: &str) -> bool {
    const FUNCTIONS: [&str; 9] = [
        "backtrace::",
        "core::panicking::",
        "rust_begin_unwind",
        "std::panicking::",
        "std::sys::backtrace::",
        "tower_sentry::exception::backtrace::addresses",
        "tower_sentry::incoming::capture_error::",
        "tower_sentry::panic_hook::",
        "tower_sentry::scope::capture::",
    ];
    let plain = function.trim_start_matches('<');
    FUNCTIONS.iter().any(|prefix| plain.starts_with(prefix)) || function.starts_with("__rustc::rust_begin_unwind")
}

/// Whether the function starts a thread; it lies above the application on every thread.
pub(super) fn is_thread_start(function: &str) -> bool {
    function.starts_with("std::sys::backtrace::__rust_begin_short_backtrace") || function.starts_with("__rust_begin_short_backtrace")
}

/// Returns the crate of a function, also for `<shop::Cart as core::fmt::Debug>::fmt`.
fn krate(function: &str) -> &str {
    let plain = function.trim_start_matches(['<', '&', '*', ' ']);
    plain.split("::").next().unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_the_application_is_told_apart_from_libraries() {
        let rows = [
            ("shop::cart::load::{{closure}}", Some("/work/shop/src/cart.rs"), true),
            ("<shop::Cart as core::fmt::Debug>::fmt", Some("/work/shop/src/lib.rs"), true),
            ("core::ops::function::FnOnce::call_once", Some("/rustc/abc/library/core/src/ops/function.rs"), false),
            ("<tokio::runtime::task::Core<T> as X>::poll", Some("/root/.cargo/registry/src/x/tokio-1/src/lib.rs"), false),
            ("sqlx::query", Some("/root/.cargo/registry/src/x/sqlx-1/src/lib.rs"), false),
            // Each row has only one sign of a library.
            ("sqlx::query", Some("/root/.cargo/git/checkouts/sqlx-1a2b/3c4d/src/lib.rs"), false),
            ("test::run_test", Some("/rustc/abc/library/test/src/lib.rs"), false),
            ("tokio::task::spawn", Some("/work/shop/vendor/tokio/src/lib.rs"), false),
            ("<hyper::Request<T> as core::fmt::Debug>::fmt", None, false),
            ("shop::cart::load", None, true),
            ("main", None, false),
        ];

        for (function, path, expected) in rows {
            assert_eq!(is_in_app(function, path), expected, "{function}");
        }
    }

    #[test]
    fn names_and_paths_are_shortened() {
        assert_eq!(without_hash("shop::load::h0123456789abcdef"), "shop::load");
        assert_eq!(without_hash("shop::has"), "shop::has");
        assert_eq!(module("shop::cart::load::{{closure}}"), Some("shop::cart"));
        assert_eq!(relative("/work/shop/cart/src/lib.rs"), "src/lib.rs");
        assert_eq!(relative("/work/shop/tests/src/lib.rs"), "tests/src/lib.rs");
    }
}
