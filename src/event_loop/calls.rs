//! `call_soon`, `call_later` and their kin.

use crate::names::{
    CALL_AT, CALL_LATER, CALL_SOON, CALL_SOON_THREADSAFE, CALLBACK_KEYWORD, CHECK_CALLBACK, CHECK_THREAD, CONTEXT,
    DELAY, FD, GET_DEBUG, Name, TIME, WHEN_KEYWORD,
};
use crate::sys::args::Arguments;
use crate::sys::error::{Builtin, raise, raise_text};
use crate::sys::object::{boolean, none};
use crate::sys::{Layout, Object, Owned, Res, call, clock, containers};

use super::exposed;
use super::forward::base;
use super::object::{LoopObject, check_closed};
use super::plain::plain;
use super::ready::Ready;
use super::time::time;
use super::wake::wake_up;
use super::watchers::{Direction, of_handle};
#[cfg(Py_3_12)]
use crate::handle::HandleObject;
use crate::handle::{self, Kind, Work};
#[cfg(Py_3_12)]
use crate::job::Entry;
use crate::versions;

/// The arguments of a function like `call_soon(callback, *args, context=None)`, with `N` parameters before `*args`.
struct Parsed<'a, const N: usize> {
    leading: [&'a Object; N],
    rest: &'a [&'a Object],
    context: Option<&'a Object>,
}

#[allow(clippy::inline_always)] // what is usual is a comparison or two; once for each function
#[inline(always)]
fn parse<'a, const N: usize>(function: &str, parameters: [&Name; N], arguments: Arguments<'a>) -> Res<Parsed<'a, N>> {
    if !arguments.has_keywords() {
        if let Some((leading, rest)) = arguments.positional.split_first_chunk() {
            return Ok(Parsed { leading: *leading, rest, context: None });
        }
    }
    parse_keywords(function, parameters, arguments)
}

#[inline(never)]
fn parse_keywords<'a, const N: usize>(
    function: &str,
    parameters: [&Name; N],
    arguments: Arguments<'a>,
) -> Res<Parsed<'a, N>> {
    let error =
        |text: String| Err(raise_text(Builtin::TypeError.class(), &format!("BaseEventLoop.{function}() {text}")));
    let text = |name: &Name| name.text.to_string_lossy();
    let mut leading: [Option<&Object>; N] = [None; N];
    for (place, given) in leading.iter_mut().zip(arguments.positional) {
        *place = Some(given);
    }
    let mut its_context = None;
    for (keyword, value) in arguments.keywords() {
        if CONTEXT.is(keyword) || call::equal(keyword, CONTEXT.object())? {
            its_context = Some(value);
            continue;
        }
        let mut known = None;
        for (index, parameter) in parameters.into_iter().enumerate() {
            if call::equal(keyword, parameter.object())? {
                known = Some((index, parameter));
            }
        }
        match known {
            None => return error(format!("got an unexpected keyword argument '{}'", containers::text_of(keyword))),
            Some((index, parameter)) if leading[index].is_some() => {
                return error(format!("got multiple values for argument '{}'", text(parameter)));
            }
            Some((index, _)) => leading[index] = Some(value),
        }
    }
    let missing: Vec<String> = (0..N)
        .filter(|&index| leading[index].is_none())
        .map(|index| format!("'{}'", text(parameters[index])))
        .collect();
    if !missing.is_empty() {
        let plural = if missing.len() == 1 { "" } else { "s" };
        let (count, names) = (missing.len(), missing.join(" and "));
        return error(format!("missing {count} required positional argument{plural}: {names}"));
    }
    let rest = arguments.positional.get(N..).unwrap_or_default();
    Ok(Parsed { leading: leading.map(|given| given.unwrap_or(none())), rest, context: its_context })
}

/// `bool(loop.get_debug())`
#[inline]
fn debug_enabled(core: &LoopObject) -> Res<bool> {
    match plain(core.as_object()) {
        Some(core) => Ok(core.debug_is_on()),
        None => call::is_true(&*call::call_method(&GET_DEBUG, &[core.as_object()], None)?),
    }
}

/// What is checked of a call on a loop that does not just queue; and is debug mode on, after that?
#[cold]
fn debug_after_check(core: &LoopObject, callback: &Object, method: &Name, any_thread: bool) -> Res<bool> {
    check_closed(core)?;
    if !core.debug_is_on() {
        return Ok(false);
    }
    if !any_thread {
        call::call_method(&CHECK_THREAD, &[core.as_object()], None)?;
    }
    call::call_method(&CHECK_CALLBACK, &[core.as_object(), callback, method.object()], None)?;
    debug_enabled(core)
}

/// `call_soon(callback, *args, context=None)`
#[inline]
pub(super) fn call_soon(core: &LoopObject, arguments: Arguments<'_>) -> Res<Owned> {
    let Some(core) = plain(core.as_object()) else { return base(core, &CALL_SOON, arguments) };
    let Parsed { leading: [callback], rest, context } = parse("call_soon", [&CALLBACK_KEYWORD], arguments)?;
    let debug = !core.just_queues() && debug_after_check(core, callback, &CALL_SOON, false)?;
    let work = Work::Call { callback, arguments: rest, context };
    let handle = handle::new(Kind::Plain, core.as_object(), debug, work)?;
    core.enqueue(Ready::Handle(handle.clone()))?;
    Ok(handle.into_object())
}

