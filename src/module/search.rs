//! Where the names of modules and classes lead to objects that the swap exchanges; `python/rasyncio/_places.py` asks.

use crate::sys::error::{Builtin, raise};
use crate::sys::search::Wanted;
use crate::sys::slots::{Method, positional};
use crate::sys::{Object, Owned, Res, containers};

/// `_lead_to(ids, dicts)`: `(place, name, value)` of the entries of the dicts that `Wanted::in_dict` finds.
fn lead_to(_module: &Object, arguments: &[&Object]) -> Res<Owned> {
    let lists = match arguments {
        [ids, dicts] => containers::items(ids)?.zip(containers::items(dicts)?),
        _ => None,
    };
    let (ids, dicts) = lists.ok_or_else(|| raise(Builtin::TypeError.class(), c"two lists were expected"))?;
    let addresses = ids.iter().map(|id| containers::int_value(id).map(|id| usize::try_from(id).unwrap_or(0)));
    let wanted = Wanted::at(addresses.collect::<Res<_>>()?);
    let found = containers::new_list()?;
    for (place, dict) in dicts.iter().enumerate() {
        let entries = wanted.in_dict(dict)?;
        let entries = entries.ok_or_else(|| raise(Builtin::TypeError.class(), c"a list of dicts was expected"))?;
        let place = containers::int(i64::try_from(place).unwrap_or(i64::MAX))?;
        for (name, value) in entries {
            containers::list_append(&found, &*containers::tuple(&[&place, &name, &value])?)?;
        }
    }
    Ok(found)
}

/// The function.
pub(super) const FUNCTIONS: [Method; 1] = [positional!(
    Object,
    c"_lead_to",
    lead_to,
    c"_lead_to($module, ids, dicts, /)\n--\n\n(place of the dict, name, value) of what leads to one of these objects."
)];
