use std::collections::{BTreeMap, BTreeSet};

use crate::{Action, Address, Step};

/// Of the steps that could not be tried, the failed one that each of them waited for, as far as it waited for one.
///
/// What is made waits for what it needs, what is deleted for what needed it. The steps of a plan stand in that order.
pub(crate) fn reasons<'a>(steps: &'a [Step], failed: &BTreeSet<&'a Address>) -> BTreeMap<&'a Address, &'a Address> {
    let mut reasons: BTreeMap<&Address, &Address> = BTreeMap::new();
    for step in steps {
        let address = &step.node.address;
        let blamed = |of: &'a Address| failed.get(of).copied().or_else(|| reasons.get(of).copied());
        if matches!(step.action, Action::Delete) {
            let held = step.held.iter().flat_map(|held| held.node.needs.iter().map(|need| &need.address));
            if let Some(reason) = blamed(address) {
                reasons.extend(held.map(|need| (need, reason)).collect::<Vec<_>>());
            }
        } else if step.action.is_change()
            && let Some(reason) = step.node.needs.iter().find_map(|need| blamed(&need.address))
        {
            reasons.insert(address, reason);
        }
    }
    reasons
}
