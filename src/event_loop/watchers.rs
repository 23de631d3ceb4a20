//! File descriptors and who waits for them: the readers and the writers.
//!
//! What waits for a descriptor is an [`Entry`], a job with a target: `add_reader` makes one whose target is a handle
//! ([`of_handle`]), a transport is one itself. The table and the poller know the same descriptors. Only the thread
//! that runs the loop changes them, or whoever holds the GIL while it does not run.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::rc::Rc;

use crate::io::{Errno, Event, Interest, Policy, Poller};
use crate::sys::error::{Builtin, raise, raise_format, raise_text, raised_is};
use crate::sys::gc::{Visited, Visitor};
use crate::sys::lazy::Lazy;
use crate::sys::memory::{no_memory, vec_for};
use crate::sys::object::none;
use crate::sys::os_error::raise_os_error;
use crate::sys::part::Native;
use crate::sys::{Layout, Object, Owned, Raised, Res, call, containers, panics};

use crate::asyncio::loop_is_closed;
use crate::handle::{self, HandleObject};
use crate::job::{Entry, Job};
use crate::names::PRIVATE_RUN;

use super::ready;

/// A handle as what waits for a file.
static HANDLE: Job = Job {
    run: |target, _| handle::downcast(target).map_or(Ok(()), |handle| handle::run(handle, |outcome| outcome)),
    callback: |target, _| Ok((call::getattr(target, &PRIVATE_RUN)?, None)),
    stop: Some(|target, _| handle::downcast(target).map_or(Ok(()), handle::cancel)),
    takes_several: false,
    needs_context: false,
};

pub(super) fn of_handle(handle: Owned<HandleObject>) -> Entry {
    Entry { job: &HANDLE, target: handle.into_object(), argument: None, context: none().own() }
}

/// The handle, if it is one that waits.
pub(super) fn as_handle(watcher: &Entry) -> Option<&HandleObject> {
    if std::ptr::eq(watcher.job, &raw const HANDLE) { handle::downcast(&watcher.target) } else { None }
}

/// The variable of the environment that says whether the poller has a doorbell.
const DOORBELL: &str = "RASYNCIO_DOORBELL";

fn policy() -> Res<Policy> {
    /// Says on stderr what is wrong with it.
    static COMPLAIN: Lazy = Lazy::new("rasyncio._variables", "complain_of_doorbell");

    match std::env::var_os(DOORBELL) {
        Some(value) if value == "0" => Ok(Policy::Never),
        Some(value) if value == "1" => Ok(Policy::Always),
        value => {
            if value.is_some_and(|value| !value.is_empty()) {
                call::call0(COMPLAIN.get()?)?;
            }
            Ok(Policy::IfItPays)
        }
    }
}

/// No `OSError`: with that the loop would go on with a selector of Python's.
fn doorbell_refused(errno: Errno) -> Raised {
    let error = std::io::Error::from_raw_os_error(errno.0);
    raise_text(Builtin::RuntimeError.class(), &format!("{DOORBELL} is 1, but the system has no doorbell: {error}"))
}

/// Which of the two to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// For how many events the poller watches a file.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Armed {
    /// For all that come, as long as it is registered.
    #[default]
    Always,
    /// For one, which has not come ([`super::once`]).
    Once,
    /// For one, which has come: the poller knows the file, but reports nothing. It need not be registered.
    Spent,
}

/// What is known of a descriptor; it is registered with the poller if there is a reader or a writer.
#[derive(Default, Clone)]
pub(super) struct Watched {
    reader: Option<Entry>,
    writer: Option<Entry>,
    pub(super) armed: Armed,
    /// What it was registered by, if not by its number.
    pub(super) object: Option<Owned>,
    /// What somebody has registered it for by `loop._selector`, if that is not a reader and a writer of ours.
    foreign: Option<Foreign>,
}

#[derive(Clone)]
struct Foreign {
    interest: Interest,
    data: Owned,
}

