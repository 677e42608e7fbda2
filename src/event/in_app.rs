//! Decides which frames are the application's own: by the settings, the path and the crate.

use std::path::Path;

use super::crates;

/// Settings of stack traces.
#[derive(Clone, Debug)]
pub(crate) struct FrameSettings {
    /// Prefixes of modules that are the application's own. They take precedence over `exclude`.
    pub(crate) in_app_include: Vec<String>,
    /// Prefixes of modules that are not the application's own.
    pub(crate) in_app_exclude: Vec<String>,
    /// Whether frames of the runtime and of the capture are left out.
    pub(crate) trim_backtraces: bool,
}

impl Default for FrameSettings {
    fn default() -> Self {
        Self { in_app_include: Vec::new(), in_app_exclude: Vec::new(), trim_backtraces: true }
    }
}

impl FrameSettings {
    /// Whether a frame is the application's own. A frame with neither a crate nor a path is not.
    ///
    /// The settings decide first. Then the path decides, because it says where the code comes from.
    /// The crate decides last: a stripped build has no paths.
    pub(super) fn is_in_app(&self, function: Option<&str>, path: Option<&str>) -> bool {
        let owner = function.and_then(owner);
        let package = path.and_then(crates::package);
        let is_listed = |prefixes: &[String]| {
            let matches = |prefix: &String| owner.is_some_and(|owner| is_below(owner, prefix)) || package.as_deref() == Some(prefix);
            prefixes.iter().any(matches)
        };
        if is_listed(&self.in_app_include) {
            return true;
        }
        if is_listed(&self.in_app_exclude) || path.is_some_and(|path| !is_own_path(path)) {
            return false;
        }
        match owner.map(first_segment) {
            Some(krate) => !(crates::is_ours_or_std(krate) || path.is_none() && crates::is_library(krate)),
            // With line tables alone, functions have no module, such as `{async_fn#0}`.
            None => path.is_some(),
        }
    }

    /// Adds prefixes, in the form in which they appear in symbols: `my-crate` is `my_crate`.
    pub(crate) fn prefixes(names: impl IntoIterator<Item = impl Into<String>>) -> impl Iterator<Item = String> {
        let plain = |name: String| name.trim().trim_end_matches("::").replace('-', "_");
        names.into_iter().map(move |name| plain(name.into())).filter(|name| !name.is_empty())
    }
}

/// Whether `path` is the module, crate or function `prefix`, or inside it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with('<'))
}

/// Whether a file may belong to the application: it is written in Rust and not a library's.
pub(super) fn is_own_path(path: &str) -> bool {
    let path = path.replace('\\', "/");
    is_rust_file(&path) && !crates::is_library_path(&path)
}

pub(super) fn is_rust_file(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// Returns the path of the code that a function belongs to, starting with its crate.
///
/// A method of a trait belongs to the crate of the type or of the trait: no other crate may
/// implement it. Returns `None` if there is no crate in the name.
fn owner(function: &str) -> Option<&str> {
    let Some(inside) = function.strip_prefix('<') else {
        return Some(function).filter(|function| head(function).contains("::"));
    };
    let (own, of_trait) = split_as(inside);
    let (own, of_trait) = (of_type(own), of_trait.and_then(of_type));
    // A trait for functions and closures is implemented where the trait is.
    let is_library = |path: &str| crates::is_library(first_segment(path));
    let own = own.filter(|own| of_trait.is_none() || !is_function(own));
    match (own, of_trait) {
        (Some(own), Some(of_trait)) if is_library(own) && !is_library(of_trait) => Some(of_trait),
        (own, of_trait) => own.or(of_trait),
    }
}

/// Returns the path of a type or a trait, if it has one: generic and primitive types do not.
fn of_type(name: &str) -> Option<&str> {
    let name = name.trim_start_matches(TYPE_SIGNS);
    let name = ["mut ", "const ", "dyn ", "impl "].iter().fold(name, |name, word| name.strip_prefix(word).unwrap_or(name));
    if name.starts_with('<') { owner(name) } else { Some(name).filter(|name| head(name).contains("::")) }
}

/// Whether a path names a function or a closure and not a type.
fn is_function(path: &str) -> bool {
    let path = path.split("::{").next().unwrap_or(path);
    head(path).rsplit("::").next().is_some_and(|name| name.starts_with(char::is_lowercase))
}

/// The characters that may come before the path of a type: references, pointers, slices, arrays and tuples.
const TYPE_SIGNS: [char; 5] = ['&', '*', '[', '(', ' '];

/// Returns the name before its type parameters.
///
/// The path of an implementation block (`shop::cart::<impl shop::Total for u32>::total`) is cut there.
fn head(path: &str) -> &str {
    path.split(['<', '>', '(', ' ', '{']).next().unwrap_or(path)
}

/// Splits `A as B>::f` into the type and the trait.
fn split_as(inside: &str) -> (&str, Option<&str>) {
    let mut depth = 0_u32;
    for (at, letter) in inside.char_indices() {
        match letter {
            '<' => depth += 1,
            // `->` in the type of a function.
            '>' if !inside.get(..at).is_some_and(|before| before.ends_with('-')) => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return (inside.get(..at).unwrap_or(inside), None),
            },
            ' ' if depth == 0 && inside.get(at..).is_some_and(|rest| rest.starts_with(" as ")) => {
                return (inside.get(..at).unwrap_or(inside), inside.get(at + 4..));
            }
            _ => {}
        }
    }
    (inside, None)
}

