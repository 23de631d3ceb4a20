//! The coroutine of an accepted connection, `loop._accept_connection2()`: the program's protocol is made and gets a
//! transport, and the coroutine ends when the protocol was told of it. Whatever goes wrong before closes the connection,
//! and is told of in debug mode.
//!
//! It calls all that asyncio's code calls, by name; so only that code itself must be as it is known. Where TLS is wanted, it
//! is left to asyncio's.

use crate::future;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::graft::running::Running;
use crate::names::{
    AWAIT, CALL_EXCEPTION_HANDLER, CLOSE, CONTEXT, CREATE_FUTURE, DEBUG, EXCEPTION, EXTRA_KEYWORD,
    MAKE_SOCKET_TRANSPORT, MESSAGE, Name, SERVER, WAITER,
};
use crate::sys::attached::Attached;
use crate::sys::error::{self, fetch, handling, restore};
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers};
use crate::versions;

pub(crate) static ACCEPT_CONNECTION: Graft =
    Graft::new("asyncio.selector_events", "BaseSelectorEventLoop._accept_connection2", vectorcall!(accept_connection))
        .calling_all();

static BODY: Body = Body::new(&ACCEPT_CONNECTION, run).packed().calling(&[
    "protocol_factory",
    "create_future",
    "_make_socket_transport",
]);

/// How many arguments it is called with, the loop aside, and which of them are used here.
const ARGUMENTS: usize = if versions::TRANSPORTS_HAVE_CONTEXT { 8 } else { 7 };
const FACTORY: usize = 0;
const SOCK: usize = 1;
const EXTRA: usize = 2;
const SSL: usize = 3;
const SERVED_BY: usize = 4;
const IN_CONTEXT: usize = 7;

fn accept_connection(call: &Call<'_>) -> Option<Res<Owned>> {
    let [event_loop, arguments @ ..] = call.arguments.positional else { return None };
    let is_usual = arguments.len() == ARGUMENTS && !call.arguments.has_keywords() && arguments[SSL].is_none();
    if !ACCEPT_CONNECTION.makes(call, is_usual) {
        return None;
    }
    Some(containers::tuple(arguments).and_then(|packed| coroutine::new(&BODY, Some(event_loop), Some(&packed))))
}

/// `subject` is the loop, `first` the tuple of the other arguments, `second` a tuple of the protocol and, once it is made,
/// the transport.
fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let event_loop = coroutine.subject();
    let failed = match input {
        Input::Start => {
            let Some(running) = running(&event_loop) else {
                let arguments = parts(&coroutine.first)?;
                let arguments: Vec<&Object> =
                    std::iter::once(&event_loop).chain(&arguments).map(|each| &**each).collect();
                return become_python(coroutine, &arguments);
            };
            match open(coroutine, &running) {
                Ok(waits) => return Ok(waits),
                Err(raised) => fetch(raised),
            }
        }
        Input::Value(_) => return Ok(Step::Return(none().own())),
        Input::Error(exception) => close(coroutine, exception),
    };
    if error::is_exit(&failed) {
        return Err(restore(failed));
    }
    handling(&failed, || report(coroutine, &event_loop, &failed))?;
    Ok(Step::Return(none().own()))
}

/// The loop, if native code may go on.
fn running(event_loop: &Object) -> Option<Running> {
    Running::find().filter(|running| running.event_loop().is(event_loop) && ACCEPT_CONNECTION.is_on())
}

/// Makes protocol, waiter and transport; then waits.
fn open(coroutine: &Coroutine, running: &Running) -> Res<Step> {
    let event_loop = running.event_loop();
    let arguments = coroutine.first.get_or_none();
    let argument = |index| containers::tuple_item(&arguments, index);
    coroutine.now_calls(0);
    let protocol = call::call0(&*argument(FACTORY)?)?;
    coroutine.second.set(containers::tuple(&[&protocol])?);
    coroutine.now_calls(1);
    let waiter = match running.new_future()? {
        Some(future) => future.into_object(),
        None => call::call_method(&CREATE_FUTURE, &[event_loop], None)?,
    };
    let (sock, extra, server) = (argument(SOCK)?, argument(EXTRA)?, argument(SERVED_BY)?);
    let mut given = [event_loop, &sock, &protocol, &waiter, &extra, &server, none()];
    let context = if versions::TRANSPORTS_HAVE_CONTEXT { argument(IN_CONTEXT)? } else { none().own() };
    given[6] = &context;
    let given = if versions::TRANSPORTS_HAVE_CONTEXT { &given[..] } else { &given[..6] };
    coroutine.now_calls(2);
    let transport = call::call_method(&MAKE_SOCKET_TRANSPORT, given, Some(&*keywords()?))?;
    coroutine.second.set(containers::tuple(&[&protocol, &transport])?);
    match future::TYPE.downcast_exact(&waiter) {
        Some(waiter) => Ok(Step::Wait(0, waiter.own())),
        None => Ok(Step::Await(0, call::call_method(&AWAIT, &[&*waiter], None)?)),
    }
}

/// The names of the keywords that a transport is made with.
fn keywords() -> Res<Owned> {
    static KEYWORDS: Attached<Field> = Attached::new(Field::unset());
    if !KEYWORDS.is_set() {
        let names = [&WAITER, &EXTRA_KEYWORD, &SERVER, &CONTEXT].map(Name::object);
        KEYWORDS.set(containers::tuple(&names[..if versions::TRANSPORTS_HAVE_CONTEXT { 4 } else { 3 }])?);
    }
    Ok(KEYWORDS.get_or_none())
}

/// An exception ends the waiting: the transport is closed. What is raised then, perhaps by that.
fn close(coroutine: &Coroutine, exception: Owned) -> Owned {
    let closed = handling(&exception, || match parts(&coroutine.second)?.get(1) {
        Some(transport) => call::call_method(&CLOSE, &[&**transport], None).map(drop),
        None => Ok(()),
    });
    closed.map_or_else(fetch, |()| exception)
}

/// The items of the tuple that a field has.
fn parts(field: &Field) -> Res<Vec<Owned>> {
    Ok(containers::items(&field.get_or_none())?.unwrap_or_default())
}

/// In debug mode, the loop's exception handler is told.
fn report(coroutine: &Coroutine, event_loop: &Object, exception: &Object) -> Res<()> {
    if !call::is_true(&*call::getattr(event_loop, &DEBUG)?)? {
        return Ok(());
    }
    let report = containers::new_dict()?;
    let text = containers::string(c"Error on transport creation for incoming connection")?;
    containers::dict_set(&report, MESSAGE.object(), &text)?;
    containers::dict_set(&report, EXCEPTION.object(), exception)?;
    let made = parts(&coroutine.second)?;
    for (name, made) in [c"protocol", c"transport"].into_iter().zip(&made) {
        if !made.is_none() {
            containers::dict_set(&report, &*containers::string(name)?, made)?;
        }
    }
    call::call_method(&CALL_EXCEPTION_HANDLER, &[event_loop, &report], None).map(drop)
}
