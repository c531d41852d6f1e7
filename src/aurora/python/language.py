"""What a configuration finds in its namespace, as far as Python says it best.

Files run with the names that this module collects in `names`. Objects come from `_airglow`.
"""

import functools

import _airglow
import _airglow_host


class ConfigurationError(ValueError):
    """Its text is the user's message, word for word."""


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


def include(path):
    """Runs another file in this namespace; the path is relative to this file."""
    if not isinstance(path, str):
        raise ConfigurationError("You may not include() anything from filelike objects.")
    _airglow_host.include(str(path))


# What Python 2 had

_map, _filter, _zip, _range = map, filter, zip, range


def map(function, *sequences):
    return list(_map(function, *sequences))


def filter(function, sequence):
    return list(_filter(function, sequence))


def zip(*sequences):
    return list(_zip(*sequences))


def range(*bounds):
    return list(_range(*bounds))


_airglow.Struct = Struct
_airglow.TypeCheck = TypeCheck
_airglow.Empty = _airglow.empty()
_airglow.typed = _typed

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
    export=_airglow.export,
    filter=filter,
    include=include,
    java_options=java_options,
    long=int,
    map=map,
    open=open,
    order=order,
    python_options=python_options,
    range=range,
    reduce=functools.reduce,
    unicode=str,
    xrange=_range,
    zip=zip,
)
_airglow.names = names