/// Returns the crate of a function, if its name contains it.
pub(super) fn krate(function: &str) -> Option<&str> {
    owner(function).map(first_segment)
}

fn first_segment(path: &str) -> &str {
    path.split("::").next().unwrap_or(path)
}

/// Returns the path before the function's name: `shop::cart` for `shop::cart::load::{{closure}}`.
pub(super) fn module(function: &str) -> Option<&str> {
    let plain = function.split("::{").next().unwrap_or(function);
    let plain = plain.split('<').next().unwrap_or(plain);
    plain.rsplit_once("::").map(|(module, _)| module).filter(|module| !module.is_empty())
}

/// Returns the path from the source folder on, which is the same on every machine.
pub(super) fn relative(path: &str) -> &str {
    let start = ["/src/", "/examples/", "/tests/", "/benches/", "\\src\\", "\\examples\\", "\\tests\\", "\\benches\\"]
        .iter()
        .filter_map(|marker| path.rfind(marker))
        .min();
    start.and_then(|start| path.get(start + 1..)).unwrap_or(path)
}

/// Returns the name without the compiler's hash (`::h0123456789abcdef` at the end).
pub(super) fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((plain, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => plain,
        _ => name,
    }
}

/// Whether the function raises a panic and calls its hook.
pub(super) fn raises_panic(function: &str) -> bool {
    const FUNCTIONS: [&str; 2] = ["rust_panic_with_hook", "panic_with_hook"];
    function.starts_with("std::panicking::") && FUNCTIONS.iter().any(|name| function.ends_with(name))
}

/// Whether the function starts unwinding. Its name has no crate.
pub(super) fn is_unwinder(function: &str) -> bool {
    function.ends_with("rust_begin_unwind")
}

/// Whether the function is ours, and polls a request or a job. The frames outside it are the runtime's.
pub(super) fn is_layer(function: &str) -> bool {
    owner(function).is_some_and(|owner| ["tower_sentry::incoming::", "tower_sentry::job::"].iter().any(|room| owner.starts_with(room)))
}

/// Whether the function starts a thread: it calls the application on every thread.
pub(super) fn is_thread_start(function: &str) -> bool {
    function.starts_with("std::sys::backtrace::__rust_begin_short_backtrace") || function.starts_with("__rust_begin_short_backtrace")
}

/// Whether the function runs the work of a request or job. The frames outside it are not part of the work.
pub(super) fn is_around_work(function: &str) -> bool {
    const FUNCTIONS: [&str; 3] = ["axum::", "F as axum::", "tokio::runtime::"];
    let plain = function.trim_start_matches('<');
    is_layer(function) || FUNCTIONS.iter().any(|start| plain.starts_with(start))
}

