"""The steps as a notebook calls them. The rules are in `olrunbook.steps`, not here."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, cast

from olrunbook.archive.place import RunPlace, list_runs
from olrunbook.errors import RefusedError
from olrunbook.record.journal import read_journal
from olrunbook.steps import order as gates

if TYPE_CHECKING:
    from olrunbook.display import Shown
    from olrunbook.run.byhand import ByHand
    from olrunbook.run.recorder import Recorder
    from olrunbook.steps.context import Context
    from olrunbook.steps.deploy.update import PreviewResult
    from olrunbook.steps.results import DeployResult, Result
    from olrunbook.steps.rollout.model import RolloutResult

__all__ = ["Run"]


class Run:
    """One run of a notebook. Made by `begin`.

    Args:
        context: What the steps get.
        place: Its directory.
        recorder: Writes down and shows what the steps do.
        by_hand: Records and seals it where no engine does; None: one does.
        node_type: Only this node type (image notebooks).

    """

    def __init__(
        self,
        context: Context,
        place: RunPlace,
        recorder: Recorder,
        *,
        by_hand: ByHand | None,
        node_type: str,
    ) -> None:
        self.images: dict[str, str] = {}
        self._context, self._place, self._recorder = context, place, recorder
        self._by_hand, self._node_type = by_hand, node_type

    def __repr__(self) -> str:
        """Return who we are in one line."""
        which = gates.short(self.run_id)
        return f"<run {which} {self._place.notebook} {self._context.app_name}>"

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._context.run_id

    def preflight(self) -> Shown:
        """Check what must hold before anything changes; a failed check ends here."""
        from olrunbook.steps import preflight as step  # noqa: PLC0415

        return self._recorder.step(
            "preflight",
            lambda: step.preflight(
                self._context,
                need=step.NEEDS[self._place.notebook],
                images=self.images,
                stage_before=self._stage_before if self._context.stage else None,
            ),
            step.require,
        )

    def image_test(self, base: str = "") -> Shown:
        """Provision a container with the app's deploy, twice; see what it says."""
        from olrunbook.steps.images.provision import image_test, require  # noqa: PLC0415

        return self._recorder.step(
            "image_test",
            lambda: image_test(self._context, base=base, node_type=self._node_type),
            require,
        )

    def validate(self) -> Shown:
        """Let Packer check the template: init, validate, fmt."""
        from olrunbook.steps.images.build import validate  # noqa: PLC0415

        return self._recorder.step(
            "validate", lambda: validate(self._context, node_type=self._node_type)
        )

    def build(self, on_error: str = "cleanup", variables: str = "") -> Shown:
        """Bake the image of every node type."""
        from olrunbook.steps.images.build import (  # noqa: PLC0415
            build,
            parse_variables,
        )

        def work() -> Result:
            return build(
                self._context,
                node_type=self._node_type,
                on_error=on_error,
                variables=parse_variables(variables),
            )

        shown = self._recorder.step("build", work)
        self._travels(shown.images)
        return shown

    def preview(self) -> Shown:
        """Let Pulumi say what it would change."""
        from olrunbook.steps.deploy.update import preview  # noqa: PLC0415

        return self._recorder.step(
            "preview", lambda: preview(self._context, self.images)
        )

    def up(self, plan: Shown | PreviewResult) -> Shown:
        """Apply exactly what the preview showed."""
        from olrunbook.steps.deploy.update import up  # noqa: PLC0415

        preview = cast("PreviewResult", getattr(plan, "result", plan))
        return self._recorder.step("up", lambda: up(self._context, preview))

    def rollout(self, deploy_run: str = "") -> Shown:
        """Wait until the deploy is in service on every instance, or has failed."""
        from olrunbook.steps.rollout.rollout import require, rollout  # noqa: PLC0415

        deploy = self._deploy(deploy_run)
        self._travels(deploy.images)
        return self._recorder.step(
            "rollout", lambda: rollout(self._context, deploy), require
        )

    def checks(self, deploy_run: str = "") -> Shown:
        """Ask the deployed stage what the catalog says it must answer."""
        from olrunbook.adapters.pulumi.secrets import (  # noqa: PLC0415
            secret_config,
        )
        from olrunbook.steps.checks import require, run_checks  # noqa: PLC0415

        deploy = self._deploy(deploy_run)
        checks = self._context.app.checks
        keys = {key for check in checks for key in check.secret_headers.values()}

        def work() -> Result:
            secrets = {key: secret_config(self._context, key) for key in sorted(keys)}
            for value in secrets.values():
                self._context.redactor.learn(value.get_secret_value())
            return run_checks(self._context, deploy.url, secrets)

        return self._recorder.step("checks", work, require)

    def parts(self, release: str = "") -> Shown:
        """Show the runs of a release: step, stage, outcome, seconds, record."""
        from olrunbook.steps.release import parts, require  # noqa: PLC0415

        place = self._release(release)
        entries = read_journal(place.folder)
        return self._recorder.step(
            "parts", lambda: parts(place.run_id, entries), require
        )

    def plot(self, shown: Shown) -> Any:
        """Return the plot of a rollout: refresh, instances, availability."""
        from olrunbook.display.plots import rollout_plot  # noqa: PLC0415

        return rollout_plot(cast("RolloutResult", shown.result))

    def conclude(self) -> None:
        """Say that the run came to its end. An ending before this is a failure.

        Raises:
            StepError: A step did not end well.

        """
        from olrunbook.display import note  # noqa: PLC0415

        self._recorder.require_done()
        headline = self._recorder.headline
        journal = self._recorder.journal
        journal.add("conclude", headline=headline)
        self._recorder.tell(progress=headline)
        shutil.rmtree(self._context.work, ignore_errors=True)
        how = self._by_hand.conclude() if self._by_hand else ""
        note(f"{headline or 'done'} · record {self._place.folder}{how}")

    def _travels(self, images: dict[str, str]) -> None:
        """Take on an image set and write it down."""
        self.images = dict(images)
        self._recorder.journal.add("begin", images=self.images)

    def _deploy(self, deploy_run: str) -> DeployResult:
        from olrunbook.steps.results import DeployResult  # noqa: PLC0415

        found = gates.last_deploy(
            self._context.project.outputs,
            self._place.target,
            self._context.app_name,
            self._context.stage,
            deploy_run,
        )
        result = found.record.result(DeployResult.schema_name)
        return DeployResult.model_validate(result)

    def _stage_before(self) -> str:
        context = self._context
        return gates.require_stage_before(
            context.project.outputs,
            context.project.catalog,
            target=self._place.target,
            cloud_id=context.target.cloud_id,
            app=context.app_name,
            stage=context.stage,
            images=self.images,
        )

    def _release(self, release: str) -> RunPlace:
        """Return the release named, else the newest that has runs."""
        app = self._context.app_name
        for place in list_runs(
            self._context.project.outputs,
            target=self._place.target,
            app=app,
            room="release",
        ):
            if release == place.run_id:
                return place
            kinds = {entry["kind"] for entry in read_journal(place.folder)}
            if not release and "part" in kinds:
                return place
        msg = f"no release {release or 'of ' + app} in the archive"
        raise RefusedError(msg, f"Make one: olrunbook release {app}")
