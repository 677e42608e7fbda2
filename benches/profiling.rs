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
    /// How many calls below the transaction the work is done. Those of the program around it come on top.
    const DEPTHS: [u64; 3] = [0, 24, 60];

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

    /// Some four milliseconds of work, `depth` calls further down.
    #[inline(never)]
    fn work(depth: u64) -> u64 {
        if depth > 0 {
            return black_box(work(depth - 1)) ^ depth;
        }
        (0..4_000_000_u64).fold(0, |number, step| black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step)))
    }

    /// Some 250 ms of work.
    fn round(client: &Client, depth: u64) -> u64 {
        let before = cpu_time();
        let work = async { black_box((0..60).fold(0, |sum, _| sum ^ work(depth))) };
        client.transaction("work").run_infallible(work).now_or_never().unwrap();
        cpu_time() - before
    }

    fn best(client: &Client, depth: u64) -> u64 {
        (0..ROUNDS).map(|_| round(client, depth)).min().unwrap()
    }

    fn client(rate: f64) -> Client {
        let config = Config::builder().transport(|_: &[u8]| {}).traces_sample_rate(1.0).profiles_sample_rate(rate).panic_hook(false);
        Client::from(config.build().unwrap())
    }

    pub(super) fn run() {
        let plain = client(0.0);
        round(&plain, 0);
        let without = DEPTHS.map(|depth| best(&plain, depth));
        let memory_before = memory();

        let (profiled, begun, before) = (client(1.0), Instant::now(), cpu_time());
        while profiled.stats().profiles.sent == 0 {
            round(&profiled, 0);
            profiled.flush(Duration::from_secs(60)).now_or_never();
            std::thread::yield_now();
        }
        let (first, start) = (begun.elapsed(), cpu_time() - before);
        println!("calls     without      with profiles");
        for (depth, without) in DEPTHS.into_iter().zip(without) {
            let with = best(&profiled, depth);
            println!("{depth:5}  {:8.1} ms  {:8.1} ms   {:+.2} %", ms(without), ms(with), (ms(with) / ms(without) - 1.0) * 100.0);
        }
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
