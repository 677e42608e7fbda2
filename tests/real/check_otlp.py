"""Compares what a recorder of envelopes and rotel got of the example `otlp`: check_otlp.py FOLDER ROTEL_LOG"""
import json
import pathlib
import re
import sys
import time


def envelopes(folder):
    """The spans of all transactions: the root of each, and the others. By span id: trace id, parent id."""
    found = {}
    for file in pathlib.Path(folder).iterdir():
        raw = file.read_bytes()
        lines = raw.split(b"\n")[1:]
        for header, payload in zip(lines[::2], lines[1::2]):
            if json.loads(header)["type"] != "transaction":
                continue
            transaction = json.loads(payload)
            for span in [transaction["contexts"]["trace"], *transaction["spans"]]:
                found[span["span_id"]] = (span["trace_id"], span.get("parent_span_id", ""))
    return found


def spans(log):
    """What rotel writes of each span to its detailed log."""
    found, resource, current, where = [], {}, None, None
    for line in log.split("\n"):
        text = line.strip()
        if re.match(r"^ResourceSpans #", text):
            resource, current, where = {}, None, None
        elif text == "Resource attributes:":
            where = resource
        elif re.match(r"^ScopeSpans #", text):
            where = None
        elif re.match(r"^Span #\d+$", text):
            current = {"resource": resource, "fields": {}, "attributes": {}}
            found.append(current)
            where = current["attributes"]
        elif (pair := re.match(r"^ *-> ([^:]+): (?:Str|Int|Bool|Double)\((.*)\)$", line)) and where is not None:
            where[pair[1].strip()] = pair[2]
        elif (pair := re.match(r"^([A-Za-z][A-Za-z ]*?) *: (.*)$", text)) and current is not None:
            current["fields"][pair[1].strip()] = pair[2].strip()
    return found


def in_rotel(log):
    fields = [(span["fields"], span) for span in spans(log)]
    return {of["ID"]: (of["Trace ID"], of.get("Parent ID", "")) for of, _ in fields}


sent = envelopes(sys.argv[1])
log = pathlib.Path(sys.argv[2])
# rotel writes its log behind its answer.
latest = time.monotonic() + 60
while len(in_rotel(log.read_text(errors="replace"))) < len(sent) and time.monotonic() < latest:
    time.sleep(0.1)
text = log.read_text(errors="replace")
assert len(sent) == 6, sent
assert in_rotel(text) == sent, f"other ids:\n{in_rotel(text)}\n{sent}"

by_name = {span["fields"]["Name"]: span for span in spans(text)}
assert set(by_name) == {"GET /orders/{id}", "order", "SELECT"}, list(by_name)
kinds = {name: span["fields"]["Kind"] for name, span in by_name.items()}
assert kinds == {"GET /orders/{id}": "SPAN_KIND_SERVER", "order": "SPAN_KIND_INTERNAL", "SELECT": "SPAN_KIND_CLIENT"}, kinds
roots = [span for span in spans(text) if span["fields"]["Name"] == "GET /orders/{id}"]
codes = {span["attributes"]["http.response.status_code"]: span["fields"]["Status code"] for span in roots}
assert codes == {"200": "STATUS_CODE_UNSET", "503": "STATUS_CODE_ERROR"}, codes
for root in roots:
    attributes = root["attributes"]
    assert attributes["http.request.method"] == "GET" and attributes["http.route"] == "/orders/{id}", attributes
    assert attributes["user_agent.original"] == "curl/8" and attributes["sentry.op"] == "http.server", attributes
query = by_name["SELECT"]
assert query["attributes"]["db.query.text"].startswith("SELECT * FROM orders"), query
for span in spans(text):
    resource = span["resource"]
    assert resource["service.name"] == "shop" and resource["service.namespace"] == "north", resource
    assert resource["telemetry.sdk.language"] == "rust" and resource["deployment.environment.name"] == "production", resource
for secret in ["live-key-93c1e7a2", "4111 1111"]:
    assert secret not in text, f"rotel got {secret}"
assert "[Filtered]" in text
print(f"rotel: the same {len(sent)} spans as in Sentry, with the names of the conventions and without secrets")
