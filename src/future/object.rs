//! The memory of a future: layout, states, initialisation, and the collector's view of it.

use std::cell::Cell;
use std::ffi::CStr;
use std::ops::ControlFlow;

use pyo3::ffi;

use crate::asyncio;
use crate::sched;
use crate::state::thread;
use crate::sys::error::{Builtin, guard_dealloc, raise, raise_format};
use crate::sys::field::ObjectOrStatic;
use crate::sys::freelist::{self, Freelist};
use crate::sys::gc::{Visited, Visitor, is_revived_by_finalizer, untrack};
use crate::sys::instance::{Instance, clear_weakrefs};
use crate::sys::trash;
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Flags, Layout, Object, Owned, Raised, Res, compat};
use crate::versions;

use super::waiter::WaiterJob;

/// What has become of a future.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub(crate) enum State {
    Pending = 0,
    Cancelled = 1,
    Finished = 2,
}

/// The struct is laid out as CPython 3.14's `FutureObj`, on every version, so that its debugger can read ours.
#[repr(C)]
pub(crate) struct FutureObject {
    head: Object,
    /// Set by initialisation; an object without a loop is not initialised.
    pub(super) event_loop: Field,
    /// The first callback, or the object that waits.
    pub(super) callback0: Field,
    /// The first callback's context, or what to do with the object that waits.
    pub(super) context0: ObjectOrStatic<WaiterJob>,
    /// A list of `(callback, context)` for the second callback and on.
    pub(super) callbacks: Field,
    pub(super) exception: Field,
    /// The traceback that the exception had when it was set; `result()` puts it back, once.
    pub(super) exception_traceback: Field,
    pub(super) result: Field,
    pub(super) source_traceback: Field,
    pub(super) cancel_message: Field,
    /// The exception that ended a cancelled task, for the first who asks.
    pub(super) cancelled_error: Field,
    /// The task that awaits this future, or a set of them (3.14 on).
    pub(super) awaited_by: Field,
    pub(super) state: Cell<State>,
    /// For CPython's debugger.
    is_task: Cell<bool>,
    pub(super) awaited_by_is_set: Cell<bool>,
    pub(super) flags: Flags,
    /// The bits that a task adds; here because the byte would be padding otherwise.
    pub(crate) task_flags: Flags,
    pub(super) instance: Instance,
}

// SAFETY: repr(C), begins with the head, all cells.
#[expect(unsafe_code, reason = "a layout")]
unsafe impl Layout for FutureObject {
    fn fits(object: &Object) -> bool {
        TYPE.is_instance(object)
    }
}

/// The future holds an exception that nobody has asked for.
pub(super) const LOG_TRACEBACK: u8 = 1;
/// Somebody is awaiting the future: set by its iterator, cleared by the task that understood.
pub(super) const BLOCKING: u8 = 2;

pub(crate) static TYPE: StaticType<FutureObject> = StaticType::new();
static FREELIST: Freelist = Freelist::new(freelist::FEW);

// Where CPython 3.14's `.AsyncioDebug` section says that things are.
const _: () = assert!(std::mem::offset_of!(FutureObject, awaited_by) == 96);
const _: () = assert!(FutureObject::IS_TASK_OFFSET == 108);
const _: () = assert!(std::mem::offset_of!(FutureObject, awaited_by_is_set) == 109);

impl FutureObject {
    /// The name in the type's spec.
    pub(crate) const NAME: &'static CStr = c"_asyncio.Future";
    pub(crate) const IS_TASK_OFFSET: usize = std::mem::offset_of!(FutureObject, is_task);
    /// Where the instance's attributes are, for the type's spec.
    pub(crate) const INSTANCE_OFFSET: usize = std::mem::offset_of!(FutureObject, instance);

    /// The loop, or `RuntimeError` if the future is not initialised.
    pub(crate) fn require_loop(&self) -> Res<Owned> {
        self.event_loop.get().ok_or_else(not_initialized)
    }

    pub(crate) fn event_loop(&self) -> Option<Owned> {
        self.event_loop.get()
    }

    #[inline]
    pub(crate) fn belongs_to(&self, event_loop: &Object) -> bool {
        self.event_loop.holds(event_loop)
    }

    #[inline]
    pub(crate) fn is_initialized(&self) -> bool {
        self.event_loop.is_set()
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.state.get() == State::Pending
    }

    /// From pending to another state; what the future is to hold then is in place.
    #[inline]
    pub(super) fn become_done(&self, state: State) {
        debug_assert!(self.is_pending() && self.is_initialized() && state != State::Pending);
        debug_assert!(!(self.result.is_set() && self.exception.is_set()));
        debug_assert_eq!(self.result.is_set() || self.exception.is_set(), state == State::Finished);
        self.state.set(state);
    }

    /// Is somebody awaiting the future whose task has not understood yet?
    #[inline]
    pub(crate) fn is_blocking(&self) -> bool {
        self.flags.has(BLOCKING)
    }

