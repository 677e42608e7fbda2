"""Writes recorded envelopes as TypeScript, each item with the type that it has in @sentry/core: typescript.py OUT FOLDER...

The compiler then reports each field that is missing, unknown or of another type.
"""
import collections
import json
import pathlib
import sys

from normalise import items

# The module of @sentry/core that has the type of the payload, that type, and the type of the envelope.
TYPES = {
    "check_in": ("checkin", "SerializedCheckIn", "CheckInEnvelope"),
    "client_report": ("clientreport", "ClientReport", "ClientReportEnvelope"),
    "event": ("event", "Event", "EventEnvelope"),
    "log": ("log", "SerializedLogContainer", "LogEnvelope"),
    "profile": ("profiling", "Profile", "EventEnvelope"),
    "profile_chunk": ("profiling", "ProfileChunk", "ProfileChunkEnvelope"),
    "sessions": ("session", "SessionAggregates", "SessionEnvelope"),
    "span": ("span", "SerializedStreamedSpanContainer", "StreamedSpanEnvelope"),
    "trace_metric": ("metric", "SerializedMetricContainer", "MetricEnvelope"),
    "transaction": ("event", "TransactionEvent", "EventEnvelope"),
}


def each(payload, path):
    """The objects at this path, in which `*` stands for all parts of a list."""
    found = [payload]
    for name in path:
        found = [inner for outer in found for inner in (outer if name == "*" else [outer[name]] if name in outer else [])]
    return found


def without_what_javascript_lacks(kind, payload):
    """Takes out what other SDKs send too, by the protocol, and the types of this SDK do not have."""
    if kind == "check_in":
        # A check-in has the trace alone.
        for trace in each(payload, ["contexts", "trace"]):
            trace.setdefault("span_id", "0" * 16)
    if kind == "log":
        for line in payload["items"]:
            line.pop("span_id", None)
    if kind == "event":
        if "breadcrumbs" in payload:
            payload["breadcrumbs"] = payload["breadcrumbs"]["values"]
        for trace in each(payload, ["exception", "values", "*", "stacktrace"]) + each(payload, ["threads", "values", "*", "stacktrace"]):
            trace.pop("instruction_addr_adjustment", None)
        # Of a session; those of transactions have a profile_id.
        for profile in each(payload, ["contexts", "profile"]):
            profile.setdefault("profile_id", "0" * 32)
        for image in each(payload, ["debug_meta", "images", "*"]):
            assert image["type"] == "elf", image
        payload.pop("debug_meta", None)
    if kind in ("profile", "profile_chunk"):
        for frame in payload["profile"]["frames"]:
            frame.pop("filename", None)
    if kind == "profile":
        payload["device"] |= {"is_emulator": False, "locale": "", "manufacturer": "", "model": ""}


lines, seen = [], collections.Counter()
for module in sorted({module for module, _, _ in TYPES.values()} | {"envelope"}):
    lines.append(f"import type * as {module} from '@sentry/core/build/types/types/{module}';")
for folder in sys.argv[2:]:
    for file in sorted(pathlib.Path(folder).iterdir()):
        for header, item, payload in items(file.read_bytes()):
            kind = item["type"]
            module, type, envelope = TYPES[kind]
            seen[kind] += 1
            without_what_javascript_lacks(kind, payload)
            name = f"{kind}_{seen[kind]}"
            # A literal must have no field beyond those of its declared type.
            lines.append(f"export const {name}: {module}.{type} = {json.dumps(payload)};")
            lines.append(f"export const {name}_header: envelope.{envelope}[0] = {json.dumps(header)};")
            lines.append(f"export const {name}_item: envelope.{envelope}[1][number][0] = {json.dumps(item)};")
missing = set(TYPES) - set(seen) - {"client_report"}
assert not missing, f"no item of these types was recorded: {missing}"
pathlib.Path(sys.argv[1]).write_text("\n".join(lines) + "\n")
print("types: " + ", ".join(f"{count} {kind}" for kind, count in sorted(seen.items())))
