//! URLs and queries, with secrets and without.

use std::sync::Arc;

use super::*;

#[test]
fn parameters_are_hidden_by_name_and_by_shape() {
    let redactor = Redactor::new(Arc::default(), false);
    let token = "a1".repeat(40);
    let rows = [
        ("page=2&q=shoes".to_owned(), "page=2&q=shoes".to_owned()),
        ("token=abc&page=2&token=def".to_owned(), "token=[Filtered]&page=2&token=[Filtered]".to_owned()),
        ("api%5Fkey=abc".to_owned(), "api%5Fkey=[Filtered]".to_owned()),
        ("next=https%3A%2F%2Fme%3Apw%40host%2F".to_owned(), "next=https%3A%2F%2F[Filtered]:[Filtered]%40host%2F".to_owned()),
        (format!("id={token}"), "id=[REDACTED_TOKEN]".to_owned()),
        (token, "[REDACTED_TOKEN]".to_owned()),
        ("code=abc&page=2".to_owned(), "code=[Filtered]&page=2".to_owned()),
        ("secret=".to_owned(), "secret=".to_owned()),
    ];

    for (given, expected) in rows {
        assert_eq!(query(&redactor, &given), expected);
    }
}

#[test]
fn path_parameters_with_secret_names_are_hidden() {
    let own = || Redaction::default().field("voucher").placeholder("[REDACTED]");
    let rows = [
        (Redaction::default(), "/users/{id}/reset/{token}", "/users/7/reset/abc", "/users/7/reset/[Filtered]"),
        (Redaction::default(), "/tokens/{id}", "/tokens/7", "/tokens/7"),
        (Redaction::default(), "/x/{*secret}", "/x/a/b", "/x/[Filtered]/[Filtered]"),
        (Redaction::default(), "/redeem/{voucher}", "/redeem/abc", "/redeem/abc"),
        (own(), "/redeem/{voucher}", "/redeem/abc", "/redeem/[REDACTED]"),
        (own(), "/users/{id}/reset/{token}", "/users/7/reset/abc", "/users/7/reset/[REDACTED]"),
    ];

    for (rules, template, path, expected) in rows {
        assert_eq!(rules.hide_parameters(template, path), expected);
    }
}

#[test]
fn urls_lose_their_user_and_secret_parameters() {
    let redactor = Redactor::new(Arc::default(), false);

    let clean = url(&redactor, "https://me:pw@host/path?sig=abc&a=1#top");

    assert_eq!(clean, "https://[Filtered]:[Filtered]@host/path?sig=[Filtered]&a=1#top");
}
