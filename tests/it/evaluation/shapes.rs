//! Secrets that their form gives away, whatever is around them.

use serde_json::json;

use super::case::{Case, Kind, Place, prose};
use super::random::{Random, encoded, percent};

pub const KINDS: &[Kind] = &[
    Kind { name: "shape: JWT", make: jwt },
    Kind { name: "shape: other tokens with parts", make: parted },
    Kind { name: "shape: long tokens", make: long },
    Kind { name: "shape: private key in a text", make: private_key },
    Kind { name: "shape: private key under a name", make: named_key },
    Kind { name: "shape: private key, escaped", make: escaped_key },
    Kind { name: "shape: Bearer and Basic", make: schemes },
    Kind { name: "shape: schemes with parameters", make: parameters },
    Kind { name: "shape: card in a text", make: card },
    Kind { name: "shape: card as a number", make: card_number },
    Kind { name: "shape: IBAN in a text", make: iban },
    Kind { name: "shape: US SSN in a text", make: ssn },
    Kind { name: "shape: one-time codes", make: code },
    Kind { name: "path: after a word", make: path_word },
    Kind { name: "path: by shape", make: path_shape },
    Kind { name: "path: matrix parameters", make: path_matrix },
    Kind { name: "path: in a text", make: path_text },
    Kind { name: "span name", make: span_name },
    Kind { name: "field cut at its limit", make: cut_field },
];

fn jwt(random: &mut Random) -> Case {
    let header =
        encoded(&format!("{{\"alg\":\"{}\",\"typ\":\"JWT\"}}", random.pick(&["HS256", "RS256", "ES384", "none"]))).replace('=', "");
    let claims = encoded(&format!("{{\"sub\":\"{}\",\"iat\":{}}}", random.digits(9), random.digits(10)))
        .replace('=', "")
        .replace('/', "_")
        .replace('+', "-");
    let token = format!("{header}.{claims}.{}", random.base64url(43));
    let text = match random.below(6) {
        0 => format!("rejected {token}: expired yesterday"),
        1 => format!("rejected \"{token}\" yesterday"),
        2 => format!("rejected jwt={token};yesterday"),
        3 => format!("rejected ({token}) yesterday"),
        4 => format!("rejected Jwt {{ raw: \"{token}\" }} yesterday"),
        _ => format!("rejected\n{token}\nyesterday"),
    };
    prose(random, text, "rejected yesterday").hides(token)
}

fn parted(random: &mut Random) -> Case {
    let token = match random.below(7) {
        0 => format!("v2.local.{}", random.base64url(96)),
        1 => format!("v4.public.{}", random.base64url(100)),
        2 => format!(
            "eyJhbGciOiJSU0EtT0FFUCJ9.{}.{}.{}.{}",
            random.base64url(40),
            random.base64url(16),
            random.base64url(30),
            random.base64url(22)
        ),
        3 => format!("SG.{}.{}", random.base64url(22), random.base64url(43)),
        4 => format!("{}.{}.{}", random.base64url(26).replace('-', "x"), random.base64url(6), random.base64url(38)),
        5 => format!("ya29.{}", random.base64url(68)),
        _ => format!("hvs.{}", random.base64url(92)),
    };
    let text = format!("upstream refused {token} twice");
    prose(random, text, "upstream refused twice").hides(token)
}

fn long(random: &mut Random) -> Case {
    let token = match random.below(4) {
        0 => random.alnum(72),
        1 => random.base64url(86),
        2 => random.base64(120),
        _ => format!("{}==", random.base64(86)),
    };
    let text = match random.below(3) {
        0 => format!("stored {token} in vault"),
        1 => format!("stored value={token} in vault"),
        _ => format!("stored [{token}] in vault"),
    };
    prose(random, text, "stored vault").hides(token)
}

/// A private key, and a line of it.
fn pem(random: &mut Random) -> (String, String) {
    let label = random.pick(&[
        "RSA PRIVATE KEY",
        "PRIVATE KEY",
        "EC PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "DSA PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ]);
    let lines: Vec<String> = (0..random.between(2, 6)).map(|_| random.base64(64)).collect();
    let line = lines.last().unwrap().clone();
    let comment = if label.starts_with("PGP") { "Version: GnuPG v2\n\n" } else { "" };
    (format!("-----BEGIN {label}-----\n{comment}{}\n-----END {label}-----", lines.join("\n")), line)
}

fn private_key(random: &mut Random) -> Case {
    let (key, line) = pem(random);
    let text = match random.below(5) {
        0 => format!("loaded key:\n{key}\nfrom disk"),
        1 => format!("loaded {key} from disk"),
        2 => format!("loaded `{key}` from disk"),
        // Without its end.
        3 => format!("disk loaded from {}", &key[..key.len() - 30]),
        _ => format!("loaded key [{key}] from disk"),
    };
    prose(random, text, "loaded from disk").hides(line)
}

