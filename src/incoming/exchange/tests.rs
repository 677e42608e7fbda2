use std::convert::Infallible;
use std::io::{Result, Write};
use std::sync::Mutex;
use std::time::Duration;

use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _};

use super::*;
use crate::client::Config;
use crate::incoming::SentryLayer;

static SAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Said;

impl Write for Said {
    fn write(&mut self, text: &[u8]) -> Result<usize> {
        SAID.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_wait_for_the_exporter_is_not_the_requests() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let _alone = event::rendering::ALONE.lock();
    let client = Config::builder().transport(|_: &[u8]| {}).build()?.client();
    let serve = |request: Request<String>| async move {
        let pause = || clock::advance(Duration::from_millis(500));
        if request.uri().path() == "/waits" {
            event::rendering::render(pause);
        } else {
            pause();
        }
        Ok::<_, Infallible>(Response::new(String::new()))
    };
    let service = SentryLayer::new(&client).name(|head| Some(head.uri().path().to_owned())).layer(tower::service_fn(serve));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let subscriber = tracing_subscriber::fmt().with_writer(|| Said).finish();

    clock::take_in_hand(true);
    tracing::subscriber::with_default(subscriber, || {
        for path in ["/waits", "/blocks"] {
            let request = Request::get(path).body(String::new()).unwrap_or_default();
            drop(runtime.block_on(service.clone().oneshot(request)));
        }
    });
    clock::take_in_hand(false);

    let said = String::from_utf8(SAID.lock().map(|said| said.clone()).unwrap_or_default())?;
    assert!(!said.contains("/waits blocked") && said.contains("/blocks blocked its thread for 500 ms"), "{said}");
    Ok(())
}
