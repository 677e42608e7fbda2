//! Decides how likely a value is a secret, from its name.
//!
//! Case, `-`, `_`, `.` and camel case do not matter, except in the closed list of
//! `is_credential_header`: values that are not even copied from the request.

use super::name_words::{WordSet, cut, is_listed_word, squash, words};
use crate::fork::Lazy;

/// How likely a name means a secret. The value decides as well: see `value_class`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// The name does not mean a secret.
    Harmless,
    /// Secret if the value is long and random: `storage_key`, `token_type`.
    IfRandom,
    /// Secret unless the value is words or a small number: a name that contains one of Sentry's words.
    IfOpaque,
    /// Secret unless the value shows that there is no secret: `token`, `session`.
    Likely,
    /// Like `Likely`, even in prose: `password`.
    Sure,
}

/// Whether the header's whole value is a credential; such a value is not even copied.
pub(crate) fn is_credential_header(name: &str) -> bool {
    // The length comes first: this runs for each header of each request.
    match name.len() {
        5 => name == "token",
        7 => name == "api-key",
        9 => name == "x-api-key",
        10 => name == "set-cookie",
        12 => matches!(name, "x-csrf-token" | "x-auth-token" | "x-xsrf-token"),
        13 => name == "authorization",
        14 => name == "x-access-token",
        15 => name == "x-authorization",
        19 => name == "proxy-authorization",
        20 => name == "x-amz-security-token",
        _ => false,
    }
}

/// Sentry's words for headers, cookies and queries: a name that contains one is secret.
const SPECIFIED: [&str; 16] = [
    "auth",
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "key",
    "jwt",
    "bearer",
    "sso",
    "saml",
    "csrf",
    "xsrf",
    "credentials",
    "session",
    "identity",
];

/// The same for cookies alone.
const COOKIES: [&str; 10] = ["sessid", "remember", "oidc", "pkce", "nonce", "__secure", "__host", "mfa", "2fa", "sess"];

/// Words that make a name secret even as a part of a longer word; compared without separators.
const CONTAINED: &str = "password passwd passphrase passcode passwort kennwort contraseña contrasena motdepasse wachtwoord \
    passord lösenord losenord adgangskode salasana jelszó hasło haslo heslo parola şifre sifremi wachtzin пароль Пароль ПАРОЛЬ 密码 密碼 口令 パスワード \
    暗証番号 비밀번호 mậtkhẩu katasandi סיסמה storepass keypass \
    secret apikey accesskey privatekey signingkey encryptionkey masterkey secretkey sharedkey accountkey appkey applicationkey \
    sshkey credential authorization authtoken accesstoken refreshtoken idtoken csrf xsrf phpsessid sessid sessionid sessiontoken \
    cardnumber creditcard cardno ccnum ccnumber securitycode mysqlpwd pgpass setcookie verificationcode onetimecode onetimepass smscode mfacode \
    usercode devicecode authcode accesscode invitecode logincode resetcode otpcode twofactorcode 2facode recoverycode backupcode pincode socialsecurity accountnumber routingnumber passportnumber \
    nationalid taxid driverslicense driverlicense bankaccount samlart securityanswer licensekey licencekey seedphrase recoveryphrase mnemonic connectionstring sastoken webhookurl";

/// Words that make a name secret as a separate word: `user_token`, `dbPwd`, but not `tokenizer`.
const WORDS: &str = "token tokens pwd auth jwt bearer cookie cookies session sid otp totp hotp cvv cvc cvv2 cvc2 pin ssn saml \
    iban salt pepper authenticity signature sig hmac senha pass pw assertion verifier oauth mfa psk clave contrasenya ssid hsid apisid sapisid";

/// Words that make a name secret only as its last word: `pass_rate` and `signature_algorithm` are not.
const LAST: &str = "pass pw assertion verifier mfa oauth signature";

/// Words that mean less if another word follows: `sessionAffinity`, `token_cache_hit_ratio`.
const SOFT: &str = "session token tokens auth cookie cookies salt";

/// Under these names, numbers with three digits or more are secret.
const NUMERIC: &str = "pin otp totp hotp cvv cvc cvv2 cvc2 ssn passcode pincode";

