//! Types and objects as files see them.
//!
//! A type is called to make an object, an object to copy it with changes. This much is native
//! because files make thousands of them; what is simple and rare is in `language.py`.

#[rustpython_vm::pymodule(name = "_airglow")]
pub(super) mod airglow {
    use std::rc::Rc;

    use rustpython_vm::{
        AsObject, Py, PyObject, PyObjectRef, PyPayload, PyRef, PyResult, VirtualMachine,
        builtins::{PyDictRef, PyStr},
        common::hash::PyHash,
        function::{FuncArgs, PyComparisonValue},
        protocol::PyNumberMethods,
        pyclass,
        types::{AsNumber, Callable, Comparable, GetAttr, Hashable, PyComparisonOp, Representable},
    };

    use super::super::{convert, refused, session};
    use crate::aurora::{
        scope::{Chain, Report, evaluate},
        value::{Enum, FieldType, Language, Presence, Schema, Struct, Type, Value, check},
    };

    /// A type: calling it makes a value of it.
    #[pyattr]
    #[pyclass(name = "Type", no_attr)]
    #[derive(Debug, PyPayload)]
    pub(in crate::aurora::python) struct Kind {
        kind: Type,
    }

    /// An object of one of the language's structs, or of one that the file declares.
    #[pyattr]
    #[pyclass(name = "Object", no_attr)]
    #[derive(Debug, PyPayload)]
    pub(in crate::aurora::python) struct Object {
        pub(in crate::aurora::python) value: Rc<Struct>,
    }

    /// A field in a struct's declaration: `Default(String, 'live')`, `Required(Integer)`.
    #[pyattr]
    #[pyclass(name = "Field", no_attr)]
    #[derive(Debug, PyPayload)]
    pub(in crate::aurora::python) struct Field {
        kind: Type,
        presence: Presence,
    }

    /// Takes a field's value away.
    #[pyattr]
    #[pyclass(name = "EmptyType", no_attr)]
    #[derive(Debug, PyPayload)]
    pub(in crate::aurora::python) struct Empty;

    #[pyclass(with(Callable, Representable))]
    impl Kind {
        /// `class Profile(Other)` where `Other` is itself such a struct.
        #[pymethod]
        fn __mro_entries__(&self, _bases: PyObjectRef, vm: &VirtualMachine) -> PyResult {
            let base = vm.import("_airglow", 0)?.get_attr("Struct", vm)?;
            Ok(vm.ctx.new_tuple(vec![base]).into())
        }

        #[pymethod]
        fn __instancecheck__(&self, object: PyObjectRef, vm: &VirtualMachine) -> PyResult<bool> {
            Ok(match (&self.kind, convert::from_python(&object, vm)?) {
                (Type::Struct(schema), Value::Struct(it)) => it.schema.is_a(schema),
                (Type::String, Value::Text(_))
                | (Type::Integer, Value::Integer(_))
                | (Type::Float, Value::Float(_))
                | (Type::Boolean, Value::Boolean(_)) => true,
                _ => false,
            })
        }

        #[pygetset]
        fn __name__(&self) -> String {
            self.kind.name()
        }
    }

    impl Callable for Kind {
        type Args = FuncArgs;

        fn call(zelf: &Py<Self>, args: FuncArgs, vm: &VirtualMachine) -> PyResult {
            if let Type::Struct(schema) = &zelf.kind {
                let origin = session::here(vm);
                let mut mistakes = Vec::new();
                let given = convert::fields(args, vm)?;
                let value = Struct::new(schema, given, origin.clone(), &mut mistakes);
                session::complain(mistakes, origin.as_ref());
                return Ok(Object { value }.into_pyobject(vm));
            }
            let [argument] = args.args.as_slice() else {
                let message = format!("{} is made from one value", zelf.kind.name());
                return Err(vm.new_type_error(message));
            };
            let mut details = Vec::new();
            let value = zelf.kind.coerce(convert::from_python(argument, vm)?, &mut details);
            match details.into_iter().next() {
                Some(detail) => Err(refused(vm, detail)),
                None => convert::typed(convert::to_python(&value, vm)?, vm),
            }
        }
    }

