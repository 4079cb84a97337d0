from streampro.modeling.source import Limits, Source

raw_members = Source(
    name="raw_members",
    files=("*.jsonl",),
    format="json_lines",
    fields={"mail": ("mail",), "city": ("city",), "at": ("at",)},
    secret=("card",),
    limits=Limits(rejected="warn"),
)
