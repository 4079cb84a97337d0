"""The law of portability: what is accepted means the same on every engine.

`allowed` lists what has been proven equal, `refused` what is known to differ and why. What is in
neither is refused as not yet proven.
"""

from streampro.expressions.portability.refused import findings

__all__ = ["findings"]
