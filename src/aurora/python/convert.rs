//! Python's objects as values, and back.

use std::rc::Rc;

use rustpython_vm::{
    AsObject, PyObject, PyObjectRef, PyPayload, PyResult, TryFromObject, VirtualMachine,
    builtins::{PyBytes, PyDict, PyDictRef, PyFloat, PyInt, PyList, PyStr, PyTuple},
    function::FuncArgs,
    protocol::PyIter,
};

use super::{
    objects::airglow::{Empty, Object},
    refused,
};
use crate::aurora::{
    scope::{Chain, Scope},
    value::{Struct, Type, Value, binding},
};

/// Whatever a file may put into a field. What no field takes comes out as [`Value::Other`].
///
/// A list may contain itself, so that the interpreter counts how deep this goes.
pub(super) fn from_python(object: &PyObject, vm: &VirtualMachine) -> PyResult<Value> {
    vm.with_recursion(" in a value that contains itself", || convert(object, vm))
}

fn convert(object: &PyObject, vm: &VirtualMachine) -> PyResult<Value> {
    if let Some(object) = object.downcast_ref::<Object>() {
        return Ok(Value::Struct(object.value.clone()));
    }
    if let Some(text) = object.downcast_ref::<PyStr>() {
        return match text.to_str() {
            Some(text) => Ok(Value::text(text)),
            None => Ok(Value::Other("text that is not Unicode".into())),
        };
    }
    // What Python 2 took for text.
    if let Some(bytes) = object.downcast_ref::<PyBytes>() {
        return match std::str::from_utf8(bytes.as_bytes()) {
            Ok(text) => Ok(Value::text(text)),
            Err(_) => other(object, vm),
        };
    }
    if object.fast_isinstance(vm.ctx.types.bool_type) {
        return object.to_owned().try_to_bool(vm).map(Value::Boolean);
    }
    if object.downcast_ref::<PyInt>().is_some() {
        let integer = i64::try_from_object(vm, object.to_owned()).ok();
        return integer.map_or_else(|| other(object, vm), |it| Ok(Value::Integer(it)));
    }
    if let Some(float) = object.downcast_ref::<PyFloat>() {
        return Ok(Value::Float(float.to_f64()));
    }
    if object.downcast_ref::<Empty>().is_some() {
        return Ok(Value::Empty);
    }
    if let Some(items) = object.downcast_ref::<PyList>() {
        // A copy: converting may run Python code that changes the list.
        return from_sequence(items.borrow_vec().to_vec(), vm);
    }
    if let Some(items) = object.downcast_ref::<PyTuple>() {
        return from_sequence(items.as_slice().to_vec(), vm);
    }
    if let Some(dictionary) = object.downcast_ref::<PyDict>() {
        let dictionary: PyDictRef = dictionary.to_owned();
        let entries = dictionary.into_iter();
        let entry = |(key, value): (PyObjectRef, PyObjectRef)| {
            Ok((key.str(vm)?.to_string().into(), from_python(&value, vm)?))
        };
        return Ok(Value::Map(entries.map(entry).collect::<PyResult<_>>()?));
    }
    // Generators, `map`, sets: lists in all but name.
    match PyIter::try_from_object(vm, object.to_owned()) {
        Ok(iterator) if !vm.is_none(object) && !object.class().is(vm.ctx.types.type_type) => {
            let items = iterator.iter_without_hint::<PyObjectRef>(vm)?.collect::<PyResult<_>>()?;
            from_sequence(items, vm)
        }
        _ => other(object, vm),
    }
}

fn from_sequence(items: Vec<PyObjectRef>, vm: &VirtualMachine) -> PyResult<Value> {
    Ok(Value::List(items.iter().map(|it| from_python(it, vm)).collect::<PyResult<_>>()?))
}

fn other(object: &PyObject, vm: &VirtualMachine) -> PyResult<Value> {
    Ok(Value::Other(object.str(vm)?.to_string().into()))
}

/// Fields as arguments: by name, or as one dictionary.
pub(super) fn fields(args: FuncArgs, vm: &VirtualMachine) -> PyResult<Vec<(String, Value)>> {
    let mut given = Vec::new();
    for argument in &args.args {
        let Value::Map(entries) = from_python(argument, vm)? else {
            return Err(vm.new_type_error("fields are given by name, such as name = 'hello'"));
        };
        given.extend(entries.iter().map(|(key, value)| (key.to_string(), value.clone())));
    }
    for (name, value) in args.kwargs {
        given.push((name, from_python(&value, vm)?));
    }
    Ok(given)
}