/// Whether the function is `main`, or the body of an asynchronous `main`.
pub(super) fn is_main(function: &str) -> bool {
    let plain = function.split("::{").next().unwrap_or(function);
    plain == "main" || plain.ends_with("::main")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in_app(function: Option<&str>, path: Option<&str>) -> bool {
        FrameSettings::default().is_in_app(function, path)
    }

    #[test]
    fn code_of_the_application_is_told_apart_from_libraries() {
        let rows = [
            (Some("shop::cart::load::{{closure}}"), Some("/work/shop/src/cart.rs"), true),
            (Some("<shop::Cart as core::fmt::Debug>::fmt"), Some("/work/shop/src/lib.rs"), true),
            (Some("core::ops::function::FnOnce::call_once"), Some("/rustc/abc/library/core/src/ops/function.rs"), false),
            (Some("<tokio::runtime::task::Core<T> as X>::poll"), Some("/root/.cargo/registry/src/x/tokio-1/src/lib.rs"), false),
            // Each of these has only one sign of a library.
            (Some("sqlx::query"), Some("/root/.cargo/registry/src/x/sqlx-1/src/lib.rs"), false),
            (Some("sqlz::query"), Some("/usr/local/cargo/registry/src/index.crates.io-1949cf8c6b5b557f/sqlz-0.8.6/src/lib.rs"), false),
            (Some("sqlz::query"), Some("/usr/local/cargo/git/checkouts/sqlz-1a2b/3c4d/src/lib.rs"), false),
            (Some("sqlz::query"), Some("C:\\Users\\jo\\.cargo\\registry\\src\\index\\sqlz-0.8\\src\\lib.rs"), false),
            (Some("sqlz::query"), Some("/work/shop/vendor/sqlz/src/lib.rs"), false),
            (Some("sqlz::query"), Some("vendor/sqlz-0.8.6/src/lib.rs"), false),
            (Some("sqlz::query"), Some("vendor\\sqlz\\src\\lib.rs"), false),
            (Some("sqlz::query"), Some("/build/cargo-vendor-dir/sqlz-0.8.6/src/lib.rs"), false),
            (Some("test::run_test"), Some("/rustc/abc/library/test/src/lib.rs"), false),
            (Some("x::run"), Some("/root/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/lib.rs"), false),
            (Some("x::run"), Some("/usr/src/rustc-1.85.0/library/std/src/lib.rs"), false),
            (Some("x::run"), Some("/rustc/abc/library/rtstartup/src/lib.rs"), false),
            (Some("x::run"), Some("/work/shop/vendor/sqlz/src/vendor/pg.rs"), false),
            (Some("x::run"), Some("/rust/deps/hashbrown-0.15.2/src/raw.rs"), false),
            (Some("x::run"), Some("/work/shop/native/x.cc"), false),
            (Some("enter<tower_sentry::X>"), Some(concat!(env!("CARGO_MANIFEST_DIR"), "/src/scope/active.rs")), false),
            (Some("{async_fn#0}"), Some(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/main.rs")), true),
            (Some("tokio::task::spawn"), None, false),
            (Some("<hyper::Request<T> as core::fmt::Debug>::fmt"), None, false),
            (Some("<F as axum::handler::Handler<((),),S>>::call"), None, false),
            (Some("<&mut T as axum::handler::Handler<(),S>>::call"), None, false),
            (Some("<alloc::boxed::Box<F,A> as core::ops::function::FnOnce<Args>>::call_once"), None, false),
            (Some("<shop::api::show as axum::handler::Handler<((),),S>>::call"), None, false),
            (Some("<shop::api::router::{closure#0} as axum::handler::Handler<((),),S>>::call"), None, false),
            (Some("tower_sentry::scope::current::enter"), Some("/work/tower-sentry/src/scope/current.rs"), false),
            (Some("<fn(shop::Cart) -> F as axum::handler::Handler<(),S>>::call"), None, false),
            (Some("core::ptr::drop_in_place<shop::Cart>"), None, false),
            (Some("main"), None, false),
            (Some("<unknown>"), None, false),
            (None, None, false),
            // And these have signs of the application, or none of a library.
            (Some("shop::cart::load"), None, true),
            (Some("<shop::Cart as axum::handler::Handler<(),S>>::call"), None, true),
            (Some("<&shop::Cart as core::fmt::Debug>::fmt"), None, true),
            (Some("<F as shop::Pricing>::price"), None, true),
            (Some("<dyn shop::Pricing>::price"), None, true),
            (Some("<alloc::vec::Vec<T> as shop::Pricing>::price"), Some("/work/shop/src/lib.rs"), true),
            (Some("<alloc::vec::Vec<T> as shop::Pricing>::price"), None, true),
            (Some("http::pages::list"), Some("/work/shop/crates/http/src/lib.rs"), true),
            (Some("shop::cart::<impl shop::Pricing for u32>::price"), None, true),
            (Some("{async_fn#0}"), Some("/work/shop/src/main.rs"), true),
            (Some("{closure#2}<axum::routing::route::RouteFuture<T>>"), Some("/work/shop/src/main.rs"), true),
            (Some("{closure#2}<axum::routing::route::RouteFuture<T>>"), Some("/c/registry/src/i/axum-0.8/src/lib.rs"), false),
            (Some("load<alloc::string::String>"), Some("src/cart.rs"), true),
            (None, Some("src/cart.rs"), true),
            (None, Some("crates\\cart\\src\\lib.rs"), true),
            (None, Some("/usr/local/cargo/registry/src/i/sqlz-0.8.6/src/lib.rs"), false),
            // Folders of the user's with the names of others.
            (Some("shop::vendor::list"), Some("/work/shop/src/vendor/list.rs"), true),
            (Some("shop::vendor::list"), Some("/work/crates/vendor/src/list.rs"), true),
            (Some("shop::vendor::list"), Some("/work/vendor/shop/crates/cart/src/lib.rs"), true),
            (Some("sqlz::query"), Some("/work/vendored/shop/vendor/sqlz/lib.rs"), false),
            (Some("shop::books"), Some("/work/library/core/src/books.rs"), true),
            (Some("shop::registry::add"), Some("/work/shop/src/registry/src/add.rs"), true),
        ];

        for (function, path, expected) in rows {
            assert_eq!(is_in_app(function, path), expected, "{function:?} {path:?}");
        }
    }

    #[test]
    fn the_settings_decide_first_and_include_before_exclude() {
        let list = |names: &[&str]| FrameSettings::prefixes(names.iter().copied()).collect();
        let settings = FrameSettings {
            in_app_include: list(&["acme-orders", "shop::generated::kept", "tokio::acme::"]),
            in_app_exclude: list(&["shop::generated", "acme_orders", ""]),
            ..FrameSettings::default()
        };
        let registry = "/c/registry/src/i/acme-orders-1.2.0-rc.1/src/lib.rs";
        let rows = [
            (Some("acme_orders::place"), Some(registry), true),
            (None, Some(registry), true),
            (None, Some("/c/registry/src/i/acme-orders-more-1.2.0/src/lib.rs"), false),
            (Some("acme_orders_more::place"), Some("/c/registry/src/i/acme-orders-more-1.2.0/src/lib.rs"), false),
            (Some("<T as tokio::acme::Run>::run"), None, true),
            (Some("shop::generated::api::list"), Some("/work/shop/src/api.rs"), false),
            (Some("<shop::generated::Api<T> as X>::list"), Some("/work/shop/src/api.rs"), false),
            (Some("shop::generated::kept<T>"), None, true),
            (Some("shop::generated_by_hand"), None, true),
        ];

        for (function, path, expected) in rows {
            assert_eq!(settings.is_in_app(function, path), expected, "{function:?} {path:?}");
        }
    }

    #[test]
    fn names_and_paths_are_shortened() {
        assert_eq!(without_hash("shop::load::h0123456789abcdef"), "shop::load");
        assert_eq!(without_hash("shop::has"), "shop::has");
        assert_eq!(module("shop::cart::load::{{closure}}"), Some("shop::cart"));
        assert_eq!(module("shop::cart::load<shop::Cart>"), Some("shop::cart"));
        assert_eq!(module("<shop::Cart as core::fmt::Debug>::fmt"), None);
        assert_eq!(module("{async_fn#0}"), None);
        assert_eq!(relative("/work/shop/cart/src/lib.rs"), "src/lib.rs");
        assert_eq!(relative("/work/shop/tests/src/lib.rs"), "tests/src/lib.rs");
        assert_eq!(relative("C:\\shop\\src\\cart.rs"), "src\\cart.rs");
    }
}
