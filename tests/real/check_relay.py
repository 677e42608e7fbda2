"""Runs Sentry's own normaliser over recorded envelopes; anything it objects to is a failure: check_relay.py FOLDER"""
import json
import pathlib
import sys

from sentry_relay.processing import StoreNormalizer

SECRETS = ["sk_live_4eC39HqLyjWDarjtT1zdp7dc", "eyJhbGciOiJIUzI1NiJ9", "c2VjcmV0LWJlYXJlci10b2tlbg", "live-key-93c1e7a2", "8f14e45fceea167a"]


def items(raw):
    header, rest = raw.split(b"\n", 1)
    header = json.loads(header)
    while rest:
        line, rest = rest.split(b"\n", 1)
        item = json.loads(line)
        payload, end, rest = rest[: item["length"]], rest[item["length"] : item["length"] + 1], rest[item["length"] + 1 :]
        assert end in (b"", b"\n"), f"a payload is longer than its length: {line}"
        yield header, item, json.loads(payload)


def remarks(meta, path=""):
    """Every annotation below this point of `_meta`."""
    for name, inner in meta.items():
        if name == "":
            yield path, inner
        else:
            yield from remarks(inner, f"{path}.{name}")


seen = {}
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    raw = file.read_bytes()
    for secret in SECRETS:
        assert secret.encode() not in raw, f"{file.name} holds a credential of the tour"
    for header, item, payload in items(raw):
        kind = item["type"]
        seen[kind] = seen.get(kind, 0) + 1
        if kind not in ("event", "transaction"):
            continue
        assert header["event_id"] == payload["event_id"]
        normalizer = StoreNormalizer(
            project_id=1,
            client=f"{payload['sdk']['name']}/{payload['sdk']['version']}",
            protocol_version="7",
            sent_at=header["sent_at"],
            received_at=header["sent_at"],
            max_secs_in_future=60,
            max_secs_in_past=30 * 24 * 3600,
            enable_trimming=True,
            remove_other=True,
            normalize_user_agent=True,
            normalize_spans=True,
            is_renormalize=False,
        )
        normal = normalizer.normalize_event(raw_event=json.dumps(payload))
        found = list(remarks(normal.get("_meta") or {})) + list(normal.get("errors") or [])
        assert not found, f"{file.name}: {kind}: {found}"
        assert normal["platform"] == "native" and len(normal.get("spans") or []) == len(payload.get("spans") or [])
assert seen.get("event") == 2 and seen.get("transaction") == 5, f"recorded: {seen}"
print(f"relay: no remark on {seen['event']} events and {seen['transaction']} transactions, no credential in any envelope")
