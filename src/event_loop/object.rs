//! The memory of a loop: layout, what it refers to, its end.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::ptr;

use pyo3::ffi;

use crate::sys::clock::Moment;
use crate::sys::error::{guard, guard_dealloc};
use crate::sys::gc::{Visited, Visitor, untrack};
use crate::sys::object::none;
use crate::sys::typeobj::{self, StaticType};
use crate::sys::{Field, Layout, Object, Raised, Res};

use super::idle::Idle;
use super::ready::{Ready, ReadyQueue};
use super::timers::TimerHeap;
use super::watchers::Watchers;
use crate::asyncio::loop_is_closed;
use crate::handle::HandleObject;

/// The native half of an event loop; the Python class's attributes are behind it.
#[repr(C)]
pub(crate) struct LoopObject {
    head: Object,
    pub(super) ready: ReadyQueue,
    pub(super) timers: TimerHeap,
    pub(super) watchers: Watchers,
    /// When the poller was asked last; not set at the beginning of a run.
    pub(super) last_poll: Cell<Option<Moment>>,
    /// When memory that is of no use was freed last.
    pub(super) last_tidy: Cell<Option<Moment>>,
    pub(super) idle: Idle,
    pub(super) closed: Cell<bool>,
    pub(super) stopping: Cell<bool>,
    /// Is `debug` true?
    pub(super) debug_is_on: Cell<bool>,
    /// An attribute of the instance may hide one of the methods that we would not call.
    pub(super) shadowed: Cell<bool>,
    /// Seconds.
    pub(super) clock_resolution: Cell<f64>,
    /// What `get_debug()` returns.
    pub(super) debug: Field,
    /// A number while the loop runs, else `None`.
    pub(super) thread_id: Field,
    /// The handle that runs, in debug mode.
    pub(super) current_handle: Field,
    pub(super) task_factory: Field,
}

// SAFETY: repr(C), begins with the head, all cells.
#[expect(unsafe_code, reason = "a layout")]
unsafe impl Layout for LoopObject {
    fn fits(object: &Object) -> bool {
        TYPE.is_instance(object)
    }
}

pub(crate) static TYPE: StaticType<LoopObject> = StaticType::new();

impl LoopObject {
    /// Queues an entry.
    #[inline]
    pub(crate) fn push(&self, entry: crate::job::Entry) -> Res<()> {
        self.ready.push(Ready::Entry(entry))
    }

    /// Does `call_soon` do nothing but queue?
    #[inline]
    pub(crate) fn just_queues(&self) -> bool {
        !self.closed.get() && !self.debug_is_on.get()
    }

    pub(crate) fn debug_is_on(&self) -> bool {
        self.debug_is_on.get()
    }

    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        !self.thread_id.holds(none())
    }

    /// `_timer_handle_cancelled(handle)`
    #[inline]
    pub(crate) fn timer_cancelled(&self, handle: &HandleObject) {
        if handle.is_scheduled() {
            self.timers.cancelled.set(self.timers.cancelled.get() + 1);
        }
    }
}

#[expect(unsafe_code, reason = "a slot")]
pub(super) unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard("LoopObject::new", ptr::null_mut(), || {
        // SAFETY: a subclass of our type, or the type itself: its instances have the layout. The memory is zeroed, and
        // nothing has run since it was allocated.
        unsafe {
            match typeobj::allocate_zeroed::<LoopObject>(class) {
                Ok(made) => {
                    let place = made.as_ptr().cast::<LoopObject>();
                    (&raw mut (*place).ready).write(ReadyQueue::new());
                    (&raw mut (*place).timers).write(TimerHeap::new());
                    (&raw mut (*place).watchers).write(Watchers::new());
                    (&raw mut (*place).idle).write(Idle::new());
                    (&raw mut (*place).last_poll).write(Cell::new(None));
                    (&raw mut (*place).last_tidy).write(Cell::new(None));
                    made.debug.set(crate::sys::object::boolean(false).own());
                    made.thread_id.set(none().own());
                    made.current_handle.set(none().own());
                    made.task_factory.set(none().own());
                    made.into_ptr()
                }
                Err(Raised) => ptr::null_mut(),
            }
        }
    })
}

pub(super) fn visit(core: &LoopObject, visitor: Visitor) -> Visited {
    visitor.class_of(&core.head)?;
    core.ready.visit(visitor)?;
    core.timers.visit(visitor)?;
    core.watchers.visit(visitor)?;
    visitor.field(&core.debug)?;
    visitor.field(&core.thread_id)?;
    visitor.field(&core.current_handle)?;
    visitor.field(&core.task_factory)?;
    ControlFlow::Continue(())
}

pub(super) fn clear(core: &LoopObject) {
    core.ready.clear();
    core.timers.clear();
    core.watchers.close();
    core.debug.clear();
    core.thread_id.set(none().own());
    core.current_handle.set(none().own());
    core.task_factory.set(none().own());
}

#[expect(unsafe_code, reason = "a slot")]
pub(super) unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    let body = move || {
        // SAFETY: CPython calls the slot with a dead instance of the type or of a subclass, once (a subclass's own
        // deallocator has run its finaliser and cleared its attributes before). The fields behind the head were
        // written by `new`; clearing has emptied them, so that dropping them runs no Python code.
        unsafe {
            let core = LoopObject::from_ptr(object);
            untrack(core);
            clear(core);
            let place = object.cast::<LoopObject>();
            ptr::drop_in_place(&raw mut (*place).ready);
            ptr::drop_in_place(&raw mut (*place).timers);
            ptr::drop_in_place(&raw mut (*place).watchers);
            for field in [&core.thread_id, &core.current_handle, &core.task_factory] {
                field.clear();
            }
            typeobj::free(object);
        }
    };
    // SAFETY: the deallocator's own object.
    unsafe { guard_dealloc("LoopObject::dealloc", object, body) }
}

/// The loop, which must not be closed.
pub(super) fn check_closed(core: &LoopObject) -> Res<()> {
    if core.closed.get() { Err(loop_is_closed()) } else { Ok(()) }
}
