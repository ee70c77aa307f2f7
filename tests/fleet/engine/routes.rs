//! News of routes on their way, where the queries go with them, and what the fleet answers.

use super::{Fleet, SECOND};
use crate::journal::Note;
use crate::queue::What;
use crate::router::Offer;
use crate::setup::CAPACITY_MILLI;
use crate::watch::{GRACE, Watch};

/// A router has the news of its own nodes after so many milliseconds, and others after the second.
const NEAR_MS: (u64, u64) = (10, 60);
const FAR_MS: (u64, u64) = (50, 500);

impl Fleet {
    /// The router of a node's own site has news, and tells all others.
    pub(super) fn publish(&mut self, node: usize, offer: Offer) {
        if self.told[node].1 == offer {
            return;
        }
        let stopped = self.watch.stopped_since(node);
        let is_late = stopped.is_some_and(|at| self.now - at > Watch::stopped_max(&self.setup));
        if offer == Offer::Preferred && is_late {
            self.breach = Some(format!("node {node} becomes preferred and answers nobody"));
        }
        self.journal.note(self.now, Note::Offer { node, offer });
        let number = self.told[node].0 + 1;
        self.told[node] = (number, offer);
        let site = self.nodes[node].site;
        for region in 0..self.regions.len() {
            let (least, most) = if region == site { NEAR_MS } else { FAR_MS };
            let at = self.now + self.chance.ms(least, most);
            let what = What::Route {
                region,
                node,
                number,
                offer,
            };
            self.queue.push(at, what);
        }
    }

    pub(super) fn learn(&mut self, region: usize, node: usize, number: u32, offer: Offer) {
        let site = self.nodes[node].site;
        if self.regions[region].learn(node, site, number, offer) {
            self.reroute(region);
        }
    }

    /// The clients of a region follow the best path.
    pub(super) fn reroute(&mut self, region: usize) {
        let mut changes = self.regions[region].choose(&self.members);
        changes.sort_unstable_by_key(|(node, _)| *node);
        let mut changes = changes.into_iter().peekable();
        while let Some((node, mut change)) = changes.next() {
            while let Some((_, more)) = changes.next_if(|(other, _)| *other == node) {
                change += more;
            }
            if change != 0 {
                self.rouse(node);
                self.nodes[node].account(self.now);
                let rate = &mut self.nodes[node].traffic.rate_milli;
                *rate = rate.saturating_add_signed(change);
                self.take_truth(node);
            }
        }
        let has_route = self.regions[region].has_route();
        if has_route == self.dark[region] {
            self.dark[region] = !has_route;
            self.journal
                .note(self.now, Note::Route { region, has_route });
        }
    }

    /// The first invariant: no region without a route while a node that it reaches is proven able.
    pub(super) fn look_for_darkness(&mut self) {
        if self.now < GRACE || !self.dark.contains(&true) {
            return;
        }
        let dark = (0..self.dark.len()).filter(|region| self.dark[*region]);
        for region in dark {
            let reaches = &self.regions[region].reaches;
            let mut nodes = 0..self.nodes.len();
            if let Some(node) = nodes.find(|node| {
                reaches[self.nodes[*node].site] && self.watch.must_be_seen(self.now, *node)
            }) {
                self.breach = Some(format!(
                    "region {region} has no route, and node {node} could answer it"
                ));
                return;
            }
        }
    }

    /// Whoever is proven able is announced, however little it is preferred.
    fn look_for_hidden(&mut self) {
        let hidden = (0..self.nodes.len()).find(|node| {
            self.told[*node].1 < Offer::Backup && self.watch.is_proven(self.now, *node)
        });
        if let Some(node) = hidden {
            let able_s = self.watch.able_for(self.now, node).as_secs_f64();
            let what = format!("node {node} has been able for {able_s:.1} s and is not announced");
            self.breach.get_or_insert(what);
        }
    }

    pub(super) fn measure(&mut self) {
        self.queue.push(self.now + SECOND, What::Measure);
        self.look_for_hidden();
        let mut answered = 0;
        for node in &mut self.nodes {
            node.account(self.now);
            answered += node.traffic.totals.answered / 1_000_000_000;
        }
        let proven: Vec<u64> = self
            .members
            .iter()
            .map(|members| {
                let proven = members
                    .iter()
                    .filter(|node| self.watch.is_proven(self.now, **node));
                proven.count() as u64 * CAPACITY_MILLI
            })
            .collect();
        let mut wanted = vec![0; proven.len()];
        for region in &self.regions {
            let sites = (0..proven.len()).filter(|site| proven[*site] > 0);
            if let Some(site) = region.nearest(sites) {
                wanted[site] += region.load_milli;
            }
        }
        let possible = wanted
            .iter()
            .zip(&proven)
            .map(|(load, most)| load.min(most));
        let possible = possible.sum::<u64>() / 1000;
        let judged = self.watch.measure(answered as u64, possible, &self.setup);
        self.judge(judged);
    }
}
