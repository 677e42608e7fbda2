//! Secrets under a name that says so: headers, cookies, parameters, fields.

use serde_json::json;

use super::case::{Case, Kind, Place, secret_field};
use super::random::{Random, encoded, percent};

pub const KINDS: &[Kind] = &[
    Kind { name: "header: credentials", make: |r| header(r, CREDENTIALS) },
    Kind { name: "header: keys of vendors", make: |r| header(r, VENDORS) },
    Kind { name: "header: secret words", make: |r| header(r, WORDS) },
    Kind { name: "header: signatures", make: |r| header(r, SIGNATURES) },
    Kind { name: "header: addresses", make: address_header },
    Kind { name: "header: persons", make: person_header },
    Kind { name: "header: subprotocols", make: subprotocol },
    Kind { name: "header: referer", make: referer },
    Kind { name: "header: unknown with a token", make: unknown_header },
    Kind { name: "header: long, with a token at the cut", make: long_header },
    Kind { name: "header: baggage", make: baggage },
    Kind { name: "cookie: sessions", make: |r| cookie(r, SESSIONS) },
    Kind { name: "cookie: logins and tokens", make: |r| cookie(r, LOGINS) },
    Kind { name: "cookie: persons", make: person_cookie },
    Kind { name: "query: tokens", make: |r| query(r, PARAMETERS) },
    Kind { name: "query: signed", make: |r| query(r, SIGNED) },
    Kind { name: "query: encoded names", make: encoded_query },
    Kind { name: "query: nested", make: nested_query },
    Kind { name: "query: redirects", make: redirect_query },
    Kind {
        name: "field: passwords",
        make: |r| {
            let v = r.password();
            let n = r.pick(PASSWORDS);
            secret_field(r, n, v)
        },
    },
    Kind {
        name: "field: tokens",
        make: |r| {
            let v = r.token();
            let n = r.pick(TOKENS);
            secret_field(r, n, v)
        },
    },
    Kind {
        name: "field: keys",
        make: |r| {
            let v = r.alnum(24);
            let n = r.pick(KEYS);
            secret_field(r, n, v)
        },
    },
    Kind { name: "field: small numbers", make: number_field },
    Kind { name: "field: persons' numbers", make: identity_field },
    Kind { name: "field: payment", make: payment_field },
    Kind { name: "field: lists and objects", make: list_field },
    Kind { name: "field: deep", make: deep_field },
    Kind { name: "field: pairs of name and value", make: pair_field },
    Kind { name: "field: JSON in a text", make: escaped_field },
];

const CREDENTIALS: &[&str] =
    &["authorization", "proxy-authorization", "x-api-key", "x-auth-token", "x-csrf-token", "x-access-token", "api-key", "set-cookie"];

const VENDORS: &[&str] = &[
    "x-vault-token",
    "private-token",
    "x-shopify-access-token",
    "x-goog-api-key",
    "x-goog-iap-jwt-assertion",
    "cf-access-jwt-assertion",
    "cf-access-client-secret",
    "x-ms-token-aad-access-token",
    "x-functions-key",
    "ocp-apim-subscription-key",
    "x-rapidapi-key",
    "dd-api-key",
    "dd-application-key",
    "x-gitlab-token",
    "x-figma-token",
    "x-forwarded-access-token",
    "x-client-secret",
    "apikey",
    "x-auth-key",
    "x-amz-security-token",
    "x-amzn-oidc-data",
    "x-amzn-oidc-accesstoken",
    "x-datadog-api-key",
    "x-algolia-api-key",
    "x-insert-key",
    "x-postmark-server-token",
    "x-appwrite-key",
    "x-hasura-admin-secret",
    "x-n8n-api-key",
    "x-parse-rest-api-key",
    "x-parse-master-key",
    "x-elastic-api-key",
    "x-honeycomb-team-key",
    "x-pagerduty-token",
    "x-okta-session-token",
    "x-splunk-token",
    "x-consul-token",
    "x-nomad-token",
    "x-jenkins-crumb-token",
    "x-atlassian-token-key",
    "x-amz-server-side-encryption-customer-key",
];

