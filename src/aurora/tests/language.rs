//! What the language can say.

use super::*;

/// Python that checks itself.
fn check(text: &str) {
    if let Err(error) = load_python(text, &[]) {
        panic!("{error}");
    }
}

#[test]
fn references_find_the_nearest_name() {
    let text = "
p = Process(name = 'p', cmdline = '{{name}} {{role}} {{cluster}} {{environment}} {{mesos.role}} {{thermos.user}} {{super.name}} {{self.name}}')
jobs = [job(task = task(name = 't', processes = [p]))]";
    assert_eq!(cmdline(text), "p r c e r r n p");
}

#[test]
fn names_default_to_what_is_inside() {
    let text = "jobs = [Job(cluster = 'c', role = 'r', task = task)]";
    let job = &jobs(text)[0];
    assert_eq!((job.name.as_str(), job.task.name.as_str()), ("hello", "hello"));
}

#[test]
fn what_is_bound_later_wins_and_nearer_wins_more() {
    let run = "Process(name = 'p', cmdline = '{{x}}')";
    let with = |process: &str, job: &str| {
        cmdline(&format!("jobs = [job(task = task(processes = [{run}{process}])){job}]"))
    };
    assert_eq!(with("", ".bind(x = 1).bind(x = 2)"), "2");
    assert_eq!(with("", ".bind(x = 1).in_scope(x = 2)"), "1");
    assert_eq!(with(".bind(x = 3)", ".bind(x = 1)"), "3");
    assert_eq!(with("", ".bind({'x': '{{y}}'}).bind({Ref('y'): 4})"), "4");
    assert_eq!(with("", ".bind(Environment(x = 5))"), "5");
    assert_eq!(with("", ".bind(x = '{{&y}} {{role}}')"), "{{&y}} r");
}

#[test]
fn references_go_into_structs_lists_and_maps() {
    let text = "
class Inner(Struct):
  name = Default(String, 'inner')
  full = Default(String, '{{name}}-{{role}}')
class Outer(Struct):
  inner = Default(Inner, Inner())
  items = Default(List(Integer), [7, 8])
p = Process(name = 'p', cmdline = '{{o.inner.full}} {{o.items[1]}} {{d.a.b}} {{m[k-1]}}')
jobs = [job(task = task(processes = [p])).bind(o = Outer(), d = {'a': {'b': 1}}, m = {'k-1': 2})]";
    assert_eq!(cmdline(text), "inner-r 8 1 2");
}

#[test]
fn references_nest() {
    let text = "
p = Process(name = 'http', cmdline = '{{thermos.ports[{{name}}]}} {{ {{x}} }}'.replace('{{ ', '{{').replace(' }}', '}}'))
jobs = [job(task = task(processes = [p])).bind(x = 'y', y = 'z')]";
    assert_eq!(cmdline(text), "{{thermos.ports[http]}} z");
}

#[test]
fn escaped_references_stay_escaped_for_the_host_and_nowhere_else() {
    let text = "
p = Process(name = 'p', cmdline = '{{&role}}')
jobs = [job(contact = '{{&role}} {{role}}', task = task(processes = [p]))]";
    assert_eq!(cmdline(text), "{{&role}}");
    assert_eq!(jobs(text)[0].contact.as_deref(), Some("{{role}} r"));
}

#[test]
fn a_name_that_refers_to_itself_is_refused() {
    for text in [
        "jobs = [job(name = '{{name}}')]",
        "jobs = [job(contact = '{{x}}').bind(x = '{{x}}{{x}}')]",
    ] {
        let error = load_python(text, &[]).unwrap_err().to_string();
        assert!(error.contains("Maximum replacements reached."), "{error}");
    }
}

#[test]
fn objects_are_called_to_copy_them_and_asked_for_their_fields() {
    check(
        "
p = Process(name = 'p', cmdline = 'run {{name}}')
q = p(name = 'q', max_failures = '3')
assert (p.name(), q.name(), p.max_failures(), q.max_failures()) == ('p', 'q', 1, 3)
assert q.cmdline() == 'run q' and q.cmdline().get() == 'run q'
assert q.has_name() and not q.has_logger() and not q.logger()
assert not task(name = Empty).has_name()
assert task.processes()[0].name() == 'hello'
assert [it.name() for it in task.processes() + [p]] == ['hello', 'p']
assert p == Process(name = 'p', cmdline = 'run {{name}}') and p != q and p in [q, p]
assert isinstance(p, Process) and not isinstance(p, Task)
assert len({p: 1, q: 2}) == 2
assert 'hello-' + task.processes()[0].name() + '%d' % q.max_failures() == 'hello-hello3'
assert ','.join([p.name(), q.name()]) == 'p,q'
assert p.get()['name'] == 'p'
",
    );
}

