"""What a configuration finds in its namespace, as far as Python says it best.

Files run with the names that this module collects in `names`. Everything that touches the host goes
through `_airglow`, which reads and does nothing else.
"""

import abc
import builtins
import functools
import sys
import types

import _airglow
import _io


class ConfigurationError(ValueError):
    """Its text is the user's message, word for word."""


def _forbidden(what):
    return (
        f"{what} is not available here: a configuration can read files and the environment, "
        "but cannot write, start programs or use the network"
    )


# Texts, numbers and lists: Python's own, with the few methods that the language's objects have.


class _Typed:
    __slots__ = ()

    def get(self):
        return type(self).__mro__[2](self)

    def check(self):
        return TypeCheck(None)


class _String(_Typed, str):
    __slots__ = ()

    def bind(self, *scopes, **names):
        return _String(_airglow.expand(str(self), *scopes, **names)[0])

    in_scope = bind

    def interpolate(self):
        return self, _airglow.expand(str(self))[1]

    def __mod__(self, argument):
        if isinstance(argument, Environment):
            return self.bind(argument)
        return str.__mod__(self, argument)


class _Integer(_Typed, int):
    __slots__ = ()


class _Float(_Typed, float):
    __slots__ = ()


class _List(_Typed, list):
    __slots__ = ()


_TYPED = {str: _String, int: _Integer, float: _Float, list: _List}


def _typed(value):
    kind = _TYPED.get(type(value))
    return value if kind is None else kind(value)


class TypeCheck:
    """Whether an object is complete."""

    def __init__(self, message):
        self._message = message

    def ok(self):
        return self._message is None

    def message(self):
        return self._message or ""

    def __repr__(self):
        return "OK" if self.ok() else f"FAILED: {self._message}"


class Environment(dict):
    """Names to bind."""

    def __init__(self, *scopes, **names):
        super().__init__()
        for scope in scopes:
            self.update(scope)
        self.update(names)


class Ref(str):
    """A name to bind a value to, such as Ref('profile.heap')."""

    __slots__ = ()

    @classmethod
    def from_address(cls, address):
        return cls(address)


# Declaring types


class _StructDeclaration(type):
    """`class Profile(Struct)` makes a type of the language, not a class."""

    def __new__(meta, name, bases, body):
        if not bases:
            return super().__new__(meta, name, bases, body)
        original = body.get("__orig_bases__", ())
        parents = [base for base in original if isinstance(base, _airglow.Type)]
        declared = (_airglow.Type, _airglow.Field)
        fields = {key: value for key, value in body.items() if isinstance(value, declared)}
        parent = parents[0] if parents else None
        return _airglow.struct_type(name, parent, list(fields), list(fields.values()))


class Struct(metaclass=_StructDeclaration):
    pass


def Enum(*values):
    if len(values) == 2 and not isinstance(values[1], str):
        name, values = values
    else:
        name = "_".join(("Enum",) + values)
    return _airglow.enum_type(name, list(values))


def Choice(*types):
    """Choice([A, B]) or Choice('Name', [A, B])."""
    return _airglow.choice_type(list(types[-1]))


_types = _airglow.types()
Constraint, Job, Process, Resources, Task = (
    _types[name] for name in ("Constraint", "Job", "Process", "Resources", "Task")
)


# Shorthand for tasks


def _names(processes):
    return [it if isinstance(it, str) else it.name() for it in processes]


def order(*processes):
    """The processes, or names of processes, one after the other."""
    return [Constraint(order=_names(processes))]


def SequentialTask(*fields, **named):
    """A task whose processes run one after the other."""
    task = Task(*fields, **named)
    if task.has_constraints() and task.constraints():
        raise ConfigurationError(
            "Cannot turn a Task with existing constraints into a SequentialTask!"
        )
    processes = task.processes() if task.has_processes() else []
    if not processes:
        return task
    return task(constraints=order(*processes))


