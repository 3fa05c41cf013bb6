"""Tries to get out of the agent's container, as the agent, and says what it reached.

Prints one JSON object: probe -> what was reached, or null where the boundary held. A probe that
breaks for any reason but a refusal counts as reached, so that a broken probe is not a pass.
"""

import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import sys

REFUSALS = {
    errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOENT, errno.ENOSYS, errno.EINVAL, errno.ENODEV,
    errno.ESRCH, errno.EIO, errno.ENXIO, errno.ENOTDIR, errno.EOPNOTSUPP, errno.ENOSPC, errno.EUSERS,
}
LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_REMOUNT, MS_BIND, MS_REC = 0x20, 0x1000, 0x4000
SYS_KEXEC_LOAD, SYS_INIT_MODULE, SYS_BPF = 246, 175, 321


def refused(action):
    """What `action` returned, or None where the system refused it."""
    try:
        return action()
    except OSError as error:
        if error.errno in REFUSALS:
            return None
        raise


def call(name, *arguments):
    """A function of libc that answers -1 and errno."""
    ctypes.set_errno(0)
    answer = getattr(LIBC, name)(*arguments)
    if answer == -1:
        raise OSError(ctypes.get_errno(), name)
    return answer


def in_child(action):
    """Does it in a child, since some of it would change this process. The child's word comes by a pipe."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            said = refused(action)
        except BaseException as error:
            said = repr(error)
        os.write(write, json.dumps(said).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else None


def write(path, text="x"):
    with open(path, "w") as file:
        file.write(text)
    return f"wrote {path}"


def first(attempts):
    """What the first attempt that was not refused reached."""
    for attempt in attempts:
        reached = refused(attempt)
        if reached is not None:
            return reached
    return None


def status():
    with open("/proc/self/status") as file:
        return dict(line.split(":", 1) for line in file)


def writing_the_image():
    paths = ["/etc/passwd", "/etc/new", "/usr/local/bin/new", "/opt/mercury/bin/entry", "/root/.bashrc", "/lib/new.so"]
    return first([lambda path=path: write(path) for path in paths])


def executing_from_tmpfs():
    for folder in ["/tmp", os.environ["HOME"]]:
        path = os.path.join(folder, "program")
        write(path, "#!/bin/sh\necho ran\n")
        os.chmod(path, 0o755)
        reached = refused(lambda: subprocess.run([path], capture_output=True, check=False).stdout)
        if reached:
            return f"{path} ran"
    return None


def privileges():
    told = status()
    # gVisor tells fewer of them, but always these two.
    seen = {name: int(told[name], 16) for name in ["CapEff", "CapPrm"]}
    seen |= {name: int(told.get(name, "0"), 16) for name in ["CapBnd", "CapAmb", "CapInh"]}
    if any(seen.values()):
        return f"capabilities {seen}"
    if 0 in (os.getuid(), os.geteuid(), os.getgid()):
        return "is root"
    # gVisor of 2024 does not tell; what a set-uid program does is asked in `becoming_root`.
    return "may gain privileges" if told.get("NoNewPrivs", "1").strip() == "0" else None


def becoming_root():
    said = subprocess.run(["su", "-c", "id -u"], input=b"", capture_output=True, check=False).stdout
    if said.strip() == b"0":
        return "su made root"
    return in_child(lambda: call("setuid", 0) or "setuid(0)")


def mounting():
    return first([
        lambda: in_child(lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None) or "mounted a tmpfs"),
        lambda: in_child(lambda: call("umount2", b"/spaces", 2) or "unmounted /spaces"),
        lambda: in_child(lambda: call("chroot", b"/tmp") or "chroot"),
        lambda: in_child(lambda: call("unshare", CLONE_NEWNS) or "a mount namespace"),
    ])


def leaving_by_a_user_namespace():
    me = os.getuid()

    def attempt():
        call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
        write("/proc/self/uid_map", f"0 {me} 1")
        # Root of a namespace of its own, which gVisor's kernel may give: what is read-only stays so.
        call("mount", b"/etc", b"/etc", None, MS_BIND | MS_REC, None)
        call("mount", None, b"/etc", None, MS_REMOUNT | MS_BIND, None)
        return write("/etc/passwd")

    return in_child(attempt)


def devices():
    def made():
        os.mknod("/tmp/disk", 0o60600, os.makedev(254, 0))
        # gVisor lets anybody make the node; there is nothing behind it.
        return open("/tmp/disk", "rb").read(1) and "the disk, by a node of its own"

    names = ["/dev/sda", "/dev/vda", "/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/loop0"]
    reached = first([lambda name=name: open(name, "rb").read(1) and name for name in names])
    return reached or refused(made)


def kernel_settings():
    paths = [
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches",
        "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/release_agent",
        "/sys/kernel/uevent_helper", "/sys/power/state",
    ]
    return first([lambda path=path: write(path, "1") for path in paths])


def kernel_calls():
    return first([
        lambda: in_child(lambda: call("syscall", SYS_INIT_MODULE, None, 0, b"") or "a kernel module"),
        lambda: in_child(lambda: call("syscall", SYS_KEXEC_LOAD, 0, 0, None, 0) or "kexec"),
        lambda: in_child(lambda: call("syscall", SYS_BPF, 0, None, 0) or "bpf"),
        lambda: in_child(lambda: call("reboot", 0x01234567) or "reboot"),
        lambda: in_child(lambda: call("swapon", b"/tmp/x", 0) or "swap"),
    ])


def reaching_docker():
    paths = ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/mercury-dev/docker.sock"]

    def connect(path):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(path)
        return path

    return first([lambda path=path: connect(path) for path in paths])


def raw_sockets():
    return first([
        lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) and "a raw socket",
        lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3) and "a packet socket",
    ])


def other_spaces():
    mine = os.path.basename(os.getcwd())
    seen = [name for name in os.listdir("/spaces") if name != mine]
    if seen:
        return f"sees {seen}"
    return refused(lambda: os.listdir("/spaces/other") and "lists /spaces/other")


def files_of_the_host():
    """The host's own folders, by the paths that the daemon mounted from."""
    with open("/proc/self/mountinfo") as file:
        text = file.read()
    for secret in ["state.db", "auth.json", "mercury.yaml"]:
        if secret in text:
            return f"{secret} is mounted"
    return first([
        lambda folder=folder: os.listdir(folder) and f"lists {folder}"
        for folder in ["/proc/1/root/var/lib/docker", "/var/lib/mercury-dev", "/work", "/proc/1/cwd/../../.mercury"]
    ])


