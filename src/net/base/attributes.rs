//! A transport's private attributes, by the names that asyncio gives them: functions for the tables of getsets.
//!
//! Python code that asks is told what is true after what a step has left is done.

use std::cell::Cell;

use crate::sys::slots::not_deleted;
use crate::sys::{Field, Layout, Object, Res, call, containers};

/// An attribute that is kept as an object: what it is and how it is set.
macro_rules! object_attribute {
    ($layout:ty, $get:ident, $set:ident, $name:literal, $field:ident) => {
        fn $get(transport: &$layout) -> $crate::sys::Res<$crate::sys::Owned> {
            $crate::net::base::Transport::finish(transport)?;
            Ok(transport.$field.get_or_none())
        }

        fn $set(transport: &$layout, value: Option<&$crate::sys::Object>) -> $crate::sys::Res<()> {
            $crate::net::base::attributes::set_object(
                $crate::sys::Layout::as_object(transport),
                $name,
                &transport.$field,
                value,
            )
        }
    };
}

/// One that is true or false.
macro_rules! flag_attribute {
    ($layout:ty, $get:ident, $set:ident, $name:literal, $field:ident) => {
        fn $get(transport: &$layout) -> $crate::sys::Res<$crate::sys::Owned> {
            $crate::net::base::Transport::finish(transport)?;
            Ok($crate::sys::Layout::own($crate::sys::object::boolean(transport.$field.get())))
        }

        fn $set(transport: &$layout, value: Option<&$crate::sys::Object>) -> $crate::sys::Res<()> {
            $crate::net::base::attributes::set_flag(
                $crate::sys::Layout::as_object(transport),
                $name,
                &transport.$field,
                value,
            )
        }
    };
}

/// One that is a number.
macro_rules! number_attribute {
    ($layout:ty, $get:ident, $set:ident, $name:literal, $field:ident) => {
        fn $get(transport: &$layout) -> $crate::sys::Res<$crate::sys::Owned> {
            $crate::net::base::Transport::finish(transport)?;
            $crate::sys::containers::int(i64::from(transport.$field.get()))
        }

        fn $set(transport: &$layout, value: Option<&$crate::sys::Object>) -> $crate::sys::Res<()> {
            $crate::net::base::attributes::set_number(
                $crate::sys::Layout::as_object(transport),
                $name,
                &transport.$field,
                value,
            )
        }
    };
}

type Text = std::ffi::CStr;

pub(in crate::net) fn set_object(transport: &Object, name: &Text, field: &Field, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(transport, name, value)?;
    drop(field.replace((!value.is_none()).then(|| value.own())));
    Ok(())
}

pub(in crate::net) fn set_flag(transport: &Object, name: &Text, flag: &Cell<bool>, value: Option<&Object>) -> Res<()> {
    flag.set(call::is_true(not_deleted(transport, name, value)?)?);
    Ok(())
}

pub(in crate::net) fn set_number(
    transport: &Object,
    name: &Text,
    number: &Cell<i32>,
    value: Option<&Object>,
) -> Res<()> {
    let value = containers::int_clamped(not_deleted(transport, name, value)?)?;
    number.set(i32::try_from(value).unwrap_or(i32::MAX));
    Ok(())
}

/// What all transports of sockets have, for the table of a kind.
macro_rules! common_attributes {
    ($layout:ty) => {{
        use $crate::net::base::attributes::{flag_attribute, number_attribute, object_attribute};
        use $crate::sys::slots::getset;

        object_attribute!($layout, get_sock, set_sock, c"_sock", sock);
        object_attribute!($layout, get_server, set_server, c"_server", server);
        flag_attribute!(
            $layout,
            get_protocol_connected,
            set_protocol_connected,
            c"_protocol_connected",
            protocol_connected
        );
        flag_attribute!($layout, get_closing, set_closing, c"_closing", closing);
        flag_attribute!($layout, get_paused, set_paused, c"_paused", paused);
        number_attribute!($layout, get_fd, set_fd, c"_sock_fd", fd);
        number_attribute!($layout, get_conn_lost, set_conn_lost, c"_conn_lost", conn_lost);
        object_attribute!($layout, get_context, set_context, c"_context", context);

        let mut table = vec![
            getset!($layout, c"_sock", get_sock, set_sock, c"The socket, or None when it is closed."),
            getset!($layout, c"_sock_fd", get_fd, set_fd, c"The socket's descriptor."),
            getset!(
                $layout,
                c"_protocol_connected",
                get_protocol_connected,
                set_protocol_connected,
                c"Whether there is a protocol."
            ),
            getset!($layout, c"_server", get_server, set_server, c"The server that has accepted it, or None."),
            getset!($layout, c"_closing", get_closing, set_closing, c"Whether it was closed."),
            getset!($layout, c"_paused", get_paused, set_paused, c"Whether reading is paused."),
            getset!(
                $layout,
                c"_conn_lost",
                get_conn_lost,
                set_conn_lost,
                c"Not zero when the connection is lost: one more than the number of writes since."
            ),
        ];
        if $crate::versions::TRANSPORTS_HAVE_CONTEXT {
            table.push(getset!($layout, c"_context", get_context, set_context, c"The context of callbacks."));
        }
        table
    }};
}

pub(in crate::net) use {common_attributes, flag_attribute, number_attribute, object_attribute};
