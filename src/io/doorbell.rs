//! A bell that rings when a file becomes ready: whether to ask the poller is a look at memory then, no system call.
//!
//! It is a request for the moment at which the epoll descriptor itself becomes readable ([`crate::sys::aio`]). It rings
//! before the system call returns that makes the file ready.
//!
//! * Not so for a file that becomes ready while the request is being made: the system may leave the ringing to a thread
//!   of its own, and until that has run, which can be milliseconds, no other file rings in time either. So the bell
//!   counts from the first look on that follows, if that finds nothing. If it finds something, the bell does not count
//!   before it has rung and hangs anew. (What would deceive us is a file that is ready at that very moment and is not any
//!   more at the look; and for no longer than the loop believes a bell, which is 40 µs.)
//! * It rings once, on the edge: what was ready and is left so does not ring again. So after a look that has found
//!   something the loop looks again.
//! * Whoever looks empties the bell before, never after.
//! * To hang it up costs as much as some looks. So a busy loop does so when some looks in a row have found nothing, and
//!   is more patient after a bell that rang too soon.
//! * A forked child has but its parent's bell, and leaves it alone.
//!
//! Everything here happens with the GIL held.

use std::cell::Cell;
use std::os::fd::BorrowedFd;

use once_cell::unsync::OnceCell;

use super::{Errno, Policy};
use crate::sys::aio::Queue;

/// How many looks in a row find nothing before the bell is hung up, and how many looks it must save to have paid.
const PATIENCE: u32 = 8;
const MOST_PATIENCE: u32 = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The loop looks each time. It may hang up the bell after `quiet` more looks that find nothing.
    Down { quiet: u32 },
    /// The bell hangs, and nobody has looked since.
    Hung,
    /// It hangs, but may ring late.
    Doubtful,
    /// What comes will ring it.
    Trusted,
    /// So it is, but there may be something left that it has rung for before.
    Left,
    /// There is none to be had.
    Without,
}

pub(super) struct Doorbell {
    queue: OnceCell<Queue>,
    state: Cell<State>,
    /// How many looks find nothing before it is hung up.
    patience: Cell<u32>,
    /// How many looks it has saved since.
    saved: Cell<u32>,
    always: bool,
}

impl Doorbell {
    pub(super) fn new(policy: Policy) -> Result<Doorbell, Errno> {
        let patience = if policy == Policy::Always { 1 } else { PATIENCE };
        let state = if policy == Policy::Never { State::Without } else { State::Down { quiet: patience } };
        let bell = Doorbell {
            queue: OnceCell::new(),
            state: Cell::new(state),
            patience: Cell::new(patience),
            saved: Cell::new(0),
            always: policy == Policy::Always,
        };
        if bell.always {
            let _ = bell.queue.set(Queue::new().map_err(Errno)?);
        }
        Ok(bell)
    }

    /// Has nothing come since the last look?
    #[inline]
    pub(super) fn is_silent(&self) -> bool {
        if self.state.get() != State::Trusted {
            return false;
        }
        let silent = self.queue.get().is_some_and(|queue| queue.is_mine() && !queue.is_complete());
        self.saved.set(self.saved.get().wrapping_add(u32::from(silent)));
        silent
    }

    /// Before a look at that epoll descriptor.
    #[inline]
    pub(super) fn before_look(&self, epoll: BorrowedFd<'_>, is_busy: bool) {
        match self.state.get() {
            State::Down { quiet: 0 } if is_busy => self.hang(epoll),
            State::Down { .. } | State::Without => {}
            _ => self.take_down_if_rung(),
        }
    }

    /// After it.
    #[inline]
    pub(super) fn after_look(&self, has_found_nothing: bool) {
        self.state.set(match self.state.get() {
            State::Down { quiet } if has_found_nothing => State::Down { quiet: quiet.saturating_sub(1) },
            State::Down { .. } => State::Down { quiet: self.patience.get() },
            State::Hung | State::Trusted | State::Left if has_found_nothing => State::Trusted,
            State::Trusted | State::Left => State::Left,
            State::Hung | State::Doubtful => State::Doubtful,
            State::Without => State::Without,
        });
    }

    #[cold]
    fn hang(&self, epoll: BorrowedFd<'_>) {
        let hung = self.queue.get_or_try_init(Queue::new).and_then(|queue| queue.request(epoll));
        self.saved.set(0);
        self.state.set(if hung.is_ok() { State::Hung } else { State::Without });
    }

    fn take_down_if_rung(&self) {
        let Some(queue) = self.queue.get() else { return };
        if !queue.is_mine() {
            self.state.set(State::Without);
        } else if queue.is_complete() {
            queue.empty();
            if !self.always {
                let has_paid = self.saved.get() >= PATIENCE;
                self.patience.set(if has_paid { PATIENCE } else { (self.patience.get() * 2).min(MOST_PATIENCE) });
            }
            self.state.set(State::Down { quiet: self.patience.get() });
        }
    }

    /// Before the epoll descriptor is closed, which a bell that hangs would keep open: `ring` makes it readable.
    pub(super) fn close(&mut self, ring: impl FnOnce()) {
        const TRIES: u32 = 10_000;
        let hangs = !matches!(self.state.get(), State::Down { .. } | State::Without);
        let Some(queue) = self.queue.take().filter(Queue::is_mine) else { return };
        if hangs {
            ring();
            // At once, but for the rarest cases.
            if !(0..TRIES).any(|_| {
                queue.is_complete() || {
                    std::thread::yield_now();
                    false
                }
            }) {
                return;
            }
        }
        queue.give_back();
    }
}
