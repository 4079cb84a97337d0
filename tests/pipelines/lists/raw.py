from streampro import Limits, Source

raw_items = Source(
    name="raw_items",
    files=("events*.jsonl",),
    format="json_lines",
    fields={
        "event": ("event",),
        "sku": ("ecommerce", "items", "sku"),
        "price": ("ecommerce", "items", "price"),
    },
    rows=("ecommerce", "items"),
    secret=("email",),
)
raw_orders = Source(
    name="raw_orders",
    files=("orders*.json",),
    format="json",
    fields={"order": ("order",), "tags": ("tags",), "size": ("size",)},
    types={"tags": "array<string>", "size": "struct<w: int64, h: float64>"},
    limits=Limits(rejected="warn"),
)
