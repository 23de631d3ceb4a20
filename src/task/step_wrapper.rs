//! The step as a callback, for loops that want a Python callable.

use pyo3::ffi;

use crate::sys::error::{Builtin, raise};
use crate::sys::freelist::FEW;
use crate::sys::life::{Life, object};
use crate::sys::slots::{call, getset};
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Owned, Res};
use crate::versions;

use super::step::{StepResult, step, uninitialized};
use super::target;

object! {
    /// `task` is not set in one that Python code made by calling the type.
    struct StepWrapper: TYPE {
        head: Object,
        task: Field,
        /// To be thrown into the coroutine.
        exception: Field,
    }
}

impl Life for StepWrapper {}

static TYPE: StaticType<StepWrapper> = StaticType::keeping(FEW);

pub(super) fn new(task: &Object, exception: Option<&Object>) -> Res<Owned> {
    let wrapper = TYPE.allocate()?;
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
    step(target(&task)?, wrapper.exception.get()).map(StepResult::into_object)
}

fn get_self(wrapper: &StepWrapper) -> Owned {
    wrapper.task.get_or_none()
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(&TYPE, versions::STEP_WRAPPER_NAME, c"The next step of a task, as a callback.")
        .life()
        .slot(ffi::Py_tp_call, call!(StepWrapper, run))
        .slot(ffi::Py_tp_getattro, ffi::PyObject_GenericGetAttr as unsafe extern "C" fn(_, _) -> _ as *mut _)
        .getsets([getset!(StepWrapper, c"__self__", get_self, c"The task.")])
        .build(module, None)?;
    if versions::STEP_WRAPPER_IS_BUILTIN {
        TYPE.show_as(c"TaskStepMethWrapper");
    }
    Ok(())
}
