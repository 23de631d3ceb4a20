//! Future: a result that is not there yet, and the callbacks to run when it is.
//!
//! The contract of the module:
//!
//! * [`object`] has the struct. Its fields are changed by the files of this module only; a task, which begins with a
//!   future, goes through the functions exported here.
//! * A future is *initialised* when it has a loop, *pending* until [`result`] moves it to *finished* or *cancelled*;
//!   it never goes back (but for a repeated `__init__` up to 3.14).
//! * [`callbacks`] are scheduled once, at that move, each through the loop; ownership is moved out of the object
//!   before Python code can run, so that nothing a callback does to the future can reach them.
//! * A future knows nothing of tasks: what awaits it natively is an opaque [`Waiter`].

mod awaited_by;
mod callbacks;
mod finalize;
mod iter;
mod later;
mod methods;
mod object;
mod result;
mod shortcuts;
mod waiter;

use crate::sys::{Object, Res};

pub(crate) use awaited_by::{AwaitedBy, add_to_awaited_by, discard_from_awaited_by, link};
pub(crate) use callbacks::add_waiter;
#[cfg(Py_3_12)]
pub(crate) use callbacks::remove_waiter;
pub(crate) use finalize::{finalize, report_to_loop};
#[cfg(Py_3_12)]
pub(crate) use iter::new as iterate;
pub(crate) use iter::{step as advance, thrown};
pub(crate) use methods::{inherited_getsets, iterator_slot, shared_methods};
pub(crate) use object::{FutureObject, TYPE, initialize, initialize_new};
#[cfg(Py_3_12)]
pub(crate) use result::exception;
pub(crate) use result::{Outcome, cancel, make_cancelled_error, outcome, set_exception, set_result};
#[cfg(Py_3_12)]
pub(crate) use shortcuts::make;
pub(crate) use waiter::{Waiter, WaiterJob};

/// Makes the types. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    methods::init(module)?;
    later::init(module)?;
    shortcuts::init();
    iter::init(module)
}
