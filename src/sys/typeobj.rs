//! Heap types made from specs.

use std::ffi::{CStr, c_int, c_ulong, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;

use super::freelist::Freelist;
use super::object::Type;
use super::slots::Method;
use super::{Layout, Object, Owned, Res, enter};

/// A type of ours for objects of layout `T`, and memory of its dead objects; made once, by the module's initialisation,
/// and kept for good.
pub(crate) struct StaticType<T: Layout> {
    class: AtomicPtr<ffi::PyTypeObject>,
    /// A subclass that most objects are of, if there is one.
    usual: AtomicPtr<ffi::PyTypeObject>,
    pub(super) freelist: Freelist,
    instances: PhantomData<fn() -> T>,
}

impl<T: Layout> StaticType<T> {
    pub(crate) const fn new() -> Self {
        Self::keeping(0)
    }

    /// With a free list of up to `limit` objects. One of more than [`freelist::FEW`](super::freelist::FEW) has to be
    /// trimmed now and then.
    pub(crate) const fn keeping(limit: usize) -> Self {
        StaticType {
            class: AtomicPtr::new(ptr::null_mut()),
            usual: AtomicPtr::new(ptr::null_mut()),
            freelist: Freelist::new(limit),
            instances: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyTypeObject {
        self.class.load(Ordering::Relaxed)
    }

    /// The type as an object. It is made already.
    pub(crate) fn as_object(&self) -> &'static Object {
        // SAFETY: made by `build`, and never let go.
        unsafe { Object::from_ptr(self.as_ptr().cast()) }
    }

    /// The type. It is made already.
    pub(crate) fn as_type(&self) -> &'static Type {
        // SAFETY: made by `build`, and never let go.
        unsafe { Type::from_ptr(self.as_ptr().cast()) }
    }

    /// Instance of exactly this type.
    #[inline]
    pub(crate) fn is_exact(&self, object: &Object) -> bool {
        ptr::eq(object.type_ptr(), self.as_ptr())
    }

    /// Instance of this type or of a subclass that has no hash, comparison or finaliser of its own.
    #[inline]
    pub(crate) fn gives_identity(&self, object: &Object) -> bool {
        self.is_exact(object) || self.gives_identity_to(object.type_ptr())
    }

    fn gives_identity_to(&self, class: *mut ffi::PyTypeObject) -> bool {
        // SAFETY: the type of a live object, and ours, which is made already.
        let (class, own) = unsafe { (&*class, &*self.as_ptr()) };
        class.tp_hash.map(|slot| slot as usize) == own.tp_hash.map(|slot| slot as usize)
            && class.tp_richcompare.map(|slot| slot as usize) == own.tp_richcompare.map(|slot| slot as usize)
            && class.tp_finalize.map(|slot| slot as usize) == own.tp_finalize.map(|slot| slot as usize)
    }

    /// Instance of this type or of a subclass, by the real type.
    #[inline]
    pub(crate) fn is_instance(&self, object: &Object) -> bool {
        self.is_exact(object)
            || ptr::eq(object.type_ptr(), self.usual.load(Ordering::Relaxed))
            // SAFETY: two live types.
            || unsafe { ffi::PyType_IsSubtype(object.type_ptr(), self.as_ptr()) != 0 }
    }

    /// Most objects will be of this subclass, which is kept for good.
    pub(super) fn set_usual(&self, class: &Type) {
        assert!(self.is_base_of(class), "a class of another type");
        self.usual.store(class.own().into_ptr().cast(), Ordering::Relaxed);
    }

    /// The object as what it is, if it is exactly of this type.
    #[inline]
    pub(crate) fn downcast_exact<'a>(&self, object: &'a Object) -> Option<&'a T> {
        // SAFETY: instances of the type have the layout `T`.
        self.is_exact(object).then(|| unsafe { object.cast() })
    }

    /// The object as what it is, if it is of this type or of a subclass.
    #[inline]
    pub(crate) fn downcast<'a>(&self, object: &'a Object) -> Option<&'a T> {
        // SAFETY: instances of the type, and of subclasses, begin with the layout `T`.
        self.is_instance(object).then(|| unsafe { object.cast() })
    }

    /// [`StaticType::downcast`] of what cannot be anything else.
    #[inline]
    pub(crate) fn expect<'a>(&self, object: &'a Object) -> &'a T {
        self.downcast(object).expect("an object of our own type")
    }

    /// Is the class this type, or a subclass of it?
    pub(crate) fn is_base_of(&self, class: &Type) -> bool {
        // SAFETY: two live types.
        unsafe { ffi::PyType_IsSubtype(class.as_type_ptr(), self.as_ptr()) != 0 }
    }

    /// Makes calls of exactly this type go to `construct` instead of `tp_new` and `tp_init`. Subclasses do not
    /// inherit it.
    pub(crate) fn set_vectorcall(&self, construct: ffi::vectorcallfunc) {
        // SAFETY: a live heap type of ours that nobody has called yet.
        unsafe { (*self.as_ptr()).tp_vectorcall = Some(construct) };
    }

    /// Shows the type by that name alone, as a static type of no module is shown.
    pub(crate) fn show_as(&self, name: &'static CStr) {
        // SAFETY: a live heap type of ours; it does not own what `tp_name` points to.
        unsafe { (*self.as_ptr()).tp_name = name.as_ptr() };
    }

    /// `module.name = type`
    pub(crate) fn add_to(&self, module: &Object, name: &CStr) -> Res<()> {
        // SAFETY: made by `build`, and never let go.
        add_to_module(module, name, unsafe { Object::from_ptr(self.as_ptr().cast()) })
    }
}