fn named_key(random: &mut Random) -> Case {
    let (key, line) = pem(random);
    let name = random.pick(&["TLS_PRIVATE_KEY", "secret", "key", "private_key", "pem", "cert_bundle", "tls.key"]);
    let text = match random.below(5) {
        0 => format!("started {name}={key}\nPORT=8080"),
        1 => format!("started {name}: {key}\nPORT=8080"),
        2 => format!("started {name} = \"{key}\"\nPORT=8080"),
        3 => format!("started Authorization: Bearer {key}\nPORT=8080"),
        _ => format!("started {name}: |\n{key}\nPORT=8080"),
    };
    prose(random, text, "started PORT=8080").hides(line)
}

fn escaped_key(random: &mut Random) -> Case {
    let (key, line) = pem(random);
    let key = key.replace('\n', "\\n");
    let text = match random.below(3) {
        0 => format!("{{\"type\":\"service-account\",\"private_key\":\"{key}\",\"client\":\"gold-plan\"}}"),
        1 => format!("Config {{ kind: service-account, pem: \"{key}\", client: gold-plan }}"),
        _ => format!("service-account GOOGLE_KEY='{key}' gold-plan"),
    };
    prose(random, text, "service-account gold-plan").hides(line)
}

fn schemes(random: &mut Random) -> Case {
    let (user, password) = (random.person(), random.plain_password());
    let basic = encoded(&format!("{user}:{password}"));
    let token = random.token();
    let (text, secret) = match random.below(8) {
        0 => (format!("sent Bearer {token} to upstream"), token),
        1 => (format!("sent Basic {basic} to upstream"), basic),
        2 => (format!("sent bearer {token} to upstream"), token),
        3 => (format!("sent Authorization: Basic {basic}\r\nHost: upstream"), basic),
        4 => (format!("sent Bearer%20{token} to upstream"), token),
        5 => (format!("sent authorization=Bearer {token} to upstream"), token),
        6 => (format!("sent {{\"authorization\": \"Bearer {token}\"}} to upstream"), token),
        _ => (format!("sent \"BEARER {token}\" to upstream"), token),
    };
    prose(random, text, "sent upstream").hides(secret)
}

fn parameters(random: &mut Random) -> Case {
    let secret = random.token();
    let text = match random.below(9) {
        0 => format!("sent Authorization: Token token=\"{secret}\"\nHost: upstream"),
        1 => format!("sent Authorization: Digest username=\"jane\", realm=\"shop\", nonce=\"a1\", response=\"{secret}\"\nHost: upstream"),
        2 => format!("sent Authorization: OAuth oauth_consumer_key=\"{secret}\", oauth_signature=\"{secret}%3D\"\nHost: upstream"),
        3 => format!(
            "sent AWS4-HMAC-SHA256 Credential=AKIA{}/20261120/eu/s3/aws4_request, SignedHeaders=host, Signature={secret} to upstream",
            random.upper(16)
        ),
        4 => format!("sent Authorization: GenieKey {secret}\nHost: upstream"),
        5 => format!("sent Hawk id=\"dh37\", ts=\"1353832234\", nonce=\"j4h3g2\", mac=\"{secret}\" to upstream"),
        6 => format!("sent SharedAccessSignature sr=hub&sig={secret}&se=1700000000 to upstream"),
        7 => format!("sent Token token={secret} to upstream"),
        _ => format!("sent authorization: Negotiate {secret}\nHost: upstream"),
    };
    prose(random, text, "sent upstream").hides(secret)
}

fn spaced(card: &str, sign: &str) -> String {
    let groups: &[usize] = if card.len() == 15 { &[4, 6, 5] } else { &[4, 4, 4, 4] };
    let mut rest = card;
    let mut out = Vec::new();
    for len in groups {
        let (group, after) = rest.split_at((*len).min(rest.len()));
        out.push(group);
        rest = after;
    }
    out.join(sign)
}

fn card(random: &mut Random) -> Case {
    let card = random.card();
    let sign = random.pick(&["", " ", "-"]);
    let shown = spaced(&card, sign);
    let text = match random.below(5) {
        0 => format!("charged {shown} twice"),
        1 => format!("charged card={shown}, twice"),
        2 => format!("charged (\"{shown}\") twice"),
        3 => format!("charged PAN:{shown} exp 12/29 twice"),
        _ => format!("charged {shown}: declined twice"),
    };
    prose(random, text, "charged twice").hides(shown)
}

fn card_number(random: &mut Random) -> Case {
    let card = random.card();
    let name = random.pick(&["value", "source", "amount_from", "ref", "data"]);
    let value = json!({ "plan": "gold-plan", name: card.parse::<u64>().unwrap() });
    let place = [Place::Json, Place::Extra, Place::Attachment][random.below(3)];
    Case::new(place, name, value).hides(card).keeps("gold-plan")
}

