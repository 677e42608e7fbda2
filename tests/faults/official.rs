//! The same faults for the official SDK: `TOWER_SENTRY_RIVAL` is the path of `benches/rivals/crates/f-sentry`, built.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::server::{Behaviour, FaultServer};
use super::{Row, seconds};

/// A process with the official SDK.
struct Rival {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
}

/// A command that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a command took, and the memory of the process after it.
struct Answer {
    took: Duration,
    memory: f64,
}

impl Rival {
    fn start(server: &FaultServer) -> Self {
        let program = std::env::var_os("TOWER_SENTRY_RIVAL").unwrap();
        let mut child =
            Command::new(program).arg(server.dsn()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (commands, lines) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        let (send, answers) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, commands, answers }
    }

    /// What a command took. `None` if it hangs.
    fn try_run(&mut self, command: &str) -> Option<Answer> {
        writeln!(self.commands, "{command}").unwrap();
        let line = self.answers.recv_timeout(PATIENCE).ok()?;
        let words: Vec<_> = line.split_whitespace().collect();
        Some(Answer { took: Duration::from_millis(words[1].parse().unwrap()), memory: words[2].parse().unwrap() })
    }

    fn flush(&mut self, command: &str) -> String {
        self.try_run(command)
            .map_or_else(|| format!("flush in > {}", seconds(PATIENCE)), |flush| format!("flush in {}", seconds(flush.took)))
    }

    /// A command that does not wait for the server.
    fn run(&mut self, command: &str) -> Answer {
        self.try_run(command).unwrap()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a row of the table with the official SDK. `None` if it is not told where that is, or has no such function.
pub fn row(name: &str) -> Option<Row> {
    std::env::var_os("TOWER_SENTRY_RIVAL")?;
    let behaviour = match name {
        "black-hole" | "shutdown" => Behaviour { hangs: 1.0, ..Behaviour::default() },
        "backend" => Behaviour { hangs: 0.2, ..Behaviour::default() },
        "resets-5" => Behaviour { resets: 0.05, ..Behaviour::default() },
        "resets-50" => Behaviour { resets: 0.5, ..Behaviour::default() },
        "far-transactions" | "far-errors" => Behaviour { latency: Duration::from_millis(100), ..Behaviour::default() },
        "burst" | "outage" => Behaviour::default(),
        _ => return None,
    };
    let server = FaultServer::start(behaviour);
    let mut rival = Rival::start(&server);
    let (captured, figures) = match name {
        "black-hole" => {
            let before = rival.run("errors 100 0").memory;
            let figures = rival.try_run("errors 50000 0").map(|all| {
                let close = rival.try_run("close 50").map_or_else(|| format!("> {}", seconds(PATIENCE)), |close| seconds(close.took));
                format!("+{:.1} MiB, shutdown(50 ms) in {close}", all.memory - before)
            });
            (50_100, figures.unwrap_or_else(|| format!("the capture of 50,000 takes > {}", seconds(PATIENCE))))
        }
        "backend" => {
            rival.run("errors 800 20");
            (800, rival.flush("flush 15000"))
        }
        "far-transactions" => {
            rival.run("transactions 4000 500");
            (4000, rival.flush("flush 10000"))
        }
        "far-errors" => {
            rival.run("errors 1600 200");
            (1600, rival.flush("flush 10000"))
        }
        "outage" => {
            rival.run("errors 10 10");
            rival.run("flush 10000");
            server.go_away();
            rival.run("errors 5040 84");
            server.come_back();
            let back = Instant::now();
            let first = server.wait_for_one_more(Duration::from_secs(60)).map_or(Duration::MAX, |at| at - back);
            let _ = rival.try_run("flush 60000");
            let first = if first == Duration::MAX { "none within 60 s".to_owned() } else { format!("the first after {}", seconds(first)) };
            (5050, first)
        }
        "shutdown" => {
            rival.run("errors 100 0");
            std::thread::sleep(Duration::from_secs(4));
            server.behave(Behaviour::default());
            std::thread::sleep(Duration::from_secs(1));
            let close = rival.try_run("close 2000").map_or_else(|| format!("> {}", seconds(PATIENCE)), |close| seconds(close.took));
            (100, format!("shutdown(2 s) in {close}"))
        }
        name => {
            rival.run("errors 1000 0");
            let flush = if name == "resets-5" { "flush 2000" } else { "flush 30000" };
            (1000, rival.flush(flush))
        }
    };
    // What hangs is read by the server, but nobody has an answer to it.
    let seen = server.seen();
    let delivered = if matches!(name, "backend" | "black-hole" | "shutdown") { server.answered().len() } else { seen.len() } as u64;
    Some(Row {
        name: "the same, official SDK 0.49.5",
        captured,
        delivered,
        duplicates: seen.values().sum::<u64>() - seen.len() as u64,
        lost: format!("{} in no account", captured.saturating_sub(delivered)),
        figures,
        goal: "-",
        is_met: true,
        time: None,
    })
}
