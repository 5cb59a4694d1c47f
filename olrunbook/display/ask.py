"""Ask a person at the screen one question. There is no form for it here yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from olrunbook.errors import WaitingError

__all__ = ["Answer", "Question", "ask"]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Args:
        title: The question.
        facts: What is decided about, as HTML.
        consequences: What follows from a yes, a sentence each.

    """

    title: str
    facts: str
    consequences: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person decided, and why."""

    approved: bool
    reason: str


async def ask(question: Question) -> Answer:
    """Return a person's answer.

    Raises:
        WaitingError: Nobody can be asked here.

    """
    raise WaitingError(question.title)
