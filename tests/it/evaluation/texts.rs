//! Secrets in texts that services, tools and libraries write.

use super::case::{Case, Kind, Place, prose};
use super::random::Random;

pub const KINDS: &[Kind] = &[
    Kind { name: "text: pairs of a log", make: logfmt },
    Kind { name: "text: a sentence", make: sentence },
    Kind { name: "text: several words", make: several_words },
    Kind { name: "text: brackets and quotes in a value", make: odd_value },
    Kind { name: "text: what looks like our mark", make: marked },
    Kind { name: "text: Debug of a struct", make: debug },
    Kind { name: "text: Debug of pairs", make: debug_pairs },
    Kind { name: "text: Debug of headers", make: debug_headers },
    Kind { name: "text: other languages", make: languages },
    Kind { name: "text: JSON", make: json_text },
    Kind { name: "text: YAML, TOML, INI", make: configuration },
    Kind { name: "text: environment", make: environment },
    Kind { name: "text: XML", make: xml },
    Kind { name: "text: a form", make: form },
    Kind { name: "text: multipart", make: multipart },
    Kind { name: "text: a request", make: dump },
    Kind { name: "text: command lines", make: command },
    Kind { name: "text: command lines of databases", make: database_command },
    Kind { name: "text: Redis", make: redis },
    Kind { name: "text: key of a database", make: constraint },
    Kind { name: "text: SQL in a message", make: sql_text },
    Kind { name: "text: GraphQL", make: graphql },
    Kind { name: "text: files with logins", make: login_files },
    Kind { name: "sql: PostgreSQL", make: postgres },
    Kind { name: "sql: MySQL", make: mysql },
    Kind { name: "sql: statements about users", make: users_sql },
];

const NAMES: &[&str] = &[
    "password",
    "api_key",
    "token",
    "secret",
    "passwd",
    "pwd",
    "access_token",
    "client_secret",
    "apikey",
    "auth_token",
    "private_key",
    "passphrase",
    "db_password",
    "session_id",
];

fn logfmt(r: &mut Random) -> Case {
    let (name, secret) = (r.pick(NAMES), r.password());
    let text = match r.below(5) {
        0 => format!("level=warn user=jane-doe {name}={secret} attempt=third"),
        1 => format!("level=warn user=jane-doe {name}=\"{secret}\" attempt=third"),
        2 => format!("level=warn user=jane-doe {name}: {secret} attempt=third"),
        3 => format!("jane-doe {name} = {secret}\nattempt=third"),
        _ => format!("jane-doe [{name}={secret}] attempt=third"),
    };
    prose(r, text, "jane-doe attempt third").hides(secret)
}

fn sentence(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let text = match r.below(8) {
        0 => format!("login of jane-doe with password {secret} rejected"),
        1 => format!("login of jane-doe with password '{secret}' rejected"),
        2 => format!("login of jane-doe: the password is {secret}, rejected"),
        3 => format!("login of jane-doe: password: {secret} (rejected)"),
        4 => format!("login of jane-doe: invalid api key '{secret}' rejected"),
        5 => format!("login of jane-doe: Incorrect API key provided: {secret}. rejected"),
        6 => format!("login of jane-doe: password was \"{secret}\" and was rejected"),
        _ => format!("login of jane-doe: token `{secret}` rejected"),
    };
    prose(r, text, "login jane-doe rejected").hides(secret)
}

fn several_words(r: &mut Random) -> Case {
    let (one, two, three) =
        (format!("{}{}", r.word(), r.lower(4)), format!("{}{}", r.word(), r.lower(4)), format!("{}{}", r.word(), r.lower(4)));
    let name = r.pick(&["passphrase", "seed_phrase", "mnemonic", "recovery phrase"]);
    let text = match r.below(4) {
        0 => format!("wallet opened {name}={one} {two} {three}\nnext line"),
        1 => format!("wallet opened {name}: \"{one} {two} {three}\" next line"),
        2 => format!("wallet opened next line {name}: {one} {two} {three}"),
        _ => format!("wallet opened {name}='{one} {two} {three}' next line"),
    };
    prose(r, text, "wallet opened next line").hides(one).hides(two).hides(three)
}

