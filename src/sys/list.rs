//! An intrusive list of objects, by borrowed references: an object links itself and is unlinked by its deallocator.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;

use super::attached::Attached;
use super::life::Life;
use super::memory::make_room;
use super::part::Part;
use super::{Owned, Res, gc};

/// A place in the list; null when not linked. Laid out as CPython's `llist_node`.
#[repr(C)]
pub(crate) struct Node {
    next: Cell<*const Node>,
    previous: Cell<*const Node>,
}

impl Node {
    const fn unlinked() -> Self {
        Node { next: Cell::new(ptr::null()), previous: Cell::new(ptr::null()) }
    }

    fn unlink(&self) {
        let (next, previous) = (self.next.replace(ptr::null()), self.previous.replace(ptr::null()));
        // SAFETY: neighbours are the head or inside living objects (`Linked`'s contract); both are null together.
        if let (Some(next), Some(previous)) = unsafe { (next.as_ref(), previous.as_ref()) } {
            debug_assert!(ptr::eq(next.previous.get(), self) && ptr::eq(previous.next.get(), self));
            next.previous.set(previous);
            previous.next.set(next);
        }
    }
}

// SAFETY: no references, and zero is "not linked"; it is unlinked before the object's memory is freed.
unsafe impl Part for Node {
    #[inline]
    fn detach(&self) {
        self.unlink();
    }
}

/// An object with a [`Node`] in it, which its deallocator unlinks as it does with all [`Part`]s. See [`linked!`].
///
/// # Safety
/// A `Node` is at the offset.
pub(crate) unsafe trait Linked: Life {
    const NODE_OFFSET: usize;

    fn node(&self) -> &Node {
        // SAFETY: the trait's contract.
        unsafe { &*ptr::from_ref(self).byte_add(Self::NODE_OFFSET).cast() }
    }
}

/// Says in which field of an object its [`Node`] is.
macro_rules! linked {
    ($layout:ident, $node:ident) => {
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        // SAFETY: the field's own place, and it is a node.
        unsafe impl $crate::sys::list::Linked for $layout {
            const NODE_OFFSET: usize = {
                let _: fn(&$layout) -> &$crate::sys::list::Node = |object| &object.$node;
                std::mem::offset_of!($layout, $node)
            };
        }
    };
}

pub(crate) use linked;

/// The list. Its head points to itself, or is still null, when it is empty.
pub(crate) struct List<T: Linked> {
    head: Attached<Node>,
    items: PhantomData<fn() -> T>,
}

impl<T: Linked> List<T> {
    pub(crate) const fn new() -> Self {
        List { head: Attached::new(Node::unlinked()), items: PhantomData }
    }

    /// Adds the object at the end; no error if it is in the list. The list must be a static.
    #[inline]
    pub(crate) fn link(&'static self, item: &T) {
        let node = item.node();
        if !node.next.get().is_null() {
            return;
        }
        let head: *const Node = &raw const *self.head;
        debug_assert!(node.previous.get().is_null() && gc::is_alive(item));
        let last = if self.head.previous.get().is_null() { head } else { self.head.previous.get() };
        node.previous.set(last);
        node.next.set(head);
        // SAFETY: the last node is the head or inside a living object (`Linked`'s contract).
        unsafe { (*last).next.set(node) };
        self.head.previous.set(node);
    }

    /// Takes the object out; no error if it is not in the list.
    #[inline]
    #[allow(clippy::unused_self)]
    pub(crate) fn unlink(&'static self, item: &T) {
        item.node().unlink();
    }

    /// The objects, oldest first, without those whose deallocation has begun: that of a subclass may run Python code
    /// (weakref callbacks) before it comes to ours, which unlinks.
    pub(crate) fn items(&'static self) -> Res<Vec<Owned<T>>> {
        let mut items = Vec::new();
        let mut node = self.head.next.get();
        while !node.is_null() && !ptr::eq(node, &raw const *self.head) {
            // SAFETY: a linked node lies at this offset of a living object; nothing runs that could change the list.
            let item: &T = unsafe { &*node.byte_sub(T::NODE_OFFSET).cast() };
            if gc::is_alive(item) {
                make_room(&mut items)?;
                items.push(item.own());
            }
            node = item.node().next.get();
        }
        Ok(items)
    }

    /// Unlinks all.
    pub(crate) fn clear(&'static self) {
        loop {
            let first = self.head.next.get();
            if first.is_null() || ptr::eq(first, &raw const *self.head) {
                return;
            }
            // SAFETY: a linked node is inside a living object (`Linked`'s contract).
            unsafe { (*first).unlink() };
        }
    }
}
