# Runs a program for as long as its own standard input stays open: whoever started it holds that, by
# SSH, and lets go of it to end the program, or by being gone.
exec 3<&0 0</dev/null >/dev/null 2>&1
# A process group of its own, so that the program's children are ended with it.
setsid "$@" 3<&- &
program=$!
{
    while read -r _ <&3; do :; done
    exec 3<&-
    kill -s TERM -- "-$program"
    sleep 5
    kill -s KILL -- "-$program"
} &
watcher=$!
wait "$program"
status=$?
kill "$watcher"
exit "$status"
