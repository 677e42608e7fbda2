//! Harmless values under names that sound secret, and harmless headers, cookies, parameters and paths.

use serde_json::{Value, json};

use super::case::{Case, Kind, Place, harmless_field};
use super::random::Random;

pub const KINDS: &[Kind] = &[
    Kind { name: "kept header: standard", make: standard_header },
    Kind { name: "kept header: ids and traces", make: id_header },
    Kind { name: "kept header: browsers", make: browser_header },
    Kind { name: "kept header: proxies", make: proxy_header },
    Kind { name: "kept header: caches", make: cache_header },
    Kind { name: "kept header: own", make: own_header },
    Kind { name: "kept header: referer", make: referer },
    Kind { name: "kept cookie", make: cookie },
    Kind { name: "kept query", make: query },
    Kind { name: "kept query: words and ids", make: query_ids },
    Kind { name: "kept query: redirects", make: redirect },
    Kind { name: "kept path: slugs and ids", make: path },
    Kind { name: "kept path: words", make: path_words },
    Kind { name: "kept path: assets", make: path_assets },
    Kind {
        name: "kept field: yes and no",
        make: |r| {
            let v = r.pick(&["true", "false"]) == "true";
            let n = r.pick(FLAGS);
            harmless_field(r, n, v)
        },
    },
    Kind {
        name: "kept field: counts and sizes",
        make: |r| {
            let v = r.between(10, 99_999);
            let n = r.pick(COUNTS);
            harmless_field(r, n, v)
        },
    },
    Kind {
        name: "kept field: small numbers",
        make: |r| {
            let v = r.between(1, 40);
            let n = r.pick(VERSIONS);
            harmless_field(r, n, v)
        },
    },
    Kind {
        name: "kept field: nothing",
        make: |r| {
            let v = nothing(r);
            let n = r.pick(SECRET);
            harmless_field(r, n, v)
        },
    },
    Kind {
        name: "kept field: words",
        make: |r| {
            let (n, v) = enum_word(r);
            harmless_field(r, n, v)
        },
    },
    Kind {
        name: "kept field: masks",
        make: |r| {
            let v = r.pick(&["***", "********", "<redacted>", "[hidden]", "xxxxx", "(none)"]);
            let n = r.pick(SECRET);
            harmless_field(r, n, v)
        },
    },
    Kind { name: "kept field: key of a cache", make: cache_key },
    Kind { name: "kept field: keys that are none", make: key_field },
    Kind { name: "kept field: alike names", make: alike },
    Kind { name: "kept field: times", make: times },
    Kind { name: "kept field: ids", make: id_field },
    Kind { name: "kept field: numbers", make: numbers },
    Kind { name: "kept field: lists", make: lists },
];

