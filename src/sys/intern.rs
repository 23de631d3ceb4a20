//! Interned strings: attribute, keyword and method names that are looked up again and again.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;

use super::{Layout, Object, Owned, Res};

/// A name with its interned string object, which lives as long as the process.
pub(crate) struct Name {
    pub(crate) text: &'static CStr,
    object: AtomicPtr<ffi::PyObject>,
}

impl Name {
    const fn new(text: &'static CStr) -> Self {
        Name { text, object: AtomicPtr::new(ptr::null_mut()) }
    }

    #[inline]
    pub(crate) fn object(&self) -> &'static Object {
        // SAFETY: `init` ran before any slot or function of ours can be called; the string is never let go.
        unsafe { Object::from_ptr(self.object.load(Ordering::Relaxed)) }
    }

    /// Is the object the interned string? (An equal one may still be another.)
    #[inline]
    pub(crate) fn is(&self, object: &Object) -> bool {
        self.object().is(object)
    }

    /// The same text, in a string or an instance of a subclass?
    pub(crate) fn equals(&self, string: &Object) -> bool {
        // SAFETY: CPython's callers pass strings; comparing with an ASCII text runs no Python code.
        unsafe { ffi::PyUnicode_CompareWithASCIIString(string.as_ptr(), self.text.as_ptr()) == 0 }
    }

    fn init(&self) -> Res<()> {
        // SAFETY: a NUL-terminated text; the strong reference stays in the static.
        let object: Owned = unsafe { Owned::steal_or_raised(ffi::PyUnicode_InternFromString(self.text.as_ptr()))? };
        self.object.store(object.into_ptr(), Ordering::Relaxed);
        Ok(())
    }
}

macro_rules! names {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) static $name: Name = Name::new($text);)*

        /// Makes the strings; called once, by the module's initialisation.
        pub(crate) fn init() -> Res<()> {
            $($name.init()?;)*
            Ok(())
        }
    };
}

names! {
    EMPTY = c"";
    ARGS = c"_args";
    CALLBACK = c"_callback";
    CANCELLED_FLAG = c"_cancelled";
    LOCK = c"_lock";
    PRIVATE_CONTEXT = c"_context";
    PRIVATE_REPR = c"_repr";
    RUN = c"run";
    SCHEDULED_FLAG = c"_scheduled";
    THREAD_SAFE_HANDLE_CLASS = c"_ThreadSafeHandle";
    TIMER_HANDLE_CANCELLED = c"_timer_handle_cancelled";
    TIMER_HANDLE_CLASS = c"TimerHandle";
    WHEN = c"_when";
    ADD = c"add";
    ADD_CALLBACK = c"_add_callback";
    ADD_READER = c"_add_reader";
    ADD_WRITER = c"_add_writer";
    REMOVE_READER = c"_remove_reader";
    REMOVE_WRITER = c"_remove_writer";
    BASE_EVENT_LOOP = c"BaseEventLoop";
    CALLBACK_KEYWORD = c"callback";
    CALL_AT = c"call_at";
    CALL_LATER = c"call_later";
    CALL_SOON_THREADSAFE = c"call_soon_threadsafe";
    CHECK_CALLBACK = c"_check_callback";
    CHECK_THREAD = c"_check_thread";
    CREATE_TASK = c"create_task";
    DELAY = c"delay";
    FD = c"fd";
    FUTURE_CLASS = c"Future";
    PRIVATE_RUN = c"_run";
    RUN_IN_DEBUG_MODE = c"_run_in_debug_mode";
    RUN_ONCE = c"_run_once";
    SELECT = c"_select";
    TASK_CLASS = c"Task";
    TIME = c"time";
    WHEN_KEYWORD = c"when";
    WRITE_TO_SELF = c"_write_to_self";
    APPEND = c"append";
    ADD_DONE_CALLBACK = c"add_done_callback";
    ASYNCIO_FUTURE_BLOCKING = c"_asyncio_future_blocking";
    CALL_EXCEPTION_HANDLER = c"call_exception_handler";
    CALL_SOON = c"call_soon";
    PRIVATE_CALL_SOON = c"_call_soon";
    CANCEL = c"cancel";
    CANCELLED = c"CANCELLED";
    CHECK_CLOSED = c"_check_closed";
    CLOSED = c"_closed";
    CONTEXT = c"context";
    CO_QUALNAME = c"co_qualname";
    CORO = c"coro";
    DEBUG = c"_debug";
    DEBUG_KEYWORD = c"debug";
    DISCARD = c"discard";
    DONE = c"done";
    EAGER_START = c"eager_start";
    EXCEPTION = c"exception";
    FILE = c"file";
    FINISHED = c"FINISHED";
    FUTURE = c"future";
    GET_DEBUG = c"get_debug";
    GET_EVENT_LOOP = c"get_event_loop";
    GET_LOOP = c"get_loop";
    HANDLE = c"handle";
    HANDLE_CLASS = c"Handle";
    HANDLE_INIT = c"__init__";
    IS_RUNNING = c"is_running";
    LIMIT = c"limit";
    LOOP = c"loop";
    PRIVATE_LOOP = c"_loop";
    MESSAGE = c"message";
    MSG = c"msg";
    NAME = c"name";
    PENDING = c"PENDING";
    READY = c"_ready";
    RESULT = c"result";
    SOURCE_TRACEBACK = c"source_traceback";
    PRIVATE_SOURCE_TRACEBACK = c"_source_traceback";
    STACKLEVEL = c"stacklevel";
    TASK = c"task";
    THREAD_ID = c"_thread_id";
    THREAD_STATE = c"__rasyncio_thread_state__";
    THROW = c"throw";
    VALUE = c"value";
}
