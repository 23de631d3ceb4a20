//! Tells Python code of a loop that begins to run, whoever runs it: each one's first step is `_set_running_loop`.
//!
//! For a process that was started to run on our loop (`python/rasyncio/_other_loop.py`): another one is named in a
//! warning; and for `python -m rasyncio --check`. Where nobody asked, it costs a look at a field for each run of a loop.

use std::cell::Cell;

use crate::event_loop;
use crate::sys::attached::Attached;
use crate::sys::error::{Builtin, raise};
use crate::sys::slots::positional;
use crate::sys::typeobj::{StaticMethod, add_to_module};
use crate::sys::{Field, Layout, Object, Res, call};

struct Listener {
    /// The function that is called with the loop.
    function: Field,
    /// Whether it is called for loops of ours, too.
    of_ours: Cell<bool>,
}

static LISTENER: Attached<Listener> = Attached::new(Listener { function: Field::unset(), of_ours: Cell::new(false) });

/// `_tell_of_loops(function, of_ours)`: calls `function(loop)` for each from now on; None ends it.
fn tell_of_loops(_module: &Object, arguments: &[&Object]) -> Res<()> {
    let [function, of_ours] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"a function and a bool were expected"));
    };
    LISTENER.of_ours.set(call::is_true(of_ours)?);
    drop(LISTENER.function.replace((!function.is_none()).then(|| function.own())));
    Ok(())
}

/// The loop runs from now on.
#[inline]
pub(super) fn begins(event_loop: &Object) -> Res<()> {
    if LISTENER.function.is_set() { tell(event_loop) } else { Ok(()) }
}

#[cold]
fn tell(event_loop: &Object) -> Res<()> {
    if event_loop.is_none() || (!LISTENER.of_ours.get() && event_loop::TYPE.downcast(event_loop).is_some()) {
        return Ok(());
    }
    match LISTENER.function.get() {
        Some(function) => call::call1(&function, event_loop).map(drop),
        None => Ok(()),
    }
}

static TELL_OF_LOOPS: StaticMethod = StaticMethod::new(positional!(
    Object,
    c"_tell_of_loops",
    tell_of_loops,
    c"_tell_of_loops($module, function, of_ours, /)\n--\n\nCall function(loop) for each loop that begins to run."
));

/// Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    add_to_module(module, c"_tell_of_loops", &*TELL_OF_LOOPS.bind(module)?)
}