fn standard_header(r: &mut Random) -> Case {
    let (name, value) = [
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "de-DE,de;q=0.9,en;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("content-type", "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW"),
        ("content-type", "application/json; charset=utf-8"),
        ("host", "shop.example.com:8443"),
        ("connection", "keep-alive, Upgrade"),
        ("expect", "100-continue"),
        ("range", "bytes=0-1048575"),
        ("te", "trailers"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("accept-charset", "utf-8, iso-8859-1;q=0.5"),
        ("access-control-request-headers", "authorization,content-type,x-api-key"),
        ("access-control-request-method", "POST"),
        ("origin", "https://shop.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"),
        ("user-agent", "okhttp/4.12.0"),
        ("user-agent", "Googlebot/2.1 (+http://www.google.com/bot.html)"),
        ("cache-control", "no-cache, max-age=0"),
        ("pragma", "no-cache"),
        ("priority", "u=1, i"),
        ("content-disposition", "attachment; filename=\"invoice-2026-11.pdf\""),
        ("prefer", "return=minimal"),
        ("sec-websocket-protocol", "graphql-transport-ws"),
        ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
        ("content-encoding", "gzip"),
        ("transfer-encoding", "chunked"),
    ][r.below(28)];
    Case::new(Place::Header, name, value).keeps(value)
}

fn id_header(r: &mut Random) -> Case {
    let (name, value) = match r.below(12) {
        0 => ("x-request-id", r.uuid()),
        1 => ("x-correlation-id", r.uuid()),
        2 => ("traceparent", format!("00-{}-{}-01", r.hex(32), r.hex(16))),
        3 => ("b3", format!("{}-{}-1", r.hex(32), r.hex(16))),
        4 => ("x-b3-traceid", r.hex(32)),
        5 => ("x-amzn-trace-id", format!("Root=1-{}-{}", r.hex(8), r.hex(24))),
        6 => ("x-cloud-trace-context", format!("{}/{};o=1", r.hex(32), r.digits(18))),
        7 => ("cf-ray", format!("{}-FRA", r.hex(16))),
        8 => ("x-datadog-trace-id", r.digits(19)),
        9 => ("uber-trace-id", format!("{}:{}:0:1", r.hex(32), r.hex(16))),
        10 => ("tracestate", format!("dd=s:1;t.dm:-1,congo={}", r.hex(16))),
        _ => ("x-request-id", r.hex(32)),
    };
    Case::new(Place::Header, name, value.clone()).keeps(value)
}

fn browser_header(r: &mut Random) -> Case {
    let (name, value) = [
        ("sec-ch-ua", "\"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\""),
        ("sec-ch-ua-mobile", "?0"),
        ("sec-ch-ua-platform", "\"Linux\""),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("upgrade-insecure-requests", "1"),
        ("dnt", "1"),
        ("x-requested-with", "XMLHttpRequest"),
        ("save-data", "on"),
        ("viewport-width", "1440"),
        ("device-memory", "8"),
        ("downlink", "10"),
        ("rtt", "50"),
        ("ect", "4g"),
        ("sec-gpc", "1"),
        ("sec-fetch-user", "?1"),
    ][r.below(17)];
    Case::new(Place::Header, name, value).keeps(value)
}

fn proxy_header(r: &mut Random) -> Case {
    let (name, value) = [
        ("x-envoy-attempt-count", "1"),
        ("x-envoy-expected-rq-timeout-ms", "15000"),
        ("cdn-loop", "cloudflare; loops=1"),
        ("cf-ipcountry", "DE"),
        ("cloudfront-viewer-country", "DE"),
        ("x-azure-fdid", "a0a0a0a0-bbbb-cccc-dddd-e1e1e1e1e1e1"),
        ("fly-region", "fra"),
        ("x-vercel-id", "fra1::iad1::abcde-1700000000000-0123456789ab"),
        ("x-appengine-country", "DE"),
        ("x-request-start", "t=1795168800412"),
        ("x-queue-start", "t=1795168800412"),
        ("x-amz-cf-pop", "FRA56-P8"),
        ("x-served-by", "cache-fra-eddf8230083-FRA"),
        ("x-timer", "S1795168800.412,VS0"),
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "4999"),
        ("retry-after", "120"),
        ("x-cache", "MISS from edge"),
        ("x-scheme", "https"),
        ("x-original-method", "GET"),
    ][r.below(20)];
    Case::new(Place::Header, name, value).keeps(value)
}

fn cache_header(r: &mut Random) -> Case {
    let (name, value) = match r.below(5) {
        0 => ("if-none-match", format!("W/\"{}\"", r.hex(32))),
        1 => ("if-match", format!("\"{}\"", r.hex(40))),
        2 => ("if-modified-since", "Fri, 20 Nov 2026 10:00:00 GMT".to_owned()),
        3 => ("etag", format!("\"{}-{}\"", r.hex(4), r.hex(13))),
        _ => ("content-md5", "Q2hlY2sgSW50ZWdyaXR5IQ==".to_owned()),
    };
    Case::new(Place::Header, name, value.clone()).keeps(value)
}

fn own_header(r: &mut Random) -> Case {
    let (name, value) = [
        ("x-tenant", "acme-gmbh"),
        ("x-app-version", "4.12.0-beta.3"),
        ("x-feature-flags", "new-checkout,dark-mode"),
        ("x-platform", "ios"),
        ("x-locale", "de-DE"),
        ("x-shop-region", "eu-west-1"),
        ("x-timezone", "Europe/Berlin"),
        ("x-page-size", "50"),
        ("x-experiment", "checkout-2026-b"),
        ("x-build", "20261120.4"),
        ("x-api-version", "2026-11-20"),
        ("stripe-version", "2024-06-20"),
        ("x-github-event", "pull_request"),
        ("x-shopify-topic", "orders/create"),
        ("x-idempotent-replayed", "true"),
        ("x-debug", "false"),
        ("x-stainless-lang", "python"),
        ("x-client-name", "apollo-ios"),
        ("apollo-require-preflight", "true"),
        ("x-goog-channel-resource-state", "exists"),
    ][r.below(20)];
    Case::new(Place::Header, name, value).keeps(value)
}

