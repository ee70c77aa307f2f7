//! What was written down against the budget.
//!
//! The limits on what nodes ask each other are counted from the packets, and a question belongs to
//! the client's question with its name: every new name says which node the client asked for it.

use std::collections::HashMap;
use std::time::Duration;

use super::NODES;
use super::line::{Line, count, time};
use super::record::{Asked, Heard, Record, Said, asked_node};

/// Sibling questions for one question of a client.
const PER_QUESTION: f64 = 2.0;
/// Questions of a node to one sibling in any second after the first: one for each new name, of which
/// it is asked 100 in a second, four probes, and some that came late. A sibling whose upstreams are dead
/// too is asked on, for clients that come from its site want what is in its cache, and nobody else
/// knows what that is; the node's own limit, 1,000, is for clients that invent names.
const PER_SECOND: f64 = 120.0;
/// Milliseconds, for cached names always and for new ones once the breakers are open.
const QUICK_MS: f64 = 50.0;
/// Milliseconds, for new names until then: the deadline of a question, and a margin.
const FIRST_MS: f64 = 2100.0;
/// Milliseconds, for names that a sibling answers.
const DETOUR_MS: f64 = 250.0;
/// Milliseconds from the return of the upstreams.
const RECOVERY_MS: f64 = 1000.0;
/// A question that was asked so long before the upstreams fell silent, or came back, may have been on
/// its way then.
const ON_ITS_WAY: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);

/// All that was measured, drill by drill.
pub(super) fn judge(record: &Record) -> Vec<(&'static str, Vec<Line>)> {
    vec![
        ("the upstreams of one node silent", one(record)),
        ("the upstreams of all nodes silent", all(record)),
        ("the upstreams are back", back(record)),
        ("all the time", always(record)),
    ]
}

/// The first node alone has lost its upstreams: its siblings answer for it.
fn one(record: &Record) -> Vec<Line> {
    let times = &record.times;
    let asked = || record.new_names(times.silenced_one, times.mended_one);
    let first = || asked().filter(|asked| asked.node == 0);
    let known = || first().filter(|asked| asked.sent >= times.known_one);
    let detours = record.between(times.silenced_one, times.mended_one);
    vec![
        time(
            "until the node knew",
            times.known_one - times.silenced_one,
            None,
        ),
        count("new names asked of the node", first().count(), None),
        count(
            "questions to siblings for them",
            detours.filter(|h| h.from == 0).count(),
            None,
        ),
        count("of these not answered well", bad(first()), Some(0.0)),
        time(
            "until the last of these was asked",
            last_bad(first(), times.silenced_one),
            None,
        ),
        time(
            "longest wait, asked at any time",
            longest(first()),
            Some(FIRST_MS),
        ),
        time(
            "longest wait, asked after it knew",
            longest(known()),
            Some(DETOUR_MS),
        ),
        count(
            "new names of the other nodes not answered well",
            bad(asked().filter(|asked| asked.node != 0)),
            Some(0.0),
        ),
    ]
}

/// Nobody has upstreams: clients are told so, and nodes ask each other once for each name.
fn all(record: &Record) -> Vec<Line> {
    let times = &record.times;
    let opened: Vec<Duration> = (0..NODES.len()).map(|node| record.opened(node)).collect();
    // Until then a node may still be asked by a sibling and not know that it cannot help.
    let all_open = opened.iter().max().copied().unwrap_or_default();
    let before = || record.new_names(times.silenced_all, all_open);
    // The upstreams come back node by node, and whose are back first answers for its siblings.
    let open = || record.new_names(all_open, times.mending_all - ON_ITS_WAY);
    let first_second = |node: usize, at: Duration| {
        let opened = opened.get(node).copied().unwrap_or_default();
        (opened..opened + SECOND).contains(&at)
    };
    // Those that waited for upstreams when the node knew turn to siblings then.
    let asked_until_then = record
        .new_names(times.silenced_all - ON_ITS_WAY, times.mended_all)
        .filter(|asked| {
            let opened = opened.get(asked.node).copied().unwrap_or_default();
            asked.sent < opened + SECOND
        })
        .count();
    let heard = || record.between(times.silenced_all, times.mended_all);
    let (mut in_first, later): (Vec<&Heard>, Vec<&Heard>) =
        heard().partition(|h| first_second(h.from, h.at));
    in_first.retain(|h| is_for_client(h));
    vec![
        time(
            "until the last node knew",
            all_open - times.silenced_all,
            None,
        ),
        time(
            "longest wait, asked before it knew",
            longest(before()),
            Some(FIRST_MS),
        ),
        time(
            "longest wait, asked afterwards",
            longest(open()),
            Some(QUICK_MS),
        ),
        count("new names asked afterwards", open().count(), None),
        count(
            "of these not answered by SERVFAIL with a reason",
            open()
                .filter(|asked| said(asked) != Some(Said::Failing))
                .count(),
            Some(0.0),
        ),
        count(
            "new names asked until a second after a node knew",
            asked_until_then,
            None,
        ),
        count(
            "questions to siblings in that second",
            in_first.len(),
            Some(PER_QUESTION * asked_until_then as f64),
        ),
        count(
            "questions to siblings for one name, at most",
            most_per_name(heard()),
            Some(PER_QUESTION),
        ),
        count("questions to siblings later", later.len(), None),
        count(
            "to one sibling in any later second, at most",
            busiest_second(&later),
            Some(PER_SECOND),
        ),
    ]
}