fn odd_value(r: &mut Random) -> Case {
    let (one, two) = (r.alnum(6), r.alnum(6));
    let sign = r.pick(&[")", "\"", "'", "]", "}", "<", ">", ",", ";", "&", "@", "#", "\\", "|", "$("]);
    let name = r.pick(&["password", "passwd", "secret", "pwd", "db_password"]);
    let text = match r.below(2) {
        0 => format!("opened {name}={one}{sign}{two} for jane-doe"),
        _ => format!("opened for jane-doe {name}={one}{sign}{two}"),
    };
    prose(r, text, "opened jane-doe").hides(one).hides(two)
}

fn marked(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let mark = r.pick(&["[Filtered]", "[REDACTED]", "***", "<hidden>", "[REDACTED_TOKEN]", "*"]);
    let text = match r.below(3) {
        0 => format!("opened password={mark}{secret} for jane-doe"),
        1 => format!("opened password: \"{mark}{secret}\" for jane-doe"),
        _ => format!("opened https://{mark}:{secret}@example.org/x for jane-doe"),
    };
    prose(r, text, "opened jane-doe").hides(secret)
}

fn debug(r: &mut Random) -> Case {
    let (name, secret) = (r.pick(NAMES), r.plain_password());
    let quoted = format!("{secret:?}");
    let value = match r.below(6) {
        0 => quoted,
        1 => format!("Some({quoted})"),
        2 => format!("Secret({quoted})"),
        3 => format!("Key {{ value: {quoted}, id: 1 }}"),
        4 => format!("Ok(Token({quoted}))"),
        _ => format!("[{quoted}, \"second\"]"),
    };
    let text = match r.below(3) {
        0 => format!("Config {{ host: \"shop-main\", {name}: {value}, retries: three }}"),
        1 => format!("Config {{\n    host: \"shop-main\",\n    {name}: {value},\n    retries: three,\n}}"),
        _ => format!("Config {{ host: \"shop-main\", inner: Inner {{ {name}: {value} }}, retries: three }}"),
    };
    prose(r, text, "Config shop-main retries three").hides(secret)
}

fn debug_pairs(r: &mut Random) -> Case {
    let (name, secret) = (r.pick(NAMES), r.plain_password());
    let text = match r.below(6) {
        0 => format!("[(\"host\", \"shop-main\"), ({name:?}, {secret:?})] opened"),
        1 => format!("{{\"host\": \"shop-main\", {name:?}: {secret:?}}} opened"),
        2 => format!("[{{\"name\": {name:?}, \"value\": {secret:?}}}, \"shop-main\"] opened"),
        3 => format!("Field {{ name: {name:?}, value: {secret:?} }} shop-main opened"),
        4 => format!("Header {{ key: {name:?}, value: {secret:?} }} shop-main opened"),
        _ => format!("Pair({name:?}, {secret:?}) shop-main opened"),
    };
    prose(r, text, "shop-main opened").hides(secret)
}

fn debug_headers(r: &mut Random) -> Case {
    let secret = r.token();
    let name = r.pick(&["authorization", "x-api-key", "cookie", "x-auth-token", "proxy-authorization", "x-amz-security-token"]);
    let text = match r.below(3) {
        0 => format!("Request {{ headers: {{\"host\": \"shop-main\", {name:?}: \"Bearer {secret}\", \"accept\": \"*/*\"}} }}"),
        1 => format!("Request {{ headers: {{\"host\": \"shop-main\", {name:?}: [\"{secret}\"]}}, method: GET }}"),
        _ => format!("Request {{ headers: [(\"host\", \"shop-main\"), ({name:?}, \"{secret}\")] }}"),
    };
    prose(r, text, "Request shop-main").hides(secret)
}

fn languages(r: &mut Random) -> Case {
    let (name, secret) = (r.pick(NAMES), r.plain_password());
    let text = match r.below(8) {
        0 => format!("{{'user': 'jane-doe', '{name}': '{secret}', 'retries': 3}}"),
        1 => format!("{{:user=>\"jane-doe\", :{name}=>\"{secret}\"}}"),
        2 => format!("['user' => 'jane-doe', '{name}' => '{secret}']"),
        3 => format!("map[user:jane-doe {name}:{secret}]"),
        4 => format!("&{{User:jane-doe {}:{secret} Retries:3}}", super::random::capitalized(name)),
        5 => format!("Login(user=jane-doe, {name}={secret})"),
        6 => format!("{{ user: 'jane-doe', {name}: '{secret}' }}"),
        _ => format!("{{user: \"jane-doe\", {name}: \"{secret}\"}}"),
    };
    prose(r, text, "jane-doe").hides(secret)
}

