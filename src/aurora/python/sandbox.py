"""What a configuration gets in place of the modules that reach outside.

It can look at files, at the environment and at who runs it, all of it through `_airglow_host`.
Whatever else it asks of these modules is refused by name, so that nobody wonders why.
"""

import abc
import builtins
import sys
import types

import _airglow_host
import _io


def _forbidden(what):
    return (
        f"{what} is not available here: a configuration can read files and the environment, "
        "but cannot write, start programs or use the network"
    )


# Files, for reading


def _open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *_, **__):
    if set(mode) - set("rbtU"):
        raise PermissionError(_forbidden(f"open() with mode '{mode}'"))
    content = _airglow_host.read_file(_fspath(file))
    if "b" in mode:
        opened = _io.BytesIO(content)
    else:
        named = encoding not in (None, "locale")
        text = content.decode(encoding if named else "utf-8", errors or "strict")
        opened = _io.StringIO(text.replace("\r\n", "\n"))
    return opened


class _FileIO(_io._RawIOBase):
    """The `io` module wants to know it."""

    def __init__(self, *_, **__):
        raise PermissionError(_forbidden("io.FileIO"))


class _Stat:
    def __init__(self, mode, size, mtime):
        self.st_mode, self.st_size, self.st_mtime = mode, size, mtime


def _fspath(path):
    if isinstance(path, (str, bytes)):
        return path
    return type(path).__fspath__(path)


class _PathLike(abc.ABC):
    @classmethod
    def __subclasshook__(cls, other):
        return hasattr(other, "__fspath__")


def _stat(path, *, follow_symlinks=True, **_):
    return _Stat(*_airglow_host.stat(_fspath(path), follow_symlinks))


def _walk(top):
    path = sys.modules["os.path"]
    names = _airglow_host.list_directory(_fspath(top))
    directories = [it for it in names if path.isdir(path.join(top, it))]
    yield top, directories, [it for it in names if it not in directories]
    for directory in directories:
        if not path.islink(path.join(top, directory)):
            yield from _walk(path.join(top, directory))


def _urandom(size):
    import random

    return bytes(random.getrandbits(8) for _ in range(size))


def _missing_from_os(name):
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(_forbidden(f"os.{name}"))


def _make_os(name, uid, gid):
    os = types.ModuleType("os")
    environment = _airglow_host.environment()
    os.__dict__.update(
        __getattr__=_missing_from_os,
        PathLike=_PathLike,
        altsep=None,
        cpu_count=lambda: 1,
        curdir=".",
        defpath="/bin:/usr/bin",
        devnull="/dev/null",
        environ=environment,
        error=OSError,
        extsep=".",
        fsdecode=lambda path: path.decode() if isinstance(path, bytes) else _fspath(path),
        fsencode=lambda path: path.encode() if isinstance(path, str) else _fspath(path),
        fspath=_fspath,
        getcwd=_airglow_host.working_directory,
        getegid=lambda: gid,
        getenv=lambda key, default=None: environment.get(key, default),
        geteuid=lambda: uid,
        getgid=lambda: gid,
        getlogin=lambda: name,
        getpid=lambda: 0,
        getuid=lambda: uid,
        linesep="\n",
        listdir=lambda path=".": _airglow_host.list_directory(_fspath(path)),
        lstat=lambda path, **_: _stat(path, follow_symlinks=False),
        name="posix",
        pardir="..",
        O_RDONLY=0,
        pathsep=":",
        readlink=_airglow_host.read_link,
        sep="/",
        stat=_stat,
        stat_result=_Stat,
        strerror=str,
        urandom=_urandom,
        walk=_walk,
        uname=lambda: ("Linux", _airglow_host.host(), "", "", ""),
    )
    sys.modules["os"] = sys.modules["posix"] = os
    import posixpath

    os.path = posixpath
    sys.modules["os.path"] = posixpath


def _make_getpass(name):
    getpass = types.ModuleType("getpass")
    environ = sys.modules["os"].environ

    def getuser():
        named = (environ.get(it) for it in ("LOGNAME", "USER", "LNAME", "USERNAME"))
        return next((it for it in named if it), name)

    getpass.getuser = getuser
    sys.modules["getpass"] = getpass


class _Refuse:
    """Finds nothing, and says why for what no configuration can have."""

    forbidden = {
        "ctypes", "fcntl", "ftplib", "http", "mmap", "multiprocessing", "pty", "select",
        "shutil", "smtplib", "socket", "ssl", "subprocess", "tempfile", "urllib.request",
    }  # fmt: skip

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in cls.forbidden:
            raise ImportError(_forbidden(name), name=name)
        return None


def _setup():
    name, uid, gid = _airglow_host.user()
    sys.stdout = sys.stderr  # Standard output belongs to the command that reads the file.
    sys.meta_path.insert(0, _Refuse)
    _make_os(name, uid, gid)
    _make_getpass(name)
    builtins.open = _io.open = _io.open_code = _open
    _io.FileIO = _FileIO


_setup()
