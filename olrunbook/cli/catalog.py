"""`olrunbook catalog`: what there is."""

from __future__ import annotations

import click

from olrunbook.cli.common import project


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def catalog(*, as_json: bool) -> None:
    """Show the apps, stages and targets, and the file that names them."""
    found = project()
    data = found.catalog
    if as_json:
        click.echo(data.model_dump_json(by_alias=True, indent=1))
        return
    click.echo(f"catalog   {found.catalog_file}")
    click.echo(f"stages    {' → '.join(data.stages.order)}")
    for name, target in data.targets.items():
        click.echo(f"target    {name}: {target.title}")
        if target.kind == "aws":
            held = {"account": target.account, "in": target.region}
            held |= {"profile": target.profile, "role": target.role}
            said = (f"{what} {value}" for what, value in held.items() if value)
            click.echo(f"            {', '.join(said)}")
        for stage, gate in target.gates.items():
            click.echo(f"            gate {stage}: {gate}")
    for name, app in data.apps.items():
        click.echo(f"app       {name}: {app.title} ({', '.join(app.node_types)})")
        if app.stages:
            click.echo(f"            stages {' → '.join(app.stages)}")
        click.echo(f"            image {app.image.template}, {app.image.only}")
        if app.stack:
            click.echo(f"            stack {app.stack.path}, {app.stack.stack}")