const WORDS: &[&str] = &[
    "x-otp",
    "x-pin",
    "x-passphrase",
    "x-card-number",
    "x-cvv",
    "x-security-code",
    "x-db-pass",
    "x-password",
    "x-user-pwd",
    "x-session-id",
    "x-sid",
    "x-one-time-password",
    "x-mfa-code",
    "x-totp",
    "x-secret",
    "x-account-pin",
    "x-ssn",
    "x-iban",
    "x-jwt",
    "x-bearer",
    "x-credentials",
    "x-saml-assertion",
    "x-sso-ticket",
    "x-refresh-token",
    "x-id-token",
    "x-2fa-code",
    "x-passcode",
    "x-verification-code",
    "x-private-key",
    "x-encryption-key",
    "x-client-cert-key",
    "x-login-token",
    "x-admin-pass",
    "x-smtp-pass",
    "x-xsrf",
    "x-cookie",
    "x-auth",
];

const SIGNATURES: &[&str] = &[
    "x-signature",
    "stripe-signature",
    "x-hub-signature-256",
    "x-hub-signature",
    "x-slack-signature",
    "x-twilio-signature",
    "svix-signature",
    "webhook-signature",
    "x-shopify-hmac-sha256",
    "x-line-signature",
    "signature",
    "x-zm-signature",
    "paddle-signature",
    "x-hmac",
    "x-request-signature",
    "x-amz-signature",
];

fn header(random: &mut Random, names: &[&str]) -> Case {
    let name = random.pick(names);
    let secret = match random.below(3) {
        0 => random.plain_password(),
        1 if name.contains("pin") || name.contains("otp") || name.contains("code") => random.digits(6),
        _ => random.token(),
    };
    let value = match name {
        "authorization" | "proxy-authorization" => format!("{} {secret}", random.pick(&["Bearer", "Token", "Basic", "ApiKey", "Digest"])),
        "set-cookie" => format!("session={secret}; Path=/; HttpOnly"),
        "stripe-signature" => format!("t=1700000000,v1={secret}"),
        "x-hub-signature-256" => format!("sha256={secret}"),
        _ => secret.clone(),
    };
    Case::new(Place::Header, name, value).hides(secret)
}

fn address_header(random: &mut Random) -> Case {
    let address = match random.below(4) {
        0 => format!("2001:db8:{}::{}", random.hex(4), random.hex(3)),
        _ => format!("203.0.113.{}", random.between(1, 254)),
    };
    let name = random.pick(&[
        "x-forwarded-for",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        "x-cluster-client-ip",
        "x-envoy-external-address",
        "cloudfront-viewer-address",
        "x-azure-clientip",
        "x-azure-socketip",
        "x-sucuri-clientip",
        "x-appengine-user-ip",
        "x-original-forwarded-for",
        "forwarded",
        "remote-addr",
        "x-remote-addr",
        "x-proxyuser-ip",
        "cf-connecting-ipv6",
        "x-nf-client-connection-ip",
        "fly-client-ip",
        "do-connecting-ip",
        "x-vercel-forwarded-for",
        "wl-proxy-client-ip",
        "client-ip",
        "x-originating-ip",
        "x-host-ip",
        "cf-pseudo-ipv4",
        "x-coming-from",
        "x-forwarded",
    ]);
    let value = match name {
        "forwarded" => format!("for={address};proto=https"),
        "cloudfront-viewer-address" => format!("{address}:46532"),
        _ => address.clone(),
    };
    Case::new(Place::Header, name, value).hides(address)
}

