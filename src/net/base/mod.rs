//! What the transports of sockets have in common: how their memory begins, and what is asked and done of each alike.
//!
//! Nothing here knows of a kind of transport. What differs between the kinds is in the trait [`Transport`].

pub(super) mod attributes;
mod class;
mod fatal;
mod forward;
mod methods;
mod native;
mod object;
mod watching;

pub(super) use class::{adopt, check_base, check_plain_base};
pub(super) use fatal::{BAD_DESCRIPTOR, fail};
pub(super) use forward::{base, of_class};
pub(super) use methods::{
    ADD_READER_DOC, EXTRA_INFO_DOC, GET_PROTOCOL_DOC, IS_CLOSING_DOC, IS_READING_DOC, SET_PROTOCOL_DOC, add_reader,
    get_extra_info, get_protocol, is_closing, is_reading, set_attribute,
};
pub(super) use native::{Receives, Transport};
pub(super) use object::BaseObject;
pub(super) use watching::{context, start, stop, stopped};
