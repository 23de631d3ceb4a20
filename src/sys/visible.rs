//! Values that their owners let another thread look at, which need not be attached for that.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};

/// The values that are shown at the moment.
///
/// The lock is one of the process, held for some nanoseconds by whoever adds, takes out, or looks. It is no [`std`] lock,
/// for those cannot be opened again in a child that was forked while another thread held it ([`Visible::after_fork`]).
pub(crate) struct Visible<T: Sync + 'static> {
    is_locked: AtomicBool,
    values: UnsafeCell<Vec<*const T>>,
}

// SAFETY: the values are reached with the lock only, and are `Sync`; that each is alive is `show`'s affair.
unsafe impl<T: Sync> Sync for Visible<T> {}

impl<T: Sync> Visible<T> {
    pub(crate) const fn new() -> Self {
        Visible { is_locked: AtomicBool::new(false), values: UnsafeCell::new(Vec::new()) }
    }

    fn with_values<R>(&self, work: impl FnOnce(&mut Vec<*const T>) -> R) -> R {
        struct Unlock<'a>(&'a AtomicBool);
        impl Drop for Unlock<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        while self.is_locked.swap(true, Ordering::Acquire) {
            spin_loop();
        }
        let _unlock = Unlock(&self.is_locked);
        // SAFETY: whoever has the lock is alone with the values, and none of them looks twice.
        work(unsafe { &mut *self.values.get() })
    }

    /// Runs `work` while others can see the value; without memory for that, they cannot.
    pub(crate) fn show<R>(&self, value: &T, work: impl FnOnce() -> R) -> R {
        struct Hide<'a, T: Sync + 'static>(&'a Visible<T>, *const T);
        impl<T: Sync> Drop for Hide<'_, T> {
            fn drop(&mut self) {
                self.0.with_values(|values| {
                    if let Some(index) = values.iter().rposition(|&shown| std::ptr::eq(shown, self.1)) {
                        values.remove(index);
                    }
                });
            }
        }
        self.with_values(|values| {
            if values.try_reserve(1).is_ok() {
                values.push(value);
            }
        });
        let _hide = Hide(self, value);
        work()
    }

    /// Looks at each. No other may be added or taken out meanwhile, so `look` must be short, and not come back here.
    pub(crate) fn each(&self, mut look: impl FnMut(&T)) {
        self.with_values(|values| {
            for &value in values.iter() {
                // SAFETY: shown by a call of `show` that has not ended, for it takes the value out before it does.
                look(unsafe { &*value });
            }
        });
    }

    /// In a forked child, which has no thread but this one: nobody holds the lock, and nothing is shown.
    pub(crate) fn after_fork(&self) {
        self.is_locked.store(false, Ordering::Release);
        self.with_values(Vec::clear);
    }
}
