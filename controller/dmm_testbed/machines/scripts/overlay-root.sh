# Sourced by the other scripts: a root file system of its own over the user's machine.
# Everything is mounted in the caller's private mount namespace and goes with it.

# overlay_root BASE LAYER SIZE TREE...
# BASE: empty directory that gets the machine's own tmpfs. LAYER: image layer, or "" for none.
# TREE...: mount points of the user's machine that become lower layers, "/" first: an overlay does
# not look into file systems mounted below its lower directory, so a separate /usr or /var
# needs an overlay of its own.
overlay_root() {
    base=$1 layer=$2 size=$3
    shift 3
    mount -n -t tmpfs -o "mode=0755,size=$size" machine "$base"
    mkdir -p "$base/root" "$base/run/lock" "$base/tmp" "$base/dev/net" "$base/dev/pts" "$base/dev/shm"
    chmod 1777 "$base/tmp" "$base/dev/shm" "$base/run/lock"
    number=0
    for tree in "$@"; do
        number=$((number + 1))
        mkdir -p "$base/upper/$number" "$base/work/$number"
        if [ -n "$layer" ]; then
            mkdir -p "$layer$tree"
            lower=$layer$tree:$tree
        else
            lower=$tree
        fi
        mount -n -t overlay machine "$base/root$tree" -o "lowerdir=$lower,upperdir=$base/upper/$number,workdir=$base/work/$number,redirect_dir=off,metacopy=off"
    done
    mount -n --bind "$base/run" "$base/root/run"
    mount -n --bind "$base/tmp" "$base/root/tmp"
    mount -n --bind "$base/dev" "$base/root/dev"
    mount -n -t devpts -o newinstance,mode=0620,ptmxmode=0666 devpts "$base/root/dev/pts"
    for device in null zero full random urandom tty; do
        cp -a "/dev/$device" "$base/dev/$device"
    done
    mknod -m 0666 "$base/dev/net/tun" c 10 200
    ln -s pts/ptmx "$base/dev/ptmx"
    ln -s /proc/self/fd "$base/dev/fd"
    ln -s fd/0 "$base/dev/stdin"
    ln -s fd/1 "$base/dev/stdout"
    ln -s fd/2 "$base/dev/stderr"
    mount -n -t proc proc "$base/root/proc"
}
