"""JSON inside of text: its lists as rows, and secrets masked."""

import re
from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.rules as rlz
import ibis.expr.types as ir
from ibis.common.annotations import attribute
from ibis.common.typing import VarTuple

from streampro.errors import PipelineError
from streampro.names import MASK, json_pointer

_JSON_SPACE = r" \t\r\n\f\x0b"
_GAP = f"[{_JSON_SPACE}]*"
_QUOTES = ('"', "'")
_WORD = "A-Za-z0-9_"
POSITION, VALUE = "position", "value"


class JsonElements(ops.Value):  # type: ignore[misc]  # Ibis has no types here
    """The elements of a JSON list that a text holds at a path, in its order: each a struct of its
    position, from 0, and the text of the named fields, or of the whole element where none is named.

    Null for text that holds no JSON list there. Engines run DuckDB's JSON parser for it.
    """

    arg: ops.Value[dt.String]
    path: VarTuple[ops.Value[dt.String]]
    fields: VarTuple[ops.Value[dt.String]]
    shape = rlz.shape_like("arg")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the fields, or of the whole element."""
        return tuple(each.value for each in self.fields) or (VALUE,)

    @property
    def pointer(self) -> str:
        """To the list, as a JSON pointer."""
        return json_pointer(each.value for each in self.path)

    @property
    def pointers(self) -> tuple[str, ...]:
        """To what is taken of an element, as JSON pointers."""
        return tuple(json_pointer([each.value]) for each in self.fields) or ("",)

    @attribute  # type: ignore[untyped-decorator]  # Ibis has no types here
    def dtype(self) -> dt.DataType:
        """A list of structs."""
        return dt.Array(dt.Struct({POSITION: dt.int64, **dict.fromkeys(self.names, dt.string)}))


def unnest_json(text: ir.StringValue, *fields: str, path: Sequence[str] = ()) -> ir.StructColumn:
    """Return, as `unnest()` does, a row per element of the JSON list that `text` is, or has at the
    keys of `path`: a struct of the fields and, as `position`, its number from 0.

    Fields are keys of the element's object, their values text: of texts what is between the quotes,
    of other values their JSON, null where there is none. Without fields the struct has the whole
    element as `value`. No row comes of an empty list, nor of text without a JSON list there. Raises
    `PipelineError` for fields that cannot be columns beside each other and `position`.
    """
    names = [POSITION, *(field.casefold() for field in fields)]
    if "" in names or len({*names}) < len(names):
        raise PipelineError(
            f"portable.unnest_json: fields {[*fields]}: each needs a name that no other has, "
            f"in whatever case, and that is not {POSITION!r}."
        )
    if isinstance(path, str):
        raise PipelineError(f"portable.unnest_json: path is {path!r}, but must be ({path!r},).")
    names_and_keys = [tuple(map(ibis.literal, each)) for each in (path, fields)]
    elements: Any = JsonElements(text, *names_and_keys).to_expr()
    return elements.unnest()


def mask_json_value(text: ir.StringValue, key: str) -> ir.StringValue:
    """Return `text` with key and value replaced by `"key":"***"` wherever the JSON `key` stands.

    Works on broken JSON too, and rather masks too much. Only a value that is plainly complete is
    masked alone: a text, number or word, and then a bracket that closes the object, a comma and
    the next key, or nothing more. Any other mention of the key, also inside a text, is masked to
    the end of `text`, with the quotes or the character before it: lists, objects, unfinished
    values, odd separators, texts with more than 50 escapes. A mention that only quotes and
    brackets follow is left.

    A mention is the key as a word, in any case, also spelled with escapes. Words are made of ASCII
    letters, digits and `_`: for the key `ip` neither `zip` nor `my_ip` is one, `ip-address` is.
    """
    letters = "".join(_spellings(letter) for letter in key)
    mask = f'"{key}":"{MASK}"'
    for start in "{, ":
        text = text.re_replace(f"[{start}]{letters}{_GAP}:", f'{start}"{key}":')
    name = "|".join(f"{q}{letters}{q}" for q in _QUOTES)
    value = "|".join([*(_unfinished(q, "0,50") + q for q in _QUOTES), f"[{_WORD}.+-]+"])
    text = text.re_replace(f"(?s)(?:{name}){_GAP}:{_GAP}(?:{value})", mask)
    start = rf"""(?:["'\\]{{1,9}}|\\[bfnrt]|\\u[0-9A-Fa-f]{{4}}|[^{_WORD}"'\\]|^)"""
    closing = rf"""{_JSON_SPACE}"'\\}}\]"""
    end = f"(?:[{closing}]+[^{closing}]|[^{closing}{_WORD}]).*"
    masked = f"{re.escape(mask)}(?:{_unlike_the_end_of_a_value()})?"
    return text.re_replace(f"(?s){masked}|{start}{letters}{end}", mask)


def _spellings(letter: str) -> str:
    """Return a pattern of a letter in both cases, as it is or as a JSON escape."""
    cases = sorted(case for case in {letter, letter.lower(), letter.upper()} if len(case) == 1)
    codes = ["".join(f"[{d}{d.upper()}]" for d in f"{ord(case):04x}") for case in cases]
    return "(?:" + "|".join([*map(re.escape, cases), *(r"\\u" + code for code in codes)]) + ")"


def _unfinished(quote: str, escapes: str) -> str:
    """Return a pattern of a quoted text without its closing quote.

    Escapes are counted: Java recurses once per round of a group, so an open repetition over a long
    text would overflow its stack.
    """
    return rf"{quote}[^{quote}\\]*(?:\\.[^{quote}\\]*){{{escapes}}}"


def _unlike_the_end_of_a_value() -> str:
    """Return a pattern of all that follows a value, to the end, unless that shows it complete.

    Complete: brackets that close, up to a comma or the end; a comma and a key with a colon. The
    pattern says what is not, because RE2 cannot look ahead, and because engines spell differently
    how a replacement puts a group back.
    """
    rest = rf"[^:{_JSON_SPACE}].*"
    no_keys = [
        rf"""[^"'}}A-Za-z_{_JSON_SPACE}].*""",
        rf"[A-Za-z_][{_WORD}]*(?:[^:{_WORD}{_JSON_SPACE}].*|[{_JSON_SPACE}]+{rest}|{_GAP}\z)",
        *(rf"{_unfinished(q, '0,9')}(?:\\?\z|{q}{_GAP}(?:{rest}|\z))" for q in _QUOTES),
        *(f"{_unfinished(q, '10')}.*" for q in _QUOTES),
    ]
    after_comma = f"{_GAP}(?:{'|'.join(no_keys)})"
    after_bracket = rf"[}}\]{_JSON_SPACE}]*[^}}\],{_JSON_SPACE}].*"
    return rf"{_GAP}(?:[^,}}{_JSON_SPACE}].*|,{after_comma}|(?:,{_GAP})?\}}{after_bracket})"
