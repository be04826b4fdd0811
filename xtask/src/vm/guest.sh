#!/bin/sh
# Process 1 of the guest: runs /run/vm/job.0, job.1, … one after another and says on the second serial line
# when each begins and how it ends. A shell waits for any child, so orphans are reaped.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec </dev/null

mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
chmod 1777 /tmp
hostname lvs-vm
ip link set lo up
mark=$(cat /run/vm/mark)
for module in $(cat /run/vm/modprobe); do
	modprobe "$module" || echo "test VM: modprobe $module failed" >/dev/console
done

stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>&1

printf '\036%s up\n' "$mark"
number=0
while [ -e "/run/vm/job.$number" ]; do
	printf '\036%s begin %s\n' "$mark" "$number"
	setsid -w sh "/run/vm/job.$number"
	status=$?
	# What a job left behind must not reach the next one.
	kill -9 -1 2>/dev/null
	printf '\036%s end %s %s\n' "$mark" "$number" "$status"
	number=$((number + 1))
done
printf '\036%s done\n' "$mark"
exec >/dev/console 2>&1
sync
busybox poweroff -f