def SimpleTask(name, command):
    """A task of one process, with resources for something small."""
    return Task(
        name=name,
        processes=[Process(name=name, cmdline=command)],
        resources=Resources(cpu=1.0, ram=1 * GB, disk=1 * GB),
    )


def _union(tasks, field):
    """What the tasks have in a list field, each once, in the order in which it comes first."""
    union = []
    for task in tasks:
        if getattr(task, "has_" + field)():
            union.extend(it for it in getattr(task, field)() if it not in union)
    return union


def _merged_resources(tasks, merge):
    resources = [task.resources() for task in tasks if task.has_resources()]
    if not resources:
        return None
    fields = ("cpu", "ram", "disk", "gpu")
    return Resources(**{it: merge([getattr(one, it)() for one in resources]) for it in fields})


def _merged(tasks, named, resources, constraints, wait):
    merged = dict(
        processes=_union(tasks, "processes"), constraints=constraints, finalization_wait=wait
    )
    if resources is not None:
        merged["resources"] = resources
    merged.update(named)
    return tasks[-1](**merged)


def combine_tasks(*tasks, **named):
    """One task that does what all of them do, at once."""
    if not tasks:
        return Task(**named)
    wait = max(task.finalization_wait() for task in tasks)
    resources = _merged_resources(tasks, sum)
    return _merged(tasks, named, resources, _union(tasks, "constraints"), wait)


def concat_tasks(*tasks, **named):
    """One task that does what all of them do, one after the other."""
    if not tasks:
        return Task(**named)
    constraints = _union(tasks, "constraints")
    for before, after in zip(list(tasks), tasks[1:]):
        for first in before.processes():
            for then in after.processes():
                constraints.extend(order(first, then))
    wait = sum(task.finalization_wait() for task in tasks)
    return _merged(tasks, named, _merged_resources(tasks, max), constraints, wait)


# Options of programs


def _options(arguments, named, prefix):
    words = []

    def add(name, value):
        words.append(prefix(name))
        if value is not None:
            words.append(str(value))

    for argument in arguments:
        if isinstance(argument, dict):
            for name, value in argument.items():
                add(name, value)
        else:
            add(argument, None)
    for name, value in named.items():
        add(name, value)
    return " ".join(words)


def java_options(*arguments, **named):
    """-name value"""
    return _options(arguments, named, lambda name: f"-{name}")


def python_options(*arguments, **named):
    """-n value, --name value"""
    return _options(
        arguments, named, lambda name: f"--{name}" if len(str(name)) > 1 else f"-{name}"
    )


# Units

BYTES = 1
KB = 1024 * BYTES
MB = 1024 * KB
GB = 1024 * MB
TB = 1024 * GB


class Units:
    BYTES, KB, MB, GB, TB = BYTES, KB, MB, GB, TB

    @classmethod
    def finalization_wait_sum(cls, waits):
        return sum(waits)

    @classmethod
    def finalization_wait_max(cls, waits):
        return max(waits)

    @classmethod
    def resources_sum(cls, *resources):
        return _merged_resources([Task(resources=it) for it in resources], sum)

    @classmethod
    def resources_max(cls, resources):
        return _merged_resources([Task(resources=it) for it in resources], max)


class Processes:
    order = staticmethod(order)


class Tasks:
    combine = staticmethod(combine_tasks)
    concat = staticmethod(concat_tasks)
    simple = staticmethod(SimpleTask)
    sequential = staticmethod(lambda task: task(constraints=order(*task.processes())))


class Options:
    java = staticmethod(java_options)
    python = staticmethod(python_options)


# Files, for reading


def _open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *_, **__):
    if set(mode) - set("rbtU"):
        raise PermissionError(_forbidden(f"open() with mode '{mode}'"))
    content = _airglow.read_file(_fspath(file))
    if "b" in mode:
        opened = _io.BytesIO(content)
    else:
        named = encoding not in (None, "locale")
        text = content.decode(encoding if named else "utf-8", errors or "strict")
        opened = _io.StringIO(text.replace("\r\n", "\n"))
    return opened


