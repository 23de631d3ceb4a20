//! The event loop's type: what the modules that make up a loop say of it, joined.

use pyo3::ffi;

use crate::event_loop::{self, TYPE};
use crate::sys::error::{Builtin, raise};
use crate::sys::slots::one;
use crate::sys::typeobj::{self, StaticMethod, TypeBuilder, add_to_module};
use crate::sys::{Object, Res};

/// `_adopt_event_loop_class(cls)`: gives the class our methods as its own.
static ADOPT: StaticMethod = StaticMethod::new(one!(
    Object,
    c"_adopt_event_loop_class",
    adopt,
    c"_adopt_event_loop_class($module, cls, /)\n--\n\nGive the subclass of EventLoopCore the methods as its own."
));

fn adopt(_module: &Object, class: &Object) -> Res<()> {
    match class.as_type().map(|class| typeobj::adopt_methods(&TYPE, class)).transpose()? {
        Some(true) => Ok(()),
        _ => Err(raise(Builtin::TypeError.class(), c"a subclass of EventLoopCore was expected")),
    }
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    let builder = TypeBuilder::new(&TYPE, c"_asyncio.EventLoopCore", c"The native half of rasyncio.EventLoop.")
        .flags(ffi::Py_TPFLAGS_BASETYPE);
    event_loop::describe(builder).build(module, None)?;
    TYPE.add_to(module, c"EventLoopCore")?;
    add_to_module(module, c"_adopt_event_loop_class", &*ADOPT.bind(module)?)
}
