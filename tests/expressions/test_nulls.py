import ibis
import pytest

from streampro.expressions.nulls import origin_of_null

left = ibis.table({"k": "!string", "given": "!int64", "maybe": "int64"}, name="left")
right = ibis.table({"k": "!string", "extra": "!string", "note": "string"}, name="right")
in_order = ibis.window(order_by="k")

FROM_NULL = {
    "handed on": left.select("k", v="maybe"),
    "cast": left.select(v=left.maybe.cast("string")),
    "through a chain": left.mutate(v=left.maybe).filter(left.k == "x").order_by("k"),
    "left join": left.left_join(right, "k").select("k", v="extra"),
    "second left join": left.join(right, "k").left_join(right.view(), "k").select(v="extra_right"),
    "outer join": left.outer_join(right, "k").select(v="given"),
    "inner join": left.join(right, "k").select(v="note"),
    "lead": left.select(v=left.given.lead().over(in_order)),
    "case without else": left.select(v=ibis.cases((left.given > 1, left.given))),
    "group": left.group_by(v="maybe").aggregate(n=left.count()),
    "union": left.select(v=left.maybe + 1).union(left.select(v="maybe")),
}
NOT_FROM_NULL = {
    "handed on": left.select("k", v="given"),
    "null filtered out": left.filter(left.maybe.notnull()).select(v="maybe"),
    "compared in a filter": left.filter(left.maybe > 3).select(v="maybe"),
    "filled": left.select(v=left.maybe.fill_null(0)),
    "left side of a left join": left.left_join(right, "k").select(v="given"),
    "inner join": left.join(right, "k").select(v="extra"),
    "key of an inner join": left.join(left.view(), "maybe").select(v="maybe"),
    "count": left.group_by("k").aggregate(v=left.maybe.count()),
    "row number": left.select(v=ibis.row_number().over(in_order)),
    "case with else": left.select(v=ibis.cases((left.given > 1, 1), else_=0)),
}


@pytest.mark.parametrize("name", FROM_NULL)
def test_null_is_traced(name):
    assert origin_of_null(FROM_NULL[name], "v")


@pytest.mark.parametrize("name", NOT_FROM_NULL)
def test_nothing_is_said_of(name):
    assert origin_of_null(NOT_FROM_NULL[name], "v") is None


def test_input_is_named():
    assert origin_of_null(FROM_NULL["handed on"], "v") == "left.maybe may be null"
