"""The three questions: each with a sentence, a small table, its definition and its figures."""

from streampro.report import Answers, Question
from streampro.viewing.questions import dropoff, engagement, retention


def questions(answers: Answers) -> list[Question]:
    """Return the three questions, answered by the rows of the three answer tables."""
    return [
        engagement.question(answers["q1_engagement"]),
        retention.question(answers["q2_retention"]),
        dropoff.question(answers["q3_dropoff"]),
    ]
