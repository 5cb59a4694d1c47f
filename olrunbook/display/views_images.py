"""How the local test of an image, its validation and its build are shown."""

from __future__ import annotations

from collections.abc import Sequence

from olrunbook.adapters.aws.seen import short
from olrunbook.display.shown import view_of
from olrunbook.display.view import Cell, Note, Table, View, seconds, status, table
from olrunbook.steps.images.results import (
    ArtifactUsed,
    BuiltImage,
    CheckSeen,
    ImageBuildResult,
    ImageTestResult,
    Operation,
    TestedImage,
    ValidateResult,
)

DIGEST = 12


@view_of.register
def test_view(result: ImageTestResult) -> View:
    """Return the tables of a local test, the failed operation with its output."""
    tables: list[Table] = []
    notes: list[Note] = []
    for test in result.tests:
        tables.append(_operations(f"{test.node_type}, on {test.base}", test.operations))
        if test.checks:
            tables.append(_checks(f"{test.node_type}: after a restart", test.checks))
        notes += _trouble(test)
        if test.repeated:
            again = ", ".join(test.again) or "nothing"
            notes.append(Note(f"{test.node_type}: a second run changed {again}."))
    tables.append(_artifacts(result.artifacts))
    notes += [Note(f"Not tested here: {line}") for line in result.not_tested]
    return View(
        result.headline(),
        tone="ok" if result.ok else "bad",
        word="tested" if result.ok else "failed",
        tables=tables,
        notes=notes,
        by_hand="\n".join(line for test in result.tests for line in test.by_hand),
    )


@view_of.register
def validate_view(result: ValidateResult) -> View:
    """Return what Packer says about a template."""
    good = all(check.ok for check in result.checks)
    return View(
        result.headline(),
        tone="ok" if good else "bad",
        word="valid" if good else "failed",
        tables=[_checks(f"Packer on {result.template}", result.checks)],
        by_hand="\n".join(result.by_hand),
    )


@view_of.register
def build_view(result: ImageBuildResult) -> View:
    """Return the tables of a build: image, phases, operations, what is in it."""
    tables = [_built(result.builds)]
    for build in result.builds:
        phases = [(phase.name, seconds(phase.seconds)) for phase in build.phases]
        tables.append(table(f"{build.node_type}: phases", ("phase", "took"), phases))
        tables.append(_operations(f"{build.node_type}: operations", build.operations))
        tags = sorted(build.tags.items())
        tables.append(table(f"Tags of {build.ami}", ("tag", "value"), tags))
    used = {item.name: item for build in result.builds for item in build.artifacts}
    tables.append(_artifacts(list(used.values())))
    dirty = f", with changes in {', '.join(result.dirty)}" if result.dirty else ""
    notes = [Note(f"From commit {result.commit[:DIGEST]}{dirty}; {result.packer}.")]
    return View(
        result.headline(),
        tone="ok",
        word="built",
        tables=tables,
        notes=notes,
        by_hand="\n".join(build.by_hand for build in result.builds),
    )


def _operations(caption: str, operations: Sequence[Operation]) -> Table:
    rows = [
        (
            Cell(str(number), number=True),
            operation.name,
            status(operation.state),
            seconds(operation.seconds if operation.state != "not reached" else None),
        )
        for number, operation in enumerate(operations, 1)
    ]
    return table(caption, ("", "operation", "state", "took"), rows)


def _trouble(test: TestedImage) -> list[Note]:
    """Return what went wrong in a test, with the words of the tool."""
    notes = []
    if failed := test.failed:
        notes.append(Note(f"{failed.name} failed:", tone="bad"))
        notes.append(Note("\n".join([*failed.commands, *failed.output]), code=True))
    if test.error:
        notes.append(Note(test.error, tone="bad"))
    notes += [Note(f"unit {unit} failed", tone="bad") for unit in test.services]
    if test.hint:
        notes.append(Note(f"What you can do: {test.hint}"))
    if not test.systemd:
        notes.append(Note("systemd did not run: no service was tested.", tone="warn"))
    return notes


def _checks(caption: str, checks: Sequence[CheckSeen]) -> Table:
    rows = [
        (
            check.name,
            status("ok" if check.ok else "failed"),
            check.detail,
            seconds(check.seconds),
        )
        for check in checks
    ]
    return table(caption, ("check", "status", "what was seen", "took"), rows)


def _artifacts(artifacts: Sequence[ArtifactUsed]) -> Table:
    rows = [
        (
            item.name,
            item.version,
            Cell(f"{item.sha256[:DIGEST]}…", title=item.sha256, code=True),
            item.source,
        )
        for item in artifacts
    ]
    columns = ("artifact", "version", "sha256", "came from")
    return table("What it is made of", columns, rows)


def _built(builds: Sequence[BuiltImage]) -> Table:
    rows = [
        (
            build.node_type,
            Cell(build.ami, code=True),
            Cell(build.name, code=True),
            Cell(f"{build.base_name} ({short(build.base_ami)})", title=build.base_ami),
            Cell(str(build.packages or ""), title=build.packages_file, number=True),
            seconds(build.seconds),
        )
        for build in builds
    ]
    columns = ("node type", "image", "name", "built on", "packages", "took")
    return table("Images", columns, rows)
