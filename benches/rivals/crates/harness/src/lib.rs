//! Common driver of every contender: request template, poll loop, counting allocator,
//! and the measuring modes (`cg`, `alloc`, `time`, `init`, `serve`, `sink`, `once`, `rss`).
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Body as _;
use tower_service::Service;

// ---------------------------------------------------------------- counting allocator
pub struct Counting;
static ON: AtomicBool = AtomicBool::new(false);
static ALLOCS: AtomicU64 = AtomicU64::new(0);
static SUNK: AtomicU64 = AtomicU64::new(0);
static SUNK_BYTES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
thread_local! {
    static T_ALLOCS: Cell<u64> = const { Cell::new(0) };
    static T_BYTES: Cell<u64> = const { Cell::new(0) };
}
#[cold]
#[inline(never)]
fn note(size: usize) {
    ALLOCS.fetch_add(1, Relaxed);
    BYTES.fetch_add(size as u64, Relaxed);
    let _ = T_ALLOCS.try_with(|c| c.set(c.get() + 1));
    let _ = T_BYTES.try_with(|c| c.set(c.get() + size as u64));
}
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            note(l.size())
        }
        unsafe { System.alloc(l) }
    }
    unsafe fn alloc_zeroed(&self, l: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            note(l.size())
        }
        unsafe { System.alloc_zeroed(l) }
    }
    unsafe fn realloc(&self, p: *mut u8, l: Layout, n: usize) -> *mut u8 {
        // a growth counts as one allocation of the new size
        if ON.load(Relaxed) {
            note(n)
        }
        unsafe { System.realloc(p, l, n) }
    }
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        unsafe { System.dealloc(p, l) }
    }
}
#[global_allocator]
static GLOBAL: Counting = Counting;

pub struct AllocCount {
    pub t_allocs: u64,
    pub t_bytes: u64,
    pub allocs: u64,
    pub bytes: u64,
}
pub fn count_allocs(f: impl FnOnce()) -> AllocCount {
    let s = (T_ALLOCS.get(), T_BYTES.get(), ALLOCS.load(Relaxed), BYTES.load(Relaxed));
    ON.store(true, Relaxed);
    f();
    ON.store(false, Relaxed);
    AllocCount {
        t_allocs: T_ALLOCS.get() - s.0,
        t_bytes: T_BYTES.get() - s.1,
        allocs: ALLOCS.load(Relaxed) - s.2,
        bytes: BYTES.load(Relaxed) - s.3,
    }
}

// ---------------------------------------------------------------- arguments
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    S0,
    S0e2,
    S5,
    S20,
    Err,
}
impl Variant {
    pub fn parse(s: &str) -> Self {
        match s {
            "s0" => Self::S0,
            "s0e2" => Self::S0e2,
            "s5" => Self::S5,
            "s20" => Self::S20,
            "err" => Self::Err,
            _ => panic!("variant: s0|s0e2|s5|s20|err"),
        }
    }
}
pub struct Args {
    pub mode: String,
    pub variant: Variant,
    pub n: usize,
    pub port: u16,
    pub cfg: HashMap<String, String>,
}
impl Args {
    pub fn get<'a>(&'a self, k: &str, default: &'a str) -> &'a str {
        self.cfg.get(k).map_or(default, |s| s.as_str())
    }
    pub fn is(&self, k: &str) -> bool {
        self.get(k, "0") == "1"
    }
}
pub fn parse_args() -> Args {
    let mut a = Args { mode: "once".into(), variant: Variant::S5, n: 1000, port: 0, cfg: HashMap::new() };
    let mut it = std::env::args().skip(1);
    while let Some(k) = it.next() {
        let mut v = || it.next().expect("value");
        match k.as_str() {
            "--mode" => a.mode = v(),
            "--variant" => a.variant = Variant::parse(&v()),
            "--n" => a.n = v().parse().unwrap(),
            "--port" => a.port = v().parse().unwrap(),
            "--cfg" => {
                for kv in v().split(',').filter(|s| !s.is_empty()) {
                    let (k, v) = kv.split_once('=').unwrap_or((kv, "1"));
                    a.cfg.insert(k.into(), v.into());
                }
            }
            _ => panic!("unknown argument {k}"),
        }
    }
    a
}

/// What a contender gives to the harness.
pub struct Contender {
    pub router: Router,
    /// Called outside of timed windows, every 64 requests: hand finished batches on.
    pub flush: Box<dyn FnMut()>,
    /// Extra facts printed at the end (number of envelopes, drops...).
    pub report: Box<dyn FnMut() -> String + Send>,
}
impl Contender {
    pub fn new(router: Router) -> Self {
        Self { router, flush: Box::new(|| {}), report: Box::new(String::new) }
    }
}

