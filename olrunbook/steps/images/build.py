"""Bake the images of an app with Packer, and let Packer check the template first.

Rule 6.8: a build is good when Packer's exit code is 0 **and** it names exactly one
distinct image, which exists and is `available`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from olrunbook.adapters.aws.answers import asked
from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.aws.seen import ImageSeen
from olrunbook.adapters.context import Context
from olrunbook.adapters.packer import Packer, build_arguments
from olrunbook.errors import InterruptedRunError, StepError, ToolError, UsageError
from olrunbook.events import Event, handed
from olrunbook.project.imageset import format_images
from olrunbook.steps.images.packer import (
    check_declared,
    commit_text,
    packer_of,
    shown_arguments,
    shown_template,
    variables_of,
)
from olrunbook.steps.images.results import (
    ArtifactUsed,
    BuiltImage,
    CheckSeen,
    ImageBuildResult,
    ValidateResult,
)
from olrunbook.steps.images.watch import Watch, explain, leftovers
from olrunbook.steps.images.workspace import artifacts_of, node_types, workspace
from olrunbook.steps.results import Step

ON_ERROR = ("cleanup", "abort")


def validate(ctx: Context, node_type: str = "") -> ValidateResult:
    """Let Packer check the template, for one node type or all. Nothing is made.

    ToolError where Packer or its plugin is missing, or a check failed; UsageError where
    the app has no such node type, or the catalog names a missing file.
    """
    nodes = node_types(ctx, node_type)
    place = workspace(ctx)
    check_declared(ctx, place, {})
    packer = packer_of(ctx, place, "packer-validate.log")
    template = str(place.template)
    calls = [
        ("init", ["init", template]),
        ("fmt", ["fmt", "-check", "-diff", template]),
    ]
    for node in nodes:
        only, values = ctx.app.image.only, variables_of(ctx, place, node, {})
        name = f"validate {node}" if len(nodes) > 1 else "validate"
        words = build_arguments(template, only=only, variables=values, verb="validate")
        calls.append((name, words))
    checks = []
    for name, arguments in calls:
        answer = packer.call(*arguments)
        if answer.code:
            said = "\n".join(answer.lines[-25:])
            msg = f"packer {name} failed for {ctx.app.image.template}:\n{said}"
            hint = "Fix the template; nothing was started."
            if name == "fmt":
                hint = f"Format it: packer fmt {ctx.app.image.template}"
            raise ToolError(msg, hint, answer.code)
        checks.append(CheckSeen(name=f"packer {name}", ok=True, seconds=answer.seconds))
    shown, typed = shown_template(ctx), ctx.tool("packer").typed("packer")
    of = [shown_arguments(ctx, place, node, {}) for node in nodes]
    return ValidateResult(
        template=ctx.app.image.template,
        packer=_version(packer),
        checks=checks,
        by_hand=[f"{typed} init {shown}", f"{typed} fmt -check {shown}"]
        + [f"{typed} validate {words}" for words in of],
    )


def build(
    ctx: Context,
    node_type: str = "",
    on_error: str = "cleanup",
    variables: Mapping[str, str] | None = None,
) -> ImageBuildResult:
    """Bake the image of every node type, side by side.

    One that fails lets the others come to their end; `on_error=abort` leaves its
    builder to be looked at. (`ask` waits for a key on a terminal that no notebook has.)
    The variables given win over the catalog's.

    Raises:
        UsageError: A parameter is wrong; nothing was started.
        ToolError: Packer failed; the failed operation's output is in the message, and
            what became of the others.
        StepError: It ended well but did not leave exactly one available image.
        InterruptedRunError: It was interrupted; what is left in the account is named.

    """
    nodes = node_types(ctx, node_type)
    _check_on_error(on_error)
    place = workspace(ctx)
    given = dict(variables or {})
    check_declared(ctx, place, given)
    artifacts = artifacts_of(ctx, place, {**ctx.app.image.variables, **given})
    packer = packer_of(ctx, place, "packer-build.log")
    typed = ctx.tool("packer").typed("packer")
    started = ctx.clock()
    watches, arguments = {node: Watch() for node in nodes}, {}
    for node in nodes:
        values = variables_of(ctx, place, node, given)
        if "packages_file" in place.declared:
            values["packages_file"] = str(ctx.logs / f"packages-{node}.txt")
        arguments[node] = build_arguments(
            str(place.template),
            only=ctx.app.image.only,
            variables=values,
            on_error=on_error,
        )
    _bake(ctx, packer, arguments, watches)
    builds: list[BuiltImage] = []
    failed: dict[str, StepError] = {}
    for node, watch in watches.items():
        if watch.code:
            failed[node] = _failure(ctx, node, watch, on_error)
            continue
        try:
            shown = f"{typed} build {shown_arguments(ctx, place, node, given)}"
            builds.append(_built(ctx, node, watch, artifacts, shown))
        except StepError as error:
            failed[node] = error
    if failed:
        raise _failures(ctx, builds, failed)
    return ImageBuildResult(
        images={one.node_type: one.ami for one in builds},
        builds=builds,
        commit=ctx.commit.sha,
        dirty=list(ctx.commit.dirty),
        packer=_version(packer),
        started_at=started,
        ended_at=ctx.clock(),
    )


def _bake(
    ctx: Context,
    packer: Packer,
    arguments: Mapping[str, Sequence[str]],
    watches: Mapping[str, Watch],
) -> None:
    """Run the builds to their ends and watch each."""

    def take(said: tuple[str, Event]) -> None:
        node, event = said
        watches[node].see(event)
        ctx.emit(event.under(node) if len(watches) > 1 else event)

    try:
        handed(packer.build(arguments), take)
    except InterruptedRunError as error:
        ec2 = ctx.target.client("ec2")
        left = [what for watch in watches.values() for what in leftovers(ec2, watch)]
        left += [f"image {image}" for w in watches.values() for image in w.images]
        words = "; ".join(left) or "nothing"
        kind = "it still holds" if error.finishing else "left in the account"
        msg = f"{error}; {kind}: {words}"
        raise InterruptedRunError(msg, error.hint, error.finishing) from None


def _built(
    ctx: Context, node: str, watch: Watch, artifacts: list[ArtifactUsed], by_hand: str
) -> BuiltImage:
    """Return the image of a build that ended well; StepError where there is none."""
    account = Account(ctx.target)
    image = _one_image(account, watch, ctx.app_name)
    base = account.images([watch.base]) if watch.base else {}
    file = ctx.logs / f"packages-{node}.txt"
    rows = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return BuiltImage(
        node_type=node,
        ami=image.id,
        name=image.name,
        base_ami=watch.base,
        base_name=base[watch.base].name if base else "",
        tags=_tagged(ctx, image),
        phases=watch.timed(),
        operations=watch.operations(),
        artifacts=artifacts,
        packages=len(rows),
        packages_file=f"logs/{file.name}" if rows else "",
        seconds=watch.seconds,
        by_hand=by_hand,
    )


def _failure(ctx: Context, node: str, watch: Watch, on_error: str) -> ToolError:
    """Return the error of a build that failed, with what failed in it."""
    how = f"ended with code {watch.code}: {watch.cause()}"
    msg = f"packer build of {ctx.app_name} {how}"
    left = leftovers(ctx.target.client("ec2"), watch)
    hint = explain(watch)
    if left:
        why = "on_error=abort leaves" if on_error == "abort" else "Left"
        hint = f"{hint} {why} in the account: {'; '.join(left)}".strip()
    return ToolError(
        msg, hint or f"Its output is in {ctx.logs.name}/packer-{node}.log.", watch.code
    )


def _failures(
    ctx: Context, builds: Sequence[BuiltImage], failed: Mapping[str, StepError]
) -> StepError:
    """Return the error of a build in which something failed: what of it, and why."""
    first = next(iter(failed.values()))
    if len(failed) + len(builds) == 1:
        return first
    said = [f"{one.node_type} built" for one in builds]
    said += [f"{node} failed" for node in failed]
    why = "\n".join(f"{node}: {error}" for node, error in failed.items())
    hints = [f"{node}: {error.hint}" for node, error in failed.items() if error.hint]
    if builds:
        kept = format_images({one.node_type: one.ami for one in builds})
        hints.append(
            f"{kept} stays in the account. The rest alone: olrunbook run image_build "
            f"-p app {ctx.app_name} -p node_type {next(iter(failed))}{ctx.onto}; "
            "a deploy takes both as its `images`."
        )
    code = getattr(first, "code", None)
    return ToolError(f"{', '.join(said)}\n{why}", " ".join(hints), code)


def _one_image(account: Account, watch: Watch, app: str) -> ImageSeen:
    """Return the one image a good build leaves; else StepError (rule 6.8)."""
    found = sorted(set(watch.images))
    if len(found) != 1:
        names = ", ".join(found) or "none"
        msg = (
            f"packer ended with code 0 but named {len(found)} images of {app}: {names}"
        )
        hint = "It must be one: does `only` in the catalog name a single source?"
        raise StepError(msg, hint)
    image = account.images(found)[found[0]]
    if not image.state:
        msg = f"packer named {image.id}, but the account has no such image"
        raise StepError(msg)
    if image.state != "available":
        msg = f"{image.id} is {image.state}, wanted available"
        raise StepError(msg)
    return image


def _tagged(ctx: Context, image: ImageSeen) -> dict[str, str]:
    """Return the image's tags; add run id and commit where the template did not."""
    wanted = {"run_id": ctx.run_id, "commit": commit_text(ctx)}
    missing = {k: value for k, value in wanted.items() if image.tags.get(k) != value}
    if missing:
        with asked("to tag the image"):
            ctx.target.client("ec2").create_tags(
                Resources=[image.id],
                Tags=[{"Key": key, "Value": value} for key, value in missing.items()],
            )
    return {**image.tags, **missing}


def _version(packer: Packer) -> str:
    return (packer.call("version").lines or ["Packer"])[0].strip()


def _check_on_error(on_error: str) -> None:
    if on_error == "ask":
        msg = "on_error=ask cannot be used: Packer would wait for a key on a terminal"
        raise UsageError(msg, "Use abort: it leaves the builder running, and names it.")
    if on_error not in ON_ERROR:
        msg = f"on_error is {on_error!r}, wanted cleanup or abort"
        raise UsageError(msg)


VALIDATE = Step("validate", ValidateResult)
BUILD = Step("build", ImageBuildResult, changes=True, locks=True, kept=True)