fn referer(r: &mut Random) -> Case {
    let value = match r.below(4) {
        0 => format!("https://shop.example/{}/{}?page={}&sort=price", r.word(), r.digits(5), r.below(50)),
        1 => format!("https://www.google.com/search?q={}+{}&hl=en", r.word(), r.word()),
        2 => format!("https://shop.example/{}?utm_source=newsletter&utm_campaign=black-friday-2026", r.word()),
        _ => format!("https://shop.example/orders/{}#details", r.uuid()),
    };
    Case::new(Place::Header, "referer", value.clone()).keeps(value)
}

fn cookie(r: &mut Random) -> Case {
    let (name, value) = [
        ("theme", "light"),
        ("locale", "de-DE"),
        ("cookie_consent", "accepted"),
        ("currency", "EUR"),
        ("sidebar", "collapsed"),
        ("tz", "Europe%2FBerlin"),
        ("ab_test", "variant-b"),
        ("seen_banner", "1"),
        ("font-size", "large"),
        ("region", "eu-west-1"),
        ("cookieConsent", "true"),
        ("color-scheme", "dark"),
        ("page_size", "50"),
        ("onboarding", "done"),
        ("timezone", "UTC"),
        ("view", "grid"),
    ][r.below(16)];
    Case::new(Place::Cookie, name, value).keeps(format!("{name}={value}")).keeps("theme=dark-blue").keeps("lang=en-GB")
}

fn query(r: &mut Random) -> Case {
    let (name, value) = [
        ("q", "token+bucket"),
        ("q", "password%20manager"),
        ("sort", "key"),
        ("order_by", "session_count"),
        ("filter", "status%3Dopen"),
        ("fields", "id,name,author"),
        ("include", "author,keywords"),
        ("keyword", "secret+garden"),
        ("limit", "100"),
        ("offset", "2000"),
        ("lang", "en-GB"),
        ("tab", "security"),
        ("zipcode", "10115"),
        ("barcode", "4006381333931"),
        ("from", "2026-11-01"),
        ("country_code", "DE"),
        ("has_password", "true"),
        ("response_type", "code"),
        ("grant_type", "authorization_code"),
        ("scope", "openid%20profile"),
        ("code_challenge_method", "S256"),
        ("token_type", "bearer"),
        ("design", "blue"),
        ("monkey", "business"),
        ("hotkey", "ctrl-k"),
        ("status_code", "404"),
        ("currency_code", "EUR"),
        ("error_code", "access_denied"),
        ("promo_code", "SUMMER10"),
    ][r.below(29)];
    Case::new(Place::Query, name, value).keeps(format!("page=2&{name}={value}&sort=price"))
}

fn query_ids(r: &mut Random) -> Case {
    let (name, value) = match r.below(6) {
        0 => ("id", r.uuid()),
        1 => ("cursor", r.digits(18)),
        2 => ("commit", r.hex(40)),
        3 => ("ids", format!("{},{},{}", r.digits(5), r.digits(5), r.digits(6))),
        4 => ("session_type", r.pick(&["trial", "live"]).to_owned()),
        _ => ("slug", format!("the-{}-of-the-{}-and-the-{}", r.word(), r.word(), r.word())),
    };
    Case::new(Place::Query, name, value.clone()).keeps(format!("{name}={value}"))
}

fn redirect(r: &mut Random) -> Case {
    let value = super::random::percent(&format!("https://app.example/{}?view=list&page={}", r.word(), r.below(9)));
    Case::new(Place::Query, "next", value.clone()).keeps(format!("next={value}"))
}