def include(path):
    """Runs another file in this namespace; the path is relative to this file."""
    if not isinstance(path, str):
        raise ConfigurationError("You may not include() anything from filelike objects.")
    _airglow.include(str(path))


# Modules that cannot do here what they do elsewhere


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
    return _Stat(*_airglow.stat(_fspath(path), follow_symlinks))


def _walk(top):
    path = sys.modules["os.path"]
    names = _airglow.list_directory(_fspath(top))
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
    environment = _airglow.environment()
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
        getcwd=_airglow.working_directory,
        getegid=lambda: gid,
        getenv=lambda key, default=None: environment.get(key, default),
        geteuid=lambda: uid,
        getgid=lambda: gid,
        getlogin=lambda: name,
        getpid=lambda: 0,
        getuid=lambda: uid,
        linesep="\n",
        listdir=lambda path=".": _airglow.list_directory(_fspath(path)),
        lstat=lambda path, **_: _stat(path, follow_symlinks=False),
        name="posix",
        pardir="..",
        O_RDONLY=0,
        pathsep=":",
        readlink=_airglow.read_link,
        sep="/",
        stat=_stat,
        stat_result=_Stat,
        strerror=str,
        urandom=_urandom,
        walk=_walk,
        uname=lambda: ("Linux", _airglow.host(), "", "", ""),
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


# What Python 2 had

_map, _filter, _zip, _range = builtins.map, builtins.filter, builtins.zip, builtins.range


def map(function, *sequences):
    return list(_map(function, *sequences))


def filter(function, sequence):
    return list(_filter(function, sequence))


def zip(*sequences):
    return list(_zip(*sequences))


def range(*bounds):
    return list(_range(*bounds))


class _FileIO(_io._RawIOBase):
    """The `io` module wants to know it."""

    def __init__(self, *_, **__):
        raise PermissionError(_forbidden("io.FileIO"))


def _setup():
    name, uid, gid = _airglow.user()
    sys.stdout = sys.stderr  # Standard output belongs to the command that reads the file.
    sys.meta_path.insert(0, _Refuse)
    _make_os(name, uid, gid)
    _make_getpass(name)
    builtins.open = _io.open = _io.open_code = _open
    _io.FileIO = _FileIO
    _airglow.Struct = Struct
    _airglow.TypeCheck = TypeCheck
    _airglow.Empty = _airglow.empty()
    _airglow.typed = _typed


_setup()

names = dict(
    _types,
    BYTES=BYTES,
    Choice=Choice,
    CronJob=Job,
    Default=_airglow.default,
    DefaultHealthChecker=_types["HealthCheckerConfig"](http=_types["HttpHealthChecker"]()),
    DefaultLifecycleConfig=_types["LifecycleConfig"](http=_types["HttpLifecycleConfig"]()),
    DisableLifecycle=_types["LifecycleConfig"](),
    Empty=_airglow.Empty,
    Enum=Enum,
    Environment=Environment,
    GB=GB,
    KB=KB,
    List=_airglow.list_type,
    MB=MB,
    Map=_airglow.map_type,
    MesosJob=Job,
    Mode=_types["Enum_RO_RW"],
    Options=Options,
    Processes=Processes,
    Ref=Ref,
    Required=_airglow.required,
    SequentialTask=SequentialTask,
    Service=Job(service=True),
    SimpleTask=SimpleTask,
    Struct=Struct,
    TB=TB,
    Tasks=Tasks,
    Units=Units,
    basestring=str,
    combine_tasks=combine_tasks,
    concat_tasks=concat_tasks,
    filter=filter,
    include=include,
    java_options=java_options,
    long=int,
    map=map,
    open=_open,
    order=order,
    python_options=python_options,
    range=range,
    reduce=functools.reduce,
    unicode=str,
    xrange=range,
    zip=zip,
)
_airglow.names = names
