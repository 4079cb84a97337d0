from streampro.modeling.source import Source

_FIELDS = ("id", "at", "tags", "sizes", "keys", "values", "x", "y", "price", "weight", "json")

raw_parts = Source(
    name="raw_parts",
    files=("parts*.jsonl",),
    format="json_lines",
    fields={name: (name,) for name in _FIELDS},
)
