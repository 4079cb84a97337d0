"""An expression is shown as it is computed."""

from collections.abc import Callable

import ibis
import ibis.expr.types as ir
import pytest

from streampro.lineage.brackets import with_brackets

T = ibis.table({"a": "int64", "b": "int64", "c": "int64"}, name="t")


@pytest.mark.parametrize(
    ("of", "shown"),
    [
        (lambda t: (t.a + t.b) * t.c, "(r0.a + r0.b) * r0.c"),
        (lambda t: t.a + t.b * t.c, "r0.a + r0.b * r0.c"),
        (lambda t: t.a * (1 - t.b) * (1 + t.c), "r0.a * (1 - r0.b) * (r0.c + 1)"),
        (lambda t: t.a - (t.b - t.c), "r0.a - (r0.b - r0.c)"),
        (lambda t: t.a - t.b - t.c, "r0.a - r0.b - r0.c"),
        (lambda t: t.a + (t.b + t.c), "r0.a + r0.b + r0.c"),
        (lambda t: t.a - (t.b + t.c), "r0.a - (r0.b + r0.c)"),
        (lambda t: t.a / (t.b * t.c), "r0.a / (r0.b * r0.c)"),
        (lambda t: t.a * (t.b % t.c), "r0.a * (r0.b % r0.c)"),
        (lambda t: (t.a > 1) & (t.b > 1) & (t.c > 1), "(r0.a > 1) & (r0.b > 1) & (r0.c > 1)"),
        (lambda t: ((t.a > 1) | (t.b > 1)) & (t.c > 1), "((r0.a > 1) | (r0.b > 1)) & (r0.c > 1)"),
        (lambda t: (t.a > 1) == (t.b > 1), "(r0.a > 1) == (r0.b > 1)"),
        (lambda t: t.a + t.b > t.c * 2, "r0.a + r0.b > r0.c * 2"),
        (lambda t: -(t.a + t.b), "Negate(r0.a + r0.b)"),
    ],
)
def test_operators_keep_their_brackets(of: Callable[[ir.Table], ir.Value], shown: str) -> None:
    assert f"v: {shown}\n" in f"{with_brackets(T.select(v=of(T)))}\n"