/// `call_soon_threadsafe(callback, *args, context=None)`
pub(super) fn call_soon_threadsafe(core: &LoopObject, arguments: Arguments<'_>) -> Res<Owned> {
    let Some(core) = plain(core.as_object()) else { return base(core, &CALL_SOON_THREADSAFE, arguments) };
    let Parsed { leading: [callback], rest, context } = parse("call_soon_threadsafe", [&CALLBACK_KEYWORD], arguments)?;
    let debug = !core.just_queues() && debug_after_check(core, callback, &CALL_SOON_THREADSAFE, true)?;
    let work = Work::Call { callback, arguments: rest, context };
    let kind = if versions::THREAD_SAFE_HANDLES { Kind::ThreadSafe } else { Kind::Plain };
    let handle = handle::new(kind, core.as_object(), debug, work)?;
    core.counts.threadsafe_calls.one();
    core.enqueue(Ready::Handle(handle.clone()))?;
    wake_up(core)?;
    Ok(handle.into_object())
}

/// `call_later(delay, callback, *args, context=None)`; `delay` is in seconds.
pub(super) fn call_later(core: &LoopObject, arguments: Arguments<'_>) -> Res<Owned> {
    let Some(core) = plain(core.as_object()) else { return base(core, &CALL_LATER, arguments) };
    let Parsed { leading: [delay, callback], rest, context } =
        parse("call_later", [&DELAY, &CALLBACK_KEYWORD], arguments)?;
    if delay.is_none() {
        return Err(raise(Builtin::TypeError.class(), c"delay must not be None"));
    }
    if containers::is_exact_float(delay) || containers::is_exact_int(delay) {
        // What the keywords are has been compared by Python code, if there are any.
        let now = if arguments.has_keywords() { time(core)? } else { clock::monotonic() };
        let when = now + containers::float_value(delay)?;
        return call_at_time(core, when, None, callback, rest, context);
    }
    let now = call::call_method(&TIME, &[core.as_object()], None)?;
    let when = containers::add(&now, delay)?;
    call_at_object(core, &when, callback, rest, context)
}

/// `call_later(seconds, callback, *arguments)` of a plain loop.
#[cfg(Py_3_12)]
pub(crate) fn call_later_plainly(
    core: &LoopObject,
    seconds: f64,
    callback: &Object,
    arguments: &[&Object],
) -> Res<Owned> {
    call_at_time(core, clock::monotonic() + seconds, None, callback, arguments, None)
}

/// A timer of a plain loop that does the work at that time; `given` is the time as an object, if the caller has one.
#[cfg(Py_3_12)]
pub(crate) fn call_at_plainly(
    core: &LoopObject,
    when: f64,
    given: Option<&Object>,
    entry: Entry,
) -> Res<Owned<HandleObject>> {
    let handle = handle::new_timer(core.as_object(), false, Work::Entry(entry), when, given)?;
    exposed::schedule(core, &handle, when)?;
    Ok(handle)
}

/// `call_at(when, callback, *args, context=None)`; `when` is in seconds on the loop's clock.
pub(super) fn call_at(core: &LoopObject, arguments: Arguments<'_>) -> Res<Owned> {
    let Some(core) = plain(core.as_object()) else { return base(core, &CALL_AT, arguments) };
    let Parsed { leading: [when, callback], rest, context } =
        parse("call_at", [&WHEN_KEYWORD, &CALLBACK_KEYWORD], arguments)?;
    if when.is_none() {
        return Err(raise(Builtin::TypeError.class(), c"when cannot be None"));
    }
    check_closed(core)?;
    call_at_object(core, when, callback, rest, context)
}

fn call_at_object(
    core: &LoopObject,
    when: &Object,
    callback: &Object,
    rest: &[&Object],
    context: Option<&Object>,
) -> Res<Owned> {
    call_at_time(core, containers::float_value(when)?, Some(when), callback, rest, context)
}

fn call_at_time(
    core: &LoopObject,
    when: f64,
    given: Option<&Object>,
    callback: &Object,
    rest: &[&Object],
    context: Option<&Object>,
) -> Res<Owned> {
    let debug = !core.just_queues() && debug_after_check(core, callback, &CALL_AT, false)?;
    let work = Work::Call { callback, arguments: rest, context };
    let handle = handle::new_timer(core.as_object(), debug, work, when, given)?;
    exposed::schedule(core, &handle, when)?;
    Ok(handle.into_object())
}

/// `_add_reader` or `_add_writer`: `(fd, callback, *args)`.
pub(super) fn add_file(core: &LoopObject, direction: Direction, name: &Name, arguments: Arguments<'_>) -> Res<Owned> {
    let (Some(poller), Some(core)) = (core.own_poller(), plain(core.as_object())) else {
        return base(core, name, arguments);
    };
    let function = name.text.to_string_lossy();
    let Parsed { leading: [fd, callback], rest, context } = parse(&function, [&FD, &CALLBACK_KEYWORD], arguments)?;
    check_closed(core)?;
    let work = Work::Call { callback, arguments: rest, context };
    let handle = handle::new(Kind::Plain, core.as_object(), debug_enabled(core)?, work)?;
    if let Some(before) = core.watchers.add(&poller, fd, direction, of_handle(handle.clone()))? {
        before.stop()?;
    }
    Ok(handle.into_object())
}

/// `_remove_reader(fd)` or `_remove_writer(fd)`: was there one?
pub(super) fn remove_file(core: &LoopObject, direction: Direction, name: &Name, fd: &Object) -> Res<Owned> {
    let (Some(poller), Some(core)) = (core.own_poller(), plain(core.as_object())) else {
        return base(core, name, Arguments::of(&[fd]));
    };
    if core.closed.get() {
        return Ok(boolean(false).own());
    }
    let removed = core.watchers.remove(&poller, fd, direction)?;
    if let Some(removed) = &removed {
        removed.stop()?;
    }
    Ok(boolean(removed.is_some()).own())
}
