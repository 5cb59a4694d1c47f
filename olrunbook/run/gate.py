"""The gate of a run: between what was previewed and what is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olrunbook.adapters.context import Context
from olrunbook.archive.place import RunPlace
from olrunbook.errors import RefusedError, UsageError, WaitingError
from olrunbook.project.gates import GateSpec, duration
from olrunbook.project.imageset import format_images
from olrunbook.record.files import short
from olrunbook.record.journal import Typed, typed_of
from olrunbook.record.model import GateRecord
from olrunbook.record.provenance import operator, person
from olrunbook.steps.approval.decisions import By, decide, use
from olrunbook.steps.approval.digest import differences
from olrunbook.steps.approval.lineage import Lineage, signers_of
from olrunbook.steps.approval.model import Approval, Asked, GateResult, question_of
from olrunbook.steps.deploy.findings import require_rules

if TYPE_CHECKING:
    from olrunbook.steps.deploy.plan import PreviewResult
    from olrunbook.steps.rollout.refresh import RefreshPlan

    Plan = PreviewResult | RefreshPlan  # what is asked about


@dataclass(slots=True)
class Gate:
    """The gate of one run."""

    context: Context  # the run
    place: RunPlace  # its directory
    note: Callable[..., None]  # writes a line `gate` to its journal
    headless: bool = field(kw_only=True)  # an engine runs the cells
    # a person is at the screen, and can be asked in the notebook
    form: bool = field(kw_only=True)
    typed: Typed = field(default_factory=Typed, init=False)
    passed: Plan | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Take what the engine was told, before any cell ran."""
        if self.headless:
            self.typed = typed_of(self.place.folder)

    def override(self, rule: str, reason: str) -> None:
        """Let a rule be overridden in a run by hand; headless it is typed before.

        It raises what `Run.override` does.
        """
        if self.headless:
            msg = "a notebook overrides no rule of a run that nobody watches"
            hint = f'Type it: olrunbook run … --override {rule} --reason "…"'
            raise RefusedError(msg, hint)
        require_rules(self.context.project.root, [rule])
        if not reason.strip():
            msg = f"the reason to override {rule} is missing"
            raise UsageError(msg)
        given = {**self.typed.overrides, rule: self.context.redactor.text(reason)}
        self.typed = replace(self.typed, overrides=given)
        self.note("run", overrides=given)

    def require(self, plan: Plan) -> None:
        """Raise RefusedError unless exactly this preview came past the gate.

        It is let through once.
        """
        _refuse_denied(plan)
        if plan.idle or self._spec(Lineage.of(self.place), plan) is None:
            return
        passed, self.passed = self.passed, None
        if passed != plan:
            stage = self.context.stage
            msg = f"this preview (sha256 {plan.digest[:4]}…) did not pass the gate of "
            hint = "Preview, then: await run.gate(plan), then: run.up(plan)"
            raise RefusedError(msg + stage, hint)

    async def ask(self, plan: Plan, *, kept: bool = False) -> GateResult:
        """Return how a preview came past the gate; raise what `Run.gate` does.

        `kept`: the update was done in the run that this one takes up.
        """
        self.passed = None
        if not kept:
            _refuse_denied(plan)
        line = Lineage.of(self.place)
        spec = self._spec(line, plan)
        if spec is None or kept or plan.idle:
            status = "no change" if spec else "no gate"
            return self._past(plan, None, [], status="not asked" if kept else status)
        stage, whose = self.context.stage, {"runs": line.ids, "runners": line.runners}
        asked = Asked(gate=stage, digest=plan.digest, spec=spec, **whose)
        project, target = self.context.project, self.place.target
        found, notes = use(self._room, asked, signers_of(project, target, spec))
        if not found and self.typed.approve_all:
            found = self._all(asked)
        if not found:
            notes = [*self._news(line, plan), *notes]
            self._note(plan, spec, status="waiting")
            if self.form and not spec.protected:
                found = await self._form(plan, asked)
        if not found:
            raise self._waiting(plan, spec, notes)
        return self._past(plan, spec, found, status="approved")

    @property
    def _room(self) -> Path:
        return self.place.folder.parent

    def _spec(self, line: Lineage, plan: Plan) -> GateSpec | None:
        """Return the stage's gate, as strict as the catalog or a run before has it."""
        stage, back = self.context.stage, plan.rollback is not None
        catalog = self.context.project.catalog
        spec = catalog.gate(self.place.target, stage, rollback=back)
        spec = spec or (GateSpec() if stage in self.typed.gates.split(",") else None)
        return line.strictest(stage, spec)

    def _past(
        self, plan: Plan, spec: GateSpec | None, found: list[Approval], *, status: Any
    ) -> GateResult:
        """Write down how the preview came past the gate, and let it through."""
        self._note(
            plan,
            spec or GateSpec(),
            status=status,
            by="; ".join(one.person for one in found),
            known="; ".join(dict.fromkeys(one.known for one in found)),
            reason="; ".join(dict.fromkeys(one.reason for one in found)),
            decided_at=max((one.at for one in found), default=""),
            until=min((one.until for one in found), default=""),
            emergency=any(one.emergency for one in found),
        )
        self.passed = plan
        return GateResult(**self._asked(plan), status=status, approvals=found)

    def _asked(self, plan: Plan) -> dict[str, str]:
        stage = self.context.stage
        return {"gate": stage, "question": question_of(stage), "digest": plan.digest}

    def _note(self, plan: Plan, spec: GateSpec, **more: Any) -> None:
        wants = spec.model_dump(include={"people", "signature", "lasts"})
        more |= {"shown": _shown(plan), **self._asked(plan), **wants}
        self.note("gate", **GateRecord(**more).model_dump())

    def _decide(
        self, asked: Asked, how: str, reason: str, *, approved: bool
    ) -> dict[str, str]:
        """Enter a decision into the chain; return who made it, how known, and why."""
        root, target = self.context.project.root, self.context.place
        known = f"{how}; claimed: operating system, git"
        by = By(person(operator(root)), known, target.identity_arn if target else "")
        told = self.context.redactor.text(reason)
        decide(self._room, asked, by, told, approved=approved)
        return {"by": by.person, "known": known, "reason": told}

    def _all(self, asked: Asked) -> list[Approval]:
        """Approve it as `--approve-all` says, and use that."""
        if asked.spec.protected:
            msg = f"--approve-all is no approval at the gate of {asked.gate}: it asks "
            raise RefusedError(msg + f"for {asked.spec}", "Leave --approve-all out.")
        self._decide(asked, "--approve-all", self.typed.approve_all, approved=True)
        return use(self._room, asked)[0]

    async def _form(self, plan: Plan, asked: Asked) -> list[Approval]:
        """Ask the person at the screen, and use what they decide."""
        from olrunbook.display.ask import Question, ask  # noqa: PLC0415  (heavy)
        from olrunbook.display.render import html  # noqa: PLC0415
        from olrunbook.display.shown import view_of  # noqa: PLC0415

        question = question_of(self.context.stage)
        answer = await ask(Question(question, html(view_of(plan)), plan.outlook))
        yes, how = answer.approved, "form in the notebook"
        told = self._decide(asked, how, answer.reason, approved=yes)
        if not yes:
            self._note(plan, asked.spec, status="rejected", **told)
            msg = f'rejected by {told["by"]}: "{told["reason"]}"'
            raise RefusedError(msg, "Nothing was changed.")
        return use(self._room, asked)[0]

    def _news(self, line: Lineage, plan: Plan) -> list[str]:
        """Return what differs from what the run before showed; empty: nothing."""
        before = line.shown_before()
        if before is None or before.get("digest") == plan.digest:
            return []
        was = type(plan).model_validate(before)
        told = differences(was.parts, plan.parts, was.changes, plan.changes)
        return [f"differs from what run {short(line.ids[1])} showed: {', '.join(told)}"]

    def _waiting(self, plan: Plan, spec: GateSpec, notes: list[str]) -> WaitingError:
        stage, run = self.context.stage, short(self.place.run_id)
        who = "" if spec == GateSpec() else f" ({spec})"
        text = f'"{question_of(stage)}" {_shown(plan)}{who}'
        sign = " --sign KEYFILE" if spec.signature else ""
        then = f"olrunbook resume {run}" if self.headless else "run this cell again"
        hint = f'olrunbook approve {run} --reason "…"{sign}, then {then}. '
        hint += "It holds for this run and exactly this preview (sha256 "
        hint += f"{plan.digest[:4]}…), once, for {duration(spec.lasts)}."
        return WaitingError("; ".join([text, *notes]), hint)


def _refuse_denied(plan: Plan) -> None:
    """Raise RefusedError where a rule denies what was previewed."""
    if denied := plan.denied:
        msg = "; ".join(f"rule {one.rule}: {one.text}" for one in denied)
        rules = dict.fromkeys(one.rule for one in denied)
        words = " ".join(f"--override {rule}" for rule in rules)
        hint = "Change what would be done. Only where it is right as it is: "
        raise RefusedError(msg, f'{hint}{words} --reason "…"')


def _shown(plan: Plan) -> str:
    """Return what is approved in one line: counts, and the image set."""
    images = format_images(plan.images)
    return f"{plan.headline()}, {images}" if images else plan.headline()
