//! Panics on purpose, for the tests of what becomes of one (the cargo feature `panic-on-purpose`; otherwise nothing).

#[cfg(feature = "panic-on-purpose")]
mod armed {
    use std::sync::{Mutex, PoisonError};

    static PLACE: Mutex<Option<String>> = Mutex::new(None);

    /// The next time that the place is passed, it panics, once. Tells whether the last one has.
    pub(crate) fn arm(place: &str) -> bool {
        PLACE.lock().unwrap_or_else(PoisonError::into_inner).replace(place.into()).is_none()
    }

    /// Panics if it is this place's turn. Need not be attached.
    pub(crate) fn here(place: &str) {
        let mut armed = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
        if armed.as_deref() == Some(place) {
            *armed = None;
            drop(armed);
            panic!("on purpose in {place}");
        }
    }
}

#[cfg(not(feature = "panic-on-purpose"))]
mod armed {
    #[inline]
    pub(crate) fn here(_place: &str) {}
}

pub(crate) use armed::*;
