"""What vLLM's /metrics page says against what pitwall says, read by a parser of its own: it shares no code with pitwall.

  agrees.py snapshot BEFORE SNAPSHOT AFTER   a snapshot --json lies between two pages, taken just before and just after it
  agrees.py still BEFORE AFTER               the two pages are equal in all that requests move
  agrees.py value PAGE NAME                  the sum of a metric over its series
  agrees.py series ANSWER PAGE NAME          a query --json gives every series of a metric exactly as the page has it
  agrees.py increase ANSWER OLD NEW NAME     a query --json gives for every series of a metric NEW - OLD, exactly
  agrees.py number ANSWER                    the single number of a query --json
  agrees.py within A TOLERANCE B             |A - B| <= TOLERANCE * |B|
  agrees.py between LOW X HIGH               LOW <= X <= HIGH

PAGE, BEFORE, AFTER, OLD, NEW: files with the text of /metrics. SNAPSHOT, ANSWER: files with pitwall's JSON, in which a series
is an object with the labels in "metric" or "labels" (the name in __name__, or beside them in "name") and the number in
"value" (a number, a text, or Prometheus's [time, text]).
"""
import json
import math
import re
import sys

LINE = re.compile(r'^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)')
LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
# What moves by itself, without a request: the scrape's own cost, the process, the time that a thread waited.
RESTLESS = re.compile(r'^(process_|python_gc_|http_)')
ADDED = ("job", "instance", "__name__", "exported_job", "exported_instance")


def page(path):
    """{(name, labels): value} of a text page; labels as a sorted tuple, le and quantile as numbers.

    Without the _created lines: OpenMetrics has them beside a counter, to say when it began, and pitwall keeps no series of them.
    """
    out = {}
    for line in open(path, encoding="utf-8"):
        if line.startswith("#") or not line.strip():
            continue
        m = LINE.match(line)
        if not m:
            sys.exit("%s: not a sample: %r" % (path, line))
        labels = {k: re.sub(r"\\(.)", lambda e: {"n": "\n"}.get(e[1], e[1]), v) for k, v in LABEL.findall(m[2] or "")}
        if not m[1].endswith("_created"):
            out[key(m[1], labels)] = float(m[3])
    if not out:
        sys.exit("%s: an empty page" % path)
    return out


def key(name, labels):
    return name, tuple(sorted((k, float(v) if k in ("le", "quantile") else v) for k, v in labels.items() if k not in ADDED))


def series(doc):
    """Every series in a JSON document, wherever it stands."""
    if isinstance(doc, dict):
        labels = doc.get("metric", doc.get("labels"))
        if isinstance(labels, dict) and "value" in doc:
            v = doc["value"]
            if isinstance(v, list):
                v = v[-1]
            if v is not None:
                yield key(labels.get("__name__", doc.get("name", "")), labels), float(v)
            return
        doc = list(doc.values())
    if isinstance(doc, list):
        for x in doc:
            yield from series(x)


def answer(path):
    return dict(series(json.load(open(path))))


def counter(name):
    return name.endswith(("_total", "_sum", "_count", "_bucket"))


# What pitwall calls by a name of its own that means the same for every engine, and vLLM's gauge.
NAMED = {"engine:running": "vllm:num_requests_running", "engine:waiting": "vllm:num_requests_waiting", "engine:kv_usage": "vllm:kv_cache_usage_perc"}


def snapshot(before, path, after):
    a, b = page(before), page(after)
    engine, = json.load(open(path))["engines"]
    got = dict(series(engine["samples"]))
    named = {v["name"]: v.get("value") for v in engine["values"]}
    wrong, exact, bracketed = [], 0, 0
    for name, gauge in NAMED.items():
        old, new = (sum(v for k, v in p.items() if k[0] == gauge) for p in (a, b))
        if old == new and named.get(name) != new:
            wrong.append("%s: page %r, snapshot %r" % (name, new, named.get(name)))
    for k in a:
        if k not in b:
            continue
        if k not in got:
            wrong.append("%s%s is on the page but not in the snapshot" % (k[0], dict(k[1])))
        elif a[k] == b[k] and not RESTLESS.match(k[0]):
            if got[k] != a[k]:
                wrong.append("%s%s: page %r, snapshot %r" % (k[0], dict(k[1]), a[k], got[k]))
            exact += 1
        elif counter(k[0]):
            if not a[k] <= got[k] <= b[k]:
                wrong.append("%s%s: page %r, then %r, snapshot %r" % (k[0], dict(k[1]), a[k], b[k], got[k]))
            bracketed += 1
    for w in wrong[:20]:
        print(w)
    print("%d series exactly as on the page, %d counters between the two pages, %d wrong" % (exact, bracketed, len(wrong)))
    return not wrong and sum(k[0].startswith("vllm:") for k in got) > 100


def still(before, after):
    a, b = page(before), page(after)
    moved = [k for k in a if not RESTLESS.match(k[0]) and a[k] != b.get(k)]
    for k in moved[:5]:
        print("%s%s: %r, then %r" % (k[0], dict(k[1]), a[k], b.get(k)))
    return not moved


def same(got, want, what):
    wrong = []
    for k, v in want.items():
        near = [g for g in got if g[1] == k[1] and g[0] in ("", k[0])]
        if len(near) != 1:
            wrong.append("%s: %d answers for %s" % (what, len(near), dict(k[1])))
        elif got[near[0]] != v:
            wrong.append("%s%s: vLLM says %r, pitwall %r" % (what, dict(k[1]), v, got[near[0]]))
    for w in wrong[:20]:
        print(w)
    print("%d series compared" % len(want))
    return bool(want) and not wrong


def metric(path, name):
    got = {k: v for k, v in page(path).items() if k[0] == name}
    if not got:
        sys.exit("%s: no %s" % (path, name))
    return got


def number(path):
    got = list(answer(path).values())
    if len(got) != 1 or math.isnan(got[0]):
        sys.exit("%s: not one number but %r" % (path, got))
    return got[0]


def main(how, *args):
    if how == "snapshot":
        return snapshot(*args)
    if how == "still":
        return still(*args)
    if how == "value":
        print(repr(sum(metric(*args).values())))
        return True
    if how == "series":
        return same(answer(args[0]), metric(args[1], args[2]), args[2])
    if how == "increase":
        old, new = metric(args[1], args[3]), metric(args[2], args[3])
        return same(answer(args[0]), {k: v - old.get(k, 0) for k, v in new.items()}, args[3])
    if how == "number":
        print(repr(number(*args)))
        return True
    if how == "within":
        a, tolerance, b = map(float, args)
        print("%r against %r" % (a, b))
        return abs(a - b) <= tolerance * abs(b)
    if how == "between":
        low, x, high = map(float, args)
        print("%r <= %r <= %r" % (low, x, high))
        return low <= x <= high
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:] or ["help"]) else 1)
