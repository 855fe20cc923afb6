"""Damage to results, records and board records: each function gives other bytes for a good file, from a seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Steps: TypeAlias = "tuple[str | int, ...]"  # the way to a value inside a JSON value
FILLER = "Zq"  # of long texts; an error that repeats it a hundred times quotes too much
SIGNS = ("\x1b[31m", "\u202e", "\u200b", "\x00", "\r\n", "\t", "\u2028", "\x9b", "\ufeff")
MARKUP = (
    "[x](https://example.org)",
    "![x](https://example.org/a.png)",
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "=1+1|' /C calc'!A0",
    "@SUM(1)",
    "-2+3",
    "a | b | c",
    r"\input{secret}% $x$ #1 _y_ ^z ~",
    "`code` **bold** &lt; <!-- --> https://example.org www.example.org",
    "[x]: https://example.org",
    "{{7*7}} ${x} %s {0}",
    "__proto__",
)
ODD_IDS = ("../../etc/passwd", "/etc/passwd", "a/../b", "C:\\a", "..", "", "cafe\u0301", "caf\u00e9", "con")
SCHEMAS: tuple[Any, ...] = ("tlbench.result/2", "tlbench.record/0", "x", 7, None, "tlbench.result/" + "9" * 5000)
LONG_NUMBERS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"0." + b"1" * 10**6, b"1e-999999999")
NUMBERS: tuple[Any, ...] = (-1, -0.5, 2**31, 2**53 + 1, 2**63, 10**30, 1e16, 1e300, -1e300, 10**9, 10**12, 0, 0.5)
OTHERS: tuple[Any, ...] = (None, True, 0, 7, -3, 0.25, "", "text", [], {}, [None], {"a": 1}, [[]], "inf", "nan")


def values_in(value: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Every value inside a JSON value, with the way to it."""
    yield steps, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in inner:
        yield from values_in(item, (*steps, step))


def _put(data: Any, steps: Steps, value: Any) -> None:
    for step in steps[:-1]:
        data = data[step]
    data[steps[-1]] = value


def _at(data: Any, steps: Steps) -> Any:
    for step in steps:
        data = data[step]
    return data


def _pick(data: Any, rng: random.Random, kind: type | tuple[type, ...] = object) -> Steps:
    """The way to some value of a kind. Each field is as likely as any other, however long its lists are."""
    ways: dict[tuple[str, ...], list[Steps]] = {}
    for steps, value in values_in(data):
        if steps and isinstance(value, kind) and not (kind is not object and isinstance(value, bool)):
            ways.setdefault(tuple(step for step in steps if isinstance(step, str)), []).append(steps)
    if not ways:  # a check has no number
        return _pick(data, rng)
    return rng.choice(ways[rng.choice(sorted(ways))])


def _text(data: Any, rng: random.Random) -> Steps:
    return _pick(data, rng, str)


def a_surrogate(data: Any, rng: random.Random) -> None:
    steps = _text(data, rng)
    _put(data, steps, _at(data, steps) + rng.choice(("\ud800", "\udce9", "\udfff")))


def a_sign(data: Any, rng: random.Random) -> None:
    steps = _text(data, rng)
    _put(data, steps, rng.choice(SIGNS).join((_at(data, steps), "x")))


def markup(data: Any, rng: random.Random) -> None:
    _put(data, _text(data, rng), rng.choice(MARKUP))


def a_long_text(data: Any, rng: random.Random) -> None:
    _put(data, _text(data, rng), FILLER * rng.choice((300, 10**4, 10**6, 5 * 10**6)))


def a_large_number(data: Any, rng: random.Random) -> None:
    _put(data, _pick(data, rng, (int, float)), rng.choice(NUMBERS))


def another_kind(data: Any, rng: random.Random) -> None:
    _put(data, _pick(data, rng), rng.choice(OTHERS))


def a_missing_field(data: Any, rng: random.Random) -> None:
    steps = _pick(data, rng)
    del _at(data, steps[:-1])[steps[-1]]


def another_field(data: Any, rng: random.Random) -> None:
    objects = [steps for steps, value in values_in(data) if isinstance(value, dict)]
    _at(data, rng.choice(objects))[rng.choice(("new", "", "99", "\u202e", FILLER * 10**5))] = rng.choice(OTHERS)


def a_longer_list(data: Any, rng: random.Random) -> None:
    steps = _pick(data, rng, list)
    found = _at(data, steps)
    _put(data, steps, rng.choice((found[1:], found + found[:1], found * 3, found * 2000, found[::-1])))


