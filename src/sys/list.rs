//! Intrusive lists of objects, by borrowed references: an object links itself and is unlinked by its deallocator.

use std::cell::Cell;
use std::ptr;

use super::life::Life;
use super::memory::make_room;
use super::part::Part;
use super::{Layout, Object, Owned, Res, gc};

/// A place in a list; null when not linked. Laid out as CPython's `llist_node`.
#[repr(C)]
pub(crate) struct Node {
    next: Cell<*const Node>,
    previous: Cell<*const Node>,
}

impl Node {
    pub(super) const fn unlinked() -> Self {
        Node { next: Cell::new(ptr::null()), previous: Cell::new(ptr::null()) }
    }

    /// Is in no list any more, whose other nodes are left alone.
    pub(super) fn forget(&self) {
        self.next.set(ptr::null());
        self.previous.set(ptr::null());
    }

    pub(super) fn unlink(&self) {
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

    /// Takes the object out of the list that it is in, if any.
    #[inline]
    fn unlink(&self) {
        self.node().unlink();
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

/// A list: where it begins and ends. It points to itself, or is still null, when it is empty.
///
/// All objects of a list have their node at the same offset. They are of one type here; in a list that others link their
/// objects into, too, of whatever type.
#[repr(transparent)]
pub(crate) struct List(Node);

impl List {
    pub(crate) const fn new() -> Self {
        List(Node::unlinked())
    }

    /// Adds the object at the end; no error if it is in a list. This one must stay where it is.
    #[inline]
    pub(crate) fn link(&'static self, item: &impl Linked) {
        let node = item.node();
        if !node.next.get().is_null() {
            return;
        }
        debug_assert!(node.previous.get().is_null() && gc::is_alive(item));
        self.append(node);
    }

    /// # Panics
    /// Never; the node must be in no list, and be unlinked before it goes.
    #[inline]
    pub(super) fn append(&'static self, node: &Node) {
        let head: *const Node = &raw const self.0;
        let last = if self.0.previous.get().is_null() { head } else { self.0.previous.get() };
        node.previous.set(last);
        node.next.set(head);
        // SAFETY: the last node is the head or inside a living object (`Linked`'s contract).
        unsafe { (*last).next.set(node) };
        self.0.previous.set(node);
    }

    /// Does it point to itself?
    pub(super) fn is_empty(&self) -> bool {
        let head = &raw const self.0;
        ptr::eq(self.0.next.get(), head) && ptr::eq(self.0.previous.get(), head)
    }

    /// Is the node its last one?
    pub(super) fn ends_with(&self, node: &Node) -> bool {
        ptr::eq(self.0.previous.get(), node) && ptr::eq(node.next.get(), &raw const self.0)
    }

    /// Adds the list's objects, oldest first, to `items`, without those whose deallocation has begun: that of a subclass
    /// may run Python code (weakref callbacks) before it comes to ours, which unlinks. `T` says where their nodes are.
    pub(crate) fn add_to<T: Linked>(&self, items: &mut Vec<Owned>) -> Res<()> {
        let mut looks = usize::MAX;
        self.add_some::<T>(items, &mut looks, usize::MAX, |_| true)
    }

    /// The same with those that are wanted, until there are `most` in `items`, or as many as `looks` have been looked at.
    /// Nothing that `is_wanted` does changes a list.
    pub(crate) fn add_some<T: Linked>(
        &self,
        items: &mut Vec<Owned>,
        looks: &mut usize,
        most: usize,
        is_wanted: impl Fn(&Object) -> bool,
    ) -> Res<()> {
        let mut place = self.0.next.get();
        while !place.is_null() && !ptr::eq(place, &raw const self.0) {
            // SAFETY: a linked node is in a living object; nothing runs that could change the list.
            let node = unsafe { &*place };
            // SAFETY: it lies at this offset of the object.
            let item: &Object = unsafe { &*place.byte_sub(T::NODE_OFFSET).cast() };
            if *looks == 0 || items.len() >= most {
                break;
            }
            *looks -= 1;
            if gc::is_alive(item) && is_wanted(item) {
                make_room(items)?;
                items.push(item.own());
            }
            place = node.next.get();
        }
        Ok(())
    }

    /// Unlinks all.
    pub(crate) fn clear(&self) {
        loop {
            let first = self.0.next.get();
            if first.is_null() || ptr::eq(first, &raw const self.0) {
                return;
            }
            // SAFETY: a linked node is inside a living object (`Linked`'s contract).
            unsafe { (*first).unlink() };
        }
    }
}
