//! `asyncio.timeout`, `timeout_at`, and `async with` of what they return.
//!
//! Native code makes a `Timeout`, sets its timer on entering, and takes it back on leaving. When the time is over, the
//! timer calls the `_on_timeout` that the class had on entering, in Python; and what has expired is left in Python, for
//! releases differ in which exceptions become `TimeoutError`.
//!
//! A timeout is an instance of asyncio's class, its attributes are changed as Python code would, and may be changed by
//! anybody whenever Python code runs: they are got again after that. (That of a `wait_for` is made late: [`hidden`].)

mod enter;
pub(crate) mod hidden;
mod leave;

use std::cell::Cell;

use crate::graft::Graft;
use crate::graft::running::Running;
use crate::graft::shape::{Attributes, Shape};
use crate::names::{
    CANCELLING_BEFORE, DELAY, Name, ON_TIMEOUT, RESCHEDULE, STATE as STATE_NAME, STATE_CREATED, STATE_ENTERED,
    STATE_EXITED, TIMEOUT_HANDLER, TIMEOUT_STATES, TIMEOUT_TASK, WHEN as WHEN_NAME, WHEN_KEYWORD,
};
use crate::sys::attached::Attached;
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Field, Object, Owned, Res, call, clock, containers, types, watch};

pub(crate) use enter::ENTER;
pub(crate) use leave::EXIT;

use leave::leave;

const MODULE: &str = "asyncio.timeouts";

pub(crate) static TIMEOUT: Graft = Graft::new(MODULE, "timeout", vectorcall!(timeout));
pub(crate) static TIMEOUT_AT: Graft = Graft::new(MODULE, "timeout_at", vectorcall!(timeout_at));

static SHAPE: Shape<5> = Shape::new(MODULE, "Timeout", NAMES, &[&RESCHEDULE, &ON_TIMEOUT]);
const NAMES: [&Name; 5] = [&STATE_NAME, &TIMEOUT_HANDLER, &TIMEOUT_TASK, &WHEN_NAME, &CANCELLING_BEFORE];
const STATE: usize = 0;
const HANDLER: usize = 1;
const TASK: usize = 2;
const WHEN: usize = 3;
const CANCELLING: usize = 4;

/// A plain timeout's attributes.
type Timeout<'a> = Attributes<'a, 5>;

static GLOBALS: Lazy = Lazy::new(MODULE, "__dict__");

/// What the module and the class have, as long as nothing changes.
struct Found {
    changes: Cell<usize>,
    created: Field,
    entered: Field,
    exited: Field,
    on_timeout: Field,
}

static FOUND: Attached<Found> = Attached::new(Found {
    changes: Cell::new(usize::MAX),
    created: Field::unset(),
    entered: Field::unset(),
    exited: Field::unset(),
    on_timeout: Field::unset(),
});

impl Found {
    /// To be asked after a graft was found to be on.
    #[inline]
    fn get() -> Option<&'static Found> {
        if FOUND.changes.get() != watch::changes() {
            FOUND.find()?;
        }
        Some(&FOUND)
    }

    #[cold]
    fn find(&self) -> Option<()> {
        let changes = watch::changes();
        let states = containers::dict_get_named(GLOBALS.find()?, &TIMEOUT_STATES)?;
        let class = states.as_type()?;
        self.created.set(class.find(&STATE_CREATED)?);
        self.entered.set(class.find(&STATE_ENTERED)?);
        self.exited.set(class.find(&STATE_EXITED)?);
        self.on_timeout.set(SHAPE.class()?.find(&ON_TIMEOUT)?);
        self.changes.set(changes);
        Some(())
    }
}

fn timeout(call: &Call<'_>) -> Option<Res<Owned>> {
    let delay = only_argument(call, &DELAY)?;
    if !TIMEOUT.takes(call) {
        return None;
    }
    Running::find()?;
    after(delay)
}

fn timeout_at(call: &Call<'_>) -> Option<Res<Owned>> {
    let when = only_argument(call, &WHEN_KEYWORD)?;
    if !TIMEOUT_AT.takes(call) {
        return None;
    }
    make(when)
}

fn only_argument<'a>(call: &Call<'a>, name: &Name) -> Option<&'a Object> {
    if let Some([only]) = call.positional() {
        return Some(only);
    }
    let mut keywords = call.arguments.keywords();
    let (keyword, value) = keywords.next().filter(|_| call.arguments.positional.is_empty())?;
    (name.is(keyword) && keywords.next().is_none()).then_some(value)
}

/// `timeout(delay)` in a plain loop, whose clock is the monotonic one; `None`, and nothing is done, if it is not as simple as that.
fn after(delay: &Object) -> Option<Res<Owned>> {
    if delay.is_none() {
        return make(none());
    }
    if !containers::is_exact_float(delay) && !containers::is_exact_int(delay) {
        return None;
    }
    match containers::float(clock::monotonic() + containers::float_or_none(delay)?) {
        Ok(when) => make(&when),
        Err(raised) => Some(Err(raised)),
    }
}

/// `Timeout(when)`, where `__init__` is known.
fn make(when: &Object) -> Option<Res<Owned>> {
    let found = Found::get()?;
    let created = found.created.get()?;
    let made = match types::new_instance(SHAPE.class()?)? {
        Ok(made) => made,
        Err(raised) => return Some(Err(raised)),
    };
    let values: [(usize, &Object); 4] = [(STATE, &created), (HANDLER, none()), (TASK, none()), (WHEN, when)];
    let set = match SHAPE.of(&made) {
        Some(attributes) => attributes.set_each(&values),
        None => values.iter().try_for_each(|&(index, value)| call::setattr(&made, NAMES[index], value)),
    };
    Some(set.map(|()| made))
}
