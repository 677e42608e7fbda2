//! Texts without secrets, which stay as they are.

use super::case::{Case, Kind, Place, harmless};
use super::random::{Random, capitalized};

pub const KINDS: &[Kind] = &[
    Kind {
        name: "kept text: prose about secrets",
        make: |r| {
            let t = PROSE[r.below(PROSE.len())];
            harmless(r, t)
        },
    },
    Kind { name: "kept text: failures", make: failure },
    Kind { name: "kept text: yes, no and nothing", make: states },
    Kind {
        name: "kept text: types and code",
        make: |r| {
            let t = CODE[r.below(CODE.len())];
            harmless(r, t)
        },
    },
    Kind {
        name: "kept text: placeholders",
        make: |r| {
            let t = BOUND[r.below(BOUND.len())];
            harmless(r, t)
        },
    },
    Kind {
        name: "kept sql",
        make: |r| {
            let t = r.pick(BOUND_SQL);
            Case::new(Place::Sql(r.pick(&["postgresql", "mysql", "sqlite"])), "", t).keeps(t)
        },
    },
    Kind { name: "kept text: digests", make: digest },
    Kind { name: "kept text: public keys", make: public_key },
    Kind { name: "kept text: certificates", make: certificate },
    Kind { name: "kept text: images", make: image },
    Kind { name: "kept text: ids", make: ids },
    Kind { name: "kept text: traces", make: traces },
    Kind { name: "kept text: numbers", make: numbers },
    Kind { name: "kept text: paths and modules", make: modules },
    Kind { name: "kept text: URLs", make: urls },
    Kind { name: "kept text: hosts and times", make: hosts },
    Kind { name: "kept text: versions and releases", make: releases },
    Kind { name: "kept text: runs and slugs", make: runs },
    Kind { name: "kept text: codes that are none", make: codes },
    Kind { name: "kept text: masked already", make: masked },
    Kind { name: "kept text: command lines", make: commands },
    Kind { name: "kept text: JSON", make: json_text },
    Kind { name: "kept text: Debug", make: debug },
    Kind { name: "kept text: logs", make: logs },
    Kind { name: "kept text: mail and versions with @", make: at_signs },
    Kind { name: "kept text: kubernetes and clouds", make: clouds },
    Kind { name: "kept text: publishable names", make: almost },
    Kind { name: "kept text: account numbers that are none", make: accounts },
    Kind { name: "kept text: markup", make: markup },
    Kind { name: "kept text: other languages", make: languages },
    Kind { name: "kept span name", make: span_name },
    Kind {
        name: "kept text: policies",
        make: |r| {
            let t = POLICIES[r.below(POLICIES.len())];
            harmless(r, t)
        },
    },
    Kind {
        name: "kept text: authentication",
        make: |r| {
            let t = AUTH[r.below(AUTH.len())];
            harmless(r, t)
        },
    },
];

const PROSE: &[&str] = &[
    "the password must have at least twelve characters",
    "invalid password: too short",
    "failed to refresh token: connection refused",
    "could not load session: timeout after 30 s",
    "your session expired, sign in again",
    "password reset mail sent",
    "the api key was rotated yesterday",
    "token bucket is empty: retry after 3 s",
    "cannot read the secret: permission denied",
    "wrong pin: two attempts left",
    "card declined: insufficient funds",
    "basic plan, bearer of bad news",
    "no token in the request",
    "token verification failed",
    "a password is required for this action",
    "the secret of good coffee is fresh water",
    "session store: redis cluster of three",
    "missing credentials in the request",
    "key not found in the cache",
    "duplicate key: users_pkey (23505)",
    "the signature does not match",
    "password and confirmation differ",
    "secret manager is unreachable",
    "authorization: denied by policy",
    "auth: user not found",
    "csrf check failed, origin differs",
    "pass the salt, please",
    "bearer token missing",
    "basic auth is disabled",
    "unexpected token: expected identifier",
    "unexpected token `}` at line 4",
    "session: closed by peer",
    "token: not a valid number",
    "passwords are hashed with argon2id",
    "expected token type Word",
    "invalid credentials",
    "token expired at 2026-11-20T10:00:00Z",
    "password: must not be empty",
    "password is too weak",
    "the token is invalid",
    "secret was not found",
    "api key is missing",
    "password was changed by jane",
    "token has expired",
    "the pin is wrong",
];

