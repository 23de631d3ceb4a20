//! An `SSLProtocol` and its attributes; and may native code do what asyncio's own would do for it, now?
//!
//! The attributes are in the instance's dict, which the interpreter has made, for they are more than it keeps beside an
//! object. Each is what asyncio would set there, a `bool`, an `int`, or it is not known here.

use std::ffi::CStr;

use crate::names::{
    BUFFER_UPDATED, CONTROL_APP_WRITING, CONTROL_SSL_READING, DO_FLUSH, DO_HANDSHAKE, DO_READ, DO_READ_BUFFERED,
    DO_READ_COPIED, DO_SHUTDOWN, DO_WRITE, FATAL_ERROR, GET_BUFFER, GET_READ_BUFFER_SIZE,
    GET_WRITE_BUFFER_SIZE_PRIVATE, INCOMING, MAX_SIZE, Name, ON_HANDSHAKE_COMPLETE, OUTGOING, PAUSE_READING_PRIVATE,
    PRIVATE_APP_TRANSPORT, PROCESS_OUTGOING, RESUME_READING_PRIVATE, SET_STATE, SSLOBJ, START_SHUTDOWN, STATE,
    WRITE_APPDATA, WRITE_BACKLOG, WRITE_BUFFER_SIZE,
};
use crate::replaced::tls_as_made;
use crate::sys::error::{Builtin, fetch, handling, matches, restore};
use crate::sys::instance_values::Values;
use crate::sys::object::boolean;
use crate::sys::{Field, Layout, Object, Owned, Raised, Res, call, containers, deque, dict_entries, typeobj};

use super::known::{KNOWN, is_ssl_protocol};
use super::object::TlsObject;

/// The methods that Rust code does itself instead of calling them, and the attributes that it does not look up.
static PASSED_OVER: [&Name; 20] = [
    &BUFFER_UPDATED,
    &CONTROL_APP_WRITING,
    &CONTROL_SSL_READING,
    &DO_FLUSH,
    &DO_HANDSHAKE,
    &DO_READ,
    &DO_READ_BUFFERED,
    &DO_READ_COPIED,
    &DO_SHUTDOWN,
    &DO_WRITE,
    &GET_BUFFER,
    &GET_READ_BUFFER_SIZE,
    &GET_WRITE_BUFFER_SIZE_PRIVATE,
    &MAX_SIZE,
    &ON_HANDSHAKE_COMPLETE,
    &PAUSE_READING_PRIVATE,
    &PROCESS_OUTGOING,
    &RESUME_READING_PRIVATE,
    &SET_STATE,
    &START_SHUTDOWN,
];

/// A transport with its `SSLProtocol`, which are as asyncio would have made them.
pub(in crate::net) struct Native<'a> {
    pub(super) transport: &'a TlsObject,
    pub(super) protocol: Owned,
    attributes: Owned,
}

/// The transport's protocol, if native code may do what asyncio's Python code would do: nothing of it was replaced.
#[inline]
pub(in crate::net) fn native(transport: &TlsObject) -> Option<Native<'_>> {
    if !transport.socket.is_set() || !tls_as_made() {
        return None;
    }
    let protocol = transport.ssl_protocol.get().filter(|protocol| is_ssl_protocol(protocol))?;
    let attributes = typeobj::existing_dict(&protocol)?;
    let native = Native { transport, protocol, attributes };
    (native.hides_nothing() && native.has_the_same_session()).then_some(native)
}

