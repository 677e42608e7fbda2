//! Secrets in addresses: user-info, webhooks, signed URLs, connection strings.

use super::case::{Case, Kind, prose};
use super::random::{Random, percent};

pub const KINDS: &[Kind] = &[
    Kind { name: "url: user and password", make: user_info },
    Kind { name: "url: odd passwords", make: odd_user_info },
    Kind { name: "url: without a scheme", make: schemeless },
    Kind { name: "url: percent-encoded", make: encoded_url },
    Kind { name: "url: token as user", make: token_user },
    Kind { name: "url: webhooks of chats", make: chat_hook },
    Kind { name: "url: webhooks of services", make: service_hook },
    Kind { name: "url: signed", make: signed },
    Kind { name: "url: parameters in a text", make: parameter },
    Kind { name: "url: pairs, percent-encoded", make: encoded_pair },
    Kind { name: "connection: pairs", make: connection },
    Kind { name: "connection: drivers", make: driver },
];

const SCHEMES: &[&str] = &[
    "postgres",
    "postgresql",
    "mysql",
    "redis",
    "rediss",
    "mongodb",
    "mongodb+srv",
    "amqp",
    "amqps",
    "https",
    "http",
    "ftp",
    "sftp",
    "smtp",
    "ldap",
    "mqtt",
    "nats",
    "clickhouse",
    "socks5",
    "git+https",
    "s3",
    "imaps",
];

fn around(random: &mut Random, url: &str) -> String {
    match random.below(6) {
        0 => format!("dialing {url} failed"),
        1 => format!("dialing \"{url}\" failed"),
        2 => format!("dialing ({url}) failed"),
        3 => format!("dialing url={url} failed"),
        4 => format!("dialing <{url}> failed"),
        _ => format!("dialing Url {{ inner: \"{url}\" }} failed"),
    }
}

fn user_info(random: &mut Random) -> Case {
    let password = random.plain_password();
    let (user, host) = (random.person(), random.host());
    let url = match random.below(4) {
        0 => format!("{}://{user}:{password}@{host}:5432/shop-main", random.pick(SCHEMES)),
        1 => format!("{}://:{password}@{host}:6379/shop-main", random.pick(SCHEMES)),
        2 => format!("{}://{user}:{password}@{host}/shop-main?pool=5", random.pick(SCHEMES)),
        _ => format!("jdbc:postgresql://{user}:{password}@{host}/shop-main"),
    };
    let text = around(random, &url);
    prose(random, text, "dialing failed shop-main").hides(password).keeps(host)
}

fn odd_user_info(random: &mut Random) -> Case {
    let sign = random.pick(&["/", "#", "@", ":", "?", "!$", "&=", "%2F", "[", ","]);
    let (first, second) = (random.alnum(6), random.alnum(6));
    let host = random.host();
    let url = format!("{}://{}:{first}{sign}{second}@{host}:5432/shop-main", random.pick(SCHEMES), random.person());
    let text = match random.below(3) {
        0 => format!("dialing {url} failed"),
        1 => format!("dialing \"{url}\" failed"),
        _ => format!("dialing url={url} failed"),
    };
    prose(random, text, "dialing failed shop-main").hides(first).hides(second)
}

fn schemeless(random: &mut Random) -> Case {
    let password = random.plain_password();
    let (user, host) = (random.person(), random.host());
    let text = match random.below(3) {
        0 => format!("dialing //{user}:{password}@{host}:5432/shop-main failed"),
        1 => format!("dialing {user}:{password}@{host}:5432/shop-main failed"),
        _ => format!("dialing \"{user}:{password}@{host}/shop-main\" failed"),
    };
    prose(random, text, "dialing failed shop-main").hides(password)
}

fn encoded_url(random: &mut Random) -> Case {
    let password = random.plain_password();
    let url = percent(&format!("https://{}:{password}@{}/shop-main?view=list", random.person(), random.host()));
    let url = if random.below(3) == 0 { percent(&url) } else { url };
    let text = format!("dialing {url} failed");
    prose(random, text, "dialing failed shop").hides(password)
}

fn token_user(random: &mut Random) -> Case {
    let token = random.alnum(32);
    let text = match random.below(3) {
        0 => format!("git clone https://{token}@code.example/shop-main.git failed"),
        1 => format!("git clone https://x-access-token:{token}@code.example/shop-main.git failed"),
        _ => format!("git clone https://{token}:x-oauth-basic@code.example/shop-main.git failed"),
    };
    prose(random, text, "git clone shop-main failed").hides(token)
}

