"""A stack whose state newer tools have written: refused, or said in a rehearsal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest

from olrunbook.errors import RefusedError
from olrunbook.record.model import RollbackRecord
from olrunbook.steps.deploy import update as deploy
from olrunbook.steps.preflight import CheckRow, preflight, require
from tests.pulumi.conftest import Deploys

pytestmark = pytest.mark.rehearsal

PLACE = {
    "Bucket": "mitol-pulumi-state",
    "Key": ".pulumi/stacks/ol-infrastructure-tika-server/applications.tika.CI.json",
}
AWS = version("pulumi-aws")
Look = Callable[..., CheckRow]


@pytest.fixture(scope="module")
def real(deploys: Deploys) -> dict[str, Any]:
    """Return the state of a stack that was deployed, as Pulumi has written it."""
    run = deploys.run()
    deploy.up(run, deploy.preview(run, {"server": deploys.images[0]}))
    body = deploys.account.client("s3").get_object(**PLACE)["Body"]
    return dict(json.loads(body.read()))


@pytest.fixture
def look(deploys: Deploys, real: dict[str, Any]) -> Look:
    """Return a maker of the check, with the state changed by hand before it."""

    def check(kind: str, old: str = "", new: str = "", **more: Any) -> CheckRow:
        text = json.dumps(real)
        assert old in text
        body = (text.replace(old, new) if old else text).encode()
        deploys.account.client("s3").put_object(**PLACE, Body=body)
        run = deploys.run()
        target = run.target.model_copy(update={"kind": kind})
        found = preflight(replace(run, place=target), need=["state versions"], **more)
        if found.failed:
            with pytest.raises(RefusedError, match="the state was written by") as said:
                require(found)
            assert said.value.exit_code == 4
            assert "olrunbook tools" in said.value.hint
        return found.rows[0]

    return check


def test_what_our_own_tools_wrote_passes(look: Look, real: dict[str, Any]) -> None:
    """The engine's version and that of each provider are said."""
    engine = real["checkpoint"]["latest"]["manifest"]["version"]
    row = look("aws")
    assert row.status == "ok"
    names = [part.split()[0] for part in row.found.split("; ")]
    assert names == ["aws", "consul", "pulumi", "vault"]
    assert f"aws {AWS}; " in row.found
    assert f"pulumi {engine}; " in row.found


def test_a_newer_engine_or_provider_is_refused(
    look: Look, real: dict[str, Any]
) -> None:
    """With both versions; in a rehearsal, and on the way back, it is only said."""
    engine = real["checkpoint"]["latest"]["manifest"]["version"]
    row = look("aws", f'"version": "{engine}"', '"version": "v3.999.0"')
    assert row.status == "failed"
    assert f"pulumi v3.999.0, here it is {engine.removeprefix('v')}" in row.found
    newer = (f'"version": "{AWS}"', '"version": "7.999.0"')
    row = look("aws", *newer)
    assert row.status == "failed"
    assert row.found.endswith(f"written by aws 7.999.0, here it is {AWS}")
    assert look("rehearsal", *newer).status == "warning"
    back = RollbackRecord(left={"server": "ami-1"}, run_id="r")
    assert look("aws", *newer, rollback=back).status == "warning"


def test_older_ones_and_packages_that_are_not_here_pass(look: Look) -> None:
    """An update moves a state forward; what cannot be compared is named."""
    assert look("aws", f'"version": "{AWS}"', '"version": "7.1.0"').status == "ok"
    row = look("aws", "pulumi:providers:consul", "pulumi:providers:nowhere")
    assert row.status == "ok"
    assert "not compared: not found here" in row.found