fn person_header(random: &mut Random) -> Case {
    let person = format!("{}.{}{}", random.person(), random.lower(6), random.digits(3));
    let (name, value) = match random.below(15) {
        0 => ("x-ms-client-principal-name", format!("{person}@example.com")),
        1 => ("x-amzn-mtls-clientcert-subject", format!("CN={person},OU=shop,C=DE")),
        2 => ("x-forwarded-client-cert", format!("By=spiffe://x;Subject=\"CN={person}\"")),
        3 => ("x-goog-authenticated-user-email", format!("accounts.google.com:{person}@example.com")),
        4 => ("x-auth-request-email", format!("{person}@example.com")),
        5 => ("x-auth-request-preferred-username", person.clone()),
        6 => ("remote-user", person.clone()),
        7 => ("from", format!("{person}@example.com")),
        8 => ("x-user-email", format!("{person}@example.com")),
        9 => ("x-forwarded-user", person.clone()),
        10 => ("x-amzn-oidc-identity", person.clone()),
        11 => ("x-webauth-user", person.clone()),
        12 => ("x-ssl-client-s-dn", format!("CN={person},O=Shop")),
        13 => ("cf-access-authenticated-user-email", format!("{person}@example.com")),
        _ => {
            let secret = encoded(&format!("{{\"userDetails\":\"{person}\"}}"));
            return Case::new(Place::Header, "x-ms-client-principal", secret.clone()).hides(secret);
        }
    };
    Case::new(Place::Header, name, value).hides(person)
}

fn subprotocol(random: &mut Random) -> Case {
    let token = random.base64url(48);
    let value = match random.below(3) {
        0 => format!("graphql-ws, {token}"),
        1 => format!("base64url.bearer.authorization.k8s.io.{token}, v4.channel.k8s.io"),
        _ => format!("access_token, {token}"),
    };
    Case::new(Place::Header, "sec-websocket-protocol", value).hides(token)
}

fn referer(random: &mut Random) -> Case {
    let secret = random.token();
    let name = random.pick(&["referer", "origin", "location", "x-original-url", "x-forwarded-uri", "x-rewrite-url"]);
    let parameter = random.pick(&["access_token", "code", "sig", "reset_token", "session"]);
    let value = match random.below(4) {
        0 => format!("https://shop.example/reset-page?{parameter}={secret}&lang=en-GB"),
        1 => format!("https://shop.example/reset-page#{parameter}={secret}&lang=en-GB"),
        2 => format!("https://shop.example/reset-page?lang=en-GB&next=https%3A%2F%2Fapp.example%2F%3F{parameter}%3D{secret}"),
        _ => format!("https://jane:{secret}@shop.example/reset-page?lang=en-GB"),
    };
    Case::new(Place::Header, name, value).hides(secret).keeps("shop.example").keeps("reset-page").keeps("en-GB")
}

fn unknown_header(random: &mut Random) -> Case {
    let name = format!("x-{}-{}", random.word(), random.pick(&["handle", "ref", "proof", "grant", "context", "data"]));
    let secret = match random.below(3) {
        0 => random.base64url(43),
        1 => random.alnum(48),
        _ => format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", random.base64url(40), random.base64url(43)),
    };
    Case::new(Place::Header, name, secret.clone()).hides(secret)
}

fn long_header(random: &mut Random) -> Case {
    let secret = format!("ghp_{}", random.alnum(36));
    let filler = "word ".repeat(210);
    // The token crosses the 1,024th byte.
    let value = format!("{}{secret} and more", &filler[..1024 - random.between(8, 36)]);
    Case::new(Place::Header, "x-note", value).hides(secret[..24].to_owned()).hides(secret[..16].to_owned()).hides(secret[4..].to_owned())
}

fn baggage(random: &mut Random) -> Case {
    let secret = random.token();
    let name = random.pick(&["api_key", "session.token", "authToken", "user_secret"]);
    Case::new(Place::Header, "baggage", format!("tenant=acme-gmbh,{name}={secret},region=eu-west"))
        .hides(secret)
        .keeps("acme-gmbh")
        .keeps("eu-west")
}

const SESSIONS: &[&str] = &[
    "session",
    "sid",
    "connect.sid",
    "PHPSESSID",
    "JSESSIONID",
    "_session_id",
    "sessionid",
    "laravel_session",
    "ASP.NET_SessionId",
    "ASPSESSIONIDQABC",
    "__Host-session",
    "__Secure-sid",
    "_shop_session",
    "symfony",
    "aiohttp_session",
    "beaker.session.id",
    "rack.session",
    "CFTOKEN",
    "sess",
    "SSID",
];