fn chat_hook(random: &mut Random) -> Case {
    let r = random;
    let (secret, url) = match r.below(9) {
        0 => {
            let s = r.alnum(24);
            (s.clone(), format!("https://hooks.slack.com/services/T{}/B{}/{s}", r.upper(9), r.upper(10)))
        }
        1 => {
            let s = r.base64url(68);
            (s.clone(), format!("https://discord.com/api/webhooks/{}/{s}", r.digits(18)))
        }
        2 => {
            let s = r.base64url(68);
            (s.clone(), format!("https://discord.com/api/v10/webhooks/{}/{s}?wait=1", r.digits(18)))
        }
        3 => {
            let s = format!("AA{}", r.base64url(33));
            (s.clone(), format!("https://api.telegram.org/bot{}:{s}/sendMessage", r.digits(10)))
        }
        4 => {
            let s = r.hex(32);
            (s.clone(), format!("https://acme.webhook.office.com/webhookb2/{}@{}/IncomingWebhook/{s}/{}", r.uuid(), r.uuid(), r.uuid()))
        }
        5 => {
            let s = r.base64url(39);
            (s.clone(), format!("https://chat.googleapis.com/v1/spaces/AAA/messages?key=AIza{}&token={s}", r.base64url(35)))
        }
        6 => {
            let s = r.base36(26);
            (s.clone(), format!("https://mattermost.example.com/hooks/{s}"))
        }
        7 => {
            let s = r.uuid();
            (s.clone(), format!("https://open.feishu.cn/open-apis/bot/v2/hook/{s}"))
        }
        _ => {
            let s = r.hex(64);
            (s.clone(), format!("https://oapi.dingtalk.com/robot/send?access_token={s}"))
        }
    };
    let text = around(r, &url);
    prose(r, text, "dialing failed").hides(secret)
}

fn service_hook(random: &mut Random) -> Case {
    let r = random;
    let (secret, url) = match r.below(10) {
        0 => {
            let s = r.base36(24);
            (s.clone(), format!("https://hooks.zapier.com/hooks/catch/{}/{s}/", r.digits(7)))
        }
        1 => {
            let s = r.base36(32);
            (s.clone(), format!("https://hook.eu1.make.com/{s}"))
        }
        2 => {
            let s = r.base64url(43);
            (s.clone(), format!("https://maker.ifttt.com/trigger/alarm/with/key/{s}"))
        }
        3 => {
            let s = r.hex(32);
            (s.clone(), format!("https://events.pagerduty.com/integration/{s}/enqueue"))
        }
        4 => {
            let s = r.base64url(43);
            (
                s.clone(),
                format!(
                    "https://prod-12.westeurope.logic.azure.com/workflows/{}/triggers/manual/paths/invoke?api-version=2016&sig={s}",
                    r.hex(32)
                ),
            )
        }
        5 => {
            let s = r.uuid();
            (s.clone(), format!("https://webhook.site/{s}"))
        }
        6 => {
            let s = r.alnum(24);
            (s.clone(), format!("https://api.vercel.com/v1/integrations/deploy/prj_{}/{s}", r.alnum(28)))
        }
        7 => {
            let s = r.hex(24);
            (s.clone(), format!("https://api.netlify.com/build_hooks/{s}"))
        }
        8 => {
            let s = r.uuid();
            (s.clone(), format!("https://hc-ping.com/{s}"))
        }
        _ => {
            let s = r.alnum(43);
            (s.clone(), format!("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={s}"))
        }
    };
    let text = around(r, &url);
    prose(r, text, "dialing failed").hides(secret)
}

