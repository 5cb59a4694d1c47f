"""The steps as a notebook calls them. The rules are in `olrunbook.steps`, not here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from olrunbook.adapters.aws.reads import as_ourselves
from olrunbook.adapters.pulumi.secrets import secret_config
from olrunbook.archive.place import RunPlace
from olrunbook.errors import StepError, UsageError
from olrunbook.processes.left import own_words
from olrunbook.processes.system import since
from olrunbook.record.files import short
from olrunbook.record.journal import read_journal
from olrunbook.steps import checks, order, preflight
from olrunbook.steps.approval.model import STEP as GATE
from olrunbook.steps.deploy import update
from olrunbook.steps.images import build, provision
from olrunbook.steps.images.workspace import parse_variables
from olrunbook.steps.lock import one_at_a_time
from olrunbook.steps.release import STEP as PARTS
from olrunbook.steps.release import named, parts
from olrunbook.steps.results import DeployResult, Result, Step, own
from olrunbook.steps.rollout import awaited, refresh, rollout

if TYPE_CHECKING:
    from olrunbook.adapters.context import Context
    from olrunbook.display import Shown
    from olrunbook.record.model import RollbackRecord
    from olrunbook.run.byhand import ByHand
    from olrunbook.run.gate import Gate, Plan
    from olrunbook.run.recorder import Recorder
    from olrunbook.steps.deploy.plan import PreviewResult

OWN_NAME = re.compile(r"[A-Za-z][\w -]{0,62}")


class Run:
    """One run of a notebook. Made by `begin`."""

    run_id: str
    images: dict[str, str]
    rollback: RollbackRecord | None  # where the images are the way back

    def __init__(
        self,
        context: Context,
        place: RunPlace,
        recorder: Recorder,
        *,
        gate: Gate,
        by_hand: ByHand | None,  # None: an engine records and seals it
        node_type: str,
    ) -> None:
        self.run_id, self.images, self.rollback = context.run_id, {}, None
        self._context, self._place, self._recorder = context, place, recorder
        self._gate, self._by_hand, self._node_type = gate, by_hand, node_type
        self._awaited: awaited.Awaited | None = None

    def __repr__(self) -> str:
        """Return who we are in one line."""
        which = short(self.run_id)
        return f"<run {which} {self._place.notebook} {self._context.app_name}>"

    def step(
        self, name: str, function: Callable[[], Any], *, changes: bool = False
    ) -> Shown:
        """Run a step of your own: in the record, shown, and timed like all others.

        Args:
            name: Its name in the record.
            function: Does it. It returns a `Result`, or a plain value; what it raises
                ends the run as failed (`RefusedError`: as refused).
            changes: It changes or builds something: silence is no reason to stop it,
                and one change of an app is made at a time.

        Returns:
            What the function returned, showing itself.

        Raises:
            UsageError: The name is none.

        """
        if not OWN_NAME.fullmatch(name):
            msg = f"{name!r} cannot be the name of a step"
            raise UsageError(msg, "Use letters, digits, -, _ and spaces.")
        step = Step(name, changes=changes, locks=changes)

        def work() -> Result:
            try:
                return own(function())
            except UsageError as error:  # that would say that nothing ran
                raise StepError(str(error), error.hint) from error

        return self._do(step, work)

    def _do(self, step: Step, work: Callable[[], Result]) -> Shown:
        """Run a step, alone where needed; before a change AWS says who we are."""
        if step.changes:
            work = as_ourselves(self._context, work)
        if step.locks:
            root, app = self._context.project.root, self._context.app_name
            which = f"{self._context.stage} (run {short(self.run_id)})"
            work = one_at_a_time(root, app, f"{self._place.notebook} {which}")(work)
        return self._recorder.step(step, work)

    def _call(
        self, step: Step, function: Callable[..., Result], *given: Any, **more: Any
    ) -> Shown:
        """Run the step that a function is."""
        return self._do(step, lambda: function(self._context, *given, **more))

    def _apply(self, step: Step, function: Callable[..., Result], plan: Any) -> Shown:
        """Run a step that changes what was shown, once that is past the gate."""

        def past_gate(context: Context, shown: Any) -> Result:
            self._gate.require(shown)
            return function(context, shown)

        return self._call(step, past_gate, _result_of(plan))

    def preflight(self, what: str) -> Shown:
        """Check what must hold before anything changes; a failed check ends here.

        Args:
            what: What is to be done: `image_test`, `image_build`, `deploy`, `rollout`,
                `refresh`.

        Raises:
            UsageError: There are no checks of that name.
            RefusedError: A check failed; nothing was changed.

        """
        need = preflight.checks_for(what)
        now = {"images": self.images, "rollback": self.rollback}
        return self._call(preflight.STEP, preflight.preflight, need=need, **now)

    def image_test(self, base: str = "") -> Shown:
        """Provision a container with the app's deploy, twice; see what it says."""
        node = self._node_type
        return self._call(provision.STEP, provision.image_test, base, node)

    def validate(self) -> Shown:
        """Let Packer check the template: init, validate, fmt."""
        return self._call(build.VALIDATE, build.validate, self._node_type)

    def build(self, on_error: str = "cleanup", variables: str = "") -> Shown:
        """Bake the image of every node type."""
        node = self._node_type

        def work() -> Result:
            given = parse_variables(variables)
            return build.build(self._context, node, on_error, given)

        shown = self._do(build.BUILD, work)
        self._travels(shown.images)
        return shown

    def preview(self) -> Shown:
        """Let Pulumi say what it would change."""
        over, back = self._gate.typed.overrides, self.rollback
        return self._call(update.PREVIEW, update.preview, self.images, over, back)

    def override(self, rule: str, reason: str) -> None:
        """Do what a rule denies nevertheless, in a notebook that you step through.

        The reason stands in the record's header.

        Raises:
            RefusedError: Nobody steps through it: type `--override RULE --reason "…"`.
            UsageError: There is no such rule, or no reason.

        """
        self._gate.override(rule, reason)

    async def gate(self, plan: Shown | Plan) -> Shown:
        """Go on where the stage has no gate, or people have approved what was shown.

        The plan is what `preview` or `planned` returned.

        Raises:
            WaitingError: Nobody has approved it yet; it says what to type.
            RefusedError: A rule denies it, or it was rejected; nothing was changed.

        """
        asked: Plan = _result_of(plan)
        kept = any(map(self._recorder.keeps, (update.UP, refresh.BEGAN)))
        return await self._recorder.ask(GATE, lambda: self._gate.ask(asked, kept=kept))

    def up(self, plan: Shown | PreviewResult) -> Shown:
        """Apply exactly what `preview` returned, once it is past the gate.

        Raises:
            RefusedError: A rule denies it; the stage has a gate, and this preview did
                not pass it.

        """
        return self._apply(update.UP, update.up, plan)

    def rollout(self, deploy_run: str = "", images: str = "", since: str = "") -> Shown:
        """Wait until the deploy is in service on every instance, or has failed.

        Args:
            deploy_run: The deploy, by run id; empty: the last that succeeded here.
            images: The wanted image set, where no record of the deploy is at hand.
            since: When that update began, `2026-11-29T18:05` (UTC); empty: since the
                newest refresh began.

        Raises:
            UsageError: A deploy and images were named, or `since` without images.

        """
        self._awaited = found = awaited.chosen(
            self._context, self._deploy, deploy_run, images, since
        )
        self._travels(found.images)
        return self._call(rollout.STEP, rollout.rollout, found)

    def planned(self, min_healthy: str = "", max_healthy: str = "") -> Shown:
        """Say what a refresh of the stage would do; change nothing.

        Args:
            min_healthy: Percent that stay healthy; empty: as in the last refresh.
            max_healthy: Percent that may run at once; empty: likewise, else 110.

        Raises:
            UsageError: A percentage is none that AWS takes.
            RefusedError: There is nothing to refresh, or a refresh is in progress.

        """
        kept = self._recorder.keeps(refresh.BEGAN)
        asked = {"min_healthy": str(min_healthy), "max_healthy": str(max_healthy)}
        shown = self._call(refresh.PLANNED, refresh.planned, asked, began=kept)
        self._travels(shown.images)
        return shown

    def began(self, plan: Shown | refresh.RefreshPlan) -> Shown:
        """Start exactly the refresh that `planned` returned, once it is past the gate.

        Raises:
            RefusedError: It did not pass the gate, or is not as it was planned.

        """
        return self._apply(refresh.BEGAN, refresh.began, plan)

    def watched(self, began: Shown | refresh.RefreshBegan) -> Shown:
        """Wait until every instance was replaced and serves, or that has failed.

        It is of the refresh that `began` returned.
        """
        result: refresh.RefreshBegan = _result_of(began)
        self._awaited = refresh.awaited(result)
        return self._call(refresh.WATCHED, refresh.watched, result)

    def checks(self, deploy_run: str = "") -> Shown:
        """Ask the deployed stage what the catalog says it must answer.

        Args:
            deploy_run: The deploy, by run id; empty: what this run's rollout watched,
                else the last deploy that succeeded here.

        """
        deployed = self._deploy(deploy_run) if deploy_run else self._awaited
        url = (deployed or self._deploy("")).url
        spec = self._context.app.checks
        keys = {key for check in spec for key in check.secret_headers.values()}

        def work() -> Result:
            secrets = {key: secret_config(self._context, key) for key in sorted(keys)}
            return checks.run_checks(self._context, url, secrets)

        return self._do(checks.STEP, work)

    def parts(self, release: str = "") -> Shown:
        """Show the runs of a release: step, stage, outcome, seconds, record."""
        outputs, where = self._context.project.outputs, self._place.target
        place = named(outputs, where, self._context.app_name, release)
        entries = read_journal(place.folder)
        return self._do(PARTS, lambda: parts(place.run_id, entries))

    def leave(self, process: Any) -> None:
        """Declare that a process stays when the run ends; what it starts stays, too.

        Args:
            process: A `Popen`, a psutil `Process`, or a process id.

        Raises:
            UsageError: There is no such process.

        """
        import psutil  # noqa: PLC0415  (only here)

        pid = getattr(process, "pid", process)
        if not isinstance(pid, int) or not (began := since(pid)):
            msg = f"{process!r} is not a running process"
            raise UsageError(msg, "Give run.leave a Popen or a process id.")
        command = own_words(psutil.Process(pid).cmdline())
        self._recorder.journal.add("leave", pid=pid, began=began, command=command)

    def plot(self, shown: Shown) -> Any:
        """Return the plot of a rollout: refresh, instances, availability."""
        from olrunbook.display.plots import rollout_plot  # noqa: PLC0415

        return rollout_plot(_result_of(shown))

    def conclude(self, answer: object = None) -> None:
        """Say that the run came to its end. An ending before this is a failure.

        Args:
            answer: What answers the notebook's question: a step's result or a plain
                value; None: the last result.

        Raises:
            StepError: A step did not end well.

        """
        from olrunbook.display import Shown, note  # noqa: PLC0415

        self._recorder.require_done()
        headline = self._recorder.headline
        if answer is not None:
            value = answer.result if isinstance(answer, Shown) else answer
            headline = own(value).headline()
        self._recorder.journal.add("conclude", headline=headline)
        shutil.rmtree(self._context.work, ignore_errors=True)
        how = self._by_hand.conclude() if self._by_hand else ""
        note(f"{headline or 'done'} · record {self._place.folder}{how}")

    def _travels(self, images: dict[str, str]) -> None:
        """Take on an image set and write it down."""
        self.images = dict(images)
        self._recorder.journal.add("begin", images=self.images)

    def _deploy(self, deploy_run: str) -> DeployResult:
        where = (self._place.target, self._context.app_name, self._context.stage)
        found = order.last_deploy(self._context.project.outputs, *where, deploy_run)
        result = found.record.result(DeployResult.schema_name)
        return DeployResult.model_validate(result)


def _result_of(shown: Any) -> Any:
    """Return a step's result, also where it comes as it is shown."""
    return getattr(shown, "result", shown)