fn path(r: &mut Random) -> Case {
    let last = match r.below(7) {
        0 => r.uuid(),
        1 => r.digits(12),
        2 => r.hex(40),
        3 => format!("how-to-choose-the-right-{}-for-your-{}-without-losing-your-{}", r.word(), r.word(), r.word()),
        4 => r.hex(24),
        5 => format!("01{}", r.of("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 24)),
        _ => r.hex(64),
    };
    let path = format!("/{}s/{last}", r.word());
    Case::new(Place::Path, "", path.clone()).keeps(path)
}

fn path_words(r: &mut Random) -> Case {
    let path = match r.below(10) {
        0 => "/reset/password".to_owned(),
        1 => "/auth/login".to_owned(),
        2 => "/tokens/refresh".to_owned(),
        3 => format!("/share/{}s", r.word()),
        4 => format!("/verify/{}", r.digits(6).replace('0', "1")).replace("/verify/", "/pages/"),
        5 => "/oauth/token".to_owned(),
        6 => "/.well-known/openid-configuration".to_owned(),
        7 => "/invite/friends".to_owned(),
        8 => format!("/secrets/list/{}", r.word()),
        _ => "/confirm/email".to_owned(),
    };
    Case::new(Place::Path, "", path.clone()).keeps(path)
}

fn path_assets(r: &mut Random) -> Case {
    let path = match r.below(4) {
        0 => format!("/assets/main.{}.js", r.hex(20)),
        1 => format!("/_next/static/chunks/{}-{}.js", r.digits(4), r.hex(16)),
        2 => format!("/static/css/app.{}.chunk.css", r.hex(8)),
        _ => format!("/img/{}-{}x{}@2x.webp", r.word(), r.between(100, 999), r.between(100, 999)),
    };
    Case::new(Place::Path, "", path.clone()).keeps(path)
}

const FLAGS: &[&str] = &[
    "password_reset",
    "has_token",
    "is_authenticated",
    "api_key_present",
    "token_expired",
    "remember_password",
    "secret_rotated",
    "use_session",
    "auth_required",
    "cookie_consent",
    "pin_enabled",
    "requires_password",
    "key_found",
    "password",
    "token",
    "session",
    "auth",
];

const COUNTS: &[&str] = &[
    "token_count",
    "max_tokens",
    "prompt_tokens",
    "completion_tokens",
    "session_length",
    "token_limit",
    "session_count",
    "key_count",
    "password_length",
    "total_tokens",
    "tokens_used",
    "keys_evicted",
    "auth_attempts",
    "session_duration_ms",
    "token_expires_in",
    "cookie_size",
    "password_age_days",
];

const VERSIONS: &[&str] = &[
    "secret_version",
    "key_version",
    "api_key_version",
    "token_version",
    "password_attempts",
    "password_min_length",
    "session_number",
    "auth_level",
    "key_index",
    "token_index",
    "credential_count",
];

const SECRET: &[&str] =
    &["password", "api_key", "token", "secret", "auth", "session", "access_token", "client_secret", "authorization", "pin", "credentials"];

fn nothing(r: &mut Random) -> Value {
    [
        Value::Null,
        json!(""),
        json!("None"),
        json!("null"),
        json!("undefined"),
        json!("N/A"),
        json!("nil"),
        json!("missing"),
        json!("not set"),
        json!("unset"),
        json!("empty"),
    ][r.below(11)]
    .clone()
}

fn enum_word(r: &mut Random) -> (&'static str, &'static str) {
    [
        ("token_type", "bearer"),
        ("auth", "oidc"),
        ("auth_method", "password"),
        ("session", "expired"),
        ("session_state", "active"),
        ("token_status", "revoked"),
        ("password_policy", "strict"),
        ("secret_name", "orders-db"),
        ("api_key_name", "reporting"),
        ("key_type", "rsa"),
        ("credential_type", "static"),
        ("token", "invalid"),
        ("password", "required"),
        ("auth", "none"),
        ("auth_provider", "google"),
        ("secret_engine", "kv-v2"),
        ("key_algorithm", "ed25519"),
        ("cookie_policy", "lax"),
        ("session_store", "redis"),
        ("token_endpoint", "https://id.example/token"),
        ("auth", "disabled"),
        ("password_field", "new-password"),
        ("jwt_alg", "RS256"),
        ("token_issuer", "https://id.example"),
        ("token", "expired"),
        ("credentials", "include"),
        ("auth_scheme", "basic"),
        ("pin_status", "locked"),
        ("signature_algorithm", "sha256"),
        ("secret_store", "vault"),
        ("cookie_domain", "shop.example"),
        ("password_hash_algorithm", "argon2id"),
    ][r.below(32)]
}

fn cache_key(r: &mut Random) -> Case {
    let value = match r.below(5) {
        0 => format!("user:{}:profile", r.digits(5)),
        1 => format!("cart/{}", r.digits(6)),
        2 => format!("{}_{}", r.word(), r.digits(3)),
        3 => format!("views.decorators.cache.{}.GET", r.word()),
        _ => r.word().to_owned(),
    };
    let name = r.pick(&["key", "cache.key", "cache_key", "key"]);
    harmless_field(r, name, value)
}

fn key_field(r: &mut Random) -> Case {
    let (name, value) = [
        ("primary_key", "order_id"),
        ("sort_key", "created_at"),
        ("partition_key", "tenant-17"),
        ("foreign_key", "users_id_fkey"),
        ("routing_key", "orders.created"),
        ("message_key", "order-17"),
        ("translation_key", "checkout.title"),
        ("keyboard", "qwerty"),
        ("keyword", "running shoes"),
        ("keyspace", "orders"),
        ("object_key", "uploads/2026/invoice.pdf"),
        ("s3_key", "uploads/a.png"),
        ("idempotency_key", "order-17-attempt-2"),
        ("group_key", "eu-west"),
        ("unique_key", "users_email_key"),
        ("key_name", "reporting"),
        ("monkey", "business"),
        ("hotkey", "ctrl+k"),
        ("press_key", "Enter"),
        ("public_key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx5bm4 jane@shop"),
        ("config_key", "checkout.timeout"),
        ("lookup_key", "plan-gold"),
        ("dedup_key", "disk-full-web-3"),
    ][r.below(23)];
    harmless_field(r, name, value)
}

fn alike(r: &mut Random) -> Case {
    let (name, value) = [
        ("author", "Jane Austen"),
        ("authority", "shop.example:443"),
        ("tokenizer", "cl100k_base"),
        ("passenger", "Jane Austen"),
        ("compass", "north-west"),
        ("considered", "rejected"),
        ("pinned", "dependabot"),
        ("secretary", "Jane Austen"),
        ("obsession", "running"),
        ("shipping", "express-24h"),
        ("spinner", "dots-3"),
        ("sessions_page", "overview"),
        ("authors", "Jane Austen"),
        ("bypass", "cache-layer"),
        ("pass_rate", "97.5%"),
        ("passed", "all 17 checks"),
        ("inside", "the-box"),
        ("residence", "Berlin"),
        ("design", "mint-green"),
        ("assignment", "week-3"),
        ("signal", "SIGTERM"),
        ("pinterest", "board-7"),
        ("salted_caramel", "two scoops"),
        ("certificate_name", "shop.example"),
        ("encryption", "tls1.3"),
        ("hashtag", "#rust"),
        ("cookbook", "vegan"),
        ("opinion", "positive"),
        ("tokens_per_second", "41.7"),
    ][r.below(29)];
    harmless_field(r, name, value)
}

fn times(r: &mut Random) -> Case {
    let name = r.pick(&[
        "password_changed_at",
        "token_expires_at",
        "session_started",
        "key_created",
        "auth_time",
        "last_password_change",
        "session_expiry",
        "token_issued_at",
    ]);
    let value = match r.below(3) {
        0 => format!("2026-11-{:02}T10:00:{:02}Z", r.between(1, 28), r.between(0, 59)),
        1 => format!("2026-11-{:02}", r.between(1, 28)),
        _ => format!("17951688{}", r.digits(2)),
    };
    harmless_field(r, name, value)
}

fn id_field(r: &mut Random) -> Case {
    let name = r.pick(&["id", "order_id", "trace_id", "commit", "digest", "image", "sha256", "checksum", "build", "etag"]);
    let value = match r.below(5) {
        0 => r.uuid(),
        1 => r.hex(40),
        2 => format!("sha256:{}", r.hex(64)),
        3 => r.hex(32),
        _ => r.digits(12),
    };
    harmless_field(r, name, value)
}

fn numbers(r: &mut Random) -> Case {
    let name = r.pick(&["amount", "order", "phone_extension", "population", "offset", "imei", "tracking_number"]);
    let value = match r.below(4) {
        0 => json!(r.no_card().parse::<u64>().unwrap()),
        1 => json!(format!("35{}", r.digits(13)).parse::<u64>().unwrap()),
        2 => json!(format!("17{}", r.digits(17)).parse::<u64>().unwrap()),
        _ => json!(r.digits(9).parse::<u64>().unwrap()),
    };
    harmless_field(r, name, value)
}

fn lists(r: &mut Random) -> Case {
    let (a, b) = (r.word(), r.word());
    Case::new(Place::Json, "facts", json!({ "authors": [a, b], "keywords": { "first": b }, "token_counts": [17, 42], "sorts": [a] }))
        .keeps(a)
        .keeps(b)
        .keeps("17")
        .keeps("42")
}
