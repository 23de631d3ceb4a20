//! Which transports a server has: what asyncio's `Server._attach()` and `_detach()` do.
//!
//! They are called, unless that does just what is done here: for a server of exactly asyncio's class, with the set that it
//! was made with, and nothing of either replaced. (Where a server only counts, they are always called.)

use crate::names::{ATTACH, CLIENTS, DATA, DETACH, Name, PENDING_REMOVALS, REMOVE, SOCKETS, WAKE_UP};
use crate::replaced::transports_as_made;
use crate::sys::lazy::Lazy;
use crate::sys::typeobj::instance_dict;
use crate::sys::{Layout, Object, Owned, Res, call, containers, weak};

static SERVER: Lazy = Lazy::new("asyncio.base_events", "Server");
static SET: Lazy = Lazy::new("weakref", "WeakSet");

/// A server's set of transports, as it is in Python.
struct Clients {
    /// The server's attributes.
    server: Owned,
    /// The set's.
    set: Owned,
    /// A `set` of weak references.
    data: Owned,
}

/// `None` if the method of that name is to be called.
fn clients_of(server: &Object, method: &Name) -> Option<Clients> {
    if !transports_as_made() || !SERVER.find()?.is(server.class()) {
        return None;
    }
    let attributes = instance_dict(server)?;
    if !containers::dict_peek(&attributes, method).is_null() {
        return None;
    }
    let clients = containers::dict_get_named(&attributes, &CLIENTS)?;
    if !SET.find()?.is(clients.class()) {
        return None;
    }
    let set = instance_dict(&clients)?;
    let waiting = containers::dict_get_named(&set, &PENDING_REMOVALS);
    let is_usual = waiting.is_none_or(|list| containers::is_exact_list(&list) && containers::list_len(&list) == 0);
    let data = containers::dict_get_named(&set, &DATA).filter(|data| is_usual && containers::is_exact_set(data))?;
    Some(Clients { server: attributes, set, data })
}

/// `server._attach(transport)`
pub(in crate::net) fn attach(server: &Object, transport: &Object) -> Res<()> {
    if let Some(clients) = clients_of(server, &ATTACH) {
        let is_open = containers::dict_get_named(&clients.server, &SOCKETS).is_some_and(|sockets| !sockets.is_none());
        if let Some(remove) = containers::dict_get_named(&clients.set, &REMOVE).filter(|_| is_open) {
            return containers::set_add(&clients.data, &*weak::reference_with(transport, &remove)?);
        }
    }
    call::call_method(&ATTACH, &[server, transport], None).map(drop)
}

/// `server._detach(transport)`
pub(in crate::net) fn detach(server: &Object, transport: &Object) -> Res<()> {
    let Some(clients) = clients_of(server, &DETACH) else {
        return call::call_method(&DETACH, &[server, transport], None).map(drop);
    };
    containers::set_discard(&clients.data, &*weak::reference(transport)?)?;
    let is_closed = containers::dict_get_named(&clients.server, &SOCKETS).is_some_and(|sockets| sockets.is_none());
    if containers::set_len(&clients.data) == 0 && is_closed {
        return call::call_method(&WAKE_UP, &[server], None).map(drop);
    }
    Ok(())
}
