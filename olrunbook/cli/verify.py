"""`olrunbook verify`: the archive's own verifier, on the project's archive."""

from __future__ import annotations

import click

from olrunbook.archive import verifier
from olrunbook.cli.common import project
from olrunbook.cli.complete import complete_run
from olrunbook.errors import UsageError


@click.command(
    epilog="""\b
Examples:
  olrunbook verify                           everything in the archive
  olrunbook verify 0193…d02                  one run, and the chain it is in
  olrunbook verify --print-head > kept.txt   keep this elsewhere …
  olrunbook verify --head kept.txt           … what was kept is still there

\b
Without olrunbook: python -I outputs/verify.py
Exit codes: 0 all good, 1 something is wrong, 2 usage."""
)
@click.argument("reference", metavar="[RUN]", default="", shell_complete=complete_run)
@click.option("--all", "everything", is_flag=True, help="Everything (the default).")
@click.option(
    "--head",
    default="",
    metavar="HASH|FILE",
    help="Check that this sha256, or the file of --print-head, fits the chains.",
)
@click.option("--print-head", is_flag=True, help="Print what to keep elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    reference: str, *, everything: bool, head: str, print_head: bool, as_json: bool
) -> int:
    """Check that nothing in the archive was changed: records, files and chain.

    Names every file and every run that was changed, removed, added, copied or moved.
    """
    if reference and everything:
        msg = f"give a run ({reference}) or --all, not both"
        raise UsageError(msg)
    outputs = project().outputs
    try:
        report = verifier.verify(
            str(outputs), reference, verifier.read_kept(head or None)
        )
    except LookupError as error:
        raise UsageError(str(error.args[0]), "List them: olrunbook runs") from None
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "filename", None) or head or outputs
        msg = f"{what} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UsageError(msg) from None
    return verifier.tell(report, as_json=as_json, print_head=print_head)
