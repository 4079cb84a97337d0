from streampro.modeling.source import Source

raw_members = Source(
    name="raw_members",
    files=("members.csv",),
    format="csv",
    fields={name: (name,) for name in ("member", "tier", "age")},
)
