//! What a transport has still to send, first in, first out.
//!
//! No Python code runs while the cells are borrowed: what is let go of is taken out first.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::c_int;

use crate::sys::bytes::{self, Held};
use crate::sys::gc::{Visited, Visitor};
use crate::sys::memory::{make_room, no_memory, vec_for};
use crate::sys::part::Native;
use crate::sys::sockets::{self, Outcome, Sent};
use crate::sys::{Layout, Owned, Res, panics};

#[derive(Default)]
pub(super) struct SendQueue {
    pieces: RefCell<VecDeque<Held>>,
    /// How many bytes of the first piece are sent already.
    sent: Cell<usize>,
    /// How many bytes are to be sent.
    size: Cell<usize>,
}

impl SendQueue {
    /// How many bytes are to be sent.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.size.get()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.size.get() == 0
    }

    /// Adds a piece, of which so many bytes are sent already, but not all. Of one that is not the first, none are.
    pub(super) fn push_rest(&self, piece: Held, sent: usize) -> Res<()> {
        debug_assert!(self.is_empty());
        self.push(piece)?;
        self.sent.set(sent);
        self.size.set(self.size.get() - sent);
        Ok(())
    }

    /// Makes room for so many pieces more: adding them does not fail then.
    pub(super) fn reserve(&self, count: usize) -> Res<()> {
        self.pieces.borrow_mut().try_reserve(count).map_err(|_| no_memory())
    }

    /// Adds a piece, which is not empty.
    #[inline]
    pub(super) fn push(&self, piece: Held) -> Res<()> {
        let length = piece.len();
        debug_assert!(length > 0);
        let mut pieces = self.pieces.borrow_mut();
        panics::here("send queue");
        make_room(&mut *pieces)?;
        pieces.push_back(piece);
        self.size.set(self.size.get() + length);
        Ok(())
    }

    /// Sends as much as the system takes at once, of the first pieces.
    pub(super) fn send(&self, fd: c_int) -> Sent {
        let pieces = self.pieces.borrow();
        let sent = match pieces.front() {
            Some(only) if pieces.len() == 1 => sockets::send(fd, only, self.sent.get()),
            _ => sockets::send_several(fd, pieces.iter(), self.sent.get()),
        };
        drop(pieces);
        if let Outcome::Done(count) = sent.outcome {
            self.advance(count);
        }
        sent
    }

    /// So many bytes are sent. The queue is as it should be before any piece is let go of: others may come here then.
    fn advance(&self, count: usize) {
        let mut pieces = self.pieces.borrow_mut();
        if count == self.size.get() && pieces.len() == 1 {
            let only = pieces.pop_front();
            self.sent.set(0);
            self.size.set(0);
            drop(pieces);
            return drop(only);
        }
        let mut sent = self.sent.get() + count;
        let mut finished = 0;
        while let Some(piece) = pieces.get(finished).filter(|piece| piece.len() <= sent) {
            sent -= piece.len();
            finished += 1;
        }
        self.sent.set(sent);
        self.size.set(self.size.get() - count);
        if pieces.range(..finished).all(|piece| matches!(piece, Held::Bytes(_))) {
            // Letting go of a `bytes` runs no Python code.
            pieces.drain(..finished);
        } else {
            let all: Vec<Held> = pieces.drain(..finished).collect();
            drop(pieces);
            drop(all);
        }
    }

    /// Lets go of all of it.
    pub(super) fn clear(&self) {
        self.size.set(0);
        self.sent.set(0);
        drop(self.pieces.take());
    }

    /// The pieces as asyncio keeps them: whole ones as they were given, and a view of what is left of the first one.
    pub(super) fn objects(&self) -> Res<Vec<Owned>> {
        let pieces = self.pieces.borrow();
        let mut objects: Vec<Owned> = vec_for(pieces.len())?;
        objects.extend(pieces.iter().map(|piece| piece.object().own()));
        drop(pieces);
        for object in objects.iter_mut().filter(|object| bytes::is_view(object)) {
            let view = bytes::view_from(object, 0)?;
            *object = view;
        }
        let sent = self.sent.get();
        if let Some(first) = objects.first_mut().filter(|_| sent > 0) {
            let view = bytes::view_from(first, sent)?;
            *first = view;
        }
        Ok(objects)
    }
}

impl Native for SendQueue {
    fn visit(&self, visitor: Visitor) -> Visited {
        // Never borrowed otherwise while the collector runs.
        let Ok(pieces) = self.pieces.try_borrow() else { return Visited::Continue(()) };
        pieces.iter().try_for_each(|piece| visitor.object(piece.object()))
    }

    fn clear(&self) {
        SendQueue::clear(self);
    }
}