fn json_text(r: &mut Random) -> Case {
    let (name, secret) = (r.pick(NAMES), r.password());
    let text = match r.below(4) {
        0 => format!("got {{\"user\":\"jane-doe\",\"{name}\":\"{secret}\",\"plan\":\"gold-plan\"}}"),
        1 => format!("got {{\"user\" : \"jane-doe\", \"{name}\" : \"{secret}\", \"plan\":\"gold-plan\"}}"),
        2 => format!("got \"{{\\\"user\\\":\\\"jane-doe\\\",\\\"{name}\\\":\\\"{secret}\\\",\\\"plan\\\":\\\"gold-plan\\\"}}\""),
        _ => format!("got {{\n  \"user\": \"jane-doe\",\n  \"{name}\": \"{secret}\",\n  \"plan\": \"gold-plan\"\n}}"),
    };
    prose(r, text, "got jane-doe gold-plan").hides(secret)
}

fn configuration(r: &mut Random) -> Case {
    let (name, secret) = (r.pick(NAMES), r.plain_password());
    let text = match r.below(6) {
        0 => format!("host: shop-main\n{name}: {secret}\nretries: three"),
        1 => format!("[db]\nhost = \"shop-main\"\n{name} = \"{secret}\"\nretries = \"three\""),
        2 => format!("host=shop-main\n{name}={secret}\nretries=three"),
        3 => format!("db.host=shop-main\nspring.datasource.{name}={secret}\nretries=three"),
        4 => format!("host: shop-main\n{name}: >-\n  {secret}\nretries: three"),
        _ => format!("kind: Secret\nhost: shop-main\ndata:\n  {name}: {secret}\nretries: three"),
    };
    prose(r, text, "shop-main retries three").hides(secret)
}

fn environment(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let name = r.pick(&[
        "DATABASE_PASSWORD",
        "STRIPE_SECRET_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "SESSION_SECRET",
        "PGPASSWORD",
        "MYSQL_PWD",
        "SMTP_PASS",
        "JWT_SECRET",
        "NPM_TOKEN",
        "REDIS_PASSWORD",
        "SLACK_BOT_TOKEN",
        "ENCRYPTION_KEY",
        "SENTRY_AUTH_TOKEN",
        "API_KEY",
    ]);
    let text = match r.below(4) {
        0 => format!("HOST=shop-main {name}={secret} PORT=8080"),
        1 => format!("export HOST=shop-main; export {name}='{secret}'; export PORT=8080"),
        2 => format!("HOST=shop-main\n{name}=\"{secret}\"\nPORT=8080"),
        _ => format!("{{\"HOST\": \"shop-main\", \"{name}\": \"{secret}\", \"PORT\": \"8080\"}}"),
    };
    prose(r, text, "shop-main PORT 8080").hides(secret)
}

fn xml(r: &mut Random) -> Case {
    let (name, secret) = (r.pick(&["password", "apiKey", "token", "ClientSecret", "pin"]), r.plain_password());
    let text = match r.below(5) {
        0 => format!("<login><user>jane-doe</user><{name}>{secret}</{name}></login>"),
        1 => format!("<add key=\"{name}\" value=\"{secret}\" /><add key=\"user\" value=\"jane-doe\" />"),
        2 => format!("<login user=\"jane-doe\" {name}=\"{secret}\"/>"),
        3 => format!("<wsse:Username>jane-doe</wsse:Username><wsse:Password Type=\"PasswordText\">{secret}</wsse:Password>"),
        _ => format!("<string name=\"{name}\">{secret}</string><string name=\"user\">jane-doe</string>"),
    };
    prose(r, text, "jane-doe").hides(secret)
}

fn form(r: &mut Random) -> Case {
    let (name, secret) = (r.pick(NAMES), r.plain_password());
    let text = match r.below(4) {
        0 => format!("user=jane-doe&{name}={secret}&plan=gold-plan"),
        1 => format!("body was user=jane-doe&{name}={secret}&plan=gold-plan"),
        2 => format!("body: \"user=jane-doe&plan=gold-plan&{name}={secret}\""),
        _ => format!("grant_type=client_credentials&user=jane-doe&{name}={secret}&plan=gold-plan"),
    };
    prose(r, text, "jane-doe gold-plan").hides(secret)
}

