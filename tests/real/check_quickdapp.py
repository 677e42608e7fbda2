"""Checks what a browser, the server and the worker of QuickDapp have sent: check_quickdapp.py FOLDER

FOLDER has what the browser gave to the tunnel (`sent`), and what the two projects received (`server`, `worker`).
"""
import json
import pathlib
import re
import sys
import zlib

folder = pathlib.Path(sys.argv[1])


def envelopes(of):
    return [file.read_bytes() for file in sorted((folder / of).glob("*.envelope"))]


def items(data):
    """Yields the kind and payload of each item, and whether it is the browser's."""
    header, _, rest = data.partition(b"\n")
    of_browser = json.loads(header).get("sdk", {}).get("name", "").startswith("sentry.javascript")
    while rest:
        item, _, rest = rest.partition(b"\n")
        item = json.loads(item)
        length = item.get("length")
        if length is None:
            payload, _, rest = rest.partition(b"\n")
        else:
            payload, rest = rest[:length], rest[length + 1 :]
        yield item["type"], payload, of_browser


def payloads(of, kind, of_browser):
    return [json.loads(payload) for data in envelopes(of) for of_kind, payload, browsers in items(data) if (of_kind, browsers) == (kind, of_browser)]


def trace(payload):
    return payload["contexts"]["trace"]


def user(payload):
    return (payload.get("user") or {}).get("id")


def named(transactions, name):
    found = [transaction for transaction in transactions if transaction["transaction"] == name]
    if not found:
        sys.exit(f"{name} has not arrived: {[transaction['transaction'] for transaction in transactions]}")
    return found[0]


requests = payloads("server", "transaction", False)
jobs = payloads("worker", "transaction", False)
errors = sorted(payloads("server", "event", True), key=lambda event: event["exception"]["values"][0]["value"])
page, order, signed_in, signed_out = (named(requests, name) for name in ("GET /", "POST /api/tokens", "POST /api/sign-in", "POST /api/sign-out"))
job = named(jobs, "token.deploy")
publish = next(span for span in order["spans"] if span["op"] == "queue.publish")
browser_spans = [span for container in payloads("server", "span", True) for span in container["items"]]
load = next(span for span in browser_spans if span["is_segment"] and span["parent_span_id"] == trace(page)["span_id"])
wallet = user(signed_in)
feedback = [payload["contexts"]["feedback"] for payload in payloads("server", "feedback", False)]
sent, received = envelopes("sent"), set(envelopes("server"))
replays = [data for data in sent if any(kind == "replay_recording" for kind, _, _ in items(data))]
# Replays are compressed by the SDK, so their texts are searched too.
recordings = [zlib.decompress(payload.partition(b"\n")[2]) for data in replays for kind, payload, _ in items(data) if kind == "replay_recording"]
everything = envelopes("server") + envelopes("worker") + recordings
secrets = [secret.encode() for secret in json.loads((folder / "sent" / "secrets.json").read_text())]

checks = {
    "the page, the order and the job are one trace": len({trace(part)["trace_id"] for part in (page, order, job)} | {load["trace_id"]}) == 1,
    "the page load is a child of the page's request": load["parent_span_id"] == trace(page)["span_id"],
    "the order is a child of a span of the browser": trace(order)["parent_span_id"] in {span["span_id"] for span in browser_spans},
    "the job is a child of the span that wrote it into the queue": trace(job)["parent_span_id"] == publish["span_id"],
    "three errors have arrived through the tunnel": len(errors) == 3,
    "they are in the trace of the page": all(trace(error)["trace_id"] == trace(page)["trace_id"] for error in errors),
    "their texts are redacted": [error["exception"]["values"][0]["value"] for error in errors]
    == [f"error {number} of the page, password=[Filtered]" for number in (1, 2, 3)],
    "the browser has a user from the sign-in to the sign-out": [user(error) for error in errors] == [None, wallet, None],
    "the server too": (user(page), user(order), user(signed_out)) == (None, wallet, None),
    "and the worker": user(job) == wallet,
    "the user is a wallet in lower case": re.fullmatch("0x[0-9a-f]{40}", wallet or "") is not None,
    "the release is the same everywhere": {part["release"] for part in (page, job, *errors)} == {"quickdapp@0.1.0"},
    "what the user said is redacted, and linked to the last error": [(said["message"], said["associated_event_id"]) for said in feedback]
    == [("the second error, password=[Filtered]", errors[1]["event_id"])],
    "a replay was sent": len(replays) > 0,
    "replays are passed on as they are": all(replay in received for replay in replays),
    "the projects are apart": not payloads("worker", "event", True) and all(part["transaction"] != "token.deploy" for part in requests),
    "a replay shows the page": any(b'"tagName":"button"' in text for text in recordings),
    "no secret has left": len(secrets) == 5 and not any(secret in text for secret in secrets for text in everything),
}
failed = [check for check, holds in checks.items() if not holds]
if failed:
    parts = [page, order, job, *errors]
    sys.exit(f"not so: {', '.join(failed)}\n{json.dumps([[part.get('transaction'), trace(part), user(part)] for part in parts], indent=1)}")
print(f"QuickDapp in a real browser: the page, its requests and the job in one trace, replays as they were ({len(replays)}): {len(checks)} checks")
