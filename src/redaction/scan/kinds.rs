//! The kinds of texts that once left, or were hidden without need: one test for each kind.

use std::sync::Arc;

use super::*;
use crate::redaction::Redaction;

fn clean(text: &str) -> String {
    scrub(&Redactor::new(Arc::default(), false), text).into_owned()
}

/// Each text loses its second part, and keeps the third.
fn hides(rows: &[(&str, &str, &str)]) {
    for (text, secret, kept) in rows {
        let clean = clean(text);
        assert!(!clean.contains(secret), "{text}: {clean}");
        assert!(kept.split(' ').all(|word| clean.contains(word)), "{text}: {clean}");
        assert_eq!(self::clean(&clean), clean, "once is enough: {text}");
    }
}

fn keeps(texts: &[&str]) {
    for text in texts {
        assert_eq!(clean(text), *text);
    }
}

#[test]
fn a_mark_in_a_value_hides_nothing_from_the_rules() {
    hides(&[
        ("password=[Filtered]hunter2 n=1", "hunter2", "n=1"),
        ("password: *hunter3 n=1", "hunter3", "n=1"),
        ("password=[REDACTED]hunter2", "hunter2", "password"),
        ("password=\"***hunter2\" n=1", "hunter2", "n=1"),
        ("https://[Filtered]:hunter2@host/x", "hunter2", "host/x"),
        ("password=[REDACTED]-hunter2 n=1", "hunter2", "n=1"),
        ("sent Bearer [Filtered]Zk82hJq9Lm1x to", "Zk82hJq9", "sent Bearer to"),
        ("https://hooks.slack.com/services/[Filtered]T0/B0/x1 n", "T0/B0", "services n"),
        ("/reset/[Filtered]a1B2c3D4e5 now", "a1B2c3", "/reset/ now"),
    ]);
    keeps(&["password=[Filtered] n=1", "password=*** n=1", "https://[Filtered]:[Filtered]@host/x", "Bearer [Filtered]"]);
}

#[test]
fn a_private_key_is_hidden_whole_under_any_name() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\nline/two+\n-----END RSA PRIVATE KEY-----";
    let flat = key.replace('\n', "\\n");
    for text in [
        format!("loaded key:\n{key}\nrest"),
        format!("TLS_PRIVATE_KEY={key}\nrest"),
        format!("secret: {key}\nrest"),
        format!("Authorization: Bearer {key}\nrest"),
        format!("key: |\n{key}\nrest"),
        format!("{{\"private_key\":\"{flat}\",\"n\":\"rest\"}}"),
        format!("--private-key '{key}' rest"),
    ] {
        hides(&[(&text, "line/two", "rest"), (&text, "MIIabc", "rest")]);
    }
    hides(&[("-----BEGIN PRIVATE KEY-----\nMIIabc cut", "MIIabc", "")]);
    let line = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1234567890abcdefGHIJ";
    keeps(&[
        &format!("-----BEGIN PUBLIC KEY-----\n{line}\n{line}\n-----END PUBLIC KEY-----"),
        &format!("-----BEGIN CERTIFICATE-----\n{line}\n-----END CERTIFICATE----- sent"),
    ]);
}

