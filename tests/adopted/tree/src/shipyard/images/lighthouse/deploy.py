"""Provision a lighthouse. It runs with the packages and the environment of its tree."""

import os

from harbor.versions import LAMP
from shipyard.services import answering_service

assert os.environ["SEAL"], "the seal is broken"
assert "HARBOR_TOKEN" not in os.environ, "that is not for us"
node = os.environ.get("NODE_TYPE", "server")
answering_service("lighthouse", port=8080, text=f"lighthouse {LAMP} {node}")
