//! Commands to Redis, with the wrapper of the guide's page on spans.
#![allow(clippy::unwrap_used, reason = "test code")]

use redis::aio::ConnectionLike;
use redis::{AsyncCommands as _, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, Value};
use tower_sentry::Scope;
use tower_sentry::protocol::SpanStatus;

// guide
/// A command to Redis as a span. Its keys and values are not recorded.
async fn redis<T, E>(command: &'static str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let observed = async {
        let result = work.await;
        if result.is_err() {
            Scope::current().span().set_status(SpanStatus::InternalError);
        }
        result
    };
    tower_sentry::span("db.redis", command, observed).attribute("db.system.name", "redis").attribute("db.operation.name", command).await
}
// end

/// A connection that has one key.
struct Connection;

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let is_get = command.args_iter().next().is_some_and(|name| matches!(name, redis::Arg::Simple(b"GET")));
        let answer = if is_get { Ok(Value::BulkString(b"17".to_vec())) } else { Err(RedisError::from((ErrorKind::Io, "gone"))) };
        Box::pin(async move { answer })
    }

    fn req_packed_commands<'a>(&'a mut self, _: &'a Pipeline, _: usize, _: usize) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

#[tokio::test]
async fn commands_of_redis_are_spans_with_their_outcome_and_without_their_keys() {
    let (client, captured) = tower_sentry::test::client();
    let mut connection = Connection;
    let work = async {
        let stock: u32 = redis("GET", connection.get("canary:7")).await.unwrap();
        let failed: Result<(), _> = redis("SET", connection.set("canary:7", stock)).await;
        assert!(failed.is_err());
    };

    client.transaction("stock").run_infallible(work).await;

    assert_eq!(captured.tree(), "stock [task] ok\n  GET [db.redis] ok\n  SET [db.redis] internal_error\n");
    let span = &captured.transactions()[0].spans[0];
    assert_eq!((&span.data["db.system.name"], &span.data["db.operation.name"]), (&"redis".into(), &"GET".into()));
    assert!(!format!("{:?}", captured.transactions()).contains("canary"));
}

/// The same wrapper takes the commands of fred.
#[expect(dead_code, reason = "it compiles")]
async fn of_fred(client: &fred::clients::Client) -> Result<Option<String>, fred::error::Error> {
    use fred::interfaces::KeysInterface as _;
    redis("GET", client.get("key")).await
}

#[test]
fn the_guide_has_this_wrapper() {
    let part = |text: &'static str, from: &str, to: &str| text.split(from).nth(1).and_then(|rest| rest.split(to).next()).map(str::trim);

    let here = part(include_str!("redis.rs"), "// guide\n", "// end\n");
    let guide = part(
        include_str!("../../../src/guide/spans.md"),
        "<!-- redis -->\n\n```rust\n# use tower_sentry::Scope;\n# use tower_sentry::protocol::SpanStatus;\n",
        "```",
    );

    assert!(here.is_some() && here == guide, "{guide:?}");
}