const LOGINS: &[&str] = &[
    "auth",
    "auth_token",
    "remember_user_token",
    "remember_me",
    "jwt",
    "id_token",
    "access_token",
    "sb-access-token",
    "next-auth.session-token",
    "wordpress_logged_in_5f3a",
    "csrftoken",
    "XSRF-TOKEN",
    "_csrf",
    ".AspNetCore.Identity.Application",
    "__Secure-next-auth.session-token",
    "oidc.nonce",
    "pkce_verifier",
    "mfa_state",
    "2fa_trusted",
    "refreshToken",
    "user_credentials",
    "SAML_state",
    "api_key",
    "keycloak_identity",
    "device_secret",
    "login_ticket",
    "rememberMe",
    "token",
    "apiKey",
    "okta-oauth-nonce",
];

fn cookie(random: &mut Random, names: &[&str]) -> Case {
    let name = random.pick(names);
    let secret = match random.below(3) {
        0 => format!("s%3A{}.{}", random.base64url(24), percent(&random.base64(30))),
        1 => random.plain_password(),
        _ => random.token(),
    };
    Case::new(Place::Cookie, name, secret.clone()).hides(secret).keeps("dark-blue").keeps("en-GB")
}

fn person_cookie(random: &mut Random) -> Case {
    let name = random.pick(&["user_email", "uid", "user_id", "_ga", "username", "visitor_id", "ajs_user_id", "customer", "_fbp"]);
    let secret = match name {
        "user_email" => format!("{}.{}%40example.com", random.person(), random.lower(5)),
        "_ga" => format!("GA1.2.{}.{}", random.digits(9), random.digits(10)),
        "_fbp" => format!("fb.1.{}.{}", random.digits(13), random.digits(10)),
        _ => random.uuid(),
    };
    Case::new(Place::Cookie, name, secret.clone()).hides(secret).keeps("dark-blue").keeps("en-GB")
}

const PARAMETERS: &[&str] = &[
    "access_token",
    "api_key",
    "apikey",
    "token",
    "password",
    "pwd",
    "passwd",
    "pin",
    "otp",
    "client_secret",
    "refresh_token",
    "id_token",
    "SAMLResponse",
    "SAMLRequest",
    "oauth_verifier",
    "oauth_token",
    "key",
    "hmac",
    "auth",
    "assertion",
    "code",
    "session_id",
    "sid",
    "reset_password_token",
    "confirmation_token",
    "invite_code_token",
    "unsubscribe_token",
    "jwt",
    "secret",
    "app_secret",
    "appkey",
    "auth_token",
    "authToken",
    "code_verifier",
    "magic_token",
    "login_token",
    "csrf",
    "x-api-key",
    "subscription-key",
    "consumer_secret",
    "passphrase",
    "client_assertion",
    "device_code",
    "user_code",
    "card_number",
    "cvv",
    "ssn",
    "application_key",
    "private_token",
    "personal_access_token",
];

const SIGNED: &[&str] = &[
    "sig",
    "signature",
    "Signature",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Goog-Signature",
    "X-Goog-Credential",
    "x-oss-signature",
    "hash_hmac",
    "hdnts_token",
    "__token__",
    "Key-Pair-Signature",
    "signed",
    "sign",
    "oauth_signature",
    "AWSAccessKeyId",
    "Policy-Signature",
    "verify_token",
    "st_signature",
];

fn query(random: &mut Random, names: &[&str]) -> Case {
    let secret = if random.below(4) == 0 { random.plain_password() } else { random.token() };
    Case::new(Place::Query, random.pick(names), secret.clone()).hides(secret).keeps("page=2").keeps("sort=price")
}

fn encoded_query(random: &mut Random) -> Case {
    let name = random.pick(PARAMETERS).replace('_', "%5F").replace('e', "%65");
    let secret = random.token();
    Case::new(Place::Query, name, secret.clone()).hides(secret).keeps("page=2").keeps("sort=price")
}