fn failure(r: &mut Random) -> Case {
    let text = format!(
        "{}: {} (os error {})",
        r.pick(&[
            "failed to refresh token",
            "could not load session",
            "cannot open secret file",
            "no such card",
            "key lookup failed",
            "auth handshake failed"
        ]),
        r.pick(&["connection refused", "not found", "timed out", "permission denied", "broken pipe"]),
        r.below(120)
    );
    harmless(r, text)
}

fn states(r: &mut Random) -> Case {
    let text = match r.below(8) {
        0 => format!("login finished password_reset={} user={}", r.pick(&["true", "false"]), r.person()),
        1 => format!("loaded secret_version={} of {}", r.below(30), r.word()),
        2 => format!("started api_key=None token=null host={}", r.host()),
        3 => format!("usage token_count={} max_tokens={}", r.digits(4), r.digits(4)),
        4 => "config password=<unset> token=(none) auth=disabled".to_owned(),
        5 => format!("Config {{ password: None, token: None, retries: {} }}", r.below(9)),
        6 => format!("{{\"password\":null,\"token\":false,\"retries\":{}}}", r.below(9)),
        _ => format!("auth=oidc session=expired user={}", r.person()),
    };
    harmless(r, text)
}

const CODE: &[&str] = &[
    "fn verify(token: &Token, key: &[u8]) -> Result<Claims, Error>",
    "struct Login { password: String, token: Option<String> }",
    "app::auth::Session::load",
    "token::Kind == token::Kind::Word",
    "called `Option::unwrap()` on a `None` value",
    "missing field `password` at line 1 column 17",
    "unknown field `api_key`, expected `name` or `size`",
    "expected `token: &str`, found `token: String`",
    "Vec<HashMap<String, Token>>",
    "invalid type: null, expected a string for key `secret`",
    "let key = cache.key(&user);",
    "password: &str",
    "session: Session",
    "if token == expected { return }",
    "std::option::Option<secrecy::Secret<String>>",
    "const auth = require('auth')",
    "shop::session::store::Key<core::option::Option<u64>>",
    "error[E0308]: mismatched types: expected `Password`, found `String`",
    "password: string; token?: string",
    "type Secret = String",
    "user.password = hash(password)",
];

const BOUND: &[&str] = &[
    "SELECT * FROM users WHERE token = $1 AND pin = $2",
    "SELECT * FROM users WHERE password = ? LIMIT 1",
    "UPDATE users SET password = :name WHERE id = :id",
    "WHERE api_key = @p1 AND id = @p2",
    "password = %s AND token = %(token)s",
    "INSERT INTO users (name, password) VALUES ($1, $2)",
    "connect with password=${DB_PASSWORD} user=${DB_USER}",
    "token={{ token }} key={{ key }}",
    "export PASSWORD=$PASSWORD",
    "curl -H \"Authorization: Bearer $TOKEN\"",
    "usage: login --password <password> --token <token>",
    "Authorization: Bearer <token>",
    "https://<user>:<password>@host/path",
    "password=%PASSWORD%",
    "postgres://user:${PASSWORD}@db/shop",
    "/reset/{token}",
    "GET /reset/:token",
    "api_key: ENV['API_KEY']",
    "password: process.env.PASSWORD",
];

const BOUND_SQL: &[&str] = &[
    "SELECT id FROM users WHERE token = $1",
    "UPDATE users SET password = $1 WHERE id = $2",
    "SELECT \"key\", secret FROM vault",
    "DELETE FROM sessions WHERE session_id = $1",
    "SELECT token FROM tokens",
    "INSERT INTO users (password) VALUES ($1)",
];

