"""`olrunbook iam`: policies for who builds, who deploys a stage, and who only looks."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from olrunbook.cli.common import project
from olrunbook.cli.complete import complete_app, complete_stage
from olrunbook.errors import UsageError

if TYPE_CHECKING:
    from olrunbook.adopt.iam import Policy

INTRODUCTION = """\
A starting point, made from what the notebooks call on the rehearsal and what the real
tools and AWS need beyond that. Read it before you attach it: a stack that makes other
things than instances, balancers, names and roles needs more, and may need less."""


@click.command(
    epilog="""\b
Examples:
  olrunbook iam tika
  olrunbook iam tika --stage CI --account 123456789012
  olrunbook iam tika --tag OU=operations --out policies
  olrunbook iam tika --json | jq '.policies[] | {name, size}'
  aws iam create-policy --policy-name olrunbook-tika-build \\
      --policy-document file://policies/olrunbook-tika-build.json"""
)
@click.argument("app", shell_complete=complete_app)
@click.option(
    "--stage", default="", shell_complete=complete_stage, help="Only this one."
)
@click.option(
    "--target", default="", help="Says the account; default: the first of kind aws."
)
@click.option("--account", default="", help="AWS account id; default: the target's.")
@click.option("--region", default="", help="AWS region; default: the stack's.")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="KEY=VALUE",
    help="On all that stack and builder make; may hold {stage}, {stage_lower}, {app}.",
)
@click.option("--names", default="", help="Pattern of names; default: *APP*.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write files here."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def iam(
    *,
    app: str,
    stage: str,
    target: str,
    tags: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    **known: str,
) -> None:
    """Print IAM policies for build, for deploys of each stage, and for review.

    Nothing is asked of AWS and nothing is changed there.
    """
    from olrunbook.adopt.iam import Given, policies  # noqa: PLC0415  (heavy)

    given = Given(tags=dict(map(_pair, tags)), **known)
    found, notes = policies(project(), app, stage, target, given)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        for policy in found:
            text = json.dumps(policy.document, indent=2) + "\n"
            (out / f"{policy.name}.json").write_text(text, encoding="utf-8")
    if as_json:
        rows = [asdict(policy) | {"size": policy.size} for policy in found]
        click.echo(json.dumps({"policies": rows, "notes": notes}, indent=1))
        return
    click.echo(INTRODUCTION)
    for note in notes:
        click.echo(f"  - {note}")
    for policy in found:
        _print(policy, out)


def _pair(tag: str) -> tuple[str, str]:
    key, equals, value = tag.partition("=")
    if not (key and equals and value):
        msg = f"--tag {tag!r}: wanted KEY=VALUE"
        raise UsageError(msg, "Example: --tag Environment=operations-{stage_lower}")
    return key, value


def _print(policy: Policy, out: Path | None) -> None:
    from olrunbook.adopt.iam import LARGEST  # noqa: PLC0415  (heavy)

    click.secho(f"\n{policy.name}", bold=True, nl=False)
    click.echo(f"   for {policy.who}   {policy.size} of {LARGEST} characters")
    for sid, remark in policy.remarks.items():
        click.echo(f"  {sid:<20} {remark}")
    if out:
        click.echo(f"  {out / policy.name}.json")
    else:
        click.echo(json.dumps(policy.document, indent=2))
