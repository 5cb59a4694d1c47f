"""What cloud-init does at first boot, as a tar laid into a container before it starts.

Two oneshot units: `ol-cloud-init` (before sshd: the user `admin`, its key, host keys,
write_files) and `ol-cloud-final` (after sshd: runcmd and scripts, output in
/var/log/cloud-init-output.log). Both run once per instance id, so an image made from an
instance starts afresh, as with cloud-init.
"""

from __future__ import annotations

import io
import shlex
import tarfile

from olrunbook.rehearsal.machines.user_data import Instructions, parse_user_data

FOLDER = "var/lib/cloud/ol"
SCRIPTS = 8  # slots; those of an earlier life of the image are overwritten, not kept

_INIT = """#!/bin/sh
set -e
cd /var/lib/cloud/ol
id=$(cat instance-id)
[ "$(cat done 2>/dev/null)" = "$id" ] && exit 0
id admin >/dev/null 2>&1 || useradd -m -s /bin/bash admin
echo 'admin ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cloud-init-users
chmod 440 /etc/sudoers.d/90-cloud-init-users
install -d -m 700 -o admin -g admin /home/admin/.ssh
if [ -s key.pub ]; then
    cat key.pub >>/home/admin/.ssh/authorized_keys
    chown admin: /home/admin/.ssh/authorized_keys
    chmod 600 /home/admin/.ssh/authorized_keys
fi
rm -f /etc/ssh/ssh_host_*
ssh-keygen -q -A
rm -f /etc/machine-id
systemd-machine-id-setup >/dev/null 2>&1 || true
sh ./files.sh
echo "$id" >done
"""

_FINAL = """#!/bin/sh
cd /var/lib/cloud/ol
id=$(cat instance-id)
[ "$(cat final 2>/dev/null)" = "$id" ] && exit 0
echo "$id" >final
code=0
for script in scripts/*; do
    [ ! -f "$script" ] || "./$script" >>/var/log/cloud-init-output.log 2>&1 || code=1
done
exit $code
"""

_UNIT = """[Unit]
Description={description}
{order}

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=0
ExecStart=/{folder}/{program}

[Install]
WantedBy=multi-user.target
"""

_UNITS = {
    "ol-cloud-init": ("first boot: key and files", "Before=ssh.service", "init"),
    "ol-cloud-final": (
        "first boot: user data",
        "After=ssh.service ol-cloud-init.service network.target",
        "final.sh",
    ),
}


def first_boot_tar(instance_id: str, public_key: bytes, raw_user_data: bytes) -> bytes:
    """Return the tar of an instance's first boot.

    Args:
        instance_id: What first boot is remembered by.
        public_key: OpenSSH public key for `admin`; empty: none.
        raw_user_data: User data, decoded from base64.

    """
    wanted = parse_user_data(raw_user_data)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _put(tar, f"{FOLDER}/instance-id", instance_id.encode())
        _put(tar, f"{FOLDER}/key.pub", public_key)
        _put(tar, f"{FOLDER}/user-data", raw_user_data, 0o600)
        _put(tar, f"{FOLDER}/notes", "\n".join(wanted.notes).encode())
        _put(tar, f"{FOLDER}/init", _INIT.encode(), 0o755)
        _put(tar, f"{FOLDER}/final.sh", _FINAL.encode(), 0o755)
        _put_files(tar, wanted)
        for slot in range(max(SCRIPTS, len(wanted.scripts))):
            script = (
                wanted.scripts[slot] if slot < len(wanted.scripts) else b"#!/bin/sh\n"
            )
            _put(tar, f"{FOLDER}/scripts/{slot:02}", script, 0o700)
        for unit, (description, order, program) in _UNITS.items():
            text = _UNIT.format(
                description=description, order=order, folder=FOLDER, program=program
            )
            path = f"etc/systemd/system/{unit}.service"
            _put(tar, path, text.encode())
            _link(
                tar,
                f"etc/systemd/system/multi-user.target.wants/{unit}.service",
                f"/{path}",
            )
    return buffer.getvalue()


def _put_files(tar: tarfile.TarFile, wanted: Instructions) -> None:
    """Lay the files of write_files aside, with a script that puts them into place.

    The tar itself could not: their owners' numbers are only known inside the image.
    """
    lines = []
    for number, file in enumerate(wanted.files):
        _put(tar, f"{FOLDER}/file{number}", file.content, 0o600)
        path = shlex.quote(file.path)
        lines += [
            f'mkdir -p "$(dirname {path})"',
            f"cat file{number} {'>>' if file.append else '>'}{path}",
            f"chmod {shlex.quote(file.mode)} {path}",
            f"chown {shlex.quote(file.owner)} {path}",
        ]
    _put(tar, f"{FOLDER}/files.sh", "\n".join([*lines, ""]).encode())


def _put(tar: tarfile.TarFile, path: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def _link(tar: tarfile.TarFile, path: str, to: str) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname = tarfile.SYMTYPE, to
    tar.addfile(entry)
