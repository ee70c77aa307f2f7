//! What the routers of one region know, and which nodes its clients end at.
//!
//! Best path: the longer prefix (the service's own address before a floor), then the better level
//! (`preferred` before `backup`, then leaving, then last resort), then the nearer site. Nodes
//! of one site with equal routes share the load equally.

use sidestep::announce::{PlannedLevel, PlannedRoute};

/// How good a node's routes are to a router, from none to best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Offer {
    #[default]
    Nothing,
    FloorLastResort,
    FloorLeaving,
    FloorBackup,
    Leaving,
    Backup,
    Preferred,
}

impl Offer {
    const COUNT: usize = 7;

    /// What a table of routes means to those who ask the service's address.
    pub(crate) fn of(routes: &[PlannedRoute]) -> Self {
        let each = routes.iter().map(|route| {
            let is_own = route.prefix.prefix_len() == route.prefix.max_prefix_len();
            match (is_own, route.level) {
                (true, PlannedLevel::Preferred) => Self::Preferred,
                (true, PlannedLevel::Leaving) => Self::Leaving,
                (true, PlannedLevel::Backup | PlannedLevel::LastResort) => Self::Backup,
                (false, PlannedLevel::LastResort) => Self::FloorLastResort,
                (false, PlannedLevel::Leaving) => Self::FloorLeaving,
                (false, PlannedLevel::Backup | PlannedLevel::Preferred) => Self::FloorBackup,
            }
        });
        each.max().unwrap_or_default()
    }
}

/// One region: its clients and its routers.
#[derive(Debug)]
pub(crate) struct Region {
    /// Queries per second of its clients, in thousandths.
    pub(crate) load_milli: u64,
    /// Whether each site can be reached from here.
    pub(crate) reaches: Vec<bool>,
    /// By site, the nearest has 0.
    distance: Vec<usize>,
    offers: Vec<Offer>,
    /// The number of the latest news of each node: what overtook it on its way counts no more.
    news: Vec<u32>,
    /// By site: nodes by offer.
    tally: Vec<[usize; Offer::COUNT]>,
    path: Option<Path>,
}

/// Where the queries go.
#[derive(Debug)]
struct Path {
    members: Vec<usize>,
    share_milli: u64,
}

impl Region {
    pub(crate) fn new(distance: Vec<usize>, nodes: usize) -> Self {
        let sites = distance.len();
        Self {
            load_milli: 0,
            reaches: vec![true; sites],
            tally: vec![[0; Offer::COUNT]; sites],
            distance,
            offers: vec![Offer::Nothing; nodes],
            news: vec![0; nodes],
            path: None,
        }
    }

    /// Takes news of a node at `site`; false when it had newer ones.
    pub(crate) fn learn(&mut self, node: usize, site: usize, number: u32, offer: Offer) -> bool {
        if number < self.news[node] {
            return false;
        }
        self.news[node] = number;
        let old = std::mem::replace(&mut self.offers[node], offer);
        let tally = &mut self.tally[site];
        tally[old as usize] = tally[old as usize].saturating_sub(1);
        tally[offer as usize] += 1;
        old != offer
    }

    /// Chooses the best path anew; returns by how much each node's load changes, in thousandths.
    pub(crate) fn choose(&mut self, members_of: &[Vec<usize>]) -> Vec<(usize, i64)> {
        let mut changes = Vec::new();
        let old = self.path.take();
        if let Some(path) = &old {
            let share = path.share_milli as i64;
            changes.extend(path.members.iter().map(|node| (*node, -share)));
        }
        let best = self.best();
        if let Some((offer, site)) = best {
            let members = members_of[site].iter().copied();
            let members: Vec<usize> = members.filter(|n| self.offers[*n] == offer).collect();
            let share_milli = self.load_milli / members.len() as u64;
            if old
                .as_ref()
                .is_some_and(|old| (&old.members, old.share_milli) == (&members, share_milli))
            {
                changes.clear();
            } else {
                let share = share_milli as i64;
                changes.extend(members.iter().map(|node| (*node, share)));
            }
            self.path = Some(Path {
                members,
                share_milli,
            });
        }
        changes
    }

    fn best(&self) -> Option<(Offer, usize)> {
        for offer in [
            Offer::Preferred,
            Offer::Backup,
            Offer::Leaving,
            Offer::FloorBackup,
            Offer::FloorLeaving,
            Offer::FloorLastResort,
        ] {
            let sites = (0..self.distance.len())
                .filter(|site| self.reaches[*site] && self.tally[*site][offer as usize] > 0);
            if let Some(site) = sites.min_by_key(|site| self.distance[*site]) {
                return Some((offer, site));
            }
        }
        None
    }

    pub(crate) fn has_route(&self) -> bool {
        self.path.is_some()
    }

    /// The nodes that its queries end at.
    pub(crate) fn members(&self) -> &[usize] {
        self.path.as_ref().map_or(&[], |path| &path.members)
    }

    /// The nearest site of those.
    pub(crate) fn nearest(&self, of: impl Iterator<Item = usize>) -> Option<usize> {
        of.filter(|site| self.reaches[*site])
            .min_by_key(|site| self.distance[*site])
    }
}