/// What `bind` was called with: names, dictionaries of names, and objects whose fields are names.
pub(super) fn scopes(args: FuncArgs, vm: &VirtualMachine) -> PyResult<Vec<Scope>> {
    let mut scopes = Vec::new();
    for argument in &args.args {
        let value = from_python(argument, vm)?;
        let scope = match (value.as_struct(), &value) {
            (Some(object), _) => Scope::Attributes(object.clone()),
            (None, Value::Map(entries)) => bound(entries.iter().cloned(), vm)?,
            (None, other) => {
                return Err(vm.new_type_error(format!("cannot bind {other}: it has no name")));
            }
        };
        scopes.push(scope);
    }
    if !args.kwargs.is_empty() {
        let mut named = Vec::new();
        for (name, value) in args.kwargs {
            named.push((name.into(), from_python(&value, vm)?));
        }
        scopes.push(bound(named, vm)?);
    }
    Ok(scopes)
}

fn bound(
    names: impl IntoIterator<Item = (Rc<str>, Value)>,
    vm: &VirtualMachine,
) -> PyResult<Scope> {
    let bound = names.into_iter().map(|(name, value)| binding(&name, value));
    bound.collect::<Result<_, _>>().map(Scope::Bound).map_err(|detail| refused(vm, detail))
}

/// A field of an object as a file sees it: with the object's own names put in.
pub(super) fn field_to_python(
    owner: &Rc<Struct>,
    value: &Value,
    kind: &Type,
    vm: &VirtualMachine,
) -> PyResult {
    let value = match value {
        Value::Text(text) => {
            let expanded = Chain::NOTHING.enter(owner, |chain| chain.expand(text));
            let (text, _) = expanded.map_err(|trouble| refused(vm, trouble.to_string()))?;
            let coerced = kind.coerce(Value::text(text.as_str()), &mut Vec::new());
            // A number that is still a template stays a text.
            if coerced == Value::Invalid { Value::text(text) } else { coerced }
        }
        Value::Struct(inner) => {
            let around = owner.binds().iter().chain(owner.context()).cloned();
            let around = std::iter::once(Rc::new(Scope::Attributes(owner.clone()))).chain(around);
            Value::Struct(inner.within(around))
        }
        Value::List(items) => {
            let of = if let Type::List(of) = kind { of } else { kind };
            let items = items.iter().map(|it| field_to_python(owner, it, of, vm));
            return typed(vm.ctx.new_list(items.collect::<PyResult<_>>()?).into(), vm);
        }
        Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Map(_)
        | Value::Empty
        | Value::Other(_)
        | Value::Invalid => value.clone(),
    };
    typed(to_python(&value, vm)?, vm)
}

pub(super) fn to_python(value: &Value, vm: &VirtualMachine) -> PyResult {
    Ok(match value {
        Value::Text(text) => vm.ctx.new_str(&**text).into(),
        Value::Integer(integer) => vm.ctx.new_int(*integer).into(),
        Value::Float(float) => vm.ctx.new_float(*float).into(),
        Value::Boolean(truth) => vm.ctx.new_bool(*truth).into(),
        Value::List(items) => {
            let items = items.iter().map(|it| to_python(it, vm)).collect::<PyResult<_>>()?;
            vm.ctx.new_list(items).into()
        }
        Value::Map(entries) => {
            let dictionary = vm.ctx.new_dict();
            for (key, value) in &**entries {
                dictionary.set_item(&**key, to_python(value, vm)?, vm)?;
            }
            dictionary.into()
        }
        Value::Struct(object) => Object { value: object.clone() }.into_pyobject(vm),
        Value::Empty => vm.import("_airglow", 0)?.get_attr("Empty", vm)?,
        Value::Other(_) | Value::Invalid => vm.ctx.none(),
    })
}

/// Gives texts, numbers and lists the few methods that the language's objects have.
pub(super) fn typed(plain: PyObjectRef, vm: &VirtualMachine) -> PyResult {
    vm.import("_airglow", 0)?.get_attr("typed", vm)?.call((plain,), vm)
}
