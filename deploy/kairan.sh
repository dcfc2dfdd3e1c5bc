#!/bin/sh
# /usr/local/bin/kairan: Kairan's commands on a server, as the user and with the data of the service.
# Install it once: sudo install -m 755 /opt/kairan/deploy/kairan.sh /usr/local/bin/kairan
set -eu
if [ "$(id -un)" = kairan ]; then
  exec env KAIRAN_DATA=/var/lib/kairan /opt/kairan/kairan "$@"
fi
exec sudo -u kairan env KAIRAN_DATA=/var/lib/kairan /opt/kairan/kairan "$@"
