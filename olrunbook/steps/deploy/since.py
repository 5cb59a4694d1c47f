"""What else changed between the image that serves and the one that is to serve.

All of it is from the records of the two builds in this archive. What they do not hold
is said to be missing, and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from olrunbook.adapters.aws.seen import GroupSeen, short
from olrunbook.adapters.context import Commit, Context
from olrunbook.archive.place import list_runs, read_record
from olrunbook.record.provenance import commits_between
from olrunbook.steps.images.results import (
    BuiltImage,
    ImageBuildResult,
    ImageTestResult,
)
from olrunbook.steps.results import Value

__all__ = ["COMMIT", "Archived", "Since", "archived", "doubts", "since"]

MOST_COMMITS, MOST_PACKAGES = 20, 30
COMMIT = "commit"


class Since(Value):
    """One thing that differs between what serves and what is to serve.

    Args:
        node_type: Node type.
        what: What differs: base image, a product, a package, a commit.
        old: As it serves.
        new: As it is to serve.

    """

    node_type: str
    what: str
    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True)
class Archived:
    """One image in the archive.

    Args:
        image: The image as it was built.
        commit: What it was built from.
        tested: A test of its deploy at that commit succeeded.
        packages: Its packages and their versions; empty: they were not recorded.

    """

    image: BuiltImage
    commit: Commit
    tested: bool
    packages: dict[str, str]


def archived(ctx: Context, images: Sequence[str]) -> dict[str, Archived]:
    """Return what the archive has of images; one that was not built here is not in it.

    Args:
        ctx: The run.
        images: Their ids.

    """
    built: dict[str, tuple[BuiltImage, Commit, Path]] = {}
    tested: set[tuple[str, Commit]] = set()
    stages = ctx.project.catalog.stages_of(ctx.app_name)
    outputs, target = ctx.project.outputs, ctx.target.name
    for place in list_runs(outputs, target=target, app=ctx.app_name):
        if place.room in stages or not (record := read_record(place)):
            continue
        if record.status != "succeeded":
            continue
        if found := record.result(ImageBuildResult.schema_name):
            result = ImageBuildResult.model_validate(found)
            commit = Commit(result.commit, tuple(result.dirty))
            # A run that kept a build has its result, but not its files: the older one.
            built |= {b.ami: (b, commit, place.folder) for b in result.builds}
        if found := record.result(ImageTestResult.schema_name):
            of = Commit(record.commit, tuple(record.dirty))
            tests = ImageTestResult.model_validate(found).tests
            tested |= {(test.node_type, of) for test in tests}
    return {
        ami: Archived(
            image, commit, (image.node_type, commit) in tested, _packages(image, folder)
        )
        for ami, (image, commit, folder) in built.items()
        if ami in images
    }


def _packages(image: BuiltImage, folder: Path) -> dict[str, str]:
    """Return package to version, as `dpkg-query --show` has written them."""
    if not image.packages_file:
        return {}
    try:
        lines = (folder / image.packages_file).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    pairs = (line.partition("\t") for line in lines.splitlines())
    return {name: version for name, _, version in pairs if version}


def doubts(images: Mapping[str, str], known: Mapping[str, Archived]) -> list[str]:
    """Return which images were not built or not tested here, a sentence each."""
    lines = []
    for node, ami in images.items():
        found = known.get(ami)
        if found is None:
            lines.append(f"{node}: {short(ami)} was not built here; no record has it.")
        elif not found.tested:
            of = f"commit {found.commit.sha[:7]}" if found.commit.sha else "its files"
            lines.append(
                f"{node}: {short(ami)} was not tested here; no record has a succeeded "
                f"test of {of}."
            )
    return lines


def since(
    ctx: Context,
    images: Mapping[str, str],
    groups: Sequence[GroupSeen],
    known: Mapping[str, Archived],
) -> list[Since]:
    """Return what else changed, for each node type whose image changes.

    Args:
        ctx: The run.
        images: What is to serve.
        groups: What serves.
        known: What the archive has of both.

    """
    rows: list[Since] = []
    for node, new in images.items():
        mine = [i for g in groups if g.node_type == node for i in g.instances]
        serving = {one.image for one in mine if one.image and not one.leaving}
        old = sorted(serving - {new})
        if len(old) > 1:
            which = f"{', '.join(old)} serve at once"
            rows.append(Since(node_type=node, what="image", old=which, new=new))
        for ami in old[:1] if len(old) == 1 else ():
            found = list(_compare(ctx.project.root, known.get(ami), known.get(new)))
            rows += [
                Since(node_type=node, what=what, old=one, new=other)
                for what, one, other in (("image", ami, new), *found)
            ]
    return rows


Row = tuple[str, str, str]


def _compare(root: Path, old: Archived | None, new: Archived | None) -> Iterator[Row]:
    """Yield what differs between two images: what, old, new."""
    if old is None or new is None:
        text = "not built here: not known"
        yield "what it is made of", "" if old else text, "" if new else text
        return
    yield from _commits(root, old.commit, new.commit)
    base = [f"{one.image.base_name} {one.image.base_ami}".strip() for one in (old, new)]
    if base[0] != base[1]:
        yield "base image", base[0] or "not recorded", base[1] or "not recorded"
    products = [
        {a.name: f"{a.version} (sha256 {a.sha256[:8]})" for a in one.image.artifacts}
        for one in (old, new)
    ]
    yield from _differ("", *products)
    if not old.packages or not new.packages:
        counts = [len(one.packages) for one in (old, new)]
        texts = [f"{count} recorded" if count else "not recorded" for count in counts]
        yield "packages", texts[0], texts[1]
        return
    packages = list(_differ("package ", old.packages, new.packages))
    yield from packages[:MOST_PACKAGES]
    if (more := len(packages) - MOST_PACKAGES) > 0:
        yield f"and {more} more packages", "", ""


def _differ(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Row]:
    for name in sorted({*old, *new}):
        was, now = old.get(name, "not in it"), new.get(name, "not in it")
        if was != now:
            yield kind + name, was, now


def _commits(root: Path, old: Commit, new: Commit) -> Iterator[Row]:
    """Yield the commits that one image has and the other has not, newest first."""
    if old.dirty or new.dirty:
        yield "files not committed", old.difference(3), new.difference(3)
    if old.sha == new.sha:
        return
    unknown = "not recorded"
    yield "built from", old.sha[:12] or unknown, new.sha[:12] or unknown
    fresh = commits_between(root, old.sha, new.sha)
    gone = commits_between(root, new.sha, old.sha)
    if fresh is None or gone is None:
        yield "commits between", "not in this checkout: not known", ""
        return
    for column, found in ((1, fresh), (0, gone)):
        lines = found[:MOST_COMMITS]
        if len(found) > MOST_COMMITS:
            lines.append(f"and {len(found) - MOST_COMMITS} more")
        for line in lines:
            yield (COMMIT, "", line) if column else (COMMIT, line, "")
