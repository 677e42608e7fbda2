//! Values as they are written.

use serde_json::json;

use super::super::{Redaction, redact_json};
use crate::protocol::{Request, User};

#[test]
fn names_hide_values_of_any_type_at_any_depth() {
    let given = json!({"user": {"cards": [{"cvv": 123, "holder": "Jane"}]}, "api_key": ["a", "b"], "page": 2, "note": "token=abc"});

    let clean = redact_json(Redaction::default(), &given);

    assert_eq!(
        clean,
        r#"{"api_key":"[Filtered]","note":"token=[Filtered]","page":2,"user":{"cards":[{"cvv":"[Filtered]","holder":"Jane"}]}}"#
    );
}

#[test]
fn a_request_is_judged_place_by_place() {
    #[derive(serde::Serialize)]
    struct Event {
        request: Request,
    }
    let mut request =
        Request { url: Some("http://me:pw@shop/cart".to_owned()), query_string: Some("sig=1f2e3d&a=2".to_owned()), ..Request::default() };
    for (name, value) in
        [("authorization", "Bearer x"), ("x-forwarded-for", "1.2.3.4"), ("accept", "*/*"), ("referer", "http://shop/?code=abc")]
    {
        request.headers.insert(name.to_owned(), value.to_owned());
    }

    let clean = redact_json(Redaction::default(), &Event { request });

    assert_eq!(
        clean,
        r#"{"request":{"url":"http://[Filtered]:[Filtered]@shop/cart","query_string":"sig=[Filtered]&a=2","headers":{"accept":"*/*","authorization":"[Filtered]","referer":"http://shop/?code=[Filtered]","x-forwarded-for":"[Filtered]"}}}"#
    );
}

