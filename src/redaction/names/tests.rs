//! Names that are secret, and names that sound so.

use super::*;

fn levels(names: &str, of: fn(&str) -> Level) -> Vec<(&str, Level)> {
    names.split_whitespace().map(|name| (name, of(name))).collect()
}

#[test]
fn names_of_secrets_are_found_in_any_spelling() {
    let names = "password PASSWORD dbPassword user_password api_key apiKey API-KEY x-api-key secret client_secret credentials _csrf csrf_token \
        PHPSESSID sessionId card_number cardNumber aws_secret_access_key db_pass smtpPass privateKey http.request.header.authorization set-cookie \
        passphrase passcode credential authtoken xsrf creditcard security_code mysqlpwd db_pw pass pgpass seed_phrase tax_id account_number verification_code";
    for (name, level) in levels(names, of_field) {
        assert_eq!(level, Level::Sure, "{name}");
    }
    let names = "token userToken user-token jwt auth session user.token connect.sid pwd pin otp totp cvv cvc2 ssn saml_response SAMLResponse IBAN \
        salt authenticity signature sig cookie user_cookies bearer sid tokens hmac";
    for (name, level) in levels(names, of_field) {
        assert_eq!(level, Level::Likely, "{name}");
    }
}

#[test]
fn names_about_a_secret_are_secret_only_with_a_random_value() {
    let names = "token_count token_type session_length password_reset secret_version has_token max_tokens key storage_key secret_name auth_method \
        password_changed_at token_endpoint pass_rate signature_algorithm token_id";
    for (name, level) in levels(names, of_field) {
        assert!(level <= Level::IfRandom, "{name}: {level:?}");
    }
    assert_eq!(of_field("token_value"), Level::Likely);
    assert_eq!(of_field("session_id"), Level::Sure);
}

#[test]
fn ordinary_names_are_harmless() {
    let names = "author authority monkey keyboard db.query.text tokenizer passenger compass code.function.name http.route side pinned shopping user_id order \
        primary_key sort_key cache.key routing_key public_key obsidian otpauthless salted secretary design assignment www-authenticate";
    for (name, level) in levels(names, of_field) {
        assert_eq!(level, Level::Harmless, "{name}");
    }
}

#[test]
fn headers_parameters_and_cookies_follow_the_specified_words_as_well() {
    let names = "x-oauth x-some-token x-secretly x-password x-passwd x-pwd x-monkey x-goog-iap-jwt-assertion x-bearer sso-state x-saml x-csrf x-xsrf \
        x-credentials x-session x-identity x-cookie connect-sid x-otp x-pin x-passphrase x-card-number x-cvv x-security-code x-db-pass x-signature \
        stripe-signature x-hub-signature-256";
    for (name, level) in levels(names, of_header) {
        assert!(level >= Level::IfOpaque, "{name}: {level:?}");
        assert!(of_parameter(name) >= Level::IfOpaque && of_cookie(name) >= Level::IfOpaque, "{name}");
    }
    for (name, level) in levels("accept user-agent content-type host x-request-id side www-authenticate", of_header) {
        assert_eq!(level, Level::Harmless, "{name}");
    }
    for (name, level) in levels("X-Amz-Signature sig code Code access_token cvv SAMLResponse", of_parameter) {
        assert!(level >= Level::Likely, "{name}: {level:?}");
    }
    for (name, level) in levels("page q zipcode signal barcode", of_parameter) {
        assert!(level <= Level::IfRandom, "{name}: {level:?}");
    }
    for (name, level) in levels("remember_me __Host-x __Secure-y oidc.state pkce mfa_done", of_cookie) {
        assert!(level >= Level::IfOpaque, "{name}: {level:?}");
    }
}

#[test]
fn credential_headers_match_by_their_whole_name() {
    let names = "token api-key x-api-key set-cookie x-csrf-token x-auth-token x-xsrf-token authorization x-access-token x-authorization \
        proxy-authorization x-amz-security-token";
    for name in names.split_whitespace() {
        assert!(is_credential_header(name), "{name}");
    }
    assert!(!is_credential_header("accept") && !is_credential_header("x-token") && !is_credential_header("cookie"));
}

#[test]
fn own_names_match_in_any_spelling() {
    let own = [squash("customer-IBAN")];

    for name in ["customer_iban", "CustomerIban", "the.customer.iban.number"] {
        assert!(is_listed(name, &own), "{name}");
    }
    assert!(!is_listed("customer", &own));
}