fn nested_query(random: &mut Random) -> Case {
    let name =
        random.pick(&["user[password]", "login.api_key", "auth[token]", "variables%5Bpassword%5D", "filter[secret]", "user%5Bpin%5D"]);
    let secret = random.plain_password();
    Case::new(Place::Query, name, secret.clone()).hides(secret).keeps("page=2").keeps("sort=price")
}

fn redirect_query(random: &mut Random) -> Case {
    let secret = random.token();
    let inner = match random.below(4) {
        0 => format!("https://app.example/landing?access_token={secret}&view=list"),
        1 => format!("https://jane:{secret}@app.example/landing?view=list"),
        2 => format!("/landing?view=list&next={}", percent(&format!("/deeper?token={secret}"))),
        _ => format!("https://app.example/landing#id_token={secret}&view=list"),
    };
    let name = random.pick(&["next", "redirect_uri", "returnTo", "url", "continue", "u"]);
    Case::new(Place::Query, name, percent(&inner)).hides(secret).keeps("landing").keeps("sort=price").keeps("list")
}

const PASSWORDS: &[&str] = &[
    "password",
    "PASSWORD",
    "user_password",
    "dbPassword",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "db_pass",
    "smtpPass",
    "old-password",
    "newPassword",
    "password_confirmation",
    "password2",
    "mysql_pwd",
    "root_pw",
    "admin password",
    "userPasswd",
    "PGPASSWORD",
    "ftp.pass",
    "DB_PASS",
    "encrypted_password",
    "Kennwort",
    "passwort",
    "contraseña",
    "motDePasse",
    "senha",
    "wachtwoord",
    "sudo_pass",
    "keystorePassword",
    "pass_phrase",
    "secretPhrase",
    "mnemonic",
    "seed_phrase",
];

const TOKENS: &[&str] = &[
    "token",
    "access_token",
    "refreshToken",
    "id-token",
    "authToken",
    "csrf_token",
    "bearer",
    "jwt",
    "session",
    "sessionId",
    "session_key",
    "cookie",
    "Authorization",
    "x-xsrf-token",
    "oauth_token",
    "deviceToken",
    "push_token",
    "fcmToken",
    "apns_token",
    "reset_token",
    "inviteToken",
    "bot_token",
    "webhook_token",
    "userToken",
    "token_value",
    "AccessTokenSecret",
    "auth",
    "saml_response",
    "sid",
    "nonce_secret",
    "ticket_granting_ticket",
    "csrfmiddlewaretoken",
    "authenticity_token",
    "sas_token",
    "personalAccessToken",
    "tokens",
];

const KEYS: &[&str] = &[
    "api_key",
    "apiKey",
    "API-KEY",
    "secret",
    "client_secret",
    "clientSecret",
    "private_key",
    "privateKey",
    "secret_key",
    "SecretAccessKey",
    "aws_secret_access_key",
    "encryption_key",
    "signingKey",
    "master_key",
    "access_key",
    "accessKeyId",
    "app_key",
    "consumer_secret",
    "webhook_secret",
    "shared_secret",
    "hmac_key",
    "license_key",
    "credentials",
    "credential",
    "account_key",
    "AccountKey",
    "storage_key",
    "stripe_key",
    "STRIPE_SECRET",
    "SECRET_KEY_BASE",
    "cookie_secret",
    "session_secret",
    "data_key",
    "deploy_key",
    "ssh_key",
    "host_key",
    "wrapping_key",
    "salt",
    "pepper",
    "appSecret",
    "subscription_key",
    "sharedAccessKey",
    "function_key",
    "jwt_secret",
];