fn digest(r: &mut Random) -> Case {
    let text = match r.below(9) {
        0 => format!("sha256 {} differs", r.hex(64)),
        1 => format!("checksum sha512={} differs", r.hex(128)),
        2 => format!("pulled app@sha256:{}", r.hex(64)),
        3 => format!("commit {} by {}", r.hex(40), r.person()),
        4 => format!("md5: {} of the file", r.hex(32)),
        5 => format!("sha1={} of the file", r.hex(40)),
        6 => format!("integrity sha384-{} differs", r.base64(64)),
        7 => format!("digest: SHA-256={}=", r.base64(43)),
        _ => format!("block 0x{} mined", r.hex(40)),
    };
    harmless(r, text)
}

fn public_key(r: &mut Random) -> Case {
    let text = match r.below(4) {
        0 => format!("accepted ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} jane@shop", r.base64(43)),
        1 => format!("-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----", r.base64(64), r.base64(44)),
        2 => format!("accepted ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ{} jane@shop", r.base64(340)),
        _ => format!("SHA256:{} (ED25519) for {}", r.base64(43), r.host()),
    };
    harmless(r, text)
}

fn certificate(r: &mut Random) -> Case {
    let lines: Vec<String> = (0..5).map(|_| r.base64(64)).collect();
    let label = r.pick(&["CERTIFICATE", "CERTIFICATE REQUEST", "X509 CRL"]);
    let text = format!("peer sent -----BEGIN {label}-----\n{}\n-----END {label}-----", lines.join("\n"));
    harmless(r, text)
}

fn image(r: &mut Random) -> Case {
    let text = match r.below(3) {
        0 => format!("data:image/png;base64,iVBORw0KGgo{}=", r.base64(300)),
        1 => format!("<img src=\"data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP{}\">", r.base64(90)),
        _ => format!("data:font/woff2;base64,d09GMgABAAAA{}", r.base64(200)),
    };
    harmless(r, text)
}