fn multipart(r: &mut Random) -> Case {
    let (name, secret) = (r.pick(NAMES), r.password());
    let line = r.pick(&["\r\n", "\n"]);
    let text = format!(
        "--x7{line}Content-Disposition: form-data; name=\"user\"{line}{line}jane-doe{line}--x7{line}Content-Disposition: form-data; name=\"{name}\"{line}{line}{secret}{line}--x7--{line}"
    );
    prose(r, text, "jane-doe form-data").hides(secret)
}

fn dump(r: &mut Random) -> Case {
    let secret = r.token();
    let text = match r.below(4) {
        0 => format!("POST /login-page HTTP/1.1\r\nHost: shop-main\r\nAuthorization: Bearer {secret}\r\nAccept: text/html\r\n\r\n"),
        1 => format!("GET /login-page?token={secret} HTTP/1.1\r\nHost: shop-main\r\nAccept: text/html\r\n"),
        2 => format!("GET /login-page HTTP/1.1\r\nHost: shop-main\r\nCookie: session={secret}\r\nAccept: text/html\r\n"),
        _ => format!("> GET /login-page HTTP/2\n> Host: shop-main\n> x-api-key: {secret}\n> Accept: text/html\n"),
    };
    prose(r, text, "login-page shop-main text/html").hides(secret)
}

fn command(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let text = match r.below(14) {
        0 => format!("deploy-tool --user jane-doe --password {secret} --verbose"),
        1 => format!("deploy-tool --user jane-doe --password={secret} --verbose"),
        2 => format!("curl -u jane-doe:{secret} https://api.example/deploy-tool --verbose"),
        3 => format!("curl -H 'Authorization: Bearer {secret}1aZ' https://api.example/deploy-tool --verbose"),
        4 => format!("deploy-tool --verbose --token {secret}"),
        5 => format!("docker login -u jane-doe -p {secret} deploy-tool --verbose"),
        6 => format!("sshpass -p {secret} ssh jane-doe@deploy-tool --verbose"),
        7 => format!("PGPASSWORD={secret} psql -h deploy-tool --verbose"),
        8 => format!("deploy-tool --api-key '{secret}' --verbose"),
        9 => format!("openssl rsa -passin pass:{secret} -in deploy-tool --verbose"),
        10 => format!("Command {{ program: \"deploy-tool\", args: [\"--password\", \"{secret}\", \"--verbose\"] }}"),
        11 => format!("wget --http-password={secret} https://deploy-tool --verbose"),
        12 => format!("smbclient //deploy-tool/share -U jane-doe%{secret} --verbose"),
        _ => format!("deploy-tool --client-secret \"{secret}\" --verbose"),
    };
    prose(r, text, "deploy-tool verbose").hides(secret)
}

fn database_command(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let text = match r.below(7) {
        0 => format!("mysql -uroot -p{secret} -h shop-main"),
        1 => format!("mysqldump -u root -p{secret} shop-main"),
        2 => format!("redis-cli -h shop-main -a {secret} ping"),
        3 => format!("mongo shop-main -u root -p {secret}"),
        4 => format!("ldapsearch -x -D cn=admin -w {secret} -b shop-main"),
        5 => format!("sqlcmd -S shop-main -U sa -P {secret}"),
        _ => format!("mariadb --user=root --password='{secret}' shop-main"),
    };
    prose(r, text, "shop-main").hides(secret)
}

fn redis(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let text = match r.below(6) {
        0 => format!("cmd AUTH {secret} refused-by shop-main"),
        1 => format!("cmd AUTH default {secret}\r\nrefused-by shop-main"),
        2 => format!("cmd HELLO 3 AUTH default {secret} refused-by shop-main"),
        3 => format!("refused-by shop-main cmd CONFIG SET requirepass {secret}"),
        4 => format!("refused-by shop-main cmd [\"AUTH\", \"{secret}\"]"),
        _ => format!("refused-by shop-main cmd ACL SETUSER app on >{secret} ~*"),
    };
    prose(r, text, "refused-by shop-main").hides(secret)
}

fn constraint(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let name = r.pick(&["api_key", "token", "session_token", "secret", "password_hash", "refresh_token"]);
    let text = match r.below(3) {
        0 => format!("duplicate key violates \"users_idx\": Key ({name})=({secret}) already exists."),
        1 => format!("duplicate key violates \"users_idx\": Key (tenant, {name})=(acme, {secret}) already exists."),
        _ => format!("error returned: Key ({name})=({secret}) is not present in table \"users_idx\"; violates, exists."),
    };
    prose(r, text, "violates users_idx exists").hides(secret)
}