impl Watched {
    pub(super) fn place(&mut self, direction: Direction) -> &mut Option<Entry> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }

    pub(super) fn interest(&self) -> Interest {
        if let Some(foreign) = &self.foreign {
            return foreign.interest;
        }
        Interest { readable: self.reader.is_some(), writable: self.writer.is_some() }
    }

    pub(super) fn is_registered(&self) -> bool {
        self.reader.is_some() || self.writer.is_some() || self.foreign.is_some()
    }
}

/// What somebody registers a file for by `loop._selector`.
pub(super) struct Registered<'a> {
    pub(super) object: &'a Object,
    pub(super) interest: Interest,
    pub(super) data: &'a Object,
}

impl Registered<'_> {
    /// A tuple of a reader and a writer of ours, as the interest has it, is what our own methods register.
    fn as_watched(&self) -> Watched {
        let object = (!containers::is_exact_int(self.object)).then(|| self.object.own());
        let handle = |index: usize, wanted: bool| {
            let item = containers::tuple_item(self.data, index).ok()?;
            match handle::downcast(&item) {
                Some(handle) if wanted => Some(Some(of_handle(handle.own()))),
                None if !wanted && item.is_none() => Some(None),
                _ => None,
            }
        };
        let ours = containers::is_pair(self.data)
            .then(|| handle(0, self.interest.readable).zip(handle(1, self.interest.writable)))
            .flatten();
        if let Some((reader, writer)) = ours {
            return Watched { reader, writer, armed: Armed::Always, object, foreign: None };
        }
        let foreign = Foreign { interest: self.interest, data: self.data.own() };
        Watched { reader: None, writer: None, armed: Armed::Always, object, foreign: Some(foreign) }
    }
}

/// The files by their descriptors, and the poller that knows the same ones. No Python code runs while a cell is borrowed.
pub(super) struct Watchers {
    pub(super) table: RefCell<Vec<Watched>>,
    poller: RefCell<Option<Rc<Poller>>>,
    /// How many of them are the program's: all but the loop's own.
    pub(super) watched: Cell<usize>,
    /// The loop's own file, by which it is woken up, as long as nothing but that comes by it. The native poller has
    /// another, so that nothing comes at all.
    own: Cell<Option<c_int>>,
    /// How many have a [`Foreign`].
    foreign: Cell<usize>,
}

impl Default for Watchers {
    fn default() -> Self {
        Watchers {
            table: RefCell::new(Vec::new()),
            poller: RefCell::new(None),
            watched: Cell::new(1), // see `is_quiet`
            own: Cell::new(None),
            foreign: Cell::new(0),
        }
    }
}