#[test]
fn objects_check_and_interpolate() {
    check(
        "
assert Process(name = 'p').check().message() == 'Process[cmdline] is required.'
assert task.check().ok() and str(task.check()) == 'OK'
wrong = job(task = Task(processes = [Process(name = 'p')])).check()
assert wrong.message() == ('Job[task] failed: Task[processes] failed: '
  'Element in ProcessList failed check: Process[cmdline] is required.'), wrong.message()
p, unbound = Process(name = 'p', cmdline = '{{name}} {{x}} {{y.z}}').bind(x = 1).interpolate()
assert p.cmdline() == 'p 1 {{y.z}}' and unbound == ['y.z'], unbound
assert (Process(name = 'p', cmdline = '{{x}}') % {'x': 2}).cmdline() == '2'
assert String('{{a}}').bind(a = 1) == '1' and String('%s!') % 'x' == 'x!'
assert String(b'x') == 'x'
assert (Integer('5'), Float('1e5'), Boolean('TRUE'), String(5)) == (5, 1e5, True, '5')
assert List(Integer)(['1', 2]) == [1, 2] and Map(String, Integer)({'a': '1'}) == {'a': 1}
assert Enum('A', 'B')('A') == 'A' and Enum('Name', ('A', 'B'))('B') == 'B'
",
    );
}

#[test]
fn values_become_what_their_field_is() {
    let text = "
jobs = [job(instances = ' 3 ', service = 'True', priority = 2.9, contact = 5,
            constraints = {'a': 1}, metadata = [{'key': 'k', 'value': True}],
            task = task(resources = {'cpu': '1e-1', 'ram': '1048576', 'disk': 1*MB}))]";
    let job = &jobs(text)[0];
    assert_eq!((job.instances, job.service, job.priority), (3, true, 2));
    assert_eq!(job.contact.as_deref(), Some("5"));
    assert_eq!((job.constraints["a"].as_str(), job.metadata[0].value.as_str()), ("1", "True"));
    assert_eq!(job.task.resources.cpu, 0.1);
}

#[test]
fn structs_are_declared_and_extended() {
    check(
        "
class Base(Struct):
  a = Required(String)
  b = Default(Integer, 1)
  c = String
class More(Base):
  b = Default(Integer, 2)
  d = Default(List(String), ['x'])
more = More(a = 'a')
assert (more.a(), more.b(), more.has_c(), more.d()) == ('a', 2, False, ['x'])
assert isinstance(more, Base)
assert Base().check().message() == 'Base[a] is required.'
class Holder(Struct):
  base = Base
assert Holder(base = more).base().b() == 2
assert Holder(base = {'a': 'z'}).base().a() == 'z'
class Faster(Process):
  max_failures = Default(Integer, 100)
fast = task(processes = [Faster(name = 'fast', cmdline = 'true')])
assert fast.processes()[0].max_failures() == 100
",
    );
}

