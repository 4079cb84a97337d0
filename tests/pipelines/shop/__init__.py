"""A tiny pipeline for tests: sales of shops, with everything a pipeline can have."""

from pathlib import Path

from pipelines.shop import mart, raw, staging

from streampro.modeling.pipeline import Pipeline

SHOP = Pipeline("shop", [raw, staging, mart])

SALES = """\
{"shop": "a", "day": "2024-05-01", "amount": "10"}
{"shop": "a", "day": "2024-05-01", "amount": "10"}
{"shop": "a", "day": "2024-05-02", "amount": "5"}
{"shop": "b", "day": "2024-05-01", "amount": "7"}

{"shop": "c", "day": "soon", "card": "4711"}
{"shop": "c", "day": "soon", "card": "4711"}
"""
SHOPS = "shop,city\na,Oslo\nb,Rome\n"


def write_raw(folder: Path, sales: str = SALES, shops: str = SHOPS) -> Path:
    """Write a raw folder and return it."""
    folder.mkdir(exist_ok=True)
    (folder / "sales.jsonl").write_text(sales, encoding="utf-8")
    (folder / "shops.csv").write_text(shops, encoding="utf-8")
    return folder
