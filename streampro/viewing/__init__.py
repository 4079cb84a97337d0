"""The viewing pipeline of a video platform, StreamPro's first user."""

from streampro import Pipeline
from streampro.viewing import answers, intermediate, mart, raw, staging

PIPELINE = Pipeline(
    "viewing",
    [raw, staging, intermediate, mart, answers],
    questions="streampro.viewing.questions:questions",
    unread=("devices.csv", "truth.json"),
)