fn sql_text(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let text = match r.below(5) {
        0 => format!("syntax error near SELECT id FROM users WHERE password = '{secret}' LIMIT 1"),
        1 => format!("syntax error near INSERT INTO users (name, password) VALUES ('jane', '{secret}') LIMIT"),
        2 => format!("syntax error near UPDATE users SET api_key='{secret}' WHERE id=7 LIMIT 1"),
        3 => format!("syntax error near ALTER USER users WITH PASSWORD '{secret}' LIMIT"),
        _ => format!("syntax error near CREATE USER users IDENTIFIED BY '{secret}' LIMIT"),
    };
    prose(r, text, "syntax error near users LIMIT").hides(secret)
}

fn graphql(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let name = r.pick(&["password", "token", "apiKey", "pin", "secret"]);
    let text = match r.below(3) {
        0 => format!("mutation {{ login(user: \"jane-doe\", {name}: \"{secret}\") {{ id plan }} }}"),
        1 => format!("mutation {{ login(input: {{user: \"jane-doe\", {name}: \"{secret}\"}}) {{ id plan }} }}"),
        _ => format!("{{\"query\":\"mutation {{ login(user: \\\"jane-doe\\\", {name}: \\\"{secret}\\\") {{ id plan }} }}\"}}"),
    };
    prose(r, text, "mutation login jane-doe plan").hides(secret)
}

fn login_files(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let text = match r.below(5) {
        0 => format!("machine shop-main login jane-doe password {secret}"),
        1 => format!("//shop-main/:_authToken={secret}\n# of jane-doe"),
        2 => format!("[shop-main]\naws_access_key_id = jane-doe\naws_secret_access_key = {secret}"),
        3 => format!("shop-main:5432:*:jane-doe:x password={secret}"),
        _ => format!("{{\"auths\":{{\"shop-main\":{{\"user\":\"jane-doe\",\"auth\":\"{secret}\"}}}}}}"),
    };
    prose(r, text, "shop-main").hides(secret)
}

fn postgres(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let text = match r.below(6) {
        0 => format!("SELECT id FROM users WHERE password = '{secret}' AND plan_id = 7"),
        1 => format!("INSERT INTO users (name, password) VALUES ('jane', '{secret}') RETURNING plan_id"),
        2 => format!("UPDATE users SET token = $${secret}$$ WHERE plan_id = 7"),
        3 => format!("SELECT id FROM users /* {secret} */ WHERE plan_id = 7"),
        4 => format!("SELECT f('{secret}'), plan_id FROM users"),
        _ => format!("SELECT id FROM users WHERE email = E'{secret}\\n' OR plan_id = 7"),
    };
    let keeps = !matches!(text.as_str(), text if text.contains("E'"));
    let case = Case::new(Place::Sql(r.pick(&["postgresql", "sqlite", "cockroachdb"])), "", text).hides(secret).keeps("users");
    if keeps { case.keeps("plan_id") } else { case }
}

fn mysql(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let text = match r.below(6) {
        0 => format!("SELECT id FROM users WHERE password = \"{secret}\" AND plan_id = 7"),
        1 => format!("CALL find_users(\"{secret}\", plan_id)"),
        2 => format!("SELECT id FROM users WHERE plan_id BETWEEN \"{secret}\" AND \"{secret}2\""),
        3 => format!("INSERT INTO users (plan_id, password) VALUES (1, \"{secret}\")"),
        4 => format!("SELECT CONCAT(\"{secret}\", plan_id) FROM users"),
        _ => format!("SELECT id FROM users WHERE name LIKE \"{secret}%\" OR plan_id = 1"),
    };
    Case::new(Place::Sql(r.pick(&["mysql", "mariadb"])), "", text).hides(secret).keeps("users").keeps("plan_id")
}

fn users_sql(r: &mut Random) -> Case {
    let secret = r.plain_password();
    let text = match r.below(4) {
        0 => format!("ALTER USER app_role WITH PASSWORD '{secret}'"),
        1 => format!("CREATE USER app_role IDENTIFIED BY '{secret}'"),
        2 => format!("SET PASSWORD FOR app_role = '{secret}'"),
        _ => format!("GRANT ALL ON shop TO app_role IDENTIFIED BY \"{secret}\""),
    };
    let system = if text.contains('"') { "mysql" } else { r.pick(&["postgresql", "mysql"]) };
    Case::new(Place::Sql(system), "", text).hides(secret).keeps("app_role")
}
