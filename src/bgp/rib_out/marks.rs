//! What a neighbour's own settings make of a route's attributes.
//!
//! Source: RFC 4271 §5.1 (attributes), RFC 1997 and RFC 8092 (communities are sets).

use crate::bgp::{
    Attributes, COMMUNITIES_MAX, LARGE_COMMUNITIES_MAX, Marks, NeighborMarks, PREPEND_MAX,
    Preference, Route,
};

/// A route's attributes towards a neighbour; `None` if they are over a bound.
pub(super) fn apply(marks: &NeighborMarks, route: &Route) -> Option<Attributes> {
    let marked = match route.preference {
        Preference::Preferred => marks.preferred.apply(&route.attributes),
        Preference::Backup { times } => marks.backup.apply(&route.attributes).worse(times),
    };
    let is_bounded = marked.prepend <= PREPEND_MAX
        && marked.communities.len() <= COMMUNITIES_MAX
        && marked.large_communities.len() <= LARGE_COMMUNITIES_MAX;
    is_bounded.then_some(marked)
}

impl Marks {
    fn apply(&self, to: &Attributes) -> Attributes {
        Attributes {
            prepend: self.prepend.unwrap_or(to.prepend),
            med: self.med.unwrap_or(to.med),
            local_pref: self.local_pref.or(to.local_pref),
            communities: union(&to.communities, &self.communities),
            large_communities: union(&to.large_communities, &self.large_communities),
        }
    }
}

impl Attributes {
    /// Less attractive by what makes it so, `times` over; by one AS number each time where there was
    /// none.
    fn worse(self, times: u8) -> Self {
        if times <= 1 {
            return self;
        }
        let most = PREPEND_MAX.max(self.prepend);
        Self {
            prepend: self.prepend.max(1).saturating_mul(times).min(most),
            med: self.med.map(|med| med.saturating_mul(times.into())),
            local_pref: self
                .local_pref
                .map(|preference| preference / u32::from(times)),
            ..self
        }
    }
}

/// Sorted, each once.
fn union<T: Copy + Ord>(some: &[T], more: &[T]) -> Vec<T> {
    let mut all = [some, more].concat();
    all.sort_unstable();
    all.dedup();
    all
}
