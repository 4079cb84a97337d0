"""Writes a raw folder of a believable video platform whose true answers are known.

Users, sessions and their outcomes are planned first, in compact arrays over the whole window
(`plan`). Events are then drawn for a slice of sessions at a time and put in the order in which a
collector received them (`events`), and rendered as text by Arrow kernels (`spelling`). Duplicates
and lines to reject are additional copies of clean lines; legal oddities change the spelling of a
line and not its meaning (`dirt`). So the plan is the truth.
"""

from streampro.viewing.synthetic.folder import generate
from streampro.viewing.synthetic.truth import Truth

__all__ = ["Truth", "generate"]
