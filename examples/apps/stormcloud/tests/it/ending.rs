//! How the service ends: requests are answered, videos are encoded, and what they recorded arrives.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use stormcloud::Pace;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::receiver::Receiver;
use crate::support::{Cloud, PATIENCE};

/// How long the encoding of a video takes, which identifies it.
const ENCODING: Duration = Duration::from_millis(900);

fn status_of(receiver: &Receiver, name: &str) -> String {
    let transactions = receiver.transactions();
    let found = transactions.iter().find(|transaction| transaction["transaction"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {transactions:?}"))["contexts"]["trace"]["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_video_is_encoded_to_its_end() {
    // Many turns of the runtime, so that everything else is faster, also on a busy machine.
    let pace = Pace::by(|time| async move {
        for _ in 0..if time == ENCODING { 20_000 } else { 0 } {
            tokio::task::yield_now().await;
        }
    });
    let Cloud { service, sentry, receiver, folder, .. } = Cloud::with(|settings| settings.paced(pace)).await.uploaded("holiday.mp4").await;

    service.stop().await.unwrap();
    let encoded = std::fs::read_to_string(folder.path().join("previews/1"));
    sentry.shutdown(PATIENCE).await.unwrap();

    assert_eq!(encoded.unwrap(), "a film");
    assert_eq!(status_of(&receiver, "video_encoding"), "ok");
}

#[tokio::test]
async fn what_never_ends_is_given_up_and_recorded_as_cancelled() {
    let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
    let pace = Pace::by(move |time| {
        // Reading a file takes 450 ms.
        let hangs = [ENCODING, Duration::from_millis(450)].contains(&time);
        if hangs {
            started.send(()).unwrap();
        }
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
        }
    });
    let cloud = Cloud::with(|settings| settings.paced(pace).ended_within(Duration::ZERO)).await.uploaded("holiday.mp4").await;
    let mut client = tokio::net::TcpStream::connect(cloud.service.address()).await.unwrap();
    let head = format!("host: storm.example\r\nauthorization: Bearer {}", cloud.service.alice());
    let download = format!("GET /api/v1/files/holiday.mp4/download/ HTTP/1.1\r\n{head}\r\n\r\n");
    client.write_all(download.as_bytes()).await.unwrap();
    for _ in ["the video", "the download"] {
        has_started.recv().await.unwrap();
    }
    let Cloud { service, sentry, receiver, .. } = cloud;

    tokio::time::timeout(PATIENCE, service.stop()).await.expect("an end in time").unwrap();
    sentry.shutdown(PATIENCE).await.unwrap();

    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, client.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for name in ["GET /api/v1/files/{name}/download/", "video_encoding"] {
        assert_eq!(status_of(&receiver, name), "cancelled");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_counts_before_anything_waits_for_it() {
    let stop = stormcloud::stop_signal().unwrap();

    assert!(Command::new("kill").arg(std::process::id().to_string()).status().unwrap().success());

    tokio::time::timeout(PATIENCE, stop).await.expect("the signal");
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_ends_in_order_after_sigterm() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormcloud"));
    command.env_clear().env("STORMCLOUD_FOLDER", folder.path()).env("SENTRY_DSN", receiver.dsn()).env("SENTRY_TRACES_SAMPLE_RATE", "1.0");
    command.stdout(Stdio::piped()).stderr(Stdio::null());

    // Not here: the receiver needs this thread.
    let ended = tokio::task::spawn_blocking(move || {
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        // The line of curl with the key and the address.
        let line = lines.find(|line| line.contains("Bearer")).unwrap();
        let key = line.split("Bearer ").nth(1).unwrap().split('\'').next().unwrap();
        let host = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let head = format!("GET /api/v1/files/?q=last HTTP/1.1\r\nhost: storm.example\r\nauthorization: Bearer {key}\r\n");
        stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
        lines.for_each(drop);
        process.wait().unwrap()
    });

    assert!(ended.await.unwrap().success());
    let is_last = |transaction: &serde_json::Value| transaction["request"]["query_string"] == "q=last";
    assert!(receiver.transactions().iter().any(is_last), "what was recorded last has arrived");
}
