#!/bin/busybox sh
# First program of the guest: reaches the host's files, read-only, below a writable layer in memory, and goes there.
# All of it is done by busybox in memory: a dynamically linked program costs a fifth of a second here.
export PATH=/bin
/bin/busybox --install -s /bin

fail() {
	echo "test VM: $*"
	poweroff -f
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules.list); do
	insmod "$module" || fail "cannot insert a module ($module)"
done

nine='trans=virtio,version=9p2000.L,msize=512000'
mount -t 9p -o "ro,cache=loose,$nine" host /lower || fail "cannot mount the host's files"
mount -t tmpfs -o mode=755 upper /upper || fail "cannot mount the writable layer"
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work host /root ||
	fail "cannot lay the writable layer over the host's files"

mount -t tmpfs -o mode=755 run /root/run
mkdir -p /root/run/vm /root/run/lock /root/lib/modules /root/proc /root/sys /root/dev /root/tmp
mount -t 9p -o "$nine" run /root/run/vm || fail "cannot mount the run's directory"
mount -t 9p -o "ro,cache=loose,$nine" modules /root/lib/modules || fail "cannot mount the kernel modules"
cp /bin/busybox /root/run/busybox

mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
chmod 1777 /root/tmp
hostname lvs-vm
ip link set lo up
stty -F /dev/ttyS1 raw -echo
for system in proc sys dev; do
	mount --move /$system /root/$system
done
exec switch_root /root /run/busybox sh /run/vm/guest.sh