/// A name that ends with one of these is about a secret, but its value is not secret: `token_count`.
const ABOUT: &str = "ref refs count counts length len type types kind expires expiry expired expiration limit limits size duration age status state method \
    methods version versions name names policy provider providers engine algorithm alg endpoint issuer store storage scheme domain field fields \
    attempts attempt retries level index present enabled disabled required valid validity at in time date created updated rotated started \
    reset issued ttl ms seconds days hours minutes strength hint format source model url uri path file filename dir host port found \
    affinity timeout latency ratio cache stdin consent evicted used authenticated changed change algorithms page second rate prefix mode manager service backend location region \
    rotation usage header headers parameter param column table label title locked checks failures errors error message reason \
    role roles group groups scope scopes";

/// The same for a name that begins with one of these: `max_tokens`, `has_password`.
const ASIDE: &str = "has is use uses using max min num number total prompt completion requires require needs allow allows enable remember last next \
    public publishable no without forgot reset show hide stop eos bos pad unk mask";

/// Words before `key` that make it the key of a table or a cache, and not a secret.
const NO_KEYS: &str = "public publishable primary foreign sort partition routing translation object cache lookup dedup group unique message \
    config hot press pub";

/// Words that contain the name of a secret by chance.
const ALIKE: &str = "secretar secretion secretsmanager secretmanager passwordless credentialed csrfexempt pgpassfile passwordfile";

static CONTAINED_SET: Lazy<WordSet> = Lazy::new(|| WordSet::new(CONTAINED.split_whitespace()));
static ALIKE_SET: Lazy<WordSet> = Lazy::new(|| WordSet::new(ALIKE.split_whitespace()));
static HEADERS_SET: Lazy<WordSet> = Lazy::new(|| WordSet::new(SPECIFIED.iter().chain(&["cookie", "signature", "hmac", "oidc"]).copied()));
static COOKIES_SET: Lazy<WordSet> = Lazy::new(|| WordSet::new(COOKIES));

/// The level of a field's name: span fields, tags, contexts, breadcrumbs, JSON, pairs in texts.
pub(super) fn of_field(name: &str) -> Level {
    let name = cut(name);
    // Such a header says how to authenticate, or pins a public key.
    if name.len() >= 10 {
        let lower = name.to_ascii_lowercase();
        if lower.ends_with("-authenticate") || lower.starts_with("pin-sha256") {
            return Level::Harmless;
        }
    }
    let mut count = 0;
    let (mut first, mut before, mut last) = ("", "", "");
    let (mut has_word, mut has_signature) = (false, false);
    for word in words(name) {
        if count == 0 {
            first = word;
        }
        before = last;
        last = word;
        has_word |= is_listed_word(WORDS, word) && !is_listed_word(LAST, word);
        has_signature |= word.eq_ignore_ascii_case("signature");
        count += 1;
    }
    let is_sure = CONTAINED_SET.are_in(name) && !is_only_alike(name) || (is_listed_word("pass pw", last));
    let is_likely = has_word || is_listed_word(LAST, last);
    let is_key = last.eq_ignore_ascii_case("key") || last.eq_ignore_ascii_case("keys");
    if is_key && is_listed_word(NO_KEYS, before) {
        return Level::Harmless;
    }
    if !is_sure && !is_likely {
        return if is_key || has_signature || is_listed_word("nonce cred creds mac ticket", last) {
            Level::IfRandom
        } else {
            Level::Harmless
        };
    }
    let is_soft = count > 1
        && is_listed_word(SOFT, first)
        && !is_listed_word(WORDS, last)
        && !is_listed_word("id key value string header data", last);
    // `reset_token` and `remember_token` are tokens, but `reset_password` is an action.
    let is_of_reset = count > 1 && is_listed_word("reset remember forgot", first) && is_listed_word("token code key secret otp pin", last);
    let is_about = count > 1 && !is_of_reset && (is_listed_word(ABOUT, last) || is_listed_word(ASIDE, first));
    // `x-token-id` names one; `session_id` and `access_key_id` are one.
    let is_id = last.eq_ignore_ascii_case("id") && !is_sure && !name.to_ascii_lowercase().contains("session");
    match (is_about || is_id, is_sure) {
        (true, _) => Level::IfRandom,
        (false, true) => Level::Sure,
        (false, false) if is_soft => Level::IfOpaque,
        (false, false) => Level::Likely,
    }
}

/// Whether a header's name is that of a key that is not secret: `cache-key`.
fn is_public_key(name: &str) -> bool {
    let mut before = "";
    let mut last = "";
    for word in words(name) {
        before = std::mem::replace(&mut last, word);
    }
    last.eq_ignore_ascii_case("key") && is_listed_word(NO_KEYS, before)
}