/// Upstreams answer again, and so do the nodes.
fn back(record: &Record) -> Vec<Line> {
    let times = &record.times;
    let asked = || record.new_names(times.mended_all, times.over);
    vec![
        count("new names asked", asked().count(), None),
        time(
            "until the last one not answered well",
            last_bad(asked(), times.mended_all),
            Some(RECOVERY_MS),
        ),
    ]
}

/// Caches, loops, and whether enough was heard.
fn always(record: &Record) -> Vec<Line> {
    let cached = || record.asked.iter().filter(|asked| asked.is_cached);
    let looped = |h: &&Heard| {
        let node = h.name.as_deref().and_then(asked_node);
        node.is_some_and(|node| node != h.from)
    };
    let heard = || record.heard.iter();
    let for_clients = heard().filter(|h| is_for_client(h));
    let told = usize::try_from(record.told).unwrap_or(usize::MAX);
    vec![
        count("cached names asked", cached().count(), None),
        count("of these not answered well", bad(cached()), Some(0.0)),
        time("longest wait for one", longest(cached()), Some(QUICK_MS)),
        count(
            "questions of siblings passed on to a third",
            heard().filter(looped).count(),
            Some(0.0),
        ),
        count(
            "questions between nodes without the marker",
            heard().filter(|h| !h.is_marked).count(),
            Some(0.0),
        ),
        count(
            "questions that a node counted and nobody heard",
            told.saturating_sub(for_clients.count()),
            Some(0.0),
        ),
        time(
            "longest silence on the untouched path",
            record.sentinel,
            None,
        ),
    ]
}

impl Record {
    fn new_names(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Asked> {
        let new = self.asked.iter().filter(|asked| !asked.is_cached);
        new.filter(move |asked| (from..to).contains(&asked.sent))
    }

    fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Heard> {
        self.heard
            .iter()
            .filter(move |h| (from..to).contains(&h.at))
    }

    /// When the breakers of a node opened in the second drill: seen a moment later in its metrics, or
    /// by the first question of a client that went to a sibling, which shows it too. How nodes are they
    /// ask each other all the time.
    fn opened(&self, node: usize) -> Duration {
        let times = &self.times;
        let known = times.known_all.get(node).copied().unwrap_or(times.over);
        let heard = self.between(times.silenced_all, times.over);
        heard
            .filter(|h| h.from == node && is_for_client(h))
            .map(|h| h.at)
            .min()
            .map_or(known, |first| first.min(known))
    }
}

/// Else it is a probe, or nodes ask each other how they are.
fn is_for_client(heard: &Heard) -> bool {
    heard.name.as_deref().and_then(asked_node).is_some()
}

fn said(asked: &Asked) -> Option<Said> {
    asked.answer.map(|answer| answer.said)
}

fn is_bad(asked: &&Asked) -> bool {
    said(asked) != Some(Said::Right)
}

fn bad<'a>(asked: impl Iterator<Item = &'a Asked>) -> usize {
    asked.filter(is_bad).count()
}

/// From `since` until the last query left that was not answered well; zero without any.
fn last_bad<'a>(asked: impl Iterator<Item = &'a Asked>, since: Duration) -> Duration {
    let last = asked.filter(is_bad).map(|asked| asked.sent).max();
    last.map_or(Duration::ZERO, |last| last.saturating_sub(since))
}

/// A query without an answer has waited for ever.
fn longest<'a>(asked: impl Iterator<Item = &'a Asked>) -> Duration {
    let waits = asked.map(|asked| asked.answer.map_or(NEVER, |answer| answer.after));
    waits.max().unwrap_or_default()
}

/// Longer than the asker waits for any answer.
const NEVER: Duration = Duration::from_secs(99);

/// The most questions that one node sent for one new name.
fn most_per_name<'a>(heard: impl Iterator<Item = &'a Heard>) -> usize {
    let mut counts: HashMap<(usize, &str), usize> = HashMap::new();
    for h in heard {
        if let Some(name) = h.name.as_deref().filter(|name| asked_node(name).is_some()) {
            *counts.entry((h.from, name)).or_default() += 1;
        }
    }
    counts.into_values().max().unwrap_or_default()
}

/// The most questions from one node to one other within a second, wherever that begins. `heard` is in
/// the order of time.
fn busiest_second(heard: &[&Heard]) -> usize {
    let within = |first: &Heard, h: &Heard| {
        (h.from, h.to) == (first.from, first.to) && h.at < first.at + SECOND
    };
    let counts = heard.iter().enumerate().map(|(index, first)| {
        let later = heard.get(index..).unwrap_or_default();
        later.iter().filter(|h| within(first, h)).count()
    });
    counts.max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