impl Watchers {
    /// Is there no file of the program's to ask the poller for? Who has a selector of Python's may have anything in it.
    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        self.watched.get() == 0
    }

    /// Would asking the poller tell the program nothing?
    #[inline]
    pub(super) fn is_silent(&self) -> bool {
        self.is_quiet() || self.poller.borrow().as_ref().is_some_and(|poller| poller.is_silent())
    }

    /// From now on the file is the loop's own.
    pub(super) fn own(&self, fd: c_int) {
        self.disown();
        if fd >= 0 && self.get(fd).is_registered() {
            self.own.set(Some(fd));
            self.watched.set(self.watched.get() - 1);
        }
    }

    /// From now on no file is the loop's own: what comes by it is for the program.
    pub(super) fn disown(&self) {
        if self.own.take().is_some() {
            self.watched.set(self.watched.get() + 1);
        }
    }

    /// The poller; `None` if the loop uses a selector of Python's.
    #[inline]
    pub(super) fn poller(&self) -> Option<Rc<Poller>> {
        self.poller.borrow().clone()
    }

    /// Is there a poller?
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.poller.borrow().is_some()
    }

    /// Makes the poller.
    pub(super) fn open(&self) -> Res<()> {
        let policy = policy()?;
        let poller = Poller::new(policy).map_err(|errno| match policy {
            Policy::Always => doorbell_refused(errno),
            _ => raise_os_error(errno.0),
        })?;
        self.close();
        drop(self.poller.replace(Some(Rc::new(poller))));
        self.watched.set(0);
        Ok(())
    }

    /// Lets go of everything.
    pub(super) fn close(&self) {
        drop(self.poller.take());
        self.own.set(None);
        self.watched.set(1); // a selector of Python's, from now on
        let files = self.table.take();
        self.foreign.set(0);
        drop(files);
    }

    /// Somebody changes what waits for the file.
    pub(super) fn disown_if(&self, fd: c_int) {
        if self.own.get() == Some(fd) {
            self.disown();
        }
    }

    fn get(&self, fd: c_int) -> Watched {
        let Ok(index) = usize::try_from(fd) else { return Watched::default() };
        self.table.borrow().get(index).cloned().unwrap_or_default()
    }

    /// The table has a place for the file.
    fn set(&self, fd: c_int, file: Watched) {
        let index = usize::try_from(fd).expect("not negative");
        let mut files = self.table.borrow_mut();
        panics::here("files");
        let registered = usize::from(file.is_registered());
        let before = std::mem::replace(&mut files[index], file);
        self.watched.set(self.watched.get() + registered - usize::from(before.is_registered()));
        let count = self.foreign.get() + usize::from(files[index].foreign.is_some());
        self.foreign.set(count - usize::from(before.foreign.is_some()));
        drop(files);
        drop(before);
    }

    /// Gives the file a place in the table, if there is memory.
    pub(super) fn make_place(&self, fd: c_int) -> bool {
        let index = usize::try_from(fd).expect("not negative");
        let mut files = self.table.borrow_mut();
        let missing = (index + 1).saturating_sub(files.len());
        if files.try_reserve(missing).is_err() {
            return false;
        }
        if missing > 0 {
            files.resize_with(index + 1, Watched::default);
        }
        true
    }

    /// Makes the entry the file's reader or writer, and returns the one before.
    pub(super) fn add(
        &self,
        poller: &Poller,
        object: &Object,
        direction: Direction,
        watcher: Entry,
    ) -> Res<Option<Entry>> {
        let Some(fd) = self.descriptor(object)? else {
            return Err(raise(Builtin::OverflowError.class(), c"Python int too large to convert to C int"));
        };
        // `fileno()` may have closed the loop.
        if !self.poller.borrow().as_ref().is_some_and(|now| std::ptr::eq(&raw const **now, poller)) {
            return Err(loop_is_closed());
        }
        self.put(poller, fd, Some(object).filter(|object| !containers::is_exact_int(object)), direction, watcher)
    }

    /// The same for a descriptor, and what it is registered by if that is not its number.
    pub(super) fn put(
        &self,
        poller: &Poller,
        fd: c_int,
        object: Option<&Object>,
        direction: Direction,
        watcher: Entry,
    ) -> Res<Option<Entry>> {
        self.disown_if(fd);
        let mut file = self.get(fd);
        let (was_registered, interest) = (file.is_registered(), file.interest());
        let before = file.place(direction).replace(watcher);
        if !was_registered {
            file.object = object.map(Layout::own);
        }
        let was_known = was_registered || file.armed != Armed::Always;
        let changed = if file.armed != Armed::Always {
            file.armed = Armed::Always;
            poller.arm(fd, file.interest(), false)
        } else if !was_registered {
            poller.add(fd, file.interest())
        } else if interest == file.interest() {
            Ok(())
        } else {
            poller.modify(fd, file.interest())
        };
        if let Err(errno) = changed {
            // As with asyncio's selectors, a file that cannot be changed is forgotten.
            if was_known {
                poller.remove(fd);
                self.set(fd, Watched::default());
            }
            return Err(raise_os_error(errno.0));
        }
        // Not before the system has found the descriptor to be one: the table is as long as the largest.
        if !self.make_place(fd) {
            poller.remove(fd);
            return Err(no_memory());
        }
        self.set(fd, file);
        Ok(before)
    }

    /// Removes the file's reader or writer, and returns it.
    pub(super) fn remove(&self, poller: &Poller, object: &Object, direction: Direction) -> Res<Option<Entry>> {
        match self.descriptor(object)? {
            Some(fd) => self.take(poller, fd, direction),
            None => Ok(None),
        }
    }

    /// The same for a descriptor.
    pub(super) fn take(&self, poller: &Poller, fd: c_int, direction: Direction) -> Res<Option<Entry>> {
        self.disown_if(fd);
        let mut file = self.get(fd);
        let Some(removed) = file.place(direction).take() else {
            return Ok(None);
        };
        if !file.is_registered() {
            poller.remove(fd);
            self.set(fd, Watched::default());
        } else if let Err(errno) = poller.modify(fd, file.interest()) {
            poller.remove(fd);
            self.set(fd, Watched::default());
            return Err(raise_os_error(errno.0));
        } else {
            self.set(fd, file);
        }
        Ok(Some(removed))
    }

    /// Makes handles of those who wait for the file without one, for a program that looks.
    pub(super) fn make_handles(&self, event_loop: &Object, fd: c_int) -> Res<()> {
        for direction in [Direction::Read, Direction::Write] {
            let Some(entry) = self.get(fd).place(direction).take() else { continue };
            if as_handle(&entry).is_some() {
                continue;
            }
            let (job, target) = (entry.job, entry.target.clone());
            let made = of_handle(ready::as_handle(event_loop, entry)?);
            // Making a handle may have run the collector, and so anything.
            let mut file = self.get(fd);
            let place = file.place(direction);
            if place.as_ref().is_some_and(|now| std::ptr::eq(now.job, job) && now.target.is(&*target)) {
                *place = Some(made);
                self.set(fd, file);
            }
        }
        Ok(())
    }

    /// Those who wait for what has come, the reader first.
    pub(super) fn ready(&self, event: Event) -> [Option<(Direction, Entry)>; 2] {
        let mut files = self.table.borrow_mut();
        let file = usize::try_from(event.fd).ok().and_then(|index| files.get_mut(index)).map(|file| {
            if file.armed == Armed::Once {
                file.armed = Armed::Spent;
            }
            &*file
        });
        let waiting = |wanted: bool, watcher: fn(&Watched) -> &Option<Entry>, direction| {
            file.filter(|_| wanted).and_then(|file| watcher(file).clone()).map(|watcher| (direction, watcher))
        };
        [
            waiting(event.ready.readable, |file| &file.reader, Direction::Read),
            waiting(event.ready.writable, |file| &file.writer, Direction::Write),
        ]
    }

    /// The number of a file descriptor: the object itself, or what its `fileno()` says; `None` if there can be no such
    /// descriptor. An object that is closed by now is still known by its identity.
    fn descriptor(&self, object: &Object) -> Res<Option<c_int>> {
        static FILENO: Lazy = Lazy::new("selectors", "_fileobj_to_fd");
        let fd = if containers::is_exact_int(object) {
            object.own()
        } else {
            match call::call1(FILENO.get()?, object) {
                Ok(fd) => fd,
                Err(raised) if !raised_is(Builtin::ValueError.class()) => return Err(raised),
                Err(raised) => {
                    let known = self.registered_by(object).ok_or(raised)?;
                    crate::sys::raised::clear();
                    return Ok(Some(known));
                }
            }
        };
        let number = containers::int_clamped(&fd)?;
        if number < 0 {
            return Err(no_descriptor(&fd));
        }
        Ok(c_int::try_from(number).ok())
    }

    fn registered_by(&self, object: &Object) -> Option<c_int> {
        let files = self.table.borrow();
        let index = files.iter().position(|file| file.object.as_ref().is_some_and(|known| known.is(object)));
        index.and_then(|index| c_int::try_from(index).ok())
    }

    /// Is any registered for others than handles of ours?
    #[inline]
    pub(super) fn has_foreign(&self) -> bool {
        self.foreign.get() > 0
    }

    pub(super) fn is_foreign(&self, fd: c_int) -> bool {
        self.get(fd).foreign.is_some()
    }

    /// Begins to watch the file, for what somebody has registered it by `loop._selector`.
    pub(super) fn watch(&self, poller: &Poller, fd: c_int, registered: &Registered<'_>) -> Res<()> {
        self.disown_if(fd);
        let file = registered.as_watched();
        let added = match self.get(fd).armed {
            Armed::Always => poller.add(fd, file.interest()),
            Armed::Once | Armed::Spent => poller.arm(fd, file.interest(), false),
        };
        added.map_err(|errno| raise_os_error(errno.0))?;
        // Not before the system has found the descriptor to be one: the table is as long as the largest.
        if !self.make_place(fd) {
            poller.remove(fd);
            return Err(no_memory());
        }
        self.set(fd, file);
        Ok(())
    }

    /// Takes note of what the file is registered for; the poller is told by others.
    pub(super) fn note(&self, fd: c_int, registered: &Registered<'_>) {
        if self.get(fd).is_registered() {
            self.disown_if(fd);
            self.set(fd, registered.as_watched());
        }
    }

    /// Forgets it; the poller is told by others. Was it known?
    pub(super) fn forget(&self, fd: c_int) -> bool {
        let known = self.get(fd).is_registered();
        if known {
            self.disown_if(fd);
            self.set(fd, Watched::default());
        }
        known
    }

    /// The file's object (`None` if it was registered by number), what it is registered for, and the data: that of a
    /// foreign one, or the tuple of reader and writer.
    #[allow(clippy::type_complexity)]
    pub(super) fn registered_for(&self, fd: c_int) -> Res<Option<(Option<Owned>, Interest, Owned)>> {
        let file = self.get(fd);
        if !file.is_registered() {
            return Ok(None);
        }
        let interest = file.interest();
        if let Some(foreign) = file.foreign {
            return Ok(Some((file.object, interest, foreign.data)));
        }
        let [reader, writer] = [&file.reader, &file.writer].map(|entry| entry.as_ref().map_or(none(), |e| &*e.target));
        let data = containers::tuple(&[reader, writer])?;
        Ok(Some((file.object, interest, data)))
    }

    /// The descriptors of all registered files.
    pub(super) fn descriptors(&self) -> Res<Vec<c_int>> {
        let files = self.table.borrow();
        let registered = || files.iter().enumerate().filter(|(_, file)| file.is_registered());
        let mut descriptors = vec_for(registered().count())?;
        descriptors.extend(registered().filter_map(|(fd, _)| c_int::try_from(fd).ok()));
        Ok(descriptors)
    }
}

/// What a selector says of a negative number.
#[cold]
pub(super) fn no_descriptor(fd: &Object) -> Raised {
    raise_format(Builtin::ValueError.class(), c"Invalid file descriptor: %S", &[fd])
}

impl Native for Watchers {
    fn visit(&self, visitor: Visitor) -> Visited {
        // Never borrowed otherwise while the collector runs.
        let Ok(files) = self.table.try_borrow() else { return Visited::Continue(()) };
        for file in files.iter() {
            for watcher in [&file.reader, &file.writer].into_iter().flatten() {
                watcher.visit(visitor)?;
            }
            let foreign = file.foreign.as_ref().map(|foreign| &foreign.data);
            for object in [file.object.as_ref(), foreign].into_iter().flatten() {
                visitor.object(&**object)?;
            }
        }
        Visited::Continue(())
    }

    fn clear(&self) {
        self.close();
    }
}
