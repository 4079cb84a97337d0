"""Items inside of events, and documents of orders: lists become rows, and fields have types."""

import json
from pathlib import Path
from typing import Any

from pipelines.lists import raw, staging

from streampro.modeling.pipeline import Pipeline

LISTS = Pipeline("lists", [raw, staging])


def event(number: int, *items: Any, **further: Any) -> str:
    return json.dumps({"event": f"e{number}", "ecommerce": {"items": items}, **further})


EVENTS = [
    event(1, {"sku": "i1", "price": 9.99, "email": "ann@x"}, {"sku": "i2", "price": 0.01}),
    event(2),
    event(1, {"sku": "i1", "price": 9.99, "email": "ann@x"}, {"sku": "i2", "price": 0.01}),
    event(3, {"sku": "i1"}, "none", {"price": 5, "email": "ann@x"}, user="u3"),
    '{"event":"e4","ecommerce":{"items":{"sku":"i9"}},"email":"ann@x"}',
    '{"event":"e5"}',
    "nonsense",
]
ORDERS = [
    {"order": "o1", "tags": ["a", 1.50], "size": {"w": 2, "h": 1e3}},
    {"order": "o2", "tags": "b", "size": {"w": "wide"}},
    {"tags": []},
    7,
]


def write_raw(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "events.jsonl").write_text("\n".join(EVENTS) + "\n")
    (folder / "orders-1.json").write_text(json.dumps(ORDERS, indent=1).replace("1.5", "1.50"))
    (folder / "orders-2.json").write_text(json.dumps({"order": "o3", "tags": None}))
    return folder
