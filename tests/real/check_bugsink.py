"""Asks a Bugsink, by its own API, whether the quickstart's failures arrived whole: check_bugsink.py URL TOKEN"""
import json
import sys
import urllib.request

url, token = sys.argv[1], sys.argv[2]
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(path):
    request = urllib.request.Request(f"{url}/api/canonical/0/{path}", headers={"Authorization": f"Bearer {token}"})
    return json.load(direct.open(request, timeout=20))


issues = {issue["calculated_type"]: issue for issue in get("issues/?project=1")["results"]}
assert set(issues) == {"OrderError", "panic"}, f"the issues are {sorted(issues)}"


def event(kind):
    events = get(f"events/?issue={issues[kind]['id']}")["results"]
    assert len(events) == 1, f"{kind}: {len(events)} events, expected one"
    return get(f"events/{events[0]['id']}/")["data"]


def check(what, found, expected):
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"
    print(f"bugsink: {what}: {found!r}")


error = event("OrderError")
chain = [(value["type"], value["value"]) for value in reversed(error["exception"]["values"])]
check(
    "chain",
    chain,
    [
        ("OrderError", "order 7 could not be placed"),
        ("PaymentError", "the payment service did not answer"),
        ("io::Error", "connection refused"),
    ],
)
check("route", issues["OrderError"]["transaction"], "GET /orders/{id}")
check("url", error["request"]["url"], "http://127.0.0.1:3000/orders/7")
check("query", error["request"]["query_string"], "token=[Filtered]")
check("authorization", error["request"]["headers"]["authorization"], "[Filtered]")
check("user", error["user"], {"id": "42"})
check("tags", error["tags"], {"tour": "quickstart", "plan": "gold"})
check("breadcrumb", error["breadcrumbs"]["values"][-1]["message"], "charging")
check("release", error["release"].split("@")[0], "tower-sentry")

panic = event("panic")["exception"]["values"][0]
assert panic["value"].startswith("the shelf is empty"), panic["value"]
own = [frame["function"] for frame in panic["stacktrace"]["frames"] if frame.get("in_app")]
assert any("crash" in function for function in own), own
check("panic", panic["mechanism"], {"type": "panic", "handled": False, "exception_id": 0})

# The situations: what nobody explains is an issue for each route, with an event for each failure over each version of HTTP.
failures = {}
for issue in get("issues/?project=2")["results"]:
    for found in get(f"events/?issue={issue['id']}")["results"]:
        data = get(f"events/{found['id']}/")["data"]
        failures[data["transaction"]] = failures.get(data["transaction"], 0) + 1
check("situations", failures, {"GET /broken": 2, "GET /late": 2, "GET /status/{code}": 4, "GET /crash": 2, "GET /caught": 2})
