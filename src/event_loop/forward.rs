//! Calls that are handed on: the same arguments, to asyncio's own method or to a class.

use crate::names::{LOOP, NAME, Name};
use crate::sys::args::Arguments;
use crate::sys::lazy::Once;
use crate::sys::memory::vec_for;
use crate::sys::{Layout, Object, Owned, Res, call, containers, typeobj};

use super::object::{LoopObject, TYPE};

/// `("loop",)`
pub(super) static LOOP_KEYWORD: Once = Once::new();

/// `super(EventLoopCore, loop).name(...)`: what asyncio has for the method, or who has replaced it.
#[cold]
pub(crate) fn base(core: &LoopObject, name: &Name, arguments: Arguments<'_>) -> Res<Owned> {
    let bases = call::call(typeobj::super_type(), &[TYPE.as_object(), core.as_object()])?;
    call_with(&*call::getattr(&bases, name)?, arguments.positional, None, arguments)
}

/// `callable(*positional, first=…, **keywords)`
#[inline]
pub(super) fn call_with(
    callable: &Object,
    positional: &[&Object],
    first: Option<(&Name, &Object)>,
    arguments: Arguments<'_>,
) -> Res<Owned> {
    const MOST: usize = 8;
    let count = positional.len() + usize::from(first.is_some()) + arguments.keywords().count();
    if count > MOST {
        return call_with_many(callable, positional, first, arguments);
    }
    let mut values = [callable; MOST];
    let mut end = 0;
    let mut push = |value| {
        values[end] = value;
        end += 1;
    };
    positional.iter().copied().for_each(&mut push);
    if let Some((_, value)) = first {
        push(value);
    }
    arguments.keywords().for_each(|(_, value)| push(value));
    match keyword_names(first, arguments)? {
        Some(names) => call::call_with_keywords(callable, &values[..count], &names),
        None => call::call(callable, &values[..count]),
    }
}

#[cold]
fn call_with_many(
    callable: &Object,
    positional: &[&Object],
    first: Option<(&Name, &Object)>,
    arguments: Arguments<'_>,
) -> Res<Owned> {
    let mut values = vec_for(positional.len() + 1 + arguments.keywords().count())?;
    values.extend(positional);
    values.extend(first.map(|(_, value)| value));
    values.extend(arguments.keywords().map(|(_, value)| value));
    match keyword_names(first, arguments)? {
        Some(names) => call::call_with_keywords(callable, &values, &names),
        None => call::call(callable, &values),
    }
}

/// The tuple of the keywords; those of the usual calls are made once.
fn keyword_names(first: Option<(&Name, &Object)>, arguments: Arguments<'_>) -> Res<Option<Owned>> {
    static LOOP_AND_NAME: Once = Once::new();
    let mut given = arguments.keywords().map(|(keyword, _)| keyword);
    match (first, given.next(), given.next()) {
        (None, None, _) => Ok(None),
        (Some(_), None, _) => Ok(Some(LOOP_KEYWORD.get_or_init(|| containers::tuple(&[LOOP.object()]))?.own())),
        (Some(_), Some(keyword), None) if NAME.is(keyword) => {
            let make = || containers::tuple(&[LOOP.object(), NAME.object()]);
            Ok(Some(LOOP_AND_NAME.get_or_init(make)?.own()))
        }
        _ => {
            let mut names: Vec<&Object> = vec_for(1 + arguments.keywords().count())?;
            names.extend(first.map(|(name, _)| name.object()));
            names.extend(arguments.keywords().map(|(keyword, _)| keyword));
            containers::tuple(&names).map(Some)
        }
    }
}
