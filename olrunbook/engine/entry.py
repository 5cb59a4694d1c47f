"""What papermill loads: the engine `olrunbook`, a truthful record for every ending.

Imported by papermill alone (it loads its entry points while it is itself imported, so
that importing this module first would be a circle).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from papermill.engines import Engine

if TYPE_CHECKING:
    from olrunbook.engine.session import Session

__all__ = ["OlrunbookEngine"]


class OlrunbookEngine(Engine):  # type: ignore[misc]  # papermill has no types
    """Runs a notebook for papermill with our own execution and record."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,  # noqa: ARG003  (a runbook runs in the Python it lives in)
        output_path: str | None = None,  # noqa: ARG003  (papermill writes there itself)
        *,
        session: Session | None = None,
        **_: Any,  # options of papermill's own engine: progress bar, autosave, …
    ) -> Any:
        """Execute and return the masked notebook.

        Args:
            nb: The notebook, parameters injected.
            kernel_name: Unused.
            output_path: Unused.
            session: The run's session; None: papermill's command line called us.

        Raises:
            RunEndedError: It did not run to a good end; the record says how.

        """
        from olrunbook.engine.session import Session  # noqa: PLC0415  (heavy)

        return (session or Session.for_papermill(nb)).execute(nb)
