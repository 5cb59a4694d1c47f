"""Provision a Concourse image, web or worker: here a stand-in of the same shape.

Concourse itself cannot be had here; `files/concourse` says what it does instead. What
can be set, by environment: NODE_TYPE (web or worker), CONCOURSE_VERSION (a word that
tells two images apart) and AMI_TAGS (JSON).
"""

import io
import json
import os

from pyinfra import host
from pyinfra.facts.files import Directory
from pyinfra.operations import apt, files, server, systemd
from pyinfra.operations.util import any_changed

NODE_TYPE = os.environ.get("NODE_TYPE") or "web"
VERSION = os.environ.get("CONCOURSE_VERSION") or "stand-in"
AMI_TAGS = json.loads(os.environ.get("AMI_TAGS") or "{}")

if NODE_TYPE not in ("web", "worker"):
    msg = f"NODE_TYPE is {NODE_TYPE!r}; Concourse has web and worker"
    raise ValueError(msg)

apt.update(name="Update the package lists", cache_time=3600)
python = apt.packages(
    name="Install Python", packages=["python3", "openssl"], no_recommends=True
)
files.put(
    name="Install the stand-in of Concourse",
    src="files/concourse",
    dest="/usr/local/bin/concourse",
    mode="755",
)
files.directory(
    name="Ensure Concourse's configuration directory", path="/etc/concourse"
)
files.put(
    name="Write what this image is",
    src=io.StringIO(json.dumps({"version": VERSION, "node_type": NODE_TYPE}) + "\n"),
    dest="/etc/concourse/image.json",
    mode="644",
)
unit = files.template(
    name=f"Install the unit of {NODE_TYPE}",
    src="templates/concourse.service.j2",
    dest="/etc/systemd/system/concourse.service",
    mode="644",
    node_type=NODE_TYPE,
)
files.put(
    name="Write the image's tags",
    src=io.StringIO(json.dumps(AMI_TAGS, indent=2, sort_keys=True) + "\n"),
    dest="/etc/ami_tags.json",
    mode="644",
)
if host.get_fact(Directory, path="/run/systemd/system"):
    systemd.daemon_reload(name="Reload systemd", _if=any_changed(unit))
    systemd.service(
        name="Enable Concourse", service="concourse", running=False, enabled=True
    )
server.shell(
    name="Remove downloaded packages",
    commands=["apt-get clean"],
    _if=python.did_change,
)