#[test]
fn quoted_credentials_are_hidden() {
    hides(&[
        ("Authorization: Token token=\"abc123\"\nHost: x", "abc123", "Host: x"),
        ("Authorization: Digest username=\"me\", response=\"abc123\"\nHost: x", "abc123", "Host: x"),
        ("Authorization: OAuth a=\"b\", oauth_signature=\"abc123\"\nHost: x", "abc123", "Host: x"),
        ("[(\"page\", \"2\"), (\"api_key\", \"abc123\")]", "abc123", "page 2"),
        ("{\"name\": \"password\", \"value\": \"abc123\"}", "abc123", "name value"),
        ("Field { name: \"api_key\", value: \"abc123\" }", "abc123", "Field"),
        ("Key (api_key)=(abc123) already exists", "abc123", "already exists"),
        ("password=a)bc123 n=1", "bc123", "n=1"),
        ("password=a\"bc123 n=1", "bc123", "n=1"),
        ("password=it's123 n=1", "s123", "n=1"),
        ("passphrase=correct horse battery\nn=1", "battery", "n=1"),
        ("<password>abc123</password><n>1</n>", "abc123", "<n>1</n>"),
        ("name=\"password\"\r\n\r\nabc123\r\n--x", "abc123", "--x"),
        ("sent Digest username=\"me\", response=\"6629fae4\" to", "6629fae4", "username to"),
        ("Key (tenant, token)=(4, abc123) already exists", "abc123", "tenant already exists"),
        ("Key (token, tenant)=(abc123, 4) already exists", "abc123", "tenant already exists"),
        ("password: 'it''s9x' n", "s9x", "n"),
        ("{\"\"token\"\":\"\"abc123x9\"\",\"\"n\"\":1}", "abc123x9", "n"),
        ("password: !!str hunter2 n", "hunter2", "!!str n"),
        ("id,password,name\n4,hunter2,me\n5,hunter3,you\n", "hunter", "me you"),
    ]);
    keeps(&[
        "INSERT INTO \"tokens\" (\"secret\", \"user_id\") VALUES ($1, $2)",
        "ON CONFLICT (\"token\", \"user_id\") DO NOTHING",
        "token_type=Bearer auth_method=oauth2",
        "expected -----BEGIN PRIVATE KEY----- but got nothing",
    ]);
}

#[test]
fn percent_encoded_pairs_are_hidden_and_keep_their_form() {
    hides(&[
        ("state=page%3D2%26token%3Dabc123 n", "abc123", "page%3D2%26token%3D n"),
        ("next=https%3A%2F%2Fme%3Aabc123%40host%2Fx n", "abc123", "host%2Fx n"),
        ("sent Bearer%20abc123def to", "abc123def", "sent to"),
        ("twice %2526token%253Dabc123 n", "abc123", "n"),
        ("%7B%22api_key%22%3A%22abc123%22%7D n", "abc123", "n"),
    ]);
    keeps(&["next=https%3A%2F%2Fshop.example%2Fa%3Fpage%3D2", "100 % of it", "50%off"]);
}

#[test]
fn command_lines_and_statements_lose_their_secrets() {
    hides(&[
        ("tool --password abc123 --verbose", "abc123", "--verbose"),
        ("mysql -uroot -pabc123 shop", "abc123", "-uroot shop"),
        ("mysql -uroot -p'abc123' shop", "abc123", "-uroot shop"),
        ("snmpwalk -v2c -c abc123x9 host", "abc123x9", "-v2c host"),
        ("curl -u me:abc123 https://x", "abc123", "-u me https://x"),
        ("docker login -p abc123 host", "abc123", "host"),
        ("redis-cli -h x -a abc123 ping", "abc123", "ping"),
        ("sqlcmd -U sa -P abc123", "abc123", "sqlcmd"),
        ("openssl -passin pass:abc123 -in x", "abc123", "-in"),
        ("args: [\"--token\", \"abc123\", \"-v\"]", "abc123", "-v"),
        ("AUTH abc123", "abc123", "AUTH"),
        ("AUTH default abc123", "abc123", "default"),
        ("ACL SETUSER app on >abc123 ~*", "abc123", "~*"),
        ("CREATE USER app IDENTIFIED BY 'abc123' n", "abc123", "app n"),
        ("INSERT INTO t (a, b) VALUES ('abc123', 'def456') n", "abc123", "INSERT n"),
        ("INSERT INTO t (a, b) VALUES ('abc123', 'def456') n", "def456", "INSERT n"),
    ]);
    keeps(&[
        "mkdir -p /var/lib",
        "ssh -p 2222 host",
        "docker run -p 8080:80 x",
        "tool --password-file /run/x",
        "login --password --user me",
    ]);
}

