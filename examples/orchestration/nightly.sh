#!/bin/sh
# For cron, which mails what a command prints: silent when all is well. The crontab line:
#
#   10 3 * * *  cd /srv/viewing && PATH=$PWD/.venv/bin:$PATH sh nightly.sh --target nightly
#
# The exit code is that of `streampro run`. 1, the data is wrong, and 2, the call or configuration
# is wrong, want a person; after 3, the engine or the storage failed, it is tried once more.

streampro run "$@" >/dev/null
code=$?
if [ "$code" -eq 3 ]; then
    sleep "${RETRY_AFTER_S:-300}"
    streampro run "$@" >/dev/null
    code=$?
fi
exit "$code"
