set -e
# The chroot is $1. Whatever identifies a machine is made at its first boot.
rm -f "$1"/etc/ssh/ssh_host_*
: >"$1/etc/machine-id"
rm -f "$1/etc/hostname"
# Timers of apt hold its lock at the very moment an instance is provisioned.
for unit in apt-daily.timer apt-daily-upgrade.timer apt-daily.service \
  apt-daily-upgrade.service; do
  ln -sf /dev/null "$1/etc/systemd/system/$unit"
done
# No console, no kernel, no devices of its own: these would only fail in a container.
for unit in console-getty.service getty@tty1.service systemd-udevd.service \
  systemd-udev-trigger.service systemd-modules-load.service sys-kernel-debug.mount \
  sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount \
  systemd-remount-fs.service systemd-logind.service; do
  ln -sf /dev/null "$1/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target "$1/etc/systemd/system/default.target"
# A Debian cloud image speaks UTF-8 without a locale archive.
echo 'LANG=C.UTF-8' >"$1/etc/default/locale"
# A login must not wait for a name that nobody can resolve.
printf '%s\n' 'UseDNS no' >"$1/etc/ssh/sshd_config.d/10-no-dns.conf"
# The journal of a container lives in memory: it has no disk of its own.
mkdir -p "$1/etc/systemd/journald.conf.d"
printf '%s\n' '[Journal]' 'Storage=volatile' 'RuntimeMaxUse=16M' \
  >"$1/etc/systemd/journald.conf.d/volatile.conf"
# Without cloud-init (a local test) sshd makes its own host keys at the first start.
mkdir -p "$1/etc/systemd/system/ssh.service.d"
printf '%s\n' '[Service]' 'ExecStartPre=' 'ExecStartPre=/usr/bin/ssh-keygen -A' \
  'ExecStartPre=/usr/sbin/sshd -t' >"$1/etc/systemd/system/ssh.service.d/keys.conf"
# Manual pages are left out, but packages expect their folders.
for section in 1 2 3 4 5 6 7 8; do mkdir -p "$1/usr/share/man/man$section"; done
