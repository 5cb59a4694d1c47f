"""Status reasons of a refresh, in AWS's words where they are known."""

from __future__ import annotations

from moto.autoscaling.models import InstanceState


def waiting_for(state: InstanceState, how: str) -> str:
    """Return the words while a new instance is not in service."""
    waiting = "Waiting for remaining instances to be available."
    return f"{waiting} For example: {state.instance.id} is {how}."


def warming_up(state: InstanceState) -> str:
    """Return the words during a warm-up."""
    waiting = "Waiting for instances to warm up before continuing."
    return f"{waiting} For example: {state.instance.id} is warming up."


def checkpoint(percent: int) -> str:
    """Return the words at a checkpoint."""
    reached = f"Checkpoint reached: {percent}% of the instances were replaced."
    return f"{reached} Waiting before continuing."


def held(state: InstanceState) -> str:
    """Return the words for a refresh that can go no further."""
    standby = state.lifecycle_state == "Standby"
    why = "in Standby" if standby else "protected from scale in"
    waiting = "Waiting for instances that cannot be replaced:"
    return f"{waiting} {state.instance.id} is {why}."


def of(error: Exception) -> str:
    """Return an error's words; moto keeps them in `message`."""
    return str(getattr(error, "message", "") or str(error) or type(error).__name__)
