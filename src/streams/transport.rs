//! What streams ask of a native transport: straight away, not by its methods. Of all others, nothing.

#[cfg(target_os = "linux")]
pub(super) use crate::net::transport::direct::{is_closing, write, write_lines};
#[cfg(target_os = "linux")]
pub(super) use crate::net::transport::feeding::{Fed, Feeding, Place, register};

#[cfg(not(target_os = "linux"))]
mod without {
    use crate::sys::{Object, Res};

    pub(in super::super) fn is_closing(_: &Object) -> Option<Res<bool>> {
        None
    }

    pub(in super::super) fn write(_: &Object, _: &Object) -> Option<Res<()>> {
        None
    }

    pub(in super::super) fn write_lines(_: &Object, _: &Object) -> Option<Res<()>> {
        None
    }
}
#[cfg(not(target_os = "linux"))]
pub(super) use without::{is_closing, write, write_lines};
