"""Filter of system calls: the kernel denies network, signals to others, tracing and privileges (without root)."""

import contextlib
import ctypes
import errno
import fcntl
import os
import struct

from jaxkd.runtime.confinement.linux import ARCHITECTURE, syscall

_SET_FILTER, _NEW_LISTENER = 1, 1 << 3
_RECEIVE, _SEND, _CONTINUE, _QUESTION_BYTES = 0xC0502100, 0xC0182101, 1, 80
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ERROR, _ASK, _ALLOW = 0x80000000, 0x00050000, 0x7FC00000, 0x7FFF0000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in the record that the filter is given."""
_FIRST_X32 = 0x40000000
_NEW_THREAD, _NEW_NAMESPACES = 0x00010000, 0x7E020000

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Architecture -> its number in the record."""

# Name: number on x86_64, and on aarch64 if it has the call.
_DENIED = """
    socket 41 198, connect 42 203, accept 43 202, accept4 288 242, bind 49 200, listen 50 201,
    tkill 200 130, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240, pidfd_open 434 434, pidfd_getfd 438 438,
    pidfd_send_signal 424 424, ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, kcmp 312 272,
    process_madvise 440 440, move_pages 279 239, migrate_pages 256 238, setpriority 141 140, ioprio_set 251 30,
    sched_setparam 142 118, sched_setscheduler 144 119, sched_setattr 314 274,
    mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, setns 308 268, unshare 272 97, open_tree 428 428,
    move_mount 429 429, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433, mount_setattr 442 442,
    open_by_handle_at 304 265, quotactl 179 60, swapon 167 224, swapoff 168 225, acct 163 89, syslog 103 116,
    bpf 321 280, perf_event_open 298 241, userfaultfd 323 282, io_uring_setup 425 425, io_uring_enter 426 426,
    io_uring_register 427 427, keyctl 250 219, add_key 248 217, request_key 249 218,
    setuid 105 146, setgid 106 144, setreuid 113 145, setregid 114 143, setresuid 117 147, setresgid 119 149,
    setgroups 116 159, setfsuid 122 151, setfsgid 123 152, capset 126 91, personality 135 92,
    init_module 175 105, finit_module 313 273, delete_module 176 106, kexec_load 246 104, kexec_file_load 320 294,
    reboot 169 142, sethostname 170 161, setdomainname 171 162, settimeofday 164 170, clock_settime 227 112,
    adjtimex 159 171, clock_adjtime 305 266, iopl 172, ioperm 173,
    shmget 29 194, semget 64 190, msgget 68 186, mq_open 240 180,
    chown 92, lchown 94, fchown 93 55, fchownat 260 54, setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7,
    removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16
"""
_WITHOUT_EFFECT = """
    chmod 90, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, utime 132, utimes 235, futimesat 261, utimensat 280 88
"""
"""Calls that succeed and do nothing: Landlock does not know them, and `shutil.copy` makes them on its copies."""
_FORKS, _EXECUTES = "fork 57, vfork 58", "execve 59 221, execveat 322 281"
_ON_ITSELF = "kill 62 129, tgkill 234 131"
_ON_ITSELF_OR_0 = "prlimit64 302 261, sched_setaffinity 203 122"
_CLONE, _CLONE3 = "clone 56 220", "clone3 435 435"
_SECCOMP = "seccomp 317 277"


def restrict() -> bool:
    """Filter the system calls of this process and its children for good, and return whether the kernel does.

    Threads may be started, and no processes.
    """
    try:
        _install(start_processes=False, flags=0)
    except OSError:
        return False
    return True


def restrict_and_ask() -> int | None:
    """As `restrict`, but whoever holds the returned descriptor decides about every new process.

    Returns:
        Descriptor for `question` and `permit`; None where the kernel has none (before Linux 5.5).
    """
    try:
        return _install(start_processes=True, flags=_NEW_LISTENER)
    except OSError:
        return None


def question(listener: int) -> bytes | None:
    """Return the name of the question of a process that waits to start another; None if it has ended."""
    asked = bytearray(_QUESTION_BYTES)
    try:
        fcntl.ioctl(listener, _RECEIVE, asked)
    except FileNotFoundError:
        return None
    return bytes(asked[:8])


def permit(listener: int, name: bytes) -> None:
    """Let a process start another."""
    with contextlib.suppress(FileNotFoundError):  # it has ended
        fcntl.ioctl(listener, _SEND, struct.pack("=8sqiI", name, 0, 0, _CONTINUE))


def _install(*, start_processes: bool, flags: int) -> int:
    if ARCHITECTURE not in _AUDIT:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in _program(start_processes))
    instructions = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(program) // 8, ctypes.addressof(instructions))
    number = _numbers(_SECCOMP)[0]
    return syscall(number, ctypes.c_uint(_SET_FILTER), ctypes.c_uint(flags), ctypes.c_char_p(described))


Instruction = tuple[int, int, int, int]
"""Operation, instructions to skip where its condition holds and where not, and its constant."""


def _program(start_processes: bool) -> list[Instruction]:
    denied, own = _ERROR | errno.EPERM, os.getpid()
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _AUDIT[ARCHITECTURE]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _FIRST_X32),
        (_RETURN, 0, 0, denied),
    ]
    for number in _numbers(_DENIED):
        program += _where(number, [(_RETURN, 0, 0, denied)])
    for number in _numbers(_WITHOUT_EFFECT):
        program += _where(number, [(_RETURN, 0, 0, _ERROR)])
    for number in _numbers(_ON_ITSELF):
        program += _where(number, _first_argument((_EQUAL, own), _ALLOW, denied))
    for number in _numbers(_ON_ITSELF_OR_0):
        same = _first_argument((_EQUAL, own), _ALLOW, denied)
        program += _where(number, [(_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW), *same])
    # The flags of clone3 lie in memory, where a filter cannot look: the C library falls back to clone.
    program += _where(_numbers(_CLONE3)[0], [(_RETURN, 0, 0, _ERROR | errno.ENOSYS)])
    program += _where(_numbers(_CLONE)[0], _clone(_ASK if start_processes else denied, denied))
    for number in _numbers(_FORKS):
        program += _where(number, [(_RETURN, 0, 0, _ASK if start_processes else denied)])
    for number in () if start_processes else _numbers(_EXECUTES):
        program += _where(number, [(_RETURN, 0, 0, denied)])
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _numbers(calls: str) -> list[int]:
    """Numbers of the calls that this architecture has."""
    column = 1 if ARCHITECTURE == "x86_64" else 2
    rows = [call.split() for call in calls.split(",")]
    return [int(row[column]) for row in rows if len(row) > column]


def _where(number: int, then: list[Instruction]) -> list[Instruction]:
    return [(_EQUAL, 0, len(then), number), *then]


def _first_argument(condition: tuple[int, int], holds: int, otherwise: int) -> list[Instruction]:
    operation, constant = condition
    return [
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (operation, 0, 1, constant),
        (_RETURN, 0, 0, holds),
        (_RETURN, 0, 0, otherwise),
    ]


def _clone(process: int, denied: int) -> list[Instruction]:
    """Return the filter of the flags of clone."""
    return [
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, denied),
        *_first_argument((_ANY_BIT, _NEW_THREAD), _ALLOW, process),
    ]