impl Native<'_> {
    /// Whoever has hidden a method has added an attribute.
    #[inline]
    fn hides_nothing(&self) -> bool {
        let count = containers::dict_len(&self.attributes);
        self.transport.checked.get() == count + 1 || self.hides_none_of(count)
    }

    #[cold]
    fn hides_none_of(&self, count: usize) -> bool {
        let hidden = [&WRITE_APPDATA].into_iter().chain(PASSED_OVER.iter().copied());
        let hides_none = hidden.into_iter().all(|name| containers::dict_peek(&self.attributes, name).is_null());
        self.transport.checked.set(if hides_none { count + 1 } else { 0 });
        hides_none
    }

    /// Is the `SSLObject` the same, with nothing put into it, and are the BIOs?
    #[inline]
    fn has_the_same_session(&self) -> bool {
        let (transport, look) = (self.transport, self.look());
        let has = |name, field: &Field| look.is(name, field);
        has(&INCOMING, &transport.incoming)
            && has(&OUTGOING, &transport.outgoing)
            && has(&SSLOBJ, &transport.ssl_object)
            && transport.ssl_object.get().is_some_and(|object| has_only(&object, &transport.socket))
    }

    /// The attributes, to be looked at before any Python code runs.
    #[inline]
    pub(super) fn look(&self) -> Look<'_> {
        Look(dict_entries::Look::at(&self.attributes))
    }

    /// The attribute.
    pub(super) fn get(&self, name: &Name) -> Option<Owned> {
        self.look().0.get(name)
    }

    pub(super) fn set(&self, name: &Name, value: &Object) -> Res<()> {
        containers::dict_set(&self.attributes, name.object(), value)
    }

    /// The attribute as a `bool`, if it is one.
    #[inline]
    pub(super) fn flag(&self, name: &Name) -> Option<bool> {
        self.look().flag(name)
    }

    /// The attribute as a number that is not negative, if it is one.
    #[inline]
    pub(super) fn size(&self, name: &Name) -> Option<usize> {
        self.look().size(name)
    }

    /// Is that what the attribute is?
    #[inline]
    pub(super) fn is(&self, name: &Name, value: &Field) -> bool {
        self.look().is(name, value)
    }

    /// Does data go both ways?
    #[inline]
    pub(super) fn is_wrapped(&self) -> bool {
        self.is(&STATE, &KNOWN.wrapped)
    }

    /// Is its transport the one that the program got?
    pub(super) fn has_its_transport(&self) -> bool {
        let transport = self.look().0.peek(&PRIVATE_APP_TRANSPORT);
        std::ptr::eq(transport, self.transport.as_object().as_ptr())
    }

    /// How many bytes wait to be encrypted, if that is known; 0 if nothing does.
    #[inline]
    pub(super) fn backlog_size(&self) -> Option<usize> {
        let look = self.look();
        let backlog = look.0.get(&WRITE_BACKLOG).and_then(deque::downcast)?;
        let size = look.size(&WRITE_BUFFER_SIZE)?;
        ((deque::len(&backlog) == 0) == (size == 0)).then_some(size)
    }

    /// A method of the protocol's, without arguments.
    pub(super) fn call(&self, method: &Name) -> Res<()> {
        call::call_method(method, &[&*self.protocol], None).map(drop)
    }

    /// What asyncio's methods do about an error: `_fatal_error(exception, message)`, of what derives from `Exception`.
    #[cold]
    pub(super) fn fail(&self, raised: Raised) -> Res<()> {
        const MESSAGE: &CStr = c"Fatal error on SSL protocol";
        let exception = fetch(raised);
        if !matches(&exception, Builtin::Exception.class()) {
            return Err(restore(exception));
        }
        handling(&exception, || {
            let message = containers::string(MESSAGE)?;
            call::call_method(&FATAL_ERROR, &[&*self.protocol, &*exception, &*message], None).map(drop)
        })
    }
}

/// The attributes, to be looked at before any Python code runs.
#[derive(Clone, Copy)]
pub(super) struct Look<'a>(dict_entries::Look<'a>);

impl Look<'_> {
    /// As `Native::flag`.
    #[inline]
    pub(super) fn flag(self, name: &Name) -> Option<bool> {
        let value = self.0.peek(name);
        let is = |truth| std::ptr::eq(value, boolean(truth).as_ptr());
        if is(false) { Some(false) } else { is(true).then_some(true) }
    }

    /// As `Native::size`.
    #[inline]
    pub(super) fn size(self, name: &Name) -> Option<usize> {
        self.0.int(name).and_then(|value| usize::try_from(value).ok())
    }

    /// As `Native::is`.
    #[inline]
    pub(super) fn is(self, name: &Name, value: &Field) -> bool {
        value.is_at(self.0.peek(name))
    }
}

/// Is that all that the `SSLObject` has as attributes?
#[inline]
fn has_only(ssl_object: &Object, socket: &Field) -> bool {
    match Values::of(ssl_object) {
        Some(values) if values.count() == 1 => socket.is_at(values.peek(0)),
        // Some instance has had more; has this one?
        Some(values) => {
            let present = (0..values.count()).filter(|&place| !values.peek(place).is_null()).count();
            present == 1 && socket.is_at(values.peek(values.place(&SSLOBJ)))
        }
        None => look_for_only(ssl_object, socket),
    }
}

#[cold]
fn look_for_only(ssl_object: &Object, socket: &Field) -> bool {
    let Some(dict) = typeobj::instance_dict(ssl_object) else { return false };
    containers::dict_len(&dict) == 1 && socket.is_at(containers::dict_peek(&dict, &SSLOBJ))
}
