"""What a scenario's file may say. Everything else in it is an error.

A scenario is a small app of its own and a list of acts: a command that is typed, and
what it must end in; or something that happens to the cloud, the files or the archive.
`meanwhile` holds acts that are done while a command runs, each as soon as its `when`
is true.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """A part of a scenario; a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class When(Strict):
    """What must be true first; all that is given counts.

    Args:
        said: The command that runs has said this.
        refresh: The newest refresh of the group has this status.
        percent: It has done at least so much.
        image: At least one instance of the group runs this image …
        serves: … and is in service (or is not).
        tools_ended: All tools of the command that was killed have ended.
        health: A target of the group's target group is so: `unhealthy`.
        stage: The group's stage.
        group: The group.

    """

    said: str = ""
    refresh: str = ""
    percent: int = 0
    image: str = ""
    serves: bool = False
    tools_ended: bool = False
    health: str = ""
    stage: str = "CI"
    group: str = "web"


class Happens(Strict):
    """Something that is done.

    Args:
        when: What must be true first.

    """

    when: When | None = None


class InGroup(Happens):
    """Something that happens to a group of instances."""

    stage: str = "CI"
    group: str = "web"


class OneInstance(InGroup):
    """An instance that runs an image is terminated, or turns ill or well."""

    do: Literal["kill-instance", "sicken-instance", "heal-instance"]
    image: str


class Refresh(InGroup):
    """Somebody starts or cancels an instance refresh outside the kit."""

    do: Literal["start-refresh", "cancel-refresh"]


class Resize(InGroup):
    """Somebody sets a group's size, deletes the group, or makes a twin of its tag."""

    do: Literal["resize", "delete-group", "twin-group"]
    most: int = 0


class CopyImage(Happens):
    """An image gets a copy under a new name: from now on `{name}`."""

    do: Literal["copy-image"]
    of: str
    name: str


class ForgetImage(Happens):
    """An image is deregistered, or whatever boots it is from now on like another.

    Only an image of one's own, made by `copy-image`.

    Args:
        like: The other, where it is spoilt: what it needs is gone, or there again.

    """

    do: Literal["forget-image", "spoil-image"]
    image: str
    like: str = "broken"


class Write(Happens):
    """A file of the project is written, and committed unless `commit` is false.

    Args:
        file: Its path; `{stage}` is none: the name as it is.
        text: Its text; `{ann}` is the public key of that person.
        settings: More settings of a stage's stack, instead of a text.

    """

    do: Literal["write"]
    file: str = ""
    text: str = ""
    stage: str = ""
    settings: dict[str, Any] = {}
    commit: bool = True


class KillEngine(Happens):
    """The command that runs is killed (SIGKILL), with its kernel.

    Args:
        tools: Its tools too, as where a machine loses power.

    """

    do: Literal["kill-engine"]
    tools: bool = False


class HoldLock(Happens):
    """A kernel begins to watch an image's rollout by hand and goes on, or ends."""

    do: Literal["kernel-begins", "kernel-ends"]
    stage: str = "CI"
    image: str = ""


class Outside(Happens):
    """Somebody updates a stack by Pulumi itself."""

    do: Literal["pulumi-up"]
    stage: str = "CI"
    images: dict[str, str]


class Api(Happens):
    """The AWS API throttles, refuses the credentials, is down, or is well again.

    Only while a command runs, and well at its start: a command that finds no rehearsal
    starts one anew.
    """

    do: Literal["api"]
    is_: Literal["well", "throttling", "expired", "down"] = Field(alias="is")


class Replay(Happens):
    """Somebody writes into the chain of a stage by hand.

    Args:
        of: The run whose last approval is entered again.
        to: The run it is to count for; empty: the same.

    """

    do: Literal["replay-approval"]
    of: str
    to: str = ""
    stage: str = "CI"


class OtherCloud(Happens):
    """The target says that it is another cloud, or what it is."""

    do: Literal["other-cloud", "own-cloud"]


class Typed(Happens):
    """A command is typed, and must end so.

    Args:
        line: What is typed behind `olrunbook`; `{app}`, images by their names, keys of
            people, and runs by theirs are filled in.
        name: Name of the run it makes; `{last}` is the newest that was made.
        at_once: How often it is typed at the same moment.
        exit: Its exit codes, sorted.
        says: What it must say.
        hides: What it must not say.
        record: Path in run.json to what must be there; `~` before a text: contains.
        meanwhile: What is done while it runs.

    """

    do: Literal["type"] = "type"
    line: str
    name: str = ""
    at_once: int = Field(1, ge=1, le=3)
    exit: int | list[int]
    says: list[str] = []
    hides: list[str] = []
    record: dict[str, Any] = {}
    meanwhile: list[Meanwhile] = []

    @property
    def exits(self) -> list[int]:
        """The exit codes that are wanted, sorted."""
        return sorted(self.exit) if isinstance(self.exit, list) else [self.exit]

    @model_validator(mode="after")
    def _as_many_exits(self) -> Self:
        if len(self.exits) != self.at_once:
            msg = f"{self.at_once} commands have as many exit codes, not {self.exits}"
            raise ValueError(msg)
        return self


Meanwhile = Annotated[
    OneInstance
    | Refresh
    | Resize
    | CopyImage
    | ForgetImage
    | Write
    | KillEngine
    | HoldLock
    | Outside
    | Api
    | Replay
    | OtherCloud,
    Field(discriminator="do"),
]
Act = Annotated[Typed | Meanwhile, Field(discriminator="do")]


class Group(Strict):
    """A group of instances of the app.

    Args:
        name: Its name in the stack.
        node: Its node type.
        size: How many instances.
        balanced: Whether a load balancer is before it.

    """

    name: str = "web"
    node: str = "web"
    size: int = 1
    balanced: bool = False


class Scene(Strict):
    """A scenario.

    Args:
        title: What must hold, in a sentence.
        waits: It waits long for the cloud, so it is among the first to begin.
        account: It is played on the target `account`, of kind `aws`: the same cloud,
            as a person with credentials of their own has it.
        proxied: That person reaches it by a proxy alone, with certificates of a
            private CA.
        stages: The app's stages, in order.
        gates: Stage to its gate, as in the catalog.
        app: More of the app's entry in the catalog (`sizes`, `rollback`).
        target: More of the target's entry (`fresh`).
        groups: The app's groups.
        before: Stage to the image that every group serves on before the first act: put
            there by Pulumi alone, so no record tells of it.
        acts: What is done and happens, in order.
        ends: Stage to the image that each instance serves on in the end, by group or
            for all; empty: nothing is there.

    """

    title: str
    waits: bool = False
    account: bool = False
    proxied: bool = False
    stages: list[str] = ["CI"]
    gates: dict[str, dict[str, Any]] = {}
    app: dict[str, Any] = {}
    target: dict[str, Any] = {}
    groups: list[Group] = [Group()]
    before: dict[str, str] = {}
    acts: list[Act] = Field(min_length=1)
    ends: dict[str, str | dict[str, str]]

    def has(self, kind: type[Happens]) -> bool:
        """Whether something of a kind happens in it."""
        typed = [act for act in self.acts if isinstance(act, Typed)]
        meanwhile = [happens for act in typed for happens in act.meanwhile]
        return any(isinstance(act, kind) for act in [*self.acts, *meanwhile])


def read_scene(path: Path) -> Scene:
    """Read a scenario; a pydantic ValidationError says what is wrong in it."""
    return Scene.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
