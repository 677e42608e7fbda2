//! Requests at a fixed rate: `load PORT REQUESTS_A_SECOND SECONDS`. At 0 a second, as fast as the answers come.
//!
//! Half of them read an item, three in ten a page, and two in ten write. Prints `requests seconds p50 p99`; the latencies, in
//! microseconds, count from the moment when a request was due.
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CONNECTIONS: u32 = 32;

fn main() {
    let arguments: Vec<f64> = std::env::args().skip(1).map(|argument| argument.parse().unwrap()).collect();
    let [port, rate, seconds] = arguments[..] else { panic!("see the head of this file") };
    let begun = Instant::now();
    let connections: Vec<_> =
        (0..CONNECTIONS).map(|number| std::thread::spawn(move || connection(port as u16, rate, seconds, number, begun))).collect();
    let mut times: Vec<_> = connections.into_iter().flat_map(|connection| connection.join().unwrap()).collect();
    let took = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    println!("{} {took:.3} {} {}", times.len(), times[times.len() / 2].as_micros(), times[times.len() * 99 / 100].as_micros());
}

fn connection(port: u16, rate: f64, seconds: f64, number: u32, begun: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let step = if rate > 0.0 { Duration::from_secs_f64(f64::from(CONNECTIONS) / rate) } else { Duration::ZERO };
    let end = begun + Duration::from_secs_f64(seconds);
    let mut due = begun + step * number / CONNECTIONS;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(number) + 1);
    let mut times = Vec::new();
    while due.max(Instant::now()) < end {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let asked = if step.is_zero() { Instant::now() } else { due };
        stream.write_all(request(seed).as_bytes()).unwrap();
        read(&mut answers);
        times.push(asked.elapsed());
        due += step;
    }
    times
}

fn request(seed: u64) -> String {
    let id = seed % 10_000 + 1;
    let (line, body) = match (seed >> 24) % 10 {
        0..5 => (format!("GET /items/{id}?fields=all&visit={seed:x}"), String::new()),
        5..8 => (format!("GET /owners/{}/items?page={}", id % 100 + 1, id % 4), String::new()),
        _ => {
            let text = "A lamp of brushed steel with a shade of linen. ".repeat(10);
            ("POST /items".to_owned(), format!(r#"{{"owner":{},"title":"Lamp {id}","price_cents":{id},"body":"{text}"}}"#, id % 100 + 1))
        }
    };
    format!(
        "{line} HTTP/1.1\r\nhost: shop.example.com\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64) load/{}\r\naccept: application/json\r\n\
         accept-language: en-GB,en;q=0.9\r\nauthorization: Bearer token-{:05}-c2VjcmV0\r\ncookie: session={seed:x}\r\n\
         referer: https://shop.example.com/\r\nx-forwarded-for: 10.0.{}.{}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        seed % 7,
        id % 500,
        id / 250,
        id % 250,
        body.len()
    )
}

/// Reads an answer, which must be a success with a length.
fn read(answers: &mut BufReader<TcpStream>) {
    let mut length = 0;
    for number in 0.. {
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        assert!(number > 0 || line.starts_with("http/1.1 2"), "{line}");
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    answers.read_exact(&mut vec![0; length]).unwrap();
}
