#!/bin/sh
# Messages between the ranks of a job, and what becomes of those who wait for a rank that ends.
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

begin_smrrun 60
for n in 1 2 3 7; do
    gives 0 "messages of all kinds, $n ranks" "$smrrun" -n $n "$rank" messages
done
gives 0 "messages of all kinds, 16 ranks" "$smrrun" -n 16 "$rank" messages 6
says "" "messages of all kinds: nothing is said"
gives 0 "a program alone" "$rank" messages

gives 0 "what a program sends the next one reads" \
    "$smrrun" -n 3 sh -c '"$0" mail; "$0" who >/dev/null; "$0" mail-read' "$rank"
prints "all mail was read" "what a program sends the next one reads"
gives 0 "and in another order" \
    "$smrrun" -n 3 sh -c '"$0" mail 1; "$0" mail 2; "$0" mail-read 2; "$0" mail-read 1' "$rank"

gone='smrrun: rank 2 is gone while rank [013] waits for'
gives 1 "a rank that leaves" "$smrrun" -n 4 "$rank" message-end 0
says "$gone a message \\(tag 5\\) at .*rank\\.c:[0-9]+" "a rank that leaves: who waits for what, and where"
gives 1 "all others leave" "$smrrun" -n 4 "$rank" message-end 0 any
says 'smrrun: rank [123] is gone while rank 0 waits for a message from any rank \(tag 5\) at .*rank\.c:[0-9]+' \
    "all others leave: rank 0 waits for any"
gives 1 "a rank that leaves what is sent to it" "$smrrun" -n 4 "$rank" message-in-vain
says "$gone it to receive a message \\(tag 6\\) at .*rank\\.c:[0-9]+" "a rank that leaves what is sent to it: the tag"
for how in segv:139:SIGSEGV kill:137:SIGKILL; do
    name=${how%%:*} status=${how#*:}
    gives "${status%:*}" "a rank that ends by $name" "$smrrun" -n 4 "$rank" message-end "$name"
    says "smrrun: rank 2 \\(pid [0-9]+(, cpus? [0-9,-]+)?\\) was ended by ${how##*:}" "a rank that ends by $name: it is told"
done
gives 1 "a message that is too long" "$smrrun" -n 4 "$rank" message-cut
says 'smrrun: rank 0 .*rank\.c:[0-9]+: recv: the message from rank 2 with tag 6 has 100 bytes, and there is room for 99' \
    "a message that is too long: both lengths"

failed=0
for _ in $(seq "${rounds:-5}"); do
    "$smrrun" -n 4 "$rank" message-end kill >out 2>err
    [ $? = 137 ] || { failed=$((failed + 1)) && tap_explain "$(cat err)"; }
done
is 0 "$failed" "a rank that is killed, ${rounds:-5} times"
none_left "nothing is left"
finish