    /// Takes note that the task has understood.
    #[inline]
    pub(crate) fn stop_blocking(&self) {
        self.flags.put(BLOCKING, false);
    }

    pub(crate) fn forget_traceback_log(&self) {
        self.flags.put(LOG_TRACEBACK, false);
    }

    pub(crate) fn logs_traceback(&self) -> bool {
        self.flags.has(LOG_TRACEBACK)
    }

    pub(crate) fn mark_as_task(&self) {
        self.is_task.set(true);
    }

    pub(crate) fn cancel_message(&self) -> &Field {
        &self.cancel_message
    }

    pub(crate) fn source_traceback(&self) -> Option<Owned> {
        self.source_traceback.get()
    }

    /// Keeps the exception that a cancelled coroutine ended with, for the first who asks for it.
    pub(crate) fn keep_cancelled_error(&self, exception: Owned) {
        self.cancelled_error.set(exception);
    }
}

#[cold]
pub(super) fn not_initialized() -> Raised {
    raise(Builtin::RuntimeError.class(), c"Future object is not initialized.")
}

/// `Future.__init__`, also for the future in a task.
#[inline]
pub(crate) fn initialize(future: &FutureObject, event_loop: Option<&Object>) -> Res<()> {
    if future.is_initialized() {
        initialize_again(future)?;
    }
    // What can be set before the initialisation.
    future.cancel_message.clear();
    future.awaited_by_is_set.set(false);
    future.awaited_by.clear();
    asyncio::prepare();
    let event_loop = match event_loop {
        Some(event_loop) => event_loop.own(),
        None => thread::event_loop()?,
    };
    future.event_loop.set(event_loop.clone());
    if sched::debug_enabled(&event_loop)? && !compat::is_finalizing() {
        future.source_traceback.set(asyncio::extract_stack()?);
    }
    Ok(())
}

#[cold]
fn initialize_again(future: &FutureObject) -> Res<()> {
    if versions::INIT_ONCE {
        let text = c"%T object is already initialized";
        return Err(raise_format(Builtin::RuntimeError.class(), text, &[future.as_object()]));
    }
    clear_fields(future);
    future.state.set(State::Pending);
    future.flags.put(LOG_TRACEBACK | BLOCKING, false);
    Ok(())
}

/// A new, uninitialised future of the exact type.
#[inline]
pub(super) fn allocate() -> Res<Owned<FutureObject>> {
    FREELIST.allocate(&TYPE)
}

pub(crate) fn visit(future: &FutureObject, visitor: Visitor) -> Visited {
    visitor.class_of(&future.head)?;
    visitor.field(&future.event_loop)?;
    visitor.field(&future.callback0)?;
    visitor.address(future.context0.object_ptr())?;
    visitor.field(&future.callbacks)?;
    visitor.field(&future.exception)?;
    visitor.field(&future.exception_traceback)?;
    visitor.field(&future.result)?;
    visitor.field(&future.source_traceback)?;
    visitor.field(&future.cancel_message)?;
    visitor.field(&future.cancelled_error)?;
    visitor.field(&future.awaited_by)?;
    future.instance.visit(&future.head, visitor)?;
    ControlFlow::Continue(())
}

/// The loop goes first: whatever a finaliser does to the future, it then finds it uninitialised.
fn clear_fields(future: &FutureObject) {
    future.event_loop.clear();
    let context = future.context0.take();
    // What futures are chained by.
    for link in [&future.callback0, &future.callbacks, &future.result, &future.exception, &future.cancel_message] {
        trash::clear(link);
    }
    drop(context);
    future.exception_traceback.clear();
    future.source_traceback.clear();
    future.cancelled_error.clear();
    future.awaited_by_is_set.set(false);
    future.awaited_by.clear();
}

/// `tp_clear`: lets go of everything.
pub(crate) fn clear(future: &FutureObject) {
    clear_fields(future);
    future.instance.clear(&future.head);
}

/// Does the future's finaliser have anything to say?
#[inline]
fn needs_finalizer(future: &FutureObject) -> bool {
    future.logs_traceback() || !TYPE.is_exact(&future.head)
}

#[expect(unsafe_code, reason = "a slot")]
pub(super) unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    let body = move || {
        // SAFETY: CPython calls the slot with a dead instance of the type or of a subclass, once. The finaliser may
        // bring it back to life; then it is not ours to free.
        unsafe {
            let future = FutureObject::from_ptr(object);
            if needs_finalizer(future) && is_revived_by_finalizer(future) {
                return;
            }
            untrack(future);
            take_apart(future);
            FREELIST.free(object, &TYPE);
        }
    };
    // SAFETY: the deallocator's own object.
    unsafe { guard_dealloc("FutureObject::dealloc", object, body) }
}

/// The part of the deallocation that futures and tasks share; leaves the object as it was allocated.
pub(crate) fn take_apart(future: &FutureObject) {
    clear_weakrefs(future);
    clear(future);
    future.state.set(State::Pending);
    future.flags.put(u8::MAX, false);
    future.task_flags.put(u8::MAX, false);
}
