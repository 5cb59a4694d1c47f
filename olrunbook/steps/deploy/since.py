"""What else changed between the image that serves and the one that is to serve.

All of it is from the records of the two builds in this archive. What they do not hold
is said to be missing, and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from olrunbook.adapters.aws.seen import GroupSeen, short
from olrunbook.adapters.context import Commit
from olrunbook.archive.place import list_runs, read_record
from olrunbook.project.catalog import Project
from olrunbook.record.provenance import commits_between
from olrunbook.steps.images.results import BuiltImage, ImageBuildResult, ImageTestResult
from olrunbook.steps.results import Difference

MOST = 25  # commits, packages
COMMIT = "commit"
Row = tuple[str, str, str]  # what, old, new


class Archived(NamedTuple):
    """One image in the archive."""

    image: BuiltImage  # the image as it was built
    commit: Commit  # what it was built from
    folder: Path  # the run that built it
    tested: bool  # a test of its deploy at that commit succeeded

    def packages(self) -> dict[str, str]:
        """Return package to version; empty: they were not recorded."""
        try:
            text = (self.folder / self.image.packages_file).read_text(encoding="utf-8")
        except (OSError, ValueError):  # where none is named: the folder itself
            return {}
        return dict(line.split("\t", 1) for line in text.splitlines() if "\t" in line)


def archived(project: Project, target: str, app: str) -> dict[str, Archived]:
    """Return the images of the app that were built here, by id."""
    built: dict[str, tuple[BuiltImage, Commit, Path]] = {}
    tested: set[tuple[str, Commit]] = set()
    stages = project.catalog.stages_of(app)
    for place in list_runs(project.outputs, target=target, app=app):
        record = None if place.room in stages else read_record(place)
        if record is None or record.status != "succeeded":
            continue
        if found := record.result(ImageBuildResult.schema_name):
            made = ImageBuildResult.model_validate(found)
            commit = Commit(made.commit, tuple(made.dirty))
            # The oldest counts: a run that kept a build has its result, not its files.
            built |= {image.ami: (image, commit, place.folder) for image in made.builds}
        if found := record.result(ImageTestResult.schema_name):
            commit = Commit(record.commit, tuple(record.dirty))
            tests = ImageTestResult.model_validate(found).tests
            tested |= {(test.node_type, commit) for test in tests}
    return {
        ami: Archived(*facts, tested=(facts[0].node_type, facts[1]) in tested)
        for ami, facts in built.items()
    }


def doubts(images: Mapping[str, str], known: Mapping[str, Archived]) -> list[str]:
    """Return which images were not built or not tested here, a sentence each."""
    lines = []
    for node, ami in images.items():
        found = known.get(ami)
        if found is None:
            lines.append(f"{node}: {short(ami)} was not built here: no record has it.")
        elif not found.tested:
            of = f"commit {found.commit.sha[:7]}" if found.commit.sha else "its files"
            why = f"no record has a succeeded test of {of}."
            lines.append(f"{node}: {short(ami)} was not tested here: {why}")
    return lines


def since(
    root: Path,
    images: Mapping[str, str],
    groups: Sequence[GroupSeen],
    known: Mapping[str, Archived],
) -> list[Difference]:
    """Return what else changed, for each node type whose image changes."""
    rows: list[Difference] = []
    for node, new in images.items():
        mine = [i for g in groups if g.node_type == node for i in g.instances]
        serving = {one.image for one in mine if one.image and not one.leaving}
        for old in sorted(serving - {new}):
            found = [("image", old, new)]
            found += _compare(root, known.get(old), known.get(new))
            rows += [
                Difference(where=node, what=what, old=one, new=other)
                for what, one, other in found
            ]
    return rows


def _compare(root: Path, old: Archived | None, new: Archived | None) -> Iterator[Row]:
    """Yield what differs between two images."""
    if old is None or new is None:
        text = "not built here: not known"
        yield "what it is made of", "" if old else text, "" if new else text
        return
    yield from _commits(root, old.commit, new.commit)
    facts = [
        {"base image": f"{i.base_name} {i.base_ami}"}
        | {a.name: f"{a.version} (sha256 {a.sha256[:8]})" for a in i.artifacts}
        for i in (old.image, new.image)
    ]
    yield from _differ("", *facts)
    was, now = old.packages(), new.packages()
    if was and now:
        yield from _some("package", list(_differ("package ", was, now)))
    else:
        none = "not recorded"
        yield "packages", "recorded" if was else none, "recorded" if now else none


def _differ(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Row]:
    for name in sorted({*old, *new}):
        was, now = old.get(name, "not in it"), new.get(name, "not in it")
        if was != now:
            yield kind + name, was, now


def _some(kind: str, rows: list[Row]) -> list[Row]:
    """Return as many rows as are read, and how many more there are."""
    more = len(rows) - MOST
    return [*rows[:MOST], (kind, "", f"and {more} more")] if more > 0 else rows


def _commits(root: Path, old: Commit, new: Commit) -> Iterator[Row]:
    """Yield the commits that one image has and the other has not, newest first."""
    if old.dirty or new.dirty:
        yield "files not committed", old.difference(3), new.difference(3)
    if old.sha == new.sha:
        return
    yield "built from", old.sha[:12] or "not recorded", new.sha[:12] or "not recorded"
    fresh = commits_between(root, old.sha, new.sha)
    gone = commits_between(root, new.sha, old.sha)
    if fresh is None or gone is None:
        yield COMMIT, "", "one of the two is not in this checkout: not known"
        return
    yield from _some(COMMIT, [(COMMIT, "", line) for line in fresh])
    yield from _some(COMMIT, [(COMMIT, line, "") for line in gone])
