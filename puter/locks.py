"""Locks of files, between processes: one goes with the process that has it."""

from __future__ import annotations

import errno
import os
import sys


def lock(descriptor: int) -> bool:
    """Lock a file until it is closed, or the process ends in whatever way.

    Args:
        descriptor: Of the file, open for writing.

    Returns:
        Whether it is locked now; False while another has it.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 2**31 - 2, os.SEEK_SET)  # far from what others read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True
