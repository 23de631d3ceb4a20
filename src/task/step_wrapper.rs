//! The step as a callback, for loops that want a Python callable.

use std::ops::ControlFlow;

use pyo3::ffi;

use crate::sys::error::{Builtin, guard_dealloc, raise};
use crate::sys::freelist::{self, Freelist};
use crate::sys::gc::{Visited, Visitor, untrack};
use crate::sys::slots::{call, getset, inquiry, traverse};
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Owned, Res};
use crate::versions;

use super::step::{Stepped, step, uninitialized};
use super::target;

/// `task` is not set in one that Python code made by calling the type.
#[repr(C)]
struct StepWrapper {
    head: Object,
    task: Field,
    /// To be thrown into the coroutine.
    exception: Field,
}

// SAFETY: repr(C), begins with the head, all cells.
#[expect(unsafe_code, reason = "a layout")]
unsafe impl Layout for StepWrapper {
    fn fits(object: &Object) -> bool {
        TYPE.is_exact(object)
    }
}

static TYPE: StaticType<StepWrapper> = StaticType::new();
static FREELIST: Freelist = Freelist::new(freelist::FEW);

pub(super) fn new(task: &Object, exception: Option<&Object>) -> Res<Owned> {
    let wrapper: Owned<StepWrapper> = FREELIST.allocate(&TYPE)?;
    wrapper.task.set(task.own());
    drop(wrapper.exception.replace(exception.map(Layout::own)));
    Ok(wrapper.into_object())
}

fn run(wrapper: &StepWrapper, positional: usize, keywords: usize) -> Res<Owned> {
    let type_error = Builtin::TypeError.class();
    if keywords != 0 {
        return Err(raise(type_error, c"function takes no keyword arguments"));
    }
    if positional != 0 {
        return Err(raise(type_error, c"function takes no positional arguments"));
    }
    let task = wrapper.task.get().ok_or_else(uninitialized)?;
    step(target(&task)?, wrapper.exception.get()).map(Stepped::into_object)
}

fn get_self(wrapper: &StepWrapper) -> Owned {
    wrapper.task.get_or_none()
}

fn visit(wrapper: &StepWrapper, visitor: Visitor) -> Visited {
    visitor.class_of(&wrapper.head)?;
    visitor.field(&wrapper.task)?;
    visitor.field(&wrapper.exception)?;
    ControlFlow::Continue(())
}

fn clear(wrapper: &StepWrapper) {
    wrapper.task.clear();
    wrapper.exception.clear();
}

#[expect(unsafe_code, reason = "a slot")]
unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    let body = move || {
        // SAFETY: CPython calls the slot with a dead instance of the type, once.
        unsafe {
            let wrapper = StepWrapper::from_ptr(object);
            untrack(wrapper);
            clear(wrapper);
            FREELIST.free(object, &TYPE);
        }
    };
    // SAFETY: the deallocator's own object.
    unsafe { guard_dealloc("StepWrapper::dealloc", object, body) }
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(&TYPE, versions::STEP_WRAPPER_NAME, c"The next step of a task, as a callback.")
        .slot(ffi::Py_tp_dealloc, dealloc as unsafe extern "C" fn(_) as *mut _)
        .slot(ffi::Py_tp_traverse, traverse!(StepWrapper, visit))
        .slot(ffi::Py_tp_clear, inquiry!(StepWrapper, clear))
        .slot(ffi::Py_tp_call, call!(StepWrapper, run))
        .getsets([getset!(StepWrapper, c"__self__", get_self, c"The task.")])
        .build(module, None)?;
    if versions::STEP_WRAPPER_IS_BUILTIN {
        TYPE.show_as(c"TaskStepMethWrapper");
    }
    Ok(())
}
