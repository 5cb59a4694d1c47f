"""The commands of the operators' pages, and the scenario that tells each story.

A command is a line of a block, or stands in a sentence. In a block with `$` the other
lines are what it says; `<!-- scenario: NAME -->` before it names who plays it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.scene import Scene, Typed

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("operating.md", "approvals.md", "stuck.md", "rules.md")
PART = re.compile(
    r"^<!-- scenario: (?P<scenario>\S+) -->$|^(?P<heading>#+ .*)$"
    r"|(?P<block>(?:^    .*\n|^\n(?=    ))+)|`(?P<inline>(?:olrunbook|make)\s[^`]+)`",
    re.MULTILINE,
)
LINE = re.compile(r"^    (?:\$ )?((?:olrunbook|make) .+?)(?: {4,}(.*))?$")
CODE = re.compile(r"exit code (\d+)")
# What stands for another app, stage, run, image set, stack, key or reason.
PLACE = re.compile(r"tika|CI|QA|Production|RUN|STACK|FOLDER|.*(\{|…|=ami-).*")
VALUES = ("--reason", "--sign", "-s", "-C")
DEFAULTS = (["--app", "_"], ["--stage", "_"])  # one app; its first stage
ACCOUNT = ["--target", "account"]  # the same on an account
# The same in what is said, after `re.escape`; any number stands for a number.
LIKE = {
    r"(\w+=)?ami\\-[\w…]+": r"(\\w+=)?ami-\\S+",
    r"\b[0-9a-f]{4}…\w*": r"\\S+",
    r"(\\s\+)?…(\\s\+)?": r".*?",
    r"\b(CI|QA|Production)\b": r"(CI|QA|Production)",
    r"\d+": r"\\d+",
}


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Args:
        page: The page's name.
        line: What is typed.
        code: Its exit code.
        scenario: Who plays it; empty: any may.
        said: What the page shows that it says.

    """

    page: str
    line: str
    code: int = 0
    scenario: str = ""
    said: str = ""

    def __str__(self) -> str:
        """Return it as an error names it."""
        return f"{self.page}: {self.line} (exit code {self.code})"

    def must_match(self, said: str, app: str) -> None:
        """Fail unless an app's command has said what the page shows."""
        pattern = r"\s+".join(map(re.escape, self.said.split()))
        for part, other in LIKE.items():
            pattern = re.sub(part, other, pattern)
        pattern = pattern.replace("tika", re.escape(app))
        if not re.search(pattern, said, re.DOTALL):
            msg = f"{self.page} shows of {self.line}:\n{self.said}but it said:\n{said}"
            raise AssertionError(msg)


def commands(page: str) -> Iterator[Command]:
    """Yield the commands of a page, in order."""
    scenario = ""
    for part in PART.finditer((DOCS / page).read_text(encoding="utf-8")):
        if part["block"]:
            yield from _of_block(page, part["block"], scenario)
        elif part["inline"]:
            yield Command(page, " ".join(part["inline"].split()))
        else:
            scenario = part["scenario"] or ""


def _of_block(page: str, block: str, scenario: str) -> Iterator[Command]:
    """Yield the commands of a block; where it has `$`, with what they say."""
    shows = block.lstrip("\n").startswith("    $ ")
    parts = re.split(r"^(?=    \$ )" if shows else r"\n", block, flags=re.MULTILINE)
    for text in parts:
        line, _, said = text.partition("\n")
        if typed := LINE.match(line):
            code = CODE.search(typed[2] or "")
            number = int(code[1]) if code else 0
            yield Command(page, typed[1], number, scenario, said if shows else "")


def key(line: str) -> str:
    """Return a command without what it is about: app, stage, run, set and reason."""
    groups: list[list[str]] = [[]]
    for word in shlex.split(line.removeprefix("olrunbook ")):
        last = groups[-1]
        if word.startswith("-"):
            groups.append([word])
        elif (last and last[0] in VALUES) or PLACE.fullmatch(word):
            last.append("_")
        else:
            last.append(word)
    what, *options = [group for group in groups if group != ACCOUNT]
    if what[0] == "run":
        options = [option for option in options if option not in DEFAULTS]
    return shlex.join(sum(sorted(options), what))


def told_by(name: str, scene: Scene) -> dict[int, Command]:
    """Return which acts of a scenario, by number, are commands that a page shows.

    Raises:
        ValueError: The scenario does not type them, or in another order.

    """
    acts = iter(enumerate(scene.acts, 1))
    found = {}
    for command in (c for page in PAGES for c in commands(page)):
        if not command.said or command.scenario != name:
            continue
        for number, act in acts:
            if not isinstance(act, Typed) or command.code not in act.exits:
                continue
            if key(act.line) == key(command.line):
                found[number] = command
                break
        else:
            msg = f"{name} does not type what the page shows: {command}"
            raise ValueError(msg)
    return found