/// Collects what a `PyType_Spec` points to.
pub(crate) struct TypeBuilder<T: Layout + 'static> {
    class: &'static StaticType<T>,
    name: &'static CStr,
    flags: c_ulong,
    slots: Vec<ffi::PyType_Slot>,
    methods: Vec<ffi::PyMethodDef>,
    getsets: Vec<ffi::PyGetSetDef>,
    members: Vec<ffi::PyMemberDef>,
}

impl<T: Layout + 'static> TypeBuilder<T> {
    /// An immutable GC type, called `name` (`module.qualname`), to be kept in `class`.
    pub(crate) fn new(class: &'static StaticType<T>, name: &'static CStr, doc: &'static CStr) -> Self {
        TypeBuilder {
            class,
            name,
            flags: ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_IMMUTABLETYPE,
            slots: Vec::new(),
            methods: Vec::new(),
            getsets: Vec::new(),
            members: Vec::new(),
        }
        .slot(ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast())
    }

    /// Leaves `__doc__` to the instances: an attribute of that name in the table shows each one's own.
    pub(crate) fn without_doc(mut self) -> Self {
        self.slots.retain(|slot| slot.slot != ffi::Py_tp_doc);
        self
    }

    /// Lets Python code change the type, as it may its base: 3.14 refuses an immutable type on a mutable base.
    pub(crate) fn mutable(mut self) -> Self {
        self.flags &= !ffi::Py_TPFLAGS_IMMUTABLETYPE;
        self
    }

    pub(crate) fn flags(mut self, flags: c_ulong) -> Self {
        self.flags |= flags;
        self
    }

    pub(crate) fn slot(mut self, id: c_int, function: *mut c_void) -> Self {
        self.slots.push(ffi::PyType_Slot { slot: id, pfunc: function });
        self
    }

    pub(crate) fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods.extend(methods.into_iter().map(Method::definition));
        self
    }

    pub(crate) fn getsets(mut self, getsets: impl IntoIterator<Item = ffi::PyGetSetDef>) -> Self {
        self.getsets.extend(getsets);
        self
    }

    pub(crate) fn members(mut self, members: impl IntoIterator<Item = ffi::PyMemberDef>) -> Self {
        self.members.extend(members);
        self
    }

    /// Makes the type. The tables are leaked on purpose: the type refers to them, and lives as long as the process.
    pub(crate) fn build(self, module: &Object, base: Option<*mut ffi::PyTypeObject>) -> Res<()> {
        self.build_from(module.as_ptr(), base.map_or(ptr::null_mut(), <*mut ffi::PyTypeObject>::cast))
    }

    /// Makes the type as a subclass of a Python class, outside of any module.
    pub(crate) fn build_on(self, base: &Type) -> Res<()> {
        self.build_from(ptr::null_mut(), base.as_ptr())
    }

    fn build_from(mut self, module: *mut ffi::PyObject, base: *mut ffi::PyObject) -> Res<()> {
        if !self.methods.is_empty() {
            self.methods.push(ffi::PyMethodDef::zeroed());
            let table = self.methods.leak().as_mut_ptr();
            self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_methods, pfunc: table.cast() });
        }
        if !self.getsets.is_empty() {
            self.getsets.push(ffi::PyGetSetDef::default());
            let table = self.getsets.leak().as_mut_ptr();
            self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_getset, pfunc: table.cast() });
        }
        if !self.members.is_empty() {
            self.members.push(ffi::PyMemberDef::default());
            let table = self.members.leak().as_mut_ptr();
            self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_members, pfunc: table.cast() });
        }
        self.slots.push(ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() });
        let mut spec = ffi::PyType_Spec {
            name: self.name.as_ptr(),
            basicsize: c_int::try_from(size_of::<T>()).expect("a small object"),
            itemsize: 0,
            flags: u32::try_from(self.flags).expect("flags of 32 bits"),
            slots: self.slots.leak().as_mut_ptr(),
        };
        // SAFETY: a complete spec whose tables end with zeroed entries and stay for good; a live module and base, or
        // NULL.
        let class: Owned =
            unsafe { Owned::steal_or_raised(ffi::PyType_FromModuleAndSpec(module, &raw mut spec, base))? };
        // Making it may have run the collector, and so another thread that came here: whoever was first has won, or
        // its objects would not be known as what they are.
        if self.class.as_ptr().is_null() {
            self.class.class.store(class.into_ptr().cast(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Is it a builtin method, bound to an object, with that function?
#[inline]
pub(crate) fn is_bound_function(method: &Object, function: ffi::PyMethodDefPointer) -> bool {
    // SAFETY: an object whose exact type is the builtin function's has that layout, and its definition lives as long;
    // any of the union's fields is a function's address, which is only compared.
    unsafe {
        ptr::eq(method.type_ptr(), &raw mut ffi::PyCFunction_Type)
            && ptr::fn_addr_eq(
                (*(*method.as_ptr().cast::<ffi::PyCFunctionObject>()).m_ml).ml_meth.PyCFunction,
                function.PyCFunction,
            )
    }
}

/// Is it a builtin method of that name?
pub(crate) fn is_bound_function_named(method: &Object, name: &CStr) -> bool {
    // SAFETY: an object whose exact type is the builtin function's has that layout, and its definition, with a
    // NUL-terminated name, lives as long.
    unsafe {
        ptr::eq(method.type_ptr(), &raw mut ffi::PyCFunction_Type)
            && CStr::from_ptr((*(*method.as_ptr().cast::<ffi::PyCFunctionObject>()).m_ml).ml_name) == name
    }
}

/// The object that a builtin method is bound to.
#[inline]
pub(crate) fn bound_object(method: &Object) -> Option<&Object> {
    // SAFETY: an object whose exact type is the builtin function's has that layout, and keeps what it is bound to alive;
    // that is NULL in a function without.
    unsafe {
        ptr::eq(method.type_ptr(), &raw mut ffi::PyCFunction_Type)
            .then(|| Object::from_nullable((*method.as_ptr().cast::<ffi::PyCFunctionObject>()).m_self))?
    }
}

/// `module.name = value`
pub(crate) fn add_to_module(module: &Object, name: &CStr, value: &Object) -> Res<()> {
    // SAFETY: a live module, a NUL-terminated name; the function takes its own reference.
    match unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), name.as_ptr(), value.as_ptr()) } {
        0 => Ok(()),
        _ => Err(super::Raised),
    }
}

