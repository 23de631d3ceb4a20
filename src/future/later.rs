//! A waiter that is not a future's first callback: an item of its list of further ones, among pairs of callable and
//! context. A callable is made of it, as of a first one, only for who looks.

use pyo3::ffi;

use std::cell::Cell;

use crate::sys::freelist::FEW;
use crate::sys::life::{Life, object};
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Object, Owned, Res};

use super::waiter::{Waiter, WaiterJob};

object! {
    /// Its fields are set when it is made, and unset by the collector.
    struct LaterWaiter: TYPE {
        head: Object,
        target: Field,
        kind: Cell<Option<&'static WaiterJob>>,
    }
}

impl Life for LaterWaiter {}

static TYPE: StaticType<LaterWaiter> = StaticType::keeping(FEW);

/// The item.
pub(super) fn new(waiter: Waiter) -> Res<Owned> {
    let later = TYPE.allocate()?;
    later.target.set(waiter.target);
    later.kind.set(Some(waiter.kind));
    Ok(later.into_object())
}

/// Is it such an item?
pub(super) fn is_one(item: &Object) -> bool {
    TYPE.is_exact(item)
}

/// The item's waiter, if it is such an item and not taken apart.
#[inline]
pub(super) fn waiter(item: &Object) -> Option<Waiter> {
    let later = TYPE.downcast_exact(item)?;
    Some(Waiter { target: later.target.get()?, kind: later.kind.get()? })
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(&TYPE, c"_asyncio._LaterWaiter", c"Somebody who awaits a future, after others.")
        .life()
        .flags(ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION)
        .build(module, None)
}