    impl Representable for Kind {
        fn repr_str(zelf: &Py<Self>, _vm: &VirtualMachine) -> PyResult<String> {
            Ok(zelf.kind.name())
        }
    }

    #[pyclass]
    impl Field {}

    #[pyclass(with(AsNumber, Representable))]
    impl Empty {}

    impl AsNumber for Empty {
        fn as_number() -> &'static PyNumberMethods {
            static NUMBER: PyNumberMethods = PyNumberMethods {
                boolean: Some(|_, _| Ok(false)),
                ..PyNumberMethods::NOT_IMPLEMENTED
            };
            &NUMBER
        }
    }

    impl Representable for Empty {
        fn repr_str(_zelf: &Py<Self>, _vm: &VirtualMachine) -> PyResult<String> {
            Ok("Empty".to_owned())
        }
    }

    #[pyclass(with(AsNumber, Callable, Comparable, GetAttr, Hashable, Representable))]
    impl Object {
        /// Names for references inside this object to find.
        #[pymethod]
        fn bind(&self, args: FuncArgs, vm: &VirtualMachine) -> PyResult {
            let scopes = convert::scopes(args, vm)?;
            let bound = scopes.into_iter().fold(self.value.clone(), |value, it| value.bind(it));
            Ok(Self { value: bound }.into_pyobject(vm))
        }

        /// As `bind`, but whatever was bound to it is found first.
        #[pymethod]
        fn in_scope(&self, args: FuncArgs, vm: &VirtualMachine) -> PyResult {
            let scopes = convert::scopes(args, vm)?.into_iter().map(Rc::new);
            Ok(Self { value: self.value.within(scopes) }.into_pyobject(vm))
        }

        #[pymethod]
        fn check(&self, vm: &VirtualMachine) -> PyResult {
            let kind = Type::Struct(self.value.schema.clone());
            let wrong = check(&Value::Struct(self.value.clone()), &kind).err();
            vm.import("_airglow", 0)?.get_attr("TypeCheck", vm)?.call((wrong,), vm)
        }

        /// The object with what is known put in, and the references that are left.
        #[pymethod]
        fn interpolate(&self, vm: &VirtualMachine) -> PyResult {
            let mut report = Report::default();
            let kind = Type::Struct(self.value.schema.clone());
            let value = Value::Struct(self.value.clone());
            let value = evaluate(&value, &kind, &Chain::NOTHING, "", &mut report);
            if let Some((_, detail)) = report.mistakes.into_iter().next() {
                return Err(refused(vm, detail));
            }
            let unbound = report.unbound.into_iter().flat_map(|(_, names)| names);
            let unbound: std::collections::BTreeSet<_> = unbound.collect();
            let unbound = unbound.iter().map(|it| vm.ctx.new_str(it.to_string()).into());
            let unbound = vm.ctx.new_list(unbound.collect()).into();
            let pair = vec![convert::to_python(&value, vm)?, unbound];
            Ok(vm.ctx.new_tuple(pair).into())
        }

        /// As a dictionary of plain values.
        #[pymethod]
        fn get(&self, vm: &VirtualMachine) -> PyResult {
            let json = Value::Struct(self.value.clone()).to_json().unwrap_or_default();
            convert::to_python(&Value::from_json(&json), vm)
        }

        /// Objects never change, so that one copy is as good as another.
        #[pymethod]
        fn __copy__(zelf: PyRef<Self>) -> PyRef<Self> {
            zelf
        }

        #[pymethod]
        fn __deepcopy__(zelf: PyRef<Self>, _memo: PyObjectRef) -> PyRef<Self> {
            zelf
        }

        #[pymethod]
        fn json_dumps(&self) -> String {
            Value::Struct(self.value.clone()).to_json().unwrap_or_default().to_string()
        }
    }

    /// Calling an object copies it, with other values in some fields.
    impl Callable for Object {
        type Args = FuncArgs;

        fn call(zelf: &Py<Self>, args: FuncArgs, vm: &VirtualMachine) -> PyResult {
            let origin = session::here(vm);
            let mut mistakes = Vec::new();
            let given = convert::fields(args, vm)?;
            let value = zelf.value.with(given, origin.clone(), &mut mistakes);
            session::complain(mistakes, origin.as_ref());
            Ok(Self { value }.into_pyobject(vm))
        }
    }

    /// `process.name()` is the name, `process.has_name()` whether there is one.
    impl GetAttr for Object {
        fn getattro(zelf: &Py<Self>, name: &Py<PyStr>, vm: &VirtualMachine) -> PyResult {
            let Some(text) = name.to_str() else {
                return zelf.as_object().generic_getattr(name, vm);
            };
            let owner = zelf.value.clone();
            if let Some((_, field)) = owner.schema.field(text) {
                let kind = field.kind.clone();
                let name = text.to_owned();
                let get = move |vm: &VirtualMachine| -> PyResult {
                    let value = owner.get(&name).unwrap_or(&Value::Empty);
                    convert::field_to_python(&owner, value, &kind, vm)
                };
                return Ok(vm.new_function("field", get).into());
            }
            let field = text.strip_prefix("has_").filter(|it| owner.schema.field(it).is_some());
            if let Some(field) = field {
                let has = owner.get(field).is_some_and(|it| *it != Value::Empty);
                return Ok(vm.new_function("has_field", move |_: &VirtualMachine| has).into());
            }
            zelf.as_object().generic_getattr(name, vm)
        }
    }

    impl Comparable for Object {
        fn cmp(
            zelf: &Py<Self>,
            other: &PyObject,
            op: PyComparisonOp,
            _vm: &VirtualMachine,
        ) -> PyResult<PyComparisonValue> {
            op.eq_only(|| {
                let other = other.downcast_ref::<Self>();
                Ok(other.is_some_and(|it| it.value == zelf.value).into())
            })
        }
    }

    impl Hashable for Object {
        fn hash(zelf: &Py<Self>, vm: &VirtualMachine) -> PyResult<PyHash> {
            vm.ctx.new_str(zelf.json_dumps()).as_object().hash(vm)
        }
    }

    /// `object % names` binds and interpolates.
    impl AsNumber for Object {
        fn as_number() -> &'static PyNumberMethods {
            static NUMBER: PyNumberMethods = PyNumberMethods {
                remainder: Some(|object, names, vm| {
                    let Some(object) = object.downcast_ref::<Object>() else {
                        return Ok(vm.ctx.not_implemented());
                    };
                    let bound = object.bind(vec![names.to_owned()].into(), vm)?;
                    let pair = vm.call_method(&bound, "interpolate", ())?;
                    pair.get_item(&0_usize, vm)
                }),
                ..PyNumberMethods::NOT_IMPLEMENTED
            };
            &NUMBER
        }
    }

    impl Representable for Object {
        fn repr_str(zelf: &Py<Self>, _vm: &VirtualMachine) -> PyResult<String> {
            let set = zelf.value.fields().filter(|(_, value)| **value != Value::Empty);
            let set: Vec<_> = set.map(|(field, value)| format!("{}={value}", field.name)).collect();
            Ok(format!("{}({})", zelf.value.schema.name, set.join(", ")))
        }
    }

    /// Every type of the language by its name.
    #[pyfunction]
    fn types(vm: &VirtualMachine) -> PyResult<PyDictRef> {
        let schemas: Vec<_> = session::with(|it| it.language.objects().collect());
        let structs = schemas.into_iter().map(|it| (it.name.clone(), Type::Struct(it)));
        let enums = Language::enums().map(|it| (it.name(), it));
        let scalars = [Type::String, Type::Integer, Type::Float, Type::Boolean];
        let types = vm.ctx.new_dict();
        for (name, kind) in structs.chain(enums).chain(scalars.map(|it| (it.name(), it))) {
            types.set_item(&*name, Kind { kind }.into_pyobject(vm), vm)?;
        }
        Ok(types)
    }

    /// Says that a task may be run by itself.
    #[pyfunction]
    fn export(task: PyObjectRef, vm: &VirtualMachine) -> PyResult<()> {
        let kind = session::with(|it| it.language.task());
        let value = convert::from_python(&task, vm)?;
        let task = value.as_struct().filter(|it| it.schema.is_a(&kind)).cloned();
        let refusal = || vm.new_type_error(format!("export() takes a Task, not {value}"));
        let task = task.ok_or_else(refusal)?;
        session::with(|it| it.exported.push(task));
        Ok(())
    }

    #[pyfunction]
    fn list_type(of: PyRef<Kind>) -> Kind {
        Kind { kind: Type::List(Rc::new(of.kind.clone())) }
    }

    #[pyfunction]
    fn map_type(_keys: PyRef<Kind>, of: PyRef<Kind>) -> Kind {
        Kind { kind: Type::Map(Rc::new(of.kind.clone())) }
    }

    #[pyfunction]
    fn enum_type(name: String, values: Vec<String>) -> Kind {
        Kind { kind: Type::Enum(Rc::new(Enum { name, values })) }
    }

    #[pyfunction]
    fn choice_type(of: Vec<PyRef<Kind>>) -> Kind {
        Kind { kind: Type::Choice(of.iter().map(|it| it.kind.clone()).collect()) }
    }

    #[pyfunction]
    fn required(of: PyRef<Kind>) -> Field {
        Field { kind: of.kind.clone(), presence: Presence::Required }
    }

    #[pyfunction]
    fn default(of: PyRef<Kind>, value: PyObjectRef, vm: &VirtualMachine) -> PyResult<Field> {
        let mut details = Vec::new();
        let value = of.kind.coerce(convert::from_python(&value, vm)?, &mut details);
        match details.into_iter().next() {
            Some(detail) => Err(refused(vm, detail)),
            None => Ok(Field { kind: of.kind.clone(), presence: Presence::Default(value) }),
        }
    }

    #[pyfunction]
    fn empty() -> Empty {
        Empty
    }

    /// What `class Name(Struct)` makes.
    #[pyfunction]
    fn struct_type(
        name: String,
        parent: Option<PyRef<Kind>>,
        names: Vec<String>,
        declared: Vec<PyObjectRef>,
        vm: &VirtualMachine,
    ) -> PyResult<Kind> {
        let parent = match parent.as_ref().map(|it| &it.kind) {
            None => None,
            Some(Type::Struct(schema)) => Some(schema.clone()),
            Some(other) => {
                let message = format!("a struct cannot be a kind of {}", other.name());
                return Err(vm.new_type_error(message));
            }
        };
        let mut all = parent.as_ref().map_or_else(Vec::new, |it| it.fields.clone());
        for (name, declared) in names.into_iter().zip(declared) {
            let (kind, presence) = if let Some(it) = declared.downcast_ref::<Kind>() {
                (it.kind.clone(), Presence::Optional)
            } else if let Some(it) = declared.downcast_ref::<Field>() {
                (it.kind.clone(), it.presence.clone())
            } else {
                return Err(vm.new_type_error(format!("{name} has no type")));
            };
            all.retain(|it| it.name != name);
            all.push(FieldType { name, kind, presence });
        }
        Ok(Kind { kind: Type::Struct(Rc::new(Schema { name, fields: all, parent })) })
    }

    /// A text with names put in, and the references that are left.
    #[pyfunction]
    fn expand(text: String, args: FuncArgs, vm: &VirtualMachine) -> PyResult {
        let scopes: Vec<_> = convert::scopes(args, vm)?.into_iter().map(Rc::new).collect();
        let expanded = Chain::scopes(&scopes, &Chain::NOTHING).expand(&text);
        let (text, open) = expanded.map_err(|trouble| refused(vm, trouble.to_string()))?;
        let open = open.iter().map(|it| vm.ctx.new_str(it.to_string()).into()).collect();
        let pair = vec![vm.ctx.new_str(text).into(), vm.ctx.new_list(open).into()];
        Ok(vm.ctx.new_tuple(pair).into())
    }
}
