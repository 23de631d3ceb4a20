//! An end of a pipe: the Python object, and the file whose descriptor it is.
//!
//! What a program gives may be a text file around a buffered one around the file, as `sys.stdin` is. The transport keeps
//! the file itself besides, for as long as it keeps the object.

use std::ffi::c_int;

use crate::names::{BUFFER, RAW};
use crate::sys::error::fetch;
use crate::sys::lazy::Lazy;
use crate::sys::slots::not_deleted;
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers, pipes};

use super::super::base::{BaseObject, Transport};

static TEXT: Lazy = Lazy::new("_io", "TextIOWrapper");
static BUFFERED: [Lazy; 3] =
    [Lazy::new("_io", "BufferedReader"), Lazy::new("_io", "BufferedWriter"), Lazy::new("_io", "BufferedRandom")];

fn is_exactly(object: &Object, class: &Lazy) -> bool {
    class.find().is_some_and(|class| object.class().is(class))
}

/// The file or socket that has the descriptor, if that is known.
pub(super) fn owner_of(pipe: &Object) -> Option<Owned> {
    let mut owner = pipe.own();
    if is_exactly(&owner, &TEXT) {
        owner = inner(&owner, &BUFFER)?;
    }
    if BUFFERED.iter().any(|class| is_exactly(&owner, class)) {
        owner = inner(&owner, &RAW)?;
    }
    pipes::descriptor(&owner).is_some().then_some(owner)
}

fn inner(object: &Object, name: &crate::names::Name) -> Option<Owned> {
    call::getattr(object, name).map_err(|raised| drop(fetch(raised))).ok()
}

/// A transport of an end.
pub(super) trait End: Transport {
    /// `_pipe`, and the file in it.
    fn pipe(&self) -> &Field;
    fn owner(&self) -> &Field;

    /// The descriptor, if the file still has it.
    #[inline]
    fn open_descriptor(&self) -> Option<c_int> {
        let owner = self.owner().get()?;
        pipes::descriptor(&owner).filter(|&fd| fd >= 0 && fd == self.fd.get())
    }
}

/// `transport._pipe = value`
pub(super) fn set_pipe<T: End>(transport: &T, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(transport.as_object(), c"_pipe", value)?;
    let owner = if value.is_none() { None } else { owner_of(value) };
    let before = (transport.owner().replace(owner), transport.pipe().replace((!value.is_none()).then(|| value.own())));
    drop(before);
    Ok(())
}

/// `transport._fileno`, a number or None.
pub(super) fn get_fileno(base: &BaseObject) -> Res<Owned> {
    match base.fd.get() {
        -1 => Ok(crate::sys::object::none().own()),
        fd => containers::int(i64::from(fd)),
    }
}

pub(super) fn set_fileno(transport: &Object, base: &BaseObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(transport, c"_fileno", value)?;
    let fd = if value.is_none() { -1 } else { i32::try_from(containers::int_clamped(value)?).unwrap_or(i32::MAX) };
    base.fd.set(fd);
    Ok(())
}

/// `set_protocol(protocol)`
pub(super) fn set_protocol<T: End>(transport: &T, protocol: &Object) {
    transport.protocol.set(protocol.own());
}

/// What both kinds have as attributes, for the table of a kind.
macro_rules! end_attributes {
    ($layout:ty) => {{
        use $crate::net::base::attributes::{flag_attribute, object_attribute};
        use $crate::net::pipe::end;
        use $crate::sys::slots::getset;
        use $crate::sys::{Layout, Object, Owned, Res};

        object_attribute!($layout, get_protocol, set_protocol, c"_protocol", protocol);
        flag_attribute!($layout, get_closing, set_closing, c"_closing", closing);

        fn get_pipe(transport: &$layout) -> Owned {
            transport.pipe.get_or_none()
        }

        fn set_pipe(transport: &$layout, value: Option<&Object>) -> Res<()> {
            end::set_pipe(transport, value)
        }

        fn get_fileno(transport: &$layout) -> Res<Owned> {
            end::get_fileno(transport)
        }

        fn set_fileno(transport: &$layout, value: Option<&Object>) -> Res<()> {
            end::set_fileno(Layout::as_object(transport), transport, value)
        }

        vec![
            getset!($layout, c"_pipe", get_pipe, set_pipe, c"The pipe, or None when it is closed."),
            getset!($layout, c"_fileno", get_fileno, set_fileno, c"Its descriptor, or None."),
            getset!($layout, c"_protocol", get_protocol, set_protocol, c"The protocol."),
            getset!($layout, c"_closing", get_closing, set_closing, c"Whether it was closed."),
        ]
    }};
}

pub(super) use end_attributes;
