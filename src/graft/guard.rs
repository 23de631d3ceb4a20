//! Is all that a function's body would look up as asyncio made it?
//!
//! Python code finds out what that is (`python/rasyncio/_graft_look.py`), when a grafted function is called first: which
//! names the code mentions, what they are in the function's module, in the modules and classes that it refers to, and
//! which functions of asyncio's these lead to. If the code of one of them is not known, the answer is no until something
//! changes. Else what was found is remembered here by address, the dicts and classes are watched, and after each change
//! it is compared, which runs no Python code.

use crate::sys::attached::Attached;
use crate::sys::error;
use crate::sys::function_state::Seen;
use crate::sys::lazy::to_py;
use crate::sys::object::boolean;
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers, types, watch};

use super::{Graft, NEVER};

/// The function of Python's that finds out what a body looks up.
static LOOK: Attached<Field> = Attached::new(Field::unset());

/// `look(module, path, classes, calls_all)` answers `(reason, reliances, functions)`: why not, or `None`; of what the body looks up,
/// `(namespace, name, there, value)` each, where a namespace is a dict or a class, and the name `None` means the class's
/// `__mro__`; and the functions that native code passes over, the function itself first.
pub(crate) fn ask(look: &Object) {
    LOOK.set(look.own());
}

/// The reason where changes are not told. (The interpreter tells of a thousand changes of a class.)
const UNTOLD: &str =
    "changes cannot be watched: all of the interpreter's watchers are taken, or a class changes all the time";

/// Something that a body looks up, and what it was.
struct Reliance {
    namespace: Owned,
    /// Not set: the class's `__mro__` is meant.
    name: Field,
    value: Field,
}

impl Reliance {
    fn from_tuple(tuple: &Object) -> Res<Reliance> {
        let item = |index| containers::tuple_item(tuple, index);
        let (namespace, name, there, value) = (item(0)?, item(1)?, item(2)?, item(3)?);
        let reliance = Reliance { namespace, name: Field::unset(), value: Field::unset() };
        if !name.is_none() {
            reliance.name.set(name);
        }
        if call::is_true(&there)? {
            reliance.value.set(value);
        }
        Ok(reliance)
    }

    fn holds(&self) -> bool {
        match (self.name.get(), self.namespace.as_type()) {
            (Some(name), Some(class)) => types::member_is(class, &name, &self.value),
            (Some(name), None) => containers::dict_holds(&self.namespace, &name, &self.value),
            (None, class) => class.is_some_and(|class| types::mro_is(class, &self.value)),
        }
    }
}

/// What was found for a graft.
pub(super) struct Found {
    reliances: Vec<Reliance>,
    functions: Vec<Seen>,
}

impl Found {
    #[inline]
    pub(super) fn functions_are_unchanged(&self) -> bool {
        self.functions.iter().all(Seen::is_unchanged)
    }

    /// The same of the function itself alone.
    #[inline]
    pub(super) fn function_is_unchanged(&self) -> bool {
        self.functions.first().is_some_and(Seen::is_unchanged)
    }

    /// Watches all of it. False if changes of something are not told.
    fn watch(&self) -> Res<bool> {
        let mut told = true;
        for reliance in &self.reliances {
            told &= watch::watch_now(&reliance.namespace)?;
        }
        for defaults in self.functions.iter().filter_map(Seen::keyword_defaults) {
            told &= watch::watch_now(&defaults)?;
        }
        Ok(told)
    }
}

impl Graft {
    /// Finds out whether it is on, after a change.
    #[cold]
    pub(super) fn look(&self) -> bool {
        let now = watch::changes();
        if !self.state.function.is_set() || self.state.off_since.get() == now {
            return false;
        }
        // Whoever comes here meanwhile, from the Python code that is asked, gets the careful answer.
        self.state.off_since.set(now);
        let is_on = self.look_again().unwrap_or_else(|raised| {
            let exception = error::fetch(raised);
            self.give_reason(&format!("it could not be looked at: {}", to_py(&exception)));
            false
        });
        // What has changed meanwhile will be looked at again.
        if is_on {
            self.state.on_since.set(now);
            self.state.off_since.set(NEVER);
        }
        is_on && watch::changes() == now
    }

    fn look_again(&self) -> Res<bool> {
        let Some(found) = self.state.found.take() else { return self.look_first() };
        // A class that has changed is told of again only after this.
        let told = found.watch()?;
        let changed = found.reliances.iter().find(|reliance| !reliance.holds());
        let reason = match changed {
            _ if !told => Some(UNTOLD.to_owned()),
            Some(changed) => Some(changed.describe()),
            None => None,
        };
        drop(self.state.found.replace(Some(found)));
        Ok(match reason {
            Some(reason) => {
                self.give_reason(&reason);
                false
            }
            None => true,
        })
    }

    fn look_first(&self) -> Res<bool> {
        let Some(look) = LOOK.get() else { return Ok(false) };
        let (module, path) = (containers::string_of(self.module)?, containers::string_of(self.path)?);
        let classes = containers::new_list()?;
        for class in self.classes {
            containers::list_append(&classes, &*containers::string_of(class)?)?;
        }
        let answer = call::call(&look, &[&module, &path, &classes, boolean(self.calls_all)])?;
        let item = |index| containers::tuple_item(&answer, index);
        let (reason, reliances, functions) = (item(0)?, item(1)?, item(2)?);
        let list = |items: &Object| containers::items(items)?.ok_or_else(|| error::raise_text(wrong(), "a list"));
        let reliances = list(&reliances)?.iter().map(|tuple| Reliance::from_tuple(tuple)).collect::<Res<_>>()?;
        let functions = list(&functions)?.iter().filter_map(|function| Seen::of(function)).collect();
        let found = Found { reliances, functions };
        if !reason.is_none() {
            // It is looked at anew when any of this has changed.
            found.watch()?;
            self.give_reason(&containers::text_of(&reason));
            return Ok(false);
        }
        drop(self.state.found.replace(Some(found)));
        self.look_again()
    }

    fn give_reason(&self, reason: &str) {
        reason.clone_into(&mut self.state.reason.borrow_mut());
    }
}

fn wrong() -> &'static Object {
    error::Builtin::TypeError.class()
}

impl Reliance {
    fn describe(&self) -> String {
        let name = self.name.get().map_or_else(|| "__bases__".to_owned(), |name| containers::text_of(&name));
        match self.namespace.as_type() {
            Some(_) => format!("{name} of {} was replaced", to_py(&self.namespace)),
            None => format!("the name {name} of its module, or of one that it uses, was replaced"),
        }
    }
}
