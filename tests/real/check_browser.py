"""Checks what a browser and its page's service have sent: check_browser.py FOLDER

Waits until the event of the browser, the transaction of the page's request and the span of the page load are there.
"""
import json
import pathlib
import sys
import time

folder = pathlib.Path(sys.argv[1])
DEADLINE = time.monotonic() + 120


def items():
    """Yields the header of each envelope, and the payloads of its items that are JSON."""
    for file in sorted(folder.glob("*.envelope")):
        data = file.read_bytes()
        header, _, rest = data.partition(b"\n")
        while rest:
            item, _, rest = rest.partition(b"\n")
            length = json.loads(item).get("length")
            payload, rest = (rest[:length], rest[length + 1 :]) if length is not None else rest.split(b"\n", 1) if b"\n" in rest else (rest, b"")
            yield json.loads(header), json.loads(item)["type"], payload


def found():
    """Returns the event of the browser, the transaction of the service and the browser's outermost span, as far as they are there."""
    event = request = load = None
    for header, kind, payload in items():
        of_browser = header.get("sdk", {}).get("name", "").startswith("sentry.javascript")
        if kind == "event" and of_browser:
            event = json.loads(payload)
        elif kind == "transaction" and not of_browser and b'"GET /cart/{id}"' in payload:
            request = json.loads(payload)
        elif kind == "span" and of_browser:
            load = next((span for span in json.loads(payload)["items"] if span["is_segment"]), load)
    return event, request, load


while not all(found()) and time.monotonic() < DEADLINE:
    time.sleep(0.2)
event, request, load = found()
for what, name in (event, "the error of the page"), (request, "the transaction of its request"), (load, "the span of the page load"):
    if what is None:
        sys.exit(f"{name} has not arrived: {sorted(file.name for file in folder.glob('*'))}")

traces = {"event": event["contexts"]["trace"], "request": request["contexts"]["trace"], "load": load}
error = event["exception"]["values"][0]
checks = {
    "one trace": len({trace["trace_id"] for trace in traces.values()}) == 1,
    "the page load is a child of the request": traces["load"]["parent_span_id"] == traces["request"]["span_id"],
    "the error is a part of the page load": traces["event"]["span_id"] == traces["load"]["span_id"],
    "the error's text is redacted": error["value"] == "the cart is gone, password=[Filtered]",
    "the error has the place in the page": "/cart/7" in error["stacktrace"]["frames"][-1]["filename"],
    "the user is that of the page": event["user"]["id"] == "7",
    "the release is that of the service": event["release"] == request["release"] == "cart@1.0.0",
    "no secret has left": not any(b"hunter2" in file.read_bytes() for file in folder.glob("*.envelope")),
}
failed = [check for check, holds in checks.items() if not holds]
if failed:
    sys.exit(f"not so: {', '.join(failed)}\n{json.dumps([event, traces], indent=1)}")
print(f"a browser's error arrived through the tunnel in the trace of its page: {len(checks)} checks")