#[test]
fn tasks_are_combined_and_concatenated() {
    check(
        "
def one(name, cpu, wait):
  return Task(name = name, processes = [Process(name = name, cmdline = name)], finalization_wait = wait,
              resources = Resources(cpu = cpu, ram = 1*MB, disk = 2*MB))
a, b, c = one('a', 1, 10), one('b', 2, 20), one('c', 0.5, 5)
both = Tasks.combine(a, b, name = 'both')
assert [it.name() for it in both.processes()] == ['a', 'b']
assert (both.name(), both.resources().cpu(), both.resources().ram()) == ('both', 3, 2*MB)
assert both.finalization_wait() == 20
line = Tasks.concat(a, b, c)
assert (line.name(), line.resources().cpu(), line.finalization_wait()) == ('c', 2, 35)
assert [it.order() for it in line.constraints()] == [['a', 'b'], ['b', 'c']], line.constraints()
assert combine_tasks() == Task()
assert SequentialTask(processes = a.processes() + b.processes()).constraints()[0].order() == ['a', 'b']
assert not SequentialTask(name = 'empty').constraints()
assert (order('a', a.processes()[0]) + order('b'))[0].order() == ['a', 'a']
",
    );
    let error = load_python("SequentialTask(task, constraints = order('a'))", &[]).unwrap_err();
    assert!(error.to_string().contains("fields are given by name"), "{error}");
    let error =
        load_python("SequentialTask(processes = [], constraints = order('a'))", &[]).unwrap_err();
    let expected = "Cannot turn a Task with existing constraints into a SequentialTask!";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn options_are_written_out() {
    check(
        "
assert java_options('a', 'b') == '-a -b'
assert java_options({'a': 23, 'b': 'foo'}) == '-a 23 -b foo'
assert python_options(a = 23, boo = 'foo') == '-a 23 --boo foo'
assert Options.java(Xmx = 1) == '-Xmx 1'
",
    );
}

#[test]
fn old_python_works_where_it_can() {
    check(
        "
assert map(str, range(2)) + ['x'] == ['0', '1', 'x']
assert filter(None, [0, 1]) + zip([1], [2]) == [1, (1, 2)]
assert xrange(2)[1] == 1 and range(1, 3) + [9] == [1, 2, 9]
assert isinstance('x', basestring) and unicode('x') == 'x' and long(3) == 3
assert reduce(lambda a, b: a + b, [1, 2]) == 3
assert sorted({'a': 1}.iteritems()) == [('a', 1)] and {'a': 1}.has_key('a')
assert [it for it in Task(processes = (p for p in task.processes())).processes()]
",
    );
}

#[test]
fn the_usual_modules_are_there() {
    check(
        "
import base64, collections, copy, dataclasses, datetime, enum, functools, getpass, glob, hashlib
import io, itertools, json, logging, math, os, os.path, pathlib, random, re, string, sys, textwrap
import time, traceback, uuid
assert os.environ['USER'] == os.getenv('USER') == getpass.getuser() == 'steve'
assert os.environ.get('nope') is None and os.getenv('nope', 'x') == 'x'
assert os.path.join('a', 'b') == 'a/b' and os.path.exists('/') and os.path.isdir(os.getcwd())
assert os.path.expanduser('~/x') == '/home/steve/x'
assert json.loads(json.dumps({'a': [1, 2]})) == {'a': [1, 2]}
assert hashlib.sha1(b'x').hexdigest().startswith('11f6ad8ec52a')
assert datetime.date(2026, 11, 21).strftime('%Y%m%d') == '20261121'
assert re.sub(r'(\\d+)', r'<\\1>', 'a12') == 'a<12>'
assert copy.copy(task) == task and copy.deepcopy([1]) == [1]
assert textwrap.dedent('  a') == 'a' and math.floor(2.5) == 2
",
    );
}

#[test]
fn arithmetic_is_python_s() {
    check(
        "
assert 10**50 // 7 == 14285714285714285714285714285714285714285714285714
assert (10**40) / (3 * 10**39) == 3.3333333333333335
assert (0.1).as_integer_ratio() == (3602879701896397, 36028797018963968)
assert (7 / 2, -7 // 2, -7 % 3, round(2.5)) == (3.5, -4, 2, 2)
assert divmod(-10**20, 7) == (-14285714285714285715, 5)
assert pow(3, 200, 1000007) == 3**200 % 1000007 == 959082
assert '{:,}'.format(2**40) == '1,099,511,627,776'
assert -(2**65) >> 3 == -4611686018427387904 and (-(2**65) | 5) == -36893488147419103227
assert 1e308 * 10 == float('inf')
try:
  10**400 / 3
  assert False
except OverflowError:
  pass
",
    );
}

#[test]
fn files_are_read_and_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it");
    std::fs::write(&path, "one\r\ntwo\n").unwrap();
    let path = path.display();
    check(&format!(
        "
import io, os
with open('{path}') as it:
  assert it.readlines() == ['one\\n', 'two\\n']
assert open('{path}', 'rb').read() == b'one\\r\\ntwo\\n'
assert os.path.getsize('{path}') == 9 and os.listdir(os.path.dirname('{path}')) == ['it']
try:
  open('{path}.no')
  assert False
except FileNotFoundError:
  pass
"
    ));
    let attempts = [
        format!("open('{path}', 'w')"),
        format!("import io; io.open('{path}', 'a')"),
        format!("import pathlib; pathlib.Path('{path}').write_text('x')"),
        format!("import os; os.remove('{path}')"),
        "import os; os.system('true')".to_owned(),
        "import os; os.popen('true')".to_owned(),
        "import os; os.fork()".to_owned(),
        "import subprocess".to_owned(),
        "import socket".to_owned(),
        "import urllib.request".to_owned(),
    ];
    for attempt in attempts {
        let error = load_python(&attempt, &[]).unwrap_err().to_string();
        assert!(error.contains("cannot write, start programs or use the network"), "{error}");
    }
    assert!(std::fs::read_to_string(folder.path().join("it")).unwrap().starts_with("one"));
}

#[test]
fn a_large_file_is_evaluated_in_one_go() {
    let text = "
def worker(i):
  return Process(name = 'worker_%d' % i, cmdline = '{{profile.java}} -Xmx{{profile.heap}}m --shard={{mesos.instance}} --n=%s' % i)
class Profile(Struct):
  java = Default(String, '/usr/bin/java')
  heap = Default(Integer, 512)
many = SequentialTask(name = 'app', processes = map(worker, range(1000)), resources = task.resources())
jobs = [job(task = many, name = 'n%d' % n).bind(profile = Profile(heap = n)) for n in range(5)]
";
    let jobs = jobs(text);
    assert_eq!(jobs.len(), 5);
    let last = jobs[4].task.processes.last().unwrap();
    assert_eq!(last.cmdline, "/usr/bin/java -Xmx4m --shard={{mesos.instance}} --n=999");
}