#[test]
fn addresses_lose_their_passwords_with_and_without_a_scheme() {
    hides(&[
        ("postgres://app:ab/c1@db:5432/shop x", "c1@", "db:5432/shop x"),
        ("postgres://app:ab#c1@db:5432/shop x", "c1@", "db:5432/shop x"),
        ("postgres://app:ab@c1@db:5432/shop x", "c1@", "db:5432/shop x"),
        ("postgres://app:ab:c1@db:5432/shop x", "c1@", "db:5432/shop x"),
        ("app:abc123@localhost x", "abc123", "localhost x"),
        ("//app:abc123@db/shop x", "abc123", "db/shop x"),
        ("app:abc123@tcp(db:3306)/shop x", "abc123", "db:3306 x"),
        ("jdbc:oracle:thin:scott/abc123@db:1521/XE x", "abc123", "scott db:1521/XE x"),
        ("https://abc123def@code.example/x", "abc123def", "code.example/x"),
    ]);
    keeps(&[
        "mail user:jane@example.org",
        "git@github.com:acme/x.git",
        "ssh://git@code.example/x",
        "app:v1.2@sha256:ab",
        "lodash@4.17.1",
        "https://x.example/@jane",
    ]);
}

#[test]
fn sentences_and_codes_lose_their_secrets() {
    hides(&[
        ("the password is abc123, sorry", "abc123", "password sorry"),
        ("with password 'swordfish' refused", "swordfish", "refused"),
        ("Incorrect API key provided: abc123def", "abc123def", "Incorrect"),
        ("your verification code is 123456, bye", "123456", "bye"),
        ("123456 is your login code, bye", "123456", "bye"),
        ("OTP 123456 bye", "123456", "bye"),
        ("PIN 4711 bye", "4711", "bye"),
        ("Your code: 482-913 bye", "482-913", "bye"),
        ("MFA token 482913 bye", "482913", "bye"),
        ("482-913 is your login code, bye", "482-913", "bye"),
    ]);
    keeps(&[
        "exit code 137",
        "error code: 23505",
        "status code 404",
        "postal code 10115",
        "the password must be long",
        "invalid token: connection refused",
        "token expired at 10:00",
        "pin 7 is high",
        "password is too weak",
        "no bearer token provided",
    ]);
}

#[test]
fn tokens_in_paths_are_hidden_and_ids_stay() {
    hides(&[
        ("GET /reset/a1B2c3D4e5F6 now", "a1B2c3D4e5F6", "/reset/ now"),
        ("https://x.example/invite/9f8e7d6c5b4a3f2e/finish", "9f8e7d6c", "/finish"),
        ("/list;jsessionid=A1B2C3D4/x", "A1B2C3D4", "/list"),
        ("/s/a1B2c3D4e5F6 now", "a1B2c3D4", "/s/ now"),
        ("/accept-invite/a1B2c3D4e5F6 now", "a1B2c3D4", "/accept-invite/ now"),
        ("/otp/482913 now", "482913", "/otp/ now"),
    ]);
    keeps(&[
        "/reset/password",
        "/orders/0b7f7a0e-8f0e-4a53-9d1c-0d6a3f1f9a11",
        "/tokens/refresh",
        "/invite/friends",
        "/share/a-long-slug-about-baskets",
    ]);
}

#[test]
fn numbers_are_hidden_by_their_check_digits() {
    hides(&[
        ("to DE89370400440532013000 now", "0532013000", "to now"),
        ("to DE89 3704 0044 0532 0130 00 now", "0532", "to now"),
        ("ssn of 123-45-6789 now", "123-45-6789", "now"),
        ("card 4111.1111.1111.1111 now", "1111", "card now"),
        ("card 6362970000457013 now", "6362970000457013", "card now"),
    ]);
    keeps(&[
        "DE00370400440532013000",
        "000-45-6789",
        "666-45-6789",
        "123-00-6789",
        "imei 356938035643809",
        "0.4111111111111111",
        "2026-11-20",
    ]);
}

