"""Preview a stage's stack with one pinned image set, then apply exactly that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from olrunbook.adapters.aws.reads import Account, images_exist, require_identity
from olrunbook.adapters.aws.seen import GroupSeen
from olrunbook.adapters.context import Context
from olrunbook.adapters.pulumi import stack as pulumi
from olrunbook.adapters.pulumi.found import Found
from olrunbook.adapters.pulumi.settings import prepare, reopen, stack_spec
from olrunbook.errors import RefusedError, StepError, UsageError
from olrunbook.project.imageset import format_images
from olrunbook.project.stack import called
from olrunbook.record.files import short
from olrunbook.record.model import RollbackRecord
from olrunbook.record.provenance import contents
from olrunbook.steps.approval.digest import canonical_groups, digest, part_digests
from olrunbook.steps.deploy.findings import findings, rules_of
from olrunbook.steps.deploy.plan import PreviewResult
from olrunbook.steps.deploy.rules import (
    apart,
    outlook,
    outside,
    resource_changes,
    shares,
    sizes,
    wrong_images,
)
from olrunbook.steps.deploy.since import archived, doubts, since
from olrunbook.steps.order import require_stage_before
from olrunbook.steps.pace import Pace, Patience, Patiently
from olrunbook.steps.results import DeployResult, Difference, Step

LOOKUP = (
    "Its program looks the newest image up by itself. Deploy what it chose (images=…), "
    "or let it take a pin: docs/adopting.md."
)


def preview(
    ctx: Context,
    images: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    rollback: RollbackRecord | None = None,
) -> PreviewResult:
    """Show what an update would change, drift included.

    `overrides` is rule to the reason why what it denies is done nevertheless.

    Raises:
        UsageError: The image set does not name every node type of the app, or a rule
            of the project cannot be loaded (of a rollback that is a warning).
        RefusedError: An image is not there, not available or revoked; the stack is
            locked or has pending operations; the program does not use the images it was
            given.
        ToolError: Pulumi failed.
        InterruptedRunError: The run was interrupted.

    """
    spec = stack_spec(ctx)
    if set(images) != set(ctx.app.node_types):
        wanted = ", ".join(ctx.app.node_types)
        msg = f"the image set names {sorted(images)}, {ctx.app_name} needs {wanted}"
        raise UsageError(msg, "Name an image for each: images=node_type=ami-…")
    back = rollback is not None
    # A wrong one is told before anything is asked.
    rules = rules_of(ctx.project.root, rollback=back)
    require_identity(ctx)
    _available(ctx, images, rollback)
    prepared = prepare(ctx, images)
    found = pulumi.preview(ctx, prepared)
    _free(ctx, prepared.stack, found)
    changes, keys = resource_changes(found), spec.image_config
    if wrong := wrong_images(spec, ctx.stage, images, found):
        msg = f"the preview does not use the image set: {'; '.join(wrong)}"
        hint = f"The stack must read {', '.join(keys.values())}."
        raise RefusedError(msg, LOOKUP if spec.image_lookup else hint)
    seen = Account(ctx.target).observe(ctx.app, ctx.stage)
    groups = [group for group, _ in seen]
    known = archived(ctx.project, ctx.target.name, ctx.app_name)
    lines = rollback.lines if rollback else []
    refresh = f"olrunbook run refresh {ctx.which}"
    means = outlook(found, changes, seen, images, refresh)
    outlooks = [*lines, *means, *doubts(images, known)]
    # Pulumi works at several resources at once, in an order of its own.
    ordered = sorted(found.changes, key=lambda change: change.urn)
    pins = [f" -c {keys[node]}={image}" for node, image in images.items() if keys]
    gate = ctx.project.catalog.gate(ctx.target.name, ctx.stage, rollback=back)
    plan = PreviewResult(
        app=ctx.app_name,
        stage=ctx.stage,
        target=ctx.target.name,
        protected=gate is not None and gate.protected,
        project=prepared.project,
        stack=prepared.stack,
        version=found.state.version,
        state=found.state.digest,
        token=prepared.token,
        counts=found.counts,
        changes=changes,
        outside=outside(found),
        user_data=[Difference(**row) for change in ordered for row in change.user_data],
        since=since(ctx.project.root, images, groups, known),
        images=dict(images),
        groups=groups,
        sizes=sizes(found),
        bounds=ctx.app.sizes,
        outlook=outlooks,
        rollback=rollback,
        by_hand=pulumi.typed(ctx, f"up --refresh --yes{''.join(pins)}"),
        digest="",
    )
    said = findings(plan, rules, overrides or {})
    root, outputs = ctx.project.root, ctx.project.outputs
    differs = [contents(root, outputs)] if ctx.commit.dirty else []
    parts = part_digests(
        {
            "target": [ctx.target.name, ctx.target.cloud_id, ctx.target.account],
            "stage": [ctx.app_name, ctx.stage],
            "images": dict(images),
            "commit": [ctx.commit.sha, *ctx.commit.dirty, *differs],
            "state": [found.state.version, found.state.digest],
            "changes": [found.counts, [c.model_dump() for c in ordered]],
            "outside": [one.model_dump() for one in plan.outside],
            "user_data": [one.model_dump() for one in plan.user_data],
            "groups": canonical_groups(groups),
            "outlook": sorted(outlooks),
            "serving": shares(found, changes, groups),
            "findings": sorted(change.urn for change in apart(changes)),
            "rules": [finding.model_dump() for finding in said],
        },
        found.made_up,
    )
    whole = {"findings": said, "digest": digest(parts), "parts": parts}
    return plan.model_copy(update=whole)


def up(ctx: Context, plan: PreviewResult) -> DeployResult:
    """Apply what a preview of this run showed, and nothing else.

    Raises:
        RefusedError: The state is no longer the one that was previewed, an image has
            gone or was revoked, nothing allows the images in this stage, or the stack
            is locked or has pending operations.
        StepError: The update ended, but the group or its template is on another image.
        ToolError: Pulumi failed.
        InterruptedRunError: The run was interrupted.

    """
    prepared = reopen(ctx, plan.token)
    require_identity(ctx)
    _available(ctx, plan.images, plan.rollback)
    relied = require_stage_before(ctx, plan.images, plan.rollback)
    account = Account(ctx.target)
    before = account.groups(ctx.app, ctx.stage)
    started_at = ctx.clock()
    found = pulumi.up(ctx, prepared, plan.state, f"olrunbook run {ctx.run_id}")
    if found.changed:
        msg = f"the state of {plan.stack} has changed since the preview"
        raise RefusedError(msg, "Somebody else updated it. Run the preview again.")
    _free(ctx, prepared.stack, found)
    # What was changed is told, whatever trouble AWS is in now.
    again = f"The update is made. Go on with it: olrunbook resume {short(ctx.run_id)}"
    look = Patiently(ctx, account, Patience(), Pace(1.0, None, 1), again)
    groups = look(lambda: account.groups(ctx.app, ctx.stage))
    look(lambda: _on_images(account, groups, plan.images))
    return DeployResult(
        project=plan.project,
        stack=plan.stack,
        version=found.state.version,
        counts=found.counts,
        changes=resource_changes(found),
        images=plan.images,
        outputs=found.outputs,
        before=before,
        groups=groups,
        url=look(lambda: account.url(groups)),
        started_at=started_at,
        # A clock that was set back makes no negative duration.
        ended_at=max(ctx.clock(), started_at),
        by_hand=plan.by_hand,
        relied=relied.text,
        rollback=plan.rollback is not None,
    )


def _available(
    ctx: Context, images: Mapping[str, str], rollback: RollbackRecord | None
) -> None:
    for node, image in images_exist(ctx, images).items():
        if image.revoked and not (rollback and rollback.revoked):
            msg = f"image {image.id} of {node} was revoked {image.revoked}"
            raise RefusedError(msg, "Deploy another image set.")
        if image.state != "available":
            state = image.state or "missing"
            msg = f"image {image.id} of {node} is {state}, wanted available"
            raise RefusedError(msg, f"Build one: olrunbook run image_build{ctx.onto}")


def _free(ctx: Context, stack: str, found: Found) -> None:
    """Refuse a stack that somebody updates, or that an update has left half done."""
    if not found.refused:
        return
    state = found.state
    if state.locks:
        msg = f"another update is working on {stack}: {'; '.join(state.locks)}"
        hint = "Wait for it; if that process is gone: "
        hint += f"olrunbook tools{ctx.onto} {pulumi.by_hand(ctx, 'cancel --yes')}"
        raise RefusedError(msg, hint)
    msg = f"{stack} has unfinished operations: {'; '.join(state.pending)}"
    by_hand = pulumi.by_hand(ctx, "refresh --yes --clear-pending-creates")
    hint = "Look in AWS whether they were made, then: "
    hint += f"olrunbook tools{ctx.onto} {by_hand}"
    raise RefusedError(msg, hint)


def _on_images(
    account: Account, groups: Sequence[GroupSeen], images: Mapping[str, str]
) -> None:
    """Fail unless every group's template and tag carry the image of its node type."""
    wrong = []
    for group in groups:
        wanted = images[group.node_type]
        if not group.name:
            wrong.append(f"there is no group {called(group.tag_name)}")
            continue
        template = account.template(group.name)
        if template.image != wanted:
            wrong.append(f"the template of {group.name} has {template.image}")
        tag = account.tags(group.name).get("ami_id", wanted)
        if tag != wanted:
            wrong.append(f"the tag ami_id of {group.name} is {tag}")
    if wrong:
        given = format_images(dict(images))
        msg = f"after the update {'; '.join(wrong)}; wanted {given}"
        raise StepError(msg, "The stack did not use the image it was given.")


PREVIEW = Step("preview", PreviewResult)
UP = Step("up", DeployResult, changes=True, locks=True, kept=True)
