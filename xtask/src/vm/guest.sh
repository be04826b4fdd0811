#!/bin/sh
# Process 1 of the guest: runs /run/vm/job.0, job.1, … one after another and says on the second serial line
# when each begins and how it ends. A shell waits for any child, so orphans are reaped.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
read -r mark </run/vm/mark
exec </dev/null >/dev/ttyS1 2>&1

printf '\036%s up\n' "$mark"
number=0
while [ -e "/run/vm/job.$number" ]; do
	printf '\036%s begin %s\n' "$mark" "$number"
	/run/busybox setsid /run/busybox sh "/run/vm/job.$number"
	status=$?
	# What a job left behind must not reach the next one.
	kill -9 -1 2>/dev/null
	printf '\036%s end %s %s\n' "$mark" "$number" "$status"
	number=$((number + 1))
done
printf '\036%s done\n' "$mark"
exec >/dev/console 2>&1
/run/busybox poweroff -f