#[test]
fn words_that_say_that_there_is_no_secret_stay() {
    keeps(&[
        "password_reset=true secret_version=3 api_key=None token_count=12",
        "key=user:17:profile key=basket key=shop:cart:0b7f7a0e-8f0e-4a53-9d1c-0d6a3f1f9a11",
        "WHERE token = $1 AND password = ? AND pin = :pin",
        "password=%s token=%(token)s key={{ key }} secret=${SECRET}",
        "auth=oidc session=expired token_type=bearer",
        "struct Login { password: String, token: Option<String> }",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 differs",
        "pulled app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "shop@1.0.0+9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1",
        "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJGPV0g5G/AK11m6BB83oTBUTg7qg7o2VMB+qSZZFzTX me",
    ]);
}

#[test]
fn names_of_the_program_keep_what_tells_them_apart() {
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let redactor = Redactor::new(Arc::default(), false);
    for (text, reading) in [
        (format!("shop {digest}"), Reading::Name),
        (format!("shop-{digest}"), Reading::Identifier),
        ("load::token=3a".repeat(9), Reading::Identifier),
    ] {
        assert!(find(&redactor, &text, reading).secrets.is_empty(), "{text}");
    }
    for reading in [Reading::Name, Reading::Identifier] {
        assert_eq!(find(&redactor, "GET ghp_0123456789abcdefghij0123456789abcdef", reading).secrets.len(), 1);
        assert_eq!(find(&redactor, "GET https://me:pw1@host", reading).secrets.len(), 1);
    }
}

#[test]
fn a_text_that_makes_the_rules_read_ahead_again_and_again_is_hidden() {
    // A value that is not secret, and that ends only at the end of the text.
    let hostile = "key=a!".repeat(20_000);
    let harmless = "page=2 key=basket ".repeat(10_000);

    assert!(clean(&hostile).ends_with("[Filtered]"));
    assert_eq!(clean(&harmless), harmless);
}

#[test]
fn rules_of_the_user_apply_in_texts() {
    let rules = Redactor::new(Arc::new(Redaction::default().field("ticket")), false);
    assert_eq!(scrub(&rules, "ticket=plain and ticket_no: 7"), "ticket=[Filtered] and ticket_no: [Filtered]");
}

#[test]
fn a_label_before_an_address_is_not_a_user() {
    for text in ["user:jane9@example.org", "contact cc:jane9@mail.example.org today"] {
        assert_eq!(clean(text), text);
    }
    assert_eq!(clean("admin1:jane9@example.org"), "admin1:[Filtered]@example.org");
}

#[test]
fn a_value_that_a_message_reports_is_hidden_by_the_name_beside_it() {
    hides(&[
        ("error: invalid value 'Gate1!way' for '--db-password <PW>': too short", "Gate1!way", "error too short"),
        ("Duplicate entry 'x9Kd72hQpL' for key 'sessions.session_token'", "x9Kd72hQpL", "Duplicate entry"),
        ("invalid type: string \"p5#Jysek\", expected u16 for key `database.password`", "p5#Jysek", "expected u16"),
        ("Received `b30yTKuGQT6Wm29Hqm` for prop `authToken` of type", "b30yTKuGQT6Wm29Hqm", "Received prop of type"),
        ("{\"loc\":[\"body\",\"password\"],\"msg\":\"too short\",\"input\":\"zPKlfub\"}", "zPKlfub", "too short"),
        ("password mismatch\n left: \"x9Kd72!\"\n right: \"b\"", "x9Kd72!", "mismatch left right"),
        ("mysqli_connect('localhost', 'wordpress', 'Import1339!', 'blog')", "Import1339!", "localhost wordpress blog"),
        ("remote('node2:9000', 'db', 'a1B2c3D4e5', 'x')", "a1B2c3D4e5", "node2 db"),
        ("wrong credentials (jane / 5D3UwyWQ)", "5D3UwyWQ", "wrong credentials jane"),
        ("%B5141035824252055^DOE^27 was swiped", "5141035824252055", "DOE was swiped"),
        ("<dt>Password</dt><dd>Wor7kerg</dd><dt>Region</dt>", "Wor7kerg", "<dt>Password</dt> <dt>Region</dt>"),
        ("&lt;Password&gt;rep7ort&lt;/Password&gt; &lt;Zone&gt;north&lt;/Zone&gt;", "rep7ort", "Password north"),
        ("'x9Kd72hQpLa81' not a valid key=value pair in Authorization header", "x9Kd72hQpLa81", "not a valid"),
    ]);
    keeps(&[
        "invalid value 'x9Kd72hQpL' for '--colour'",
        "Duplicate entry 'x9Kd72hQpL' for key 'orders.number'",
        "left: \"a1b2c3\" right: \"a1b2c4\"",
        "connect('db', 5432, 'utf8')",
        "GET /users/074e831e-113a-4370-a664-e7ef585b1ceb/orders/ee6e2fcf-e3b3-4495-a54c-5a4f534442f1 200 31ms",
    ]);
}

