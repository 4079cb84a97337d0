"""A tiny pipeline for tests: sales of shops, with everything a pipeline can have."""

import json
from pathlib import Path

from pipelines.shop import mart, raw, staging

from streampro.config import Target
from streampro.modeling.pipeline import Pipeline

SHOP = Pipeline("shop", [raw, staging, mart])
TABLES = ("staging.sales", "staging.sales_rejected", "staging.shops", "mart.revenue")

SALES = """\
{"shop": "a", "day": "2024-05-01", "amount": "10"}
{"shop": "a", "day": "2024-05-01", "amount": "10"}
{"shop": "a", "day": "2024-05-02", "amount": "5"}
{"shop": "b", "day": "2024-05-01", "amount": "7"}

{"shop": "c", "day": "soon", "card": "4711-0815-2342"}
{"shop": "c", "day": "soon", "card": "4711-0815-2342"}
"""
SHOPS = "shop,city\na,Oslo\nb,Rome\n"


def write_raw(folder: Path, sales: str = SALES, shops: str = SHOPS) -> Path:
    """Write a raw folder and return it."""
    folder.mkdir(exist_ok=True)
    (folder / "sales.jsonl").write_text(sales, encoding="utf-8")
    (folder / "shops.csv").write_text(shops, encoding="utf-8")
    return folder


def add_sale(target: Target, number: int) -> None:
    """Add a file with a line that is accepted and one that is not."""
    sold = {"shop": "ab"[number % 2], "day": f"2024-05-{1 + number % 28:02}", "amount": str(number)}
    lines = (sold, sold | {"day": "soon"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (Path(str(target.raw)) / f"sales-{number}.jsonl").write_text(text)