fn ids(r: &mut Random) -> Case {
    let text = match r.below(7) {
        0 => format!("order {} of user {}", r.uuid(), r.digits(6)),
        1 => format!("event {} stored", r.hex(32)),
        2 => format!("object {} stored", r.hex(24)),
        3 => format!("message 01{} stored", r.of("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 24)),
        4 => format!("payment {}_{} stored", r.pick(&["pi", "cus", "ch", "evt", "sub", "in"]), r.alnum(24)),
        5 => format!("job {} stored", r.base36(12)),
        _ => format!("client {}.apps.googleusercontent.com stored", r.digits(12)),
    };
    harmless(r, text)
}

fn traces(r: &mut Random) -> Case {
    let text = match r.below(4) {
        0 => format!("traceparent: 00-{}-{}-01", r.hex(32), r.hex(16)),
        1 => format!("b3={}-{}-1 continued", r.hex(32), r.hex(16)),
        2 => format!("sentry-trace: {}-{}-0", r.hex(32), r.hex(16)),
        _ => format!("trace_id={} span_id={}", r.hex(32), r.hex(16)),
    };
    harmless(r, text)
}

fn numbers(r: &mut Random) -> Case {
    let text = match r.below(7) {
        0 => format!("order {} was shipped", r.no_card()),
        1 => format!("imei 35{} registered", r.digits(13)),
        2 => format!("at {} ns", 1_795_168_800_000_000_000 + r.below(999_999_999)),
        3 => format!("isbn 978-3-16-{}-0", r.digits(6)),
        4 => format!("ean 4006381333931 x{}", r.below(9)),
        5 => format!("{} rows in {} ms, {} bytes", r.digits(7), r.digits(4), r.digits(9)),
        _ => format!("tracking 1Z999AA1{} arrived", r.digits(10)),
    };
    harmless(r, text)
}

fn modules(r: &mut Random) -> Case {
    let text = match r.below(5) {
        0 => format!(
            "/root/.cargo/registry/src/index.crates.io-{}/tokio-1.54.{}/src/runtime/scheduler/multi_thread/worker.rs",
            r.hex(16),
            r.below(9)
        ),
        1 => format!("shop::{}::{}::TokenStore::load_session_for_{}", r.word(), r.word(), r.word()),
        2 => format!("_ZN4shop5token{}17h{}E", r.word(), r.hex(16)),
        3 => format!("at com.shop.auth.{}Service$$FastClassBySpringCGLIB$${}.invoke(<generated>)", capitalized(r.word()), r.hex(8)),
        _ => format!("<shop::{}::SessionMiddleware<S> as tower::Service<http::Request<B>>>::call::{{{{closure}}}}", r.word()),
    };
    harmless(r, text)
}

fn urls(r: &mut Random) -> Case {
    let text = match r.below(7) {
        0 => format!("GET https://shop.example/{}/{}?page={}&sort=price failed", r.word(), r.digits(6), r.below(90)),
        1 => format!("redirect to https://shop.example/auth/login?next=%2F{}%3Fpage%3D{}", r.word(), r.below(9)),
        2 => "https://user.example/path?a=b mail me@example.org".to_owned(),
        3 => format!("https://github.com/rust-lang/rust/commit/{}", r.hex(40)),
        4 => format!("git@github.com:acme/{}.git", r.word()),
        5 => format!("https://hooks.example.com/docs/{}", r.word()),
        _ => format!("ssh://git@code.example/{}.git", r.word()),
    };
    harmless(r, text)
}

fn hosts(r: &mut Random) -> Case {
    let text = match r.below(6) {
        0 => format!("{}:{} refused", r.host(), r.between(1, 65_535)),
        1 => format!("2026-11-20T10:00:{:02}.{:03}Z took {} ms", r.below(60), r.below(1000), r.below(9999)),
        2 => format!("[::1]:{} listening", r.between(1, 65_535)),
        3 => format!("mac {}:{}:{}:{}:{}:{}", r.hex(2), r.hex(2), r.hex(2), r.hex(2), r.hex(2), r.hex(2)),
        4 => format!("phone extension 30-{}, room {}", r.digits(4), r.digits(3)),
        _ => format!("12:30:{:02} key:value pairs {}:{}", r.below(60), r.word(), r.word()),
    };
    harmless(r, text)
}

fn releases(r: &mut Random) -> Case {
    let text = match r.below(4) {
        0 => format!("shop@1.{}.0+{}", r.below(99), r.hex(64)),
        1 => format!("deployed shop@{}", r.hex(40)),
        2 => format!("rustc 1.95.0 ({} 2026-04-14)", r.hex(9)),
        _ => format!("shop:v1.{}.{}-rc.{}+build.{}", r.below(99), r.below(9), r.below(9), r.digits(6)),
    };
    harmless(r, text)
}

fn runs(r: &mut Random) -> Case {
    let text = match r.below(5) {
        0 => r.pick(&["=", "-", "a", "x", "0", "_"]).repeat(r.between(64, 140)),
        1 => format!("how-to-choose-the-right-{}-for-your-{}-without-ever-losing-your-{}-again", r.word(), r.word(), r.word()),
        2 => format!("test_that_the_{}_is_not_sent_before_the_{}_was_confirmed_by_the_{}", r.word(), r.word(), r.word()),
        3 => "abstractSingletonProxyFactoryBeanInternalFrameFrameInternalFrameTitlePaneInternalFrame".to_owned(),
        _ => format!("{}----------------------------------------------------------------", r.word()),
    };
    harmless(r, text)
}

fn codes(r: &mut Random) -> Case {
    let text = match r.below(9) {
        0 => format!("upstream answered code={}", r.between(400, 599)),
        1 => format!("exit code {} of {}", r.between(1, 255), r.word()),
        2 => format!("error code: {} in {}", r.digits(5), r.word()),
        3 => format!("status code {} received", r.between(200, 599)),
        4 => format!("postal code {} of Berlin", r.digits(5)),
        5 => format!("country code: DE, language code: en, {}", r.word()),
        6 => format!("source code line {} of {}", r.digits(4), r.word()),
        7 => format!("pin {} of the chip is high", r.below(40)),
        _ => format!("process {} exited with code {}", r.digits(6), r.between(0, 255)),
    };
    harmless(r, text)
}

fn masked(r: &mut Random) -> Case {
    let text = match r.below(6) {
        0 => format!("login password=*** user={}", r.person()),
        1 => format!("login password=[Filtered] user={}", r.person()),
        2 => format!("card ending in {} declined", r.digits(4)),
        3 => format!("card ************{} declined", r.digits(4)),
        4 => "Config { password: Secret([REDACTED alloc::string::String]), retries: 3 }".to_owned(),
        _ => format!("postgres://[Filtered]:[Filtered]@{}/shop", r.host()),
    };
    harmless(r, text)
}

fn commands(r: &mut Random) -> Case {
    let text = match r.below(8) {
        0 => format!("mkdir -p /var/lib/{}", r.word()),
        1 => format!("docker run -p 8080:80 {}", r.word()),
        2 => format!("ssh -p 2222 {}", r.host()),
        3 => format!("deploy --password-file /run/secrets/{} --verbose", r.word()),
        4 => format!("curl -u jane https://{}/", r.host()),
        5 => format!("cp -pr /srv/{} /backup", r.word()),
        6 => "login --password --user jane".to_owned(),
        _ => format!("kubectl get secret {} -o yaml", r.word()),
    };
    harmless(r, text)
}

fn json_text(r: &mut Random) -> Case {
    let text = match r.below(4) {
        0 => format!("{{\"user\":\"{}\",\"items\":[{},{}],\"author\":\"Jane\"}}", r.person(), r.digits(3), r.digits(4)),
        1 => format!("{{\"token_count\":{},\"model\":\"gpt-4o\",\"finish\":\"stop\"}}", r.digits(3)),
        2 => format!("{{\"key\":\"{}:{}\",\"ttl\":60}}", r.word(), r.digits(3)),
        _ => format!("{{\"error\":\"invalid_grant\",\"error_description\":\"token expired\",\"n\":{}}}", r.below(9)),
    };
    harmless(r, text)
}

fn debug(r: &mut Random) -> Case {
    let text = match r.below(4) {
        0 => format!("Order {{ id: {}, status: Paid, key: \"{}\" }}", r.digits(6), r.word()),
        1 => "reqwest::Error { kind: Connect, source: ConnectError(\"tcp connect error\", Os { code: 111, kind: ConnectionRefused }) }"
            .to_owned(),
        2 => format!("[(\"page\", \"{}\"), (\"sort\", \"price\")]", r.below(9)),
        _ => format!("Session {{ user: {}, state: Active, token_kind: Bearer }}", r.digits(4)),
    };
    harmless(r, text)
}

fn logs(r: &mut Random) -> Case {
    let text = match r.below(4) {
        0 => format!("level=info msg=\"request done\" path=/{}/{} status=200 duration_ms={}", r.word(), r.digits(4), r.digits(3)),
        1 => format!(
            "192.0.2.{} - - [20/Nov/2026:10:00:00 +0000] \"GET /{} HTTP/1.1\" 200 {} \"-\" \"curl/8.5.0\"",
            r.below(255),
            r.word(),
            r.digits(5)
        ),
        2 => format!("E1120 10:00:00.{} 1 controller.go:{}] sync of {} failed", r.digits(6), r.digits(3), r.word()),
        _ => format!("pid={} tid={} rss={}kB sid={}", r.digits(5), r.digits(5), r.digits(6), r.below(9)),
    };
    harmless(r, text)
}

fn at_signs(r: &mut Random) -> Case {
    let text = match r.below(4) {
        0 => format!("npm install lodash@4.17.{} react@18.2.0", r.below(30)),
        1 => format!("mail from {}@example.org: {} unread", r.person(), r.below(99)),
        2 => format!("https://cdn.example/npm/vue@3.4.{}/dist/vue.js", r.below(30)),
        _ => format!("https://social.example/@{}/posts/{}", r.person(), r.digits(9)),
    };
    harmless(r, text)
}

fn clouds(r: &mut Random) -> Case {
    let text = match r.below(5) {
        0 => format!("pod {}-{}-{} evicted", r.word(), r.hex(10), r.base36(5)),
        1 => format!("arn:aws:secretsmanager:eu-west-1:{}:secret:orders-db", r.digits(12)),
        2 => format!("projects/shop-{}/secrets/orders-db/versions/{}", r.digits(6), r.below(9)),
        3 => format!("i-{} in subnet-{} of vpc-{}", r.hex(17), r.hex(17), r.hex(17)),
        _ => format!("instance {}.{} restarted", r.word(), r.hex(12)),
    };
    harmless(r, text)
}

fn almost(r: &mut Random) -> Case {
    let text = match r.below(6) {
        0 => "npm_config_cache and npm_lifecycle_event are set".to_owned(),
        1 => "sk-learn and hf_hub are installed".to_owned(),
        2 => "key-value store, api-gateway, pat-downs".to_owned(),
        3 => format!("glsa_{} is no token", r.lower(6)),
        4 => "live_view, live_reload and test_mode".to_owned(),
        _ => "AKIA is a prefix, as are ghp_ and xoxb-".to_owned(),
    };
    harmless(r, text)
}

fn accounts(r: &mut Random) -> Case {
    let text = match r.below(4) {
        0 => format!("DE00{} is no account", r.digits(18)),
        1 => format!("000-{}-{} is no number of a person", r.digits(2), r.digits(4)),
        2 => format!("part {}-{}-{} in stock", r.digits(4), r.digits(2), r.digits(3)),
        _ => format!("ticket GB-{} closed", r.digits(6)),
    };
    harmless(r, text)
}

fn markup(r: &mut Random) -> Case {
    let text = match r.below(3) {
        0 => "<input type=\"password\" name=\"password\" required>".to_owned(),
        1 => format!("<a href=\"/reset\">Forgot your password?</a> {}", r.word()),
        _ => format!("<label for=\"token\">Token</label><p>{}</p>", r.word()),
    };
    harmless(r, text)
}

fn languages(r: &mut Random) -> Case {
    let text = match r.below(4) {
        0 => format!("Das Passwort ist falsch ({})", r.word()),
        1 => format!("Le jeton a expiré à {} h", r.below(24)),
        2 => format!("パスワードが正しくありません {}", r.below(9)),
        _ => format!("La sesión ha caducado, {}", r.person()),
    };
    harmless(r, text)
}

fn span_name(r: &mut Random) -> Case {
    let text = match r.below(5) {
        0 => format!("GET /{}s/{{token}}", r.word()),
        1 => format!("{}::load_session", r.word()),
        2 => format!("PUBLISH {}.created", r.word()),
        3 => format!("verify password of {}", r.word()),
        _ => format!("GET https://api.example/{}/{}?page=2", r.word(), r.digits(4)),
    };
    Case::new(Place::SpanName, "", text.clone()).keeps(text)
}

const POLICIES: &[&str] = &[
    "default-src 'self'; script-src 'self' 'nonce-abc' https://cdn.example; report-uri /csp",
    "max-age=31536000; includeSubDomains; preload",
    "Path=/; HttpOnly; Secure; SameSite=Lax",
    "Access-Control-Allow-Headers: Authorization, Content-Type, X-Api-Key",
    "Vary: Cookie, Authorization, Accept-Encoding",
    "www-authenticate: Bearer realm=\"shop\", error=\"invalid_token\"",
    "permissions: contents=read, id-token=write",
    "allow-credentials: true",
    "scopes: read:user user:email repo",
];

const AUTH: &[&str] = &[
    "Authorization: missing",
    "authorization header is malformed",
    "no bearer token provided",
    "Basic authentication required",
    "unsupported grant_type=password",
    "token_type=bearer expires_in=3600",
    "bearer authentication failed",
    "digest authentication is disabled",
    "auth=basic realm=shop",
    "grant_type=refresh_token rejected",
    "response_type=code state=ok",
    "scope=openid profile email",
    "login via sso succeeded",
    "auth: jwt verification failed",
    "session not found",
    "session=none",
    "token=<missing>",
    "password=required",
    "session id is missing",
    "the bearer token is malformed",
];
