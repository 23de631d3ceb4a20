//! State of each thread, owned by the thread's own dictionary (`PyThreadState_GetDict`), so that it goes when the
//! thread ends, however it ends, and with the thread attached.
//!
//! A one-entry cache in front of the dictionary is keyed by the thread state's id, which is never used again, and is
//! emptied when the cached state dies (bpo-45262).

use std::cell::Cell;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

use pyo3::ffi;

use super::intern::Name;
use super::memory::no_memory;
use super::{Layout, Object, Owned, Raised, Res, containers};

/// One thread's `T`; those of all threads form a list.
struct Entry<T: 'static> {
    state: T,
    owner: &'static PerThread<T>,
    next: Cell<*const Entry<T>>,
}

/// A `T` for each thread that wants one.
pub(crate) struct PerThread<T: 'static> {
    /// Of the dictionary's entry.
    key: &'static Name,
    first: AtomicPtr<Entry<T>>,
    cached: AtomicPtr<Entry<T>>,
    cached_id: AtomicI64,
}

const CAPSULE_NAME: &CStr = c"rasyncio.per_thread";
const NO_ID: i64 = -1;

impl<T: Default + 'static> PerThread<T> {
    pub(crate) const fn new(key: &'static Name) -> Self {
        PerThread {
            key,
            first: AtomicPtr::new(ptr::null_mut()),
            cached: AtomicPtr::new(ptr::null_mut()),
            cached_id: AtomicI64::new(NO_ID),
        }
    }

    /// The calling thread's state, if it has one. The reference is good until the thread ends.
    #[inline]
    pub(crate) fn find(&'static self) -> Res<Option<&'static T>> {
        // SAFETY: the thread is attached, so it has a thread state.
        let id = unsafe { ffi::PyThreadState_GetID(ffi::PyThreadState_Get()) };
        if self.cached_id.load(Ordering::Relaxed) == id {
            // SAFETY: the cache is emptied before the entry that it points to is freed.
            return Ok(Some(unsafe { &(*self.cached.load(Ordering::Relaxed)).state }));
        }
        self.find_in_dictionary(id)
    }

    #[cold]
    fn find_in_dictionary(&'static self, id: i64) -> Res<Option<&'static T>> {
        let Some(dict) = thread_dictionary() else {
            return Ok(None);
        };
        let Some(capsule) = containers::dict_get(dict, self.key.object())? else {
            return Ok(None);
        };
        // SAFETY: a capsule under our own key; the name makes sure that it is one of ours.
        let entry = unsafe { ffi::PyCapsule_GetPointer(capsule.as_ptr(), CAPSULE_NAME.as_ptr()) }.cast::<Entry<T>>();
        if entry.is_null() {
            return Err(Raised);
        }
        self.cached.store(entry, Ordering::Relaxed);
        self.cached_id.store(id, Ordering::Relaxed);
        // SAFETY: the entry lives as long as its capsule, that is as long as the thread, which is the calling one.
        Ok(Some(unsafe { &(*entry).state }))
    }

    /// The calling thread's state, made if need be.
    #[inline]
    pub(crate) fn obtain(&'static self) -> Res<&'static T> {
        match self.find()? {
            Some(state) => Ok(state),
            None => self.create(),
        }
    }

    #[cold]
    fn create(&'static self) -> Res<&'static T> {
        let Some(dict) = thread_dictionary() else {
            return Err(no_memory());
        };
        let next = Cell::new(self.first.load(Ordering::Relaxed).cast_const());
        let entry = Box::into_raw(Box::new(Entry { state: T::default(), owner: self, next }));
        // SAFETY: the capsule takes over the box and frees it in `destroy`.
        let capsule = unsafe { ffi::PyCapsule_New(entry.cast(), CAPSULE_NAME.as_ptr(), Some(destroy::<T>)) };
        if capsule.is_null() {
            // SAFETY: nobody else has seen the box.
            drop(unsafe { Box::from_raw(entry) });
            return Err(Raised);
        }
        self.first.store(entry, Ordering::Relaxed);
        // SAFETY: the new capsule's only reference.
        let capsule: Owned = unsafe { Owned::steal(capsule) };
        containers::dict_set(dict, self.key.object(), &capsule)?;
        self.find()?.ok_or(Raised)
    }

    /// The states of all threads. No Python code may run while the iterator is in use.
    pub(crate) fn all(&'static self) -> impl Iterator<Item = &'static T> {
        self.entries().map(|entry| &entry.state)
    }
}

impl<T: 'static> PerThread<T> {
    fn entries(&'static self) -> impl Iterator<Item = &'static Entry<T>> {
        // SAFETY: the entries in the list are alive: `destroy` takes an entry out before it frees it.
        let first = unsafe { self.first.load(Ordering::Relaxed).cast_const().as_ref() };
        // SAFETY: what an entry in the list is followed by is in it too, or NULL.
        std::iter::successors(first, |entry| unsafe { entry.next.get().as_ref() })
    }

    /// Takes the entry out of the list and of the cache.
    fn remove(&'static self, entry: *mut Entry<T>, next: *const Entry<T>) {
        if ptr::eq(self.cached.load(Ordering::Relaxed), entry) {
            self.cached_id.store(NO_ID, Ordering::Relaxed);
        }
        match self.entries().find(|before| ptr::eq(before.next.get(), entry)) {
            Some(before) => before.next.set(next),
            None => self.first.store(next.cast_mut(), Ordering::Relaxed),
        }
    }
}

/// A borrowed reference to the calling thread's dictionary; there is none when memory is short.
fn thread_dictionary() -> Option<&'static Object> {
    // SAFETY: attached; a borrowed reference that the thread state keeps, or NULL.
    unsafe { Object::from_nullable(ffi::PyThreadState_GetDict()) }
}

/// The capsule's destructor: the thread has ended.
unsafe extern "C" fn destroy<T: 'static>(capsule: *mut ffi::PyObject) {
    // SAFETY: our own capsule, whose pointer is the box that it took over, freed only here. The state is dropped last:
    // that may run Python code.
    unsafe {
        let entry = ffi::PyCapsule_GetPointer(capsule, CAPSULE_NAME.as_ptr()).cast::<Entry<T>>();
        (*entry).owner.remove(entry, (*entry).next.get());
        drop(Box::from_raw(entry));
    }
}
