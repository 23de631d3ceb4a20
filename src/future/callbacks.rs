//! What runs when a future is done.
//!
//! The first callback has two fields of its own, for most futures have just one; further ones are in a list. Each
//! may also be a *waiter*: the task that awaits the future, kept as the object itself with the kind of work to
//! do, and shown as a callable (`Task.task_wakeup`) only to programs that look at it.

use crate::job::{Entry, Job};
use crate::sched;
use crate::sys::error::{Builtin, raise};
use crate::sys::field::Content;
use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Res, call, containers, context};

use super::FutureObject;
use super::awaited_by;
use super::later;
use super::object::not_initialized;
use super::waiter::Waiter;
#[cfg(Py_3_12)]
use super::waiter::WaiterJob;

/// `callback(future)`.
static CALLBACK: Job = Job {
    run: |callback, future| call::call1(callback, future.unwrap_or(none())).map(drop),
    callback: |callback, future| Ok((callback.own(), future.map(Layout::own))),
    stop: None,
    takes_several: false,
    needs_context: true,
};

/// The first callback, outside of the future's two fields.
#[derive(Clone)]
pub(super) enum First {
    Callback { callback: Owned, context: Owned },
    Waiter(Waiter),
}

impl First {
    /// Moves it out of the future.
    #[inline]
    pub(super) fn take(future: &FutureObject) -> Option<First> {
        Some(match future.first_callback.take()? {
            (target, Content::Static(kind)) => First::Waiter(Waiter { target, kind }),
            (callback, Content::Object(context)) => First::Callback { callback, context },
            (callback, Content::Nothing) => First::Callback { callback, context: none().own() },
        })
    }

    /// Moves it into the future, where no other may be.
    #[inline]
    fn put(self, future: &FutureObject) {
        let (target, context) = match self {
            First::Callback { callback, context } => (callback, Content::Object(context)),
            First::Waiter(Waiter { target, kind }) => (target, Content::Static(kind)),
        };
        future.first_callback.set(target, context);
    }

    /// The future's first callback as a callable and its context.
    fn peek(future: &FutureObject) -> Res<Option<(Owned, Owned)>> {
        let Some(first) = First::take(future) else {
            return Ok(None);
        };
        first.clone().put(future);
        match first {
            First::Callback { callback, context } => Ok(Some((callback, context))),
            First::Waiter(waiter) => waiter.as_callback(future).map(Some),
        }
    }
}

impl Waiter {
    #[cfg(Py_3_12)]
    fn is(&self, target: &Object, kind: &WaiterJob) -> bool {
        self.target.is(target) && std::ptr::eq(self.kind, kind)
    }

    fn as_callback(&self, future: &FutureObject) -> Res<(Owned, Owned)> {
        let (callback, _) = (self.kind.job.callback)(&self.target, Some(future.as_object()))?;
        Ok((callback, (self.kind.context)(&self.target)))
    }

    /// What it runs in; of work that runs in none, the real one is for other loops only.
    #[inline]
    fn context(&self, event_loop: &Object) -> Owned {
        #[cfg(Py_3_12)]
        if !self.kind.job.needs_context && sched::is_plain(event_loop) {
            return context::shared_empty();
        }
        let _ = event_loop;
        (self.kind.context)(&self.target)
    }

    #[allow(clippy::inline_always)] // once for each task that is woken up
    #[inline(always)]
    fn call_soon(self, event_loop: &Object, future: &FutureObject) -> Res<()> {
        let context = self.context(event_loop);
        let argument = Some(future.as_object().own());
        sched::call_soon(event_loop, Entry { job: &self.kind.job, target: self.target, argument, context })
    }
}

#[inline]
fn call_callback_soon(event_loop: &Object, callback: Owned, future: &FutureObject, context: Owned) -> Res<()> {
    awaited_by::forget_callback(future, &callback)?;
    let argument = Some(future.as_object().own());
    sched::call_soon(event_loop, Entry { job: &CALLBACK, target: callback, argument, context })
}

/// Adds a waiter; if the future is done it is woken up at once.
#[allow(clippy::inline_always)] // once for each await, and three places call it
#[inline(always)]
pub(crate) fn add_waiter(future: &FutureObject, waiter: Waiter) -> Res<()> {
    if !future.is_pending() {
        return waiter.call_soon(&*future.require_loop()?, future);
    }
    if !future.first_callback.is_set() && !future.callbacks.is_set() {
        First::Waiter(waiter).put(future);
        return Ok(());
    }
    append(future, &*later::new(waiter)?)
}

/// Takes a waiter out, as `remove_done_callback` would with the callable that it is shown as. False, and nothing is
/// done, if there is a callback that it would have to be compared with.
#[cfg(Py_3_12)]
pub(crate) fn remove_waiter(future: &FutureObject, target: &Object, kind: &'static WaiterJob) -> Res<bool> {
    let (is_first, first_is_callable) = match First::take(future) {
        None => (false, false),
        Some(First::Waiter(waiter)) if waiter.is(target, kind) => (true, false),
        Some(first) => {
            let is_callable = matches!(first, First::Callback { .. });
            first.put(future);
            (false, is_callable)
        }
    };
    let Some(further) = future.callbacks.get() else {
        return Ok(is_first || !first_is_callable);
    };
    let items = containers::items(&further)?.unwrap_or_default();
    let has_callable = first_is_callable || !items.iter().all(|item| later::is_one(item));
    if has_callable {
        if is_first {
            First::Waiter(Waiter { target: target.own(), kind }).put(future);
        }
        return Ok(false);
    }
    let kept = containers::new_list()?;
    for item in &items {
        if !later::waiter(item).is_some_and(|waiter| waiter.is(target, kind)) {
            containers::list_append(&kept, item)?;
        }
    }
    match containers::list_len(&kept) {
        0 => future.callbacks.clear(),
        count if count == items.len() => {}
        _ => containers::list_replace(&further, &kept)?,
    }
    Ok(true)
}