def other_processes():
    """Only its own: the first process is `entry`, and nothing of the host is below it."""
    names = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as file:
                names.append(file.read().strip())
        except OSError:
            pass
    foreign = [name for name in names if name.startswith(("dockerd", "containerd", "mercury", "systemd", "runsc"))]
    return f"sees {foreign}" if foreign else None


def ask(path, headers=b""):
    """What the run's socket answers. That it is there is no question of any boundary."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(os.environ["API_SOCKET"])
            client.sendall(b"GET " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + headers + b"\r\n")
            answer = b""
            while part := client.recv(65536):
                answer += part
    except OSError as error:
        raise RuntimeError(f"no socket of the run: {error}") from error
    return answer


def forged_identity():
    """Who is asking is known by the socket: headers of the old system change nothing."""
    forged = b"x-mercury-caller: api:root\r\nx-mercury-space: other\r\nauthorization: Bearer host-api-canary-0123456789\r\n"
    answer = ask(b"/api/whoami", forged)
    return None if b"api:eve" in answer and b"other" not in answer else answer.decode()


def api_of_the_operator():
    """The operator's routes do not exist on a run's socket."""
    for path in [b"/metrics", b"/chat", b"/api/spaces", b"/api/approvals", b"/api/config", b"/health"]:
        head = ask(path).split(b"\r\n")[0]
        if b" 404 " not in head and b" 403 " not in head:
            return f"{path.decode()}: {head.decode()}"
    return None


PROBES = [
    writing_the_image, executing_from_tmpfs, privileges, becoming_root, mounting, leaving_by_a_user_namespace, devices,
    kernel_settings, kernel_calls, reaching_docker, raw_sockets, other_spaces, files_of_the_host, other_processes,
    forged_identity, api_of_the_operator,
]


def main():
    found = {}
    for probe in PROBES:
        try:
            reached = refused(probe)
        except Exception as error:
            reached = f"the probe broke: {error!r}"
        found[probe.__name__] = str(reached) if reached else None
    json.dump(found, sys.stdout)


main()
