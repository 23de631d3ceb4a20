//! The timeout of a `wait_for`, which has entered it: a `Timeout` once somebody looks for it.
//!
//! Nobody has a reference to it but the coroutine, and the loop's timer, whose callback is a method of it. As long as
//! nobody looks at that, the time is not over, and native code may leave the timeout, what it would know is here. Else
//! it is made, as asyncio would have left it after entering, and all goes on with it.

use std::cell::Cell;

use crate::graft::running::Running;
use crate::handle::{self, HandleObject};
use crate::job::{Entry, Job};
use crate::replaced;
use crate::sys::error::{Builtin, raise};
use crate::sys::freelist::FEW;
use crate::sys::life::{Life, object};
use crate::sys::object::none;
use crate::sys::part::Kept;
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Owned, Res, call, clock, containers, context, types};

use super::enter::current_task;
use super::{CANCELLING, Found, HANDLER, NAMES, SHAPE, STATE, TASK, WHEN};

object! {
    pub(crate) struct Hidden: TYPE {
        head: Object,
        /// The timeout, once it was made; the other fields are empty then.
        made: Field,
        task: Field,
        /// The state of one that was entered, as the module had it then.
        state: Field,
        /// Not set if there is no time.
        timer: Field<HandleObject>,
        cancelling: Cell<i32>,
        when: Kept<f64>,
    }
}

impl Life for Hidden {}

static TYPE: StaticType<Hidden> = StaticType::keeping(FEW);

/// The time is over: `timeout._on_timeout()`. The target is the timeout, the argument the function.
static TIME_IS_OVER: Job = Job {
    run: |hidden, function| match (downcast(hidden), function) {
        (Some(hidden), Some(function)) => call::call1(function, &*hidden.timeout()?).map(drop),
        _ => Ok(()), // the collector has taken the handle apart
    },
    callback: |hidden, function| match (downcast(hidden), function) {
        (Some(hidden), Some(function)) => Ok((types::bind(function, &*hidden.timeout()?)?, None)),
        _ => Ok((hidden.own(), None)),
    },
    stop: None,
    takes_several: false,
    needs_context: true,
};

/// The object as one, if it is.
#[inline]
pub(crate) fn downcast(object: &Object) -> Option<&Hidden> {
    TYPE.downcast_exact(object)
}

/// A time from which on it is not worth asking whether it has come since it was computed, in seconds.
const SOON: f64 = 0.01;

/// `timeout(seconds)`, entered; `None`, and nothing is done, if it is not as simple as that. To be asked after the grafts
/// were found to be on.
pub(crate) fn enter(running: &Running, seconds: &Object) -> Res<Option<Owned<Hidden>>> {
    let Some((found, class)) = Found::get().zip(SHAPE.class()) else { return Ok(None) };
    let (Some(state), Some(function)) = (found.entered.get(), found.on_timeout.get()) else { return Ok(None) };
    let when = match containers::float_or_none(seconds) {
        None => None,
        Some(seconds) => {
            let when = clock::monotonic() + seconds;
            if !(seconds > SOON || when > clock::monotonic()) {
                return Ok(None);
            }
            Some(when)
        }
    };
    if !types::has_new_of_object(class) || (when.is_none() && !seconds.is_none()) {
        return Ok(None);
    }
    let Some((task, cancelling)) = current_task(running)? else { return Ok(None) };
    let hidden = TYPE.allocate()?;
    hidden.task.fill(task);
    hidden.state.fill(state);
    hidden.cancelling.set(cancelling);
    if let Some(when) = when {
        let target = hidden.as_object().own();
        let entry = Entry { job: &TIME_IS_OVER, target, argument: Some(function), context: context::copy_current()? };
        hidden.when.set(when);
        hidden.timer.fill(running.call_at(when, None, entry)?);
    }
    Ok(Some(hidden))
}

impl Hidden {
    /// The timeout.
    #[cold]
    pub(crate) fn timeout(&self) -> Res<Owned> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let (state, task, timer) = (self.state.get_or_none(), self.task.get_or_none(), self.timer.get());
        let when = match &timer {
            #[allow(clippy::float_cmp)] // the very value
            Some(timer) if timer.when() == self.when.get() => timer.when_object()?,
            Some(_) => containers::float(self.when.get())?,
            None => none().own(),
        };
        let timer = timer.map_or_else(|| none().own(), Owned::into_object);
        let cancelling = containers::int(i64::from(self.cancelling.get()))?;
        let class =
            SHAPE.class().ok_or_else(|| raise(Builtin::SystemError.class(), c"a class that is none any more"))?;
        let made = types::plain_instance(class)?;
        let values: [(usize, &Object); 5] =
            [(STATE, &state), (HANDLER, &timer), (TASK, &task), (WHEN, &when), (CANCELLING, &cancelling)];
        match SHAPE.of(&made) {
            Some(attributes) => attributes.set_each(&values)?,
            None => values.iter().try_for_each(|&(index, value)| call::setattr(&made, NAMES[index], value))?,
        }
        if let Some(made) = self.made.get() {
            return Ok(made); // attributes have been set by Python code
        }
        self.made.set(made.clone());
        self.state.clear();
        self.task.clear();
        self.timer.clear();
        Ok(made)
    }

    /// `__aexit__(...)`, where that is known; false, and nothing is done, if it is not as simple as that.
    pub(crate) fn leave(&self) -> Res<bool> {
        if let Some(made) = self.made.get() {
            return super::leave(&made);
        }
        if Running::find().is_none() {
            return Ok(false);
        }
        let Some(timer) = self.timer.get() else { return Ok(true) };
        if !replaced::all_as_made() {
            return Ok(false);
        }
        handle::cancel(&timer)?;
        // What the timer was to do is let go of, which may run Python code that looks for the timeout. If it has, the body
        // begins anew, and cancels once more what is cancelled.
        if self.made.is_set() {
            return Ok(false);
        }
        self.timer.clear();
        Ok(true)
    }
}

/// Makes the type. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(&TYPE, c"rasyncio.HiddenTimeout", c"A timeout of wait_for that nobody has looked for.")
        .life()
        .flags(pyo3::ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION)
        .build(module, None)
}
