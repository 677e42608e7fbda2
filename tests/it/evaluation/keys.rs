//! Keys of providers, as their documentation shows them.

use super::case::{Case, Kind, prose};
use super::random::Random;

pub const KINDS: &[Kind] = &[
    Kind {
        name: "key: clouds",
        make: |r| {
            let k = cloud(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: code hosts",
        make: |r| {
            let k = code(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: payments",
        make: |r| {
            let k = payment(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: models",
        make: |r| {
            let k = model(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: chats",
        make: |r| {
            let k = chat(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: mail",
        make: |r| {
            let k = mail(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: observability",
        make: |r| {
            let k = watch(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: packages",
        make: |r| {
            let k = package(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: infrastructure",
        make: |r| {
            let k = infrastructure(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: databases",
        make: |r| {
            let k = database(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: commerce",
        make: |r| {
            let k = commerce(r);
            beside(r, k)
        },
    },
    Kind {
        name: "key: work",
        make: |r| {
            let k = work(r);
            beside(r, k)
        },
    },
];

/// A key as it stands in texts.
fn beside(random: &mut Random, key: String) -> Case {
    let text = match random.below(8) {
        0 => format!("refused {key} at startup"),
        1 => format!("refused \"{key}\" at startup"),
        2 => format!("refused ({key}) at startup"),
        3 => format!("refused {key}, at startup"),
        4 => format!("refused x={key} at startup"),
        5 => format!("refused value: {key}. at startup"),
        6 => format!("refused [{key}] at startup"),
        _ => format!("refused `{key}` at startup"),
    };
    prose(random, text, "refused startup").hides(key)
}

fn cloud(r: &mut Random) -> String {
    match r.below(14) {
        0 => format!("AKIA{}", r.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
        1 => format!("ASIA{}", r.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
        2 => format!("AIza{}", r.base64url(35)),
        3 => format!("GOCSPX-{}", r.base64url(28)),
        4 => format!("ya29.a0{}", r.base64url(60)),
        5 => format!("1//0{}", r.base64url(60)),
        6 => format!("{}8Q~{}", r.alnum(3), r.base64url(34)),
        7 => format!("dop_v1_{}", r.hex(64)),
        8 => format!("doo_v1_{}", r.hex(64)),
        9 => format!("LTAI{}", r.alnum(20)),
        10 => format!("AKID{}", r.alnum(32)),
        11 => format!("ABIA{}", r.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
        12 => format!("ABSK{}", r.base64(110)),
        _ => format!("SCW{}", r.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 17)),
    }
}

fn code(r: &mut Random) -> String {
    match r.below(14) {
        0 => format!("{}_{}", r.pick(&["ghp", "gho", "ghs", "ghu", "ghr"]), r.alnum(36)),
        1 => format!("github_pat_{}_{}", r.alnum(22), r.alnum(59)),
        2 => format!("glpat-{}", r.base64url(20)),
        3 => format!("{}-{}", r.pick(&["gldt", "glrt", "glft", "glsoat", "glagent", "glptt", "gloas", "glcbt"]), r.base64url(24)),
        4 => format!("ATBB{}", r.alnum(32)),
        5 => format!("ATATT3xFfGF0{}={}", r.base64url(172), r.upper(8)),
        6 => format!("ATCTT3xFfGN0{}={}", r.base64url(172), r.upper(8)),
        7 => format!("glpat-{}.01.{}", r.base64url(27), r.base36(9)),
        8 => format!("sgp_{}", r.hex(40)),
        9 => format!("sourcegraph_{}", r.hex(40)),
        10 => format!("CCIPAT_{}_{}", r.alnum(22), r.hex(40)),
        11 => format!("bkua_{}", r.hex(40)),
        12 => format!("sqp_{}", r.hex(40)),
        _ => format!("snyk_uat.{}.{}", r.hex(8), r.base64url(80)),
    }
}

fn payment(r: &mut Random) -> String {
    match r.below(13) {
        0 => format!("sk_live_{}", r.alnum(24)),
        1 => format!("rk_live_{}", r.alnum(99)),
        2 => format!("sk_test_{}", r.alnum(24)),
        3 => format!("whsec_{}", r.alnum(32)),
        4 => format!("sq0atp-{}", r.base64url(22)),
        5 => format!("sq0csp-{}", r.base64url(43)),
        6 => format!("EAAA{}", r.base64url(60)),
        7 => format!("rzp_live_{}", r.alnum(14)),
        8 => format!("access_token$production${}${}", r.base36(16), r.hex(32)),
        9 => format!("FLWSECK_TEST-{}-X", r.hex(32)),
        10 => format!("live_{}", r.alnum(30)),
        11 => format!("pdl_live_apikey_{}_{}_{}", r.base36(26), r.alnum(22), r.alnum(3)),
        _ => format!("access-{}-{}", r.pick(&["sandbox", "production", "development"]), r.uuid()),
    }
}

fn model(r: &mut Random) -> String {
    match r.below(14) {
        0 => format!("sk-proj-{}T3BlbkFJ{}", r.base64url(74), r.base64url(74)),
        1 => format!("sk-{}T3BlbkFJ{}", r.alnum(20), r.alnum(20)),
        2 => format!("sk-ant-api03-{}AA", r.base64url(93)),
        3 => format!("hf_{}", r.of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 34)),
        4 => format!("gsk_{}", r.alnum(52)),
        5 => format!("pplx-{}", r.alnum(48)),
        6 => format!("xai-{}", r.alnum(80)),
        7 => format!("r8_{}", r.alnum(37)),
        8 => format!("sk-or-v1-{}", r.hex(64)),
        9 => format!("nvapi-{}", r.base64url(64)),
        10 => format!("tgp_v1_{}", r.base64url(43)),
        11 => format!("pcsk_{}_{}", r.alnum(6), r.alnum(63)),
        12 => format!("lsv2_pt_{}_{}", r.hex(32), r.hex(10)),
        _ => format!("fw_{}", r.alnum(24)),
    }
}

fn chat(r: &mut Random) -> String {
    match r.below(10) {
        0 => format!("xoxb-{}-{}-{}", r.digits(12), r.digits(13), r.alnum(24)),
        1 => format!("xoxp-{}-{}-{}-{}", r.digits(12), r.digits(12), r.digits(12), r.hex(32)),
        2 => format!("xapp-1-A{}-{}-{}", r.upper(10), r.digits(13), r.hex(64)),
        3 => format!("{}:AA{}", r.of("123456789", 10), r.base64url(33)),
        4 => format!("MT{}.G{}.{}", r.alnum(24), r.alnum(5), r.base64url(38)),
        5 => format!("xoxe.xoxp-1-{}", r.base64(160)),
        6 => format!("SK{}", r.hex(32)),
        7 => format!("EAA{}ZD", r.alnum(120)),
        8 => format!("syt_{}_{}_{}", r.alnum(8), r.alnum(20), r.alnum(6)),
        _ => format!("xoxc-{}-{}-{}-{}", r.digits(12), r.digits(12), r.digits(12), r.hex(64)),
    }
}

fn mail(r: &mut Random) -> String {
    match r.below(9) {
        0 => format!("SG.{}.{}", r.base64url(22), r.base64url(43)),
        1 => format!("key-{}", r.hex(32)),
        2 => format!("xkeysib-{}-{}", r.hex(64), r.alnum(16)),
        3 => format!("{}-us{}", r.hex(32), r.between(1, 20)),
        4 => format!("re_{}_{}", r.alnum(8), r.alnum(24)),
        5 => format!("mlsn.{}", r.hex(64)),
        6 => format!("md-{}", r.base64url(22)),
        7 => format!("xsmtpsib-{}-{}", r.hex(64), r.alnum(16)),
        _ => format!("{}-{}-{}", r.hex(32), r.hex(8), r.hex(8)),
    }
}

fn watch(r: &mut Random) -> String {
    match r.below(14) {
        0 => format!("glsa_{}_{}", r.alnum(32), r.hex(8)),
        1 => format!("glc_{}", r.base64(80)),
        2 => format!("NRAK-{}", r.upper(27)),
        3 => format!("NRII-{}", r.base64url(32)),
        4 => format!("sntrys_{}_{}", r.base64(90), r.base64(43)),
        5 => format!("sntryu_{}", r.hex(64)),
        6 => format!("dt0c01.{}.{}", r.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 24), r.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 64)),
        7 => format!("phc_{}", r.alnum(43)),
        8 => format!("phx_{}", r.alnum(43)),
        9 => format!("hcaik_{}", r.base36(58)),
        10 => format!("{}FFFFNRAL", r.hex(32)),
        11 => format!("lin_api_{}", r.alnum(40)),
        12 => format!("xaat-{}", r.uuid()),
        _ => format!("ddp_{}", r.alnum(36)),
    }
}

fn package(r: &mut Random) -> String {
    match r.below(11) {
        0 => format!("npm_{}", r.alnum(36)),
        1 => format!("pypi-AgEIcHlwaS5vcmc{}", r.base64url(80)),
        2 => format!("rubygems_{}", r.hex(48)),
        3 => format!("dckr_pat_{}", r.base64url(27)),
        4 => format!("cio{}", r.alnum(32)),
        5 => format!("oy2{}", r.base36(43)),
        6 => format!("AKCp{}", r.alnum(69)),
        7 => format!("cmVmd{}", r.alnum(59)),
        8 => format!("CFPAT-{}", r.base64url(43)),
        9 => format!("dckr_oat_{}", r.base64url(32)),
        _ => format!("pul-{}", r.hex(40)),
    }
}

fn infrastructure(r: &mut Random) -> String {
    match r.below(20) {
        0 => format!("hvs.{}", r.base64url(92)),
        1 => format!("{}.atlasv1.{}", r.alnum(14), r.base64url(64)),
        2 => format!("dp.pt.{}", r.alnum(43)),
        3 => format!("dp.st.prd.{}", r.alnum(43)),
        4 => format!("fo1_{}", r.base64url(43)),
        5 => format!("FlyV1 fm2_{}", r.base64(120)),
        6 => format!("AGE-SECRET-KEY-1{}", r.of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
        7 => format!("HRKU-AA{}", r.base64url(58)),
        8 => format!("sha256~{}", r.base64url(43)),
        9 => format!("ops_eyJ{}", r.base64(250)),
        10 => format!("tskey-auth-k{}CNTRL-{}", r.alnum(10), r.alnum(32)),
        11 => format!("hvb.{}", r.base64url(140)),
        12 => format!("rpa_{}", r.upper(44)),
        13 => format!("nfp_{}", r.alnum(36)),
        14 => format!("v1.0-{}-{}", r.hex(24), r.hex(146)),
        15 => format!("A3-{}-{}-{}-{}-{}-{}", r.upper(6), r.upper(6), r.upper(5), r.upper(5), r.upper(5), r.upper(5)),
        16 => format!("tfp_{}", r.alnum(44)),
        17 => format!("dapi{}", r.hex(32)),
        18 => format!("K10{}::server:{}", r.hex(64), r.hex(32)),
        _ => format!("API-{}", r.upper(26)),
    }
}

fn database(r: &mut Random) -> String {
    match r.below(10) {
        0 => format!("pscale_tkn_{}", r.base64url(43)),
        1 => format!("pscale_pw_{}", r.base64url(43)),
        2 => format!("sbp_{}", r.hex(40)),
        3 => format!("napi_{}", r.base36(64)),
        4 => format!("AstraCS:{}:{}", r.alnum(24), r.hex(64)),
        5 => format!("fnA{}", r.base64url(37)),
        6 => format!("sb_secret_{}_{}", r.base64url(22), r.base64url(8)),
        7 => format!("xau_{}", r.alnum(40)),
        8 => format!("ntn_{}{}", r.digits(11), r.alnum(35)),
        _ => format!("secret_{}", r.alnum(43)),
    }
}

fn commerce(r: &mut Random) -> String {
    match r.below(10) {
        0 => format!("shpat_{}", r.hex(32)),
        1 => format!("{}_{}", r.pick(&["shpca", "shppa", "shpss"]), r.hex(32)),
        2 => format!("EZAK{}", r.alnum(54)),
        3 => format!("shippo_live_{}", r.hex(40)),
        4 => format!("pat{}.{}", r.alnum(14), r.hex(64)),
        5 => format!("amzn.mws.{}", r.uuid()),
        6 => format!("pat-na1-{}", r.uuid()),
        7 => format!("duffel_live_{}", r.base64url(43)),
        8 => format!("prod-{}", r.base64url(40)),
        _ => format!("ATTA{}", r.hex(72)),
    }
}

fn work(r: &mut Random) -> String {
    match r.below(11) {
        0 => format!("PMAK-{}-{}", r.hex(24), r.hex(34)),
        1 => format!("figd_{}", r.base64url(40)),
        2 => format!("patx{}.{}", r.alnum(13), r.hex(64)),
        3 => format!("pnu_{}", r.alnum(36)),
        4 => format!("lin_oauth_{}", r.hex(64)),
        5 => format!("sl.{}", r.base64url(136)),
        6 => format!("tfy_{}", r.alnum(44)).replace("tfy_", "tfp_"),
        7 => format!("pk_{}_{}", r.digits(8), r.upper(32)),
        8 => format!("secret-token:{}", r.alnum(30)),
        9 => format!("eyJrIjoi{}", r.alnum(60)) + "==",
        _ => format!("2/{}/{}:{}", r.digits(16), r.digits(16), r.hex(32)),
    }
}