/// `super`
pub(crate) fn super_type() -> &'static Object {
    // SAFETY: the type is static.
    unsafe { Object::from_ptr((&raw mut ffi::PySuper_Type).cast()) }
}

/// How many references there are to the object, that of the caller among them.
pub(crate) fn reference_count(object: &Object) -> isize {
    // SAFETY: a live object.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) }
}

/// What `tp_setattro` does by default.
pub(crate) fn set_generic_attribute(object: &Object, name: &Object, value: Option<&Object>) -> Res<()> {
    let value = value.map_or(ptr::null_mut(), Layout::as_ptr);
    // SAFETY: live objects, or NULL as the value.
    match unsafe { enter::PyObject_GenericSetAttr(object.as_ptr(), name.as_ptr(), value) } {
        0 => Ok(()),
        _ => Err(super::Raised),
    }
}

/// The instance's `__dict__`, if it has one.
#[inline]
pub(crate) fn instance_dict(object: &Object) -> Option<Owned> {
    // SAFETY: a live object; a new reference, or NULL with `AttributeError` set.
    let dict = unsafe { Owned::steal_or_raised(enter::PyObject_GenericGetDict(object.as_ptr(), ptr::null_mut())) };
    if dict.is_err() {
        super::raised::clear();
    }
    dict.ok()
}