fn signed(random: &mut Random) -> Case {
    let r = random;
    let s = r.token();
    let url = match r.below(10) {
        0 => format!(
            "https://media-files.s3.amazonaws.com/a.png?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA{}%2F20261120&X-Amz-Signature={s}",
            r.upper(16)
        ),
        1 => format!("https://media-files.blob.core.windows.net/a.png?sv=2022-11-02&sr=b&sig={s}&se=2026"),
        2 => format!("https://storage.googleapis.com/media-files/a.png?X-Goog-Algorithm=GOOG4&X-Goog-Signature={s}"),
        3 => format!("https://d111.cloudfront.net/media-files/a.png?Expires=1700000000&Signature={s}__&Key-Pair-Id=K1"),
        4 => format!("https://media-files.oss-cn-hangzhou.aliyuncs.com/a.png?OSSAccessKeyId=LTAI{}&Signature={s}", r.alnum(20)),
        5 => format!("https://media-files.cos.ap-beijing.myqcloud.com/a.png?q-sign-algorithm=sha1&q-signature={s}"),
        6 => format!("https://media-files.akamaized.net/a.m3u8?hdnts=exp=1700000000~acl=/*~hmac={s}"),
        7 => format!("https://media-files.b-cdn.net/a.mp4?token={s}&expires=1700000000"),
        8 => format!("https://media-files.imgix.net/a.png?w=100&s={s}"),
        _ => format!("https://media-files.supabase.co/storage/v1/object/sign/a.png?token={s}"),
    };
    let text = around(r, &url);
    prose(r, text, "dialing failed media-files").hides(s)
}

fn parameter(random: &mut Random) -> Case {
    let secret = random.token();
    let name = random.pick(&["api_key", "access_token", "code", "sig", "password", "key", "token", "client_secret", "hmac"]);
    let url = match random.below(4) {
        0 => format!("https://api.example/v2/items?{name}={secret}&view=compact"),
        1 => format!("/v2/items?view=compact&{name}={secret}"),
        2 => format!("https://api.example/v2/items?view=compact#{name}={secret}"),
        _ => format!("api.example/v2/items?view=compact&amp;{name}={secret}"),
    };
    let text = around(random, &url);
    prose(random, text, "dialing failed items view=compact").hides(secret)
}

fn encoded_pair(random: &mut Random) -> Case {
    let secret = random.token();
    let text = match random.below(4) {
        0 => format!("callback state=view%3Dcompact%26token%3D{secret} ended"),
        1 => format!("callback view%3Dcompact%26password%3D{secret}%26n%3D1 ended"),
        2 => format!("callback /go?to=%2Fitems%3Fview%3Dcompact%26access_token%3D{secret} ended"),
        _ => format!("callback %7B%22view%22%3A%22compact%22%2C%22api_key%22%3A%22{secret}%22%7D ended"),
    };
    prose(random, text, "callback view compact ended").hides(secret)
}

fn connection(random: &mut Random) -> Case {
    let r = random;
    let password = r.plain_password();
    let key = format!("{}==", r.base64(86));
    let (secret, text) = match r.below(9) {
        0 => (password.clone(), format!("dialing Server=shop-main,1433;Database=shop;User Id=sa;Password={password};Encrypt=true; failed")),
        1 => (password.clone(), format!("dialing Driver={{ODBC}};Server=shop-main;UID=sa;PWD={password}; failed")),
        2 => (password.clone(), format!("dialing host=shop-main user=app password='{password}' dbname=shop failed")),
        3 => (password.clone(), format!("dialing host=shop-main port=5432 user=app password={password} dbname=shop failed")),
        4 => (
            key.clone(),
            format!("dialing DefaultEndpointsProtocol=https;AccountName=shop-main;AccountKey={key};EndpointSuffix=core.windows.net failed"),
        ),
        5 => (
            key.clone(),
            format!("dialing Endpoint=sb://shop-main.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={key} failed"),
        ),
        6 => (password.clone(), format!("dialing jdbc:mysql://shop-main/shop?user=app&password={password}&useSSL=true failed")),
        7 => (key.clone(), format!("dialing AccountEndpoint=https://shop-main.documents.azure.com:443/;AccountKey={key}; failed")),
        _ => (password.clone(), format!("dialing HostName=shop-main;SharedAccessKeyName=owner;SharedAccessKey={password} failed")),
    };
    prose(r, text, "dialing shop-main failed").hides(secret)
}

fn driver(random: &mut Random) -> Case {
    let r = random;
    let password = r.plain_password();
    let text = match r.below(6) {
        0 => format!("dialing app:{password}@tcp(shop-main:3306)/shop failed"),
        1 => format!("dialing jdbc:oracle:thin:scott/{password}@shop-main:1521/XE failed"),
        2 => format!("dialing app:{password}@unix(/shop-main.sock)/shop failed"),
        3 => format!("dialing sqlserver://sa:{password}@shop-main?database=x failed"),
        4 => format!("dialing ConnectOptions {{ host: \"shop-main\", username: \"app\", password: Some(\"{password}\") }} failed"),
        _ => format!("dialing redis://default:{password}@shop-main:6379/0 failed"),
    };
    prose(r, text, "dialing shop-main failed").hides(password)
}