/// Whether a name contains a word of the list by chance: `secretary`.
fn is_only_alike(name: &str) -> bool {
    ALIKE_SET.are_in(name)
}

/// The level of a header's name.
pub(super) fn of_header(name: &str) -> Level {
    if is_credential_header(name) {
        return Level::Sure;
    }
    let field = of_field(name);
    if field >= Level::IfOpaque || name.ends_with("-authenticate") || is_public_key(name) {
        return field;
    }
    if HEADERS_SET.are_in(name) || words(name).any(|word| word.eq_ignore_ascii_case("sid")) { Level::IfOpaque } else { field }
}

/// The level of the name of a parameter in a query or a form.
pub(super) fn of_parameter(name: &str) -> Level {
    if ["code", "sign", "signed", "sig", "s", "assertion", "ticket"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return if name.len() > 1 { Level::Likely } else { Level::IfRandom };
    }
    match of_header(name) {
        Level::Harmless if is_listed_word("appid state md5 relaystate", name) => Level::IfRandom,
        Level::Harmless
            if words(name).any(|word| is_listed_word("hmac signature credential policy hash code nonce verifier ticket invite invitation magic confirm confirmation reset verify activation unsubscribe", word)) =>
        {
            Level::IfRandom
        }
        level => level,
    }
}

/// The level of a cookie's name.
pub(super) fn of_cookie(name: &str) -> Level {
    let level = of_header(name).max(of_parameter(name));
    let is_prefixed = name.starts_with("__Host-") || name.starts_with("__Secure-");
    if level >= Level::IfOpaque || !(COOKIES_SET.are_in(name) || is_prefixed) { level } else { Level::IfOpaque }
}

/// Names of cookies that identify a person.
const PERSONAL_COOKIES: &str = "user uid userid username email mail visitor customer account person name login id guid cid client device ga gid fbp fbc gcl amplitude mixpanel ajs";

/// Whether a cookie identifies a person: the names of analytics and login cookies show that.
pub(super) fn is_personal_cookie(name: &str) -> bool {
    words(name).any(|word| is_listed_word(PERSONAL_COOKIES, word))
}

/// Whether a field's name makes numbers of three digits secret.
pub(super) fn is_numeric(name: &str) -> bool {
    words(name).last().is_some_and(|last| is_listed_word(NUMERIC, last)) || of_field(name) == Level::Sure
}

/// Whether the secret word of the name is a plural: then a number is a count.
pub(super) fn is_plural(name: &str) -> bool {
    words(name).last().is_some_and(|last| last.len() > 3 && last.ends_with('s') && !last.ends_with("ss"))
}

/// Whether the value of a field is a digest of something: `sha256`, `contentHash`.
pub(super) fn is_of_digest(name: &str) -> bool {
    const DIGESTS: &str = "hash sha sha1 sha256 sha384 sha512 md5 digest checksum etag integrity fingerprint revision commit blake3";
    words(name).last().is_some_and(|last| is_listed_word(DIGESTS, last))
}

/// Whether the value of a field is itself the name of the field beside it: `{"name": "password", "value": "…"}`.
pub(super) fn names_a_name(name: &str) -> bool {
    ["name", "key", "field", "header", "param", "variable", "path", "loc", "prop", "property", "type"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a field reports a value whose name is elsewhere: `{"loc": ["password"], "input": "…"}`.
pub(super) fn reports_a_value(name: &str) -> bool {
    const REPORTS: [&str; 17] = [
        "value",
        "input",
        "input_value",
        "rejectedvalue",
        "rejected_value",
        "left",
        "right",
        "expected",
        "actual",
        "got",
        "found",
        "login",
        "credentials",
        "auth",
        "id",
        "args",
        "params",
    ];
    // Called for each pair with a harmless name, so the length comes first.
    name.len() <= 14 && REPORTS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a field holds the value of the name beside it.
pub(super) fn names_a_value(name: &str) -> bool {
    const VALUES: [&str; 13] = [
        "value",
        "val",
        "input",
        "rejectedvalue",
        "old",
        "new",
        "old_value",
        "new_value",
        "oldvalue",
        "newvalue",
        "before",
        "after",
        "previous",
    ];
    VALUES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether the name contains one of the user's names, which are squashed already.
pub(super) fn is_listed(name: &str, listed: &[String]) -> bool {
    !listed.is_empty() && {
        let name = squash(cut(name));
        listed.iter().any(|own| !own.is_empty() && name.contains(own.as_str()))
    }
}

#[cfg(test)]
mod tests;
