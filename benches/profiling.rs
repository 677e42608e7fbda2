//! What profiles cost: the processor time of the same work, without and with them, and the memory.
//!
//! `cargo bench --features profiling --bench profiling`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

#[cfg(all(profiles, target_os = "linux"))]
mod linux {
    use std::fs;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use futures_util::FutureExt as _;
    use tower_sentry::{Client, Config};

    const ROUNDS: usize = 12;

    fn ms(nanos: u64) -> f64 {
        Duration::from_nanos(nanos).as_secs_f64() * 1e3
    }

    /// The processor time that all threads of the process have used, in nanoseconds.
    fn cpu_time() -> u64 {
        let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok();
        fs::read_dir("/proc/self/task").unwrap().filter_map(|task| of(task.unwrap())).sum()
    }

    fn memory() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Some 300 ms of work, in functions of different depth.
    #[inline(never)]
    fn work(depth: u64) -> u64 {
        let mut number = black_box(depth);
        for step in 0..4_000_000_u64 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step);
        }
        if depth == 0 { number } else { number ^ work(depth - 1) }
    }

    fn round(client: &Client) -> u64 {
        let before = cpu_time();
        client.transaction("work").run_infallible(async { black_box(work(60)) }).now_or_never().unwrap();
        cpu_time() - before
    }

    fn best(client: &Client) -> u64 {
        (0..ROUNDS).map(|_| round(client)).min().unwrap()
    }

    fn client(rate: f64) -> Client {
        let config = Config::builder().transport(|_: &[u8]| {}).traces_sample_rate(1.0).profiles_sample_rate(rate).panic_hook(false);
        Client::from(config.build().unwrap())
    }

    pub(super) fn run() {
        let plain = client(0.0);
        round(&plain);
        let (without, memory_before) = (best(&plain), memory());

        let (profiled, begun, before) = (client(1.0), Instant::now(), cpu_time());
        while profiled.stats().profiles.sent == 0 {
            round(&profiled);
            profiled.flush(Duration::from_secs(60)).now_or_never();
            std::thread::yield_now();
        }
        let (first, start) = (begun.elapsed(), cpu_time() - before);
        let with = best(&profiled);

        println!("without profiles    {:8.1} ms", ms(without));
        println!("with profiles       {:8.1} ms   {:+.2} %", ms(with), (ms(with) / ms(without) - 1.0) * 100.0);
        println!("memory              {memory_before:8} MB -> {} MB", memory());
        println!("until the first one {:8.1} ms   {:.1} ms of processor time, with its work", first.as_secs_f64() * 1e3, ms(start));
    }
}

fn main() {
    #[cfg(all(profiles, target_os = "linux"))]
    linux::run();
    #[cfg(not(all(profiles, target_os = "linux")))]
    println!("it measures on Linux, with the feature `profiling`");
}
