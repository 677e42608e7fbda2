//! Texts with secrets, and without.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::redaction::Redaction;

fn clean(text: &str) -> String {
    scrub(&Redactor::new(Arc::default(), false), text).into_owned()
}

#[test]
fn secrets_are_hidden_by_their_shape() {
    let long = "Ab1".repeat(22);
    let rows = [
        ("got 500 from postgres://app:hunter2@db:5432/shop", "got 500 from postgres://[Filtered]:[Filtered]@db:5432/shop"),
        ("Authorization: Bearer abc", "Authorization: [Filtered]"),
        ("sent Bearer abcdef123456 to upstream", "sent Bearer [Filtered] to upstream"),
        ("Login { user: \"me\", password: \"hunter2\", age: 3 }", "Login { user: \"me\", password: \"[Filtered]\", age: 3 }"),
        (
            "&quot;password&quot;:&quot;hunter2&quot;,&quot;plan&quot;: &quot;gold&quot;",
            "&quot;password&quot;:&quot;[Filtered]&quot;,&quot;plan&quot;: &quot;gold&quot;",
        ),
        ("Login { password: Some(\"hun\\\"ter2\") }", "Login { password: [Filtered] }"),
        ("Login { password: Password(\"hunter2\"), n: 1 }", "Login { password: [Filtered], n: 1 }"),
        ("api_key: ApiKey { value: \"k-123\" }, n: 1", "api_key: [Filtered], n: 1"),
        ("token: Some(\n    \"tok-9\",\n),\nn: 1", "token: [Filtered],\nn: 1"),
        ("Authorization: ApiKey abc123", "Authorization: [Filtered]"),
        ("auth: Bearer  abc, n: 1", "auth: [Filtered], n: 1"),
        ("Cookie: a=1; session=2\nHost: x", "Cookie: [Filtered]\nHost: x"),
        ("see /callback?code=abc&state=1", "see /callback?code=[Filtered]&state=1"),
        ("password: swordfish", "password: [Filtered]"),
        ("login with password=Tr0ub4dor&3 failed", "login with password=[Filtered] failed"),
        ("password=a,b;c user=me", "password=[Filtered] user=me"),
        ("token=abc&page=2, secret=x, n=1", "token=[Filtered]&page=2, secret=[Filtered], n=1"),
        ("user[password]=x&api%5Fkey=y", "user[password]=[Filtered]&api%5Fkey=[Filtered]"),
        ("{\"x-forwarded-for\": \"203.0.113.77\", \"accept\": \"*/*\"}", "{\"x-forwarded-for\": \"[Filtered]\", \"accept\": \"*/*\"}"),
        ("token: tok9", "token: [Filtered]"),
        ("{\"api_key\":\"k-1\",\"page\":2}", "{\"api_key\":\"[Filtered]\",\"page\":2}"),
        ("{\\\"api_key\\\":\\\"k-1\\\"}", "{\\\"api_key\\\":\\\"[Filtered]\\\"}"),
        ("retry with token=abc&page=2", "retry with token=[Filtered]&page=2"),
        ("paid with 4111 1111 1111 1111 today", "paid with [Filtered] today"),
        ("paid with 4111111111111111", "paid with [Filtered]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!", "[REDACTED_TOKEN]!"),
        ("key ghp_0123456789abcdefghij0123456789abcdef", "key [REDACTED_TOKEN]"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- left", "[Filtered] left"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE, cut off", "[Filtered]"),
        ("sent Basic dXNlcjpodW50ZXIy to upstream", "sent Basic [Filtered] to upstream"),
        ("postgres://app:p@ss@w0rd@db/shop", "postgres://[Filtered]:[Filtered]@db/shop"),
        ("Login { password: \"hun\\\"ter2\", n: 1 }", "Login { password: \"[Filtered]\", n: 1 }"),
        ("secrets = [[\"x\"], [\"y\"]] end", "secrets = [Filtered] end"),
        ("auth: Digest abc123, n: 1", "auth: [Filtered], n: 1"),
        ("auth: Token abc123, n: 1", "auth: [Filtered], n: 1"),
        ("auth: basic abc123, n: 1", "auth: [Filtered], n: 1"),
        ("Authorization: OAuth oauth_token=\"abc\", oauth_nonce=\"def\"\nHost: x", "Authorization: [Filtered]\nHost: x"),
        ("sent 'Cookie: a=\"1\"; session=2' to x", "sent 'Cookie: [Filtered]' to x"),
        (
            "SELECT * FROM t WHERE token = $1 AND key = ? AND pin = 'abc'",
            "SELECT * FROM t WHERE token = $1 AND key = ? AND pin = '[Filtered]'",
        ),
        ("password=$1hunter2 password=? password=\"?1a\"", "password=[Filtered] password=? password=\"[Filtered]\""),
        ("tokens: {\"a\": [1]}; secrets = [\"x\", \"y\"] end", "tokens: {\"a\": [1]}; secrets = [Filtered] end"),
        (&long, "[REDACTED_TOKEN]"),
    ];

    for (given, expected) in rows {
        assert_eq!(clean(given), expected);
    }
}