#[test]
fn tables_lose_the_column_or_the_row_of_a_secret() {
    hides(&[
        ("| Name | Password |\n|------|----------|\n| bob | XgDwrxi |", "XgDwrxi", "Name Password bob"),
        ("USER\tPASSWORD\tROLE\nbob\tsword fish\tadmin", "sword fish", "USER PASSWORD ROLE bob admin"),
        ("user | bob\npassword | Nd9wHBm\nrole | admin", "Nd9wHBm", "user bob role admin"),
        ("COPY users (id, email, password) FROM stdin;\n4\tb@x\txeY1DiK8\n\\.", "xeY1DiK8", "COPY users email 4"),
        (".shop.example\tTRUE\t/\tTRUE\t1749650400\tuser_session\te0Fvk9Nl", "e0Fvk9Nl", ".shop.example user_session"),
    ]);
    keeps(&["| Name | Password |\n|---|---|\n| length | required |", "password\tuser\trole", "id\tname\n4\tx9Kd72hQpL"]);
}

#[test]
fn passwords_in_sentences_of_other_languages_are_hidden() {
    hides(&[
        ("The password for the staging database is Har7bor, change it", "Har7bor", "staging database change"),
        ("Das Passwort für den Testserver lautet In7voice, bitte", "In7voice", "Testserver lautet bitte"),
        ("Le mot de passe du serveur est xz7T42, merci", "xz7T42", "serveur merci"),
        ("La contraseña de administrador es Imp7ort hasta", "Imp7ort", "administrador hasta"),
        ("A senha do banco de dados é work37, não", "work37", "banco dados"),
        ("Hasło do serwera to JVwl1l3, proszę", "JVwl1l3", "serwera"),
        ("Пароль от сервера: Cat7log, никому", "Cat7log", "никому"),
        ("Votre code de vérification est 795681.", "795681", "Votre code"),
        ("Dein Einmalcode ist 788491 und", "788491", "Einmalcode und"),
    ]);
    keeps(&[
        "The password for the staging database is required",
        "Le mot de passe est trop court",
        "it has 2 items",
        "code de statut est 404",
    ]);
}

#[test]
fn values_that_only_their_place_names_are_hidden() {
    hides(&[
        ("DETAIL:  Failing row contains (4, bob, hunter2, 2024-01-01).", "hunter2", "DETAIL: Failing row"),
        ("Failing row contains (4, a)b, hunter2, null).\nCONTEXT: x", "hunter2", "CONTEXT: x"),
        ("Failing row contains (4, hunter2", "hunter2", "contains"),
        ("ftp> user bob hunter2", "hunter2", "ftp> user bob"),
        ("net use Z: \\\\files\\share hunter2 /user:WORK\\bob", "hunter2", "net use Z: /user:WORK"),
        ("net use \\\\files\\share hunter2", "hunter2", "net use"),
        ("net user bob hunter2 /add", "hunter2", "net user bob /add"),
    ]);
    keeps(&[
        "each row contains (4, bob)",
        "net use Z: \\\\files\\share /user:WORK\\bob",
        "net use Z: \\\\files\\share *",
        "net user bob /delete",
        "the user bob wrote",
        "we use it",
    ]);
}
