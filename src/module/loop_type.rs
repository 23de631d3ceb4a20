//! The event loop's type: what the modules that make up a loop say of it, joined.

use pyo3::ffi;

use crate::event_loop::{self, TYPE, passed_over};
use crate::replaced::ask_about_replacements;
use crate::sys::error::{Builtin, raise};
use crate::sys::slots::{noargs, one, positional};
use crate::sys::typeobj::{StaticMethod, TypeBuilder, add_to_module};
use crate::sys::{Object, Res, adopt};

/// `_adopt_event_loop_class(cls)`: gives the class our methods as its own.
static ADOPT: StaticMethod = StaticMethod::new(one!(
    Object,
    c"_adopt_event_loop_class",
    adopt,
    c"_adopt_event_loop_class($module, cls, /)\n--\n\nGive the subclass of EventLoopCore the methods as its own."
));

/// `_passed_over()`
static PASSED_OVER: StaticMethod = StaticMethod::new(noargs!(
    Object,
    c"_passed_over",
    passed_over,
    c"_passed_over($module, /)\n--\n\nThe methods of a loop that native code does without."
));

/// `_ask_about_replacements(about_class, about_all, *watched)`
static ASK: StaticMethod = StaticMethod::new(positional!(
    Object,
    c"_ask_about_replacements",
    ask_about_replacements,
    c"_ask_about_replacements($module, about_class, about_all, /, *watched)\n--\n\nSay who knows what was replaced."
));

fn adopt(_module: &Object, class: &Object) -> Res<()> {
    match class.as_type().map(|class| adopt::methods(&TYPE, class)).transpose()? {
        Some(true) => Ok(()),
        _ => Err(raise(Builtin::TypeError.class(), c"a subclass of EventLoopCore was expected")),
    }
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    let builder = TypeBuilder::new(&TYPE, c"_asyncio.EventLoopCore", c"The native half of rasyncio.EventLoop.")
        .flags(ffi::Py_TPFLAGS_BASETYPE);
    let builder = event_loop::describe(builder);
    #[cfg(target_os = "linux")]
    let builder = builder
        .methods(crate::net::sock::methods())
        .methods(crate::net::server::methods())
        .methods(crate::net::transport::loop_methods());
    builder.build(module, None)?;
    TYPE.add_to(module, c"EventLoopCore")?;
    add_to_module(module, c"_passed_over", &*PASSED_OVER.bind(module)?)?;
    add_to_module(module, c"_ask_about_replacements", &*ASK.bind(module)?)?;
    add_to_module(module, c"_adopt_event_loop_class", &*ADOPT.bind(module)?)
}