def deep_levels(data: Any, rng: random.Random) -> None:
    value: Any = 1
    for _ in range(rng.choice((40, 400))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    _put(data, _pick(data, rng), value)


def an_odd_id(data: Any, rng: random.Random) -> None:
    ids = data["result"]["clips"]["id"] if "result" in data else data["clips"]["id"] if "clips" in data else None
    ids, place = (data, "id") if ids is None else (ids, rng.randrange(len(ids)))
    first = "s1/c01" if ids is data else str(ids[0])
    ids[place] = rng.choice((*ODD_IDS, first, first.upper()))


def an_impossible_tally(data: Any, rng: random.Random) -> None:
    metrics = (data.get("result") or data).get("metrics")
    if not isinstance(metrics, dict):
        another_kind(data, rng)
        return
    columns = metrics[rng.choice(sorted(metrics))]["fields"]
    column = columns[rng.choice(sorted(columns))]
    place = rng.randrange(len(column))
    column[place] = rng.choice((-1, 10**9, None, (column[place] or 0) + 1, -(column[place] or 1)))


def a_contradiction(data: Any, rng: random.Random) -> None:
    result = data.get("result") or data
    metrics = result.get("metrics")
    if not isinstance(metrics, dict):
        a_missing_field(data, rng)
        return
    metric = metrics[rng.choice(sorted(metrics))]
    change = rng.randrange(6)
    if change == 0:
        metric["low"], metric["high"] = metric["high"], metric["low"]
    elif change == 1:
        metric["scored"] = result["expected"] + 1
    elif change == 2:
        metric["clusters"] = 10**6
    elif change == 3:
        result["expected"] = rng.choice((0, 1, 10**9, 10**13))
    elif change == 4:
        metric["low"] = None
    else:
        metric["value"] = rng.choice((None, "inf", "nan", 0, 1e9))


def another_protocol(data: Any, rng: random.Random) -> None:
    result = data.get("result") or data
    change = rng.randrange(4)
    metrics = result.get("metrics")
    if change == 0 or not isinstance(metrics, dict):
        data["schema"] = rng.choice(SCHEMAS)
    elif change == 1:
        metrics[rng.choice(sorted(metrics))]["version"] = rng.choice((0, 2, 10**9, -1, "1", 1.0, None))
    elif change == 2:
        metric = metrics[rng.choice(sorted(metrics))]
        own = metric["protocol"]
        metric["protocol"] = rng.choice((own[::-1], own + "0", FILLER * 5000, "a[b]@1", ""))
    else:
        name = rng.choice(sorted(metrics))
        metrics[rng.choice(("unknown/sound", "\u202e", FILLER * 5000))] = metrics.pop(name)


def large_settings(data: Any, rng: random.Random) -> None:
    result = data.get("result") or data
    interval = result.get("interval")
    if not isinstance(interval, dict):
        a_large_number(data, rng)
        return
    interval[rng.choice(("resamples", "seed", "level"))] = rng.choice((10**8, 10**15, 2**63 - 1, 0, -1, 0.999999, 1.5))


Change: TypeAlias = "Callable[[Any, random.Random], None]"
CHANGES: tuple[Change, ...] = (
    *(a_surrogate, a_sign, markup, a_long_text, a_large_number, another_kind, a_missing_field, another_field),
    *(a_longer_list, deep_levels, an_odd_id, an_impossible_tally, a_contradiction, another_protocol, large_settings),
)


# Damage to the bytes of a file.


def a_mark(content: bytes, rng: random.Random) -> bytes:
    return b"\xef\xbb\xbf" + content


def crlf(content: bytes, rng: random.Random) -> bytes:
    return content.replace(b"\n", b"\r\n")


def no_last_line_end(content: bytes, rng: random.Random) -> bytes:
    return content.rstrip(b"\n")


def utf16(content: bytes, rng: random.Random) -> bytes:
    return content.decode().encode(rng.choice(("utf-16", "utf-16-le", "utf-32")))


def torn(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 5, 50))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def a_doubled_field(content: bytes, rng: random.Random) -> bytes:
    for start in (b'{\n"schema"', b'{"schema"'):
        content = content.replace(start, b'{"schema":"first","id":"first","id":"second","schema"', 1)
    return content


def a_long_number(content: bytes, rng: random.Random) -> bytes:
    numbers = list(re.finditer(rb"(?<=[,\[:])-?[0-9][-+.0-9eE]*", content))
    if not numbers:
        return content + rng.choice(LONG_NUMBERS)
    place = rng.choice(numbers)
    return content[: place.start()] + rng.choice(LONG_NUMBERS) + content[place.end() :]


def much_of_little(content: bytes, rng: random.Random) -> bytes:
    unit, times, end = rng.choice(
        (
            (b"[", 10**6, b""),
            (b"[],", 4 * 10**6, b"[]]"),
            (b"1,", 2 * 10**7, b"1]"),
            (b'{"a":', 10**5, b""),
            (b"", 0, b""),
        )
    )
    return b"[" + unit * times + end


def lines_in_other_order(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    place = rng.randrange(len(lines))
    orders = (lines[:place] + lines[place + 1 :], [*lines, lines[place]], lines[::-1], [*lines, b"\n", b" \n"])
    return b"".join(rng.choice(orders))


Bytes: TypeAlias = "Callable[[bytes, random.Random], bytes]"
DAMAGES: tuple[Bytes, ...] = (
    *(a_mark, crlf, no_last_line_end, utf16, torn, flipped, a_doubled_field, a_long_number, much_of_little),
    lines_in_other_order,
)


def changed_json(content: bytes, change: Change, rng: random.Random) -> Any:
    """The JSON value of a file after a change of its values."""
    data = json.loads(content)
    change(data, rng)
    return data
