"""The ids of users, sessions and videos, as Arrow arrays of text made from their numbers."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streampro.viewing.synthetic.world import Array

# Digits of an id, filled with zeros; larger numbers have more.
USER_DIGITS, SESSION_DIGITS, VIDEO_DIGITS = 6, 7, 5
# Of so many users one, at this remainder, has another letter than u.
V_USERS, F_USERS = (37, 17), (41, 23)


def user_ids(number: Array) -> Any:
    """Ids that begin with u, some with v or f, so that no reader can rely on the letter."""
    (v_every, v_at), (f_every, f_at) = V_USERS, F_USERS
    letter = np.where(number % v_every == v_at, "v", np.where(number % f_every == f_at, "f", "u"))
    return joined(pa.array(letter.tolist(), pa.string()), digits(number, USER_DIGITS))


def account_ids(number: Array) -> Any:
    """Ids of the users' accounts; of five users two share one."""
    return joined("a", digits(number * 4 // 5, USER_DIGITS))


def session_ids(number: Array, is_ordinal: Array) -> Any:
    """Ids that are unique per user only: an ordinal is written bare, another number after an s."""
    bare = pc.cast(pa.array(number), pa.string())
    return pc.if_else(pa.array(is_ordinal), bare, joined("s", digits(number, SESSION_DIGITS)))


def video_ids(number: Array) -> Any:
    """Ids of videos."""
    return joined("vid", digits(number, VIDEO_DIGITS))


def digits(number: Array, width: int) -> Any:
    """The numbers in decimal, filled with zeros to the width."""
    return pc.utf8_lpad(pc.cast(pa.array(number), pa.string()), width, "0")


def joined(*pieces: Any) -> Any:
    """The pieces, arrays or constants, written one after the other in each row."""
    return pc.binary_join_element_wise(*pieces, "")
