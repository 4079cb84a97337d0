from streampro.modeling.source import Source

raw_sales = Source(
    name="raw_sales",
    files=("sales*.jsonl",),
    format="json_lines",
    fields={"shop": ("shop",), "day": ("day",), "amount": ("amount",)},
    secret=("card",),
)
raw_shops = Source(
    name="raw_shops",
    files=("shops.csv",),
    format="csv",
    fields={"shop": ("shop",), "city": ("city",)},
)
