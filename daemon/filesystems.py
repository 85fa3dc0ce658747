"""Which file systems tell of changes: on the others watched files are polled. Called by `daemon.watching`."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
# Changes made by another host, or by the server behind a FUSE mount, pass this kernel by.
_SILENT = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "drvfs",
        "fakeowner",
        "fuse",
        "gfs2",
        "glusterfs",
        "gpfs",
        "grpcfuse",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "osxfs",
        "prl_fs",
        "pvfs2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    }
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def kind_of(path: str) -> str | None:
    """The type of the file system that `path` (absolute, links resolved) lies on, as `ext4` or `fuse.sshfs`.

    None where it cannot be told: no such table outside Linux.
    """
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    mounts = [_mount(line) for line in lines if " - " in line]
    # Of several mounts on one point the last hides the others, and max() keeps the first of equals.
    over = [(point, kind) for point, kind in reversed(mounts) if path == point or path.startswith(_below(point))]
    return max(over, key=lambda mount: len(mount[0]), default=(None, None))[1]


def is_silent(kind: str | None) -> bool:
    """True for a file system whose changes are not all told of."""
    return kind is not None and (kind in _SILENT or kind.startswith("fuse."))


def _mount(line: str) -> tuple[str, str]:
    """(mount point, type) of a line of mountinfo(5)."""
    front, _, back = line.partition(" - ")
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), front.split()[4]), back.split()[0]


def _below(point: str) -> str:
    return point if point.endswith("/") else f"{point}/"