#[test]
fn a_long_key_in_a_sentence_has_the_mark_of_a_long_token_and_the_sentence_keeps_its_words() {
    let key = "0f3c9a7b".repeat(8);
    let base64 = "a9/Zk2+x".repeat(8) + "==";
    let rows = [
        (&*key, "Failed to authenticate with key: ", "[REDACTED_TOKEN]"),
        (&key, "auth: Failed to authenticate with key: ", "[REDACTED_TOKEN]"),
        (&key, "auth: Failed to authenticate with key ", "[REDACTED_TOKEN]"),
        (&base64, "auth: could not sign in with token: ", "[REDACTED_TOKEN]"),
        // A short one is known by its name alone.
        ("0f3c9a7b0f3c9a7b", "auth: Failed to authenticate with key: ", "[Filtered]"),
        // The value of a field.
        (&key, "retried with api_key=", "[Filtered]"),
    ];

    for (secret, sentence, mark) in rows {
        assert_eq!(clean(&format!("{sentence}{secret}")), format!("{sentence}{mark}"));
        assert_eq!(clean(&format!("{sentence}{secret}, retry in 5 s")), format!("{sentence}{mark}, retry in 5 s"));
    }
    for text in ["auth: Failed to authenticate", "Auth: Failed to connect to the server: timed out", "auth: No such user"] {
        assert_eq!(clean(text), text);
    }
}

#[test]
fn card_numbers_of_all_issuers_are_hidden_in_any_spelling() {
    for card in [
        "4111111111111111",
        "4111-1111-1111-1111",
        "4111 1111 1111 1111",
        "4222222222222",
        "4000000000000000006",
        // Here a doubled five counts as one.
        "4012888888881881",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "30569309025904",
        "3530111333300000",
        "6011111111111117",
        "6200000000000005",
        "6445644564456445",
    ] {
        assert_eq!(clean(card), "[Filtered]", "{card}");
        assert_eq!(clean(&format!("paid with {card}, twice")), "paid with [Filtered], twice");
    }
    for number in
        ["4111111111111112", "1111111111111117", "411111111111", "4111--1111--1111--1111", "4111111111111111a", "41111111111111111111"]
    {
        assert_eq!(clean(number), number);
    }
}

#[test]
fn keys_of_known_services_are_hidden_whole_by_their_prefix() {
    for key in [
        "ghp_0123456789abcdefghij0123456789abcdef",
        "hvs.CAESIJ3y-x_9Zk2mN5pQ8rT1uV4w",
        "dp.pt.aB3dE6gH9jK2mN5pQ8rT",
        "xoxb-12-34-aB3dE6gH9jK2mN5p",
    ] {
        assert_eq!(clean(key), "[REDACTED_TOKEN]", "{key}");
        assert_eq!(clean(&format!("refused {key}. There")), "refused [REDACTED_TOKEN]. There");
    }
    for text in ["AKIAIOSFODNN7EXAMPL", "ghp_0123456789abcde", "npm_config_cache", "a dp.pt.short", "sk-learn"] {
        assert_eq!(clean(text), text);
    }
}