/// The instance's `__dict__`, if it has one already. Makes none.
pub(crate) fn existing_dict(object: &Object) -> Option<Owned> {
    unsafe extern "C" {
        fn _PyObject_GetDictPtr(object: *mut ffi::PyObject) -> *mut *mut ffi::PyObject;
    }
    // SAFETY: a live object; the address of its dict's place, which nobody changes while no Python code runs, or NULL.
    unsafe {
        let place = _PyObject_GetDictPtr(object.as_ptr());
        if place.is_null() { None } else { Object::from_nullable(*place).map(Layout::own) }
    }
}

/// Is it a Python function with that qualified name in its code, and with these globals?
pub(crate) fn is_function_of(object: &Object, qualified_name: &CStr, globals: &Object) -> Res<bool> {
    // SAFETY: the accessors are called on an exact function, and return borrowed references; comparing a string of
    // the interpreter with an ASCII text cannot fail.
    unsafe {
        if !ptr::eq(object.type_ptr(), &raw mut ffi::PyFunction_Type)
            || !ptr::eq(ffi::PyFunction_GetGlobals(object.as_ptr()), globals.as_ptr())
        {
            return Ok(false);
        }
        let code = Object::from_ptr(ffi::PyFunction_GetCode(object.as_ptr()));
        let name = super::call::getattr(code, &super::intern::CO_QUALNAME)?;
        Ok(ffi::PyUnicode_CompareWithASCIIString(name.as_ptr(), qualified_name.as_ptr()) == 0)
    }
}

/// A method definition in static memory, as function objects want it.
pub(crate) struct StaticMethod {
    definition: ffi::PyMethodDef,
    takes: fn(&Object) -> bool,
}

// SAFETY: never changed; it refers to static texts and functions only.
unsafe impl Sync for StaticMethod {}

impl StaticMethod {
    pub(crate) const fn new(method: Method) -> Self {
        StaticMethod { definition: method.definition(), takes: method.takes }
    }

    /// The method bound to an object, as a builtin function. Panics if the object is of another layout than the method's
    /// function expects.
    pub(crate) fn bind<T: Layout>(&'static self, object: &T) -> Res<Owned> {
        self.function(object.as_object(), ptr::null_mut())
    }

    /// A function of a module, that names itself as of `module_name`.
    pub(crate) fn in_module(&'static self, module: &Object, module_name: &Object) -> Res<Owned> {
        self.function(module, module_name.as_ptr())
    }

    fn function(&'static self, object: &Object, module_name: *mut ffi::PyObject) -> Res<Owned> {
        assert!((self.takes)(object), "a method of another type");
        let definition = ptr::from_ref(&self.definition).cast_mut();
        // SAFETY: a static definition, which the function only reads; it makes its own references to the objects. The
        // object is one that the definition's function takes.
        unsafe { Owned::steal_or_raised(enter::PyCFunction_NewEx(definition, object.as_ptr(), module_name)) }
    }
}

/// `class[item]`, for annotations.
pub(crate) fn generic_alias(class: &Object, item: &Object) -> Res<Owned> {
    // SAFETY: two live objects; a new reference or NULL.
    unsafe { Owned::steal_or_raised(ffi::Py_GenericAlias(class.as_ptr(), item.as_ptr())) }
}

/// Is it a traceback?
pub(crate) fn is_traceback(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyTraceBack_Check(object.as_ptr()) != 0 }
}
