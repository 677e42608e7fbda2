"""Envelopes as items, and Sentry's own normaliser over what they hold."""
import json

from sentry_relay.processing import StoreNormalizer


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


def normalise(header, payload):
    """What Relay makes of an event or a transaction; anything it objects to is a failure."""
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
    assert not found, f"{payload.get('transaction')}: {found}"
    return normal
