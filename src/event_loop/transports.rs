//! `loop._transports`: which transport has which descriptor. asyncio has a `WeakValueDictionary` there.
//!
//! Native transports are noted by descriptor, weakly. Whoever asks for the attribute gets the dictionary, into which all
//! of them move; as long as somebody has it besides the loop, new ones go there at once. A descriptor's older transport
//! is forgotten for a newer one, as in the dictionary.

use std::ffi::c_int;

use crate::names::{DATA, ENSURE_FD_NO_TRANSPORT, IS_CLOSING};
use crate::sys::args::Arguments;
use crate::sys::lazy::Lazy;
use crate::sys::typeobj::reference_count;
use crate::sys::{Layout, Object, Owned, Res, call, containers, weak};

use super::forward::base;
use super::object::LoopObject;
use super::plain::plain;

/// `loop._transports`, with all that there are; `None` before asyncio has set it.
pub(super) fn shown(core: &LoopObject) -> Res<Option<Owned>> {
    let Some(shown) = core.transports.shown.get() else { return Ok(None) };
    for index in 0.. {
        if core.transports.noted.get() == 0 {
            break;
        }
        let Some(reference) = core.transports.table.borrow().get(index).cloned() else { break };
        let Some(reference) = reference else { continue };
        if let Some(transport) = weak::target(&reference) {
            let fd = containers::int(i64::try_from(index).unwrap_or(-1))?;
            containers::set_item(&shown, &fd, &transport)?;
        }
        // Nobody has noted another meanwhile: the dictionary was there for it.
        let before = core.transports.table.borrow_mut().get_mut(index).and_then(Option::take);
        core.transports.noted.set(core.transports.noted.get() - usize::from(before.is_some()));
    }
    Ok(Some(shown))
}

/// Is it one of asyncio's?
fn is_usual(shown: &Object) -> bool {
    static CLASS: Lazy = Lazy::new("weakref", "WeakValueDictionary");
    CLASS.find().is_some_and(|class| shown.class().is(class))
}

/// `loop._transports`, for who may put something into it.
pub(super) fn show(core: &LoopObject) -> Res<Option<Owned>> {
    core.transports.was_shown.set(true);
    shown(core)
}

/// `loop._transports = value`; asyncio sets it once, when the loop is made.
pub(super) fn set(core: &LoopObject, value: &Object) {
    let is_new = !core.transports.shown.is_set() && is_usual(value) && reference_count(value) <= 2;
    core.transports.was_shown.set(!is_new);
    core.transports.shown.set(value.own());
}

impl LoopObject {
    /// `loop._transports[fd] = transport`
    pub(crate) fn note_transport(&self, fd: c_int, transport: &Object) -> Res<()> {
        match self.transports.shown.get() {
            // Nobody but the loop has it.
            Some(shown) if reference_count(&shown) == 2 && (!self.transports.was_shown.get() || is_usual(&shown)) => {
                self.transports.note(fd, transport)
            }
            Some(_) => {
                let fd = containers::int(i64::from(fd))?;
                shown(self)?.map_or(Ok(()), |shown| containers::set_item(&shown, &fd, transport))
            }
            None => self.transports.note(fd, transport),
        }
    }

    /// `loop._ensure_fd_no_transport(fd)`, where `named` is what the caller has for the descriptor.
    pub(crate) fn ensure_no_transport(&self, fd: c_int, named: &Object) -> Res<()> {
        if let Some(found) = self.transports.find(fd) {
            if call::is_true(&*call::call_method(&IS_CLOSING, &[&*found], None)?)? {
                return Ok(());
            }
        } else if !self.has_shown(fd)? {
            return Ok(());
        }
        base(self, &ENSURE_FD_NO_TRANSPORT, Arguments::of(&[named])).map(drop)
    }

    /// Is there any in the dictionary?
    fn has_shown(&self, fd: c_int) -> Res<bool> {
        let Some(shown) = self.transports.shown.get().filter(|_| self.transports.was_shown.get()) else {
            return Ok(false);
        };
        match call::getattr_optional(&shown, &DATA)?.filter(|data| containers::is_exact_dict(data)) {
            Some(data) if containers::dict_len(&data) == 0 => Ok(false),
            Some(data) => Ok(containers::dict_get(&data, &*containers::int(i64::from(fd))?)?.is_some()),
            None => Ok(true),
        }
    }
}

/// `_ensure_fd_no_transport(fd)`
pub(super) fn ensure_fd_no_transport(core: &LoopObject, named: &Object) -> Res<()> {
    let fd = if containers::is_exact_int(named) { c_int::try_from(containers::int_clamped(named)?).ok() } else { None };
    match fd.filter(|_| plain(core.as_object()).is_some()) {
        Some(fd) => core.ensure_no_transport(fd, named),
        None => base(core, &ENSURE_FD_NO_TRANSPORT, Arguments::of(&[named])).map(drop),
    }
}