#[test]
fn a_placeholder_that_may_begin_a_value_hides_all_the_same() {
    for placeholder in ["*", "-", "x"] {
        let rules = Redactor::new(Arc::new(Redaction::default().placeholder(placeholder)), false);
        for (text, before, after) in [
            ("password=xhunter2 n=1", "password=", " n=1"),
            ("password=\"*hunter2\"", "password=\"", "\""),
            ("sent Bearer x-*bcdef123456 to upstream", "sent Bearer ", " to upstream"),
            ("https://hooks.slack.com/services/x-*T0/B0", "https://hooks.slack.com/services/", ""),
        ] {
            assert_eq!(scrub(&rules, text), format!("{before}{placeholder}{after}"));
        }
    }
}

#[test]
fn ordinary_texts_are_kept() {
    for text in [
        "",
        "connection refused (os error 111)",
        "SELECT * FROM users WHERE id = $1",
        "app::auth::Session::load",
        "token::Kind == token::Kind::Word",
        "failed to refresh token: connection refused",
        "could not load session: timeout",
        "duplicate key: users_pkey (23505)",
        "invalid password: too short",
        "basic usage of the bearer of bad news",
        "at 1795168800412 took 12ms, order 4111111111111112",
        "https://user.example/path?a=b mail me@example.org",
        "/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.54.1/src/runtime/scheduler/multi_thread/worker.rs",
        "2026-11-20T10:00:00Z 771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1",
        "author: Jane, keyboard: qwerty, cache.key=cart:7",
    ] {
        assert_eq!(clean(text), text);
    }
}

#[test]
fn tokens_are_hidden_from_sixty_four_characters() {
    let (short, long) = ("a1".repeat(31) + "a", "a1".repeat(32));
    assert_eq!(clean(&short), short);
    assert_eq!(clean(&long), "[REDACTED_TOKEN]");
    for kept in
        ["a".repeat(80), "=".repeat(80), "how-to-choose-the-right-basket-for-your-kitchen-without-ever-losing-your-garden-again".to_owned()]
    {
        assert_eq!(clean(&kept), kept);
    }
}

/// Rules look at most 4 KiB ahead. What is still open there is hidden to the end of the text.
#[test]
fn a_value_longer_than_rules_look_is_hidden_whole() {
    // No run of it is long enough to be hidden by itself.
    let value = "k7.Q!9x~".repeat(800) + "9x~canary";
    let kinds = [
        "Invalid value '{}' for --api-token given",
        "'{}' not a valid key=value pair in Authorization header",
        "echo '{}' | wg set",
        "credentials (jane / {}) refused",
        "HSET \"user\" \"password\" \"{}\" end",
        "{password,<<\"{}\">>}",
        "SetPassword(\"{}\") failed",
        "db.auth(\"jane\", \"{}\") failed",
        "pgp_sym_encrypt('x', '{}') failed",
        "<password>{}</password> end",
        "<password><![CDATA[{}]]></password> end",
        "&lt;password&gt;{}&lt;/password&gt; end",
        "&quot;password&quot;:&quot;{}",
        "htpasswd -b file jane {}",
        "PASS {}",
        "::set-output name=token::{}",
        "SELECT '{}' AS access_token FROM t",
        "AUTH {}",
        "ACL SETUSER jane on >{}",
        "Authorization failed: Hawk id=\"x\", mac=\"{}\" end",
    ];
    for kind in kinds {
        let text = kind.replace("{}", &value);
        let cleaned = clean(&text);
        assert!(!cleaned.contains("canary") && !cleaned.contains("k7.Q!9x"), "{kind}: {} bytes are left", cleaned.len());
    }
    // What is not a secret stays, however long it is.
    for kind in ["SetTitle(\"{}\") failed", "<title>{}</title>", "at least <password> and then many words: {}"] {
        let text = kind.replace("{}", &"some words, ".repeat(600));
        assert_eq!(clean(&text), text, "{kind}");
    }
}

proptest! {
    #[test]
    fn scrubbing_again_changes_nothing_for_long(text in "(token|password|Cookie|x-api-key|:|=|&|,|;|\\]|\\{|\\(|%5F|\n|//|@| |\"|Bearer|[a-z]{1,9}|[0-9]{1,19}|\\\\|\\[|\\{|Some\\(){0,12}") {
        // The second time, a replacement is judged like any text, since a user may have written it:
        // it may go together with the word before it.
        let twice = clean(&clean(&text));

        prop_assert_eq!(clean(&twice), twice, "from {:?}", text);
    }

    #[test]
    fn any_text_is_taken(text in ".{0,300}") {
        let _ = clean(&text);
    }
}