#[test]
fn user_rules_apply_as_well() {
    let rules = Redaction::default().field("iban").placeholder("[REDACTED]").token_placeholder("[LONG]").token_length(20);

    let clean = redact_json(rules, &json!({"customerIban": "DE02", "password": "x", "id": "abcdefghij0123456789"}));

    assert_eq!(clean, r#"{"customerIban":"[REDACTED]","id":"[LONG]","password":"[REDACTED]"}"#);
}

#[test]
fn remove_fields_removes_names_and_values() {
    let given = json!({"api_key": "k-1", "b": {"token": {"c": "t-1"}}, "cards": [{"cvv": 123, "holder": "Jane"}, {"a": 1, "pin": 4711}], "password": ""});

    let clean = redact_json(Redaction::default().remove_fields(), &given);

    assert_eq!(clean, r#"{"b":{},"cards":[{"holder":"Jane"},{"a":1}],"password":""}"#);
}

#[test]
fn a_secret_that_is_a_name_itself_is_hidden() {
    let long = "a1".repeat(32);
    for secret in [&*long, "4111111111111111", "AKIAIOSFODNN7EXAMPLE"] {
        let clean = redact_json(Redaction::default(), &json!({ secret: 1, "x-request-id": 2 }));

        assert!(!clean.contains(secret) && clean.contains(r#""x-request-id":2"#), "{clean}");
    }
}

#[test]
fn a_group_with_a_secret_name_is_hidden_as_a_whole() {
    #[derive(serde::Serialize)]
    struct Event {
        contexts: crate::protocol::Contexts,
    }
    let mut contexts = crate::protocol::Contexts::default();
    contexts.other.insert("password".to_owned(), json!({"value": "hunter2"}));
    contexts.other.insert("order".to_owned(), json!({"id": 7}));
    // These names say what the group is about.
    contexts.other.insert("session".to_owned(), json!({"length": 7}));
    contexts.other.insert("auth".to_owned(), json!({"method": "oidc"}));
    let clean = redact_json(Redaction::default(), &Event { contexts });

    assert_eq!(
        clean,
        r#"{"contexts":{"auth":{"method":"oidc"},"order":{"id":7},"password":{"value":"[Filtered]"},"session":{"length":7}}}"#
    );
}

#[test]
fn a_users_fields_are_judged_like_any_map() {
    let clean = redact_json(Redaction::default(), &User::id(7).field("session_token", "abc").field("plan", "gold"));

    assert_eq!(clean, r#"{"id":"7","plan":"gold","session_token":"[Filtered]"}"#);
}

#[test]
fn a_key_is_judged_by_the_rules_of_the_user_too() {
    let rules = Redaction::default().field("ticket").token_length(16);

    let clean = redact_json(rules, &json!({"ticket=drei": 1, "4x7kp2mqz94x7kp2mqz9": 2, "page": 3}));

    assert_eq!(clean, r#"{"[REDACTED_TOKEN]":2,"page":3,"ticket=[Filtered]":"[Filtered]"}"#);
}

#[test]
fn the_fields_of_a_body_are_parameters() {
    #[derive(serde::Serialize)]
    struct Event {
        request: Request,
    }
    let data = json!({"code": "4x7Kp2mQz9", "form": {"ticket": ["ST-4x7Kp2mQz9"]}, "status": "open"});
    let expected = json!({"code": "[Filtered]", "form": {"ticket": "[Filtered]"}, "status": "open"});
    let written = |data| redact_json(Redaction::default(), &Event { request: Request { data: Some(data), ..Request::default() } });

    assert_eq!(written(data), json!({"request": {"data": expected}}).to_string());
    let text = json!({"code": "4x7Kp2mQz9", "status": "open"}).to_string();
    assert_eq!(written(text.into()), json!({"request": {"data": r#"{"code":"[Filtered]","status":"open"}"#}}).to_string());
}

#[test]
fn a_card_that_is_a_number_is_hidden() {
    let clean = redact_json(
        Redaction::default(),
        &json!({"a": 4_111_111_111_111_111_u64, "b": 4_111_111_111_111_112_u64, "c": [378_282_246_310_005_u64]}),
    );

    assert_eq!(clean, r#"{"a":"[Filtered]","b":4111111111111112,"c":["[Filtered]"]}"#);
}

#[test]
fn a_value_beside_its_name_is_judged_by_it() {
    let rows = [
        (json!({"name": "password", "value": "hunter2"}), r#"{"name":"password","value":"[Filtered]"}"#),
        (json!({"key": "X-Auth-Token", "value": "abc123"}), r#"{"key":"X-Auth-Token","value":"[Filtered]"}"#),
        (json!(["api_key", "abc123"]), r#"["api_key","[Filtered]"]"#),
        (json!({"name": "plan", "value": "abc123"}), r#"{"name":"plan","value":"abc123"}"#),
        (json!(["token", "name"]), r#"["token","name"]"#),
    ];

    for (given, expected) in rows {
        assert_eq!(redact_json(Redaction::default(), &given), expected);
    }
}

#[test]
fn a_value_that_is_none_stays_under_a_secret_name() {
    let given = json!({"password": true, "api_key": null, "token": 3, "secret": "***", "auth": "oidc", "pin": ["must not be empty"], "password_hash": "$2b$12$abc"});

    let clean = redact_json(Redaction::default(), &given);

    assert_eq!(
        clean,
        r#"{"api_key":null,"auth":"oidc","password":true,"password_hash":"[Filtered]","pin":["must not be empty"],"secret":"***","token":3}"#
    );
}

#[test]
fn what_is_too_deep_is_a_mark() {
    let deep = (0..100).fold(json!(1), |inner, _| serde_json::Value::Array(vec![inner]));

    let clean = redact_json(Redaction::default(), &deep);

    assert_eq!(clean, format!("{}\"[nested too deep]\"{}", "[".repeat(32), "]".repeat(32)));
    assert!(serde_json::from_str::<serde_json::Value>(&clean).is_ok());
}

#[test]
fn a_weaker_name_inside_a_secret_one_does_not_free_the_value() {
    let rows = [
        json!({"key": "hunter2"}),
        json!({"deep": {"key": "hunter2"}}),
        json!([{"code": "hunter2"}]),
        json!({"steps": [["key", "hunter2"]]}),
        json!([{"name": "key", "value": "hunter2"}]),
    ];
    for row in rows {
        assert_eq!(redact_json(Redaction::default(), &json!({"password": row, "page": 2})), r#"{"page":2,"password":"[Filtered]"}"#);
    }
    let harmless = json!({"key": "monday", "deep": {"key": "hunter"}});
    assert_eq!(redact_json(Redaction::default(), &harmless), harmless.to_string());
}

#[test]
fn an_attribute_that_holds_a_header_is_judged_as_the_header() {
    for value in [json!("drei Wagen"), json!(["drei Wagen"]), json!({"a": "drei Wagen"})] {
        for name in [
            "http.request.header.authorization",
            "http.request.header.X-Api-Key",
            "http.request.header.x_forwarded_for",
            "http.response.header.x-csrf-token",
            "rpc.request.metadata.authorization",
            "rpc.grpc.request.metadata.x_api_key",
            "rpc.grpc.response.metadata.x-shop-key",
            "http.request.header.x_till",
        ] {
            for given in [json!({ name: value }), json!({"deep": [{ name: value }]})] {
                let clean = redact_json(Redaction::default().header("x-shop-key").header("x_till"), &given);

                assert!(clean.contains(name) && !clean.contains("Wagen"), "{clean}");
            }
        }
    }
    let harmless = json!({"http.request.header.accept": "*/*", "rpc.request.metadata.te": "trailers"});
    assert_eq!(redact_json(Redaction::default(), &harmless), harmless.to_string());
}

#[test]
fn an_attribute_that_holds_a_field_of_the_user_is_judged_as_the_field() {
    let given = json!({"user.name": "jane", "user.plan": "gold", "user.geo.city": "Bonn", "user.role": "guest", "user.seat": "12 F"});
    let rules = Redaction::default().user_fields(["plan", "seat"]).field("seat");

    let clean = redact_json(rules, &json!({ "facts": given }));

    assert_eq!(
        clean,
        r#"{"facts":{"user.geo.city":"[Filtered]","user.name":"jane","user.plan":"gold","user.role":"[Filtered]","user.seat":"[Filtered]"}}"#
    );
}

#[test]
fn a_response_as_a_map_has_headers_and_cookies() {
    #[derive(serde::Serialize)]
    struct Event {
        contexts: crate::protocol::Contexts,
    }
    let response = json!({
        "status_code": 500, "body_size": 12, "data": {"password": "hunter2", "note": "done"},
        "cookies": {"theme": "dark-blue", "visitor": "drei", "seen": "8f14e45fceea167a"},
        "headers": {
            "content-type": "text/plain", "x-csrf-token": "drei", "Set-Cookie": "seen=8f14e45fceea167a", "X-Shop-Key": "drei",
            "X-Forwarded-For": "drei", "Location": "/reset?code=abc123x", "Age": "12"
        }
    });
    let mut contexts = crate::protocol::Contexts::default();
    contexts.other.insert("response".to_owned(), response);

    let clean = redact_json(Redaction::default().header("x-shop-key"), &Event { contexts });

    let clean: serde_json::Value = serde_json::from_str(&clean).expect("it is JSON");
    assert_eq!(
        clean["contexts"]["response"],
        json!({
            "status_code": 500, "body_size": 12, "data": {"password": "[Filtered]", "note": "done"},
            "cookies": {"theme": "dark-blue", "visitor": "[Filtered]", "seen": "[Filtered]"},
            "headers": {
                "content-type": "text/plain", "x-csrf-token": "[Filtered]", "Set-Cookie": "[Filtered]", "X-Shop-Key": "[Filtered]",
                "X-Forwarded-For": "[Filtered]", "Location": "/reset?code=[Filtered]", "Age": "12"
            }
        })
    );
}
