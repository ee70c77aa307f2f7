//! A router that asks for the routes again.
//!
//! Source: RFC 2918 §4 (route refresh), RFC 7313 §4.1 (its beginning and its end).

#![expect(clippy::disallowed_methods, reason = "measures in real time")]

use std::time::Instant;

use anyhow::Result;

use super::ROUTE_LIMIT;
use crate::routers::bench::{Bench, Missing};
use crate::routers::kind::Session;
use crate::routers::message::Message;
use crate::routers::view;

/// Enhanced route refresh, RFC 7313 §3.1.
const ENHANCED: u8 = 70;
const ASK: Message = Message::Refresh { subtype: 0 };
const BEGIN: Message = Message::Refresh { subtype: 1 };
const END: Message = Message::Refresh { subtype: 2 };

/// All routers that can ask do so at once.
pub(super) fn asked(bench: &mut Bench) -> Result<()> {
    let since = Instant::now();
    let all = bench.sessions.clone();
    let mut asking = Vec::new();
    for session in &all {
        if view::refresh(&bench.lab, session)? {
            asking.push(session.clone());
        }
    }
    bench.sessions = asking;
    let done = bench.until(
        "route refresh answered",
        since,
        ROUTE_LIMIT,
        |bench, session| is_answered(bench, session, since),
    );
    bench.sessions = all;
    done
}

fn is_answered(bench: &Bench, session: &Session, since: Instant) -> Result<Missing> {
    let told = bench.told(session, since);
    let asked = told
        .iter()
        .find(|(by_node, told)| !by_node && told.message == ASK);
    let Some((_, asked)) = asked else {
        return Ok(Some("the router did not ask".to_owned()));
    };
    let updates = bench.updates(session, asked.at);
    let Some(update) = updates.iter().find(|update| update.attributes.is_some()) else {
        return Ok(Some("no UPDATE".to_owned()));
    };
    if !(is_enhanced(bench, session, true) && is_enhanced(bench, session, false)) {
        return Ok(None);
    }
    let said = |message: &Message| {
        let mut all = told.iter().filter(|(by_node, _)| *by_node);
        all.find(|(_, told)| told.message == *message)
            .map(|(_, told)| told.at)
    };
    // What one packet held has one time.
    let is_framed = said(&BEGIN).is_some_and(|begin| begin <= update.at)
        && said(&END).is_some_and(|end| end >= update.at);
    Ok((!is_framed).then(|| "no begin or no end of the refresh".to_owned()))
}

/// Whether the last OPEN of that side offered it.
fn is_enhanced(bench: &Bench, session: &Session, by_node: bool) -> bool {
    let told = bench.told(session, bench.started);
    let mut opens = told
        .iter()
        .filter_map(|(from_node, told)| match &told.message {
            Message::Open { capabilities, .. } if *from_node == by_node => Some(capabilities),
            _ => None,
        });
    opens
        .next_back()
        .is_some_and(|capabilities| capabilities.contains(&ENHANCED))
}