fn number_field(random: &mut Random) -> Case {
    let name = random.pick(&[
        "pin",
        "otp",
        "cvv",
        "cvc",
        "totp",
        "pin_code",
        "cvv2",
        "otpCode",
        "mfa_code",
        "security_code",
        "verification_code",
        "one_time_code",
        "sms_code",
        "card_cvc",
        "passcode",
        "two_factor_code",
    ]);
    let digits = random.pick(&["3", "4", "6"]).parse().unwrap();
    let number = loop {
        let number = random.of("123456789", digits);
        // Not a number that may be anywhere else in the payload.
        if digits >= 4 || number.starts_with('9') {
            break number;
        }
    };
    let marked = format!("{number}{}", random.of("123456789", 2));
    let text = if random.below(2) == 0 { json!(marked) } else { json!(marked.parse::<u64>().unwrap()) };
    Case::new(Place::Json, name, json!({ "plan": "gold-plan", name: text })).hides(marked).keeps("gold-plan")
}

fn identity_field(random: &mut Random) -> Case {
    let name = random.pick(&[
        "ssn",
        "social_security_number",
        "socialSecurityNumber",
        "tax_id_ssn",
        "iban",
        "IBAN",
        "customer_iban",
        "SSN",
        "passport_number",
        "national_id",
        "tax_id",
        "drivers_license",
        "account_number",
        "routing_number",
        "bank_account",
    ]);
    let value = if name.to_lowercase().contains("iban") { random.iban() } else { random.digits(9) };
    secret_field(random, name, value)
}

fn payment_field(random: &mut Random) -> Case {
    let name =
        random.pick(&["card_number", "cardNumber", "creditCard", "credit_card_number", "pan", "cc_number", "card", "ccnum", "number"]);
    let card = random.card();
    let value = if random.below(2) == 0 { json!(card.parse::<u64>().unwrap()) } else { json!(card) };
    secret_field(random, name, value)
}

fn list_field(random: &mut Random) -> Case {
    let (one, two) = (random.alnum(12), random.plain_password());
    let name = random.pick(&[
        "api_keys",
        "passwords",
        "secrets",
        "tokens",
        "backup_codes",
        "recovery_codes",
        "credentials",
        "private_keys",
        "auth",
    ]);
    let value = match random.below(3) {
        0 => json!([one, two]),
        1 => json!({ "first": one, "second": two }),
        _ => json!([{ "id": one, "held": two }]),
    };
    Case::new(Place::Json, name, json!({ "plan": "gold-plan", name: value })).hides(one).hides(two).keeps("gold-plan")
}

fn deep_field(random: &mut Random) -> Case {
    let secret = random.plain_password();
    let mut value = json!({ "password": secret, "plan": "gold-plan" });
    for _ in 0..random.between(5, 14) {
        value = if random.below(2) == 0 { json!([value]) } else { json!({ "inner": value }) };
    }
    Case::new(Place::Json, "facts", json!({ "facts": value })).hides(secret).keeps("gold-plan")
}

fn pair_field(random: &mut Random) -> Case {
    let secret = random.plain_password();
    let name = random.pick(&["password", "api_key", "Authorization", "X-Auth-Token", "DB_PASSWORD", "client_secret"]);
    let value = match random.below(4) {
        0 => json!([{ "name": name, "value": secret }, { "name": "plan", "value": "gold-plan" }]),
        1 => json!([{ "key": name, "value": secret }, { "key": "plan", "value": "gold-plan" }]),
        2 => json!([[name, secret], ["plan", "gold-plan"]]),
        _ => json!([{ "Name": name, "Value": secret }, { "Name": "plan", "Value": "gold-plan" }]),
    };
    Case::new(Place::Json, "pairs", json!({ "pairs": value })).hides(secret).keeps("gold-plan")
}

fn escaped_field(random: &mut Random) -> Case {
    let secret = random.plain_password();
    let name = random.pick(&["password", "api_key", "accessToken", "client_secret", "pin"]);
    let inner = json!({ "user": "jane-doe", name: secret, "plan": "gold-plan" });
    let text = match random.below(3) {
        0 => inner.to_string(),
        1 => json!({ "body": inner.to_string() }).to_string(),
        _ => format!("POST /login body={}", json!(inner.to_string())),
    };
    Case::new(Place::Json, "body", json!({ "body": text })).hides(secret).keeps("jane-doe").keeps("gold-plan")
}