fn iban(random: &mut Random) -> Case {
    let iban = random.iban();
    let spaced = iban.as_bytes().chunks(4).map(|four| std::str::from_utf8(four).unwrap()).collect::<Vec<_>>().join(" ");
    let shown = if random.below(2) == 0 { iban } else { spaced };
    let text = match random.below(3) {
        0 => format!("transfer to {shown} was refused"),
        1 => format!("transfer to account={shown}; was refused"),
        _ => format!("transfer to \"{shown}\" was refused"),
    };
    prose(random, text, "transfer refused").hides(shown)
}

fn ssn(random: &mut Random) -> Case {
    let ssn = random.ssn();
    let text = match random.below(3) {
        0 => format!("applicant {ssn} was refused"),
        1 => format!("applicant SSN {ssn}, was refused"),
        _ => format!("applicant ssn={ssn} was refused"),
    };
    prose(random, text, "applicant refused").hides(ssn)
}

fn code(random: &mut Random) -> Case {
    let code = random.of("123456789", 6);
    let text = match random.below(9) {
        0 => format!("sms sent: your verification code is {code}, valid shortly"),
        1 => format!("sms sent: OTP {code} valid shortly"),
        2 => format!("sms sent: {code} is your login code, valid shortly"),
        3 => format!("sms sent: one-time password: {code} valid shortly"),
        4 => format!("sms sent with PIN {code} valid shortly"),
        5 => format!("sms sent otp={code} valid shortly"),
        6 => format!("sms sent: 2FA code {code} valid shortly"),
        7 => format!("sms sent: security code: {code} valid shortly"),
        _ => format!("sms sent: passcode {code} valid shortly"),
    };
    prose(random, text, "sms sent shortly").hides(code)
}

fn path_word(random: &mut Random) -> Case {
    let word = random.pick(&[
        "reset",
        "confirm",
        "verify",
        "invite",
        "token",
        "secret",
        "share",
        "activate",
        "reset-password",
        "password-reset",
        "invitations",
        "magic-link",
        "unsubscribe",
        "verify-email",
        "auth",
        "tokens",
        "sso",
        "callback",
    ]);
    let secret = match random.below(4) {
        0 => random.hex(20),
        1 => random.alnum(22),
        2 => random.base64url(32),
        _ => random.alnum(12),
    };
    let path = match random.below(3) {
        0 => format!("/accounts/{word}/{secret}"),
        1 => format!("/accounts/{word}/{secret}/finish"),
        _ => format!("/accounts/{word}/{secret}?page=2"),
    };
    Case::new(Place::Path, "", path).hides(secret).keeps("accounts").keeps(word)
}

fn path_shape(random: &mut Random) -> Case {
    let secret = match random.below(5) {
        0 => random.base64url(43),
        1 => random.alnum(40),
        2 => format!("ghp_{}", random.alnum(36)),
        3 => format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", random.base64url(40), random.base64url(43)),
        _ => percent(&random.base64(44)),
    };
    Case::new(Place::Path, "", format!("/accounts/downloads/{secret}/file.pdf"))
        .hides(secret)
        .keeps("accounts")
        .keeps("downloads")
        .keeps("file.pdf")
}

fn path_matrix(random: &mut Random) -> Case {
    let secret = random.upper(32);
    let name = random.pick(&["jsessionid", "token", "sid", "access_token"]);
    Case::new(Place::Path, "", format!("/accounts/list;{name}={secret};view=compact/rows"))
        .hides(secret)
        .keeps("accounts")
        .keeps("compact")
        .keeps("rows")
}

fn path_text(random: &mut Random) -> Case {
    let secret = random.alnum(24);
    let word = random.pick(&["reset", "confirm", "verify", "invite", "share"]);
    let text = match random.below(3) {
        0 => format!("mail with https://shop.example/{word}/{secret} bounced"),
        1 => format!("mail GET /accounts/{word}/{secret} HTTP/1.1 bounced"),
        _ => format!("mail \"/accounts/{word}/{secret}\" bounced"),
    };
    prose(random, text, "mail bounced").hides(secret)
}

fn span_name(random: &mut Random) -> Case {
    let secret = random.token();
    let text = match random.below(3) {
        0 => format!("GET https://api.example/v1/items?api_key={secret}&page=2"),
        1 => format!("GET https://jane:{secret}@api.example/v1/items?page=2"),
        _ => format!("GET https://api.example/v1/items?page=2 with token {secret}"),
    };
    Case::new(Place::SpanName, "", text).hides(secret).keeps("api.example/v1/items").keeps("page=2")
}

fn cut_field(random: &mut Random) -> Case {
    let secret = format!("sk_live_{}", random.alnum(40));
    let filler = "a word ".repeat(1_200);
    let text = format!("{}{secret} and more", &filler[..8_192 - random.between(10, 44)]);
    let place = if random.below(2) == 0 { Place::SpanField } else { Place::Cause };
    Case::new(place, "note", text).hides(secret[..20].to_owned()).hides(secret[..10].to_owned()).keeps("a word a word")
}
