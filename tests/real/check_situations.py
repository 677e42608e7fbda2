"""What arrived of the situations, through Sentry's own normaliser, against the guide's table: check_situations.py FOLDER"""
import collections
import pathlib
import sys

from normalise import items, normalise

# url.path: name, source, status, status code, attributes
SITUATIONS = {
    "/users/7": ("GET /users/{id}", "route", "ok", 200, {}),
    "/api/items/9": ("GET /api/items/{item}", "route", "ok", 200, {}),
    "/files/quickstart.rs": ("GET /files/{*path}", "route", "ok", 200, {}),
    "/nowhere/4711": ("GET <unmatched>", "route", "not_found", 404, {}),
    "/stream": ("GET /stream", "route", "ok", 200, {"http.response.body.size": 13, "tower_sentry.body_frames": 3}),
    "/broken": ("GET /broken", "route", "internal_error", 200, {}),
    "/late": ("GET /late", "route", "deadline_exceeded", 504, {}),
    "/crash": ("GET /crash", "route", "internal_error", None, {}),
    "/caught": ("GET /caught", "route", "internal_error", 500, {}),
    "/grpc": ("GET /grpc", "route", "not_found", 200, {"rpc.grpc.status_code": 5}),
    "/status/200": ("GET /status/{code}", "route", "ok", 200, {}),
    "/status/304": ("GET /status/{code}", "route", "ok", 304, {}),
    "/status/404": ("GET /status/{code}", "route", "not_found", 404, {}),
    "/status/429": ("GET /status/{code}", "route", "resource_exhausted", 429, {}),
    "/status/500": ("GET /status/{code}", "route", "internal_error", 500, {}),
    "/status/503": ("GET /status/{code}", "route", "unavailable", 503, {}),
    "/users/8": ("HEAD /users/{id}", "route", "ok", 200, {}),
    "/users/9": ("_OTHER /users/{id}", "route", "invalid_argument", 405, {}),
    "/never": ("GET /never", "route", "cancelled", None, {"tower_sentry.cancelled": "before_headers"}),
    "/endless": ("GET /endless", "route", "cancelled", 200, {"tower_sentry.cancelled": "in_body"}),
}

# Over each version: two panics; /broken, /late, 500 and 503, which nobody explains.
EVENTS = 2 * (2 + 4)
seen = collections.defaultdict(list)
sessions = events = 0
for file in pathlib.Path(sys.argv[1]).iterdir():
    for header, item, payload in items(file.read_bytes()):
        if item["type"] == "sessions":
            sessions += sum(sum(count for name, count in minute.items() if name != "started") for minute in payload["aggregates"])
        elif item["type"] in ("event", "transaction"):
            normalise(header, payload)
            events += item["type"] == "event"
            if item["type"] == "transaction":
                seen[payload["contexts"]["trace"]["data"]["url.path"]].append(payload)
seen.pop("/empty")
assert set(seen) == set(SITUATIONS), set(seen) ^ set(SITUATIONS)
for path, (name, source, status, code, attributes) in SITUATIONS.items():
    versions = set()
    for transaction in seen[path]:
        trace = transaction["contexts"]["trace"]
        data = trace["data"]
        versions.add(data["network.protocol.version"])
        found = (transaction["transaction"], transaction["transaction_info"]["source"], trace["status"], data.get("http.response.status_code"))
        assert found == (name, source, status, code), f"{path}: {found}"
        for attribute, value in attributes.items():
            assert data.get(attribute) == value, f"{path}: {attribute} is {data.get(attribute)}"
        assert ("tower_sentry.cancelled" in data) == (status == "cancelled"), path
    assert versions == {"1.1", "2"} and len(seen[path]) == 2, f"{path}: {versions}, {len(seen[path])} transactions"
assert events == EVENTS, f"{events} events"
print(f"situations: {len(SITUATIONS)} of them as the guide says, over HTTP/1.1 and HTTP/2; {events} events, {sessions} sessions")