/// `add_done_callback(callback, context=context)`
pub(super) fn add(future: &FutureObject, callback: &Object, context: Option<&Object>) -> Res<()> {
    let Some(event_loop) = future.event_loop.get() else {
        return Err(raise(Builtin::RuntimeError.class(), c"uninitialized Future object"));
    };
    let context = match context {
        Some(context) => context.own(),
        None => context::copy_current()?,
    };
    if !future.is_pending() {
        return call_callback_soon(&event_loop, callback.own(), future, context);
    }
    if !future.first_callback.is_set() && !future.callbacks.is_set() {
        First::Callback { callback: callback.own(), context }.put(future);
        return Ok(());
    }
    append(future, &*containers::tuple(&[callback, &context])?)
}

/// A pair, or a waiter that is [`later`].
fn append(future: &FutureObject, item: &Object) -> Res<()> {
    if let Some(callbacks) = future.callbacks.get() {
        return containers::list_append(&callbacks, item);
    }
    let callbacks = containers::new_list()?;
    containers::list_append(&callbacks, item)?;
    future.callbacks.set(callbacks);
    Ok(())
}

/// An item of the further ones as a callable.
fn callable(future: &FutureObject, item: &Object) -> Res<Owned> {
    match later::waiter(item) {
        Some(waiter) => waiter.as_callback(future).map(|(callback, _)| callback),
        None if later::is_one(item) => Ok(none().own()),
        None => containers::tuple_item(item, 0),
    }
}

/// Hands all callbacks to the loop, in order. If one cannot be scheduled, those behind it are dropped.
///
/// Each place is emptied before the first call for it: the loop's `call_soon` may add, remove or run anything
/// (gh-125969, gh-125984).
#[inline]
pub(super) fn schedule(future: &FutureObject) -> Res<()> {
    if !future.first_callback.is_set() && !future.callbacks.is_set() {
        return Ok(());
    }
    let event_loop = future.require_loop()?;
    let scheduled = match First::take(future) {
        Some(First::Waiter(waiter)) => waiter.call_soon(&event_loop, future),
        Some(First::Callback { callback, context }) => call_callback_soon(&event_loop, callback, future, context),
        None => Ok(()),
    };
    let further = future.callbacks.take();
    scheduled?;
    let Some(further) = further else {
        return Ok(());
    };
    let mut index = 0;
    while let Some(item) = containers::list_item(&further, index) {
        if let Some(waiter) = later::waiter(&item) {
            waiter.call_soon(&event_loop, future)?;
        } else if !later::is_one(&item) {
            let (callback, context) = (containers::tuple_item(&item, 0)?, containers::tuple_item(&item, 1)?);
            call_callback_soon(&event_loop, callback, future, context)?;
        }
        index += 1;
    }
    Ok(())
}

/// `remove_done_callback(callback)`: how many were removed.
///
/// Comparing runs Python code that may change the callbacks, so each comparison is made with references of our own,
/// and the list is looked at anew after each (bpo-28963, gh-97592, gh-125966). What is counted when it has changed is
/// what CPython counts.
pub(super) fn remove(future: &FutureObject, callback: &Object) -> Res<usize> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    let mut removed = 0;
    if let Some((first, _)) = First::peek(future)? {
        if call::equal(&first, callback)? {
            // It may have been replaced by another while the comparison ran; CPython removes what is there.
            drop(First::take(future));
            removed += 1;
        }
    }
    let Some(callbacks) = future.callbacks.get() else {
        return Ok(removed);
    };
    let before = containers::list_len(&callbacks);
    if before == 1 {
        let Some(item) = containers::list_item(&callbacks, 0) else {
            return Ok(removed);
        };
        if call::equal(&*callable(future, &item)?, callback)? {
            future.callbacks.clear();
            removed += 1;
        }
        return Ok(removed);
    }
    let kept = containers::new_list()?;
    let mut index = 0;
    while let Some(item) = future.callbacks.get().and_then(|list| containers::list_item(&list, index)) {
        if !call::equal(&*callable(future, &item)?, callback)? {
            containers::list_append(&kept, &item)?;
        }
        index += 1;
    }
    let kept_count = containers::list_len(&kept);
    match future.callbacks.get() {
        Some(now) if kept_count > 0 => {
            removed += containers::list_len(&now).saturating_sub(kept_count);
            // The same list: to a garbage collector that runs the finalizer which removes this, a new one would be an
            // object from outside, and keep all that it finds there until the next collection.
            containers::list_replace(&now, &kept)?;
        }
        _ => {
            future.callbacks.clear();
            removed += before;
        }
    }
    Ok(removed)
}

/// `_callbacks`: a new list (gh-125789), or `None` if there are none.
pub(super) fn list(future: &FutureObject) -> Res<Owned> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    let first = First::peek(future)?;
    let further = future.callbacks.get();
    if first.is_none() && further.is_none() {
        return Ok(none().own());
    }
    let list = containers::new_list()?;
    if let Some((callback, context)) = first {
        containers::list_append(&list, &*containers::tuple(&[&callback, &context])?)?;
    }
    let mut index = 0;
    while let Some(item) = further.as_deref().and_then(|further| containers::list_item(further, index)) {
        match later::waiter(&item) {
            Some(waiter) => {
                let (callback, context) = waiter.as_callback(future)?;
                containers::list_append(&list, &*containers::tuple(&[&callback, &context])?)?;
            }
            None => containers::list_append(&list, &item)?,
        }
        index += 1;
    }
    Ok(list)
}
