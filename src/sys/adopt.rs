//! Classes that have the methods of a native type as their own.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;

use super::native_function::NativeFunction;
use super::typeobj::StaticType;
use super::{Layout, Object, Owned, Raised, Res, Type, containers, enter};

/// Gives a class, which is the native type or derives from it, the type's methods as its own: as functions that look
/// like those of the Python class that they stand for, if the class has such a base. (Else as method descriptors, which
/// the interpreter calls fast only on objects of exactly the class that they were made for.) Most objects of the type are
/// of that class from then on. False, and nothing is done,
/// if the class has nothing to do with the type.
pub(crate) fn methods<T: Layout>(native: &StaticType<T>, class: &Type) -> Res<bool> {
    if !native.is_base_of(class) {
        return Ok(false);
    }
    // SAFETY: the type's table of methods was leaked by `build`, and ends with a zeroed entry; `class` derives from the
    // type, as was just asked, so that the methods' functions get what they expect.
    unsafe {
        let mut method = (*native.as_ptr()).tp_methods;
        while !method.is_null() && !(*method).ml_name.is_null() {
            let function = match function_of_ancestor(class, CStr::from_ptr((*method).ml_name))? {
                Some(like) => NativeFunction::make(&*method, native.as_type(), class, &like)?,
                None => None,
            };
            let function = match function {
                Some(function) => function,
                None => Owned::steal_or_raised(ffi::PyDescr_NewMethod(class.as_type_ptr(), method))?,
            };
            if enter::PyObject_SetAttrString(class.as_ptr(), (*method).ml_name, function.as_ptr()) != 0 {
                return Err(Raised);
            }
            method = method.add(1);
        }
    }
    native.set_usual(class);
    Ok(true)
}

/// The attribute of that name of the first of the class's ancestors that has it as a Python function.
fn function_of_ancestor(class: &Type, name: &CStr) -> Res<Option<Owned>> {
    let name = containers::string(name)?;
    for ancestor in class.ancestors().into_iter().skip(1) {
        // SAFETY: a live type's dict (or NULL), borrowed, and owned while it is looked at.
        let dict = unsafe { Object::from_nullable((*ancestor.as_type_ptr()).tp_dict) };
        let Some(dict) = dict.map(Layout::own) else { continue };
        let found = containers::dict_get(&dict, &name)?;
        if let Some(found) = found.filter(|f| ptr::eq(f.type_ptr(), &raw mut ffi::PyFunction_Type)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
