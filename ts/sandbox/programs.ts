/** The two programs of a sandbox: the shell script that builds its root and enters it, and what runs the code there. */

/**
 * Run by sh as the first process of new namespaces, where it may mount. Arguments: where the new root is mounted, its size in
 * bytes, whom root becomes (empty: the script runs as root of a namespace of users), the interpreter, how many programs' folders
 * follow, these, then files for /data.
 *
 * WHY no further namespaces of users: in one of its own the code would be root again, and take memory that nobody counts as
 * shared memory and as file systems. Only who is root of such a namespace can forbid them, so root's own code enters one too.
 *
 * WHY it stays as the first process rather than becoming the interpreter: when it dies every process of the namespace does,
 * whatever session or parent that has taken, and code of another user cannot end it.
 */
export const ENTER = `
set -eu
umask 022
root=$1 size=$2 user=$3 python=$4 folders=$5
shift 5
echo 0 > /proc/sys/kernel/shmmni
echo 0 > /proc/sys/kernel/msgmni
echo '0 0 0 0' > /proc/sys/kernel/sem
[ -n "$user" ] || echo 0 > /proc/sys/user/max_user_namespaces
mount -t tmpfs -o "size=$size,nr_inodes=4096,mode=0755,nosuid,nodev" sandbox "$root"
while [ "$folders" -gt 0 ]; do
  if [ -L "$1" ]; then
    mkdir -p "$root$(dirname "$1")"
    ln -s "$(readlink "$1")" "$root$1"
  elif [ -d "$1" ]; then
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    mount -o remount,bind,ro,nosuid,nodev "$root$1"
  fi
  folders=$((folders - 1))
  shift
done
mkdir "$root/data" "$root/dev" "$root/work" "$root/old"
number=0
for file; do
  : > "$root/data/$number"
  mount --bind "$file" "$root/data/$number"
  mount -o remount,bind,ro,nosuid,nodev,noexec "$root/data/$number"
  number=$((number + 1))
done
for device in null urandom; do
  : > "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
chmod 0777 "$root/work"
[ -z "$user" ] || { mkdir "$root/proc" && mount -t proc proc "$root/proc"; }
cd "$root"
pivot_root . old
[ -n "$user" ] || ln -s old/proc proc
umount -l /old
[ -n "$user" ] || rm /proc
rmdir /old
cd /work
rights='--inh-caps=-all --bounding-set=-all --no-new-privs'
if [ -z "$user" ]; then
  setpriv $rights -- "$python" -B -c "$DRIVER" 2>&1
else
  setpriv --reuid="$user" --regid="$user" --clear-groups -- unshare --user --map-root-user --mount -- sh -euc '
    echo 0 > /proc/sys/user/max_user_namespaces
    mount -t tmpfs -o size=4k,nr_inodes=1,mode=0555,ro hidden /proc
    exec setpriv $1 -- "$2" -B -c "$DRIVER" 2>&1
  ' sh "$rights" "$python"
fi
exit $?
`

/** Reads what to run from standard input, says on descriptor 3 that it begins, and ends with 1 where the code threw. */
export const DRIVER = `
import json, os, resource, sys
asked = json.load(sys.stdin)
for name, value in asked['limits'].items():
    resource.setrlimit(getattr(resource, name), (value, value))
os.write(3, b'begun')
os.closerange(3, 1 << 16) # whoever started this process may have left some open
del os.environ['DRIVER']
namespace = {'__name__': '__main__'}

def execute(code):
    exec(compile(code, '<code>', 'exec'), namespace)

null = os.open('/dev/null', os.O_RDWR)
shown = os.dup(1), os.dup(2)
os.dup2(null, 0)
os.dup2(null, 1)
os.dup2(null, 2)
for block in asked['before']:
    try:
        execute(block)
    except BaseException:
        pass
sys.stdout.flush()
os.dup2(shown[0], 1)
os.dup2(shown[1], 2)
for descriptor in (*shown, null):
    os.close(descriptor)
try:
    execute(asked['code'])
except SystemExit:
    raise
except BaseException as error:
    sys.stdout.flush()
    print(f'{type(error).__name__}: {error}', flush=True)
    os._exit(1)
`