// ---------------------------------------------------------------- request template
pub const ROUTE: &str = "/users/{id}/orders/{order}";
pub struct Template {
    headers: HeaderMap,
    uri: Uri,
}
impl Template {
    pub fn new(extra: &[(&'static str, &str)]) -> Self {
        let mut headers = HeaderMap::new();
        let base: &[(&str, &str)] = &[
            ("host", "shop.example.com"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"),
            ("accept", "application/json, text/plain, */*"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
            ("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiIsImV4cCI6MTc2fQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"),
            ("cookie", "sid=8f14e45fceea167a5a36dedd4bea2543; theme=dark; csrftoken=9d5ed678fe57bcca"),
            ("referer", "https://shop.example.com/users/42"),
            ("x-request-id", "6f1c2b1e-8a0f-4b9e-9d43-0a4b9ef0c1d2"),
            ("x-forwarded-for", "203.0.113.7, 10.1.2.3"),
        ];
        for (k, v) in base.iter().copied().chain(extra.iter().copied()) {
            // shared (reference-counted) bytes, as hyper makes them
            let b = axum::body::Bytes::copy_from_slice(v.as_bytes());
            headers.insert(k.parse::<HeaderName>().unwrap(), HeaderValue::from_maybe_shared(b).unwrap());
        }
        Self { headers, uri: Uri::from_static("/users/42/orders/9001?expand=items&currency=EUR") }
    }
    #[inline(never)]
    pub fn make(&self) -> Request<Body> {
        let mut r = Request::new(Body::empty());
        *r.method_mut() = Method::GET;
        *r.uri_mut() = self.uri.clone();
        *r.headers_mut() = self.headers.clone();
        r
    }
}

// ---------------------------------------------------------------- driving a request
#[inline(never)]
pub fn drive(router: &mut Router, req: Request<Body>) -> u16 {
    let mut cx = Context::from_waker(Waker::noop());
    let fut = <Router as Service<Request<Body>>>::call(router, req);
    let mut fut = pin!(fut);
    let resp: Response<Body> = loop {
        if let Poll::Ready(r) = fut.as_mut().poll(&mut cx) {
            break r.unwrap();
        }
    };
    let status = resp.status().as_u16();
    let mut body = pin!(resp.into_body());
    loop {
        match body.as_mut().poll_frame(&mut cx) {
            Poll::Ready(None) => break,
            _ => {}
        }
    }
    status
}

/// Yields to the executor once: one suspension per `db.query` span.
pub struct YieldOnce(bool);
pub fn yield_once() -> YieldOnce {
    YieldOnce(false)
}
impl Future for YieldOnce {
    type Output = ();
    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

pub const WINDOW: usize = 64;

#[inline(never)]
pub fn bench_loop(c: &mut Contender, t: &Template, n: usize, want: u16) {
    let mut k = 0;
    for _ in 0..n {
        let s = drive(&mut c.router, t.make());
        assert_eq!(s, want);
        k += 1;
        if k == WINDOW {
            k = 0;
            (c.flush)()
        }
    }
}

/// The only function callgrind collects in (`--toggle-collect=measured_loop`).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C-unwind" fn measured_loop(c: &mut Contender, t: &Template, n: usize, want: u16) {
    for _ in 0..n {
        assert_eq!(drive(&mut c.router, t.make()), want);
    }
}

pub fn vm(field: &str) -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .find(|l| l.starts_with(field))
        .and_then(|l| l.split_whitespace().nth(1))
        .map_or(0, |v| v.parse().unwrap())
}

pub fn main(build: impl FnOnce(&Args) -> Contender) {
    let a = parse_args();
    let t0 = Instant::now();
    let mut c = build(&a);
    let t_build = t0.elapsed();
    let extra: Vec<(&'static str, &str)> = match a.get("trace", "") {
        "sentry1" => vec![("sentry-trace", "09e04486820349518ac7b5d2adbf6ba5-9cf635fa5b870b3a-1")],
        "sentry0" => vec![("sentry-trace", "09e04486820349518ac7b5d2adbf6ba5-9cf635fa5b870b3a-0")],
        "w3c0" => vec![("traceparent", "00-09e04486820349518ac7b5d2adbf6ba5-9cf635fa5b870b3a-00")],
        "w3c1" => vec![("traceparent", "00-09e04486820349518ac7b5d2adbf6ba5-9cf635fa5b870b3a-01")],
        _ => vec![],
    };
    let t = Template::new(&extra);
    let want = if a.variant == Variant::Err { 500 } else { 200 };
    match a.mode.as_str() {
        // one request; print facts (used to check that a contender really works)
        "once" => {
            for _ in 0..a.n.min(10) {
                drive(&mut c.router, t.make());
            }
            (c.flush)();
            println!("{}", (c.report)())
        }
        // callgrind: run.sh runs it with N and 2N and takes the difference
        // handing on what was finished happens between the windows, uncollected
        "cg" => {
            bench_loop(&mut c, &t, 256, want);
            for _ in 0..a.n / WINDOW {
                measured_loop(&mut c, &t, WINDOW, want);
                (c.flush)();
            }
            eprintln!("{}", (c.report)())
        }
        // request building alone, to subtract
        "cgreq" => {
            for _ in 0..a.n {
                std::hint::black_box(t.make());
            }
            std::hint::black_box(&mut c);
        }
        "alloc" => {
            bench_loop(&mut c, &t, 1024, want);
            let r = count_allocs(|| bench_loop(&mut c, &t, a.n, want));
            let n = a.n as f64;
            println!("{:.2} {:.0} {:.2} {:.0}", r.t_allocs as f64 / n, r.t_bytes as f64 / n, r.allocs as f64 / n, r.bytes as f64 / n);
        }
        // interactive: a line with a number of windows -> "median_ns mean_ns"
        "time" => {
            bench_loop(&mut c, &t, 4096, want);
            println!("ready");
            let mut line = String::new();
            while {
                line.clear();
                std::io::stdin().read_line(&mut line).unwrap() > 0
            } {
                let w: usize = line.trim().parse().unwrap();
                let mut ns = Vec::with_capacity(w);
                for _ in 0..w {
                    let t0 = Instant::now();
                    for _ in 0..WINDOW {
                        drive(&mut c.router, t.make());
                    }
                    ns.push(t0.elapsed().as_nanos() as f64 / WINDOW as f64);
                    (c.flush)();
                }
                ns.sort_by(f64::total_cmp);
                println!("{:.1} {:.1} {:.1}", ns[w / 2], ns.iter().sum::<f64>() / w as f64, ns[w / 10]);
            }
        }
        "init" => {
            let t0 = Instant::now();
            drive(&mut c.router, t.make());
            println!("{} {}", t_build.as_nanos(), t0.elapsed().as_nanos());
            // no destructors: only the start is measured
            std::process::exit(0)
        }
        // n requests as fast as possible; RSS before and after, and the report
        "rss" => {
            bench_loop(&mut c, &t, 2048, want);
            println!("start rss_kb={}", vm("VmRSS"));
            let t0 = Instant::now();
            let steps = 10;
            for i in 1..=steps {
                bench_loop(&mut c, &t, a.n / steps, want);
                println!("n={} rss_kb={} t={:.2}s {}", a.n / steps * i, vm("VmRSS"), t0.elapsed().as_secs_f64(), (c.report)());
            }
            println!("end hwm_kb={} rss_kb={}", vm("VmHWM"), vm("VmRSS"));
        }
        "serve" => {
            let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let router = c.router.clone();
            let mut report = c.report;
            // A line in asks what became of the requests so far.
            std::thread::spawn(move || std::io::stdin().lines().for_each(|_| println!("{}", report())));
            rt.block_on(async move {
                let l = tokio::net::TcpListener::bind(("127.0.0.1", a.port)).await.unwrap();
                println!("listening {}", l.local_addr().unwrap());
                axum::serve(l, router).await.unwrap();
            });
        }
        // Stands for Sentry: takes what is posted, tells on GET how much that was.
        "sink" => {
            let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let router = Router::new().fallback(|method: Method, body: axum::body::Bytes| async move {
                if method == Method::POST {
                    SUNK.fetch_add(1, Relaxed);
                    SUNK_BYTES.fetch_add(body.len() as u64, Relaxed);
                    return "{}".to_owned();
                }
                format!("{} {}", SUNK.load(Relaxed), SUNK_BYTES.load(Relaxed))
            });
            rt.block_on(async move {
                let l = tokio::net::TcpListener::bind(("127.0.0.1", a.port)).await.unwrap();
                println!("listening {}", l.local_addr().unwrap());
                axum::serve(l, router).await.unwrap();
            });
        }
        m => panic!("unknown mode {m}"),
    }
}
